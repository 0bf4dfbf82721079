"""The layers of a multi-layer perceptron: Linear, and Flatten before it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

import tapem as tm
from layers.initializers import Initializer, bias_initializer, glorot_uniform
from layers.module import Array, Layer
from layers.ops.arguments import check_count, check_real
from layers.ops.linear import linear, times
from layers.shapes import Pattern, check_pattern, shown, split_pattern, with_last
from tapem import ShapeError


@dataclass(frozen=True, repr=False)
class Linear(Layer):
    """The affine map of the last axis, `x W^T + b`: (*batch, in_features) -> (*batch, out_features).

    Its parameters are `{"weight": (out, in), "bias": (out,)}`; the bias is missing with `bias=False`, and otherwise
    drawn by the given initializer (by default zeros). Raises ArgumentError for sizes below 1.

    >>> layer = Linear(3, 2)
    >>> params = layer.init(tm.random.key(0))
    >>> params["weight"].shape, layer.apply(params, np.ones((5, 3), np.float32)).shape
    ((2, 3), (5, 2))
    """

    in_features: int
    out_features: int
    weight: Initializer = glorot_uniform
    bias: Initializer | bool = True
    dtype: npt.DTypeLike = np.float32

    def __post_init__(self) -> None:
        """Check the sizes."""
        check_count("Linear", "in_features", self.in_features)
        check_count("Linear", "out_features", self.out_features)

    def __repr__(self) -> str:
        return f"Linear({self.in_features}, {self.out_features}{'' if self.bias else ', bias=False'})"

    @property
    def takes(self) -> Pattern:
        """Any leading axes, and `in_features`."""
        return (..., self.in_features)

    def output_shape(self, input_shape: Pattern) -> Pattern:
        """The same leading axes, and `out_features`."""
        self.check_input(input_shape)
        return with_last(input_shape, (self.in_features,), (self.out_features,))

    def init(self, key: Array, input_shape: Pattern | None = None) -> dict[str, Array]:
        """The first weight, and the first bias if there is one."""
        super().init(key, input_shape)
        weight_key, bias_key = tm.random.split(key)
        params = {"weight": self.weight(weight_key, (self.out_features, self.in_features), self.dtype)}
        if draw := bias_initializer(self.bias):
            params["bias"] = draw(bias_key, (self.out_features,), self.dtype)
        return params

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """`x W^T + b`."""
        if self.bias:
            return linear(params["weight"], params["bias"], x)
        check_real(repr(self), weight=params["weight"], x=x)
        return times(x, params["weight"].T)


@dataclass(frozen=True)
class Flatten(Layer):
    """Merge the axes from `start` on into one; by default all but the first, which is the batch axis.

    A negative `start` keeps any number of leading axes: `Flatten(-3)` merges (channels, height, width).

    >>> Flatten().apply((), np.ones((32, 8, 8))).shape, Flatten(-2).apply((), np.ones((8, 8))).shape
    ((32, 64), (64,))
    """

    start: int = 1

    def output_shape(self, input_shape: Pattern) -> Pattern:
        """The axes before `start`, and the product of the others."""
        free, sizes = split_pattern(check_pattern(input_shape))
        start = self.start
        if free:
            if start >= 0:
                return (None,) * (start + 1)
            return (..., *sizes[:start], _product((None,) * (-start - len(sizes)) + sizes[start:]))
        if len(sizes) < abs(start):
            raise ShapeError(f"{self!r} needs at least {abs(start)} axes, but was given {shown(input_shape)}.")
        return (*sizes[:start], _product(sizes[start:]))

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The same elements in the new shape."""
        check_real(repr(self), x=x)
        return np.reshape(x, cast(Any, self.output_shape(x.shape)))


def _product(sizes: tuple[int | None, ...]) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


__all__ = ["Flatten", "Linear"]
