"""Embedding: the rows of a table that integers select."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Integer

from tapem import ArgumentError, ShapeDtype, Tensor, primitive

Ids: TypeAlias = Integer[Tensor, "*ids"]


def _known(ids: Any, vocabulary: int) -> Any:
    """The ids as an array; raises ArgumentError for an id below 0 or beyond the vocabulary."""
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
    """The ids, unchanged: Integer "*ids" -> Integer "*ids". Raises ArgumentError for one outside the vocabulary.

    >>> checked_ids(np.array([2, 0]), vocabulary=3)
    array([2, 0])
    """
    return _known(ids, vocabulary)


def _apart(ids: Any, size: int, vocabulary: int) -> Any:
    """The ids of a batch in one table, in which the tables of all examples follow each other."""
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


def _batch_added(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    rows, ids = inputs
    vocabulary, dim = static["vocabulary"], rows.shape[-1]
    if mapped[1]:
        rows = rows if mapped[0] else np.broadcast_to(rows, (size, *rows.shape))
        whole = added_rows(rows, _apart(ids, size, vocabulary), vocabulary=size * vocabulary)
        return np.reshape(whole, (size, vocabulary, dim))
    # The rows of all examples side by side.
    wide = np.reshape(np.moveaxis(rows, 0, -2), (*np.shape(ids), size * dim))
    return np.moveaxis(np.reshape(added_rows(wide, ids, vocabulary=vocabulary), (vocabulary, size, dim)), 1, 0)


@primitive(
    rrule=(lambda g, y, rows, ids, vocabulary: embedding(g, ids), None),
    frule=(lambda t, y, rows, ids, vocabulary: added_rows(t, ids, vocabulary=vocabulary), None),
    batch=_batch_added,
    abstract=lambda rows, ids, vocabulary: ShapeDtype((vocabulary, rows.shape[-1]), rows.dtype),
)
def added_rows(rows: Float[Tensor, "*ids dim"], ids: Ids, *, vocabulary: int) -> Float[Tensor, "{vocabulary} dim"]:
    """A table of zeros plus each row at its id: the transpose of `embedding`.

    Float "*ids dim", Integer "*ids" -> Float "vocabulary dim".

    >>> added_rows(np.array([[1.0], [2.0], [4.0]]), np.array([1, 1, 2]), vocabulary=3)
    array([[0.],
           [3.],
           [4.]])
    """
    dim = rows.shape[-1]
    table = np.zeros(vocabulary * dim, rows.dtype)
    # NumPy adds into one axis several times faster than into two.
    places = np.reshape(ids, (-1, 1)).astype(np.intp) * dim + np.arange(dim)
    np.add.at(table, places.reshape(-1), rows.reshape(-1))
    return table.reshape(vocabulary, dim)


@primitive(
    rrule=(lambda g, y, table, ids: added_rows(g, ids, vocabulary=table.shape[0]), None),
    frule=(lambda t, y, table, ids: embedding(t, ids), None),
    batch=_batch_embedding,
    abstract=lambda table, ids: ShapeDtype((*np.shape(ids), table.shape[1]), table.dtype),
)
def embedding(table: Float[Tensor, "vocabulary dim"], ids: Ids) -> Float[Tensor, "*ids dim"]:
    """The rows of a table that the ids select: Float "vocabulary dim", Integer "*ids" -> Float "*ids dim".

    The gradient of a row that is selected several times is the sum of their gradients. Ids count from 0; unlike
    NumPy's, they are never negative.

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
    return np.take(table, _known(ids, table.shape[0]).astype(np.intp, copy=False), axis=0)


__all__ = ["added_rows", "checked_ids", "embedding"]
