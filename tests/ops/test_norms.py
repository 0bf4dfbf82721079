"""Norms and spreads of numbers whose powers over- or underflow, and of zeros: values, both modes, second order.

All of them are homogeneous: f(s x) = s f(x). So what a huge or tiny argument must give follows from one of ordinary
size, where NumPy and finite differences can judge: the gradient is the same, and the Hessian is that over s.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import losses
import tapem as tm
from tapem.ops import reductions

X = np.array([[3.0, -4.0, 1.0], [2.0, 0.5, -1.5]])
V = X[0]

ORDERS = [None, 2, 1, 3, 1.5, 10, 0.5, -1, -2.5, np.inf, -np.inf]
MATRIX_ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]

CASES: list[tuple[Callable[[Any], Any], Any]] = [
    *((lambda x, o=o: np.linalg.norm(x, o), V) for o in ORDERS),
    *((lambda x, o=o: np.sum(np.linalg.norm(x, o, axis=1)), X) for o in ORDERS),
    *((lambda x, o=o: np.sum(np.linalg.norm(x, o, axis=0, keepdims=True)), X) for o in ORDERS),
    *((lambda x, o=o: np.linalg.vector_norm(x, ord=o), X) for o in ORDERS if o is not None),
    *((lambda x, o=o: np.linalg.norm(x, o), X) for o in MATRIX_ORDERS),
    *((lambda x, o=o: np.linalg.matrix_norm(x, ord=o), X) for o in MATRIX_ORDERS if o is not None),
    (tm.norm, X),
    (np.std, V),
    (lambda x: np.sum(np.std(x, axis=1, ddof=1)), X),
    (lambda x: np.sum(np.hypot(x[0], x[1])), X),
]
SCALES = [(np.float64, 1e200), (np.float64, 1e-200), (np.float32, 1e30), (np.float32, 1e-30)]


def hessian(f: Any, x: Any) -> Any:
    """By central differences of the gradient, which the first-order tests judge."""
    slopes = [
        (tm.grad(f)(x + 1e-6 * e) - tm.grad(f)(x - 1e-6 * e)) / 2e-6 for e in np.eye(x.size).reshape(-1, *x.shape)
    ]
    return np.reshape(slopes, x.shape * 2)


@pytest.mark.parametrize(("f", "x"), CASES)
class TestEveryNorm:
    @pytest.mark.parametrize(("dtype", "scale"), SCALES)
    def test_huge_and_tiny(self, f: Any, x: Any, dtype: Any, scale: float) -> None:
        scaled, tolerance = (x * scale).astype(dtype), 200 * np.finfo(dtype).eps
        value, slope = tm.value_and_grad(f)(scaled)
        assert value.dtype == slope.dtype == dtype
        np.testing.assert_allclose(np.float64(value) / scale, f(x), rtol=tolerance)
        expected = [(f(x + 1e-6 * e) - f(x - 1e-6 * e)) / 2e-6 for e in np.eye(x.size).reshape(-1, *x.shape)]
        np.testing.assert_allclose(slope, np.reshape(expected, x.shape), rtol=1e-5, atol=2e-6)
        direction = np.linspace(-1, 1, x.size).reshape(x.shape).astype(dtype)
        pushed = tm.jvp(f, (scaled,), (direction,))[1]
        np.testing.assert_allclose(pushed, np.sum(slope * direction), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("second", [tm.jacfwd, tm.jacrev])
    @pytest.mark.parametrize("scale", [1e140, 1e-140])
    def test_second_order(self, f: Any, x: Any, second: Any, scale: float) -> None:
        np.testing.assert_allclose(second(tm.grad(f))(x * scale) * scale, hessian(f, x), rtol=1e-5, atol=2e-6)

    def test_zeros(self, f: Any, x: Any) -> None:
        zeros = np.zeros(x.shape)
        with np.errstate(divide="ignore"):  # NumPy's, for negative orders
            np.testing.assert_array_equal(tm.grad(f)(zeros), zeros)
            np.testing.assert_array_equal(tm.jvp(f, (zeros,), (x,))[1], 0)


@pytest.mark.parametrize("ord", [None, 2, 1, 3, 1.5, 0.5, np.inf])
@pytest.mark.parametrize("second", [tm.jacfwd, tm.jacrev])
def test_second_order_at_zeros_is_zero(ord: Any, second: Any) -> None:
    np.testing.assert_array_equal(second(tm.grad(lambda x: np.linalg.norm(x, ord)))(np.zeros(3)), np.zeros((3, 3)))


def test_second_order_at_a_single_zero() -> None:
    """|x|**1.5 has an infinite second derivative at 0, but only along that element; |x|**0.5 has a cusp there."""
    x = np.array([1.0, 0.0])
    with np.errstate(divide="ignore"):
        found = tm.jacfwd(tm.grad(lambda x: np.linalg.norm(x, 1.5)))(x)
    np.testing.assert_array_equal(found, [[0, 0], [0, np.inf]])
    np.testing.assert_array_equal(tm.grad(lambda x: np.linalg.norm(x, 0.5))(x), [1, 0])
    for second in (tm.jacfwd, tm.jacrev):
        np.testing.assert_allclose(second(tm.grad(lambda x: np.linalg.norm(x, 3)))(x), 0, atol=1e-15)


HALF = np.array([[300.0, -400.0], [-200.0, 1000.0]], np.float16)


@pytest.mark.parametrize("ord", ORDERS)
def test_float16(ord: Any) -> None:
    f = lambda x: np.linalg.norm(x, ord, axis=-1)  # noqa: E731
    value, pullback = tm.vjp(f, HALF)
    expected, exact = tm.vjp(f, HALF.astype(np.float64))
    tolerance = 4e-3 if ord is None or ord > 0 else 2e-2  # the rounding of tiny powers
    np.testing.assert_allclose(value, expected, rtol=tolerance)
    np.testing.assert_allclose(pullback(np.ones_like(value))[0], exact(np.ones(2))[0], rtol=5 * tolerance, atol=2e-3)
    assert value.dtype == pullback(np.ones_like(value))[0].dtype == np.float16


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (np.std, lambda x: (x - x.mean()) / (x.size * x.std())),
        (lambda x: np.hypot(x[0], x[1])[0], None),
        (lambda x: losses.cosine_similarity(x, x[::-1] * np.float16(0.5)), None),
    ],
)
def test_float16_of_others(f: Any, slope: Any) -> None:
    wide = HALF.astype(np.float64)
    np.testing.assert_allclose(tm.value_and_grad(f)(HALF)[0], f(wide), rtol=4e-3)
    expected = tm.grad(f)(wide) if slope is None else slope(wide)
    np.testing.assert_allclose(tm.grad(f)(HALF), expected, rtol=2e-2, atol=1e-3 * np.max(np.abs(expected)))


def test_ordinary_numbers_give_what_numpy_gives() -> None:
    """Bit for bit, and NumPy's infinity with its warning where the norm itself overflows."""
    x = np.random.default_rng(0).normal(size=(4, 5))
    for ord in (2, 3, 1.5):
        np.testing.assert_array_equal(tm.norm(x, axis=1, ord=ord), np.linalg.vector_norm(x, axis=1, ord=ord))
    np.testing.assert_array_equal(reductions.std(x, axis=0), np.std(x, axis=0))
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert tm.norm(np.full(4, 1.5e308)) == np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tm.norm(np.full(4, 1e200)) == 2e200
