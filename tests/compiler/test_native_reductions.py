"""Reductions in native loops: extremes among special values, and as fast as NumPy's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm

pytest.importorskip("numba")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes_of_special_values(dtype: Any) -> None:
    tiny = np.finfo(dtype).tiny / 4
    values = np.array([0.0, -0.0, 1.5, -1.5, tiny, -tiny, np.inf, -np.inf, np.nan, -np.nan, 3e38, -3e38], dtype)
    rows = np.stack([*np.random.default_rng(0).choice(values, (300, 3)), *values[:, None].repeat(3, 1)])

    def extremes(x: Any) -> Any:
        return np.max(x, 1), np.min(x, 1), [(np.max(row), np.min(row)) for row in x[-12:]]

    found, expected = tm.tree_leaves(tm.compile(extremes, engine="numba")(rows)), tm.tree_leaves(extremes(rows))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        np.testing.assert_array_equal(one, other)
    same = np.array([len({*map(str, row)}) == 1 for row in rows])  # of equal elements it is one of them
    np.testing.assert_array_equal(
        np.signbit(found[0][same & (rows[:, 0] == 0)]), np.signbit(rows[same & (rows[:, 0] == 0), 0])
    )


def seconds(function: Callable[..., Any], x: Any) -> float:
    """The least time of a call."""
    times: list[float] = []
    for _ in range(20):
        start = time.perf_counter()
        function(x)
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("axis", [None, 1])
def test_extremes_are_vectorized(axis: int | None) -> None:
    """One element at a time, they take twenty times as long as in NumPy."""
    x = np.random.default_rng(0).normal(size=(1000, 256)).astype(np.float32)
    fast = tm.compile(lambda x: np.max(np.abs(x), axis), engine="numba")
    fast(x)
    assert seconds(fast, x) < 4 * seconds(lambda x: np.max(np.abs(x), axis), x)
