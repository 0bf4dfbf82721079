"""Normalization of each example by itself: layer_norm, rms_norm, group_norm and instance_norm.

The residuals of each are what its closed-form derivatives need: the centered values, and the scale of every row.
Statistics of float16 are computed in float32, which neither overflows nor loses small variances.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from layers.ops.arguments import check_count
from layers.ops.channels import batch_of_examples, by_channel
from layers.ops.dtypes import as_dtype, promoted, wide
from layers.ops.linear import rows
from layers.ops.standardize import (
    center,
    channel_sums,
    check_eps,
    example_sums,
    per_channel,
    plus,
    position_sums,
    row_means,
    shares,
    slope,
)
from tapem import ArgumentError, Tensor, Thunk, primitive

# Rules ----------------------------------------------------------------------------------------------------------------

# A row is the set of values that share one mean and variance. The residuals are the centered values by channels, one
# factor per row that makes its variance 1, and that factor times gamma. Operands are x, gamma and, where the op
# subtracts the mean, beta.


def _by_row(x: Any, count: int) -> Any:
    """Values by channels as the `count` rows of a matrix."""
    return x if x.ndim == 2 and x.shape[0] == count else x.reshape(count, math.prod(x.shape) // max(count, 1))


def _row_sums(sums: Any, weights: Any, count: int) -> Any:
    """The weighted sum of every row, as a column, from the sums of each example's channels and their weights."""
    if sums.shape[0] == count:
        return np.dot(sums, weights)[:, None]
    weighted = _by_row(sums * weights, count)
    return np.dot(weighted, shares(weighted.shape[1], 1, weighted.dtype))[:, None]


