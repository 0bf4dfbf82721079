"""Order statistics and what ignores NaN: NaN, infinities and axes against NumPy, values, dtypes and warnings alike."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.types import NUMPY

NAN, INF = np.nan, np.inf
X = np.array([[3.0, -1.0, 4.0, 1.5], [-5.0, 9.0, 2.0, 6.0], [5.25, 3.5, -8.0, 7.0]])
SPECIAL: dict[str, Any] = {
    "ordinary": X,
    "a NaN": np.where(X == 9, NAN, X),
    "NaN in every row": np.where(np.eye(3, 4) == 1, NAN, X),
    "a row of NaN": np.where(X == X[1], NAN, X),
    "all NaN": np.full((3, 4), NAN),
    "inf": np.where(X > 5, INF, X),
    "-inf": np.where(X < 2, -INF, X),
    "inf on both sides": np.where(X > 3, INF, -INF),
    "all inf": np.full((3, 4), INF),
    "inf and NaN": np.where(X > 6, INF, np.where(X < -4, NAN, X)),
    "ties": np.round(X / 4),
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f.__name__: f for f in (np.median, np.max, np.min, np.ptp, np.mean, np.sum, np.prod, np.average)},
    **{f.__name__: f for f in (np.nanmax, np.nanmin, np.nanmean, np.nansum, np.nanprod)},
    **{f"quantile {q}": (lambda x, q=q, **o: np.quantile(x, q, **o)) for q in (0, 0.1, 0.5, 0.65, 1.0)},
    "quantiles": lambda x, **o: np.quantile(x, [0.0, 0.3, 0.5, 0.9], **o),
    "quantiles in a table": lambda x, **o: np.quantile(x, np.array([[0.2, 0.3], [1.0, 0.7]]), **o),
    "percentile": lambda x, **o: np.percentile(x, 35, **o),
    "percentiles": lambda x, **o: np.percentile(x, (0.0, 40.0, 100.0), **o),
    "sort": lambda x, axis=None, keepdims=False: np.sort(x, axis=axis[0] if isinstance(axis, tuple) else axis),
}


def smallest(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.min(x, axis=axis, keepdims=keepdims)


# Before 2.4 NumPy computed the quantile 0 as the smallest element plus 0 times the next one, which is NaN at infinity.
REFERENCES = FUNCTIONS | ({"quantile 0": smallest} if NUMPY < (2, 4) else {})
AXES = [None, 0, 1, -1, (0, 1), (1, 0), (-1,), ()]


def outcome(call: Callable[[], Any]) -> tuple[Any, set[str]]:
    """The value and what was warned of: the kind of trouble, since NumPy's texts name the function that met it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = call()
    return value, {str(w.message).partition(" encountered in")[0] for w in caught}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("special", SPECIAL)
def test_values_and_warnings_are_those_of_numpy(special: str, name: str, dtype: Any) -> None:
    f, x = REFERENCES[name], SPECIAL[special].astype(dtype)
    between = NUMPY < (2, 4) and dtype != np.float64 and ("quantile" in name or "percentile" in name)
    for axis, keepdims in itertools.product(AXES, (False, True)):
        if axis == () and any(word in name for word in ("quantile", "median", "percentile", "sort")):
            continue  # NumPy has no order statistics of single elements
        expected, theirs = outcome(functools.partial(f, x, axis=axis, keepdims=keepdims))
        (found, _), ours = outcome(
            functools.partial(tm.vjp, lambda x, o=(axis, keepdims): FUNCTIONS[name](x, axis=o[0], keepdims=o[1]), x)
        )
        if between:  # which NumPy rounds otherwise than it does from 2.4 on
            exact = outcome(functools.partial(f, x.astype(float), axis=axis, keepdims=keepdims))[0]
            np.testing.assert_allclose(found, exact, rtol=4 * np.finfo(dtype).eps, err_msg=f"axis={axis}")
        else:
            np.testing.assert_array_equal(found, expected, err_msg=f"axis={axis}")
        assert np.shape(found) == np.shape(expected) and found.dtype == np.asarray(expected).dtype
        if dtype != np.float16:  # in which NumPy's own comparisons with NaN warn, or not, as they are compiled
            assert ours == theirs, (axis, ours, theirs)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("special", SPECIAL)
