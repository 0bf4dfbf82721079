"""A saddle point by a descent whose every value is that of an ascent."""

from typing import Any

import numpy as np

from ...workload import Array
from ..evaluation import Eval, Inputs
from .descent import argmin


def surface(x: Array, y: Array) -> Any:
    """Compute |x|^2 - |y|^2."""
    return np.sum(np.square(x)) - np.sum(np.square(y))


def highest(x: Array, start: Array, eta: float, mode: str) -> Array:
    """Find the y of the largest value at x."""
    return argmin(lambda y: -surface(x, y), start, eta, mode)


def worst(x: Array, start: Array, eta: float, mode: str) -> Any:
    """Compute the largest value at x."""
    return surface(x, highest(x, start, eta, mode))


def worst_at_start(start: Array, eta: float, mode: str) -> Any:
    """Compute the largest value at the start."""
    return worst(start, start, eta, mode[1])


def saddle_point(start: Array, eta: float, mode: str) -> Array:
    """Find the x whose worst value is least, and the y of that value; the mode is outer, then inner."""
    x = argmin(lambda x: worst(x, start, eta, mode[1]), start, eta, mode[0])
    return np.concatenate([x, highest(x, start, eta, mode[1])])


def arguments(inputs: Inputs) -> tuple[Array, float, str]:
    """Take the start, the first rate, and the mode if there is one."""
    return inputs["start"], inputs["eta"], inputs.get("mode", "rr")


EVAL = Eval("saddle", arguments, worst_at_start, saddle_point, static=(2,))
