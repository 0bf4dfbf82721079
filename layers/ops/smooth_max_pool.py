"""A smooth maximum of every window: `smooth_max_pool`, `smooth_max_pool1d` to `smooth_max_pool3d`; see pool_windows.py.

Its rules put the windows on their own axis, which costs memory, but leaves the rest to softmax.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

import tapem as tm
from layers.ops.arguments import is_number
from layers.ops.pool_windows import Signal, batch_pool, batch_windows, leading, meetings_of, reduced, windows_on
from layers.ops.ranks import for_axes
from layers.ops.windows import Geometry, Padding, PerAxis
from tapem import ArgumentError, Tensor, linear_in_all, primitive


@primitive(
    rrule=(lambda g, y, x, at, fill: sum_of_windows(g, at=at),),
    frule=(lambda t, y, x, at, fill: windows_of(t, at=at),),
    batch=batch_windows,
)
def windows_of(x: Signal, *, at: Geometry, fill: float = 0.0) -> Signal:
    """The elements of every window, on an added last axis; `fill` stands for padding.

    Float "*batch channels *spatial" -> Float "*batch channels *out taps".
    """
    meetings = meetings_of(at)
    taps = np.full((len(meetings), *leading(x, at), *at.out), fill, x.dtype)
    for tap, (windows, elements) in enumerate(meetings):
        taps[tap][windows] = x[elements]
    return np.moveaxis(taps, 0, -1)


@primitive(
    rrule=(lambda g, y, windows, at: windows_of(g, at=at),),
    frule=linear_in_all,
    batch=batch_windows,
)
def sum_of_windows(windows: Signal, *, at: Geometry) -> Signal:
    """For every element, the sum over the windows that contain it: the transpose of `windows_of`.

    Float "*batch channels *out taps" -> Float "*batch channels *spatial".
    """
    sums = np.zeros((*windows.shape[: windows.ndim - len(at.size) - 1], *at.size), windows.dtype)
    for tap, (where, elements) in enumerate(meetings_of(at)):
        sums[elements] += windows[..., tap][where]
    return sums


def _weights(caller: str, y: Any, x: Any, kernel_size: Any, stride: Any, padding: Any, axes: Any, beta: Any) -> Any:
    """Where the windows stand, and the derivatives of each window's smooth maximum, which sum to 1."""
    at = windows_on(caller, x.shape, kernel_size, stride, padding, axes)
    # The differences are exact where they matter; the value of y does not matter, since softmax ignores any shift.
    with np.errstate(over="ignore"):
        rises = windows_of(x, at=at, fill=-np.inf if beta > 0 else np.inf) - np.expand_dims(tm.detach(y), -1)
        return at, tm.softmax(float(beta) * rises, axis=-1)


def _rules(name: str, axes: int | None) -> dict[str, Any]:
    """The rules of the op of this name, with `axes` spatial axes; for None, `kernel_size` gives their number."""
    caller = f"{name}(x)"

    def pull(g: Any, y: Any, x: Any, kernel_size: Any, beta: Any, stride: Any, padding: Any) -> Any:
        at, weights = _weights(caller, y, x, kernel_size, stride, padding, axes, beta)
        return sum_of_windows(np.expand_dims(g, -1) * weights, at=at)

    def push(t: Any, y: Any, x: Any, kernel_size: Any, beta: Any, stride: Any, padding: Any) -> Any:
        at, weights = _weights(caller, y, x, kernel_size, stride, padding, axes, beta)
        return np.sum(windows_of(t, at=at) * weights, axis=-1)

    return {"rrule": (pull,), "frule": (push,), "batch": batch_pool if axes is None else batch_windows, "opaque": True}


def check_beta(caller: str, beta: Any) -> None:
    """Raise ArgumentError for a beta that is not finite, or is 0; `caller` is the name shown in errors."""
    if not is_number(beta) or not math.isfinite(beta) or beta == 0:
        raise ArgumentError(f"{caller}: beta is {beta!r}, but must be a finite number other than 0.")


def _pooled(name: str, x: Any, kernel_size: Any, beta: Any, stride: Any, padding: Any, axes: int | None) -> Any:
    """The value of the op of this name."""
    caller = f"{name}(x)"
    check_beta(caller, beta)
    at = windows_on(caller, x.shape, kernel_size, stride, padding, axes)
    peaks = reduced(np.maximum, -np.inf, x, at) if beta > 0 else reduced(np.minimum, np.inf, x, at)
    sums = np.zeros_like(peaks)
    with np.errstate(over="ignore"):  # a difference of -inf has the weight 0, as it should
        for windows, elements in meetings_of(at):
            sums[windows] += np.exp(float(beta) * (x[elements] - peaks[windows]))
        return peaks + np.log(sums) / float(beta)


@primitive(**_rules("smooth_max_pool", None))
def smooth_max_pool(
    x: Signal, kernel_size: PerAxis, *, beta: float = 1.0, stride: PerAxis | None = None, padding: Padding = 0
) -> Signal:
    """A smooth maximum of every window, `log(sum(exp(beta x))) / beta`: it has a derivative everywhere.

    Float "*batch channels *spatial" -> Float "*batch channels *out". It exceeds the maximum by at most
    `log(elements of a window) / beta`; with a negative `beta` it is a smooth minimum. x may be any finite number.
    Padded elements do not count. Other arguments and errors are those of `max_pool`. Raises ArgumentError also for a
    `beta` that is not finite, or is 0.

    >>> smooth_max_pool(np.array([[1.0, 1.0, 2.0, 1e4]]), (2,))
    array([[1.69314718e+00, 1.00000000e+04]])
    """
    return _pooled("smooth_max_pool", x, kernel_size, beta, stride, padding, None)


def _over(axes: int):
    """The pool over `axes` spatial axes."""
    name = f"smooth_max_pool{axes}d"

    @primitive(**_rules(name, axes))
    @for_axes(axes)
    def smooth_max_pool2d(
        x: Float[Tensor, "*batch channels h w"],
        kernel_size: PerAxis,
        *,
        beta: float = 1.0,
        stride: PerAxis | None = None,
        padding: Padding = 0,
    ) -> Float[Tensor, "*batch channels h_out w_out"]:
        """A smooth maximum of every window of images; arguments and errors are those of `smooth_max_pool`.

        Float "*batch channels h w" -> Float "*batch channels h_out w_out". An integer stands for both axes.

        >>> smooth_max_pool2d(np.ones((3, 4, 4)), 2).shape
        (3, 2, 2)
        """
        return _pooled(name, x, kernel_size, beta, stride, padding, axes)

    return smooth_max_pool2d


smooth_max_pool1d, smooth_max_pool2d, smooth_max_pool3d = _over(1), _over(2), _over(3)


__all__ = [
    "check_beta", "smooth_max_pool", "smooth_max_pool1d", "smooth_max_pool2d", "smooth_max_pool3d", "sum_of_windows",
    "windows_of",
]  # fmt: skip
