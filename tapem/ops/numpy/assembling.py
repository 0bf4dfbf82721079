"""NumPy's functions that pick, place and repeat elements: insert, compress, choose, resize and their like."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapem.core import detach, enter_whole
from tapem.errors import ArgumentError
from tapem.ops import casting, indexing
from tapem.ops.axes import as_tuple, axis_of, normal_axes
from tapem.ops.numpy.functions import equals, values_of

# -- picking -----------------------------------------------------------------------------------------------------------


@equals(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """The elements, or slices along an axis, at which the condition holds."""
    return np.take(a, np.flatnonzero(_plain(condition, "np.compress")), axis=axis)


equals(np.extract)(lambda condition, arr: np.compress(np.ravel(_plain(condition, "np.extract")), np.ravel(arr)))


def _plain(condition: Any, function: str) -> Any:
    return np.asarray(condition) if isinstance(condition, list | tuple) else values_of(condition, function)


@equals(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    """The open mesh of several lines, each along an axis of its own; a mask stands for the places where it holds."""
    lines = [np.asarray(x, None if len(x) else np.intp) if isinstance(x, list | tuple) else x for x in args]
    if any(np.ndim(line) != 1 for line in lines):
        raise ArgumentError("np.ix_: the lines of a mesh have one axis each.")
    lines = [np.flatnonzero(values_of(x, "np.ix_")) if x.dtype == bool else x for x in lines]
    return tuple(np.reshape(x, (*(1,) * i, -1, *(1,) * (len(lines) - 1 - i))) for i, x in enumerate(lines))


@equals(np.choose)
def choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    """Of several arrays the element whose number `a` says."""
    count = len(choices)
    if mode == "raise" and isinstance(plain := detach(a), np.ndarray | np.generic | int):
        if np.any((np.asarray(plain) < 0) | (np.asarray(plain) >= count)):
            raise ArgumentError(f"np.choose: there are {count} choices, but {plain!r} asks for others.")
    number = np.remainder(a, count) if mode == "wrap" else np.clip(a, 0, count - 1)
    shape = np.broadcast_shapes(np.shape(number), *(np.shape(choice) for choice in choices))
    choices = [np.asarray(choice) if isinstance(choice, list | tuple) else choice for choice in choices]
    dtype = np.result_type(*choices)
    stacked = np.stack([np.broadcast_to(casting.astype(choice, dtype), shape) for choice in choices])
    return np.take_along_axis(stacked, np.expand_dims(np.broadcast_to(number, shape), 0), axis=0)[0]


@equals(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """The array without the zeros at its front, its back, or both."""
    places = np.argwhere(values_of(filt, "np.trim_zeros"))
    axes = normal_axes(axis, np.ndim(filt))
    at: list[slice] = []
    for i, length in enumerate(np.shape(filt)):
        start, stop = (places[:, i].min(), places[:, i].max() + 1) if len(places) else (length, length)
        if i not in axes:
            at.append(slice(None))
        else:
            at.append(slice(int(start) if "f" in trim.lower() else 0, int(stop) if "b" in trim.lower() else length))
    if not len(places):
        at = [slice(0, 0) if i in axes else slice(None) for i in range(np.ndim(filt))]
    return filt[tuple(at)]


# -- placing -----------------------------------------------------------------------------------------------------------


@equals(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """`arr` with values put in before the places `obj`."""
    arr, axis = (np.ravel(arr), 0) if axis is None else (arr, axis_of(arr, axis, "np.insert"))
    length, rank = np.shape(arr)[axis], np.ndim(arr)
    if not isinstance(obj, slice) and np.size(obj) == 1:  # then the values say how many there are
        values = np.reshape(values, (1,) * (rank - np.ndim(values)) + np.shape(values))
        values = np.moveaxis(values, 0, axis) if np.ndim(obj) == 0 else values
        count = np.shape(values)[axis]
    else:
        count = len(np.insert(np.arange(length), obj, -1)) - length
    # NumPy says where the new elements go: they are the negative ones.
    places = np.insert(np.arange(length), obj, -1 - np.arange(count))
    new = np.broadcast_to(values, (*np.shape(arr)[:axis], count, *np.shape(arr)[axis + 1 :]))
    both = np.concatenate([arr, new.astype(arr.dtype)], axis=axis)
    return np.take(both, np.where(places < 0, length - 1 - places, places), axis=axis)


@equals(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """The elements in row-major order, repeated or cut off to fill another shape."""
    shape = as_tuple(new_shape)
    size, line = math.prod(shape), np.ravel(a)
    count = np.shape(line)[0]
    if not count:
        return np.zeros(shape, a.dtype)
    return np.reshape(indexing.take(line, np.arange(size) % count), shape)


equals(np.diagflat)(lambda v, k=0: np.diag(np.ravel(v), k))


@equals(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers of a vector's elements, as columns; the highest comes first, or last if `increasing`."""
    count = np.shape(x)[0] if N is None else N
    x = x.astype(np.promote_types(x.dtype, int))
    powers = [np.ones_like(x)]
    for _ in range(1, count):
        powers.append(powers[-1] * x)
    if not count:
        return np.zeros((np.shape(x)[0], 0), x.dtype)
    return np.stack(powers if increasing else powers[::-1], axis=1)


