"""Which ops share a native loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm

A, B = np.arange(12.0).reshape(3, 4) / 7, np.arange(12.0).reshape(4, 3) / 5


def loops_of(function: Callable[..., Any], *operands: Any) -> int:
    """The number of loops of the compiled function, whose values are the eager ones."""
    fast: Any = tm.compile(function, engine="numba")
    for found, expected in zip(fast(*operands), function(*operands), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    (entry,) = fast._entries.values()
    return sum(text.count("for i0") for text in entry.run.native)


def early_and_late(m: Any, a: Any, b: Any) -> Any:
    early, other = m * 0.9, np.cos(m)
    late = a @ b
    return early + late, late * other - early


def wanted_outside(m: Any, a: Any, b: Any) -> Any:
    early = m * 0.9
    return early, early + a @ b


def at_another_index(m: Any, a: Any, b: Any) -> Any:
    early = m * 0.9
    return (early.T + a @ b,)


def after_a_sum(m: Any, a: Any, b: Any) -> Any:
    early = np.sum(m * 0.9)
    return (early + a @ b,)


@pytest.mark.parametrize(
    ("function", "loops"), [(early_and_late, 1), (wanted_outside, 1), (at_another_index, 2), (after_a_sum, 2)]
)
def test_a_loop_runs_where_its_first_reader_does(function: Callable[..., Any], loops: int) -> None:
    assert loops_of(function, np.arange(9.0).reshape(3, 3), A, B) == loops


def test_a_large_program_has_one_function_for_loops_over_other_sizes() -> None:
    def update(w: Any, b: Any) -> Any:
        for _ in range(5):
            w = np.sqrt(w * w + b)
        return w, np.sum(w, axis=1)

    def updates(pairs: Any) -> Any:
        return [update(*pair) for pair in pairs]

    pairs = [(np.linspace(-1, 1, (16 + n) * 40).reshape(16 + n, 40), np.arange(1.0, 41)) for n in range(20)]
    fast: Any = tm.compile(updates, engine="numba")
    for found, expected in zip(fast(pairs), updates(pairs), strict=True):
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)
    (entry,) = fast._entries.values()
    assert len(set(entry.run.native)) == 1
