"""NumPy and finite differences judge a function of one array: its value, its gradient, and both under vmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tapem as tm

Case = tuple[Callable[..., Any], Any]


def weights(y: Any) -> Any:
    return np.random.default_rng(5).normal(size=np.shape(y))


def differences(f: Any, x: Any) -> Any:
    out = np.zeros(np.shape(x))
    for place in np.ndindex(*out.shape):
        step = np.zeros(out.shape)
        step[place] = 1e-6
        out[place] = (f(x + step) - f(x - step)) / 2e-6
    return out


def judge_value_and_gradient(f: Any, x: Any) -> None:
    expected = f(x)
    value, pullback = tm.vjp(f, x)
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)
    assert np.shape(value) == np.shape(expected)
    w = weights(expected)
    np.testing.assert_allclose(pullback(w)[0], differences(lambda x: np.sum(w * f(x)), x), atol=2e-7, equal_nan=True)


def judge_vmap(f: Any, x: Any) -> None:
    xs = np.stack([x, np.flip(x)])
    np.testing.assert_allclose(tm.vmap(f)(xs), np.stack([f(x) for x in xs]), rtol=1e-12, atol=1e-13)
