"""Functions of the array API that NumPy spells otherwise, or does not have in all versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.errors import ArgumentError


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """The same numbers in another dtype.

    >>> astype(np.array([1.5, 2.5]), np.float32)
    array([1.5, 2.5], dtype=float32)
    """
    cast = x.astype(dtype, copy=copy)
    return cast if device is None else cast.to_device(device)


def finfo(x: Any, /) -> Any:
    """The limits of a floating-point dtype, or of the dtype of an array.

    >>> int(finfo(np.float32).bits)
    32
    """
    return np.finfo(_dtype_of(x))


def iinfo(x: Any, /) -> Any:
    """The limits of an integer dtype, or of the dtype of an array.

    >>> iinfo(np.arange(3, dtype=np.int8)).max
    127
    """
    return np.iinfo(_dtype_of(x))


def _dtype_of(x: Any) -> Any:
    return x if isinstance(x, type | np.dtype | str) else x.dtype


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """`x` limited to bounds, either of which may be missing; the dtype stays that of `x`.

    >>> clip(np.array([1.0, 5.0]), max=3.0)
    array([1., 3.])
    """
    return x if min is None and max is None else np.clip(x, min, max)


def reshape(x: Any, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Any:
    """The same elements in another shape; an array is copied if `copy`, and never if copy=False.

    >>> reshape(np.arange(4), (2, 2))
    array([[0, 1],
           [2, 3]])
    """
    reshaped = np.reshape(x, shape)
    if not isinstance(x, np.ndarray) or copy is None:
        return reshaped
    shared = np.may_share_memory(reshaped, x) or not x.size
    if not copy and not shared:
        raise ArgumentError(f"xp.reshape(..., copy=False): this array of shape {x.shape} must be copied for {shape}.")
    return reshaped.copy() if copy and shared else reshaped


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The dot products of the vectors along an axis, which is counted from the end.

    >>> vecdot(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 1.0], [2.0, 2.0]]), axis=-2)
    array([ 7., 10.])
    """
    if axis != -1:
        x1, x2 = np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1)
    return np.vecdot(x1, x2)


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in order along an axis.

    >>> sort(np.array([1, 3, 2]), descending=True)
    array([3, 2, 1])
    """
    ordered = np.sort(x, axis=axis)
    return np.flip(ordered, axis) if descending else ordered


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The positions of the elements in order along an axis; equal elements keep their order.

    >>> argsort(np.array([1, 3, 2, 3]), descending=True)
    array([1, 3, 2, 0])
    """
    if not descending:
        return np.argsort(x, axis=axis, stable=True)
    # Equal elements keep their order if both the elements and their positions are turned round.
    backwards = np.argsort(np.flip(x, axis), axis=axis, stable=True)
    return np.shape(x)[axis] - 1 - np.flip(backwards, axis)


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """The elements of `x` at the indices along an axis.

    >>> take_along_axis(np.array([[1, 2], [3, 4]]), np.array([[0], [1]]))
    array([[1],
           [4]])
    """
    return np.take_along_axis(x, indices, axis)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices of `x` along an axis.

    >>> unstack(np.array([[1, 2], [3, 4]]), axis=1)
    (array([1, 3]), array([2, 4]))
    """
    return tuple(np.moveaxis(x, axis, 0))


def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """The sums of the first elements along an axis, which a vector need not name; from 0 on, if `include_initial`.

    >>> cumulative_sum(np.array([1, 2, 3]), include_initial=True)
    array([0, 1, 3, 6])
    """
    return _cumulative(np.cumsum, x, axis, dtype, 0 if include_initial else None)


def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """The products of the first elements along an axis, which a vector need not name; from 1 on, if `include_initial`.

    >>> cumulative_prod(np.array([1, 2, 3]))
    array([1, 2, 6])
    """
    return _cumulative(np.cumprod, x, axis, dtype, 1 if include_initial else None)


def _cumulative(function: Callable[..., Any], x: Any, axis: int | None, dtype: Any, initial: int | None) -> Any:
    if axis is None and np.ndim(x) != 1:
        name = f"xp.{function.__name__.replace('cum', 'cumulative_')}"
        raise ArgumentError(f"{name}: x has {np.ndim(x)} axes {np.shape(x)}, so axis=... must be given.")
    axis = 0 if axis is None else axis
    result = function(x if dtype is None else x.astype(dtype), axis=axis)
    if initial is None:
        return result
    first = np.full_like(result, initial, shape=(*result.shape[:axis], 1, *result.shape[axis:][1:]))
    return np.concatenate([first, result], axis=axis)


__all__ = [
    "argsort", "astype", "clip", "cumulative_prod", "cumulative_sum", "finfo", "iinfo", "reshape", "sort",
    "take_along_axis", "unstack", "vecdot",
]  # fmt: skip
