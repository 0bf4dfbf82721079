"""Indexing: taking elements out of an array, and putting elements into it.

Taking and putting are each other's transpose, so the ops come in pairs (`getitem` and `scatter`, `take_along_axis` and
`scatter_add`). Each is the derivative of the other, so the family is closed in both modes at any order.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, overload

import numpy as np
from jaxtyping import Bool, Integer

from tapem.core import OPS, Array, Primitive, Shape, ShapeDtype
from tapem.errors import ConcretizationError
from tapem.ops.axes import refuse_axis_of_scalar
from tapem.ops.declare import Deferred, Numeric, Step, primitive, variadic
from tapem.ops.index import ALL, ARRAY, NEW, Index, batched, new_axes, take_apart
from tapem.sweeps import unbroadcast
from tapem.tangents import InplaceableThunk
from tapem.types import Num, Tensor, type_text

T = Num[Tensor, "..."]
Whole: TypeAlias = Integer[Tensor, "..."]
Selector: TypeAlias = Integer[Tensor, "..."] | Bool[Tensor, "..."]

# -- x[index] ------------------------------------------------------------------------------------------------------


def _stand_in(value: Any) -> Any:
    """An index array for abstract evaluation: the array itself if it is known, else zeros that take no memory."""
    if isinstance(value, np.ndarray | np.generic | int):
        return value
    if np.dtype(value.dtype) == bool:
        raise ConcretizationError(
            f"getitem(x, index): the mask {type_text(value.shape, value.dtype)} is not known inside vmap, eval_shape "
            "or a loop body, so neither is the shape of the result. Use np.where(mask, a, b) instead."
        )
    return np.broadcast_to(np.zeros((), value.dtype), value.shape)


def _abstract_gather(x: Any, *indices: Any, at: Index) -> ShapeDtype:
    kind = ShapeDtype.of(x)
    stand_in = np.broadcast_to(np.zeros((), bool), kind.shape)
    return ShapeDtype(stand_in[at.fill([_stand_in(index) for index in indices])].shape, kind.dtype)


def _batch_gather(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    x, *arrays = inputs
    own = mapped[0]
    layout = batched(static["at"], arrays, mapped[1:], rank=np.ndim(x) - own, size=size, own=own)
    y = gather(x, *layout.arrays, at=layout.at)
    return y if layout.source == layout.target else np.moveaxis(y, layout.source, layout.target)


def _put_back(g: Any, y: Any, x: Any, *indices: Any, at: Index) -> InplaceableThunk:
    """The cotangent of x: it is added into the sum of several in the time of its own elements, not of all of x."""
    shape = np.shape(x)
    return InplaceableThunk(lambda: scatter(g, *indices, at=at, shape=shape), lambda total: _add(total, g, indices, at))


@variadic(
    rrule=(_put_back,),
    frule=(lambda t, y, x, *indices, at: gather(t, *indices, at=at),),
    batch=_batch_gather,
    abstract=_abstract_gather,
    name="getitem",
)
def gather(x: T, *indices: Selector, at: Index) -> T:
    """The op of `getitem`: the elements of `x` at `at`, with `indices` as its arrays.

    Num "...", Integer or Bool "..." each -> Num "..."; the shape is as in NumPy.

    >>> gather(np.arange(6.0).reshape(2, 3), np.array([2, 0]), at=Index((slice(None), ARRAY)))
    array([[2., 0.],
           [5., 3.]])
    """
    return np.asarray(x)[at.fill(indices)]


def _batch_scatter(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    g, *arrays = inputs
    shape = static["shape"]
    layout = batched(static["at"], arrays, mapped[1:], rank=len(shape), size=size, own=True)
    if not mapped[0]:
        g = np.broadcast_to(g, (size, *np.shape(g)))
    if layout.source != layout.target:
        g = np.moveaxis(g, layout.target, layout.source)
    return scatter(g, *layout.arrays, at=layout.at, shape=(size, *shape))


def _abstract_scatter(x: Any, *indices: Any, at: Index, shape: Shape) -> ShapeDtype:
    for index in indices:
        _stand_in(index)  # raises ConcretizationError for a mask of which only the shape is known
    return ShapeDtype(shape, x.dtype)


@variadic(
    rrule=(lambda g, y, x, *indices, at, shape: gather(g, *indices, at=at),),
    frule=(lambda t, y, x, *indices, at, shape: scatter(t, *indices, at=at, shape=shape),),
    batch=_batch_scatter,
    abstract=_abstract_scatter,
)
def scatter(x: T, *indices: Selector, at: Index, shape: Shape) -> T:
    """The transpose of `getitem`: zeros of `shape` with `x` added at `at`.

    Num "...", Integer or Bool "..." each -> Num "...".

    `x` has the shape of an array of `shape` indexed at `at`. An element that is indexed several times gets the sum. The
    cost is that of a whole array of `shape`, even for few elements: if a loop reads `x[0]`, `x[1]`, ..., `tm.split` is
    faster to differentiate.

    >>> scatter(np.array([1.0, 2.0, 3.0]), np.array([1, 1, 0]), at=Index((ARRAY,)), shape=(4,))
    array([3., 3., 0., 0.])
    """
    return _add(np.zeros(shape, np.asarray(x).dtype), x, indices, at)


def _add(total: Array, x: Any, indices: Sequence[Any], at: Index) -> Array:
    """Add `x` to the elements of `total` at an index, in place; returns total."""
    where = at.fill(indices)
    if not indices or (len(indices) == 1 and np.asarray(indices[0]).dtype == bool):  # no element is indexed twice
        total[where] += x
    elif total.ndim == 1 or not total.flags.c_contiguous:
        np.add.at(total, where, x)
    else:  # NumPy adds along one axis several times faster than along many
        np.add.at(total.reshape(-1), _positions(total.shape, at, where).reshape(-1), np.asarray(x).reshape(-1))
    return total


def _positions(shape: Shape, at: Index, where: tuple[Any, ...]) -> Array:
    """The positions in the flattened array of the elements that an index selects."""
    axis = len(at.parts) - 1
    if at.parts == (*(ALL,) * axis, ARRAY):  # what is selected along one axis needs no number for every element
        selected = np.arange(shape[axis])[where[axis]].reshape(-1, 1)
        inside = math.prod(shape[axis + 1 :])
        starts = np.arange(math.prod(shape[:axis])).reshape(-1, 1, 1) * shape[axis]
        return (starts + selected) * inside + np.arange(inside)
    return np.arange(math.prod(shape)).reshape(shape)[where]


@overload
def getitem(x: Numeric, index: Any) -> Array: ...
@overload
def getitem(x: Deferred, index: Any) -> Step: ...
def getitem(x: Any, index: Any) -> Any:
    """The elements of `x` at `index`, as NumPy's `x[index]`: Num "..." -> Num "...".

    `index` is an integer, a slice, None, Ellipsis, an array (or Ref, tracer, list) of integers, a mask of bools, or a
    tuple of these; a single bool is a mask without axes. The cotangents of an element that is indexed several times are
    summed.

    Raises ArgumentError for an index out of range, DTypeError for an index of floats, ConcretizationError for a mask of
    which only the shape is known (inside `vmap`), since the shape of the result depends on its values.

    >>> x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> getitem(x, (slice(None), [2, 0]))
    array([[3., 1.],
           [6., 4.]])
    >>> import tapem as tm
    >>> tm.grad(lambda x: np.sum(x[[0, 0, 2]] ** 2))(np.array([1.0, 2.0, 3.0]))
    array([4., 0., 6.])
    """
    kind = type(index)
    if kind is int or kind is slice:
        return gather(x, at=Index((index,)))
    at, arrays = take_apart(index)
    if NEW in at.parts:
        around, at = new_axes(at, arrays)
        x = gather(x, at=around)
    return gather(x, *arrays, at=at)


OPS[operator.getitem] = getitem


# -- along one axis ------------------------------------------------------------------------------------------------


def _along(axis: int | None, x: Any) -> Index:
    """The index that takes an array's elements along one axis."""
    if axis is None:
        return Index((ARRAY,))
    return Index((*(ALL,) * np.lib.array_utils.normalize_axis_index(axis, np.ndim(x)), ARRAY))


