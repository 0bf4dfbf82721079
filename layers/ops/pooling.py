"""Pooling in any number of dimensions: `max_pool`, `avg_pool`, `global_avg_pool`.

Nothing is copied into windows: a tap of the kernel meets a strided slice of x in all windows at once, so a pool is one
ufunc for each tap, whatever the number of pixels and examples. Slices that would reach into the padding are cut off;
so padded elements do not exist, and cannot win. Results lie in memory in the order in which x does.

Every rule below is another op of this file, and so are the rules of those: derivatives of any order need nothing else.
"""

# Rules run on arrays and on tracers alike, so their operands have no type that a checker could follow.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, UInt

from layers.ops.arguments import check_count
from layers.ops.windows import Geometry, Padding, PerAxis, Sizes, geometry, per_axis
from tapem import ArgumentError, ShapeError, Tensor, primitive
from tapem.primitive import linear_in_all

Signal: TypeAlias = Float[Tensor, "..."]

# Where the windows stand ----------------------------------------------------------------------------------------------


def windows_on(what: str, shape: Sizes, kernel_size: Any, stride: Any, padding: Any, axes: int | None) -> Geometry:
    """Where the windows of a pool stand on an input; `axes` spatial axes, or as many as `kernel_size` says if None.

    Raises ArgumentError for an argument that is none, or where a window would lie wholly in the padding; ShapeError for
    an input with too few axes, or one that is smaller than the window.
    """
    try:
        return _windows_on(what, shape, kernel_size, stride, padding, axes)
    except TypeError:  # a list within a tuple, which no cache can hold
        return _windows_on.__wrapped__(what, shape, kernel_size, stride, padding, axes)


@functools.lru_cache(maxsize=1024, typed=True)
def _windows_on(what: str, shape: Sizes, kernel_size: Any, stride: Any, padding: Any, axes: int | None) -> Geometry:
    if axes is None:
        axes = len(kernel_size) if isinstance(kernel_size, tuple | list) else max(len(shape) - 2, 1)
    kernel = per_axis(what, "kernel_size", kernel_size, max(axes, 1), 1)
    if len(shape) < axes + 1:
        raise ShapeError(
            f"{what}: x has shape {shape}, but kernel_size={kernel_size!r} needs channels and {axes} spatial "
            f"ax{'es' if axes > 1 else 'is'}, behind any batch axes."
        )
    size = tuple(shape[-axes:])
    at = geometry(what, size, kernel, kernel if stride is None else stride, padding, 1)
    for n, taps, step, (before, after), out in zip(size, kernel, at.stride, at.padding, at.out, strict=True):
        if n == 0 or before >= taps or (out - 1) * step - before >= n:
            raise ArgumentError(
                f"{what}: padding {(before, after)} on {n} elements leaves a window of {taps} with nothing but "
                "padding; padding must be smaller than kernel_size."
            )
    return at


@functools.lru_cache(maxsize=1024)
def _along_axes(at: Geometry) -> tuple[tuple[tuple[slice, slice], ...], ...]:
    """For each spatial axis and each tap along it: the windows in which it meets an element, and those elements."""
    met = (
        tuple(_met(tap, n, step, before, out) for tap in range(taps))
        for n, taps, step, (before, _), out in zip(at.size, at.kernel, at.stride, at.padding, at.out, strict=True)
    )
    return tuple(tuple(tap for tap in axis if tap is not None) for axis in met)


def _index(slices: Sequence[slice], sizes: Sizes) -> Any:
    """The last axes indexed with these slices; all of it, which costs least, where they leave nothing out."""
    whole = all(own == slice(0, size, 1) for own, size in zip(slices, sizes, strict=True))
    return ... if whole else (..., *slices)


@functools.lru_cache(maxsize=1024)
def meetings_of(at: Geometry) -> tuple[tuple[Any, Any], ...]:
    """For each tap, in row-major order: the windows in which it meets an element, and those elements, as indices.

    Taps that meet nothing but padding are left out.
    """
    return tuple(
        (_index([windows for windows, _ in tap], at.out), (..., *(elements for _, elements in tap)))
        for tap in itertools.product(*_along_axes(at))
    )


