"""NumPy's `emath`: functions that leave the real numbers where their argument is outside of the real domain.

The dtype of the result depends on values, so they must be known; then the function is the ordinary one, of a real or of
a complex argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.ops.numpy.constants import plain_values
from tapem.ops.numpy.functions import equals
from tapem.types import is_inexact


def _negative(x: Any) -> Any:
    return x < 0


def _beyond_one(x: Any) -> Any:
    return np.abs(x) > 1


def _widened(x: Any, outside: Callable[[Any], Any], name: str) -> Any:
    """The argument, complex if one of its elements is outside of the real domain."""
    plain = np.asarray(plain_values(x, f"np.emath.{name}"))
    if plain.dtype.kind == "c" or not np.any(outside(plain)):
        return np.asarray(x) if isinstance(x, list | tuple) else x
    single = plain.dtype.char in "fbhBH"
    return np.astype(x if hasattr(x, "dtype") else plain, np.complex64 if single else np.complex128)


def _enter(name: str, function: Callable[..., Any], outside: Callable[[Any], Any]) -> None:
    equals(getattr(np.emath, name))(lambda x: function(_widened(x, outside, name)))


for _name in ("sqrt", "log", "log2", "log10"):
    _enter(_name, getattr(np, _name), _negative)
for _name in ("arccos", "arcsin", "arctanh"):
    _enter(_name, getattr(np, _name), _beyond_one)


@equals(np.emath.logn)
def logn(n: Any, x: Any) -> Any:
    """The logarithm to base `n`."""
    return np.log(_widened(x, _negative, "logn")) / np.log(_widened(n, _negative, "logn"))


@equals(np.emath.power)
def power(x: Any, p: Any) -> Any:
    """`x` to the power of `p`, where a negative base makes the result complex, and a negative integer exponent real."""
    exponent = np.asarray(plain_values(p, "np.emath.power"))
    if not is_inexact(exponent.dtype) and np.any(exponent < 0):
        p = np.astype(p if hasattr(p, "dtype") else exponent, np.float64)
    p = p if hasattr(p, "dtype") else exponent  # as in NumPy, a Python number has a dtype of its own here
    return np.power(_widened(x, _negative, "power"), p)
