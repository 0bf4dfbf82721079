"""Cumulative sums and products, sorting, and the ops that their rules need.

The rules of a cumulative product must not divide by its elements, which may be 0. Instead both modes are linear
recurrences, and recurrences are closed under differentiation. So cumprod, and prod with it, is correct at every order
with any number of zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from jaxtyping import Int

from tapem.core import Array, Primitive, ShapeDtype, linear_in_all
from tapem.ops.axes import as_tuple, batch_along, refuse_axis_of_scalar
from tapem.ops.declare import Deferred, Numeric, Step, primitive
from tapem.ops.searching import argpartition
from tapem.ops.shaping import flatten
from tapem.types import Num, Tensor

T = Num[Tensor, "..."]
Same = Num[Tensor, "*shape"]


def _line(x: Any, axis: int | None) -> tuple[Any, int]:
    """The array and the axis that NumPy runs along: x and its axis, or with axis None all elements as one line."""
    return (np.reshape(x, (-1,)), 0) if axis is None else (x, axis)


def _batch_line(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """The batch rule of an op that runs along one axis, or along all elements as one line."""
    (x,) = inputs
    if static["axis"] is not None:
        return batch_along(op, size, inputs, mapped, static)
    length = ShapeDtype(np.shape(x)[1:], x.dtype).size
    return op(np.reshape(x, (size, length)), **{**static, "axis": 1})


# -- sums --------------------------------------------------------------------------------------------------------------


def _cumsum_cotangent(g: Any, y: Any, x: Any, axis: int | None) -> Any:
    along = 0 if axis is None else axis
    return np.reshape(np.flip(np.cumsum(np.flip(g, along), axis=along), along), np.shape(x))


@primitive(rrule=(_cumsum_cotangent,), frule=linear_in_all, batch=_batch_line, numpy=[np.cumsum])
def cumsum(x: T, axis: int | None = None) -> T:
    """The sums of the first 1, 2, ..., n elements along an axis, or of all elements in a line if `axis` is None.

    Num "*shape" -> Num "*shape" with an axis, Num "n" without.

    >>> cumsum(np.array([1.0, 2.0, 3.0]))
    array([1., 3., 6.])
    """
    refuse_axis_of_scalar(x, axis)
    return np.cumsum(x, axis=axis)


# -- products ----------------------------------------------------------------------------------------------------------


@primitive(
    rrule=(lambda g, y, x, axis, step, fill: shift(g, axis=axis, step=-step),),
    frule=(lambda t, y, x, axis, step, fill: shift(t, axis=axis, step=step),),
    batch=batch_along,
)
def shift(x: Same, axis: int, step: int = 1, fill: float = 0.0) -> Same:
    """`x` moved one place along an axis, forward (step=1) or back (step=-1), with `fill` in the empty place.

    Num "*shape" -> Num "*shape".

    >>> shift(np.array([2.0, 3.0, 4.0]), axis=0, fill=1.0)
    array([1., 2., 3.])
    """
    moved = np.full(x.shape, fill, x.dtype)
    ahead, behind = np.swapaxes(moved, 0, axis)[1:], np.swapaxes(moved, 0, axis)[:-1]
    source = np.swapaxes(x, 0, axis)
    if step == 1:
        ahead[...] = source[:-1]
    else:
        behind[...] = source[1:]
    return moved


def _recurrence_cotangents(g: Any, y: Any, decay: Any, drive: Any, axis: int, reverse: bool) -> tuple[Any, Any]:
    step = -1 if reverse else 1
    adjoint = recurrence(shift(decay, axis=axis, step=-step), g, axis=axis, reverse=not reverse)
    return adjoint * shift(y, axis=axis, step=step), adjoint


def _drive_tangent(t: Any, y: Any, decay: Any, drive: Any, axis: int, reverse: bool) -> Any:
    return recurrence(decay, t, axis=axis, reverse=reverse)


def _decay_tangent(t: Any, y: Any, decay: Any, drive: Any, axis: int, reverse: bool) -> Any:
    return recurrence(decay, t * shift(y, axis=axis, step=-1 if reverse else 1), axis=axis, reverse=reverse)


@primitive(rrule=_recurrence_cotangents, frule=(_decay_tangent, _drive_tangent), batch=batch_along)
def recurrence(decay: Same, drive: Same, axis: int, reverse: bool = False) -> Same:
    """The states s[k] = decay[k] * s[k-1] + drive[k] along an axis, from s[-1] = 0; with `reverse` from the far end.

    Num "*shape", Num "*shape" -> Num "*shape".

    >>> recurrence(np.array([9.0, 0.5, 0.5]), np.array([8.0, 0.0, 1.0]), axis=0)
    array([8., 4., 3.])
    """
    states = np.empty(drive.shape, np.result_type(decay, drive))
    lines = [np.moveaxis(x, axis, 0) for x in (decay, drive, states)]
    a, b, s = (line[::-1] if reverse else line for line in lines)
    s[:1] = b[:1]
    for k in range(1, len(s)):
        s[k] = a[k] * s[k - 1] + b[k]
    return states


def _cumprod_cotangent(g: Any, y: Any, x: Any, axis: int | None) -> Any:
    line, along = _line(x, axis)
    before = shift(y, axis=along, fill=1.0)
    after = recurrence(shift(line, axis=along, step=-1), g, axis=along, reverse=True)
    return np.reshape(before * after, np.shape(x))


def _cumprod_tangent(t: Any, y: Any, x: Any, axis: int | None) -> Any:
    line, along = _line(x, axis)
    return recurrence(line, _line(t, axis)[0] * shift(y, axis=along, fill=1.0), axis=along)


@primitive(rrule=(_cumprod_cotangent,), frule=(_cumprod_tangent,), batch=_batch_line, numpy=[np.cumprod])
def cumprod(x: T, axis: int | None = None) -> T:
    """The products of the first 1, 2, ..., n elements along an axis, or of all elements in a line if `axis` is None.

    Num "*shape" -> Num "*shape" with an axis, Num "n" without. Derivatives of every order are correct with zeros.

    >>> cumprod(np.array([1.0, 2.0, 3.0]))
    array([1., 2., 6.])
    """
    refuse_axis_of_scalar(x, axis)
    return np.cumprod(x, axis=axis)


# -- sorting -----------------------------------------------------------------------------------------------------------


@primitive(
    rrule=(lambda g, y, x, order, axis: permute(g, np.argsort(order, axis=axis), axis=axis), None),
    frule=(lambda t, y, x, order, axis: permute(t, order, axis=axis), None),
    batch=batch_along,
    abstract=lambda x, order, axis: ShapeDtype.of(x),
)
def permute(x: Same, order: Int[Tensor, "*shape"], axis: int) -> Same:
    """`x` in another order along an axis, where each line of `order` is a permutation.

    Num "*shape", Int "*shape" -> Num "*shape". Its transpose is the inverse permutation, without a scatter.

    >>> permute(np.array([3.0, 1.0, 2.0]), np.array([1, 2, 0]), axis=0)
    array([1., 2., 3.])
    """
    return np.take_along_axis(x, order, axis)


def _sort_cotangent(g: Any, y: Any, x: Any, axis: int | None) -> Any:
    line, along = _line(x, axis)
    return np.reshape(permute(g, np.argsort(np.argsort(line, axis=along), axis=along), axis=along), np.shape(x))


def _sort_tangent(t: Any, y: Any, x: Any, axis: int | None) -> Any:
    line, along = _line(x, axis)
    return permute(_line(t, axis)[0], np.argsort(line, axis=along), axis=along)


@primitive(rrule=(_sort_cotangent,), frule=(_sort_tangent,), batch=_batch_line, numpy=[np.sort])
def sort(x: T, axis: int | None = -1) -> T:
    """The elements of `x` in ascending order along an axis, or all of them in a line if `axis` is None.

    Num "*shape" -> Num "*shape" with an axis, Num "n" without. NaN comes last. The derivative follows the
    permutation; if elements tie, it follows one of the permutations that sort them.

    >>> sort(np.array([3.0, 1.0, 2.0]))
    array([1., 2., 3.])
    """
    refuse_axis_of_scalar(x, axis)
    return np.sort(x, axis=axis)


@overload
def partition_axis(x: Numeric, kth: int | Sequence[int], axis: int | None = -1) -> Array: ...
@overload
def partition_axis(x: Deferred, kth: int | Sequence[int], axis: int | None = -1) -> Step: ...
def partition_axis(x: Any, kth: Any, axis: int | None = -1) -> Any:
    """`x` with the k-th elements in their places along an axis, or all of it in a line if `axis` is None: np.partition.

    Num "*shape" -> Num "*shape" with an axis, Num "n" without. Before a k-th element are those that are not greater,
    after it those that are not less. The derivative follows the permutation.

    >>> partition_axis(np.array([3.0, 1.0, 2.0]), 1)
    array([1., 2., 3.])
    """
    places = int(kth) if np.ndim(kth) == 0 else as_tuple(kth)
    if axis is None:
        x, axis = flatten(x), 0
    return permute(x, argpartition(x, places, axis=axis), axis=axis)


__all__ = ["cumprod", "cumsum", "partition_axis", "sort"]
