"""Random numbers: pure, the same everywhere, of the right distributions, and in all three doors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import tapem as tm
from tapem import random

KEY = random.key(0)
RECORDED: dict[str, Any] = {
    "split": [[5312087694084997812, 2167078804631760376], [12885069150845639902, 6370427667298282036]],
    "fold_in": [7240941643410842332, 311515724825775690],
    "uniform": [0.014067035665647709, 0.2577672456246177, 0.47156538101528966],
    "uniform32": [0.13562291860580444, 0.014066994190216064, 0.9377323985099792],
    "normal": [-0.2059740286292238, -0.12884495093462758, -0.28978987549091256],
    "normal32": [-0.24822916, -0.026767015, -1.9444163],
    "bernoulli": [True, True, False, True, False, True, False, True],
    "permutation": [4, 0, 3, 5, 2, 1],
    "integers": [1, 0, 9, 2, 3, 4],
}


def test_recorded_numbers() -> None:
    # These must never change: a saved experiment is to be repeated on any machine.
    assert KEY.dtype == np.uint64 and KEY.tolist() == [15793235383387715774, 12390638538380655177]
    assert random.split(KEY).tolist() == RECORDED["split"]
    assert random.fold_in(KEY, 7).tolist() == RECORDED["fold_in"]
    np.testing.assert_array_equal(random.uniform(KEY, 3), RECORDED["uniform"])
    np.testing.assert_array_equal(random.uniform(KEY, 3, dtype=np.float32), np.float32(RECORDED["uniform32"]))
    np.testing.assert_allclose(random.normal(KEY, 3), RECORDED["normal"], rtol=1e-15)
    np.testing.assert_allclose(random.normal(KEY, 3, dtype=np.float32), RECORDED["normal32"], rtol=1e-6)
    np.testing.assert_array_equal(random.bernoulli(KEY, 0.4, 8), RECORDED["bernoulli"])
    np.testing.assert_array_equal(random.permutation(KEY, 6), RECORDED["permutation"])
    np.testing.assert_array_equal(random.integers(KEY, 6, 0, 10), RECORDED["integers"])


def test_pure_and_independent() -> None:
    np.testing.assert_array_equal(random.normal(KEY, 4), random.normal(KEY, 4))
    keys = random.split(KEY, 50)
    assert keys.shape == (50, 2) and len({tuple(k) for k in keys.tolist()}) == 50
    np.testing.assert_array_equal(random.split(KEY, 3), keys[:3])
    assert abs(np.corrcoef(random.normal(keys[0], 10_000), random.normal(keys[1], 10_000))[0, 1]) < 0.05
    # What is split off is not what is drawn.
    raw = np.random.Philox(key=KEY).random_raw(1000)
    assert not np.isin(keys, raw).any()
    assert len({tuple(random.key(seed).tolist()) for seed in range(100)}) == 100
    assert random.key(2**200).shape == (2,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distributions(dtype: Any) -> None:
    n = 20_000
    even = random.uniform(KEY, (n,), low=-2.0, high=3.0, dtype=dtype)
    assert even.dtype == dtype and even.min() >= -2 and even.max() < 3
    assert stats.kstest(even, "uniform", args=(-2, 5)).pvalue > 1e-3
    bell = random.normal(KEY, (n,), mean=1.0, scale=2.0, dtype=dtype)
    assert bell.dtype == dtype and stats.kstest(bell, stats.norm(1, 2).cdf).pvalue > 1e-3
    assert abs(random.bernoulli(KEY, 0.3, n).mean() - 0.3) < 0.02
    counts = np.bincount(random.integers(KEY, n, 0, 5))
    assert len(counts) == 5 and stats.chisquare(counts).pvalue > 1e-3


def test_high_is_never_reached() -> None:
    drawn = random.uniform(KEY, 100_000, low=1e8, high=1e8 + 16, dtype=np.float32)
    assert drawn.max() < np.float32(1e8 + 16)
    assert random.uniform(KEY, 3, low=2.0, high=2.0).tolist() == [2.0, 2.0, 2.0]


def test_permutation_of_rows() -> None:
    x = np.arange(10).reshape(5, 2)
    shuffled = random.permutation(KEY, x)
    assert sorted(shuffled.tolist()) == x.tolist()
    np.testing.assert_array_equal(shuffled, x[random.permutation(KEY, 5)])
    assert random.permutation(KEY, 0).shape == (0,)


def test_shapes() -> None:
    assert np.shape(random.uniform(KEY)) == () and random.uniform(KEY, 3).shape == (3,)
    assert random.normal(KEY, (2, 0)).shape == (2, 0) and random.bernoulli(KEY, 0.5, (2, 1)).shape == (2, 1)


def test_under_vmap() -> None:
    keys = random.split(KEY, 3)
    drawn = tm.vmap(lambda k: random.normal(k, (4,)))(keys)
    np.testing.assert_array_equal(drawn, [random.normal(k, (4,)) for k in keys])
    noisy = tm.vmap(tm.grad(lambda x, k: np.sum(x * random.uniform(k, (2,)))), in_axes=(None, 0))(np.ones(2), keys)
    np.testing.assert_array_equal(noisy, [random.uniform(k, (2,)) for k in keys])
    twice = tm.vmap(lambda k: random.uniform(random.split(k)[1], ()))(keys)
    np.testing.assert_array_equal(twice, [random.uniform(random.split(k)[1], ()) for k in keys])


def test_monadic_door() -> None:
    ref, tape = tm.Tape().leaf(KEY)
    out, tape = random.uniform(ref, (2,)).run(tape)
    np.testing.assert_array_equal(tape.value(out), random.uniform(KEY, (2,)))
    assert not tape[out].requires_grad


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: random.key(-1), "random.key: the seed is -1, but must be a non-negative integer."),
        (lambda: random.key(1.5), "random.key: the seed is 1.5, but must be a non-negative integer."),
        (lambda: random.split(KEY, -1), "random.split: num is -1, but cannot be negative."),
        (lambda: random.uniform(KEY, 3, low=2.0, high=1.0), "low is 2.0 and high is 1.0"),
        (lambda: random.normal(KEY, 3, scale=-1.0), "scale is -1.0, but a standard deviation cannot be negative"),
        (lambda: random.bernoulli(KEY, 1.5), "p is 1.5, but a probability is within [0, 1]"),
        (lambda: random.integers(KEY, 3, 2, 2), "low is 2 and high is 2, but low must be below high"),
        (lambda: random.uniform(KEY, (2, -1)), "shape is (2, -1), but sizes cannot be negative"),
        (lambda: random.permutation(KEY, -3), "permutation: x is -3, but cannot be negative"),
        (lambda: random.permutation(KEY, np.float64(1.0)), "x is a scalar"),
        (lambda: random.fold_in(KEY, -1), "data is -1, but must be at least 0"),
    ],
)
def test_bad_arguments(make: Any, text: str) -> None:
    with pytest.raises(tm.ArgumentError) as error:
        make()
    assert text in str(error.value)


def test_keys_that_are_none() -> None:
    with pytest.raises(tm.DTypeError, match="key is int64, where UInt64 is required"):
        random.uniform(np.array([1, 2]))
    with pytest.raises(tm.ShapeError, match=r"key"):
        random.uniform(random.split(KEY, 3))
    with pytest.raises(tm.DTypeError, match="float16"):
        random.uniform(KEY, 2, dtype=np.float16)


@pytest.mark.parametrize("shape", [(), 3, (2, 0), (10**9, 10**9)])
def test_shapes_are_known_without_a_draw(shape: Any) -> None:
    draws: list[tuple[Any, Any]] = [
        (lambda key: tm.random.uniform(key, shape, -1.0, 2.0, dtype=np.float32), np.float32),
        (lambda key: tm.random.uniform(key, shape), np.float64),
        (lambda key: tm.random.normal(key, shape, dtype=np.float32), np.float32),
        (lambda key: tm.random.normal(key, shape, 1.0, 2.0), np.float64),
        (lambda key: tm.random.bernoulli(key, 0.5, shape), np.bool_),
        (lambda key: tm.random.integers(key, shape, 0, 9), np.int64),
    ]
    for draw, dtype in draws:
        kind = tm.eval_shape(draw, tm.random.key(0))
        assert kind.dtype == dtype and kind.shape == (shape if isinstance(shape, tuple) else (shape,))
        if shape != (10**9, 10**9):
            drawn = np.asarray(draw(tm.random.key(0)))
            assert (drawn.shape, drawn.dtype) == (kind.shape, kind.dtype)


@pytest.mark.parametrize(
    "draw",
    [
        lambda key: tm.random.normal(key, 2, scale=-1.0),
        lambda key: tm.random.uniform(key, 2, 5.0, 1.0),
        lambda key: tm.random.bernoulli(key, 3.0, 2),
        lambda key: tm.random.integers(key, 2, 5, 1),
        lambda key: tm.random.normal(key, -1),
    ],
)
def test_what_cannot_be_drawn_has_no_shape(draw: Any) -> None:
    with pytest.raises(tm.ArgumentError) as expected:
        draw(tm.random.key(0))
    with pytest.raises(tm.ArgumentError) as error:
        tm.eval_shape(draw, tm.random.key(0))
    assert str(error.value) == str(expected.value)
