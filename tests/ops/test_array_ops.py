"""Reductions, softmax, cumulative ops, shapes, joining: every row against NumPy, finite differences and a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tapem.transforms.derivatives import jvp, vjp
from tapem.transforms.vectorize import vmap
from tests.tables import Row, cumulative, joining, reductions, shaping, softmax

ROWS = [*reductions.ROWS, *softmax.ROWS, *cumulative.ROWS, *shaping.ROWS, *joining.ROWS]
SMOOTH = [
    row
    for row in ROWS
    if row.order and row.op.differentiable and any(np.asarray(x).dtype == float for x in row.operands)  # type: ignore[attr-defined]
]


def parts(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


def program(row: Row) -> tuple[Any, tuple[Any, ...]]:
    """The op as a function of its float operands alone, and these operands."""
    chosen = [i for i, x in enumerate(row.operands) if np.asarray(x).dtype.kind == "f"]

    def f(*xs: Any) -> Any:
        operands = list(row.operands)
        for i, x in zip(chosen, xs, strict=True):
            operands[i] = x
        return row.op(*operands, **row.static)

    return f, tuple(np.asarray(row.operands[i]) for i in chosen)


def like(values: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(size=np.shape(x)) for x in (values if isinstance(values, tuple) else (values,))]
    return tuple(drawn) if isinstance(values, tuple) else drawn[0]


def inner(a: Any, b: Any) -> Any:
    return sum(np.sum(x * y) for x, y in zip(parts(a), parts(b), strict=True))


def slope(f: Any, xs: Any, ts: Any, h: float = 1e-5) -> list[Any]:
    ahead, behind = (f(*(x + s * t for x, t in zip(xs, ts, strict=True))) for s in (h, -h))
    return [(np.asarray(a) - b) / (2 * h) for a, b in zip(parts(ahead), parts(behind), strict=True)]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_value(row: Row) -> None:
    value, expected = row.op(*row.operands, **row.static), row.reference(*row.operands, **row.static)  # type: ignore[misc]
    approximate = any(name in str(row) for name in ("softmax", "logsumexp", "recurrence", "segment_sum", "unpad"))
    for one, other in zip(parts(value), parts(expected), strict=True):
        assert np.shape(one) == np.shape(other) and np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_allclose(one, other, rtol=1e-12 if approximate else 0)


@pytest.mark.parametrize("row", SMOOTH, ids=str)
def test_both_modes(row: Row) -> None:
    f, xs = program(row)
    ts = tuple(like(x, 1) for x in xs)
    y, dy = jvp(f, xs, ts)
    for one, other in zip(parts(dy), slope(f, xs, ts), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    w = like(y, 2)
    np.testing.assert_allclose(inner(w, dy), inner(vjp(f, *xs)[1](w), ts), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("row", [row for row in SMOOTH if row.order > 1], ids=str)
def test_second_order(row: Row) -> None:
    f, xs = program(row)
    w, ts, us = like(f(*xs), 1), tuple(like(x, 2) for x in xs), tuple(like(x, 3) for x in xs)
    pulled = lambda *xs: vjp(f, *xs)[1](w)  # noqa: E731
    pushed = lambda *xs: jvp(f, xs, ts)[1]  # noqa: E731
    expected = slope(pulled, xs, us)
    over = jvp(pulled, xs, us)[1]
    for one, other in zip(parts(over), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    # reverse over reverse and reverse over forward say the same
    np.testing.assert_allclose(inner(vjp(pulled, *xs)[1](us), ts), inner(vjp(pulled, *xs)[1](ts), us), atol=1e-9)
    np.testing.assert_allclose(inner(vjp(pushed, *xs)[1](w), us), inner(over, ts), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("row", "mapped"),
    [(row, range(len(row.operands))) for row in ROWS]
    + [(row, [i]) for row in ROWS for i in range(len(row.operands)) if len(row.operands) > 1],
    ids=str,
)
def test_batch_rule(row: Row, mapped: Sequence[int]) -> None:
    for size in (3, 0):
        operands = list(row.operands)
        axes: list[int | None] = [None] * len(operands)
        for i in mapped:
            x = np.asarray(operands[i])
            scale = np.arange(1, size + 1, dtype=x.dtype).reshape(-1, *(1,) * x.ndim) if x.dtype.kind == "f" else 1
            operands[i] = np.broadcast_to(x, (size, *x.shape)) * np.asarray(scale, x.dtype)
            axes[i] = 0
        value = parts(vmap(lambda *xs: row.op(*xs, **row.static), in_axes=tuple(axes))(*operands))
        loop = [
            parts(row.op(*(x[k] if i in mapped else x for i, x in enumerate(operands)), **row.static))
            for k in range(size)
        ]
        for part, one in enumerate(value):
            assert np.shape(one)[0] == size
            if size:
                np.testing.assert_allclose(one, np.stack([results[part] for results in loop]), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("row", SMOOTH, ids=str)
def test_dtype_is_kept(row: Row, dtype: Any) -> None:
    operands = [
        np.asarray(x).astype(dtype)[()] if np.asarray(x).dtype == float else np.asarray(x).astype(np.int8)
        for x in row.operands
    ]
    f, xs = program(Row(row.op, tuple(operands), row.static))
    y, pullback = vjp(f, *xs)
    for value in parts(y):
        assert value.dtype == dtype
    weights = [np.ones(np.shape(value), dtype) for value in parts(y)]
    for cotangent, x in zip(pullback(tuple(weights) if isinstance(y, tuple) else weights[0]), xs, strict=True):
        assert cotangent.dtype == dtype and np.shape(cotangent) == np.shape(x)
