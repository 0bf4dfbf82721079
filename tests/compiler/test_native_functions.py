"""The native functions of one number: within 2 units in the last place, over the whole range."""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

import tapem as tm
from tapem.compiler.native import functions

RNG = np.random.default_rng(0)


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def erf(x):
    return np.array([math.erf(v) for v in x.tolist()])


JUDGES: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp, "expm1_": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "sigmoid": sigmoid,
    "erf": erf, "sin": np.sin, "cos": np.cos,
}  # fmt: skip


def points(dtype):
    """Numbers of every size, and where a function has its limits or changes its formula."""
    bits = np.int32 if dtype == np.float32 else np.int64
    info, count = np.iinfo(bits), 60_000
    parts = [
        RNG.integers(info.min, info.max, count, dtype=bits).view(dtype),
        RNG.standard_normal(count) * 3,
        RNG.uniform(-120, 120, count),
        RNG.uniform(-800, 800, count),
        1 + RNG.standard_normal(count) * 1e-3,
        np.arange(-20_000, 20_000) * np.pi / 2,
        [0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal],
    ]
    return np.concatenate([np.asarray(part).astype(dtype) for part in parts])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", JUDGES)
def test_a_function_over_the_whole_range(name, dtype):
    bits = 8 * np.dtype(dtype).itemsize
    function = getattr(functions, f"{name}{bits}")

    @numba.njit(fastmath={"reassoc", "contract"}, error_model="numpy")
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    with np.errstate(all="ignore"):
        x = points(dtype)
        if name in ("sin", "cos"):
            x = x[np.abs(x) < getattr(functions, f"WIDE{bits}")]
        exact = JUDGES[name](x.astype(np.float64 if dtype == np.float32 else np.longdouble))
        expected = exact.astype(dtype)
        found = np.empty_like(x)
        loop(x, found)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    np.testing.assert_array_equal(np.signbit(found)[expected == 0], np.signbit(expected)[expected == 0])
    assert np.all(np.isfinite(found[finite]))
    spacing = np.spacing(np.abs(expected[finite])).astype(np.longdouble)
    assert np.max(np.abs(found[finite] - exact[finite]) / spacing) < 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sin_and_cos_of_large_numbers(dtype):
    fast = tm.compile(lambda x: (np.sin(x), np.cos(x), np.sum(np.sin(x)) * 0 + x), engine="numba")
    for x in ([1.0, 2.0], [1e10, -3e30], [1.0, 1e22], [np.nan, 1.0], [np.inf, 1.0]):
        x = np.array(x, dtype)
        with np.errstate(all="ignore"):
            sin, cos = np.sin(x), np.cos(x)
        for found, expected in zip(fast(x)[:2], (sin, cos), strict=True):
            np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps)
