"""The options of reductions, of reshaping, padding and gradients, and the methods of ufuncs."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.errors import ArgumentError, NoRuleError
from tapem.types import present
from tests.ops.judged import Case, judge_value_and_gradient, judge_vmap

X = np.random.default_rng(0).uniform(0.2, 0.9, (3, 4))
V = X[0]
MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, False, True]])

SPACINGS: list[Any] = [(), (0.5,), (0.5, 2.0), (np.array([0, 1, 3.0]), [0, 0.5, 0.7, 2]), (0.1, 3 + V.cumsum())]

METHODS: dict[str, Callable[..., Any]] = {
    "reduce": lambda u, x, axis: u.reduce(x, axis=axis, keepdims=True),
    "accumulate": lambda u, x, axis: u.accumulate(x, axis=axis),
    "reduceat": lambda u, x, axis: u.reduceat(x, [0, 2, 1], axis=axis),
}


def holed(x: Any) -> Any:
    return np.where(MASK, x, np.nan)


CASES: dict[str, Case] = {
    **{
        f"{f.__name__} {axis} {keepdims} {options}": (
            lambda x, f=f, options=options, axis=axis, keepdims=keepdims: f(x, axis=axis, keepdims=keepdims, **options),
            X,
        )
        for functions, options in [
            ([np.sum, np.prod, np.mean, np.var, np.std], {"where": MASK}),
            ([np.sum, np.prod, np.mean, np.var, np.std, np.nansum, np.nanmean], {"where": np.array([[True]])}),
            ([np.sum, np.prod, np.max, np.amin, np.nansum, np.nanprod, np.nanmax], {"initial": 0.5}),
            ([np.sum, np.prod, np.amax, np.min, np.nansum, np.nanprod, np.nanmin], {"initial": 0.5, "where": MASK}),
            ([np.var, np.std, np.nanvar, np.nanstd], {"correction": 1}),
            ([np.var, np.std, np.nanvar, np.nanstd], {"mean": 0.4}),
            ([np.var, np.std, np.nanvar, np.nanstd], {"where": MASK, "ddof": 1}),
        ]
        for f, (axis, keepdims) in itertools.product(functions, [(None, False), (1, True), ((0, 1), True)])
    },
    **{
        f"{f.__name__} of holes {axis}": (lambda x, f=f, axis=axis: f(holed(x), axis=axis), X)
        for f in (np.nansum, np.nanprod, np.nanvar, np.nanstd, np.nancumsum, np.nancumprod)
        for axis in (None, 0)
    },
    **{
        f"{f.__name__} own mean {axis}": (
            lambda x, f=f, axis=axis: f(x, axis=axis, mean=np.mean(x, axis=axis, keepdims=True)),
            X,
        )
        for f in (np.var, np.std)
        for axis in (None, 0)
    },
    **{
        f"{f.__name__} where": (lambda x, f=f: f(x > 0.5, axis=1, where=MASK)[:, None] * x, X)
        for f in (np.any, np.all)
    },
    "sum of lists": (lambda x: np.sum(x, axis=0, where=[True, False, True, True]), X),
    "empty max": (lambda x: np.max(x[:0], axis=0, initial=0.5) + x[0], X),
    **{
        f"{f.__name__} {options}": (lambda x, f=f, o=options: f(x, include_initial=True, **o), at)
        for f in present("cumulative_sum", "cumulative_prod")
        for options, at in (({"axis": 1}, X), ({"axis": -2}, X), ({}, V))
    },
    **{f"reshape {order}": (lambda x, o=order: np.reshape(x, (2, -1, 3), order=o), X) for order in "CFA"},
    **{f"ravel {order}": (lambda x, o=order: np.ravel(x, order=o), X) for order in "CFAK"},
    "sort stable": (lambda x: np.sort(x, stable=True), X),
    "sort kind": (lambda x: np.sort(x, axis=0, kind="mergesort"), X),
    "tril": (lambda x: np.tril(x, 1), V),
    "triu": (lambda x: np.triu(x), V),
    **{
        f"gradient {edge_order} {i}": (
            lambda x, s=spacing, e=edge_order: np.stack(np.gradient(x, *s, edge_order=e)),
            X,
        )
        for edge_order in (1, 2)
        for i, spacing in enumerate(SPACINGS)
    },
    "gradient along moving points": (lambda x: np.gradient(V, np.cumsum(x), edge_order=2), V),
    **{
        f"pad {mode} {options} {width}": (lambda x, m=mode, o=options, w=width: np.pad(x, w, mode=m, **o), X)
        for mode, options in [
            ("linear_ramp", {}),
            ("linear_ramp", {"end_values": ((1, 2), (3, 4))}),
            ("mean", {}),
            ("mean", {"stat_length": 2}),
            ("maximum", {}),
            ("minimum", {"stat_length": ((1, 2), (2, 1))}),
            ("median", {}),
            ("reflect", {"reflect_type": "odd"}),
            ("symmetric", {"reflect_type": "odd"}),
            ("reflect", {"reflect_type": "even"}),
        ]
        for width in (1, ((1, 2), (0, 3)), ((5, 4), (9, 1)))
    },
    "interp period": (lambda x: np.interp(10 * x - 3, [1.0, 0.5, 2.2, 3.9], [3.0, 2, 5, 1], period=4), X),
    "interp period fp": (lambda f: np.interp(np.arange(6.0), [1.0, 0.5, 2.2, 3.9], f, period=4), V),
    **{
        f"{u.__name__}.{name} {axis}": (lambda x, u=u, m=method, axis=axis: m(u, x, axis), X)
        for u in (np.add, np.multiply, np.maximum, np.minimum, np.subtract, np.divide, np.logaddexp, np.hypot)
        for name, method in METHODS.items()
        for axis in (0, 1)
    },
    "subtract.reduce initial": (lambda x: np.subtract.reduce(x, axis=1, initial=3.0), X),
    "add.reduce where": (lambda x: np.add.reduce(x, initial=3.0, where=MASK), X),
    "maximum.reduce initial": (lambda x: np.maximum.reduce(x, axis=None, initial=0.5), X),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_value_gradient_and_batch(name: str) -> None:
    f, x = CASES[name]
    judge_value_and_gradient(f, x)
    judge_vmap(f, x)


@pytest.mark.parametrize("f", [np.sum, np.prod, np.mean, np.var, np.std, np.cumsum, np.cumprod, np.trace, np.nansum])
@pytest.mark.parametrize(("given", "dtype"), [(np.float32, np.float64), (np.float64, np.float32), (np.float32, float)])
def test_dtype(f: Any, given: Any, dtype: Any) -> None:
    """The result has the dtype, and what comes back has the operand's."""
    x = X.astype(given)
    value, pullback = tm.vjp(lambda x: f(x, dtype=dtype), x)
    np.testing.assert_allclose(value, f(x, dtype=dtype), rtol=1e-6)
    assert value.dtype == dtype
    (cotangent,) = pullback(np.ones(np.shape(value), dtype))
    assert cotangent.dtype == given
    np.testing.assert_allclose(cotangent, tm.grad(lambda x: np.sum(f(x)))(X), rtol=1e-4, atol=1e-5)