def _per_example(scale: Any, examples: int, channels: int) -> Any:
    """One number per row, for the channels of every example: as a column, or as a matrix if there are several rows."""
    count = scale.shape[0]
    if count == examples:
        return scale
    groups = count // examples
    return np.repeat(scale.reshape(examples, groups), channels // groups, axis=1)


def _factor(scale: Any, parameter: Any, values: Any) -> Any:
    """The product of a number per row and a number per channel, in a shape that broadcasts to the values."""
    factor = _per_example(scale, *values.shape[:2]) * parameter
    return factor if values.ndim == 2 else factor[:, :, None]


def _pull(g: Any, y: Any, kept: Any, x: Any, gamma: Any, *beta: Any, **_: Any) -> tuple[Any, ...]:
    values, scale, factor = kept
    count = scale.shape[0]
    g = as_dtype(g.reshape(values.shape), values.dtype)
    products = position_sums(g * values)

    def for_x() -> Any:
        by_row = _by_row(values, count)
        weights = wide(gamma) / max(by_row.shape[1], 1)
        along = _row_sums(products, weights, count) * scale * scale * scale
        change = _by_row(g * factor, count)
        change = slope(change, by_row, along, row_means(change)(change) if beta else None)
        return as_dtype(change, y.dtype).reshape(x.shape)

    if count == products.shape[0]:
        for_gamma = np.dot(scale[:, 0], products)
    else:
        for_gamma = example_sums(products * _per_example(scale, *products.shape))
    return (
        Thunk(for_x),
        as_dtype(for_gamma, y.dtype),
        *(as_dtype(channel_sums(g), y.dtype) for _ in beta),
    )


def _push_x(t: Any, y: Any, kept: Any, x: Any, gamma: Any, *beta: Any, **_: Any) -> Any:
    values, scale = kept[:2]
    t, by_row = (_by_row(one, scale.shape[0]) for one in (as_dtype(t, values.dtype).reshape(values.shape), values))
    means = row_means(t)
    along = means(t * by_row) * scale * scale * scale
    change = slope(t * scale, by_row, along, means(t) * scale if beta else None)
    change = change.reshape(values.shape) * per_channel(gamma, values)
    return as_dtype(change, y.dtype).reshape(y.shape)


def _push_gamma(t: Any, y: Any, kept: Any, *_: Any, **__: Any) -> Any:
    values, scale = kept[:2]
    return as_dtype(values * _factor(scale, t, values), y.dtype).reshape(y.shape)


def _push_beta(t: Any, y: Any, kept: Any, *_: Any, **__: Any) -> Any:
    shift = np.broadcast_to(per_channel(t, kept[0]), kept[0].shape)
    return as_dtype(shift, y.dtype).reshape(y.shape)


def _normalized(values: Any, groups: int, x: Any, gamma: Any, beta: Any, eps: float) -> Any:
    """The value and the residuals, for values by channels."""
    by_row = _by_row(wide(values), values.shape[0] * groups)
    centered, scale, *_ = center(by_row, row_means(by_row), eps)
    centered = centered.reshape(values.shape)
    factor = _factor(scale, gamma, centered)
    y = plus(centered * factor, per_channel(beta, centered))
    return as_dtype(y, promoted(x, gamma, beta)).reshape(x.shape), (centered, scale, factor)


_centered: Any = {
    "residuals": True,
    "opaque": True,
    "rrule": _pull,
    "frule": (_push_x, _push_gamma, _push_beta),
    "batch": batch_of_examples,
}


# Rows -----------------------------------------------------------------------------------------------------------------


@primitive(**_centered)
def layer_norm(
    x: Float[Tensor, "*batch dim"], gamma: Float[Tensor, "dim"], beta: Float[Tensor, "dim"], *, eps: float = 1e-6
) -> Float[Tensor, "*batch dim"]:
    """Give every row mean 0 and variance 1, then scale and shift: `gamma (x - mean) / sqrt(var + eps) + beta`.

    Float "*batch dim", Float "dim", Float "dim" -> Float "*batch dim". Mean and (biased) variance are those of the last
    axis. A row of equal elements becomes beta. float16 is computed in float32.

    Raises ShapeError where the sizes disagree, ArgumentError unless eps is positive, DTypeError for integers. Source:
    Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> layer_norm(np.array([[1.0, 3.0], [5.0, 5.0]]), np.ones(2), np.zeros(2)).round(3)
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    return _normalized(rows(x), 1, x, gamma, beta, check_eps("layer_norm", eps))


@primitive(residuals=True, opaque=True, rrule=_pull, frule=(_push_x, _push_gamma), batch=batch_of_examples)
def rms_norm(
    x: Float[Tensor, "*batch dim"], gamma: Float[Tensor, "dim"], *, eps: float = 1e-6
) -> Float[Tensor, "*batch dim"]:
    """Give every row mean square 1, then scale: `gamma x / sqrt(mean(x^2) + eps)`.

    Float "*batch dim", Float "dim" -> Float "*batch dim". The mean square is that of the last axis; the mean itself is
    not subtracted. A row of zeros stays zero. float16 is computed in float32.

    Raises ShapeError where the sizes disagree, ArgumentError unless eps is positive, DTypeError for integers. Source:
    Zhang and Sennrich, "Root mean square layer normalization", 2019.

    >>> rms_norm(np.array([[3.0, 3.0], [0.0, 0.0]]), np.ones(2)).round(3)
    array([[1., 1.],
           [0., 0.]])
    """
    eps = check_eps("rms_norm", eps)
    values = wide(rows(x))
    scale = 1 / np.sqrt(row_means(values)(values * values) + eps)
    factor = scale * gamma
    y = as_dtype(values * factor, promoted(x, gamma))
    return y.reshape(x.shape), (values, scale, factor)  # pyright: ignore  # the value and its residuals


# Channels -------------------------------------------------------------------------------------------------------------


@primitive(**_centered)
def group_norm(
    x: Float[Tensor, "*shape"],
    gamma: Float[Tensor, "channels"],
    beta: Float[Tensor, "channels"],
    num_groups: int,
    *,
    eps: float = 1e-6,
    spatial_axes: int | None = None,
) -> Float[Tensor, "*shape"]:
    """Give each group of channels of each example mean 0 and variance 1, then scale and shift the channels.

    Float "*batch channels *spatial", Float "channels", Float "channels" -> Float "*batch channels *spatial". There are
    `num_groups` groups of neighboring channels; mean and (biased) variance are over the group and all its positions.
    `spatial_axes` is the number of axes after the channels; without it the channels are axis 1. float16 is computed in
    float32.

    Raises ArgumentError for a number of groups that does not divide the channels or an eps that is not positive,
    ShapeError where sizes disagree, DTypeError for integers. Source: Wu and He, "Group normalization", 2018.

    >>> x = np.array([[1.0, 3.0, 10.0, 30.0]])
    >>> group_norm(x, np.ones(4), np.zeros(4), 2).round(3)
    array([[-1.,  1., -1.,  1.]])
    """
    eps = check_eps("group_norm", eps)
    values = by_channel("group_norm", x, spatial_axes, gamma=gamma, beta=beta)
    check_groups("group_norm", num_groups, values.shape[1])
    return _normalized(values, num_groups, x, gamma, beta, eps)


@primitive(**_centered)
def instance_norm(
    x: Float[Tensor, "*shape"],
    gamma: Float[Tensor, "channels"],
    beta: Float[Tensor, "channels"],
    *,
    eps: float = 1e-6,
    spatial_axes: int | None = None,
) -> Float[Tensor, "*shape"]:
    """Give each channel of each example mean 0 and variance 1 over its positions, then scale and shift.

    Float "*batch channels *spatial", Float "channels", Float "channels" -> Float "*batch channels *spatial".
    `spatial_axes` is the number of axes after the channels; without it the channels are axis 1. float16 is computed in
    float32.

    Raises ArgumentError unless eps is positive, ShapeError where sizes disagree, DTypeError for integers. Source:
    Ulyanov, Vedaldi and Lempitsky, "Instance normalization: the missing ingredient for fast stylization", 2016.

    >>> instance_norm(np.array([[[1.0, 3.0], [10.0, 30.0]]]), np.ones(2), np.zeros(2)).round(3)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """
    eps = check_eps("instance_norm", eps)
    values = by_channel("instance_norm", x, spatial_axes, gamma=gamma, beta=beta)
    return _normalized(values, max(values.shape[1], 1), x, gamma, beta, eps)


def check_groups(op: str, num_groups: Any, channels: int) -> None:
    """Raise ArgumentError for a number of groups that does not divide the channels."""
    check_count(op, "num_groups", num_groups)
    if channels % num_groups:
        raise ArgumentError(f"{op}: {channels} channels do not divide into num_groups={num_groups} equal groups.")


__all__ = ["check_groups", "group_norm", "instance_norm", "layer_norm", "rms_norm"]
