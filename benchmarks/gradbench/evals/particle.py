"""A charged particle that is to pass the origin of the axis: a derivative inside a loop inside a descent."""

from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs
from .descent import argmin

CHARGES = np.array([[10.0, 10.0], [10.0, 0.0]])
DOWNWARD = np.array([[0.0, -1.0], [0.0, 0.0]])
START = np.array([0.0, 8.0])
VELOCITY = np.array([0.75, 0.0])


def cost(w: Any, dt: float, eta: float, mode: str) -> Any:
    """Square the place where the particle meets the axis, if the first charge hangs lower by w."""
    del eta
    charges = CHARGES + w * DOWNWARD

    def potential(x: Array) -> Any:
        return np.sum(1 / np.sqrt(np.sum(np.square(x - charges), axis=1)))

    slope = tm.grad(potential) if mode[1] == "r" else tm.jacfwd(potential)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, v, _ = state
        return x + dt * v, v - dt * slope(x), v

    x, _, v = tm.while_loop(lambda state: state[0][1] > 0, step, (START, VELOCITY, VELOCITY))
    return np.square(x[0] - x[1] / v[1] * v[0])


def best_charge(w: float, dt: float, eta: float, mode: str) -> Any:
    """Find the w of the least cost; the mode's letters are those of the outer and the inner derivative."""
    return argmin(lambda w: cost(w, dt, eta, mode), w, eta, mode[0])


def arguments(inputs: Inputs) -> tuple[float, float, float, str]:
    """Take the numbers, and the mode if there is one."""
    return inputs["w"], inputs["dt"], inputs["eta"], inputs.get("mode", "rr")


EVAL = Eval("particle", arguments, cost, best_charge, static=(3,))
