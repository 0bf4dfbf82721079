"""Pools over a fixed number of spatial axes: those of pooling.py, each with a signature of its own."""

from __future__ import annotations

from jaxtyping import Float

from layers.ops.pooling import (
    avg_pool_rules,
    max_pool_rules,
    run_avg_pool,
    run_max_pool,
)
from layers.ops.smooth_pooling import run_smooth_max_pool, smooth_max_pool_rules
from layers.ops.windows import Padding, PerAxis
from tapem import Tensor, primitive


@primitive(**max_pool_rules("max_pool1d", 1))
def max_pool1d(
    x: Float[Tensor, "*batch channels w"],
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
) -> Float[Tensor, "*batch channels w_out"]:
    """The greatest element of every window of signals; arguments and errors are those of `max_pool`.

    Float "*batch channels w" -> Float "*batch channels w_out". An integer stands for the only axis.

    >>> max_pool1d(np.ones((2, 4)), 2).shape
    (2, 2)
    """
    return run_max_pool("max_pool1d", x, kernel_size, stride, padding, 1)


@primitive(**max_pool_rules("max_pool2d", 2))
def max_pool2d(
    x: Float[Tensor, "*batch channels h w"],
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
) -> Float[Tensor, "*batch channels h_out w_out"]:
    """The greatest element of every window of images; arguments and errors are those of `max_pool`.

    Float "*batch channels h w" -> Float "*batch channels h_out w_out". An integer stands for both axes.

    >>> max_pool2d(np.ones((2, 4, 4)), 2).shape
    (2, 2, 2)
    """
    return run_max_pool("max_pool2d", x, kernel_size, stride, padding, 2)


@primitive(**max_pool_rules("max_pool3d", 3))
def max_pool3d(
    x: Float[Tensor, "*batch channels d h w"],
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
) -> Float[Tensor, "*batch channels d_out h_out w_out"]:
    """The greatest element of every window of volumes; arguments and errors are those of `max_pool`.

    Float "*batch channels d h w" -> Float "*batch channels d_out h_out w_out". An integer stands for all three axes.

    >>> max_pool3d(np.ones((2, 4, 4, 4)), 2).shape
    (2, 2, 2, 2)
    """
    return run_max_pool("max_pool3d", x, kernel_size, stride, padding, 3)


@primitive(**avg_pool_rules("avg_pool1d", 1))
def avg_pool1d(
    x: Float[Tensor, "*batch channels w"],
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
) -> Float[Tensor, "*batch channels w_out"]:
    """The mean of every window of signals; arguments and errors are those of `avg_pool`.

    Float "*batch channels w" -> Float "*batch channels w_out". An integer stands for the only axis.

    >>> avg_pool1d(np.ones((2, 4)), 2).shape
    (2, 2)
    """
    return run_avg_pool("avg_pool1d", x, kernel_size, stride, padding, 1)


@primitive(**avg_pool_rules("avg_pool2d", 2))
def avg_pool2d(
    x: Float[Tensor, "*batch channels h w"],
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
) -> Float[Tensor, "*batch channels h_out w_out"]:
    """The mean of every window of images; arguments and errors are those of `avg_pool`.

    Float "*batch channels h w" -> Float "*batch channels h_out w_out". An integer stands for both axes.

    >>> avg_pool2d(np.ones((2, 4, 4)), 2).shape
    (2, 2, 2)
    """
    return run_avg_pool("avg_pool2d", x, kernel_size, stride, padding, 2)


@primitive(**avg_pool_rules("avg_pool3d", 3))
def avg_pool3d(
    x: Float[Tensor, "*batch channels d h w"],
    kernel_size: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: Padding = 0,
) -> Float[Tensor, "*batch channels d_out h_out w_out"]:
    """The mean of every window of volumes; arguments and errors are those of `avg_pool`.

    Float "*batch channels d h w" -> Float "*batch channels d_out h_out w_out". An integer stands for all three axes.

    >>> avg_pool3d(np.ones((2, 4, 4, 4)), 2).shape
    (2, 2, 2, 2)
    """
    return run_avg_pool("avg_pool3d", x, kernel_size, stride, padding, 3)


@primitive(**smooth_max_pool_rules("smooth_max_pool1d", 1))
def smooth_max_pool1d(
    x: Float[Tensor, "*batch channels w"],
    kernel_size: PerAxis,
    *,
    beta: float = 1.0,
    stride: PerAxis | None = None,
    padding: Padding = 0,
) -> Float[Tensor, "*batch channels w_out"]:
    """A smooth maximum of every window of signals; arguments and errors are those of `smooth_max_pool`.

    Float "*batch channels w" -> Float "*batch channels w_out". An integer stands for the only axis.

    >>> smooth_max_pool1d(np.ones((2, 4)), 2).shape
    (2, 2)
    """
    return run_smooth_max_pool("smooth_max_pool1d", x, kernel_size, beta, stride, padding, 1)


@primitive(**smooth_max_pool_rules("smooth_max_pool2d", 2))
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

    >>> smooth_max_pool2d(np.ones((2, 4, 4)), 2).shape
    (2, 2, 2)
    """
    return run_smooth_max_pool("smooth_max_pool2d", x, kernel_size, beta, stride, padding, 2)


@primitive(**smooth_max_pool_rules("smooth_max_pool3d", 3))
def smooth_max_pool3d(
    x: Float[Tensor, "*batch channels d h w"],
    kernel_size: PerAxis,
    *,
    beta: float = 1.0,
    stride: PerAxis | None = None,
    padding: Padding = 0,
) -> Float[Tensor, "*batch channels d_out h_out w_out"]:
    """A smooth maximum of every window of volumes; arguments and errors are those of `smooth_max_pool`.

    Float "*batch channels d h w" -> Float "*batch channels d_out h_out w_out". An integer stands for all three axes.

    >>> smooth_max_pool3d(np.ones((2, 4, 4, 4)), 2).shape
    (2, 2, 2, 2)
    """
    return run_smooth_max_pool("smooth_max_pool3d", x, kernel_size, beta, stride, padding, 3)


__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "smooth_max_pool1d",
    "smooth_max_pool2d",
    "smooth_max_pool3d",
]
