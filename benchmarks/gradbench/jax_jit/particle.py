"""A charged particle that is to pass the origin of the axis: a derivative inside a loop inside a descent."""

from typing import Any

from ..evals import particle
from ..evaluation import Eval, Inputs
from .descent import argmin, gradient, loop
from .loaded import jnp


def cost(w: Any, dt: float, mode: str, bound: int | None) -> Any:
    """Square the place where the particle meets the axis, if the first charge hangs lower by w."""
    charges = jnp.asarray(particle.CHARGES) + w * particle.DOWNWARD

    def potential(x: Any) -> Any:
        return (1 / jnp.sqrt(((x - charges) ** 2).sum(1))).sum()

    def body(state: Any) -> Any:
        x, v, _ = state
        return x + dt * v, v - dt * gradient(potential, mode[1])(x), v

    start, velocity = jnp.asarray(particle.START), jnp.asarray(particle.VELOCITY)
    x, _, v = loop(lambda state: state[0][1] > 0, body, (start, velocity, velocity), bound)
    return (x[0] - x[1] / v[1] * v[0]) ** 2


def value(w: Any, eta: Any, dt: float, mode: str) -> Any:
    """Compute the cost alone."""
    del eta
    return cost(w, dt, mode, None)


def best_charge(w: Any, eta: Any, dt: float, mode: str) -> Any:
    """Find the w of the least cost; the mode's letters are those of the outer and the inner derivative."""
    bound = None if mode[0] == "f" else int(60 / dt)
    return argmin(lambda w: cost(w[0], dt, mode, bound), jnp.asarray(w)[None], eta, mode[0])[0]


def arguments(inputs: Inputs) -> tuple[float, float, float, str]:
    """Take the numbers; the length of a step bounds their number, and so it is static."""
    w, dt, eta, mode = particle.arguments(inputs)
    return w, eta, dt, mode


EVAL = Eval("particle", arguments, value, best_charge, static=(2, 3))
