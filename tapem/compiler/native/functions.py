"""Functions of one number for native loops, which numba compiles into them."""

from __future__ import annotations

import math
from typing import Any, cast

import numba

exp = math.exp
log = math.log
expm1 = math.expm1
log1p = math.log1p
sin = math.sin
cos = math.cos
tanh = math.tanh
erf = math.erf

# numba has no types of its own for pyright.
inlined = cast("Any", numba).njit(inline="always")


@inlined
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), in the precision of x."""
    return type(x)(1) / (type(x)(1) + math.exp(-x))


@inlined
def power(x: Any, y: Any) -> Any:
    """x to the power y."""
    return x**y


__all__ = ["cos", "erf", "exp", "expm1", "log", "log1p", "math", "power", "sigmoid", "sin", "tanh"]