def test_initial_may_be_traced() -> None:
    """It ties with the greatest element as another element does, half each; it is one more term or factor."""
    assert tm.grad(lambda x: np.max(x[1:], initial=2 * x[0]))(V).tolist() == [2, 0, 0, 0]
    assert tm.grad(lambda x: np.max(x, initial=2.0))(np.array([1.0, 2.0])).tolist() == [0, 0.5]
    assert tm.grad(lambda x: np.sum(x, initial=x[0]))(V).tolist() == [2, 1, 1, 1]
    np.testing.assert_allclose(tm.grad(lambda x: np.prod(x[1:], initial=x[0]))(V), V.prod() / V)


@pytest.mark.parametrize("f", [np.max, np.min])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes_of_large_arrays_are_those_of_small_ones(f: Any, axis: Any, dtype: Any) -> None:
    """A large array's cotangent is added into another one, where a small one's is an array: both share alike."""
    x = np.random.default_rng(1).integers(0, 60, (5, 50, 61)).astype(dtype)  # with many ties
    x[2, 3, 4] = np.nan
    value, pullback = tm.vjp(lambda x: (f(x, axis=axis), np.sum(3 * x)), x)
    (alone,) = pullback((np.arange(np.size(value[0]), dtype=dtype).reshape(np.shape(value[0])), dtype(0)))
    (both,) = pullback((np.ones(np.shape(value[0]), dtype), dtype(1)))
    assert alone.dtype == both.dtype == dtype
    axes = tuple(range(3)) if axis is None else tuple(a % 3 for a in np.atleast_1d(axis))
    lines = np.moveaxis(x, axes, range(-len(axes), 0)).reshape(np.size(value[0]), -1)
    shares = np.moveaxis(both - 3, axes, range(-len(axes), 0)).reshape(lines.shape)
    for line, share, extreme in zip(lines, shares, np.ravel(value[0]), strict=True):
        tied = np.isnan(line) if np.isnan(extreme) else line == extreme
        np.testing.assert_allclose(share[tied], 1 / tied.sum(), rtol=1e-5)
        assert not share[~tied].any()
    np.testing.assert_allclose(np.sum(alone, axis=axes), np.arange(len(lines)).reshape(np.shape(value[0])), rtol=1e-5)


