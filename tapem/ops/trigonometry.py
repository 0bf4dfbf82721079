"""Trigonometric and hyperbolic functions. Angles are in radians unless the name says otherwise.

The formulas are those of Abramowitz and Stegun, chapter 4, written so that no intermediate result overflows or cancels:
1 + x**2 is computed as hypot(1, x) squared, and 1 - x**2 as (1 - x) * (1 + x).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapem.ops.declare import elementwise
from tapem.types import Float, Inexact, Num, Tensor

__all__ = [
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cos", "cosh", "deg2rad", "rad2deg",
    "sin", "sinc", "sinh", "tan", "tanh",
]  # fmt: skip

T = Num[Tensor, "*#shape"]
FloatOut = Float[Tensor, "*shape"]
InexactOut = Inexact[Tensor, "*shape"]


@elementwise(lambda g, y, x: g * np.cos(x), numpy=[np.sin])
def sin(x: T) -> InexactOut:
    """The sine of an angle in radians: Num "*shape" -> Inexact "*shape".

    >>> sin(np.array([0.0, np.pi / 2]))
    array([0., 1.])
    """
    return np.sin(x)


@elementwise(lambda g, y, x: -g * np.sin(x), numpy=[np.cos])
def cos(x: T) -> InexactOut:
    """The cosine of an angle in radians: Num "*shape" -> Inexact "*shape".

    >>> cos(np.array([0.0, np.pi]))
    array([ 1., -1.])
    """
    return np.cos(x)


@elementwise(lambda g, y, x: g * (1 + y * y), numpy=[np.tan])
def tan(x: T) -> InexactOut:
    """The tangent of an angle in radians: Num "*shape" -> Inexact "*shape".

    >>> tan(np.array([0.0]))
    array([0.])
    """
    return np.tan(x)


def _leg(x: Any, opposite: Any) -> Any:
    """sqrt(1 - x * x): for complex numbers it is `opposite`, which is on the right side of a branch cut."""
    return opposite if np.iscomplexobj(x) else np.sqrt((1 - x) * (1 + x))


@elementwise(lambda g, y, x: g / _leg(x, np.cos(y)), numpy=[np.arcsin])
def arcsin(x: T) -> InexactOut:
    """The angle in radians, from -pi/2 to pi/2, whose sine is `x`; NaN outside [-1, 1].

    Num "*shape" -> Inexact "*shape". Its derivative at -1 and 1 is infinite.

    >>> arcsin(np.array([0.0, 1.0])) / np.pi
    array([0. , 0.5])
    """
    return np.arcsin(x)


@elementwise(lambda g, y, x: -g / _leg(x, np.sin(y)), numpy=[np.arccos])
def arccos(x: T) -> InexactOut:
    """The angle in radians, from 0 to pi, whose cosine is `x`; NaN outside [-1, 1]: Num "*shape" -> Inexact "*shape".

    Its derivative at -1 and 1 is infinite.

    >>> arccos(np.array([1.0, -1.0])) / np.pi
    array([0., 1.])
    """
    return np.arccos(x)


def _over_one_plus_square(g: Any, x: Any) -> Any:
    if np.iscomplexobj(x):
        return g / ((1 - 1j * x) * (1 + 1j * x))
    r = np.hypot(1, x)
    return g / r / r


@elementwise(lambda g, y, x: _over_one_plus_square(g, x), numpy=[np.arctan])
def arctan(x: T) -> InexactOut:
    """The angle in radians, from -pi/2 to pi/2, whose tangent is `x`: Num "*shape" -> Inexact "*shape".

    >>> arctan(np.array([0.0, np.inf])) / np.pi
    array([0. , 0.5])
    """
    return np.arctan(x)


def _over_square(g: Any, side: Any, a: Any, b: Any) -> Any:
    r = np.hypot(a, b)
    return g * (side / r) / r


@elementwise(
    lambda g, y, a, b: _over_square(g, b, a, b),
    lambda g, y, a, b: -_over_square(g, a, a, b),
    numpy=[np.arctan2],
)
def arctan2(a: T, b: T) -> FloatOut:
    """The angle in radians, from -pi to pi, of the point `(b, a)`: Num "*#shape", Num "*#shape" -> Float "*shape".

    The first operand is the ordinate.

    Kink: at the origin there is no angle, and the derivatives are NaN.

    >>> arctan2(np.array([1.0, 0.0]), np.array([0.0, -1.0])) / np.pi
    array([0.5, 1. ])
    """
    return np.arctan2(a, b)


@elementwise(lambda g, y, x: g * np.cosh(x), numpy=[np.sinh])
def sinh(x: T) -> InexactOut:
    """The hyperbolic sine: Num "*shape" -> Inexact "*shape".

    >>> sinh(np.array([0.0]))
    array([0.])
    """
    return np.sinh(x)


@elementwise(lambda g, y, x: g * np.sinh(x), numpy=[np.cosh])
def cosh(x: T) -> InexactOut:
    """The hyperbolic cosine: Num "*shape" -> Inexact "*shape".

    >>> cosh(np.array([0.0]))
    array([1.])
    """
    return np.cosh(x)


@elementwise(lambda g, y, x: g * (1 - y * y), numpy=[np.tanh])
def tanh(x: T) -> InexactOut:
    """The hyperbolic tangent: Num "*shape" -> Inexact "*shape".

    >>> tanh(np.array([0.0, 100.0]))
    array([0., 1.])
    """
    return np.tanh(x)


def _over_root_of_one_plus_square(g: Any, x: Any) -> Any:
    # Differences keep the sign of a zero, which says on which side of a branch cut x is; sums with 1 lose it.
    return g / (np.sqrt((x - 1j) * (x - complex(0, -1))) if np.iscomplexobj(x) else np.hypot(1, x))


@elementwise(lambda g, y, x: _over_root_of_one_plus_square(g, x), numpy=[np.arcsinh])
def arcsinh(x: T) -> InexactOut:
    """The number whose hyperbolic sine is `x`: Num "*shape" -> Inexact "*shape".

    >>> arcsinh(np.array([0.0]))
    array([0.])
    """
    return np.arcsinh(x)


# x - -1, and not x + 1, keeps the sign of a zero, which says on which side of the branch cut x is.
@elementwise(lambda g, y, x: g / (np.sqrt(x - 1) * np.sqrt(x - -1)), numpy=[np.arccosh])
def arccosh(x: T) -> InexactOut:
    """The number >= 0 whose hyperbolic cosine is `x`; NaN below 1: Num "*shape" -> Inexact "*shape".

    Its derivative at 1 is infinite.

    >>> arccosh(np.array([1.0]))
    array([0.])
    """
    return np.arccosh(x)


@elementwise(lambda g, y, x: g / ((1 - x) * (1 + x)), numpy=[np.arctanh])
def arctanh(x: T) -> InexactOut:
    """The number whose hyperbolic tangent is `x`; infinite at -1 and 1, NaN beyond: Num "*shape" -> Inexact "*shape".

    >>> arctanh(np.array([0.0]))
    array([0.])
    """
    return np.arctanh(x)


@elementwise(lambda g, y, x: np.deg2rad(g), numpy=[np.deg2rad, np.radians])
def deg2rad(x: T) -> FloatOut:
    """An angle in radians, from degrees: Num "*shape" -> Float "*shape".

    >>> deg2rad(np.array([180.0])) / np.pi
    array([1.])
    """
    return np.deg2rad(x)


@elementwise(lambda g, y, x: np.rad2deg(g), numpy=[np.rad2deg, np.degrees])
def rad2deg(x: T) -> FloatOut:
    """An angle in degrees, from radians: Num "*shape" -> Float "*shape".

    >>> rad2deg(np.array([np.pi]))
    array([180.])
    """
    return np.rad2deg(x)


# The coefficients of (sin u / u)' / u as a power series in u**2, the highest first; enough for float64 up to |u| = 1.
_SINC_SERIES = [(-1.0) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(9, 0, -1)]


def _sinc_slope(x: Any, y: Any) -> Any:
    """The derivative (cos(pi x) - sinc(x)) / x, by its power series near 0, where the difference cancels."""
    u = math.pi * x
    near = np.abs(u) < 1 if np.iscomplexobj(u) else np.logical_and(u > -1, u < 1)
    # Each branch gets arguments for which it and its own derivatives are finite.
    small, far = np.where(near, u, 0), np.where(near, 1, x)
    squared, series = small * small, 0.0
    for coefficient in _SINC_SERIES:
        series = series * squared + coefficient
    return np.where(near, math.pi * small * series, (np.cos(math.pi * far) - y) / far)


@elementwise(lambda g, y, x: g * _sinc_slope(x, y), numpy=[np.sinc])
def sinc(x: T) -> InexactOut:
    """sin(pi x) / (pi x), which is 1 at 0: Num "*shape" -> Inexact "*shape". Its derivative at 0 is 0.

    >>> sinc(np.array([0.0, 0.5])) * np.pi
    array([3.14159265, 2.        ])
    """
    return np.sinc(x)
