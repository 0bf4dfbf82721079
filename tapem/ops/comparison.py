"""Comparisons, logic and rounding: piecewise constant, so nothing passes through them to be differentiated."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from tapem.declare import elementwise
from tapem.signature import Tensor

T = Shaped[Tensor, "*#shape"]
Out = Shaped[Tensor, "*shape"]


@elementwise(numpy=[np.less])
def less(a: T, b: T) -> Out:
    """Whether `a < b`, element by element."""
    return np.less(a, b)


@elementwise(numpy=[np.less_equal])
def less_equal(a: T, b: T) -> Out:
    """Whether `a <= b`, element by element."""
    return np.less_equal(a, b)


@elementwise(numpy=[np.greater])
def greater(a: T, b: T) -> Out:
    """Whether `a > b`, element by element."""
    return np.greater(a, b)


@elementwise(numpy=[np.greater_equal])
def greater_equal(a: T, b: T) -> Out:
    """Whether `a >= b`, element by element."""
    return np.greater_equal(a, b)


@elementwise(numpy=[np.equal])
def equal(a: T, b: T) -> Out:
    """Whether `a == b`, element by element."""
    return np.equal(a, b)


@elementwise(numpy=[np.not_equal])
def not_equal(a: T, b: T) -> Out:
    """Whether `a != b`, element by element."""
    return np.not_equal(a, b)


@elementwise(numpy=[np.floor_divide])
def floor_divide(a: T, b: T) -> Out:
    """The integer part of `a / b`, rounded down."""
    return np.floor_divide(a, b)


@elementwise(numpy=[np.floor])
def floor(x: T) -> Out:
    """The greatest integer not above `x`."""
    return np.floor(x)
