"""A value as displays and the explorer show it: numbers if they are few, else range, histogram and image."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

from tapem.core import ShapeDtype, is_several
from tapem.sweeps import value_text
from tapem.tangents import Zero
from tapem.types import type_text

FEW = 24
"""An array of at most this many numbers is shown as numbers."""

BINS = 24
SIDE = 24


class Summary(TypedDict, total=False):
    """The parts of a value that the page shows; all but `type` and `text` may be missing."""

    type: str
    text: str
    finite: bool
    numbers: list[Any]
    low: str
    high: str
    histogram: list[int]
    image: list[list[int]]


def summary_of(value: Any) -> Summary | None:
    """The summary of an array, a number, a tuple of them, or of a value of which only the shape is known.

    >>> summary_of(np.array([1.0, 2.0]))
    {'type': 'f64[2]', 'text': '[1., 2.]', 'finite': True, 'numbers': ['1', '2']}
    """
    if value is None:
        return None
    if is_several(value):
        return {"type": "(" + ", ".join(summary_of(part)["type"] for part in value) + ")", "text": value_text(value)}  # type: ignore[index]
    if isinstance(value, ShapeDtype) or type(value) is Zero:
        return {"type": str(value), "text": "" if isinstance(value, ShapeDtype) else "0"}
    array = np.asarray(value)
    shown: Summary = {"type": type_text(array.shape, array.dtype), "text": value_text(value)}
    shown["finite"] = array.dtype.kind not in "fc" or bool(np.all(np.isfinite(array)))
    if array.size <= FEW:
        shown["numbers"] = nested(array)
    elif array.dtype.kind in "fiu":
        shown |= picture(array.astype(float))
    return shown


def nested(array: Any) -> Any:
    """The numbers of an array as texts, in nested lists."""
    return [nested(part) for part in array] if np.ndim(array) else number_text(array)


def number_text(number: Any) -> str:
    """A number in at most five digits."""
    return f"{number:.5g}" if np.asarray(number).dtype.kind in "fc" else str(number)


def picture(array: np.ndarray[Any, Any]) -> Summary:
    """The range, the histogram and, of a matrix or a stack of them, the image of an array of float64."""
    finite = array[np.isfinite(array)]
    if not finite.size:
        return {}
    low, high = float(finite.min()), float(finite.max())
    counts = np.bincount(np.minimum((BINS * within(finite, low, high)).astype(int), BINS - 1), minlength=BINS)
    shown: Summary = {"low": number_text(low), "high": number_text(high), "histogram": counts.tolist()}
    matrix = array.reshape(-1, *array.shape[-2:])[0] if array.ndim >= 2 else array[None]
    if min(matrix.shape) > 1:
        step = [max(1, -(-size // SIDE)) for size in matrix.shape]
        small = np.nan_to_num(matrix[:: step[0], :: step[1]], nan=low, posinf=high, neginf=low)
        shown["image"] = np.round(255 * within(small, low, high)).astype(int).tolist()
    return shown


def within(values: np.ndarray[Any, Any], low: float, high: float) -> np.ndarray[Any, Any]:
    """Where values lie between low, 0, and high, 1: of any size, from the smallest floats to the largest."""
    with np.errstate(all="ignore"):  # halves, since a difference of large numbers is infinite
        return np.nan_to_num((values / 2 - low / 2) / (high / 2 - low / 2), nan=0.0)


__all__ = ["Summary", "number_text", "picture", "summary_of"]
