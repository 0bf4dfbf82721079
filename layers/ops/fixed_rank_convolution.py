"""`conv` and `conv_transpose` with a fixed number of spatial axes, each with its own signature."""

from __future__ import annotations

from jaxtyping import Float

from layers.ops.convolution import conv_rules, conv_transpose_rules, convolved, convolved_back
from layers.ops.ranks import for_axes
from layers.ops.windows import Padding, PerAxis
from tapem import Tensor, primitive


def _conv(axes: int):
    """The convolution with `axes` spatial axes."""
    name = f"conv{axes}d"

    @primitive(**conv_rules(name))
    @for_axes(axes)
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

        Float "out in/groups h_taps w_taps", Float "out" (or None), Float "*batch in h w" ->
        Float "*batch out h_out w_out".

        >>> conv2d(np.ones((4, 3, 5, 5)), np.zeros(4), np.ones((2, 3, 8, 8)), padding=2).shape
        (2, 4, 8, 8)
        """
        return convolved(name, kernel, bias, x, stride=stride, padding=padding, dilation=dilation, groups=groups)

    return conv2d


def _conv_transpose(axes: int):
    """The transposed convolution with `axes` spatial axes."""
    name = f"conv_transpose{axes}d"

    @primitive(**conv_transpose_rules(name))
    @for_axes(axes)
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

        Float "in out/groups h_taps w_taps", Float "out" (or None), Float "*batch in h w" ->
        Float "*batch out h_out w_out".

        >>> conv_transpose2d(np.ones((4, 3, 5, 5)), np.zeros(3), np.ones((2, 4, 8, 8)), stride=2).shape
        (2, 3, 19, 19)
        """
        places = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
        return convolved_back(name, kernel, bias, x, **places, groups=groups)

    return conv_transpose2d


conv1d, conv2d, conv3d = _conv(1), _conv(2), _conv(3)
conv_transpose1d, conv_transpose2d, conv_transpose3d = _conv_transpose(1), _conv_transpose(2), _conv_transpose(3)

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]
