"""Powers of NumPy scalars, which NumPy computes by C's pow, and those of arrays by a loop of its own, an ulp apart.

A program that is to agree with plain code to the bit records which of the two that code runs.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tapem.core import UFUNCS, Primitive, is_plain, is_weak, replaced
from tapem.types import NUMBERS


def power_of(tracer: Any, other: Any) -> Primitive:
    """The op of `**` between a tracer and another value."""
    op: Any = UFUNCS[np.power]
    return number_power(op) if is_number(tracer) and is_number(other) and is_float(tracer, other) else op


def is_number(value: Any) -> bool:
    """Whether plain code holds a real number here, of NumPy or of Python."""
    if type(value) in NUMBERS:
        return True
    return is_plain(value) and value.node.shape == () and value.dtype.kind in "fiub"


def is_float(*values: Any) -> bool:
    """Whether one of the values is a float of NumPy, so that NumPy computes with all of them."""
    return any(not is_weak(value) and value.dtype.kind == "f" for value in values)


@functools.cache
def number_power(op: Primitive) -> Primitive:
    """The op `power` for NumPy scalars."""
    return replaced(op, name="number_power", implementation=raised)


def raised(a: Any, b: Any) -> Any:
    """`a` to the power of `b`, as Python's operator computes it."""
    return a**b


__all__ = ["power_of"]
