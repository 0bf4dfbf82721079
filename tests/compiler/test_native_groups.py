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


def test_large_loops_over_turned_arrays_run_in_squares() -> None:
    """What is read in columns is in the cache when it is read again; each element is computed once."""
    x, y = np.arange(3 * 70 * 100.0).reshape(3, 70, 100), np.arange(70.0)

    def turned(x: Any, y: Any) -> Any:
        z = np.swapaxes(x, 1, 2) + np.sqrt(x.reshape(3, 100, 70)) + y
        return z, x[0].T * 2 - x[1].T

    fast: Any = tm.compile(turned, engine="numba")
    for found, expected in zip(fast(x, y), turned(x, y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-15)
    (entry,) = fast._entries.values()
    assert sum(text.count("for j90 in") for text in entry.run.native) == 2
    small: Any = tm.compile(lambda x: x.T * 2, engine="numba")
    np.testing.assert_allclose(small(x[0, :8, :8]), x[0, :8, :8].T * 2)
    (entry,) = small._entries.values()
    assert "j90" not in entry.run.native[0]


def test_many_powers_are_left_to_numpy() -> None:
    for shape, native in (((16, 8), True), ((32, 16), False)):
        x = np.linspace(0.1, 3, shape[0] * shape[1]).reshape(shape)
        fast: Any = tm.compile(lambda x: np.exp(-(x**1.7)), engine="numba")
        np.testing.assert_allclose(fast(x), np.exp(-(x**1.7)), rtol=1e-15 * 4)
        (entry,) = fast._entries.values()
        assert any("power" in text for text in entry.run.native) == native
