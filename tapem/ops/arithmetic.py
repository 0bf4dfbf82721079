"""Arithmetic, powers and absolute values: elementwise, with NumPy's broadcasting.

Each rule `lambda g, y, x: ...` returns `g` times the partial derivative. These Jacobians are diagonal, so one rule
serves both modes. The sweep undoes broadcasting, not the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from tapem import core
from tapem.core import Primitive
from tapem.ops.casting import in_dtype_of
from tapem.ops.declare import Unary, batch_elementwise, elementwise, primitive
from tapem.sweeps import unbroadcast
from tapem.tangents import Zero
from tapem.types import Float, Inexact, Num, Real, Tensor

__all__ = [
    "abs", "add", "copysign", "div", "fabs", "fmod", "hypot", "identity", "inv", "mul", "neg", "power",
    "reciprocal", "remainder", "scale", "sign", "sqrt", "square", "sub",
]  # fmt: skip

T = Num[Tensor, "*#shape"]
Out = Num[Tensor, "*shape"]
FloatOut = Float[Tensor, "*shape"]
InexactOut = Inexact[Tensor, "*shape"]

identity = cast("Unary[[]]", core.identity)


@elementwise(lambda g, y, a, b: g, lambda g, y, a, b: g, numpy=[np.add])
def add(a: T, b: T) -> Out:
    """The sum `a + b`: Num "*#shape", Num "*#shape" -> Num "*shape".

    >>> add(np.array([1.0, 2.0]), 10.0)
    array([11., 12.])
    """
    return np.add(a, b)


def _subtrahend(g: Any, y: Any, a: Any, b: Any) -> Any:
    # What was broadcast is summed before its sign changes: there is less of it then.
    if type(g) is np.ndarray and g.size != getattr(b, "size", 1):
        g = unbroadcast(g, g.shape, np.shape(b))
    return -g


@elementwise(lambda g, y, a, b: g, _subtrahend, numpy=[np.subtract])
def sub(a: T, b: T) -> Out:
    """The difference `a - b`: Num "*#shape", Num "*#shape" -> Num "*shape".

    >>> sub(np.array([1.0, 2.0]), 1.0)
    array([0., 1.])
    """
    return np.subtract(a, b)


@elementwise(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a, numpy=[np.multiply])
def mul(a: T, b: T) -> Out:
    """The product `a * b`: Num "*#shape", Num "*#shape" -> Num "*shape".

    >>> mul(np.array([1.0, 2.0]), 3.0)
    array([3., 6.])
    """
    return np.multiply(a, b)


@elementwise(lambda g, y, a, b: g / b, lambda g, y, a, b: -g * y / b, numpy=[np.divide])
def div(a: T, b: T) -> InexactOut:
    """The quotient `a / b`: Num "*#shape", Num "*#shape" -> Inexact "*shape".

    >>> div(np.array([1.0, 2.0]), 2.0)
    array([0.5, 1. ])
    """
    return np.divide(a, b)


@elementwise(lambda g, y, x: -g, numpy=[np.negative])
def neg(x: T) -> Out:
    """The negative `-x`: Num "*shape" -> Num "*shape".

    >>> neg(np.array([1.0, -2.0]))
    array([-1.,  2.])
    """
    return np.negative(x)


def _batch_scale(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    # A batch of factors is not a scalar, but broadcasts as an operand of a product.
    return batch_elementwise(mul, size, inputs, mapped, static)


@primitive(
    rrule=(lambda g, y, x, c: g * c, lambda g, y, x, c: np.sum(g * x)),
    frule=(lambda t, y, x, c: t * c, lambda t, y, x, c: t * x),
    batch=_batch_scale,
)
def scale(x: Num[Tensor, "*shape"], c: Num[Tensor, ""]) -> Num[Tensor, "*shape"]:
    """`x` times the scalar `c`: Num "*shape", Num "" -> Num "*shape".

    Raises ShapeError if `c` is not a scalar.

    >>> scale(np.array([1.0, 2.0]), 0.5)
    array([0.5, 1. ])
    """
    return np.multiply(x, c)


@elementwise(lambda g, y, x: -g * (y * y), numpy=[np.reciprocal])
def reciprocal(x: T) -> Out:
    """One over `x`: Num "*shape" -> Num "*shape"; of integers the integer part, as in NumPy. Also called `inv`.

    >>> reciprocal(np.array([1.0, 4.0]))
    array([1.  , 0.25])
    """
    return np.reciprocal(x)


inv = reciprocal


# Powers ---------------------------------------------------------------------------------------------------------------


@elementwise(lambda g, y, x: g * (x + x), numpy=[np.square])
def square(x: T) -> Out:
    """The square of `x`: Num "*shape" -> Num "*shape".

    >>> square(np.array([1.0, -2.0]))
    array([1., 4.])
    """
    return np.square(x)


@elementwise(lambda g, y, x: g / (y + y), numpy=[np.sqrt])
def sqrt(x: T) -> InexactOut:
    """The square root of `x`, NaN for negative `x`: Num "*shape" -> Inexact "*shape".

    Kink: the derivative at 0 is infinite, with NumPy's warning.

    >>> sqrt(np.array([1.0, 4.0]))
    array([1., 2.])
    """
    return np.sqrt(x)


def _power_in_base(g: Any, y: Any, a: Any, b: Any) -> Any:
    """`g` times b * a**(b - 1), which is 0 for b = 0 even at a = 0."""
    a = in_dtype_of(a, y)
    if type(b) is int or type(b) is float:
        if b == 2:
            return g * (a + a)
        return g * (b * np.power(a, b - 1)) if b != 0 else Zero()
    b = in_dtype_of(b, y)
    # The exponent b - 1 is replaced (by 0) only at a = b = 0: elsewhere it must stay differentiable in b.
    return g * (b * np.power(a, b - 1 + np.logical_and(a == 0, b == 0)))


def _power_in_exponent(g: Any, y: Any, a: Any, b: Any) -> Any:
    """`g` times a**b * log(a), which is 0 at a = 0 for b > 0, since 0**b is 0 there, and -inf for b = 0: 0**b jumps."""
    a = in_dtype_of(a, y)
    if np.iscomplexobj(y):  # every power of every base but 0 has a value
        none = np.logical_and(a == 0, np.real(b) > 0)
        return g * np.where(none, 0, y * np.log(np.where(none, 1, a)))
    # Second derivatives in `a` alone call this rule with g = 0, and must get neither -inf nor the NaN below.
    still = np.logical_and(a == 0, np.logical_or(b > 0, g == 0))
    slope = y * np.log(np.where(still, 1, np.abs(a)))
    return np.where(np.logical_and(a < 0, g != 0), np.nan, g * slope)


# np.power and np.pow are one ufunc. Listing it twice keeps the implementation, which is faster than the ufunc.
@elementwise(_power_in_base, _power_in_exponent, numpy=[np.power, np.pow])
def power(a: T, b: T) -> Out:
    """`a` to the power of `b`: Num "*#shape", Num "*#shape" -> Num "*shape".

    The derivative in `a` is correct at 0 and for negative `a` with integer-valued `b`; for a**0 it is 0 everywhere. The
    derivative in `b` is 0 at a = 0 for b > 0, -inf at a = b = 0, where the power falls from 1 to 0, and NaN for
    negative `a`, where no neighboring power is real.

    Kink: the derivative of x**x at 0 is -inf.

    Raises ArgumentError or ShapeError for integers to negative integer powers, as NumPy does: make `a` a float.

    >>> power(np.array([1.0, -3.0]), 2)
    array([1., 9.])
    """
    base, exponent = cast("tuple[Any, Any]", (a, b))
    if type(exponent) is int and exponent == 2 and isinstance(base, np.ndarray) and base.dtype.kind == "f":
        return np.square(base)
    return np.power(base, exponent)


def _cosine(side: Any, y: Any) -> Any:
    """A side over the hypotenuse; where that is 0, the constant 0, whose own derivatives are 0 too."""
    none = y == 0
    return np.where(none, 0, side) / np.where(none, 1, y)


@elementwise(
    lambda g, y, a, b: g * _cosine(a, y),
    lambda g, y, a, b: g * _cosine(b, y),
    numpy=[np.hypot],
)
def hypot(a: T, b: T) -> FloatOut:
    """sqrt(a**2 + b**2), without overflow on the way: Num "*#shape", Num "*#shape" -> Float "*shape".

    Kink: the derivatives of every order at a = b = 0 are 0, as for every norm.

    >>> hypot(np.array([3.0, 0.0]), 4.0)
    array([5., 4.])
    """
    return np.hypot(a, b)


# Signs and remainders -------------------------------------------------------------------------------------------------


def _direction(y: Any, x: Any) -> Any:
    """The sign of a real x; of a complex one the conjugate of x / |x|. It is 0 at 0."""
    if not np.iscomplexobj(x):
        return np.sign(x)
    none = y == 0
    return np.where(none, 0, np.conjugate(x)) / np.where(none, 1, y)


@elementwise(lambda g, y, x: g * _direction(y, x), numpy=[np.absolute])
def abs(x: T) -> Out:
    """The absolute value of `x`, which is real: Num "*shape" -> Num "*shape".

    Kink: the derivative at 0 is 0.

    >>> abs(np.array([1.0, -2.0]))
    array([1., 2.])
    """
    return np.absolute(x)


@elementwise(lambda g, y, x: g * np.sign(x), numpy=[np.fabs])
def fabs(x: T) -> FloatOut:
    """The absolute value of `x`, as a float: Num "*shape" -> Float "*shape".

    Kink: the derivative at 0 is 0.

    >>> fabs(np.array([1, -2]))
    array([1., 2.])
    """
    return np.fabs(x)


@elementwise(numpy=[np.sign])
def sign(x: Real[Tensor, "*shape"]) -> Real[Tensor, "*shape"]:
    """-1, 0 or 1 as `x` is negative, 0 or positive: Real "*shape" -> Real "*shape". Piecewise constant.

    Under the direct door np.sign of complex numbers is x / abs(x), as in NumPy; that is not constant.

    >>> sign(np.array([2.0, 0.0, -2.0]))
    array([ 1.,  0., -1.])
    """
    return np.sign(x)


def direction(x: Any) -> Any:
    """The sign of real numbers; the direction of complex ones, 0 at 0.

    NumPy's own sign of complex numbers has another last bit, so rules that are to give the same on arrays and on
    tracers call this one.
    """
    if not np.iscomplexobj(x):
        return np.sign(x)
    none = x == 0
    return np.where(none, 0, x) / np.where(none, 1, np.abs(x))


@elementwise(lambda g, y, a, b: g * (np.sign(a) * np.sign(y)), lambda g, y, a, b: Zero(), numpy=[np.copysign])
def copysign(a: T, b: T) -> FloatOut:
    """The size of `a` with the sign of `b`: Num "*#shape", Num "*#shape" -> Float "*shape".

    Its derivative in `a` at 0 is 0, as for `abs`; in `b` it is 0 everywhere.

    >>> copysign(np.array([1.0, -2.0]), -1.0)
    array([-1., -2.])
    """
    return np.copysign(a, b)


@elementwise(lambda g, y, a, b: g, lambda g, y, a, b: -g * np.floor_divide(a, b), numpy=[np.remainder])
def remainder(a: T, b: T) -> Out:
    """What is left of `a` after `floor_divide(a, b)` times `b`: Num "*#shape", Num "*#shape" -> Num "*shape".

    It has the sign of `b`. It jumps where `a` is a multiple of `b`; there the derivative is the one from above.

    >>> remainder(np.array([5.0, -5.0]), 3.0)
    array([2., 1.])
    """
    return np.remainder(a, b)


@elementwise(lambda g, y, a, b: g, lambda g, y, a, b: -g * np.rint((a - y) / b), numpy=[np.fmod])
def fmod(a: T, b: T) -> Out:
    """What is left of `a` after `trunc(a / b)` times `b`: Num "*#shape", Num "*#shape" -> Num "*shape".

    It has the sign of `a`. It jumps where `a` is a multiple of `b`; there the derivative is the one away from 0.

    >>> fmod(np.array([5.0, -5.0]), 3.0)
    array([ 2., -2.])
    """
    return np.fmod(a, b)
