"""Complex numbers: parts, conjugates and angles, elementwise.

A pullback is the transpose of a real-linear map, and no rule conjugates to undo what another one did: at z = x + iy the
cotangent of a real function f is df/dx - i df/dy. One rule serves both modes, as for every elementwise op: it gives
`g` times df/dx - i df/dy, whose real part, which the sweep takes, is the tangent of a real value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Complex

from tapem.errors import DTypeError
from tapem.ops.declare import elementwise
from tapem.tangents import Zero
from tapem.types import Float, Num, Tensor

__all__ = ["angle", "conj", "conjugated", "from_parts", "imag", "real", "require_real"]

T = Num[Tensor, "*shape"]
FloatOut = Float[Tensor, "*shape"]
Parts = Float[Tensor, "*#shape"]


def conjugated(x: Any) -> Any:
    """The conjugate of what is complex, and any real value itself, at no cost: for rules of both.

    >>> x = np.ones(2)
    >>> conjugated(x) is x
    True
    """
    return np.conjugate(x) if np.iscomplexobj(x) else x


def require_real(x: Any, function: str, what: str) -> None:
    """Raise DTypeError for complex `x` where a function of NumPy takes real numbers; `what` names it in the error.

    >>> require_real(np.array([1j]), "np.digitize", "x")
    Traceback (most recent call last):
    tapem.errors.DTypeError: np.digitize: x is complex128, where NumPy takes real numbers; use its .real or np.abs.
    """
    if np.iscomplexobj(x):
        dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
        raise DTypeError(f"{function}: {what} is {dtype}, where NumPy takes real numbers; use its .real or np.abs.")


@elementwise(lambda g, y, z: g)
def real(z: T) -> T:
    """The real part of `z`: Num "*shape" -> Num "*shape"; `z` itself if it is real.

    >>> real(np.array([1 + 2j, 3]))
    array([1., 3.])
    """
    return np.real(np.asarray(z))[()]


@elementwise(lambda g, y, z: g * -1j if np.iscomplexobj(z) else Zero())
def imag(z: T) -> T:
    """The imaginary part of `z`, a real number: Num "*shape" -> Num "*shape"; 0 if `z` is real.

    >>> imag(np.array([1 + 2j, 3]))
    array([2., 0.])
    """
    return np.imag(np.asarray(z))[()]


@elementwise(lambda g, y, z: conjugated(g), numpy=[np.conjugate])
def conj(z: T) -> T:
    """The complex conjugate of `z`: Num "*shape" -> Num "*shape".

    >>> conj(np.array([1 + 2j, 3j]))
    array([1.-2.j, 0.-3.j])
    """
    return np.conjugate(z)


@elementwise(lambda g, y, re, im: g, lambda g, y, re, im: g * 1j)
def from_parts(re: Parts, im: Parts) -> Complex[Tensor, "*shape"]:
    """The complex number `re + 1j * im`: Float "*#shape", Float "*#shape" -> Complex "*shape".

    Both parts stay as they are, to the bit: `re + 1j * im` would lose infinities and the sign of zero.

    >>> from_parts(np.array([1.0, -0.0]), np.array([np.inf, 2.0]))
    array([ 1.+infj, -0. +2.j])
    """
    whole = np.empty(
        np.broadcast_shapes(np.shape(re), np.shape(im)), np.result_type(np.result_type(re, im), np.complex64)
    )
    whole.real, whole.imag = re, im
    return whole[()]


def _of_angle(g: Any, z: Any, deg: bool) -> Any:
    if not np.iscomplexobj(z):
        return Zero()
    r = np.abs(z)
    part = g * (-1j * np.conjugate(z) / r) / r
    return part * (180 / math.pi) if deg else part


@elementwise(lambda g, y, z, deg: _of_angle(g, z, deg), numpy=[np.angle])
def angle(z: T, deg: bool = False) -> FloatOut:
    """The angle of `z` in the complex plane, from -pi to pi, or in degrees: Num "*shape" -> Float "*shape".

    The angle of a real number is 0 or pi, a constant.

    Kinks: the angle jumps at the negative reals, where the derivative is that of either side; at 0 there is no angle,
    and the derivative is NaN, as for `arctan2`.

    >>> angle(np.array([1j, -1])) / np.pi
    array([0.5, 1. ])
    """
    return np.angle(z, deg)
