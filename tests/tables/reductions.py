"""Rows of the reductions, and of the ops that their rules are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.special

from tapem.ops import norms
from tapem.ops import reductions as ops
from tests.tables import Row


def draw(*shape: int) -> Any:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape)


def tied(*shape: int) -> Any:
    """Numbers of which two along the last axis are the greatest: the mean of both sides is half for each."""
    x = draw(*shape)
    x[..., -1] = x[..., 1] = np.max(x, axis=-1) + 1
    return x


SHAPES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((), {}),
    ((5,), {}),
    ((1,), {"axis": 0}),
    ((3, 4), {}),
    ((3, 4), {"axis": 0}),
    ((3, 4), {"axis": -1, "keepdims": True}),
    ((3, 4), {"keepdims": True}),
    ((2, 3, 4), {"axis": (0, -1)}),
    ((2, 3, 4), {"axis": (-1, 1), "keepdims": True}),
    ((2, 3, 4), {"axis": (0, 1, 2)}),
    ((2, 1, 4), {"axis": 1}),
    ((3, 0), {"axis": 0}),
    ((2, 3), {"axis": ()}),
]
EMPTY: list[tuple[tuple[int, ...], dict[str, Any]]] = [((0,), {}), ((0, 3), {"axis": 0}), ((0, 3), {"axis": None})]


def rows(op: Any, reference: Callable[..., Any], *, empty: bool = False, **static: Any) -> list[Row]:
    return [Row(op, (draw(*shape),), {**own, **static}, reference) for shape, own in SHAPES + EMPTY * empty]


def vector_norm(x: Any, **static: Any) -> Any:
    return np.linalg.vector_norm(np.asarray(x), **static)


def scalar_logsumexp(x: Any, **static: Any) -> Any:
    return np.log(np.sum(np.exp(x), **static))


LARGE = np.array([[10000.0, 10000.0, 9992.0], [9992.0, 10008.0, 10000.0]])  # exact in float16 too
WHOLE = np.array([[3, 1, 2], [5, -4, 0]])
ZEROS = np.array([[2.0, 0.0, 3.0, 0.5], [0.0, 1.5, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
NAN_OPS = ((ops.nanmax, np.nanmax), (ops.nanmin, np.nanmin), (ops.nanmean, np.nanmean))

ROWS: list[Row] = [
    *rows(ops.sum, np.sum, empty=True),
    *rows(ops.mean, np.mean),
    *rows(ops.max, np.max),
    *rows(ops.min, np.min),
    *rows(ops.prod, np.prod, empty=True),
    *rows(ops.var, np.var),
    *(Row(ops.var, (draw(3, 4),), static, np.var) for static in ({"ddof": 1}, {"axis": 0, "ddof": 2}, {"ddof": 0.5})),
    *(
        Row(ops.std, row.operands, row.static, np.std)
        for row in rows(ops.std, np.std)
        if ops.count(row.operands[0], row.static.get("axis")) != 1  # a single element is a kink
    ),
    Row(ops.std, (draw(3, 4),), {"axis": 1, "ddof": 1, "keepdims": True}, np.std),
    *rows(ops.logsumexp, scalar_logsumexp),
    Row(ops.logsumexp, (LARGE,), {"axis": 1}, scipy.special.logsumexp, note="large"),
    Row(ops.logsumexp, (-LARGE,), {"axis": 0}, scipy.special.logsumexp, note="very negative"),
    *rows(norms.norm, vector_norm),
    *rows(norms.norm, vector_norm, ord=1),
    *rows(norms.norm, vector_norm, ord=np.inf),
    *(Row(norms.norm, (draw(3, 4) + 3.0,), {"axis": 1, "ord": p}, vector_norm) for p in (1.5, 3, 4.0)),
    # Away from zeros, where it has a kink: there a second difference would compare roundings.
    *(
        replace(row, operands=tuple(x + np.copysign(1.0, x) for x in row.operands))
        for row in rows(norms.quasi_norm, vector_norm, ord=0.5)
    ),
    *(Row(norms.quasi_norm, (draw(3, 4) + 3.0,), {"axis": 1, "ord": p}, vector_norm) for p in (-1, -2.5)),
    *(row for op, f in NAN_OPS for row in rows(op, f)),
    Row(ops.max, (draw(3, 4001),), {"axis": 1}, np.max, "large: only what attains it is written", order=1),
    Row(ops.max, (tied(3, 4001),), {"axis": 1}, np.max, "large, and two attain it", order=1),
    Row(ops.std, (np.array([[1.0, 1.0, 1.0], [0.5, 2.0, 1.5]]),), {"axis": 1}, np.std, "all equal", order=1),
    # integers, where NumPy takes them
    *(Row(op, (WHOLE,), {"axis": 1}, f) for op, f in ((ops.sum, np.sum), (ops.mean, np.mean), (ops.max, np.max))),
    *(Row(op, (WHOLE,), {"axis": 0}, f) for op, f in ((ops.min, np.min), (ops.prod, np.prod), (ops.var, np.var))),
    *(Row(op, (WHOLE,), {}, f) for op, f in ((ops.std, np.std), (norms.norm, vector_norm))),
    Row(ops.logsumexp, (WHOLE,), {"axis": 1}, scipy.special.logsumexp),
    Row(ops.sum, (WHOLE > 1,), {}, np.sum, note="bools are counted"),
    Row(ops.sum, (2.5,), {}, np.sum, note="a Python number"),
    # products with zeros: derivatives of every order exist
    Row(ops.prod, (ZEROS,), {"axis": 1}, np.prod, note="one, two and four zeros"),
    Row(ops.prod, (ZEROS,), {"axis": 0, "keepdims": True}, np.prod, note="with zeros"),
    Row(ops.prod, (ZEROS[:1],), {}, np.prod, note="a zero"),
    Row(ops.prod, (ZEROS[:2, :2],), {"axis": (0, 1)}, np.prod, note="two zeros over two axes"),
    # what the rules are made of
    Row(ops.ties, (np.array([3.0, 1.0, 3.0]), np.array([3.0])), {"axis": 0}, lambda x, y, axis: (x == y) / 2),
    Row(ops.ties, (draw(2, 3), np.zeros((1, 1))), {}, lambda x, y: np.zeros(x.shape), note="no share"),
    Row(
        ops.ties,
        (np.array([[3.0, 1.0, 3.0], [2.0, 1.0, 0.0]]), np.array([[3.0], [5.0]])),
        {"axis": 1},
        lambda x, y, axis: (x == y) / 2,
        note="as many as there are lines, but of one line",
    ),
    Row(ops.differs, (np.array([[1.0, 2.0], [3.0, 3.0]]),), {"axis": 1}, lambda x, axis: np.array([[1.0], [0.0]])),
    Row(ops.differs, (np.full(3, 0.1),), {}, lambda x: np.zeros(1), note="equal, whatever the rounding"),
    Row(ops.differs, (np.zeros((2, 0)),), {"axis": 0}, lambda x, axis: np.zeros((1, 0))),
]
