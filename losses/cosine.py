"""The angle between vectors as a loss: one minus the cosine similarity."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

import tapem as tm
from losses.reduction import Reduction, like, reduced
from losses.rows import PerExample, abstract_rows, batch_rows, examples, per_row
from tapem import Real, Tensor, primitive

Vectors: TypeAlias = Float[Tensor, "*batch n"]
VectorTargets: TypeAlias = Real[Tensor, "*batch n"]


def _over(x: Any, norm: Any) -> Any:
    # Vectors of norm 0 have no direction: their similarity and its derivative are 0.
    some = norm > 0
    return np.where(some, x, 0) / np.where(some, norm, 1)


def _unit(x: Any) -> tuple[Any, Any]:
    """The vectors, scaled to length 1 along the last axis, and their norms."""
    norm = tm.norm(x, axis=-1, keepdims=True)
    return _over(x, norm), norm


def _cosine_slopes(x: Any, other: Any) -> Any:
    """The derivative of `1 - cos(x, other)` by x, row by row."""
    direction, norm = _unit(x)
    towards = _unit(other)[0]
    return _over(np.sum(direction * towards, axis=-1, keepdims=True) * direction - towards, norm)


@primitive(
    wide=True,
    rrule=(
        lambda g, y, prediction, target, reduction: (
            _cosine_slopes(prediction, like(target, prediction)) * per_row(g, reduction, examples(prediction))
        ),
        lambda g, y, prediction, target, reduction: (
            _cosine_slopes(like(target, prediction), prediction) * per_row(g, reduction, examples(prediction))
        ),
    ),
    frule=(
        lambda t, y, prediction, target, reduction: reduced(
            np.sum(_cosine_slopes(prediction, like(target, prediction)) * t, axis=-1), reduction
        ),
        lambda t, y, prediction, target, reduction: reduced(
            np.sum(_cosine_slopes(like(target, prediction), prediction) * like(t, prediction), axis=-1), reduction
        ),
    ),
    batch=batch_rows,
    abstract=abstract_rows,
)
def cosine_similarity(prediction: Vectors, target: VectorTargets, *, reduction: Reduction = "mean") -> PerExample:
    """How much the directions of two vectors differ: `1 - cos(prediction, target)`, from 0 (equal) to 2 (opposite).

    Vectors lie along the last axis. Float "*batch n", Real "*batch n" -> Float "", or Float "*batch" with
    `reduction="none"`. It is one minus the cosine similarity, since training minimizes a loss. For a vector of zeros
    the loss is 1, and its derivative 0.

    >>> cosine_similarity(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[2.0, 0.0], [-1.0, 1.0]]), reduction="none")
    array([0., 1.])
    """
    cosine = np.sum(_unit(prediction)[0] * _unit(like(target, prediction))[0], axis=-1)
    return reduced(1 - cosine, reduction)


__all__ = ["cosine_similarity"]
