"""Cholesky solves, and what is said where SciPy is missing; tests/tables/decompositions.py has rows of the ops."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tests.ops.judged import judge_value_and_gradient, judge_vmap

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
POSITIVE = A @ A.T
B = RNG.normal(size=(3, 2))


@pytest.mark.parametrize("b", [B, B[:, 0]], ids=["columns", "one"])
@pytest.mark.parametrize("lower", [True, False])
def test_a_cholesky_solve_is_a_solve(b: Any, lower: bool) -> None:
    factor = np.linalg.cholesky(POSITIVE, upper=not lower)
    np.testing.assert_allclose(tm.cho_solve(factor, b, lower=lower), np.linalg.solve(POSITIVE, b))
    judge_value_and_gradient(lambda c: tm.cho_solve(c, b, lower=lower), factor)
    judge_value_and_gradient(lambda b: tm.cho_solve(factor, b, lower=lower), b)
    judge_vmap(lambda b: tm.cho_solve(factor, b, lower=lower), b)


def test_only_one_triangle_is_read() -> None:
    slopes = tm.grad(lambda a: np.sum(tm.solve_triangular(a, B, lower=True)))(A)
    assert (np.triu(slopes, 1) == 0).all() and (np.tril(slopes) != 0).sum() == 6
    other = np.where(np.tri(3, dtype=bool), A, np.nan)
    np.testing.assert_allclose(tm.grad(lambda a: np.sum(tm.solve_triangular(a, B, lower=True)))(other), slopes)


def test_singular() -> None:
    with pytest.raises(tm.ArgumentError, match="singular"):
        tm.solve_triangular(np.zeros((2, 2)), np.ones(2))


@pytest.mark.parametrize("call", [lambda: tm.solve_triangular(A, B), lambda: tm.cho_solve(A, B), lambda: tm.expm(A)])
def test_without_scipy(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.linalg", None)
    with pytest.raises(ImportError, match=r'needs SciPy, which is not installed: pip install "tapem\[scipy\]"'):
        call()
