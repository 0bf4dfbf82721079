"""Every op of layers and losses in float16, near its largest and smallest numbers, against itself in float64.

Where the true value, or derivative, is a float16, what is computed must be that, whatever is formed on the way.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tests.tables import Row

MODULES = [
    "attention", "convolution", "embedding", "layer_edges", "linear", "losses", "normalization", "pooling", "positions",
    "recurrence",
]  # fmt: skip
ROWS = [(name, row) for name in MODULES for row in importlib.import_module(f"tests.tables.{name}").ROWS]
LARGEST = float(np.finfo(np.float16).max)


def is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "f"


def compare(half: Any, single: Any, exact: Any, what: str) -> None:
    """The elements that float16 can hold: to its precision, relative to the greatest of them, or as good as float32."""
    half, single, exact = map(np.asarray, (half, single, exact))
    fits = np.maximum(np.abs(exact), np.abs(single)) < 0.99 * LARGEST
    size = np.max(np.abs(exact), where=fits, initial=0)
    allowed = 0.02 * np.abs(exact) + 0.01 * size + 1e-5 + 10 * np.abs(single - exact)
    np.testing.assert_array_less(np.abs(half - exact)[fits], allowed[fits], err_msg=what)


def leaves(tree: Any) -> list[Any]:
    return tm.tree_flatten(tree)[0]


def derivatives(row: Row, operands: list[Any], at: list[int]) -> dict[str, Any]:
    """The value, the cotangents and the tangents of an op, in all the operands that can be perturbed."""

    def f(*xs: Any) -> Any:
        return row.op(*(xs[at.index(j)] if j in at else x for j, x in enumerate(operands)), **row.static)

    primals = tuple(operands[j] for j in at)
    random = np.random.default_rng(0)

    def drawn(x: Any) -> Any:
        return random.integers(-8, 9, np.shape(x)).astype(x.dtype) / 8 if is_float(x) else np.zeros_like(x)

    value, pullback = tm.vjp(f, *primals)
    cotangents = pullback(tm.tree_map(drawn, value))
    # One operand's share of a tangent is rounded before the next is added, so each is looked at by itself.
    tangents = [
        one
        for k, x in enumerate(primals)
        for one in leaves(tm.jvp(lambda x, k=k: f(*primals[:k], x, *primals[k + 1 :]), (x,), (drawn(x),))[1])
    ]
    for one in (*leaves(value), *cotangents, *tangents):
        assert not is_float(one) or one.dtype == operands[at[0]].dtype or not is_float(leaves(value)[0])
    return {
        **{f"value {k}": one for k, one in enumerate(leaves(value))},
        **{f"cotangent {j}": one for j, one in zip(at, cotangents, strict=True)},
        **{f"tangent {k}": one for k, one in enumerate(tangents)},
    }


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("row", [pytest.param(row, id=f"{name}-{row}"[:120]) for name, row in ROWS])
def test_what_float16_can_hold_is_right(row: Row) -> None:
    at = [i for i, x in enumerate(row.operands) if is_float(x) and np.asarray(x).size]
    # One operand at a time is large or small, and then all.
    for chosen in [*([i] for i in at), *([at] if len(at) > 1 else [])]:
        for scale in (1.0, 30.0, 300.0, 2000.0, 1e-3):
            half = [
                np.asarray(x * scale if j in chosen else x).astype(np.float16) if is_float(x) else x
                for j, x in enumerate(row.operands)
            ]
            wide = [x.astype(float) if is_float(x) else x for x in half]
            try:
                exact = derivatives(row, wide, at)
            except tm.ArgumentError:
                continue  # out of the domain
            single = derivatives(row, [x.astype(np.float32) if is_float(x) else x for x in half], at)
            for name, found in derivatives(row, half, at).items():
                compare(found, single[name], exact[name], f"{name}, with operands {chosen} times {scale}")
