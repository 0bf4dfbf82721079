"""gelu in float32 and at extremes: there it is computed in another way than in float64, where the table checks it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import special

import tapem as tm


def exact(x: Any) -> tuple[Any, Any]:
    """Value and derivative in float64."""
    weight = special.ndtr(x)
    return x * weight, weight + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def with_tanh(x: Any) -> tuple[Any, Any]:
    """Value and derivative in float64."""
    t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
    return x * (1 + t) / 2, (1 + t) / 2 + x * (1 - t * t) * inner / 2


@pytest.mark.parametrize(("approximate", "truth"), [("none", exact), ("tanh", with_tanh)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float16, 4e-3), (np.float32, 3e-6), (np.float64, 1e-13)])
def test_values_and_derivatives(approximate: str, truth: Any, dtype: Any, tolerance: float) -> None:
    x = np.linspace(-12, 12, 2001).astype(dtype)
    value, slope = truth(x.astype(np.float64))
    y, pullback = tm.vjp(lambda x: tm.gelu(x, approximate=approximate), x)
    (gradient,) = pullback(np.ones_like(x))
    _, tangent = tm.jvp(lambda x: tm.gelu(x, approximate=approximate), (x,), (np.ones_like(x),))
    assert y.dtype == gradient.dtype == tangent.dtype == dtype
    np.testing.assert_allclose(y, value, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gradient, slope, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(tangent, gradient)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_largest_numbers(approximate: str, dtype: Any) -> None:
    largest = np.finfo(dtype).max
    x = np.array([largest, -largest, 0, 1e4, -1e4], dtype)
    y, pullback = tm.vjp(lambda x: tm.gelu(x, approximate=approximate), x)
    np.testing.assert_array_equal(y, [largest, 0, 0, dtype(1e4), 0])
    np.testing.assert_array_equal(pullback(np.ones_like(x))[0], [1, 0, 0.5, 1, 0])


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_the_second_derivative_in_float32(approximate: str) -> None:
    x = np.linspace(-3, 3, 31)

    def second(x: Any) -> Any:
        return tm.jvp(tm.grad(lambda x: np.sum(tm.gelu(x, approximate=approximate))), (x,), (np.ones_like(x),))[1]

    single = second(x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, second(x), atol=1e-5)
