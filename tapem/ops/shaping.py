"""Shapes: rearrange or repeat elements.

All of these ops are linear. The transpose of each is simple: for transpose and flip the inverse, for broadcast_to and
tile a sum. Axes may be negative; an axis that is out of range or repeated raises ArgumentError.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tapem.core import Primitive, linear_in_all
from tapem.errors import ArgumentError
from tapem.ops.axes import (
    Axis,
    as_tuple,
    batch_along,
    batch_reduction,
    behind_batch,
    normal_axes,
    refuse_axis_of_scalar,
)
from tapem.ops.declare import primitive
from tapem.sweeps import unbroadcast
from tapem.types import Num, Tensor

T = Num[Tensor, "..."]
ShapeLike: TypeAlias = int | Sequence[int]
Inputs: TypeAlias = Sequence[Any]
Mapped: TypeAlias = Sequence[bool]
Static: TypeAlias = Mapping[str, Any]


# The cotangent of an op that keeps the elements in their order.
def _back(g: Any, y: Any, x: Any, **_: Any) -> Any:
    return np.reshape(g, np.shape(x))


# -- the same elements in the same order -------------------------------------------------------------------------------


def _batch_reshape(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    shape = as_tuple(static["shape"])
    if -1 in shape:  # with an empty batch NumPy could not infer -1
        others = math.prod(n for n in shape if n != -1)
        shape = tuple(math.prod(np.shape(x)[1:]) // (others or 1) if n == -1 else n for n in shape)
    return op(x, shape=(size, *shape))


@primitive(rrule=(_back,), frule=linear_in_all, batch=_batch_reshape, numpy=[np.reshape])
def reshape(x: T, shape: ShapeLike) -> T:
    """The elements of `x`, in row-major order, in another shape of the same size: Num "*shape" -> Num "*new".

    One entry of `shape` may be -1: it is inferred. Raises ArgumentError if the sizes differ.

    >>> reshape(np.arange(6.0), (2, -1))
    array([[0., 1., 2.],
           [3., 4., 5.]])
    """
    return np.reshape(x, shape)


def _batch_flatten(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    return reshape(x, shape=(size, math.prod(np.shape(x)[1:])))


@primitive(rrule=(_back,), frule=linear_in_all, batch=_batch_flatten, numpy=[np.ravel])
def flatten(x: T) -> Num[Tensor, "size"]:
    """The elements of `x` along one axis, in row-major order: Num "*shape" -> Num "size".

    >>> flatten(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([1., 2., 3., 4.])
    """
    return np.reshape(x, (-1,))


def _batch_squeeze(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    axis, shape = static["axis"], np.shape(x)[1:]
    chosen = (
        tuple(a for a, n in enumerate(shape) if n == 1) if axis is None or not shape else normal_axes(axis, len(shape))
    )
    return op(x, axis=tuple(a + 1 for a in chosen))


@primitive(rrule=(_back,), frule=linear_in_all, batch=_batch_squeeze, numpy=[np.squeeze])
def squeeze(x: T, axis: Axis = None) -> T:
    """`x` without the named axes of size 1, or without all of them if `axis` is None: Num "..." -> Num "...".

    Raises ArgumentError for an axis whose size is not 1.

    >>> squeeze(np.ones((1, 3, 1)), axis=0).shape
    (3, 1)
    """
    return np.squeeze(x, axis=axis)


def _batch_expand_dims(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    added = as_tuple(static["axis"])
    return op(x, axis=behind_batch(added, np.ndim(x) - 1 + len(added)))


@primitive(rrule=(_back,), frule=linear_in_all, batch=_batch_expand_dims, numpy=[np.expand_dims])
def expand_dims(x: T, axis: ShapeLike) -> T:
    """`x` with new axes of size 1 at the places `axis` of the result: Num "..." -> Num "...".

    >>> expand_dims(np.ones(3), -1).shape
    (3, 1)
    """
    return np.expand_dims(x, axis)


# -- the same elements in another order --------------------------------------------------------------------------------


def _batch_transpose(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    ndim = np.ndim(x) - 1
    axes = tuple(range(ndim))[::-1] if static["axes"] is None else as_tuple(static["axes"])
    return op(x, axes=(0, *behind_batch(axes, ndim)))


def _transpose_cotangent(g: Any, y: Any, x: Any, axes: Any) -> Any:
    if axes is None:
        return np.transpose(g)
    axes = as_tuple(axes)
    return np.transpose(g, np.argsort([a % len(axes) for a in axes]).tolist())


@primitive(rrule=(_transpose_cotangent,), frule=linear_in_all, batch=_batch_transpose, numpy=[np.transpose])
def transpose(x: T, axes: ShapeLike | None = None) -> T:
    """`x` with its axes in the order `axes`, a permutation of all of them; reversed if None: Num "..." -> Num "...".

    >>> transpose(np.ones((2, 3, 4)), (0, -1, 1)).shape
    (2, 4, 3)
    """
    return np.transpose(x, axes)


def _batch_swapaxes(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    axis1, axis2 = behind_batch((static["axis1"], static["axis2"]), np.ndim(x) - 1)
    return op(x, axis1=axis1, axis2=axis2)


@primitive(
    rrule=(lambda g, y, x, axis1, axis2: np.swapaxes(g, axis1, axis2),),
    frule=linear_in_all,
    batch=_batch_swapaxes,
    numpy=[np.swapaxes],
)
def swapaxes(x: T, axis1: int, axis2: int) -> T:
    """`x` with two axes exchanged: Num "..." -> Num "...".

    >>> swapaxes(np.ones((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    return np.swapaxes(x, axis1, axis2)


def _batch_moveaxis(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    return op(x, **{name: behind_batch(axes, np.ndim(x) - 1) for name, axes in static.items()})


@primitive(
    rrule=(lambda g, y, x, source, destination: np.moveaxis(g, destination, source),),
    frule=linear_in_all,
    batch=_batch_moveaxis,
    numpy=[np.moveaxis],
)
def moveaxis(x: T, source: ShapeLike, destination: ShapeLike) -> T:
    """`x` with the axes `source` moved to the places `destination`, the others in their order: Num "..." -> Num "...".

    >>> moveaxis(np.ones((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    return np.moveaxis(x, source, destination)


@primitive(rrule=(lambda g, y, x, axis: np.flip(g, axis),), frule=linear_in_all, batch=batch_reduction, numpy=[np.flip])
def flip(x: T, axis: Axis = None) -> T:
    """`x` with its elements in reverse order along the axes, all axes if `axis` is None: Num "..." -> Num "...".

    >>> flip(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    array([[2., 1.],
           [4., 3.]])
    """
    return np.flip(x, axis)


def _batch_roll(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    if static["axis"] is not None:
        return op(x, shift=static["shift"], axis=behind_batch(static["axis"], np.ndim(x) - 1))
    line = np.reshape(x, (size, math.prod(np.shape(x)[1:])))
    return np.reshape(op(line, shift=static["shift"], axis=1), np.shape(x))


@primitive(
    rrule=(lambda g, y, x, shift, axis: np.roll(g, tuple(-s for s in as_tuple(shift)), axis),),
    frule=linear_in_all,
    batch=_batch_roll,
    numpy=[np.roll],
)
def roll(x: T, shift: ShapeLike, axis: Axis = None) -> T:
    """`x` with its elements moved cyclically by `shift` places along the axes.

    Num "*shape" -> Num "*shape". With `axis` None the elements are moved as one line. Several shifts and axes form
    pairs.

    >>> roll(np.array([1.0, 2.0, 3.0]), 1)
    array([3., 1., 2.])
    """
    refuse_axis_of_scalar(x, axis)
    for places in as_tuple(shift):
        operator.index(places)  # NumPy would truncate a float
    return np.roll(x, shift, axis)


# -- repeated elements -------------------------------------------------------------------------------------------------


def _batch_broadcast_to(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    shape = as_tuple(static["shape"])
    added = len(shape) - (np.ndim(x) - 1)
    return op(np.reshape(x, (size, *(1,) * added, *np.shape(x)[1:])), shape=(size, *shape))


@primitive(
    rrule=(lambda g, y, x, shape: unbroadcast(g, np.shape(y), np.shape(x)),),
    frule=linear_in_all,
    batch=_batch_broadcast_to,
    numpy=[np.broadcast_to],
)
def broadcast_to(x: T, shape: ShapeLike) -> T:
    """`x` repeated along new axes and axes of size 1, to the given shape: Num "..." -> Num "*shape".

    The array is a read-only view. Raises ArgumentError if `x` cannot be broadcast to the shape.

    >>> broadcast_to(np.array([1.0, 2.0]), (2, 2))
    array([[1., 2.],
           [1., 2.]])
    """
    return np.broadcast_to(x, shape)


def _aligned(reps: Any, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The repetitions and the shape, both padded with ones on the left to the same length."""
    counts = as_tuple(reps)
    ndim = max(len(counts), len(shape))
    return (1,) * (ndim - len(counts)) + counts, (1,) * (ndim - len(shape)) + shape


def _tile_cotangent(g: Any, y: Any, x: Any, reps: Any) -> Any:
    counts, shape = _aligned(reps, np.shape(x))
    copies = [n for pair in zip(counts, shape, strict=True) for n in pair]
    return np.reshape(np.sum(np.reshape(g, copies), axis=tuple(range(0, len(copies), 2))), np.shape(x))


def _batch_tile(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    counts, shape = _aligned(static["reps"], np.shape(x)[1:])
    return op(np.reshape(x, (size, *shape)), reps=(1, *counts))


@primitive(rrule=(_tile_cotangent,), frule=linear_in_all, batch=_batch_tile, numpy=[np.tile])
def tile(x: T, reps: ShapeLike) -> T:
    """Copies of `x` side by side, `reps` of them along each axis: Num "..." -> Num "...".

    The shorter of `reps` and the shape of `x` is padded with ones on the left.

    >>> tile(np.array([1.0, 2.0]), (2, 2))
    array([[1., 2., 1., 2.],
           [1., 2., 1., 2.]])
    """
    if any(n < 0 for n in as_tuple(reps)):
        raise ArgumentError(f"tile(x): reps={reps!r} must not be negative.")
    return np.tile(x, reps)


def _repeat_cotangent(g: Any, y: Any, x: Any, repeats: Any, axis: int | None) -> Any:
    along = 0 if axis is None else axis
    size = math.prod(np.shape(x)) if axis is None else np.shape(x)[axis]
    counts = as_tuple(repeats)
    return np.reshape(segment_sum(g, counts * size if len(counts) == 1 else counts, axis=along), np.shape(x))


def _batch_repeat(op: Primitive, size: int, inputs: Inputs, mapped: Mapped, static: Static) -> Any:
    (x,) = inputs
    if static["axis"] is not None:
        return batch_along(op, size, inputs, mapped, static)
    return op(np.reshape(x, (size, math.prod(np.shape(x)[1:]))), repeats=static["repeats"], axis=1)


@primitive(rrule=(_repeat_cotangent,), frule=linear_in_all, batch=_batch_repeat, numpy=[np.repeat])
def repeat(x: T, repeats: ShapeLike, axis: int | None = None) -> T:
    """Each element of `x` repeated along an axis, or all in one line if `axis` is None: Num "..." -> Num "...".

    `repeats` is one number, or one for each place along the axis.

    >>> repeat(np.array([1.0, 2.0]), (1, 2))
    array([1., 2., 2.])
    """
    refuse_axis_of_scalar(x, axis)
    if any(operator.index(n) < 0 for n in as_tuple(repeats)):  # NumPy would truncate a float
        raise ArgumentError(f"repeat(x): repeats={repeats!r} must not be negative.")
    return np.repeat(x, repeats, axis)


@primitive(
    rrule=(lambda g, y, x, lengths, axis: repeat(g, lengths, axis=axis),), frule=linear_in_all, batch=batch_along
)
def segment_sum(x: T, lengths: Sequence[int], axis: int) -> T:
    """The sums of consecutive segments of `x` along an axis, 0 for an empty one: Num "..." -> Num "...".

    It is the transpose of `repeat`.

    >>> segment_sum(np.array([1.0, 2.0, 3.0]), (1, 0, 2), axis=0)
    array([1., 0., 5.])
    """
    counts = np.asarray(lengths, np.intp)
    lines = np.moveaxis(x, axis, 0)
    sums = np.zeros((len(counts), *lines.shape[1:]), x.dtype)
    starts = (np.cumsum(counts) - counts)[counts > 0]
    if len(starts):
        sums[counts > 0] = np.add.reduceat(lines, starts, axis=0)
    return np.moveaxis(sums, 0, axis)


__all__ = [
    "broadcast_to",
    "expand_dims",
    "flatten",
    "flip",
    "moveaxis",
    "repeat",
    "reshape",
    "roll",
    "squeeze",
    "swapaxes",
    "tile",
    "transpose",
]
