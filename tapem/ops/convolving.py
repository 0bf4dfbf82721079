"""Convolution and correlation of two lines, by NumPy's direct sums.

Both are bilinear. A pullback is the convolution of the cotangent with the other line reversed, as far as they overlap
wholly. `mode` only says which part of the whole result is kept, so its transpose puts the rest back as zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from tapem.core import Primitive, Rule
from tapem.errors import ArgumentError
from tapem.ops.complex_numbers import conjugated
from tapem.ops.declare import primitive
from tapem.types import Num, Tensor

Line = Num[Tensor, "n"]
Other = Num[Tensor, "m"]
Name: TypeAlias = Literal["full", "same", "valid"]
Mode: TypeAlias = Name | Literal[0, 1, 2]


def _named(mode: Mode) -> Any:
    """The name of a mode that is given by its number, as NumPy takes it."""
    return ("valid", "same", "full")[mode] if type(mode) is int and 0 <= mode <= 2 else mode


def _span(n: int, m: int, mode: Mode, of_correlation: bool) -> tuple[int, int]:
    """Where in the whole result, which has n + m - 1 elements, the part that `mode` keeps starts and stops."""
    long, short = max(n, m), min(n, m)
    mode = _named(mode)
    if mode == "full":
        return 0, n + m - 1
    if mode == "valid":
        return short - 1, long
    # NumPy correlates the longer line with the shorter one, and reverses the result if it has swapped them.
    start = short // 2 if of_correlation and n < m else (short - 1) // 2
    return start, start + long


def _pull(position: int, of_correlation: bool) -> Rule:
    def pull(g: Any, y: Any, a: Any, v: Any, mode: Mode) -> Any:
        n, m = np.shape(a)[0], np.shape(v)[0]
        start, stop = _span(n, m, mode, of_correlation)
        whole = np.pad(g, (start, n + m - 1 - stop)) if _named(mode) != "full" else g
        if not of_correlation:
            return convolve(whole, (v, a)[position][::-1], mode="valid")
        if position == 0:
            return convolve(whole, conjugated(v), mode="valid")
        return conjugated(convolve(whole, a[::-1], mode="valid")[::-1])

    return pull


def _batch(op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    """The batch rule: every window of the longer line times the shorter one, reversed."""
    a, v = inputs
    of_correlation = op is correlate
    n, m = np.shape(a)[-1], np.shape(v)[-1]
    start, stop = _span(n, m, static["mode"], of_correlation)
    v = conjugated(v)[..., ::-1] if of_correlation else v
    line, kernel = (a, v) if m <= n else (v, a)
    ends = np.shape(kernel)[-1] - 1
    padded = np.pad(line, (*((0, 0),) * (np.ndim(line) - 1), (ends, ends)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, ends + 1, axis=-1)
    return np.matmul(windows, np.expand_dims(kernel[..., ::-1], -1))[:, start:stop, 0]


def _require_known(mode: Any, name: str) -> None:
    if _named(mode) not in get_args(Name):
        raise ArgumentError(f"{name}(a, v): mode={mode!r} is not known; it must be one of {', '.join(get_args(Name))}.")


@primitive(
    rrule=(_pull(0, False), _pull(1, False)),
    frule=(lambda t, y, a, v, mode: convolve(t, v, mode), lambda t, y, a, v, mode: convolve(a, t, mode)),
    batch=_batch,
    numpy=[np.convolve],
)
def convolve(a: Line, v: Other, mode: Mode = "full") -> Num[Tensor, "k"]:
    """The convolution of two lines, the sums of `a[j] v[k - j]`: Num "n", Num "m" -> Num "k".

    `mode` is "full" (k = n + m - 1), "same" (the middle, as long as the longer line) or "valid" (where they overlap
    wholly), or NumPy's number of one of these. Raises ArgumentError for another mode, ShapeError for a line without
    elements.

    >>> convolve(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0]))
    array([ 1., 12., 23., 30.])
    """
    _require_known(mode, "convolve")
    return np.convolve(a, v, _named(mode))


@primitive(
    rrule=(_pull(0, True), _pull(1, True)),
    frule=(lambda t, y, a, v, mode: correlate(t, v, mode), lambda t, y, a, v, mode: correlate(a, t, mode)),
    batch=_batch,
    numpy=[np.correlate],
)
def correlate(a: Line, v: Other, mode: Mode = "valid") -> Num[Tensor, "k"]:
    """The correlation of two lines, the sums of `a[j + k] conj(v[j])`: Num "n", Num "m" -> Num "k".

    `mode` is that of `convolve`. Raises ArgumentError for another mode, ShapeError for a line without elements.

    >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0]))
    array([21., 32.])
    """
    _require_known(mode, "correlate")
    return np.correlate(a, v, _named(mode))


__all__ = ["convolve", "correlate"]
