"""The methods of a ufunc of two operands, made from the ufunc's own handler.

`reduce` goes from left to right through the elements along an axis, `accumulate` keeps every step on the way, and
`reduceat` reduces segments. So `np.maximum.accumulate` has the kink of `np.maximum` at each of its steps. Where a
function of NumPy reduces as the ufunc does, `ops.numpy` enters it instead.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tapem.errors import ArgumentError, DTypeError

MISSING: Any = np._NoValue  # type: ignore[attr-defined]
"""NumPy's default where None has a meaning."""


def every_pair(ufunc: np.ufunc, a: Any, b: Any, **options: Any) -> Any:
    """Compute `ufunc.outer`: every element of `a` with every element of `b`."""
    return ufunc(np.reshape(a, (*np.shape(a), *(1,) * np.ndim(b))), b, **options)


def _lines(ufunc: np.ufunc, method: str, array: Any, axis: Any, dtype: Any) -> tuple[Any, tuple[int, ...]]:
    """The array, cast, with the axes in front that the method runs along, as one; and the numbers of these axes."""
    name = f"np.{ufunc.__name__}.{method}"
    if method == "reduce" and np.ndim(array) == 0 and axis in (0, -1, None):  # NumPy leaves a number as it is
        return np.reshape(in_loop(ufunc, name, array, dtype), (1,)), ()
    try:
        axes = np.lib.array_utils.normalize_axis_tuple(range(np.ndim(array)) if axis is None else axis, np.ndim(array))
    except ValueError as error:
        raise ArgumentError(f"{name}: {error} (axis={axis!r}, shape {np.shape(array)}).") from None
    if len(axes) != 1 and not (method == "reduce" and (not axes or _reorderable(ufunc))):
        raise ArgumentError(f"{name} of a tracer goes along one axis, not along axis={axis!r} of {np.shape(array)}.")
    lines = np.moveaxis(in_loop(ufunc, name, array, dtype), axes, range(len(axes)))
    if len(axes) != 1:
        lines = np.reshape(lines, (math.prod(np.shape(lines)[: len(axes)]), *np.shape(lines)[len(axes) :]))
    return lines, axes


def in_loop(ufunc: np.ufunc, name: str, array: Any, dtype: Any) -> Any:
    """The array in the dtype in which NumPy's loop goes through it; DTypeError if there is no loop."""
    try:
        asked = None if dtype is None else np.dtype(dtype)
        loop: Any = ufunc.resolve_dtypes((None, array.dtype, None), signature=(asked, None, None), reduction=True)
    except TypeError as error:
        raise DTypeError(f"{name}: {error}.") from None
    return array if loop[1] == array.dtype else np.astype(array, loop[1])


@functools.cache
def _reorderable(ufunc: np.ufunc) -> bool:
    """Whether NumPy reduces along several axes at once: in which order it goes makes no difference."""
    try:
        ufunc.reduce(np.ones((1, 1), ufunc.types[0][0]), axis=(0, 1))
    except ValueError:
        return False
    return True


def reducing(ufunc: np.ufunc, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Make `ufunc.reduce`. Along several axes it goes through the elements as they lie in memory."""
    name = f"np.{ufunc.__name__}.reduce"

    def reduce(
        array: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, initial: Any = MISSING, where: Any = True
    ) -> Any:
        lines, along = _lines(ufunc, "reduce", array, axis, dtype)
        count, mask = np.shape(lines)[0], None
        if where is not True or not count:
            initial = ufunc.identity if initial is MISSING else initial
            if initial is None:
                raise ArgumentError(
                    f"{name}: there {'may be' if count else 'is'} no element along axis {axis}, and no initial=."
                )
        if where is not True:
            where = np.broadcast_to(np.asarray(where) if isinstance(where, list | tuple) else where, np.shape(array))
            mask, _ = _lines(np.logical_or, "reduce", where, axis, None)
        parts = [lines[i] for i in range(count)]
        if initial is MISSING or initial is None:
            found, parts = parts[0], parts[1:]
        else:
            found = np.broadcast_to(number_in(initial, lines.dtype), np.shape(lines)[1:])
        for i, part in enumerate(parts):
            found = handler(found, part) if mask is None else np.where(mask[i], handler(found, part), found)
        return np.expand_dims(found, tuple(along)) if keepdims else found

    return reduce


def number_in(x: Any, dtype: Any) -> Any:
    """A plain number in a dtype, to which NumPy casts what a reduction begins with; any other value unchanged."""
    return np.asarray(x).astype(dtype) if isinstance(x, bool | int | float | complex | np.generic) else x


def accumulating(ufunc: np.ufunc, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Make `ufunc.accumulate`."""

    def accumulate(array: Any, axis: Any = 0, dtype: Any = None) -> Any:
        lines, along = _lines(ufunc, "accumulate", array, axis, dtype)
        found = [lines[0]] if np.shape(lines)[0] else []
        for i in range(1, np.shape(lines)[0]):
            found.append(handler(found[-1], lines[i]))
        return np.stack(found, axis=along[0]) if found else np.moveaxis(lines, 0, along[0])

    return accumulate


def reducing_at(ufunc: np.ufunc, methods: Mapping[tuple[np.ufunc, str], Callable[..., Any]]) -> Callable[..., Any]:
    """Make `ufunc.reduceat`: from one index up to the next, or one element if the next is not greater."""

    def reduceat(array: Any, indices: Any, axis: Any = 0, dtype: Any = None) -> Any:
        lines, along = _lines(ufunc, "reduceat", array, axis, dtype)
        count, starts = np.shape(lines)[0], np.asarray(indices).tolist()
        if any(not 0 <= start < count for start in starts):
            raise ArgumentError(f"np.{ufunc.__name__}.reduceat: the indices {starts} must be in [0, {count}).")
        ends = [max(end, start + 1) for start, end in zip(starts, [*starts[1:], count], strict=True)]
        reduce = methods[ufunc, "reduce"]
        return np.stack([reduce(lines[start:end]) for start, end in zip(starts, ends, strict=True)], axis=along[0])

    return reduceat
