"""Arithmetic, powers and absolute values: elementwise, with NumPy's broadcasting.

Each rule `lambda g, y, x: ...` says what the partial derivative does to `g`; since these Jacobians are diagonal, it is
the rule of both modes. Broadcasting is undone by the sweep, not here.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from tapem.declare import elementwise
from tapem.signature import Tensor

T = Shaped[Tensor, "*#shape"]
Out = Shaped[Tensor, "*shape"]


@elementwise(lambda g, y, x: g)
def identity(x: T) -> Out:
    """The value itself, as a node of its own.

    >>> identity(2.0)
    2.0
    """
    return +x


@elementwise(lambda g, y, a, b: g, lambda g, y, a, b: g, numpy=[np.add])
def add(a: T, b: T) -> Out:
    """The sum of `a` and `b`, which are broadcast together: Num "*#shape", Num "*#shape" -> Num "*shape".

    >>> add(np.array([1.0, 2.0]), 10.0)
    array([11., 12.])
    """
    return np.add(a, b)


@elementwise(lambda g, y, a, b: g, lambda g, y, a, b: -g, numpy=[np.subtract])
def sub(a: T, b: T) -> Out:
    """The difference `a - b`: Num "*#shape", Num "*#shape" -> Num "*shape".

    >>> sub(np.array([1.0, 2.0]), 1.0)
    array([0., 1.])
    """
    return np.subtract(a, b)


@elementwise(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a, numpy=[np.multiply])
def mul(a: T, b: T) -> Out:
    """The product of `a` and `b`: Num "*#shape", Num "*#shape" -> Num "*shape".

    >>> mul(np.array([1.0, 2.0]), 3.0)
    array([3., 6.])
    """
    return np.multiply(a, b)


@elementwise(lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b, numpy=[np.divide])
def div(a: T, b: T) -> Out:
    """The quotient `a / b`: Num "*#shape", Num "*#shape" -> Float "*shape".

    >>> div(np.array([1.0, 2.0]), 2.0)
    array([0.5, 1. ])
    """
    return np.divide(a, b)


@elementwise(lambda g, y, x: -g, numpy=[np.negative])
def neg(x: T) -> Out:
    """The negative of `x`: Num "*shape" -> Num "*shape".

    >>> neg(np.array([1.0, -2.0]))
    array([-1.,  2.])
    """
    return np.negative(x)


@elementwise(lambda g, y, x: g * 2 * x, numpy=[np.square])
def square(x: T) -> Out:
    """The square of `x`.

    >>> square(np.array([1.0, -2.0]))
    array([1., 4.])
    """
    return np.square(x)


@elementwise(lambda g, y, a, b: g * b * np.power(a, b - 1), lambda g, y, a, b: g * y * np.log(a), numpy=[np.power])
def power(a: T, b: T) -> Out:
    """A power."""
    return np.power(a, b)


@elementwise(lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor(a / b), numpy=[np.remainder])
def remainder(a: T, b: T) -> Out:
    """The remainder."""
    return np.remainder(a, b)


@elementwise(lambda g, y, x: g * np.sign(x), numpy=[np.absolute])
def abs(x: T) -> Out:
    """The absolute value."""
    return np.abs(x)


@elementwise(numpy=[np.sign])
def sign(x: T) -> Out:
    """The sign."""
    return np.sign(x)


@elementwise(lambda g, y, x: g * np.cos(x), numpy=[np.sin])
def sin(x: T) -> Out:
    """The sine of `x`, in radians."""
    return np.sin(x)


@elementwise(lambda g, y, x: -g * np.sin(x), numpy=[np.cos])
def cos(x: T) -> Out:
    """The cosine."""
    return np.cos(x)
