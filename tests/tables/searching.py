"""Rows of the ops that search and count: axes of both signs, several axes, none, and axes of size 0 and 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops import searching
from tests.tables import Row

X = np.random.default_rng(0).normal(size=(2, 3, 4))
FLAGS = np.random.default_rng(1).integers(0, 2, size=(2, 3, 4)).astype(bool)


def row(op: Any, x: Any, **static: Any) -> Row:
    """A row of an op that is not differentiated."""
    return Row(op, (x,), static, op.numpy[0], order=0)


ROWS: list[Row] = [
    *[
        row(op, x, axis=axis, keepdims=keepdims)
        for op in (searching.argmax, searching.argmin)
        for x in (X, np.ones((3, 1, 2)))
        for axis in (None, 0, 1, -1)
        for keepdims in (False, True)
    ],
    *[row(op, np.array(2.0)) for op in (searching.argmax, searching.argmin)],
    *[row(op, np.zeros((0, 3)), axis=1) for op in (searching.argmax, searching.argmin)],
    *[
        row(op, x, axis=axis, keepdims=keepdims)
        for op in (searching.any, searching.all, searching.count_nonzero)
        for x in (FLAGS, X, np.zeros((2, 0, 3)))
        for axis in (None, 0, -2, (0, 2), (-1, 1), ())
        for keepdims in (False, True)
    ],
    *[row(op, np.array(True)) for op in (searching.any, searching.all, searching.count_nonzero)],
    *[row(searching.argsort, X, axis=axis) for axis in (None, 0, 1, -1)],
    row(searching.argsort, FLAGS, axis=1, kind="stable"),
    row(searching.argsort, FLAGS, axis=-1, stable=True),
    row(searching.argsort, np.zeros((2, 0)), axis=1),
    *[
        Row(searching.argpartition, (X,), {"kth": kth, "axis": axis}, np.argpartition, order=0)
        for kth in (0, 1, (0, 1))
        for axis in (None, 0, 1, -1)
    ],
    Row(searching.argpartition, (X[:, :1],), {"kth": 0, "axis": 1}, np.argpartition, order=0),
    Row(searching.argpartition, (np.zeros((0, 3)),), {"kth": 1, "axis": 1}, np.argpartition, order=0),
]
