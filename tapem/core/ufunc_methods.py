"""The methods of a ufunc of two operands, made from the ufunc's own handler.

`reduce` goes from left to right through the elements along an axis, `accumulate` keeps every step on the way, and
`reduceat` reduces segments. So `np.maximum.accumulate` has the kink of `np.maximum` at each of its steps. Where a
function of NumPy reduces as the ufunc does, `ops.numpy` enters it instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tapem.errors import ArgumentError

MISSING: Any = np._NoValue  # type: ignore[attr-defined]
"""NumPy's default where None has a meaning."""


def every_pair(handler: Callable[..., Any], a: Any, b: Any) -> Any:
    """Compute `ufunc.outer`: every element of `a` with every element of `b`."""
    return handler(np.reshape(a, (*np.shape(a), *(1,) * np.ndim(b))), b)


def _lines(ufunc: np.ufunc, method: str, array: Any, axis: Any, dtype: Any) -> tuple[Any, int]:
    """The array, cast, with the one axis in front that the method runs along; and the number of this axis."""
    name = f"np.{ufunc.__name__}.{method}"
    try:
        axes = np.lib.array_utils.normalize_axis_tuple(range(np.ndim(array)) if axis is None else axis, np.ndim(array))
    except ValueError as error:
        raise ArgumentError(f"{name}: {error} (axis={axis!r}, shape {np.shape(array)}).") from None
    if len(axes) != 1:
        raise ArgumentError(f"{name} of a tracer goes along one axis, not along axis={axis!r} of {np.shape(array)}.")
    return np.moveaxis(array if dtype is None else np.astype(array, dtype), axes[0], 0), axes[0]


def reducing(ufunc: np.ufunc, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Make `ufunc.reduce`."""

    def reduce(array: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, initial: Any = MISSING) -> Any:
        lines, along = _lines(ufunc, "reduce", array, axis, dtype)
        parts = ([] if initial is MISSING else [initial]) + [lines[i] for i in range(np.shape(lines)[0])]
        if not parts:
            raise ArgumentError(f"np.{ufunc.__name__}.reduce: there is no element along axis {axis}, and no initial=.")
        found = functools.reduce(handler, parts)
        return np.expand_dims(found, along) if keepdims else found

    return reduce


def accumulating(ufunc: np.ufunc, handler: Callable[..., Any]) -> Callable[..., Any]:
    """Make `ufunc.accumulate`."""

    def accumulate(array: Any, axis: Any = 0, dtype: Any = None) -> Any:
        lines, along = _lines(ufunc, "accumulate", array, axis, dtype)
        found = [lines[0]] if np.shape(lines)[0] else []
        for i in range(1, np.shape(lines)[0]):
            found.append(handler(found[-1], lines[i]))
        return np.stack(found, axis=along) if found else array

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
        return np.stack([reduce(lines[start:end]) for start, end in zip(starts, ends, strict=True)], axis=along)

    return reduceat
