"""Gathering and scattering in native code: values and derivatives are the eager ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapem as tm

X = np.arange(2 * 3 * 4 * 5, dtype=float).reshape(2, 3, 4, 5)
ROWS, PAIRS = np.array([2, 0, -1, 2]), np.array([[0, -4], [3, 3]])

INDICES: dict[str, Any] = {
    "rows": (slice(None), ROWS),
    "rows from the end": (Ellipsis, ROWS, slice(None), slice(1, 4)),
    "pairs": (1, slice(None), PAIRS),
    "arrays side by side": (slice(None), ROWS[:2], PAIRS),
    "arrays apart": (ROWS[1], slice(None, None, -1), PAIRS, PAIRS[0]),
    "a number apart from an array": (0, slice(None), ROWS, slice(None)),
    "short integers": (slice(None), ROWS.astype(np.int32)),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
def test_gathering_by_constants_and_its_derivative_are_native(index: Any) -> None:
    def objective(x: Any) -> Any:
        return np.sum(np.sin(x)[index] * np.cos(np.ones(X[index].shape).cumsum().reshape(X[index].shape)))

    fast = tm.compile(tm.value_and_grad(objective), engine="numba")
    (value, slope), (wanted, expected) = fast(X), tm.value_and_grad(objective)(X)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    np.testing.assert_allclose(slope, expected, rtol=1e-12, atol=1e-14)
    assert repr(fast).endswith("1 program>")


def test_a_constant_index_out_of_range_is_refused_by_its_op() -> None:
    for index in (3, -4):
        with pytest.raises(tm.TapeError, match="getitem"):
            tm.compile(lambda x, i=index: np.sin(x)[np.array([0, i])], engine="numba")(np.ones(3))