def test_what_is_subtracted_from_many_gets_their_sum() -> None:
    a, b = np.random.default_rng(2).normal(size=(4, 5)), np.arange(5.0)
    for small in (b, b[:1], b[0], 2.0, np.float64(2.0)):
        gradient = tm.grad(lambda small: np.sum(np.square(a - small)))(small)
        expected = 2 * np.sum(np.broadcast_to(small, a.shape) - a, axis=0)
        expected = expected if np.shape(small) == (5,) else np.sum(expected).reshape(np.shape(small))
        np.testing.assert_allclose(gradient, expected)
        assert np.shape(gradient) == np.shape(small)


def test_a_deviation_of_equal_elements_has_no_slope() -> None:
    for options in ({"where": np.array([True, True, False])}, {"mean": 0.5}):
        slopes = tm.grad(lambda x, options=options: np.std(x, **options))(np.array([0.5, 0.5, 0.5]))
        assert slopes.tolist() == [0, 0, 0]
    assert tm.grad(np.nanstd)(np.array([0.5, np.nan, 0.5])).tolist() == [0, 0, 0]


def test_a_running_maximum_halves_each_tie() -> None:
    assert tm.jacrev(np.maximum.accumulate)(np.array([1.0, 1.0, 2.0])).tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("f", "error", "text"),
    [
        (lambda x: np.max(x, where=MASK), ArgumentError, "needs initial="),
        (lambda x: np.var(x, ddof=1, correction=1), ArgumentError, "simultaneously"),
        (lambda x: np.reshape(x, (4, 3), order="K"), ArgumentError, "not one of C, F, A"),
        (lambda x: np.gradient(x, edge_order=3), ArgumentError, "edge_order=3"),
        (lambda x: np.gradient(x, [0.0, 1.0], axis=1), tm.ShapeError, r"axis 1 has 4 points, but .* \(2,\)"),
        (lambda x: np.pad(x, 1, mode=print), NoRuleError, "a function as mode"),
        (lambda x: np.subtract.reduce(x, axis=None), ArgumentError, "goes along one axis"),
        (lambda x: np.subtract.reduce(x, axis=5), ArgumentError, "axis 5 is out of bounds"),
        (lambda x: np.subtract.reduce(x[:0]), ArgumentError, "no element along axis 0"),
        (lambda x: np.subtract.reduceat(x, [0, 7]), ArgumentError, r"must be in \[0, 3\)"),
        (lambda x: np.subtract.reduce(x, where=MASK), ArgumentError, "there may be no element along axis 0"),
    ],
)  # fmt: skip
def test_refused(f: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        tm.grad(lambda x: np.sum(f(x)))(X)


def test_whatever_lies_in_an_empty_border_is_not_differentiated() -> None:
    value, pullback = tm.vjp(lambda x: np.pad(x, 1, mode="empty")[1:-1], V)
    assert (value == V).all() and (pullback(V)[0] == V).all()


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(
    "f",
    [
        np.sum, np.prod, np.max, np.min, np.ptp, np.any, np.all, np.argmax, np.argmin, np.count_nonzero, np.squeeze,
        np.cumsum, np.cumprod, np.argsort, np.nanmax, np.nanmin, np.nanmean, np.nansum, np.nanprod, np.nancumsum,
        np.nancumprod, np.add.reduce, np.logaddexp.reduce, np.subtract.reduce, np.maximum.reduce,
        lambda x, axis: np.repeat(x, 3, axis), lambda x, axis: np.take(x, [0, 0], axis),
        lambda x, axis: np.take(x, [2], axis, mode="clip"), lambda x, axis: np.take(x, 0, axis),
        lambda x, axis: np.compress([True], x, axis), lambda x, axis: x.cumsum(axis), lambda x, axis: x.repeat(2, axis),
    ],
)  # fmt: skip
def test_a_number_has_axes_0_and_minus_1_where_numpy_gives_it_them(f: Any, axis: int) -> None:
    x = np.float64(0.7)
    judge_value_and_gradient(lambda x: f(x, axis=axis) * x, x)
    judge_vmap(lambda x: f(x, axis=axis) * x, np.array(0.7))
    for wrong in (1, -2, (0,), (-1,)):
        with pytest.raises(tm.TapeError):
            tm.grad(lambda x, wrong=wrong: f(x, axis=wrong) * x)(x)


def test_quotient_and_remainder_at_once() -> None:
    for f in (lambda x: np.stack(divmod(3 * x, 0.4)), lambda x: np.stack(divmod(2.0, x))):
        judge_value_and_gradient(f, X)
        judge_vmap(f, X)


def test_flat_is_one_line() -> None:
    judge_value_and_gradient(lambda x: np.stack([v * v for v in x.flat]) * x.flat[3], X)


@pytest.mark.parametrize(
    "index",
    [
        (True, 0), (0, True), (np.True_, slice(None), 1), (False, 0), (slice(1, None), True, [0, 2]), (..., True),
        (..., True, 1), (True, None, 1), (None, np.array(True), slice(None), [1, 0]), (True, True, 0), (True, False),
        (True, MASK),
        ([0, 2], slice(None), True), (X[:, 0] > 0.5, True, 0), (slice(None), [1, 1], np.True_),
        (True, ...), (1, True, 2),
    ],
    ids=str,
)  # fmt: skip
def test_single_bools_beside_other_indices(index: Any) -> None:
    judge_value_and_gradient(lambda x: x[index], X)
    judge_vmap(lambda x: x[index], X)
    assert tm.getitem(X, index).tolist() == X[index].tolist()


@pytest.mark.parametrize("index", [True, False, np.True_, np.False_])
def test_a_single_bool_is_a_new_axis(index: Any) -> None:
    for x in (X, np.float64(0.5)):
        judge_value_and_gradient(lambda x: x[index], np.asarray(x))
    np.testing.assert_array_equal(tm.vmap(lambda x: x[index])(X), X[:, None][:, : int(index)])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float16, np.float32], ids=lambda d: d.__name__)
