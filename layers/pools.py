"""Pooling layers: MaxPool1d to 3d, AvgPool1d to 3d, SmoothMaxPool1d to 3d and GlobalAvgPool. None has parameters."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from layers.module import Layer
from layers.ops.arguments import check_count
from layers.ops.avg_pool import avg_pool1d, avg_pool2d, avg_pool3d, global_avg_pool
from layers.ops.max_pool import max_pool1d, max_pool2d, max_pool3d
from layers.ops.pool_windows import windows_on
from layers.ops.smooth_max_pool import check_beta, smooth_max_pool1d, smooth_max_pool2d, smooth_max_pool3d
from layers.ops.windows import Padding, PerAxis, Sizes
from layers.shapes import Pattern, with_last
from layers.windowed import Windowed, over


@dataclass(frozen=True, repr=False)
class Pool(Windowed):
    """The base of the pooling layers: windows and shapes."""

    kernel_size: PerAxis
    stride: PerAxis | None = None
    padding: Padding = 0

    windows: ClassVar[tuple[str, ...]] = ("kernel_size", "stride", "padding")

    def __repr__(self) -> str:
        own = [(field.name, getattr(self, field.name), field.default) for field in fields(self)]
        more = [f"{name}={value!r}" for name, value, default in own[1:] if value != default]
        return f"{type(self).__name__}({', '.join([repr(self.kernel_size), *more])})"

    @property
    def takes(self) -> Pattern:
        """Any leading axes, channels, and spatial axes of any size."""
        return (..., None, *(None,) * self.axes)

    def sizes_for(self, spatial: Sizes) -> Sizes:
        """The spatial sizes of the result, given those of the input."""
        shape = (1, *spatial)
        return windows_on(type(self).__name__, shape, self.kernel_size, self.stride, self.padding, self.axes).out

    def output_shape(self, input_shape: Pattern) -> Pattern:
        """The same leading axes and channels, and one element for every window; unknown sizes stay unknown."""
        self.check_input(input_shape)
        return with_last(input_shape, (None,) * self.axes, self.spatial_sizes(input_shape))

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The pool of x."""
        return type(self).op(x, **{field.name: getattr(self, field.name) for field in fields(self)})


@over(2, max_pool2d)
class MaxPool2d(Pool):
    """The greatest element of every window of images (*batch, channels, h, w); see `layers.max_pool`.

    >>> MaxPool2d(2).output_shape((32, 8, 10, 10))
    (32, 8, 5, 5)
    >>> MaxPool2d(3, stride=2, padding=1).output_shape((..., 8, 28, 28))
    (Ellipsis, 8, 14, 14)
    """


@over(1, max_pool1d, as_for=MaxPool2d)
class MaxPool1d(Pool):
    """The greatest element of every window of signals (*batch, channels, w); all else is as for MaxPool2d."""


@over(3, max_pool3d, as_for=MaxPool2d)
class MaxPool3d(Pool):
    """The greatest element of every window of volumes (*batch, channels, d, h, w); all else is as for MaxPool2d."""


@over(2, avg_pool2d)
class AvgPool2d(Pool):
    """The mean of every window of images (*batch, channels, h, w), padding counted; see `layers.avg_pool`.

    >>> AvgPool2d(2).output_shape((32, 8, 10, 10))
    (32, 8, 5, 5)
    """


@over(1, avg_pool1d, as_for=AvgPool2d)
class AvgPool1d(Pool):
    """The mean of every window of signals (*batch, channels, w); all else is as for AvgPool2d."""


@over(3, avg_pool3d, as_for=AvgPool2d)
class AvgPool3d(Pool):
    """The mean of every window of volumes (*batch, channels, d, h, w); all else is as for AvgPool2d."""


@dataclass(frozen=True, repr=False)
class SmoothMaxPool(Pool):
    """The base of the smooth max-pools: `beta` says how close they are to the maximum."""

    beta: float = 1.0

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        check_beta(type(self).__name__, self.beta)


@over(2, smooth_max_pool2d)
class SmoothMaxPool2d(SmoothMaxPool):
    """A smooth maximum of every window of images (*batch, channels, h, w); see `layers.smooth_max_pool`.

    >>> SmoothMaxPool2d(2, beta=10.0)
    SmoothMaxPool2d(2, beta=10.0)
    >>> SmoothMaxPool2d(2).output_shape((32, 8, 10, 10))
    (32, 8, 5, 5)
    """


@over(1, smooth_max_pool1d, as_for=SmoothMaxPool2d)
class SmoothMaxPool1d(SmoothMaxPool):
    """A smooth maximum of every window of signals (*batch, channels, w); all else is as for SmoothMaxPool2d."""


@over(3, smooth_max_pool3d, as_for=SmoothMaxPool2d)
class SmoothMaxPool3d(SmoothMaxPool):
    """A smooth maximum of every window of volumes (*batch, channels, d, h, w); all else is as for SmoothMaxPool2d."""


@dataclass(frozen=True)
class GlobalAvgPool(Layer):
    """The mean of every channel over its spatial axes; see `layers.global_avg_pool`.

    >>> GlobalAvgPool().output_shape((32, 8, 7, 7)), GlobalAvgPool(1).output_shape((..., 8, None))
    ((32, 8), (Ellipsis, 8))
    """

    spatial_axes: int = 2

    def __post_init__(self) -> None:
        """Check the number of axes."""
        check_count("GlobalAvgPool", "spatial_axes", self.spatial_axes)

    @property
    def takes(self) -> Pattern:
        """Any leading axes, channels, and the spatial axes."""
        return (..., None, *(None,) * self.spatial_axes)

    def output_shape(self, input_shape: Pattern) -> Pattern:
        """The same leading axes and channels."""
        self.check_input(input_shape)
        return with_last(input_shape, (None,) * self.spatial_axes, ())

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The mean of every channel."""
        return global_avg_pool(x, spatial_axes=self.spatial_axes)


__all__ = [
    "AvgPool1d", "AvgPool2d", "AvgPool3d", "GlobalAvgPool", "MaxPool1d", "MaxPool2d", "MaxPool3d", "Pool",
    "SmoothMaxPool1d", "SmoothMaxPool2d", "SmoothMaxPool3d",
]  # fmt: skip
