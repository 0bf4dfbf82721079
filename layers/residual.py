"""Residual: a layer, or several, whose input is added to their output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from layers.module import EMPTY, Array, Layer, Params, Part, Sequential
from layers.shapes import Pattern, check_pattern, misfit, shown
from tapem import ArgumentError, ShapeError


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """`x + layer(x)`: the layer learns the change. Its parameters and state are those of the layer.

    The constructor raises ShapeError if input and output of the layer cannot have the same shape. Source: He et al.,
    "Deep residual learning for image recognition", 2016.

    >>> import numpy as np, tapem as tm
    >>> from layers import Linear, Relu
    >>> model = Residual(Linear(2, 8) >> Relu() >> Linear(8, 2))
    >>> model.apply(model.init(tm.random.key(0)), np.zeros((3, 2), np.float32)).shape
    (3, 2)
    """

    layer: Layer

    def __post_init__(self) -> None:
        """Check that input and output of the layer can have the same shape."""
        if not isinstance(self.layer, Layer):
            raise ArgumentError(f"Residual is made of a layer, but was given {self.layer!r}.")
        self.output_shape(self.takes)

    def __repr__(self) -> str:
        inner = self.layer
        return f"Residual({' >> '.join(map(repr, inner.layers)) if isinstance(inner, Sequential) else repr(inner)})"

    @property
    def takes(self) -> Pattern:
        """The shape that the layer takes."""
        return self.layer.takes

    def output_shape(self, input_shape: Pattern) -> Pattern:
        """The shape of the input, which must also be that of the layer's output."""
        given = self.layer.output_shape(check_pattern(input_shape))
        reason = misfit(given, input_shape)
        if reason is not None:
            raise ShapeError(
                f"{self!r} adds x to what the layer gives, but that has shape {shown(given)} where x has shape "
                f"{shown(input_shape)}: {reason}."
            )
        return input_shape

    def init(self, key: Array, input_shape: Pattern | None = None) -> Params:
        """The first parameters of the layer."""
        if input_shape is not None:
            self.output_shape(input_shape)
        return self.layer.init(key, input_shape)

    def init_state(self) -> Any:
        """The first state of the layer."""
        return self.layer.init_state()

    def parts(self, params: Any, input_shape: Pattern) -> Sequence[Part]:
        """The layer."""
        return (Part(self.layer, params, input_shape),)

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """`x + layer(x)`."""
        return self.step(params, EMPTY, x, key=key, train=train)[0]

    def step(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        """`x + layer(x)`, and the new state of the layer."""
        value, after = self.layer.as_part(params, state, x, key=key, train=train)
        return self._sum(x, value), after

    def _sum(self, x: Any, value: Any) -> Any:
        if value.shape != x.shape:  # shapes that would broadcast are refused too
            self.output_shape(x.shape)
            raise ShapeError(f"{self!r}: x has shape {x.shape}, but the layer gives {value.shape}.")
        return x + value


__all__ = ["Residual"]