# -- applying functions ------------------------------------------------------------------------------------------------


def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """For each element the function, or number, of the last condition that holds; of the one more if none does.

    As in NumPy a function is called with those elements only for which it is chosen.
    """
    conditions = [condlist] if np.ndim(condlist[0]) == 0 and np.ndim(x) else list(condlist)
    plain = [
        np.broadcast_to(values_of(np.asarray(c) if isinstance(c, list) else c, "np.piecewise"), np.shape(x))
        for c in conditions
    ]
    if len(funclist) == len(plain) + 1:
        plain.append(~np.any(plain, axis=0))
    elif len(funclist) != len(plain):
        raise ArgumentError(f"np.piecewise: {len(plain)} conditions need as many functions, or one more.")
    result = np.zeros(np.shape(x), x.dtype)
    for mask, function in zip(plain, funclist, strict=True):
        if not callable(function):
            result = np.where(mask, function, result)
        elif mask.any():
            flat = np.flatnonzero(mask)
            call: Callable[..., Any] = function
            found = np.broadcast_to(call(np.ravel(x)[flat], *args, **kw), (len(flat),))
            place = np.zeros(mask.size, int)
            place[flat] = np.arange(len(flat))
            result = np.where(mask, np.reshape(found[place], np.shape(x)), result)
    return result.astype(x.dtype)


enter_whole(np.piecewise, piecewise)


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """The results of a function of vectors for each vector along an axis."""
    along = axis_of(arr, axis, "np.apply_along_axis")
    moved = np.moveaxis(arr, along, -1)
    kept = np.shape(moved)[:-1]
    results = [func1d(moved[place], *args, **kwargs) for place in np.ndindex(kept)]
    if not results:
        raise ArgumentError("np.apply_along_axis: there is no vector to apply the function to.")
    shape = np.shape(results[0])
    found = np.reshape(np.stack(results), (*kept, *shape))
    ends = range(len(kept), len(kept) + len(shape))
    return np.moveaxis(found, tuple(ends), tuple(range(along, along + len(shape))))


enter_whole(np.apply_along_axis, apply_along_axis)


@equals(np.apply_over_axes)
def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    """A function of an array and an axis, applied over several axes, one after the other; all of them are kept."""
    rank = np.ndim(a)
    for axis in as_tuple(axes):
        along = axis + rank if axis < 0 else axis  # as the function takes it: np.sum takes axis 0 of a number
        found = func(a, along)
        a = found if np.ndim(found) == np.ndim(a) else np.expand_dims(found, along)
    return a


@equals(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(x: Any, window_shape: Any, axis: Any = None) -> Any:
    """All windows of a shape, along new last axes."""
    sizes = as_tuple(window_shape)
    axes = (
        tuple(range(np.ndim(x)))
        if axis is None
        else np.lib.array_utils.normalize_axis_tuple(axis, np.ndim(x), allow_duplicate=True)
    )
    if len(axes) != len(sizes):
        raise ArgumentError(f"sliding_window_view: the window has {len(sizes)} axes, but {len(axes)} are named.")
    for size, along in zip(sizes, axes, strict=True):
        count = np.shape(x)[along] - size + 1
        if size < 0 or count < 1:
            raise ArgumentError(f"sliding_window_view: a window of {size} does not fit axis {along} of {np.shape(x)}.")
        x = np.moveaxis(indexing.take(x, np.arange(count)[:, None] + np.arange(size), axis=along), along + 1, -1)
    return x
