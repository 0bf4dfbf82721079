"""The layer that tells a network the position of an element in a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from layers.module import Layer
from layers.ops.arguments import check_real
from layers.ops.positions import check_base, sinusoidal_positions
from layers.shapes import Pattern


@dataclass(frozen=True)
class SinusoidalPositions(Layer):
    """Add to every vector of (*batch, n, dim) a code of its position; see `layers.sinusoidal_positions`.

    It has no parameters. Raises ArgumentError for a base below 1.

    >>> import numpy as np
    >>> SinusoidalPositions().apply((), np.zeros((2, 4))).round(2)
    array([[0.  , 1.  , 0.  , 1.  ],
           [0.84, 0.54, 0.01, 1.  ]])
    """

    base: float = 10000.0

    def __post_init__(self) -> None:
        """Check the base."""
        check_base("SinusoidalPositions", self.base)

    @property
    def takes(self) -> Pattern:
        """Any leading axes, positions, and elements."""
        return (..., None, None)

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The vectors with their positions."""
        check_real(repr(self), x=x)
        return x + sinusoidal_positions(*x.shape[-2:], base=self.base, dtype=x.dtype)


__all__ = ["SinusoidalPositions"]
