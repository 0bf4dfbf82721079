"""Rows of embedding and of dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

import tapem as tm
from layers.ops.dropout import masked
from layers.ops.embedding import added_rows, checked_ids, embedding
from tests.tables import Row


def _values(*shape: int) -> Any:
    return np.random.default_rng(shape).normal(size=shape)


def _embedding(vocabulary: int, dim: int, ids: Any, note: str = "") -> Row:
    ids = np.array(ids, np.int64)

    def taken(table: Any, ids: Any) -> Any:
        return np.reshape([table[i] for i in ids.ravel()], (*ids.shape, dim))

    return Row(embedding, (_values(vocabulary, dim), ids), reference=taken, note=note)


def _added(vocabulary: int, dim: int, ids: Any, note: str = "") -> Row:
    ids = np.array(ids, np.int64)

    def added(rows: Any, ids: Any, vocabulary: int) -> Any:
        return np.tensordot(np.eye(vocabulary)[ids], rows, (tuple(range(ids.ndim)),) * 2)

    return Row(added_rows, (_values(*ids.shape, dim), ids), {"vocabulary": vocabulary}, reference=added, note=note)


def _kept(x: Any, key: Any, rate: float) -> Any:
    return np.where(tm.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


ROWS: list[Row] = [
    _embedding(4, 2, [1, 3, 1, 1], note="repeated"),
    _embedding(3, 2, [[2, 0, 0], [1, 1, 2]]),
    _embedding(3, 1, 2, note="a single id"),
    _embedding(2, 3, np.zeros((2, 0)), note="no ids"),
    _embedding(3, 0, [1, 1], note="rows of nothing"),
    _added(4, 2, [1, 3, 1, 1], note="repeated"),
    _added(3, 2, [[2, 0, 0], [1, 1, 2]]),
    _added(3, 1, 2, note="a single id"),
    _added(2, 3, np.zeros((2, 0)), note="no ids"),
    _added(3, 0, [1, 1], note="rows of nothing"),
    Row(checked_ids, (np.array([[2, 0], [1, 1]]),), {"vocabulary": 3}, reference=lambda ids, vocabulary: ids),
    Row(masked, (_values(3, 4), tm.random.key(0)), {"rate": 0.4}, reference=_kept),
    Row(masked, (_values(2, 0), tm.random.key(0)), {"rate": 0.5}, reference=_kept, note="empty"),
    Row(masked, (_values(5), tm.random.key(1)), {"rate": 0.0}, reference=lambda x, key, rate: x, note="identity"),
]
