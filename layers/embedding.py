"""The layer that gives every integer of a vocabulary a learned vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layers.initializers import Initializer, normal
from layers.module import Array, Layer
from layers.ops.arguments import check_count
from layers.ops.embedding import embedding
from layers.shapes import Pattern, with_last


@dataclass(frozen=True, repr=False)
class Embedding(Layer):
    """A vector for every integer from 0 to `vocabulary - 1`: Integer (*ids,) -> (*ids, dim); see `layers.embedding`.

    Its parameters are `{"table": (vocabulary, dim)}`, by default drawn from the normal distribution with standard
    deviation 0.05. Raises ArgumentError for sizes below 1.

    >>> import tapem as tm
    >>> layer = Embedding(10, 4)
    >>> layer.apply(layer.init(tm.random.key(0)), np.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    vocabulary: int
    dim: int
    table: Initializer = normal
    dtype: npt.DTypeLike = np.float32

    def __post_init__(self) -> None:
        """Check the sizes."""
        check_count("Embedding", "vocabulary", self.vocabulary)
        check_count("Embedding", "dim", self.dim)

    def __repr__(self) -> str:
        return f"Embedding({self.vocabulary}, {self.dim})"

    def output_shape(self, input_shape: Pattern) -> Pattern:
        """The axes of the ids, and `dim`."""
        self.check_input(input_shape)
        return with_last(input_shape, (), (self.dim,))

    def init(self, key: Array, input_shape: Pattern | None = None) -> dict[str, Array]:
        """The first table."""
        super().init(key, input_shape)
        return {"table": self.table(key, (self.vocabulary, self.dim), self.dtype)}

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The rows of the table."""
        return embedding(params["table"], x)


__all__ = ["Embedding"]
