"""Normalization as layers: LayerNorm, RMSNorm, GroupNorm, InstanceNorm, and BatchNorm with its running statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

import tapem as tm
from layers.initializers import Initializer, ones, zeros
from layers.module import Array, Layer
from layers.ops.arguments import check_count, is_number
from layers.ops.batch_norm import batch_norm_inference, batch_norm_training
from layers.ops.channels import check_spatial_axes
from layers.ops.dtypes import as_dtype
from layers.ops.normalization import check_groups, group_norm, instance_norm, layer_norm, rms_norm
from layers.ops.standardize import check_eps
from layers.shapes import ANY, Pattern, shown, split_pattern
from tapem import ArgumentError, ShapeError


class Normalization(Layer):
    """The base of the normalizations: a scale gamma and a shift beta, one number each per feature or channel."""

    gamma: Initializer
    beta: Initializer
    eps: float
    dtype: npt.DTypeLike

    sized: ClassVar[str]  # the field that says how many numbers gamma and beta have

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_count(type(self).__name__, self.sized, getattr(self, self.sized))
        check_eps(type(self).__name__, self.eps)

    def __repr__(self) -> str:
        parts: list[str] = []
        for own in fields(self):  # pyright: ignore[reportArgumentType]  # every normalization is a dataclass
            value = getattr(self, own.name)
            if own.name in ("num_groups", self.sized):
                parts.append(repr(value))
            elif own.name in ("eps", "momentum", "spatial_axes") and value != own.default:
                parts.append(f"{own.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def init(self, key: Array, input_shape: Pattern | None = None) -> dict[str, Array]:
        """The first gamma and beta."""
        super().init(key, input_shape)
        size = (getattr(self, self.sized),)
        gamma_key, beta_key = tm.random.split(key)
        return {"gamma": self.gamma(gamma_key, size, self.dtype), "beta": self.beta(beta_key, size, self.dtype)}


# Features -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class LayerNorm(Normalization):
    """`layers.layer_norm` with parameters: the last axis with mean 0 and variance 1, then scaled and shifted.

    (*batch, dim) -> (*batch, dim). Its parameters are `{"gamma": (dim,), "beta": (dim,)}`, at first ones and zeros.
    PyTorch adds `eps=1e-5` to the variance. Raises ArgumentError for a dim below 1 or an eps that is not positive.

    >>> model = LayerNorm(2)
    >>> model.apply(model.init(tm.random.key(0)), np.array([[1.0, 3.0]], np.float32)).round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    dim: int
    eps: float = 1e-6
    gamma: Initializer = ones
    beta: Initializer = zeros
    dtype: npt.DTypeLike = np.float32

    sized: ClassVar[str] = "dim"

    @property
    def takes(self) -> Pattern:
        """Any leading axes, and `dim`."""
        return (..., self.dim)

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The op."""
        return layer_norm(x, params["gamma"], params["beta"], eps=self.eps)


@dataclass(frozen=True, repr=False)
class RMSNorm(Normalization):
    """`layers.rms_norm` with a parameter: the last axis with mean square 1, then scaled.

    (*batch, dim) -> (*batch, dim). Its parameter is `{"gamma": (dim,)}`, at first ones. Raises ArgumentError for a dim
    below 1 or an eps that is not positive.

    >>> model = RMSNorm(2)
    >>> model.apply(model.init(tm.random.key(0)), np.array([[3.0, -3.0]], np.float32)).round(3)
    array([[ 1., -1.]], dtype=float32)
    """

    dim: int
    eps: float = 1e-6
    gamma: Initializer = ones
    dtype: npt.DTypeLike = np.float32

    sized: ClassVar[str] = "dim"

    @property
    def takes(self) -> Pattern:
        """Any leading axes, and `dim`."""
        return (..., self.dim)

    def init(self, key: Array, input_shape: Pattern | None = None) -> dict[str, Array]:
        """The first gamma."""
        Layer.init(self, key, input_shape)
        return {"gamma": self.gamma(key, (self.dim,), self.dtype)}

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The op."""
        return rms_norm(x, params["gamma"], eps=self.eps)


# Channels -------------------------------------------------------------------------------------------------------------


class ChannelNormalization(Normalization):
    """The base of the normalizations of channels: the position of the channels.

    With `spatial_axes`, that many axes follow them. Without it, there is one batch axis, and the channels are axis 1; a
    preceding layer with free leading axes, such as `Linear` and `Conv2d`, then counts as giving (batch, channels, ...).
    """

    channels: int
    spatial_axes: int | None

    sized: ClassVar[str] = "channels"

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        check_spatial_axes(type(self).__name__, self.spatial_axes)

    @property
    def takes(self) -> Pattern:
        """Any leading axes, the channels, and the spatial axes; any shape, if `spatial_axes` does not say how many."""
        return ANY if self.spatial_axes is None else (..., self.channels, *(None,) * self.spatial_axes)

    def check_input(self, input_shape: Pattern) -> None:
        """Raise ShapeError unless inputs of this shape have the channels at the expected position."""
        super().check_input(input_shape)
        if self.spatial_axes is not None:
            return
        free, sizes = split_pattern(input_shape)
        known = sizes if free else sizes[1:]
        if not free and not known:
            reason = f"it has {len(sizes)} axes, not 2 or more"
        elif known and known[0] is not None and known[0] != self.channels:
            reason = f"{known[0]} is not {self.channels}"
        else:
            return
        raise ShapeError(
            f"{self!r} takes (batch, {self.channels}, ...), not {shown(input_shape)}: {reason}. If the channels "
            "are not axis 1, say with spatial_axes=... how many axes follow them."
        )