def test_vmap_is_a_loop(special: str, name: str) -> None:
    f, reference, xs = FUNCTIONS[name], REFERENCES[name], np.stack([SPECIAL[special], SPECIAL["ordinary"]])
    for axis in (None, 0, (1, 0)):
        np.testing.assert_array_equal(
            tm.vmap(lambda x, axis=axis: f(x, axis=axis))(xs), np.stack([reference(x, axis=axis) for x in xs])
        )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("special", ["ordinary", "a NaN", "NaN in every row", "a row of NaN", "inf"])
def test_gradients_where_they_are_defined(special: str, name: str) -> None:
    """By differences of finite elements, wherever the results that they reach are finite."""
    f, reference, x = FUNCTIONS[name], REFERENCES[name], SPECIAL[special]
    if "prod" in name and special != "ordinary":
        return  # 0 times what is not finite
    for axis in (None, 0, 1, (0, 1)):
        y, pullback = tm.vjp(lambda x, axis=axis: f(x, axis=axis), x)
        alive = np.isfinite(y)
        w = np.where(alive, np.random.default_rng(0).normal(size=np.shape(y)), 0)
        (found,) = pullback(w)
        for place in np.argwhere(np.isfinite(x)):
            step = np.zeros(x.shape)
            step[tuple(place)] = 1e-6
            slopes = (reference(x + step, axis=axis) - reference(x - step, axis=axis)) / 2e-6
            expected = np.sum(np.where(alive, w * np.where(alive, slopes, 0), 0))
            np.testing.assert_allclose(found[tuple(place)], expected, atol=1e-6, err_msg=f"{place} axis={axis}")
            pushed = tm.jvp(lambda x, axis=axis: f(x, axis=axis), (x,), (step,))[1]
            np.testing.assert_allclose(np.sum(np.where(alive, w * pushed, 0)), expected * 1e-6, atol=1e-12)


@pytest.mark.parametrize("f", [np.nanmax, np.nanmin, np.nanmean, np.nansum])
def test_nan_that_is_ignored_has_no_gradient(f: Any) -> None:
    gradient = tm.grad(f)(np.array([1.0, NAN, 1.0]))
    assert gradient[1] == 0 and gradient[0] == gradient[2] > 0


def test_a_nan_takes_the_derivative_of_what_it_makes_nan() -> None:
    for f in (np.median, lambda x: np.quantile(x, 0.3), np.max):
        np.testing.assert_array_equal(tm.grad(f)(np.array([1.0, NAN, 2.0])), [0, 1, 0])


def test_the_share_may_be_differentiated_and_mapped() -> None:
    x = np.array([1.0, 4.0, 2.0, 9.0])
    assert tm.grad(lambda q: np.quantile(x, q))(0.4) == pytest.approx(3 * 2.0)
    assert tm.grad(lambda q: np.percentile(x, q))(90.0) == pytest.approx(3 * 5 / 100)
    q = np.array([0.1, 0.9])
    np.testing.assert_allclose(tm.vmap(lambda q, y: np.quantile(y, q), in_axes=(0, None))(q, x), np.quantile(x, q))
    np.testing.assert_allclose(tm.vmap(lambda q: np.quantile(x, q))(q), np.quantile(x, q))
    np.testing.assert_allclose(tm.vjp(lambda x, q: np.quantile(x, q), x, q)[0], np.quantile(x, q))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.quantile(x, 1.5),
        lambda x: np.quantile(x, [0.2, -0.1]),
        lambda x: np.percentile(x, 101),
        lambda x: np.quantile(x[:0], 0.5, axis=0),
        lambda x: np.median(x, axis=2),
        lambda x: np.median(x, axis=(0, 0)),
        lambda x: np.nanmax(x[:0], axis=0),
        lambda x: np.quantile(x, 0.5, axis=(0, 2)),
    ],
)
def test_what_numpy_refuses_is_refused_in_our_words(call: Any) -> None:
    with pytest.raises((ValueError, IndexError)):
        call(X)
    with pytest.raises(tm.ArgumentError, match=r"quantile|percentile|median|nanmax|axis"):
        tm.vjp(call, X)


def test_the_median_of_nothing_is_nan_with_numpys_warning() -> None:
    expected, theirs = outcome(lambda: np.median(np.zeros((2, 0)), axis=1))
    (found, _), ours = outcome(lambda: tm.vjp(lambda x: np.median(x, axis=1), np.zeros((2, 0))))
    np.testing.assert_array_equal(found, expected)
    assert ours == theirs
