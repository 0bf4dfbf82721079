"""Convolutional layers: Conv1d, Conv2d, Conv3d, and ConvTranspose1d, ConvTranspose2d, ConvTranspose3d."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

import tapem as tm
from layers.initializers import Initializer, bias_initializer, he_uniform
from layers.module import Array
from layers.ops.arguments import check_count
from layers.ops.fixed_rank_convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from layers.ops.windows import Padding, PerAxis, Sizes, geometry, per_axis, transposed_geometry
from layers.shapes import Pattern, with_last
from layers.windowed import Windowed, over
from tapem import ArgumentError


@dataclass(frozen=True, repr=False)
class Convolutional(Windowed):
    """The base of the convolutional layers: arguments, parameters and shapes."""

    in_channels: int
    out_channels: int
    kernel_size: PerAxis
    stride: PerAxis = 1
    padding: Padding = 0
    dilation: PerAxis = 1
    groups: int = 1
    weight: Initializer = he_uniform
    bias: Initializer | bool = True
    dtype: npt.DTypeLike = np.float32

    windows: ClassVar[tuple[str, ...]] = ("kernel_size", "stride", "padding", "dilation")

    def __post_init__(self) -> None:
        """Check the arguments."""
        layer = type(self).__name__
        for name in ("in_channels", "out_channels", "groups"):
            check_count(layer, name, getattr(self, name))
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ArgumentError(f"{layer}: groups={self.groups} does not divide {name}={getattr(self, name)}.")
        super().__post_init__()

    def __repr__(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, {self.kernel_size}"]
        for own in fields(self):
            value = getattr(self, own.name)
            if own.name in (*self.windows[1:], "groups") and value != own.default:
                parts.append(f"{own.name}={value!r}")
        if not self.bias:
            parts.append("bias=False")
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def taps(self) -> Sizes:
        """The size of the kernel along each spatial axis."""
        return per_axis(type(self).__name__, "kernel_size", self.kernel_size, self.axes, 1)

    @property
    def takes(self) -> Pattern:
        """Any leading axes, `in_channels`, and spatial axes of any size."""
        return (..., self.in_channels, *(None,) * self.axes)

    def output_shape(self, input_shape: Pattern) -> Pattern:
        """The same leading axes, `out_channels`, and the size of the result; unknown sizes stay unknown."""
        self.check_input(input_shape)
        return with_last(input_shape, (None,) * (self.axes + 1), (self.out_channels, *self.spatial_sizes(input_shape)))

    def sizes_for(self, spatial: Sizes) -> Sizes:
        """The spatial sizes of the result, given those of the input."""
        return geometry(type(self).__name__, spatial, self.taps, self.stride, self.padding, self.dilation).out

    def init(self, key: Array, input_shape: Pattern | None = None) -> dict[str, Array]:
        """The first weight, and the first bias if there is one."""
        super().init(key, input_shape)
        weight_key, bias_key = tm.random.split(key)
        params = {"weight": self.first_weight(weight_key)}
        if draw := bias_initializer(self.bias):
            params["bias"] = draw(bias_key, (self.out_channels,), self.dtype)
        return params

    def first_weight(self, key: Array) -> Array:
        """Draw a weight (out, in / groups, *kernel), from whose shape initializers compute their fans."""
        return self.weight(key, (self.out_channels, self.in_channels // self.groups, *self.taps), self.dtype)

    def options(self) -> dict[str, Any]:
        """The static arguments of the op."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The convolution."""
        return type(self).op(params["weight"], params["bias"] if self.bias else None, x, **self.options())


@dataclass(frozen=True, repr=False)
class TransposedConvolutional(Convolutional):
    """The base of the transposed convolutional layers."""

    output_padding: PerAxis = field(default=0, kw_only=True)

    windows: ClassVar[tuple[str, ...]] = (*Convolutional.windows, "output_padding")

    def sizes_for(self, spatial: Sizes) -> Sizes:
        """The spatial sizes of the result, given those of the input."""
        arguments = (self.taps, self.stride, self.padding, self.output_padding, self.dilation)
        return transposed_geometry(type(self).__name__, spatial, *arguments).size

    def first_weight(self, key: Array) -> Array:
        """Draw a weight (in, out / groups, *kernel): a convolution's, with the two axes exchanged in every group."""
        weight = super().first_weight(key)
        grouped = weight.reshape(self.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
        return np.concatenate(list(grouped))

    def options(self) -> dict[str, Any]:
        """The static arguments of the op."""
        return {**super().options(), "output_padding": self.output_padding}


@over(2, conv2d)
class Conv2d(Convolutional):
    """The convolution of images, (*batch, in_channels, h, w), with a learned kernel; see `layers.conv2d`.

    Its parameters are `{"weight": (out, in / groups, *kernel_size), "bias": (out,)}`; the bias is missing with
    `bias=False`, and otherwise drawn by the given initializer (by default zeros). `kernel_size`, `stride`, `padding`
    and `dilation` are one integer or one for each spatial axis; `padding` may also be "same" or "valid".

    Raises ArgumentError for sizes below 1, a negative padding, and groups that do not divide the channels.

    >>> layer = Conv2d(3, 8, 5, padding=2)
    >>> layer, layer.output_shape((32, 3, 28, 28))
    (Conv2d(3, 8, 5, padding=2), (32, 8, 28, 28))
    """


@over(1, conv1d, as_for=Conv2d)
class Conv1d(Convolutional):
    """The convolution of signals, (*batch, in_channels, w); all else is as for Conv2d."""


@over(3, conv3d, as_for=Conv2d)
class Conv3d(Convolutional):
    """The convolution of volumes, (*batch, in_channels, d, h, w); all else is as for Conv2d."""


@over(2, conv_transpose2d)
class ConvTranspose2d(TransposedConvolutional):
    """The transposed convolution of images, (*batch, in_channels, h, w); see `layers.conv_transpose2d`.

    The parameters are `{"weight": (in, out / groups, *kernel_size), "bias": (out,)}`, the arguments those of Conv2d
    without named paddings, and `output_padding` (by keyword), which must be smaller than the stride.

    >>> layer = ConvTranspose2d(8, 3, 4, stride=2, padding=1)
    >>> layer, layer.output_shape((32, 8, 7, 7))
    (ConvTranspose2d(8, 3, 4, stride=2, padding=1), (32, 3, 14, 14))
    """


@over(1, conv_transpose1d, as_for=ConvTranspose2d)
class ConvTranspose1d(TransposedConvolutional):
    """The transposed convolution of signals, (*batch, in_channels, w); all else is as for ConvTranspose2d."""


@over(3, conv_transpose3d, as_for=ConvTranspose2d)
class ConvTranspose3d(TransposedConvolutional):
    """The transposed convolution of volumes, (*batch, in_channels, d, h, w); all else is as for ConvTranspose2d."""


__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Convolutional"]