@functools.lru_cache(maxsize=1024)
def _meetings_by_axis(at: Geometry) -> tuple[tuple[tuple[Any, Any], ...], ...]:
    """Likewise for the taps along each axis alone, where the axes before it are pooled already."""
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


@functools.lru_cache(maxsize=1024)
def _apart(at: Geometry) -> bool:
    """Whether no two windows share an element."""
    return all(step >= taps for step, taps in zip(at.stride, at.kernel, strict=True))


@functools.lru_cache(maxsize=1024)
def _covering(at: Geometry) -> bool:
    """Whether every element lies in exactly one window."""
    return at.stride == at.kernel and not any(at.rest)


def leading(x: Any, at: Geometry) -> Sizes:
    return x.shape[: x.ndim - len(at.size)]


def reduced(combine: np.ufunc, start: float, x: Any, at: Geometry) -> Any:
    """What a ufunc makes of the elements of each window: one axis after the other, so 3 x 3 taps are 3 + 3."""
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


def _bits(x: Any) -> Any:
    """The same memory as integers, which a product with 0 or 1 treats alike whether finite or not."""
    return x.view(f"i{x.itemsize}")


def batch_windows(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    """One more batch axis in front, for all operands."""
    whole = [x if own else np.broadcast_to(x, (size, *x.shape)) for x, own in zip(inputs, mapped, strict=True)]
    return op(*whole, **static)


def batch_pool(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    """Likewise for pools of any rank: what an integer stands for is seen from the shape of one example."""
    kernel_size = static["kernel_size"]
    if not isinstance(kernel_size, tuple):
        kernel_size = (kernel_size,) * (inputs[0].ndim - 3)
    return op(*inputs, **{**static, "kernel_size": kernel_size})


def _laid_out_like(pattern: Any, x: Any) -> Any:
    """An array with the axes in the same order in memory: to meet in two orders is slow, and worse with every tap."""
    if pattern.itemsize == 1 and x.strides == tuple([x.itemsize * stride for stride in pattern.strides]):
        return x
    copied = np.empty_like(pattern, dtype=x.dtype)
    copied[...] = x
    return copied


# The greatest element -------------------------------------------------------------------------------------------------


def _winners(x: Any, y: Any, at: Geometry) -> Any:
    meetings = meetings_of(at)
    winners = np.zeros_like(y, dtype=np.uint8 if len(meetings) <= 256 else np.uint32)
    # A window goes on to the next tap as long as it met only smaller elements.
    behind = None
    for windows, elements in meetings[:-1]:
        smaller = np.less(x[elements], y[windows])
        if behind is not None:
            np.logical_and(behind[windows], smaller, out=behind[windows])
        elif windows is ...:
            behind = smaller
        else:
            behind = np.ones_like(y, dtype=np.bool_)
            behind[windows] = smaller
        np.add(winners, behind.view(np.uint8), out=winners)
    return winners


def _to_winners(chosen: Any, winners: Any, at: Geometry) -> Any:
    shape = (*leading(chosen, at), *at.size)
    chosen = _laid_out_like(winners, chosen)
    if not _apart(at):
        sums = np.zeros_like(winners, dtype=chosen.dtype, shape=shape)
        for tap, (windows, elements) in enumerate(meetings_of(at)):
            sums[elements] += np.multiply(_bits(chosen[windows]), winners[windows] == tap).view(chosen.dtype)
        return sums
    given = (np.empty_like if _covering(at) else np.zeros_like)(winners, dtype=chosen.dtype, shape=shape)
    source, target = _bits(chosen), _bits(given)
    for tap, (windows, elements) in enumerate(meetings_of(at)):
        np.multiply(source[windows], np.equal(winners[windows], tap), out=target[elements])
    return given


@primitive(differentiable=False, batch=batch_windows)
def pool_winners(x: Signal, y: Float[Tensor, "*out"], *, at: Geometry) -> UInt[Tensor, "*out"]:
    """Which tap holds the greatest element y of each window of x: the first that does, or the first if y is NaN.

    Float "*batch channels *spatial", Float "*batch channels *out" -> UInt "*batch channels *out". Taps that meet
    nothing but padding are not counted.
    """
    return _winners(x, y, at)


@primitive(
    rrule=(lambda g, y, chosen, winners, at: from_winners(g, winners, at=at), None),
    frule=(lambda t, y, chosen, winners, at: to_winners(t, winners, at=at), None),
    batch=batch_windows,
)
def to_winners(chosen: Float[Tensor, "*out"], winners: UInt[Tensor, "*out"], *, at: Geometry) -> Signal:
    """What each window sends to its winner, summed; 0 for elements that win nowhere.

    Float "*batch channels *out", UInt "*batch channels *out" -> Float "*batch channels *spatial".
    """
    return _to_winners(chosen, winners, at)


@primitive(
    rrule=(lambda g, y, x, winners, at: to_winners(g, winners, at=at), None),
    frule=(lambda t, y, x, winners, at: from_winners(t, winners, at=at), None),
    batch=batch_windows,
)
def from_winners(x: Signal, winners: UInt[Tensor, "*out"], *, at: Geometry) -> Float[Tensor, "*out"]:
    """What stands where each window has its winner: the transpose of `to_winners`.

    Float "*batch channels *spatial", UInt "*batch channels *out" -> Float "*batch channels *out".
    """
    taken = np.zeros_like(winners, dtype=x.dtype)
    source, target = _bits(x), _bits(taken)
    for tap, (windows, elements) in enumerate(meetings_of(at)):
        target[windows] |= np.multiply(source[elements], np.equal(winners[windows], tap))
    return taken


def max_pool_rules(name: str, axes: int | None) -> dict[str, Any]:
    """The rules of the max-pool of this name."""
    what = f"{name}(x)"

    def pull(g: Any, y: Any, x: Any, kernel_size: Any, stride: Any, padding: Any) -> Any:
        at = windows_on(what, x.shape, kernel_size, stride, padding, axes)
        if type(g) is type(x) is np.ndarray:  # at once, where nobody asks for the steps
            return _to_winners(g, _winners(x, y, at), at)
        return to_winners(g, pool_winners(x, y, at=at), at=at)

    def push(t: Any, y: Any, x: Any, kernel_size: Any, stride: Any, padding: Any) -> Any:
        at = windows_on(what, x.shape, kernel_size, stride, padding, axes)
        return from_winners(t, pool_winners(x, y, at=at), at=at)

    return {"rrule": (pull,), "frule": (push,), "batch": batch_pool if axes is None else batch_windows}


def run_max_pool(name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, axes: int | None) -> Any:
    """The max-pool of arrays, for the op of this name."""
    return reduced(np.maximum, -np.inf, x, windows_on(f"{name}(x)", x.shape, kernel_size, stride, padding, axes))


@primitive(**max_pool_rules("max_pool", None))
def max_pool(x: Signal, kernel_size: PerAxis, *, stride: PerAxis | None = None, padding: Padding = 0) -> Signal:
    """The greatest element of every window: Float "*batch channels *spatial" -> Float "*batch channels *out".

    Windows span as many trailing axes as `kernel_size` has entries. An integer stands for all axes but the first two,
    as is right for (batch, channels, *spatial); with another number of batch axes, say (3, 3), or take `max_pool2d`.
    `stride` is that of the windows, by default `kernel_size`; along an axis of n elements `(n + 2 padding - k) //
    stride + 1` windows fit. `padding` is an integer, one or a pair (before, after) for each axis, or "same" or "valid".

    Padded elements never win. Where several elements of a window are greatest, the derivative belongs to the first in
    row-major order, in both modes. NaN anywhere in a window makes it NaN.

    Raises ArgumentError for a kernel_size or stride below 1, a negative padding, or one that leaves a window with
    nothing else; ShapeError for an x with too few axes, or smaller than the window; DTypeError for integers.

    >>> x = np.array([[[1.0, 2.0, 5.0, 3.0], [4.0, 0.0, 1.0, 2.0]]])
    >>> max_pool(x, (2, 2))
    array([[[4., 5.]]])
    >>> max_pool(x, (1, 3), stride=1)
    array([[[5., 5.],
            [4., 2.]]])
    """
    return run_max_pool("max_pool", x, kernel_size, stride, padding, None)


# The mean -------------------------------------------------------------------------------------------------------------


def _wide(x: Any) -> Any:
    """float16 as float32, in which sums are formed."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


@primitive(
    rrule=(lambda g, y, means, at: avg_pool(g, at.kernel, stride=at.stride, padding=at.padding),),
    frule=linear_in_all,
    batch=batch_windows,
)
def share_out(means: Float[Tensor, "*out"], *, at: Geometry) -> Signal:
    """What every window gives to its elements, each an equal share, summed: the transpose of `avg_pool`.

    Float "*batch channels *out" -> Float "*batch channels *spatial".
    """
    share = _wide(means) / math.prod(at.kernel)
    sums = np.zeros_like(share, shape=(*leading(means, at), *at.size))
    apart = _apart(at)
    for windows, elements in meetings_of(at):
        if apart:
            sums[elements] = share[windows]
        else:
            sums[elements] += share[windows]
    return sums.astype(means.dtype, copy=False)


def avg_pool_rules(name: str, axes: int | None) -> dict[str, Any]:
    """The rules of the mean-pool of this name."""

    def pull(g: Any, y: Any, x: Any, kernel_size: Any, stride: Any, padding: Any) -> Any:
        return share_out(g, at=windows_on(f"{name}(x)", x.shape, kernel_size, stride, padding, axes))

    return {"rrule": (pull,), "frule": linear_in_all, "batch": batch_pool if axes is None else batch_windows}


def run_avg_pool(name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, axes: int | None) -> Any:
    """The mean-pool of arrays, for the op of this name."""
    at = windows_on(f"{name}(x)", x.shape, kernel_size, stride, padding, axes)
    sums = reduced(np.add, 0, _wide(x), at)
    sums /= math.prod(at.kernel)
    return sums.astype(x.dtype, copy=False)


@primitive(**avg_pool_rules("avg_pool", None))
def avg_pool(x: Signal, kernel_size: PerAxis, *, stride: PerAxis | None = None, padding: Padding = 0) -> Signal:
    """The mean of every window: Float "*batch channels *spatial" -> Float "*batch channels *out".

    Padded elements count as zeros. Arguments and errors are those of `max_pool`.

    >>> x = np.array([[[1.0, 2.0, 5.0, 3.0], [4.0, 0.0, 1.0, 2.0]]])
    >>> avg_pool(x, (2, 2))
    array([[[1.75, 2.75]]])
    """
    return run_avg_pool("avg_pool", x, kernel_size, stride, padding, None)


@primitive(
    rrule=(
        lambda g, y, x, spatial_axes: np.broadcast_to(
            np.reshape(g / math.prod(x.shape[y.ndim :]), (*y.shape, *(1,) * spatial_axes)), x.shape
        ),
    ),
    frule=linear_in_all,
    batch=batch_windows,
)
def global_avg_pool(x: Signal, *, spatial_axes: int = 2) -> Signal:
    """The mean of every channel, over its last `spatial_axes` axes.

    Float "*batch channels *spatial" -> Float "*batch channels", where *spatial has `spatial_axes` axes.

    Raises ArgumentError for a `spatial_axes` that is no integer of at least 1, ShapeError for an x with too few axes,
    or without elements along them.

    >>> global_avg_pool(np.array([[[1.0, 2.0], [3.0, 6.0]]]))
    array([3.])
    """
    check_count("global_avg_pool(x)", "spatial_axes", spatial_axes)
    if x.ndim < spatial_axes + 1 or 0 in x.shape[-spatial_axes:]:
        raise ShapeError(
            f"global_avg_pool(x): x has shape {x.shape}, but needs channels and {spatial_axes} spatial axes that are "
            "not empty, behind any batch axes."
        )
    return np.mean(x, axis=tuple(range(-spatial_axes, 0)))


__all__ = [
    "avg_pool",
    "avg_pool_rules",
    "batch_pool",
    "batch_windows",
    "from_winners",
    "global_avg_pool",
    "max_pool",
    "max_pool_rules",
    "meetings_of",
    "pool_winners",
    "reduced",
    "run_avg_pool",
    "run_max_pool",
    "share_out",
    "to_winners",
    "windows_on",
]
