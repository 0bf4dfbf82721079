"""The parts of floating-point numbers at the edges of their formats, and complex results of `np.emath` on its cuts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapem as tm

EDGES = np.array([0.0, -0.0, 1.0, -2.0, 0.5, 5e-324, 2.5e-310, 1.7e308, -np.inf, np.inf, np.nan])


@pytest.mark.parametrize("name", ["frexp", "modf"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_parts_are_numpys_to_the_sign_of_zero(name: str, dtype: Any) -> None:
    with np.errstate(over="ignore"):
        x = EDGES.astype(dtype)
    wanted = getattr(np, name)(x)
    for found in (getattr(tm, name)(x), tm.vjp(getattr(np, name), x)[0]):
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(np.signbit(one), np.signbit(other))
            assert one.dtype == other.dtype


def test_slopes_of_parts_are_those_of_their_pieces() -> None:
    x = np.array([0.75, -3.0, 12.5])
    assert tm.grad(lambda x: np.frexp(x)[0].sum())(x).tolist() == [1, 0.25, 0.0625]
    assert tm.grad(lambda x: np.modf(x)[0].sum())(x).tolist() == [1, 1, 1]
    assert tm.grad(lambda x: np.modf(x)[1].sum() + np.sum(0 * x))(x).tolist() == [0, 0, 0]
    assert tm.grad(lambda x: np.nextafter(x, 9.0).sum())(x).tolist() == [1, 1, 1]


@pytest.mark.parametrize("f", [np.emath.arccos, np.emath.arcsin, np.emath.arctanh, np.emath.sqrt, np.emath.log])
@pytest.mark.parametrize("at", [-2.5, -1.5, -0.4, 0.3, 1.5])
def test_slopes_beyond_the_real_domain_are_on_the_side_of_the_cut_that_the_value_is_on(f: Any, at: float) -> None:
    x = np.array([at, -3.0, 3.0])
    _, tangent = tm.jvp(f, (x,), (np.ones(3),))
    np.testing.assert_allclose(tangent, (f(x + 1e-6) - f(x - 1e-6)) / 2e-6, rtol=1e-7)
