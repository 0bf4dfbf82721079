"""Numbers that depend on the count of updates: plain ones, or tracers where an update is compiled.

A plain count gives plain numbers. In a compiled update the count is an operand, so that the next update needs no new
program.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from tapem.core import Handle
from tapem.ops import astype, where


def is_unknown(x: Any) -> bool:
    """Whether a number is a tracer."""
    return isinstance(x, Handle)


def square_root(x: Any) -> Any:
    """The square root of a number.

    >>> square_root(4.0)
    2.0
    """
    return np.sqrt(x) if is_unknown(x) else math.sqrt(x)


def cosine_of(x: Any) -> Any:
    """The cosine of a number, in radians.

    >>> cosine_of(0.0)
    1.0
    """
    return np.cos(x) if is_unknown(x) else math.cos(x)


def lesser(x: Any, bound: float) -> Any:
    """The lesser of a number and a bound.

    >>> lesser(0.5, 1.0)
    0.5
    """
    return np.minimum(x, bound) if is_unknown(x) else min(x, bound)


def chosen(condition: Any, yes: Any, no: Any) -> Any:
    """The first number if the condition holds, else the second one.

    >>> chosen(True, 1.0, 2.0)
    1.0
    """
    if is_unknown(condition):
        return cast("Any", where)(condition, yes, no)
    return yes if condition else no


def fitting(number: Any, like: Any) -> Any:
    """The number as a factor of an array: a plain one is weak, a tracer is cast to the array's real dtype.

    >>> fitting(0.1, np.ones(2, np.float32))
    0.1
    """
    fitted: Any = astype(number, like.real.dtype) if is_unknown(number) else number
    return fitted


__all__ = ["chosen", "cosine_of", "fitting", "is_unknown", "lesser", "square_root"]
