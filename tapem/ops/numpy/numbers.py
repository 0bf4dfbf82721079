"""The axes 0 and -1 of a number: some of NumPy's functions take it for a line of one element, and some leave it alone.

The ops themselves know no axis of a number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops import cumulative, reductions, searching, shaping
from tapem.ops.axes import as_tuple
from tapem.ops.numpy.functions import constant, equals


def _is_of_number(a: Any, axis: Any) -> bool:
    return axis in (0, -1) and np.ndim(a) == 0


def _line(a: Any, axis: Any) -> tuple[Any, Any]:
    """The array and the axis; of a number, a line of one element and its axis."""
    return (np.reshape(a, (1,)), 0) if _is_of_number(a, axis) else (a, axis)


equals(np.cumsum)(lambda a, axis=None: cumulative.cumsum(*_line(a, axis)))
equals(np.cumprod)(lambda a, axis=None: cumulative.cumprod(*_line(a, axis)))


@constant(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: str | None = None, *, stable: bool | None = None) -> Any:
    """The indices that would sort an array along an axis, or all of it as one axis."""
    line, along = _line(a, axis)
    return searching.argsort(line, along, kind, stable=stable)


@constant(np.argpartition)
def argpartition(a: Any, kth: Any, axis: Any = -1) -> Any:
    """The indices that put the k-th elements in their places, along an axis or in all of the array as one axis."""
    line, along = _line(a, axis)
    return searching.argpartition(line, int(kth) if np.ndim(kth) == 0 else as_tuple(kth), along)


equals(np.partition)(lambda a, kth, axis=-1: cumulative.partition_axis(a, kth, axis))


@equals(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    """Each element repeated, along an axis or all of them in a line."""
    line, along = _line(a, axis)
    return shaping.repeat(line, repeats, along)


def _none(reduction: Any) -> Any:
    """A reduction that leaves a number as it is."""
    return lambda a, axis=None, keepdims=False: reduction(a, None if _is_of_number(a, axis) else axis, keepdims)


equals(np.nanmax)(_none(reductions.nanmax))
equals(np.nanmin)(_none(reductions.nanmin))
equals(np.nanmean)(_none(reductions.nanmean))
