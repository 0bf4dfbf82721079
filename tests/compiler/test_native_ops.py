"""Every op of the table, compiled by the numba engine: values and derivatives are the eager ones, to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.compiler.native.scalars import ONLY_IN_LOOPS
from tapem.core import tree_flatten
from tests.compiler.test_every_op import needs_values, value_and_cotangents
from tests.tables import Row
from tests.test_table import TABLE

ROWS: dict[str, list[Row]] = {}
for _, entry in TABLE:
    operands = [np.asarray(x) for x in entry.operands if x is not None]
    if not any(x.dtype.kind == "c" or x.dtype.itemsize > 8 for x in operands) and not needs_values(entry):
        ROWS.setdefault(getattr(entry.op, "name", ""), []).append(entry)

# Ops of every kind of native code; a compilation takes a second, so the others run with -m slow.
SAMPLE = "where sum max logsumexp softmax matmul clamp gelu layer_norm attention_weights cross_entropy".split()
MOST = 8
"""The number of rows of an op in one program."""


def of_dtype(row: Row, dtype: Any) -> list[Any]:
    """The operands of a row, with floats of another dtype."""
    return [x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in row.operands]


def works(function: Callable[..., Any], operands: list[Any]) -> bool:
    try:
        with np.errstate(all="ignore"):
            function(*operands)
    except tm.TapeError:
        return False
    return True


def check(rows: list[Row], dtype: Any) -> None:
    """Hold rows of an op, some in one program, against the eager values."""
    cases = [(value_and_cotangents(row), of_dtype(row, dtype)) for row in rows]
    cases = [case for case in cases if works(*case)]
    for start in range(0, len(cases), MOST):
        functions, operands = zip(*cases[start : start + MOST], strict=True)

        def every(*operands: Any, functions: Any = functions) -> Any:
            return [function(*own) for function, own in zip(functions, operands, strict=True)]

        with np.errstate(all="ignore"):
            expected = tree_flatten(every(*operands))[0]
        found = tree_flatten(tm.compile(every, engine="numba")(*operands))[0]
        for one, other in zip(found, expected, strict=True):
            assert np.asarray(one).dtype == np.asarray(other).dtype
            assert np.shape(one) == np.shape(other)
            # The cotangent of a Python number beside float32 is computed in float32.
            rtol = 1e-11 if np.asarray(other).dtype.itemsize == dtype().itemsize == 8 else 2e-5
            finite = np.abs(np.asarray(other) * 1.0)[np.isfinite(other)]
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * finite.max(initial=1) / 10)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_native_op(name: str) -> None:
    check(ROWS[name][:4], np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_c_are_native_in_loops_for_both_floats(dtype: Any) -> None:
    unary = sorted(ONLY_IN_LOOPS - {"arctan2", "hypot", "fmod"})
    rows = [getattr(np, name) for name in unary]
    x = np.array([0.25, 0.5, 0.75], dtype)

    def f(x: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            found = [own(carry + 1) if own is np.arccosh else own(carry) for own in rows]
            return carry * dtype(0.9), (*found, np.arctan2(carry, x), np.hypot(carry, x), np.fmod(carry, x))

        return tm.scan(step, x, None, length=3)

    compiled = tm.compile(f, engine="numba")
    for one, other in zip(tree_flatten(compiled(x))[0], tree_flatten(f(x))[0], strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=8 * np.finfo(dtype).eps)
    assert "called" not in repr(compiled)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_op(name: str, dtype: Any) -> None:
    check(ROWS[name], dtype)


@pytest.mark.parametrize("length", [3, 16, 40, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes_of_rows_are_those_of_numpy(length, dtype):
    x = np.random.default_rng(0).standard_normal((12, length)).astype(dtype)
    for row, place, value in [(1, 0, np.nan), (2, -1, np.nan), (3, 1, np.inf), (4, 2, -np.inf), (6, 1, np.nan)]:
        x[row, place] = value
    x[5], x[6, 0], x[7], x[8] = -np.inf, np.inf, np.nan, np.inf

    def f(x):
        return np.max(x, axis=1), np.min(x, axis=1, keepdims=True), np.max(x), np.min(x[:1]), np.max(x, axis=0)

    for ours, theirs in zip(tm.compile(f, engine="numba")(x), f(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
