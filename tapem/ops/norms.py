"""Norms of vectors, of every order: correct even if the powers over- or underflow; the derivative at 0 is 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapem.errors import ArgumentError
from tapem.ops.arithmetic import direction
from tapem.ops.axes import Axis, batch_reduction, refuse_axis_of_scalar, restore
from tapem.ops.complex_numbers import conjugated
from tapem.ops.declare import elementwise, primitive
from tapem.ops.reductions import ties
from tapem.ops.scaling import at_scale
from tapem.types import Float, Num, Real, Tensor

T = Num[Tensor, "..."]
FloatOut = Float[Tensor, "..."]

_vector_norm: Any = np.linalg.vector_norm  # NumPy's stubs do not allow axis=None


# -- powers of the absolute value --------------------------------------------------------------------------------------


def _odd_slope(g: Any, y: Any, x: Any, power: float) -> Any:
    # At 0 the slope of an order below 1 is infinite, but not along a direction that does not change x. If the power
    # itself is infinite there, its value is defined as a constant.
    still = np.logical_and(x == 0, np.logical_or(g == 0, power < 0))
    return np.where(still, 0, g * (power * even_power(np.where(still, 1, x), power=power - 1)))


@elementwise(_odd_slope)
def odd_power(x: Real[Tensor, "*shape"], power: float) -> Real[Tensor, "*shape"]:
    """`sign(x) |x|**power`, and 0 at 0: Real "*shape" -> Real "*shape".

    It is the derivative of an even power, up to a factor.

    >>> odd_power(np.array([-4.0, 0.0]), power=-0.5)
    array([-0.5,  0. ])
    """
    zero = np.equal(x, 0)
    return np.where(zero, 0, np.sign(x) * np.abs(np.where(zero, 1, x)) ** power)  # type: ignore[return-value]


@elementwise(lambda g, y, x, power: g * (power * odd_power(x, power=power - 1)))
def even_power(x: Real[Tensor, "*shape"], power: float) -> Real[Tensor, "*shape"]:
    """`|x|**power`: Real "*shape" -> Real "*shape".

    >>> even_power(np.array([-4.0, 9.0]), power=0.5)
    array([2., 3.])
    """
    return np.abs(x) ** power


# -- norms -------------------------------------------------------------------------------------------------------------


def _direction(y: Any, x: Any, axis: Any, keepdims: bool, ord: float) -> Any:
    """The derivative of a norm. Where the norm is 0, it is the constant 0, whose own derivatives are 0 too."""
    if ord == 1:
        return conjugated(direction(x))
    y = restore(y, x, axis, keepdims)
    if ord == math.inf:
        return conjugated(direction(x)) * ties(np.abs(x), y, axis=axis)
    none = y == 0
    unit = np.where(none, 0, x) / np.where(none, 1, y)
    if ord == 2:
        return conjugated(unit)
    unit = np.where(none, 1, unit)
    if np.iscomplexobj(x):
        size = np.where(none, 0, even_power(np.abs(unit), power=ord - 1))
        return np.conjugate(direction(unit)) * np.where(unit == 0, 0, size)
    return np.where(none, 0, odd_power(unit, power=ord - 1))


_rules: dict[str, Any] = dict(
    rrule=(lambda g, y, x, axis, keepdims, ord: restore(g, x, axis, keepdims) * _direction(y, x, axis, keepdims, ord),),
    frule=(
        lambda t, y, x, axis, keepdims, ord: np.sum(
            t * _direction(y, x, axis, keepdims, ord), axis=axis, keepdims=keepdims
        ),
    ),
    batch=batch_reduction,
)


def _value(x: Any, axis: Axis, keepdims: bool, ord: float) -> Any:
    refuse_axis_of_scalar(x, axis)
    x = np.asarray(x)
    if ord in (1, math.inf):
        return _vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)
    return at_scale(lambda x: _vector_norm(x, axis=axis, keepdims=keepdims, ord=ord), x, ord, axis)


@primitive(**_rules)
def norm(x: T, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> FloatOut:
    """The norm of `x` as one vector along the axes: Num "..." -> Float "...".

    `ord` is p in (sum |x|**p)**(1/p): 2 is the Euclidean norm (over two axes, the Frobenius norm), 1 the sum and
    np.inf the greatest of the absolute values. Unlike in NumPy, powers may over- or underflow. Raises ArgumentError for
    an `ord` below 1, which does not give a norm.

    Kinks: derivatives of every order are 0 where the norm is 0; for ord=1 the derivative is 0 at each element 0, and
    for ord=np.inf elements that tie share it equally.

    >>> float(norm(np.array([3.0, 4.0]))), float(norm(np.array([3.0, -4.0]), ord=np.inf))
    (5.0, 4.0)
    """
    if isinstance(ord, str) or not ord >= 1:
        raise ArgumentError(
            f"norm(x): ord={ord!r} does not give a norm of a vector; it must be a number >= 1 or np.inf."
        )
    return _value(x, axis, keepdims, ord)


@primitive(**_rules)
def quasi_norm(x: T, axis: Axis = None, keepdims: bool = False, ord: float = 0.5) -> FloatOut:
    """NumPy's "norm" of an `ord` that is below 1 and not 0: Num "..." -> Float "...".

    Kinks: the derivative is 0 at each element 0, where its slopes to either side are infinite; and everywhere where the
    value is 0.

    >>> float(quasi_norm(np.array([1.0, 4.0]), ord=0.5))
    9.0
    """
    return _value(x, axis, keepdims, ord)


__all__ = ["norm"]
