"""The layer that sets a random part of the elements to zero in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from layers.module import Layer
from layers.ops.dropout import check_rate, dropout
from tapem import ArgumentError


@dataclass(frozen=True)
class Dropout(Layer):
    """Set every element to zero with probability `rate` in training; otherwise do nothing. See `layers.dropout`.

    In training it needs a key: `model.apply(params, x, key=key, train=True)`, a new one for every step. Raises
    ArgumentError for a rate outside [0, 1) or a missing key.

    >>> import numpy as np, tapem as tm
    >>> layer, x = Dropout(0.5), np.ones(6)
    >>> layer.apply((), x), layer.apply((), x, key=tm.random.key(1), train=True)
    (array([1., 1., 1., 1., 1., 1.]), array([2., 2., 2., 0., 2., 2.]))
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        """Check the rate."""
        check_rate("Dropout", self.rate)

    def __repr__(self) -> str:
        return f"Dropout({self.rate})"

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """In training the kept elements, scaled, and zeros; otherwise x."""
        if not train:
            return x
        if key is None:
            raise ArgumentError(
                f"{self!r} draws random numbers in training and needs a key: call "
                "model.apply(params, x, key=tm.random.key(seed), train=True), with a new key for every step."
            )
        return dropout(x, self.rate, key)


__all__ = ["Dropout"]
