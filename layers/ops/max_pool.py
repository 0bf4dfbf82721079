"""The greatest element of every window: `max_pool`, and `max_pool1d` to `max_pool3d`; see pool_windows.py.

Every rule is another op of this file, whose rules are ops of this file too: derivatives of any order need nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, UInt

from layers.ops.pool_windows import (
    Signal,
    batch_pool,
    batch_windows,
    is_apart,
    is_covering,
    leading,
    meetings_of,
    reduced,
    windows_on,
)
from layers.ops.ranks import for_axes
from layers.ops.windows import Geometry, Padding, PerAxis
from tapem import Tensor, primitive

# Winners --------------------------------------------------------------------------------------------------------------


def _bits(x: Any) -> Any:
    """The same memory as integers: a product with 0 or 1 is exact on them, even where the floats are not finite."""
    return x.view(f"i{x.itemsize}")


def _laid_out_like(pattern: Any, x: Any) -> Any:
    """x with its axes in the same memory order as `pattern`: two orders make the work on every tap slow."""
    if pattern.itemsize == 1 and x.strides == tuple([x.itemsize * stride for stride in pattern.strides]):
        return x
    copied = np.empty_like(pattern, dtype=x.dtype)
    copied[...] = x
    return copied


def _winners(x: Any, y: Any, at: Geometry) -> Any:
    meetings = meetings_of(at)
    winners = np.zeros_like(y, dtype=np.uint8 if len(meetings) <= 256 else np.uint32)
    # A window goes on to the next tap as long as it has met only smaller elements.
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
    if not is_apart(at):
        sums = np.zeros_like(winners, dtype=chosen.dtype, shape=shape)
        for tap, (windows, elements) in enumerate(meetings_of(at)):
            sums[elements] += np.multiply(_bits(chosen[windows]), winners[windows] == tap).view(chosen.dtype)
        return sums
    given = (np.empty_like if is_covering(at) else np.zeros_like)(winners, dtype=chosen.dtype, shape=shape)
    source, target = _bits(chosen), _bits(given)
    for tap, (windows, elements) in enumerate(meetings_of(at)):
        np.multiply(source[windows], np.equal(winners[windows], tap), out=target[elements])
    return given


@primitive(differentiable=False, batch=batch_windows)
def pool_winners(x: Signal, y: Float[Tensor, "*out"], *, at: Geometry) -> UInt[Tensor, "*out"]:
    """Which tap holds the greatest element y of each window of x: the first that does, or the first if y is NaN.

    Float "*batch channels *spatial", Float "*batch channels *out" -> UInt "*batch channels *out". The count leaves out
    taps that meet only padding.
    """
    return _winners(x, y, at)


@primitive(
    rrule=(lambda g, y, chosen, winners, at: from_winners(g, winners, at=at), None),
    frule=(lambda t, y, chosen, winners, at: to_winners(t, winners, at=at), None),
    batch=batch_windows,
)
def to_winners(chosen: Float[Tensor, "*out"], winners: UInt[Tensor, "*out"], *, at: Geometry) -> Signal:
    """Add the value that each window sends to its winner; elements that never win get 0.

    Float "*batch channels *out", UInt "*batch channels *out" -> Float "*batch channels *spatial".
    """
    return _to_winners(chosen, winners, at)


@primitive(
    rrule=(lambda g, y, x, winners, at: to_winners(g, winners, at=at), None),
    frule=(lambda t, y, x, winners, at: from_winners(t, winners, at=at), None),
    batch=batch_windows,
)
def from_winners(x: Signal, winners: UInt[Tensor, "*out"], *, at: Geometry) -> Float[Tensor, "*out"]:
    """The element at each window's winner: the transpose of `to_winners`.

    Float "*batch channels *spatial", UInt "*batch channels *out" -> Float "*batch channels *out".
    """
    taken = np.zeros_like(winners, dtype=x.dtype)
    source, target = _bits(x), _bits(taken)
    for tap, (windows, elements) in enumerate(meetings_of(at)):
        target[windows] |= np.multiply(source[elements], np.equal(winners[windows], tap))
    return taken


# The pools ------------------------------------------------------------------------------------------------------------


def _rules(name: str, axes: int | None) -> dict[str, Any]:
    """The rules of the op of this name, with `axes` spatial axes; for None, `kernel_size` gives their number."""
    caller = f"{name}(x)"

    def pull(g: Any, y: Any, x: Any, kernel_size: Any, stride: Any, padding: Any) -> Any:
        at = windows_on(caller, x.shape, kernel_size, stride, padding, axes)
        if type(g) is type(x) is np.ndarray:  # arrays need no recording, so both steps run directly
            return _to_winners(g, _winners(x, y, at), at)
        return to_winners(g, pool_winners(x, y, at=at), at=at)

    def push(t: Any, y: Any, x: Any, kernel_size: Any, stride: Any, padding: Any) -> Any:
        at = windows_on(caller, x.shape, kernel_size, stride, padding, axes)
        return from_winners(t, pool_winners(x, y, at=at), at=at)

    return {"rrule": (pull,), "frule": (push,), "batch": batch_pool if axes is None else batch_windows, "opaque": True}


def _pooled(name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, axes: int | None) -> Any:
    """The value of the op of this name."""
    return reduced(np.maximum, -np.inf, x, windows_on(f"{name}(x)", x.shape, kernel_size, stride, padding, axes))


@primitive(**_rules("max_pool", None))
def max_pool(x: Signal, kernel_size: PerAxis, *, stride: PerAxis | None = None, padding: Padding = 0) -> Signal:
    """The greatest element of every window: Float "*batch channels *spatial" -> Float "*batch channels *out".

    Windows span as many trailing axes as `kernel_size` has entries. An integer stands for all axes but the first two,
    which is right for (batch, channels, *spatial); for another number of batch axes, give (3, 3), or use `max_pool2d`.
    `stride` is the distance between windows, by default `kernel_size`; an axis of n elements has `(n + 2 padding - k)
    // stride + 1` windows. `padding` is an integer, or for each axis an integer or a pair (before, after), or "same" or
    "valid".

    Padded elements never win. A NaN in a window makes its result NaN.

    Kink: where several elements of a window are greatest, the derivative goes to the first in row-major order, in both
    modes.

    Raises ArgumentError for a kernel_size or stride below 1, a negative padding, or a padding that fills a whole
    window; ShapeError for an x with too few axes, or smaller than the window; DTypeError for integers.

    >>> x = np.array([[[1.0, 2.0, 5.0, 3.0], [4.0, 0.0, 1.0, 2.0]]])
    >>> max_pool(x, (2, 2))
    array([[[4., 5.]]])
    >>> max_pool(x, (1, 3), stride=1)
    array([[[5., 5.],
            [4., 2.]]])
    """
    return _pooled("max_pool", x, kernel_size, stride, padding, None)


def _over(axes: int):
    """The pool over `axes` spatial axes."""
    name = f"max_pool{axes}d"

    @primitive(**_rules(name, axes))
    @for_axes(axes)
    def max_pool2d(
        x: Float[Tensor, "*batch channels h w"],
        kernel_size: PerAxis,
        *,
        stride: PerAxis | None = None,
        padding: Padding = 0,
    ) -> Float[Tensor, "*batch channels h_out w_out"]:
        """The greatest element of every window of images; arguments and errors are those of `max_pool`.

        Float "*batch channels h w" -> Float "*batch channels h_out w_out". An integer stands for both axes.

        Kink: where several elements of a window are greatest, the derivative goes to the first of them.

        >>> max_pool2d(np.ones((3, 4, 4)), 2).shape
        (3, 2, 2)
        """
        return _pooled(name, x, kernel_size, stride, padding, axes)

    return max_pool2d


max_pool1d, max_pool2d, max_pool3d = _over(1), _over(2), _over(3)


__all__ = [
    "from_winners", "max_pool", "max_pool1d", "max_pool2d", "max_pool3d", "pool_winners", "to_winners",
]  # fmt: skip
