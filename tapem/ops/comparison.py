"""Comparisons, logic and rounding: piecewise constant, so their derivatives are zero.

All are elementwise, with NumPy's broadcasting. Inside derivatives such as `grad` (but not inside `vmap`) they return
plain arrays, so their results can be read.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from tapem.ops.declare import elementwise
from tapem.types import Float, Inexact, Num, Tensor

__all__ = [
    "ceil", "equal", "floor", "floor_divide", "greater", "greater_equal", "heaviside", "isclose", "isfinite", "isinf",
    "isnan", "less", "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor", "not_equal", "rint",
    "round", "signbit", "trunc",
]  # fmt: skip

T = Num[Tensor, "*#shape"]
Out = Num[Tensor, "*shape"]
BoolOut = Bool[Tensor, "*shape"]
FloatOut = Float[Tensor, "*shape"]
InexactOut = Inexact[Tensor, "*shape"]


# Comparisons ----------------------------------------------------------------------------------------------------------


@elementwise(numpy=[np.less])
def less(a: T, b: T) -> BoolOut:
    """Whether `a < b`: Num "*#shape", Num "*#shape" -> Bool "*shape".

    >>> less(np.array([1.0, 2.0]), 2.0)
    array([ True, False])
    """
    return np.less(a, b)


@elementwise(numpy=[np.less_equal])
def less_equal(a: T, b: T) -> BoolOut:
    """Whether `a <= b`: Num "*#shape", Num "*#shape" -> Bool "*shape".

    >>> less_equal(np.array([1.0, 2.0]), 2.0)
    array([ True,  True])
    """
    return np.less_equal(a, b)


@elementwise(numpy=[np.greater])
def greater(a: T, b: T) -> BoolOut:
    """Whether `a > b`: Num "*#shape", Num "*#shape" -> Bool "*shape".

    >>> greater(np.array([1.0, 2.0]), 2.0)
    array([False, False])
    """
    return np.greater(a, b)


@elementwise(numpy=[np.greater_equal])
def greater_equal(a: T, b: T) -> BoolOut:
    """Whether `a >= b`: Num "*#shape", Num "*#shape" -> Bool "*shape".

    >>> greater_equal(np.array([1.0, 2.0]), 2.0)
    array([False,  True])
    """
    return np.greater_equal(a, b)


@elementwise(numpy=[np.equal])
def equal(a: T, b: T) -> BoolOut:
    """Whether `a == b`: Num "*#shape", Num "*#shape" -> Bool "*shape".

    >>> equal(np.array([1.0, 2.0]), 2.0)
    array([False,  True])
    """
    return np.equal(a, b)


@elementwise(numpy=[np.not_equal])
def not_equal(a: T, b: T) -> BoolOut:
    """Whether `a != b`: Num "*#shape", Num "*#shape" -> Bool "*shape".

    >>> not_equal(np.array([1.0, 2.0]), 2.0)
    array([ True, False])
    """
    return np.not_equal(a, b)


@elementwise(numpy=[np.isclose])
def isclose(a: T, b: T, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> BoolOut:
    """Whether abs(a - b) <= atol + rtol * abs(b): Num "*#shape", Num "*#shape" -> Bool "*shape".

    >>> isclose(np.array([1.0, 1.1]), 1.0)
    array([ True, False])
    """
    return np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


# Logic ----------------------------------------------------------------------------------------------------------------


@elementwise(numpy=[np.logical_and])
def logical_and(a: T, b: T) -> BoolOut:
    """Whether both are true (not 0): Num "*#shape", Num "*#shape" -> Bool "*shape".

    >>> logical_and(np.array([True, False]), True)
    array([ True, False])
    """
    return np.logical_and(a, b)


@elementwise(numpy=[np.logical_or])
def logical_or(a: T, b: T) -> BoolOut:
    """Whether one or both are true (not 0): Num "*#shape", Num "*#shape" -> Bool "*shape".

    >>> logical_or(np.array([True, False]), True)
    array([ True,  True])
    """
    return np.logical_or(a, b)


@elementwise(numpy=[np.logical_xor])
def logical_xor(a: T, b: T) -> BoolOut:
    """Whether exactly one is true (not 0): Num "*#shape", Num "*#shape" -> Bool "*shape".

    >>> logical_xor(np.array([True, False]), True)
    array([False,  True])
    """
    return np.logical_xor(a, b)


@elementwise(numpy=[np.logical_not])
def logical_not(x: T) -> BoolOut:
    """Whether `x` is false (0): Num "*shape" -> Bool "*shape".

    >>> logical_not(np.array([True, False]))
    array([False,  True])
    """
    return np.logical_not(x)


@elementwise(numpy=[np.isfinite])
def isfinite(x: T) -> BoolOut:
    """Whether `x` is neither infinite nor NaN: Num "*shape" -> Bool "*shape".

    >>> isfinite(np.array([1.0, np.inf, np.nan]))
    array([ True, False, False])
    """
    return np.isfinite(x)


@elementwise(numpy=[np.isinf])
def isinf(x: T) -> BoolOut:
    """Whether `x` is infinite: Num "*shape" -> Bool "*shape".

    >>> isinf(np.array([1.0, np.inf, np.nan]))
    array([False,  True, False])
    """
    return np.isinf(x)


@elementwise(numpy=[np.isnan])
def isnan(x: T) -> BoolOut:
    """Whether `x` is NaN: Num "*shape" -> Bool "*shape".

    >>> isnan(np.array([1.0, np.inf, np.nan]))
    array([False, False,  True])
    """
    return np.isnan(x)


@elementwise(numpy=[np.signbit])
def signbit(x: T) -> BoolOut:
    """Whether `x` has a minus sign, as -0.0 does too: Num "*shape" -> Bool "*shape".

    >>> signbit(np.array([1.0, -0.0]))
    array([False,  True])
    """
    return np.signbit(x)


# Rounding -------------------------------------------------------------------------------------------------------------


@elementwise(numpy=[np.floor])
def floor(x: T) -> Out:
    """The greatest integer not above `x`: Num "*shape" -> Num "*shape".

    >>> floor(np.array([1.5, -1.5]))
    array([ 1., -2.])
    """
    return np.floor(x)


@elementwise(numpy=[np.ceil])
def ceil(x: T) -> Out:
    """The least integer not below `x`: Num "*shape" -> Num "*shape".

    >>> ceil(np.array([1.5, -1.5]))
    array([ 2., -1.])
    """
    return np.ceil(x)


@elementwise(numpy=[np.trunc, np.fix])
def trunc(x: T) -> Out:
    """The integer part of `x`, rounded towards 0: Num "*shape" -> Num "*shape".

    >>> trunc(np.array([1.5, -1.5]))
    array([ 1., -1.])
    """
    return np.trunc(x)


@elementwise(numpy=[np.rint])
def rint(x: T) -> InexactOut:
    """The integer nearest to `x`, halves to the even one: Num "*shape" -> Inexact "*shape".

    >>> rint(np.array([1.5, 2.5]))
    array([2., 2.])
    """
    return np.rint(x)


@elementwise(numpy=[np.round, np.around])
def round(x: T, decimals: int = 0) -> Out:
    """`x` rounded to this number of decimals, halves to the even digit: Num "*shape" -> Num "*shape".

    >>> round(np.array([1.25, 2.5])), round(np.array([1.25, 2.5]), 1)
    (array([1., 2.]), array([1.2, 2.5]))
    """
    return np.round(x, decimals)


@elementwise(numpy=[np.floor_divide])
def floor_divide(a: T, b: T) -> Out:
    """The integer part of `a / b`, rounded down: Num "*#shape", Num "*#shape" -> Num "*shape".

    >>> floor_divide(np.array([5.0, -5.0]), 3.0)
    array([ 1., -2.])
    """
    return np.floor_divide(a, b)


@elementwise(numpy=[np.heaviside])
def heaviside(a: T, b: T) -> FloatOut:
    """0 where `a < 0`, 1 where `a > 0`, `b` where `a` is 0: Num "*#shape", Num "*#shape" -> Float "*shape".

    >>> heaviside(np.array([-1.0, 0.0, 2.0]), 0.5)
    array([0. , 0.5, 1. ])
    """
    return np.heaviside(a, b)