def _take_back(g: Any, indices: Any, x: Any, axis: int | None) -> Any:
    shape = np.shape(x)
    if axis is None:
        return np.reshape(scatter(g, indices, at=_along(None, x), shape=(math.prod(shape),)), shape)
    return scatter(g, indices, at=_along(axis, x), shape=shape)


def _abstract_take(x: Any, indices: Any, axis: int | None) -> ShapeDtype:
    kind, taken = ShapeDtype.of(x), ShapeDtype.of(indices).shape
    if axis is None:
        return ShapeDtype(taken, kind.dtype)
    axis = np.lib.array_utils.normalize_axis_index(axis, len(kind.shape))
    return ShapeDtype((*kind.shape[:axis], *taken, *kind.shape[axis + 1 :]), kind.dtype)


def _batch_take(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    x, indices = inputs
    if not mapped[0]:  # the batch axis of the indices appears at their place in the result
        y = take(x, indices, axis=static["axis"])
        axis = 0 if static["axis"] is None else static["axis"] % np.ndim(x)
        return np.moveaxis(y, axis, 0) if axis else y
    shape = np.shape(x)[1:]
    if static["axis"] is None:
        x, axis = np.reshape(x, (size, math.prod(shape))), 0
    else:
        axis = static["axis"] % len(shape)
    if not mapped[1]:
        return take(x, indices, axis=axis + 1)
    return _batch_gather(gather, size, (x, indices), mapped, {"at": Index((*(ALL,) * axis, ARRAY))})


@primitive(
    rrule=(lambda g, y, x, indices, axis: _take_back(g, indices, x, axis),),
    frule=(lambda t, y, x, indices, axis: take(t, indices, axis),),
    batch=_batch_take,
    abstract=_abstract_take,
)
def take(x: T, indices: Whole, axis: int | None = None) -> T:
    """The elements of `x` at `indices` along `axis`, or of the flattened `x` if `axis` is None.

    Num "*a n *b", Integer "*i" -> Num "*a *i *b". Negative indices count from the end. Raises ArgumentError for
    an index or an axis out of range, DTypeError for indices that are not integers.

    >>> take(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 1, 0]), axis=1)
    array([[2., 2., 1.],
           [4., 4., 3.]])
    """
    refuse_axis_of_scalar(x, axis)
    return np.take(x, indices, axis=axis)


def _along_shape(x: Shape, indices: Shape, axis: int | None) -> Shape:
    """The joint shape of `x` and `indices`: broadcast together, except along `axis`, where it is that of `indices`."""
    if axis is None:
        x, axis = (math.prod(x),), 0
    if len(x) != len(indices):
        raise ValueError(f"`indices` must have as many axes as x, here {len(x)}, but has {len(indices)}")
    axis = np.lib.array_utils.normalize_axis_index(axis, len(x))
    return np.broadcast_shapes((*x[:axis], 1, *x[axis + 1 :]), indices)


def _abstract_along(x: Any, indices: Any, axis: int | None) -> ShapeDtype:
    kind = ShapeDtype.of(x)
    return ShapeDtype(_along_shape(kind.shape, ShapeDtype.of(indices).shape, axis), kind.dtype)


def _batch_along(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """Give both operands a batch axis, of size 1 if not mapped, and index one axis further to the right."""
    x, indices, *updates = inputs
    axis, shape = static["axis"], np.shape(x)[mapped[0] :]
    x = x if mapped[0] else np.broadcast_to(x, (size, *shape))
    x = np.reshape(x, (size, math.prod(shape))) if axis is None else x
    indices = indices if mapped[1] else np.reshape(indices, (1, *np.shape(indices)))
    if updates and mapped[2]:
        own = np.shape(updates[0])[1:]
        updates = [np.reshape(updates[0], (size, *(1,) * (np.ndim(indices) - 1 - len(own)), *own))]
    y = op(x, indices, *updates, axis=1 if axis is None else axis % len(shape) + 1)
    return np.reshape(y, (size, *shape)) if axis is None and updates else y


@primitive(
    rrule=(lambda g, y, x, indices, axis: scatter_add(np.zeros(np.shape(x), g.dtype), indices, g, axis),),
    frule=(lambda t, y, x, indices, axis: take_along_axis(t, indices, axis),),
    batch=_batch_along,
    abstract=_abstract_along,
    numpy=[np.take_along_axis],
)
def take_along_axis(x: T, indices: Whole, axis: int | None = -1) -> T:
    """The elements of `x` at `indices` along `axis`, for every position along the other axes.

    Num "*#a n *#b", Integer "*#a i *#b" -> Num "*a i *b". It applies the indices that `np.argsort` returns. With
    `axis=None`, `x` is flattened first, and `indices` has one axis. Raises ArgumentError for an index out of range.

    >>> x = np.array([[3.0, 1.0, 2.0], [4.0, 6.0, 5.0]])
    >>> take_along_axis(x, np.argmax(x, axis=1, keepdims=True), axis=1)
    array([[3.],
           [6.]])
    """
    return np.take_along_axis(x, indices, axis=axis)


# -- putting in ----------------------------------------------------------------------------------------------------


def _flat_positions(x: Array, indices: Array, updates: Any, axis: int | None) -> tuple[Array, Array]:
    """The positions of the updates in the flattened `x`, and the updates, both in the order of `indices`."""
    shape = _along_shape(x.shape, indices.shape, axis)
    positions = np.take_along_axis(np.arange(x.size).reshape(x.shape), indices, axis)
    return positions.reshape(-1), np.broadcast_to(updates, shape).reshape(-1)


def _dtype_of(x: Any) -> Any:
    return x if type(x) in (bool, int, float, complex) else x.dtype


def _abstract_put(x: Any, indices: Any, updates: Any, axis: int | None) -> ShapeDtype:
    kind, own = ShapeDtype.of(x), ShapeDtype.of(updates).shape
    shape = _along_shape(kind.shape, ShapeDtype.of(indices).shape, axis)
    if np.broadcast_shapes(shape, own) != shape:
        raise ValueError(f"`updates` of shape {own} cannot be broadcast to the shape {shape} of the indices")
    return ShapeDtype(kind.shape, np.result_type(_dtype_of(x), _dtype_of(updates)))


def _sum_to(g: Any, like: Any) -> Any:
    return unbroadcast(g, np.shape(g), np.shape(like))


def _zeros(x: Any, t: Any) -> Array:
    return np.zeros(np.shape(x), t.dtype)


@primitive(
    rrule=(
        lambda g, y, x, indices, updates, axis: g,
        None,
        lambda g, y, x, indices, updates, axis: _sum_to(take_along_axis(g, indices, axis), updates),
    ),
    frule=(
        lambda t, y, x, indices, updates, axis: t,
        None,
        lambda t, y, x, indices, updates, axis: scatter_add(_zeros(x, t), indices, t, axis),
    ),
    batch=_batch_along,
    abstract=_abstract_put,
)
def scatter_add(x: T, indices: Whole, updates: T, axis: int | None) -> T:
    """`x` with `updates` added at `indices` along `axis`; repeated indices accumulate.

    Num "*#a n *#b", Integer "*#a i *#b", Num, broadcast to "*a i *b" -> Num "*a n *b": indices are as in
    `np.put_along_axis` and `take_along_axis`. Raises ArgumentError for an index out of range, ShapeError if the shapes
    do not fit.

    >>> scatter_add(np.zeros(3), np.array([0, 2, 2]), np.array([1.0, 2.0, 3.0]), axis=0)
    array([1., 0., 5.])
    """
    x = np.asarray(x)
    out = np.array(x, np.result_type(x, updates), order="C")
    positions, values = _flat_positions(x, indices, updates, axis)
    np.add.at(out.reshape(-1), positions, values)
    return out


def _written(g: Any, indices: Any, updates: Any, axis: int | None) -> Any:
    """The cotangent of the updates: it is 0 for an update that a later one overwrote."""
    taken = take_along_axis(g, indices, axis)
    order = np.arange(math.prod(np.shape(taken))).reshape(np.shape(taken))
    last = scatter_set(np.zeros(np.shape(g), order.dtype), indices, order, axis)
    return _sum_to(np.where(take_along_axis(last, indices, axis) == order, taken, 0.0), updates)


@primitive(
    rrule=(
        lambda g, y, x, indices, updates, axis: scatter_set(g, indices, 0.0, axis),
        None,
        lambda g, y, x, indices, updates, axis: _written(g, indices, updates, axis),
    ),
    frule=(
        lambda t, y, x, indices, updates, axis: scatter_set(t, indices, 0.0, axis),
        None,
        lambda t, y, x, indices, updates, axis: scatter_set(_zeros(x, t), indices, t, axis),
    ),
    batch=_batch_along,
    abstract=_abstract_put,
)
def scatter_set(x: T, indices: Whole, updates: T, axis: int | None) -> T:
    """`x` with its elements at `indices` along `axis` replaced by `updates`.

    Num "*#a n *#b", Integer "*#a i *#b", Num, broadcast to "*a i *b" -> Num "*a n *b", as `np.put_along_axis` but
    without changing `x`. If one element has several updates, the last one in the order of the indices counts; the
    others, like the replaced elements, have a derivative of zero. Raises ArgumentError for an index out of range,
    ShapeError if the shapes do not fit.

    >>> scatter_set(np.zeros(3), np.array([0, 2, 2]), np.array([1.0, 2.0, 3.0]), axis=0)
    array([1., 0., 3.])
    """
    x = np.asarray(x)
    out = np.array(x, np.result_type(x, updates), order="C")
    positions, values = _flat_positions(x, indices, updates, axis)
    out.reshape(-1)[positions] = values
    return out


__all__ = ["getitem", "scatter_add", "scatter_set", "take", "take_along_axis"]