@dataclass(frozen=True, repr=False)
class GroupNorm(ChannelNormalization):
    """`layers.group_norm` with parameters: each group of channels of each example with mean 0 and variance 1.

    (*batch, channels, *spatial) -> the same. Its parameters are `{"gamma": (channels,), "beta": (channels,)}`.
    `spatial_axes` is the number of axes that follow the channels; without it the channels are axis 1. Raises
    ArgumentError for a number of groups that does not divide the channels.

    >>> GroupNorm(4, 8).output_shape((32, 8, 28, 28))
    (32, 8, 28, 28)
    """

    num_groups: int
    channels: int
    eps: float = 1e-6
    spatial_axes: int | None = None
    gamma: Initializer = ones
    beta: Initializer = zeros
    dtype: npt.DTypeLike = np.float32

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        check_groups("GroupNorm", self.num_groups, self.channels)

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The op."""
        return group_norm(
            x, params["gamma"], params["beta"], self.num_groups, eps=self.eps, spatial_axes=self.spatial_axes
        )


@dataclass(frozen=True, repr=False)
class InstanceNorm(ChannelNormalization):
    """`layers.instance_norm` with parameters: each channel of each example with mean 0 and variance 1.

    (*batch, channels, *spatial) -> the same. Its parameters are `{"gamma": (channels,), "beta": (channels,)}`.
    `spatial_axes` is the number of axes that follow the channels; without it the channels are axis 1.

    >>> model = InstanceNorm(1)
    >>> model.apply(model.init(tm.random.key(0)), np.array([[[1.0, 3.0]]], np.float32)).round(3)
    array([[[-1.,  1.]]], dtype=float32)
    """

    channels: int
    eps: float = 1e-6
    spatial_axes: int | None = None
    gamma: Initializer = ones
    beta: Initializer = zeros
    dtype: npt.DTypeLike = np.float32

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The op."""
        return instance_norm(x, params["gamma"], params["beta"], eps=self.eps, spatial_axes=self.spatial_axes)


@dataclass(frozen=True, repr=False)
class BatchNorm(ChannelNormalization):
    """`layers.batch_norm` with parameters and running statistics: each channel with mean 0 and variance 1.

    (*batch, channels, *spatial) -> the same. Its parameters are `{"gamma": (channels,), "beta": (channels,)}`, its
    state is `{"mean": (channels,), "var": (channels,)}`. `spatial_axes` is the number of axes that follow the channels;
    without it the channels are axis 1, as in PyTorch's BatchNorm1d, 2d and 3d alike.

    With `train=True` the statistics are those of the batch, and the new state is
    `(1 - momentum) * state + momentum * batch statistics`, where the variance is the unbiased one, as in PyTorch; no
    derivative flows through it. Otherwise the statistics are those of the state, which stays as it is.

    Raises ArgumentError for channels below 1, a momentum outside [0, 1], an eps that is not positive, or training on
    fewer than two values per channel.

    >>> model = BatchNorm(1, momentum=0.5)
    >>> params, state = model.init(tm.random.key(0)), model.init_state()
    >>> y, state = model.apply(params, np.array([[1.0], [3.0]], np.float32), state=state, train=True)
    >>> y.round(3), state
    (array([[-1.],
           [ 1.]], dtype=float32), {'mean': array([1.], dtype=float32), 'var': array([1.5], dtype=float32)})
    """

    channels: int
    momentum: float = 0.1
    eps: float = 1e-6
    spatial_axes: int | None = None
    gamma: Initializer = ones
    beta: Initializer = zeros
    dtype: npt.DTypeLike = np.float32

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        if not (is_number(self.momentum) and 0 <= self.momentum <= 1):
            raise ArgumentError(
                f"BatchNorm: momentum is {self.momentum!r}, but must be a number within [0, 1]: the weight of the "
                "newest batch in the running statistics."
            )

    def init_state(self) -> dict[str, Array]:
        """Mean 0 and variance 1; for float16 in float32, the dtype of the sums."""
        dtype = np.promote_types(self.dtype, np.float32)
        return {"mean": np.zeros(self.channels, dtype), "var": np.ones(self.channels, dtype)}

    def step(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        """The value, and the new running statistics."""
        gamma, beta = params["gamma"], params["beta"]
        if not train:
            value = batch_norm_inference(
                x, gamma, beta, state["mean"], state["var"], eps=self.eps, spatial_axes=self.spatial_axes
            )
            return value, state
        value, mean, variance = batch_norm_training(x, gamma, beta, eps=self.eps, spatial_axes=self.spatial_axes)
        count = math.prod(x.shape) // self.channels
        if count < 2:
            raise ArgumentError(
                f"{self!r}: x of shape {x.shape} has {count} value{'s' * (count != 1)} per channel, but training needs "
                "at least 2: the variance of fewer is not defined."
            )
        batch = {"mean": mean, "var": variance * (count / (count - 1))}
        return value, {name: self._running(before, batch[name]) for name, before in state.items()}

    def _running(self, before: Any, batch: Any) -> Any:
        newest = tm.detach(as_dtype(batch, before.dtype))
        return (1 - self.momentum) * before + self.momentum * newest


__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "Normalization", "RMSNorm"]
