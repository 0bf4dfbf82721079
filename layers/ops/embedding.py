"""Embedding: the rows of a table that integers select."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Integer

import tapem as tm
from tapem import ArgumentError, ShapeDtype, Tensor, primitive

Ids: TypeAlias = Integer[Tensor, "*ids"]


def _known(ids: Any, vocabulary: int) -> Any:
    """The ids as an array; ArgumentError if one of them is below 0 or beyond the vocabulary."""
    ids = np.asarray(ids)
    if ids.size and ids.dtype.kind in "iu" and (ids.min() < 0 or ids.max() >= vocabulary):
        at = tuple(int(i) for i in np.argwhere((ids < 0) | (ids >= vocabulary))[0])
        raise ArgumentError(
            f"embedding(table, ids): id {int(ids[at])} at position {at} is out of range: the table has {vocabulary} "
            f"rows, so ids are 0 to {vocabulary - 1}."
        )
    return ids


def _batch_checked(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    return op(*inputs, **static)


@primitive(differentiable=False, batch=_batch_checked, abstract=lambda ids, vocabulary: ShapeDtype.of(ids))
def checked_ids(ids: Ids, *, vocabulary: int) -> Ids:
    """The ids as they are: Integer "*ids" -> Integer "*ids". ArgumentError for one below 0 or beyond the vocabulary.

    >>> checked_ids(np.array([2, 0]), vocabulary=3)
    array([2, 0])
    """
    return _known(ids, vocabulary)


def _apart(ids: Any, size: int, vocabulary: int) -> Any:
    """The ids of a batch, where the tables of all examples stand below each other as one."""
    offsets = np.reshape(np.arange(size) * vocabulary, (size, *(1,) * (ids.ndim - 1)))
    return checked_ids(ids, vocabulary=vocabulary).astype(np.intp) + offsets


def _batch_embedding(
    op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    table, ids = inputs
    if not mapped[0]:
        return embedding(table, ids)
    vocabulary, dim = table.shape[1:]
    if mapped[1]:
        return embedding(np.reshape(table, (size * vocabulary, dim)), _apart(ids, size, vocabulary))
    # The rows of all tables side by side.
    wide = np.reshape(np.moveaxis(table, 0, 1), (vocabulary, size * dim))
    return np.moveaxis(np.reshape(embedding(wide, ids), (*np.shape(ids), size, dim)), -2, 0)


def _pull(g: Any, y: Any, table: Any, ids: Any) -> Any:
    """Every row of g added to the row of the table that it was taken from."""
    rows = np.reshape(g, (-1, table.shape[1]))
    return tm.scatter_add(np.zeros(table.shape, g.dtype), np.reshape(ids, (-1, 1)), rows, axis=0)


@primitive(
    rrule=(_pull, None),
    frule=(lambda t, y, table, ids: embedding(t, ids), None),
    batch=_batch_embedding,
    abstract=lambda table, ids: ShapeDtype((*np.shape(ids), table.shape[1]), table.dtype),
)
def embedding(table: Float[Tensor, "vocabulary dim"], ids: Ids) -> Float[Tensor, "*ids dim"]:
    """The rows of a table that the ids select: Float "vocabulary dim", Integer "*ids" -> Float "*ids dim".

    The gradient of a row that is selected several times is the sum. Ids count from 0; unlike NumPy's, they are never
    negative.

    Raises ArgumentError for an id out of range, DTypeError for ids that are not integers.

    >>> table = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> embedding(table, np.array([2, 0]))
    array([[5., 6.],
           [1., 2.]])
    >>> import tapem as tm
    >>> tm.grad(lambda table: np.sum(embedding(table, np.array([1, 1]))))(table)
    array([[0., 0.],
           [2., 2.],
           [0., 0.]])
    """
    return np.take(table, _known(ids, table.shape[0]), axis=0)


__all__ = ["checked_ids", "embedding"]
