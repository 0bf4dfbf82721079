"""Where the windows of a pool stand, and which elements each of their taps meets.

Nothing is copied into windows: over all windows, a tap of the kernel meets a strided slice of x, so a pool is one ufunc
per tap, for any number of pixels and examples. Slices end where the padding begins; so padded elements do not exist,
and cannot win. Results have the memory order of x.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from layers.ops.windows import Geometry, Sizes, geometry, per_axis, remembered
from tapem import ArgumentError, ShapeError, Tensor, all_mapped

Signal: TypeAlias = Float[Tensor, "..."]

# The windows ----------------------------------------------------------------------------------------------------------


@remembered
def windows_on(caller: str, shape: Sizes, kernel_size: Any, stride: Any, padding: Any, axes: int | None) -> Geometry:
    """Where the windows of a pool stand on an input with `axes` spatial axes; None: as many as `kernel_size` entries.

    Raises ArgumentError for an invalid argument, or where a window would lie wholly in the padding; ShapeError for an
    input with too few axes, or one that is smaller than the window.
    """
    if axes is None:
        axes = len(kernel_size) if isinstance(kernel_size, tuple | list) else max(len(shape) - 2, 1)
    kernel = per_axis(caller, "kernel_size", kernel_size, max(axes, 1), 1)
    if len(shape) < axes + 1:
        raise ShapeError(
            f"{caller}: x has shape {shape}, but kernel_size={kernel_size!r} needs channels and {axes} spatial "
            f"ax{'es' if axes > 1 else 'is'}, behind any batch axes."
        )
    size = tuple(shape[-axes:])
    at = geometry(caller, size, kernel, kernel if stride is None else stride, padding, 1)
    for n, taps, step, (before, after), out in zip(size, kernel, at.stride, at.padding, at.out, strict=True):
        if n == 0 or before >= taps or (out - 1) * step - before >= n:
            raise ArgumentError(
                f"{caller}: padding {(before, after)}{'' if n else ' on 0 elements'} leaves a window of "
                f"{taps} with only padding; padding must be smaller than kernel_size."
            )
    return at


@functools.lru_cache(maxsize=1024)
def is_apart(at: Geometry) -> bool:
    """Whether no two windows share an element."""
    return all(step >= taps for step, taps in zip(at.stride, at.kernel, strict=True))


@functools.lru_cache(maxsize=1024)
def is_covering(at: Geometry) -> bool:
    """Whether every element lies in exactly one window."""
    return at.stride == at.kernel and not any(at.rest)


def leading(x: Any, at: Geometry) -> Sizes:
    """The sizes of the axes before the spatial ones: batch and channels."""
    return x.shape[: x.ndim - len(at.size)]


# What a tap meets -----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _along_axes(at: Geometry) -> tuple[tuple[tuple[slice, slice], ...], ...]:
    """For each spatial axis and each tap along it: the windows in which it meets an element, and those elements."""
    met = (
        tuple(_met(tap, n, step, before, out) for tap in range(taps))
        for n, taps, step, (before, _), out in zip(at.size, at.kernel, at.stride, at.padding, at.out, strict=True)
    )
    return tuple(tuple(tap for tap in axis if tap is not None) for axis in met)


def _index(slices: Sequence[slice], sizes: Sizes) -> Any:
    """The index of these slices on the last axes; `...`, which costs least, if they select every element."""
    whole = all(own == slice(0, size, 1) for own, size in zip(slices, sizes, strict=True))
    return ... if whole else (..., *slices)


@functools.lru_cache(maxsize=1024)
def meetings_of(at: Geometry) -> tuple[tuple[Any, Any], ...]:
    """For each tap, in row-major order: the windows in which it meets an element, and those elements, as indices.

    Taps that meet only padding are left out.
    """
    return tuple(
        (_index([windows for windows, _ in tap], at.out), (..., *(elements for _, elements in tap)))
        for tap in itertools.product(*_along_axes(at))
    )


@functools.lru_cache(maxsize=1024)
def _meetings_by_axis(at: Geometry) -> tuple[tuple[tuple[Any, Any], ...], ...]:
    """The meetings of the taps along each axis alone, after the axes before it have been pooled."""
    everything = slice(None)
    return tuple(
        tuple(
            (
                ... if windows == slice(0, out, 1) else (..., windows, *(everything,) * behind),
                (..., elements, *(everything,) * behind),
            )
            for windows, elements in axis
        )
        for behind, out, axis in zip(range(len(at.out) - 1, -1, -1), at.out, _along_axes(at), strict=True)
    )


def _met(tap: int, n: int, step: int, before: int, out: int) -> tuple[slice, slice] | None:
    """Along one axis: the windows in which a tap meets an element, and those elements; None if there is none."""
    first = max(-((tap - before) // step), 0)
    last = min((n - 1 + before - tap) // step, out - 1)
    if first > last:
        return None
    start = first * step + tap - before
    return slice(first, last + 1, 1), slice(start, start + (last - first) * step + 1, step)


def reduced(combine: np.ufunc, start: float, x: Any, at: Geometry) -> Any:
    """Reduce the elements of each window with a ufunc, one axis after the other, so 3 x 3 taps take 3 + 3 steps."""
    for axis, meetings in enumerate(_meetings_by_axis(at)):
        (windows, elements), *rest = meetings
        if all(own is ... for own, _ in meetings):  # every tap meets an element in every window
            y = combine(x[elements], x[rest.pop(0)[1]]) if rest else np.positive(x[elements])
        else:
            behind = len(at.out) - axis
            y = np.full_like(x, start, shape=(*x.shape[:-behind], at.out[axis], *x.shape[x.ndim - behind + 1 :]))
            rest = meetings
        for windows, elements in rest:
            combine(y[windows], x[elements], out=y[windows])
        x = y
    return x


# Batch rules ----------------------------------------------------------------------------------------------------------


def batch_windows(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    """The batch rule that adds one batch axis in front of all operands."""
    return op(*all_mapped(size, inputs, mapped), **static)


def batch_pool(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    """The batch rule for pools of any rank: the shape of one example says how many axes an integer stands for."""
    kernel_size = static["kernel_size"]
    if not isinstance(kernel_size, tuple):
        kernel_size = (kernel_size,) * (inputs[0].ndim - 3)
    return op(*inputs, **{**static, "kernel_size": kernel_size})


__all__ = [
    "Signal", "batch_pool", "batch_windows", "is_apart", "is_covering", "leading", "meetings_of", "reduced",
    "windows_on",
]  # fmt: skip
