"""An ordinary differential equation by the classical Runge-Kutta method, and the gradient of the last component."""

from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs

END = 2.0


def solution(x: Array, s: int) -> Array:
    """Solve y' = F(y), y(0) = 0, where F(y)_0 = x_0 and F(y)_i = x_i y_(i-1), in s equal steps."""
    h = END / s
    one = np.ones(1)

    def rate(y: Array) -> Array:
        return x * np.concatenate([one, y[:-1]])

    def step(_: int, y: Array) -> Array:
        k1 = rate(y)
        k2 = rate(y + h / 2 * k1)
        k3 = rate(y + h / 2 * k2)
        k4 = rate(y + h * k3)
        return y + h / 6 * (k1 + 2 * (k2 + k3) + k4)

    return tm.fori_loop(0, s, step, np.zeros(len(x)))


def last_component(x: Array, s: int) -> Any:
    """Take the last component of the solution."""
    return solution(x, s)[-1]


def arguments(inputs: Inputs) -> tuple[Array, int]:
    """Take the coefficients and the number of steps."""
    return inputs["x"], inputs["s"]


EVAL = Eval("ode", arguments, solution, tm.grad(last_component), static=(1,))
