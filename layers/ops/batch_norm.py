"""Normalization of each channel over a batch: in training by the batch's statistics, in inference by earlier ones.

`batch_norm_training` returns the batch's statistics along with the value, so that running statistics cost nothing.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from layers.ops.channels import batch_of_batches, by_channel
from layers.ops.dtypes import as_dtype, promoted, wide
from layers.ops.standardize import (
    center,
    channel_count,
    channel_means,
    channel_sums,
    check_eps,
    per_channel,
    plus,
    slope,
)
from tapem import ArgumentError, Tensor, Thunk, Zero, primitive

Values: TypeAlias = Float[Tensor, "*shape"]
Channels: TypeAlias = Float[Tensor, "channels"]

# Training: the residuals are the centered values by channels, and the factor that makes each channel's variance 1.


def _normalized(op: str, x: Any, gamma: Any, beta: Any, eps: Any, spatial_axes: Any) -> tuple[Any, Any, Any]:
    """The value, the statistics, and the residuals."""
    eps = check_eps(op, eps)
    values = wide(by_channel(op, x, spatial_axes, gamma=gamma, beta=beta))
    centered, scale, means, variance = center(values, channel_means(values), eps)
    y = plus(centered * (scale * per_channel(gamma, centered)), per_channel(beta, centered))
    y = as_dtype(y, promoted(x, gamma, beta)).reshape(x.shape)
    return y, (sum(means), variance), (centered, scale)


def _pull(
    g: Any, y: Any, kept: Any, x: Any, gamma: Any, statistics: tuple[Any, Any] | None = None
) -> tuple[Any, Any, Any]:
    values, scale = kept
    g = as_dtype(g.reshape(values.shape), values.dtype)
    products, sums = channel_sums(g * values), channel_sums(g)
    share = 1 / max(channel_count(values), 1)

    def for_x() -> Any:
        factor = per_channel(gamma, values) * scale
        along = per_channel(products, values) * share * scale * scale * factor
        shift = per_channel(sums, values) * share * factor
        if statistics is not None:
            for_mean, for_variance = (per_channel(as_dtype(g, values.dtype), values) for g in statistics)
            along, shift = along - 2 * share * for_variance, shift - share * for_mean
        return as_dtype(slope(g * factor, values, along, shift), y.dtype).reshape(x.shape)

    return Thunk(for_x), as_dtype(products * scale.reshape(gamma.shape), y.dtype), as_dtype(sums, y.dtype)


def _push_x(t: Any, y: Any, kept: Any, gamma: Any) -> tuple[Any, Any, Any]:
    """The tangents of value, mean and variance."""
    values, scale = kept
    t = as_dtype(t.reshape(values.shape), values.dtype)
    means = channel_means(t)
    mean, products = means(t), means(t * values)
    change = slope(t * scale, values, products * scale * scale * scale, mean * scale) * per_channel(gamma, values)
    statistics = (as_dtype(change.reshape(gamma.shape), y.dtype) for change in (mean, 2 * products))
    return as_dtype(change, y.dtype).reshape(y.shape), *statistics


def _push_gamma(t: Any, y: Any, kept: Any) -> Any:
    values, scale = kept
    return as_dtype(values * (scale * per_channel(t, values)), y.dtype).reshape(y.shape)


def _push_beta(t: Any, y: Any, kept: Any) -> Any:
    shift = np.broadcast_to(per_channel(t, kept[0]), kept[0].shape)
    return as_dtype(shift, y.dtype).reshape(y.shape)


@primitive(
    residuals=True,
    opaque=True,
    rrule=lambda g, y, kept, x, gamma, beta, **_: _pull(g, y, kept, x, gamma),
    frule=(
        lambda t, y, kept, x, gamma, beta, **_: _push_x(t, y, kept, gamma)[0],
        lambda t, y, kept, x, gamma, beta, **_: _push_gamma(t, y, kept),
        lambda t, y, kept, x, gamma, beta, **_: _push_beta(t, y, kept),
    ),
    batch=batch_of_batches,
)
def batch_norm(
    x: Values, gamma: Channels, beta: Channels, *, eps: float = 1e-6, spatial_axes: int | None = None
) -> Values:
    """Give each channel mean 0 and variance 1, then scale and shift: `gamma (x - mean) / sqrt(var + eps) + beta`.

    Float "*batch channels *spatial", Float "channels", Float "channels" -> Float "*batch channels *spatial". Mean and
    (biased) variance are over all axes but that of the channels; gradients flow through both.

    `spatial_axes` is the number of axes after the channels (2 for images); x may then have any number of batch axes,
    or none. Without it, x has one batch axis and the channels are axis 1, as in PyTorch. float16 is computed in
    float32.

    Raises ShapeError where x lacks a channel axis or sizes disagree, ArgumentError unless eps is positive, DTypeError
    for integers. Source: Ioffe and Szegedy, "Batch normalization", 2015.

    >>> batch_norm(np.array([[1.0, 10.0], [3.0, 30.0]]), np.ones(2), np.zeros(2)).round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    """
    y, _, kept = _normalized("batch_norm", x, gamma, beta, eps, spatial_axes)
    return y, kept  # pyright: ignore[reportReturnType]  # the value and its residuals


@primitive(
    residuals=True,
    opaque=True,
    rrule=lambda g, y, kept, x, gamma, beta, **_: _pull(g[0], y[0], kept, x, gamma, g[1:]),
    frule=(
        lambda t, y, kept, x, gamma, beta, **_: _push_x(t, y[0], kept, gamma),
        lambda t, y, kept, x, gamma, beta, **_: (_push_gamma(t, y[0], kept), Zero(), Zero()),
        lambda t, y, kept, x, gamma, beta, **_: (_push_beta(t, y[0], kept), Zero(), Zero()),
    ),
    batch=batch_of_batches,
)
def batch_norm_training(
    x: Values, gamma: Channels, beta: Channels, *, eps: float = 1e-6, spatial_axes: int | None = None
) -> tuple[Values, Channels, Channels]:
    """`batch_norm`, and the statistics that it used: (value, mean, biased variance).

    Float "*batch channels *spatial", Float "channels", Float "channels" -> Float "*batch channels *spatial",
    Float "channels", Float "channels". All three can be differentiated, and have the dtype of x.

    >>> y, mean, variance = batch_norm_training(np.array([[1.0, 10.0], [3.0, 30.0]]), np.ones(2), np.zeros(2))
    >>> mean, variance
    (array([ 2., 20.]), array([  1., 100.]))
    """
    y, statistics, kept = _normalized("batch_norm_training", x, gamma, beta, eps, spatial_axes)
    mean, variance = (as_dtype(np.reshape(statistic, gamma.shape), x.dtype) for statistic in statistics)
    return (y, mean, variance), kept  # pyright: ignore[reportReturnType]  # the values and their residuals


# Inference ------------------------------------------------------------------------------------------------------------


def _shifted(x: Any, mean: Any, spatial_axes: Any) -> Any:
    return by_channel("batch_norm_inference", x, spatial_axes, mean=mean)


def _pull_inference(
    g: Any, y: Any, x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, spatial_axes: Any
) -> tuple[Any, ...]:
    values = wide(_shifted(x, mean, spatial_axes))
    g = as_dtype(np.reshape(g, values.shape), values.dtype)
    scale = 1 / np.sqrt(wide(var) + eps)
    for_beta = channel_sums(g)
    for_scale = Thunk(lambda: channel_sums(g * (values - per_channel(mean, values))))
    return (
        Thunk(lambda: np.reshape(as_dtype(g * per_channel(gamma * scale, g), y.dtype), x.shape)),
        Thunk(lambda: as_dtype(for_scale() * scale, y.dtype)),
        as_dtype(for_beta, y.dtype),
        Thunk(lambda: as_dtype(-gamma * scale * for_beta, y.dtype)),
        Thunk(lambda: as_dtype(-0.5 * gamma * scale * scale * scale * for_scale(), y.dtype)),
    )


def _push_inference(
    tangents: Any, y: Any, x: Any, gamma: Any, beta: Any, mean: Any, var: Any, eps: float, spatial_axes: Any
) -> Any:
    values = wide(_shifted(x, mean, spatial_axes))
    scale = 1 / np.sqrt(wide(var) + eps)
    by_x, by_gamma, by_beta, by_mean, by_var = tangents
    centered = Thunk(lambda: values - per_channel(mean, values))
    total: Any = Zero()
    if type(by_x) is not Zero:
        total = np.reshape(by_x, values.shape) * per_channel(gamma * scale, values)
    if type(by_gamma) is not Zero:
        total = total + centered() * per_channel(by_gamma * scale, values)
    if type(by_var) is not Zero:
        total = total - centered() * per_channel(0.5 * gamma * scale * scale * scale * by_var, values)
    if type(by_beta) is not Zero:
        total = total + np.broadcast_to(per_channel(by_beta, values), values.shape)
    if type(by_mean) is not Zero:
        total = total - np.broadcast_to(per_channel(gamma * scale * by_mean, values), values.shape)
    return np.reshape(as_dtype(total, y.dtype), y.shape)


@primitive(rrule=_pull_inference, frule=_push_inference, batch=batch_of_batches)
def batch_norm_inference(
    x: Values,
    gamma: Channels,
    beta: Channels,
    mean: Channels,
    var: Channels,
    *,
    eps: float = 1e-6,
    spatial_axes: int | None = None,
) -> Values:
    """Normalize each channel with given statistics: `gamma (x - mean) / sqrt(var + eps) + beta`.

    Float "*batch channels *spatial", and Float "channels" each -> Float "*batch channels *spatial", in the dtype
    of x, gamma and beta. `spatial_axes` is as in `batch_norm`.

    Raises ArgumentError for a negative variance or an eps that is not positive, ShapeError where sizes disagree,
    DTypeError for integers.

    >>> one, zero = np.ones(1), np.zeros(1)
    >>> batch_norm_inference(np.array([[1.0], [3.0]]), one, zero, mean=one, var=4 * one).round(3)
    array([[0.],
           [1.]])
    """
    eps = check_eps("batch_norm_inference", eps)
    values = wide(by_channel("batch_norm_inference", x, spatial_axes, gamma=gamma, beta=beta, mean=mean, var=var))
    if np.any(var < 0):
        at = int(np.argmin(var))
        raise ArgumentError(
            f"batch_norm_inference: var is {var[at]} at channel {at}, but a variance cannot be negative; the arguments "
            "are x, gamma, beta, mean, var."
        )
    factor = gamma / np.sqrt(wide(var) + eps)
    y = (values - per_channel(mean, values)) * per_channel(factor, values)
    y = plus(y, per_channel(beta, values))
    return np.reshape(as_dtype(y, promoted(x, gamma, beta)), x.shape)


__all__ = ["batch_norm", "batch_norm_inference", "batch_norm_training"]
