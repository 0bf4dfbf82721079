"""Where formulas fail though the derivative exists: infinities, underflow, zeros; in both modes and at second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm


def derivatives(f: Callable[[Any], Any], x: Any) -> tuple[Any, list[Any]]:
    """The elementwise derivative of f at x, which both modes must agree on, and the four second derivatives."""
    one = np.ones_like(x)

    def forward(x: Any) -> Any:
        return tm.jvp(f, (x,), (one,))[1]

    def reverse(x: Any) -> Any:
        return tm.vjp(f, x)[1](one)[0]

    np.testing.assert_array_equal(forward(x), reverse(x))
    second = [tm.jvp(g, (x,), (one,))[1] for g in (forward, reverse)]
    second += [tm.vjp(g, x)[1](one)[0] for g in (forward, reverse)]
    return reverse(x), second


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("op", [np.logaddexp, np.logaddexp2])
@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (0.0, [1, 0, 1, 0]),
        (np.inf, [0.5, 0, 0, 0]),
        (-np.inf, [1, 0, 1, 1]),
    ],
)
def test_logarithmic_sums_with_infinities(op: Any, other: float, expected: Any, dtype: Any) -> None:
    x, b = np.array([np.inf, -np.inf, 1e4, -1e4], dtype), dtype(other)
    for f in (lambda x: op(x, b), lambda x: op(b, x)):
        first, second = derivatives(f, x)
        np.testing.assert_array_equal(first, expected)
        assert first.dtype == dtype
        for found in second:
            np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize(("op", "unit"), [(np.logaddexp, 1), (np.logaddexp2, 2)])
def test_logarithmic_sums_far_from_zero_keep_their_precision(op: Any, unit: float) -> None:
    x = np.array([1e4, -1e4, 3e4], np.float32)
    first, _ = derivatives(lambda x: op(x, x + 1), x)
    np.testing.assert_array_equal(first, 1)
    base = np.e if unit == 1 else 2
    share, _ = derivatives(lambda z: op(z, np.float32(1e4)), np.array([1e4 - 1], np.float32))
    np.testing.assert_allclose(share, 1 / (1 + base), rtol=1e-6)


def test_std_so_small_that_the_variance_underflows() -> None:
    x = np.array([1e-30, 2e-30], np.float32)
    np.testing.assert_allclose(tm.grad(np.std)(x), [-0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(tm.jvp(np.std, (x,), (x,)), 0.5e-30, rtol=1e-6)
    np.testing.assert_allclose(tm.hessian(np.std)(x) * x[0], 0, atol=1e-6)  # two elements: it is half their distance


@pytest.mark.parametrize("f", [tm.gelu, lambda x: tm.gelu(x, approximate="tanh"), tm.silu, tm.softplus])
def test_activations_of_huge_numbers_at_second_order(f: Any) -> None:
    first, second = derivatives(f, np.array([1e30, -1e30, 1e4, -1e4], np.float32))
    np.testing.assert_array_equal(first, [1, 0, 1, 0])
    for found in second:
        np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("exponent", [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("outer", [tm.jacfwd, tm.jacrev])
def test_hessian_of_a_power_in_both_operands_at_a_negative_base(exponent: float, outer: Any) -> None:
    """What exists of it is right: only where the exponent itself is changed is there no derivative."""
    a, b = -2.0, exponent
    (of_aa, of_ab), _ = outer(tm.grad(np.power, (0, 1)), (0, 1))(a, b)
    np.testing.assert_allclose(of_aa, b * (b - 1) * a ** (b - 2), rtol=1e-12)
    assert np.isnan(of_ab) or b == 0
    slope_a, slope_b = tm.grad(np.power, (0, 1))(a, b)
    np.testing.assert_allclose(slope_a, b * a ** (b - 1), rtol=1e-12)
    assert np.isnan(slope_b)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("count", [4095, 4096, 40_000, 70_001])
def test_relu_of_a_large_array_is_the_maximum_of_each_element_and_0(dtype, count):
    x = np.random.default_rng(0).standard_normal(count).astype(dtype)
    x[[0, 5, -1, -2]] = np.nan, -np.inf, np.inf, -0.0
    expected = np.array([max(e, 0.0) if e == e else e for e in x.tolist()], dtype)
    y = tm.relu(x)
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == dtype
    assert dtype == np.float16 or not np.signbit(y[-2])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_relu_keeps_the_order_of_axes_in_memory(order):
    x = np.random.default_rng(1).standard_normal((40, 30, 50)).transpose(order)
    y = tm.relu(x)
    np.testing.assert_array_equal(y, np.where(x > 0, x, 0))
    assert y.strides == x.strides
    some = x[::2, 1:, ::-1]
    np.testing.assert_array_equal(tm.relu(some), np.where(some > 0, some, 0))
    same = np.broadcast_to(x[:1], x.shape)
    np.testing.assert_array_equal(tm.relu(same), np.where(same > 0, same, 0))
