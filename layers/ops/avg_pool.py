"""Means of windows: `avg_pool`, `avg_pool1d` to `avg_pool3d`, and `global_avg_pool`; see pool_windows.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from layers.ops.arguments import check_count
from layers.ops.dtypes import wide
from layers.ops.pool_windows import (
    Signal,
    batch_pool,
    batch_windows,
    is_apart,
    leading,
    meetings_of,
    reduced,
    windows_on,
)
from layers.ops.ranks import for_axes
from layers.ops.windows import Geometry, Padding, PerAxis
from tapem import ShapeError, Tensor, linear_in_all, primitive


@primitive(
    rrule=(lambda g, y, means, at: avg_pool(g, at.kernel, stride=at.stride, padding=at.padding),),
    frule=linear_in_all,
    batch=batch_windows,
)
def share_out(means: Float[Tensor, "*out"], *, at: Geometry) -> Signal:
    """Each window's mean divided equally among its elements, and summed: the transpose of `avg_pool`.

    Float "*batch channels *out" -> Float "*batch channels *spatial".
    """
    share = wide(means) / math.prod(at.kernel)
    sums = np.zeros_like(share, shape=(*leading(means, at), *at.size))
    apart = is_apart(at)
    for windows, elements in meetings_of(at):
        if apart:
            sums[elements] = share[windows]
        else:
            sums[elements] += share[windows]
    return sums.astype(means.dtype, copy=False)


def _rules(name: str, axes: int | None) -> dict[str, Any]:
    """The rules of the op of this name, with `axes` spatial axes; for None, `kernel_size` gives their number."""

    def pull(g: Any, y: Any, x: Any, kernel_size: Any, stride: Any, padding: Any) -> Any:
        return share_out(g, at=windows_on(f"{name}(x)", x.shape, kernel_size, stride, padding, axes))

    return {
        "rrule": (pull,),
        "frule": linear_in_all,
        "batch": batch_pool if axes is None else batch_windows,
        "opaque": True,
    }


def _pooled(name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, axes: int | None) -> Any:
    """The value of the op of this name."""
    at = windows_on(f"{name}(x)", x.shape, kernel_size, stride, padding, axes)
    sums = reduced(np.add, 0, wide(x), at)
    sums /= math.prod(at.kernel)
    return sums.astype(x.dtype, copy=False)


@primitive(**_rules("avg_pool", None))
def avg_pool(x: Signal, kernel_size: PerAxis, *, stride: PerAxis | None = None, padding: Padding = 0) -> Signal:
    """The mean of every window: Float "*batch channels *spatial" -> Float "*batch channels *out".

    Padded elements count as zeros. Arguments and errors are those of `max_pool`.

    >>> x = np.array([[[1.0, 2.0, 5.0, 3.0], [4.0, 0.0, 1.0, 2.0]]])
    >>> avg_pool(x, (2, 2))
    array([[[1.75, 2.75]]])
    """
    return _pooled("avg_pool", x, kernel_size, stride, padding, None)


def _over(axes: int):
    """The pool over `axes` spatial axes."""
    name = f"avg_pool{axes}d"

    @primitive(**_rules(name, axes))
    @for_axes(axes)
    def avg_pool2d(
        x: Float[Tensor, "*batch channels h w"],
        kernel_size: PerAxis,
        *,
        stride: PerAxis | None = None,
        padding: Padding = 0,
    ) -> Float[Tensor, "*batch channels h_out w_out"]:
        """The mean of every window of images; arguments and errors are those of `avg_pool`.

        Float "*batch channels h w" -> Float "*batch channels h_out w_out". An integer stands for both axes.

        >>> avg_pool2d(np.ones((3, 4, 4)), 2).shape
        (3, 2, 2)
        """
        return _pooled(name, x, kernel_size, stride, padding, axes)

    return avg_pool2d


avg_pool1d, avg_pool2d, avg_pool3d = _over(1), _over(2), _over(3)


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

    Raises ArgumentError for a `spatial_axes` that is not an integer of at least 1, ShapeError for an x with too few
    axes, or without elements along them.

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


__all__ = ["avg_pool", "avg_pool1d", "avg_pool2d", "avg_pool3d", "global_avg_pool", "share_out"]