@pytest.mark.parametrize("case", CASES)
def test_options_keep_the_dtype_as_numpy_does(case: str, dtype: Any) -> None:
    f, x = CASES[case]
    x = x.astype(dtype)
    expected, found = np.asarray(f(x)), np.asarray(tm.vjp(f, x)[0])
    assert found.dtype == expected.dtype
    if dtype is np.float32:  # NumPy rounds to float16 in between
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("f", present("cumulative_sum", "cumulative_prod"))
def test_cumulative_functions_of_a_matrix_need_an_axis(f: Any) -> None:
    with pytest.raises(ValueError, match="axis"):
        f(X)
    with pytest.raises(ArgumentError, match=rf"np.{f.__name__} needs an axis for an array of {X.ndim} axes"):
        tm.vjp(f, X)


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")  # np.nanvar drops imaginary parts of zero
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128], ids=lambda d: d.__name__)
@pytest.mark.parametrize("f", [np.var, np.std, np.nanvar, np.nanstd], ids=lambda f: f.__name__)
def test_a_spread_in_a_complex_dtype_has_it(f: Any, dtype: Any) -> None:
    for options in ({}, {"axis": 0}, {"ddof": 1, "keepdims": True}, {"where": MASK}):
        spread = functools.partial(f, dtype=dtype, **options)
        expected, found = np.asarray(spread(X)), tm.vjp(spread, X)[0]
        assert found.dtype == expected.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    judge_value_and_gradient(lambda x: np.real(f(x, axis=0, dtype=np.complex128)), X)
