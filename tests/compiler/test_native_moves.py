"""Gathering and scattering in native code: values and derivatives are the eager ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layers
import tapem as tm
from tests.compiler.test_native_loops import same

X = np.arange(2 * 3 * 4 * 5, dtype=float).reshape(2, 3, 4, 5)
ROWS, PAIRS = np.array([2, 0, -1, 2]), np.array([[0, -4], [3, 3]])

INDICES: dict[str, Any] = {
    "rows": (slice(None), ROWS),
    "rows from the end": (Ellipsis, ROWS, slice(None), slice(1, 4)),
    "pairs": (1, slice(None), PAIRS),
    "arrays side by side": (slice(None), ROWS[:2], PAIRS),
    "arrays apart": (ROWS[1], slice(None, None, -1), PAIRS, PAIRS[0]),
    "a number apart from an array": (0, slice(None), ROWS, slice(None)),
    "parts of a reversed array": (slice(None), slice(1, None), ROWS),
    "short integers": (slice(None), ROWS.astype(np.int32)),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES.keys())
def test_gathering_by_constants_and_its_derivative_are_native(index: Any) -> None:
    def objective(x: Any) -> Any:
        return np.sum(
            np.sin(x)[:, ::-1, ::-1][index] * np.cos(np.ones(X[index].shape).cumsum().reshape(X[index].shape))
        )

    fast = tm.compile(tm.value_and_grad(objective), engine="numba")
    (value, slope), (wanted, expected) = fast(X), tm.value_and_grad(objective)(X)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    np.testing.assert_allclose(slope, expected, rtol=1e-12, atol=1e-14)
    assert repr(fast).endswith("1 program>")


def test_a_constant_index_out_of_range_is_refused_by_its_op() -> None:
    for index in (3, -4):
        with pytest.raises(tm.TapeError, match="getitem"):
            tm.compile(lambda x, i=index: np.sin(x)[np.array([0, i])], engine="numba")(np.ones(3))


# -- inside of loops ---------------------------------------------------------------------------------------------------

Y = np.array([[0.3, -0.8, 1.1, 0.2], [2.0, 0.1, -0.4, 0.9], [0.5, 0.7, -1.3, 0.0]])
WHERE = np.array([[2, 0, 0, -1], [1, 1, 3, 0], [0, 2, 1, 1]])
IDS = np.array([0, 2, 2, 1])

MOVED: dict[str, Any] = {
    "take_along_axis": lambda y, i: np.take_along_axis(y, i % 3, 0) * np.take_along_axis(y, i, 1),
    "take_along_axis of rows": lambda y, i: np.take_along_axis(y[:, :1], i * 0, 1) + np.take_along_axis(y, i[:1], 1),
    "embedding": lambda y, i: layers.embedding(y, IDS + 0 * i[0]).T[:3] * 2.0,
    "sort": lambda y, i: np.sort(y, axis=1) * np.sort(y.ravel())[:4],
    "cumsum": lambda y, i: np.cumsum(y, 0) * np.cumsum(y[::-1], 1),
    "cumprod": lambda y, i: np.cumprod(y, 1),
    "argmax": lambda y, i: y * np.argmax(y, 1)[:, None] + np.argmin(y, 0, keepdims=True) + np.argmax(y[0]),
    "integer sums": lambda y, i: y * np.sum(i) + np.sum(i, 0) - np.sum(y > 0, 1)[:, None] + np.max(i, 1).min(),
    "products": lambda y, i: y * np.prod(i + 2, 1)[:, None] + np.prod(y, 0),
    "counts": lambda y, i: y + np.count_nonzero(i, 0) + np.count_nonzero(y) + np.any(i) + np.all(i, 1)[:, None],
    "remainders": lambda y, i: np.remainder(y * 7, y[::-1] + 3) + np.fmod(y, 0.3) + (y * 5) // 0.7,
    "functions": lambda y, i: np.arctan2(np.tan(y), np.hypot(y, 2.0)) + np.log2(np.cosh(y)) + np.rint(3 * y) * y,
}


@pytest.mark.parametrize("name", MOVED)
def test_loops_with_it_and_their_derivatives_are_native(name: str) -> None:
    step, derivative_too = MOVED[name], name not in ("sort", "cumprod", "products")

    def looped(y: Any, i: Any) -> Any:
        return tm.fori_loop(0, 3, lambda _, y: np.sin(step(y, i)) + y, y)

    def objective(y: Any, i: Any) -> Any:
        return np.sum(looped(y, i) ** 2)

    same(looped, Y, WHERE)
    same(tm.grad(objective), Y, WHERE, native=derivative_too)


@pytest.mark.parametrize("shift", [4, -8])
@pytest.mark.parametrize("name", ["take_along_axis", "embedding"])
def test_indices_out_of_range_are_refused_in_loops(name: str, shift: int) -> None:
    def looped(y: Any, i: Any) -> Any:
        return tm.fori_loop(0, 3, lambda _, y: MOVED[name](y, i), y)

    with pytest.raises(tm.TapeError, match="out of"):
        tm.compile(looped, engine="numba")(Y, WHERE + shift if name == "take_along_axis" else WHERE[:0])


def test_functions_of_special_values_are_those_of_numpy() -> None:
    """They are in the bits of NaN, infinities, signed zeros and subnormal numbers; to 2 ulp elsewhere."""
    unary = "tan sinh cosh arcsin arccos arctan arcsinh arccosh arctanh exp2 log2 log10 trunc rint isinf".split()
    binary = "arctan2 hypot fmod remainder floor_divide copysign".split()
    special = np.array([0.0, -0.0, 1, -1, 0.5, -2.5, np.inf, -np.inf, np.nan, 1e-30, 1e30, -1e30, 7.25, -3, 1e-40])

    def every(_: Any, row: Any) -> Any:
        return _, [*(getattr(np, name)(row[0]) for name in unary), *(getattr(np, name)(*row) for name in binary)]

    for dtype in (np.float64, np.float32):
        x, y = (grid.ravel() for grid in np.meshgrid(special.astype(dtype), special.astype(dtype)))
        _, found = tm.compile(tm.scan, engine="numba", static_argnums=0)(every, 0.0, (x[None], y[None]))
        with np.errstate(all="ignore"):
            _, expected = every(0.0, (x, y))
        for name, (one,), other in zip([*unary, *binary], found, expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=2.1 * float(np.finfo(dtype).eps), atol=0, err_msg=name)
            np.testing.assert_array_equal(np.signbit(one[one == 0]), np.signbit(other[other == 0]), err_msg=name)


def test_rows_are_gathered_as_a_whole() -> None:
    """A row's number is looked up once, not for each element."""
    x, rows = np.ones((500, 64)), np.arange(499, -1, -1)
    fast: Any = tm.compile(lambda x: np.sin(x)[rows] * 2, engine="numba")
    np.testing.assert_allclose(fast(x), np.sin(x)[rows] * 2)
    (entry,) = fast._entries.values()
    (looked_up,) = [line for line in entry.run.native[0].splitlines() if "j0 = np.int64(" in line]
    (moved,) = [line for line in entry.run.native[0].splitlines() if "[j0, " in line]
    assert moved.index(moved.strip()) - looked_up.index(looked_up.strip()) == 4
