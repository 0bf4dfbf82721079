"""A saddle point by a descent whose every value is that of an ascent."""

from typing import Any

from ..evals import saddle
from ..evaluation import Eval
from .descent import argmin
from .loaded import jnp

LONGEST_ASCENT = 320


def surface(x: Any, y: Any) -> Any:
    """Compute |x|^2 - |y|^2."""
    return (x**2).sum() - (y**2).sum()


def worst(x: Any, start: Any, eta: Any, mode: str, bound: int | None) -> Any:
    """Compute the largest value at x."""
    return surface(x, argmin(lambda y: -surface(x, y), start, eta, mode, bound))


def worst_at_start(start: Any, eta: Any, mode: str) -> Any:
    """Compute the largest value at the start."""
    return worst(start, start, eta, mode[1], None)


def saddle_point(start: Any, eta: Any, mode: str) -> Any:
    """Find the x whose worst value is least, and the y of that value; the mode is outer, then inner."""
    bound = None if mode[0] == "f" else LONGEST_ASCENT
    x = argmin(lambda x: worst(x, start, eta, mode[1], bound), start, eta, mode[0])
    return jnp.concatenate([x, argmin(lambda y: -surface(x, y), start, eta, mode[1])])


EVAL = Eval("saddle", saddle.arguments, worst_at_start, saddle_point, saddle.EVAL.static)
