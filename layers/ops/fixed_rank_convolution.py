"""Convolutions with a fixed number of spatial axes: `conv` and `conv_transpose`, each with a signature of its own."""

from __future__ import annotations

from jaxtyping import Float

from layers.ops.convolution import conv_rules, conv_transpose_rules, convolved, convolved_back
from layers.ops.windows import Padding, PerAxis
from tapem import Tensor, primitive


@primitive(**conv_rules("conv1d"))
def conv1d(
    kernel: Float[Tensor, "out in_per_group w_taps"],
    bias: Float[Tensor, "out"] | None,
    x: Float[Tensor, "*batch in w"],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Float[Tensor, "*batch out w_out"]:
    """The convolution of signals (*batch, in, w); arguments and errors are those of `conv`.

    Float "out in/groups w_taps", Float "out" (or None), Float "*batch in w" -> Float "*batch out w_out".

    >>> conv1d(np.ones((4, 3, 5)), np.zeros(4), np.ones((2, 3, 8)), padding=2).shape
    (2, 4, 8)
    """
    return convolved("conv1d", kernel, bias, x, stride=stride, padding=padding, dilation=dilation, groups=groups)


@primitive(**conv_rules("conv2d"))
def conv2d(
    kernel: Float[Tensor, "out in_per_group h_taps w_taps"],
    bias: Float[Tensor, "out"] | None,
    x: Float[Tensor, "*batch in h w"],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Float[Tensor, "*batch out h_out w_out"]:
    """The convolution of images (*batch, in, h, w); arguments and errors are those of `conv`.

    Float "out in/groups h_taps w_taps", Float "out" (or None), Float "*batch in h w" -> Float "*batch out h_out w_out".

    >>> conv2d(np.ones((4, 3, 5, 5)), np.zeros(4), np.ones((2, 3, 8, 8)), padding=2).shape
    (2, 4, 8, 8)
    """
    return convolved("conv2d", kernel, bias, x, stride=stride, padding=padding, dilation=dilation, groups=groups)


@primitive(**conv_rules("conv3d"))
def conv3d(
    kernel: Float[Tensor, "out in_per_group d_taps h_taps w_taps"],
    bias: Float[Tensor, "out"] | None,
    x: Float[Tensor, "*batch in d h w"],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Float[Tensor, "*batch out d_out h_out w_out"]:
    """The convolution of volumes (*batch, in, d, h, w); arguments and errors are those of `conv`.

    Float "out in/groups d_taps h_taps w_taps", Float "out" (or None), Float "*batch in d h w" ->
    Float "*batch out d_out h_out w_out".

    >>> conv3d(np.ones((4, 3, 5, 5, 5)), np.zeros(4), np.ones((2, 3, 8, 8, 8)), padding=2).shape
    (2, 4, 8, 8, 8)
    """
    return convolved("conv3d", kernel, bias, x, stride=stride, padding=padding, dilation=dilation, groups=groups)


@primitive(**conv_transpose_rules("conv_transpose1d"))
def conv_transpose1d(
    kernel: Float[Tensor, "in out_per_group w_taps"],
    bias: Float[Tensor, "out"] | None,
    x: Float[Tensor, "*batch in w"],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Float[Tensor, "*batch out w_out"]:
    """The transposed convolution of signals (*batch, in, w); arguments and errors are those of `conv_transpose`.

    Float "in out/groups w_taps", Float "out" (or None), Float "*batch in w" -> Float "*batch out w_out".

    >>> conv_transpose1d(np.ones((4, 3, 5)), np.zeros(3), np.ones((2, 4, 8)), stride=2).shape
    (2, 3, 19)
    """
    return convolved_back(
        "conv_transpose1d",
        kernel,
        bias,
        x,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )


@primitive(**conv_transpose_rules("conv_transpose2d"))
def conv_transpose2d(
    kernel: Float[Tensor, "in out_per_group h_taps w_taps"],
    bias: Float[Tensor, "out"] | None,
    x: Float[Tensor, "*batch in h w"],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Float[Tensor, "*batch out h_out w_out"]:
    """The transposed convolution of images (*batch, in, h, w); arguments and errors are those of `conv_transpose`.

    Float "in out/groups h_taps w_taps", Float "out" (or None), Float "*batch in h w" -> Float "*batch out h_out w_out".

    >>> conv_transpose2d(np.ones((4, 3, 5, 5)), np.zeros(3), np.ones((2, 4, 8, 8)), stride=2).shape
    (2, 3, 19, 19)
    """
    return convolved_back(
        "conv_transpose2d",
        kernel,
        bias,
        x,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )


@primitive(**conv_transpose_rules("conv_transpose3d"))
def conv_transpose3d(
    kernel: Float[Tensor, "in out_per_group d_taps h_taps w_taps"],
    bias: Float[Tensor, "out"] | None,
    x: Float[Tensor, "*batch in d h w"],
    *,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Float[Tensor, "*batch out d_out h_out w_out"]:
    """The transposed convolution of volumes (*batch, in, d, h, w); arguments and errors are those of `conv_transpose`.

    Float "in out/groups d_taps h_taps w_taps", Float "out" (or None), Float "*batch in d h w" ->
    Float "*batch out d_out h_out w_out".

    >>> conv_transpose3d(np.ones((4, 3, 5, 5, 5)), np.zeros(3), np.ones((2, 4, 8, 8, 8)), stride=2).shape
    (2, 3, 19, 19, 19)
    """
    return convolved_back(
        "conv_transpose3d",
        kernel,
        bias,
        x,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )


__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]
