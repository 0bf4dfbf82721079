"""Exponentials, logarithms and the cube root: elementwise, with NumPy's broadcasting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapem.errors import ArgumentError
from tapem.ops.activations import sigmoid, softplus
from tapem.ops.casting import in_dtype_of
from tapem.ops.declare import elementwise
from tapem.types import Float, Inexact, Num, Real, Tensor

__all__ = [
    "cbrt", "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "logaddexp", "logaddexp2", "safe_log",
]  # fmt: skip

T = Num[Tensor, "*#shape"]
FloatOut = Float[Tensor, "*shape"]
InexactOut = Inexact[Tensor, "*shape"]

LOG2 = math.log(2)
LOG10 = math.log(10)


@elementwise(lambda g, y, x: g * y, numpy=[np.exp])
def exp(x: T) -> InexactOut:
    """e to the power of `x`: Num "*shape" -> Inexact "*shape".

    >>> exp(np.array([0.0, -np.inf]))
    array([1., 0.])
    """
    return np.exp(x)


@elementwise(lambda g, y, x: g * (y * LOG2), numpy=[np.exp2])
def exp2(x: T) -> InexactOut:
    """2 to the power of `x`: Num "*shape" -> Inexact "*shape".

    >>> exp2(np.array([0.0, 3.0]))
    array([1., 8.])
    """
    return np.exp2(x)


@elementwise(lambda g, y, x: g * (y + 1), numpy=[np.expm1])
def expm1(x: T) -> InexactOut:
    """exp(x) - 1, exact near 0: Num "*shape" -> Inexact "*shape".

    >>> expm1(np.array([0.0, 1e-20]))
    array([0.e+00, 1.e-20])
    """
    return np.expm1(x)


@elementwise(lambda g, y, x: g / x, numpy=[np.log])
def log(x: T) -> InexactOut:
    """The natural logarithm; -inf at 0, NaN below: Num "*shape" -> Inexact "*shape".

    >>> log(np.array([1.0, np.e]))
    array([0., 1.])
    """
    return np.log(x)


@elementwise(lambda g, y, x: g / (x * LOG2), numpy=[np.log2])
def log2(x: T) -> InexactOut:
    """The logarithm to base 2; -inf at 0, NaN below: Num "*shape" -> Inexact "*shape".

    >>> log2(np.array([1.0, 8.0]))
    array([0., 3.])
    """
    return np.log2(x)


@elementwise(lambda g, y, x: g / (x * LOG10), numpy=[np.log10])
def log10(x: T) -> InexactOut:
    """The logarithm to base 10; -inf at 0, NaN below: Num "*shape" -> Inexact "*shape".

    >>> log10(np.array([1.0, 1000.0]))
    array([0., 3.])
    """
    return np.log10(x)


@elementwise(lambda g, y, x: g / (x + 1), numpy=[np.log1p])
def log1p(x: T) -> InexactOut:
    """log(1 + x), exact near 0; -inf at -1, NaN below: Num "*shape" -> Inexact "*shape".

    >>> log1p(np.array([0.0, 1e-20]))
    array([0.e+00, 1.e-20])
    """
    return np.log1p(x)


def _share(y: Any, a: Any, b: Any, unit: float = 1.0) -> Any:
    """The share of exp(a * unit) in exp(a * unit) + exp(b * unit); 0 if both are 0, and half if both are infinite.

    It is computed from a and b alone: y, their logarithmic sum, is rounded, and at 1e4 has few digits after the point.
    """
    a, b = in_dtype_of(a, y), in_dtype_of(b, y)
    alike = np.logical_and(a == b, np.isinf(a))
    share = sigmoid((np.where(alike, 0, a) - np.where(alike, 0, b)) * unit)
    return np.where(np.logical_and(alike, a < 0), 0, share)


@elementwise(lambda g, y, a, b: g * _share(y, a, b), lambda g, y, a, b: g * _share(y, b, a), numpy=[np.logaddexp])
def logaddexp(a: T, b: T) -> FloatOut:
    """log(exp(a) + exp(b)), without overflow: Num "*#shape", Num "*#shape" -> Float "*shape".

    The derivatives at infinities are those of `logsumexp`: two of inf share 1 equally, and two of -inf get 0.

    >>> logaddexp(np.array([0.0, 1000.0]), -np.inf)
    array([   0., 1000.])
    """
    return np.logaddexp(a, b)


@elementwise(
    lambda g, y, a, b: g * _share(y, a, b, LOG2),
    lambda g, y, a, b: g * _share(y, b, a, LOG2),
    numpy=[np.logaddexp2],
)
def logaddexp2(a: T, b: T) -> FloatOut:
    """log2(2**a + 2**b), without overflow: Num "*#shape", Num "*#shape" -> Float "*shape".

    >>> logaddexp2(np.array([0.0, 5000.0]), np.array([0.0, 5000.0]))
    array([1.000e+00, 5.001e+03])
    """
    return np.logaddexp2(a, b)


@elementwise(lambda g, y, x, eps: g * (sigmoid(x) / (softplus(x) + eps)))
def safe_log(x: Real[Tensor, "*shape"], eps: float = 1e-6) -> InexactOut:
    """log(softplus(x) + eps), finite for every finite `x`: Real "*shape" -> Inexact "*shape".

    For large `x` it is log(x), for very negative `x` it is log(eps). Source: TorchLean's `safe_log`.

    Raises ArgumentError unless eps is positive and finite.

    >>> safe_log(np.array([np.e, -1e4])).round(2)
    array([  1.02, -13.82])
    """
    if not 0 < eps < math.inf:
        raise ArgumentError(f"safe_log(x, eps): eps must be positive and finite, not {eps!r}.")
    return np.log(softplus(x) + eps)


@elementwise(lambda g, y, x: g / (3 * y * y), numpy=[np.cbrt])
def cbrt(x: T) -> FloatOut:
    """The real cube root: Num "*shape" -> Float "*shape". Its derivative at 0 is infinite.

    >>> cbrt(np.array([8.0, -27.0]))
    array([ 2., -3.])
    """
    return np.cbrt(x)
