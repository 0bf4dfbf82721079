"""The parts of floating-point numbers: mantissas and exponents, fractions and neighbors, elementwise."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Integer

from tapem.core import enter_ufunc
from tapem.ops.comparison import trunc
from tapem.ops.declare import elementwise
from tapem.tangents import Zero
from tapem.types import Float, Real, Tensor

__all__ = ["frexp", "ldexp", "modf", "nextafter", "spacing"]

T = Real[Tensor, "*#shape"] | Bool[Tensor, "*#shape"]
Whole = Integer[Tensor, "*#shape"] | Bool[Tensor, "*#shape"]
FloatOut = Float[Tensor, "*shape"]


@elementwise(lambda g, y, x, i: np.ldexp(g, i), None, numpy=[np.ldexp])
def ldexp(x: T, i: Whole) -> FloatOut:
    """`x` times 2 to the power of `i`, exactly: Real or Bool "*#shape", Integer or Bool "*#shape" -> Float "*shape".

    >>> ldexp(np.array([0.5, 0.75]), 3)
    array([4., 6.])
    """
    return np.ldexp(x, i)


@elementwise()
def exponent(x: T) -> Integer[Tensor, "*shape"]:
    """The exponent that `frexp` finds: Real or Bool "*shape" -> Integer "*shape".

    >>> exponent(np.array([4.0, 6.0]))
    array([3, 3], dtype=int32)
    """
    return np.frexp(x)[1]


def frexp(x: Any) -> tuple[Any, Any]:
    """The mantissa, from 1/2 up to 1, and the exponent of 2: Real "*shape" -> Float "*shape", Integer "*shape".

    The exponent is constant. At a power of 2, where it jumps, the derivative of the mantissa is the one from above.

    >>> frexp(np.array([4.0, 6.0]))
    (array([0.5 , 0.75]), array([3, 3], dtype=int32))
    """
    power = exponent(x)
    return ldexp(x, -power), power


@elementwise(lambda g, y, x: g)
def fraction(x: T) -> FloatOut:
    """What `modf` finds after the point: Real or Bool "*shape" -> Float "*shape".

    >>> fraction(np.array([1.5, -2.25]))
    array([ 0.5 , -0.25])
    """
    return np.modf(x)[0]


def modf(x: Any) -> tuple[Any, Any]:
    """The part after the point and the integer before it: Real "*shape" -> Float "*shape", Float "*shape".

    Both have the sign of `x`. The integer is constant; where it jumps, the derivative of the fraction stays 1.

    >>> modf(np.array([1.5, -2.25]))
    (array([ 0.5 , -0.25]), array([ 1., -2.]))
    """
    after = fraction(x)
    return after, trunc(x).astype(after.dtype)


@elementwise(lambda g, y, a, b: g, lambda g, y, a, b: Zero(), numpy=[np.nextafter])
def nextafter(a: T, b: T) -> FloatOut:
    """The number next to `a` on the way to `b`: Real or Bool "*#shape" each -> Float "*shape".

    It is `a` but for its last digit: its derivative in `a` is 1, in `b` 0.

    >>> nextafter(np.array([1.0]), 2.0) - 1
    array([2.22044605e-16])
    """
    return np.nextafter(a, b)


@elementwise(numpy=[np.spacing])
def spacing(x: T) -> FloatOut:
    """The distance to the next number away from 0: Real or Bool "*shape" -> Float "*shape". Piecewise constant.

    >>> spacing(np.array([1.0, -2.0]))
    array([ 2.22044605e-16, -4.44089210e-16])
    """
    return np.spacing(x)


enter_ufunc(np.frexp, frexp)
enter_ufunc(np.modf, modf)
