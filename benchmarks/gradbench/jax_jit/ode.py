"""An ordinary differential equation by the classical Runge-Kutta method, and the gradient of the last component."""

from typing import Any

from ..evals import ode
from ..evaluation import Eval
from .loaded import jax, jnp


def solution(x: Any, s: int) -> Any:
    """Solve y' = F(y), y(0) = 0, where F(y)_0 = x_0 and F(y)_i = x_i y_(i-1), in s equal steps."""
    h = ode.END / s

    def rate(y: Any) -> Any:
        return x * jnp.concatenate([jnp.ones(1), y[:-1]])

    def step(y: Any, _: None) -> Any:
        k1 = rate(y)
        k2 = rate(y + h / 2 * k1)
        k3 = rate(y + h / 2 * k2)
        k4 = rate(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return jax.lax.scan(step, jnp.zeros_like(x), None, length=s)[0]


def last_component(x: Any, s: int) -> Any:
    """Take the last component of the solution."""
    return solution(x, s)[-1]


EVAL = Eval("ode", ode.arguments, solution, jax.grad(last_component), ode.EVAL.static)
