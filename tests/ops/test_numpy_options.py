"""The options of NumPy's functions: each given as a plain value and as a traced one, and axes as NumPy takes them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.errors import TapeError
from tapem.types import present

X = np.random.default_rng(0).normal(size=(3, 4, 2))
ROW, COLUMN, PLANE = X[0, 0] + 2, X[:, :1] + 1, X[:, :, :1] - 1
V = np.sort(X[0, :, 0])

# A function of an array and of an option's value, the array, and values of the option that NumPy takes.
VALUES: dict[str, tuple[Callable[[Any, Any], Any], Any, list[Any]]] = {
    **{
        f"diff {end} n={n} axis={axis}": (
            lambda x, o, n=n, axis=axis, end=end: np.diff(x, n=n, axis=axis, **{end: o}),
            X,
            [2.0, np.float64(0.5), np.take(X, [0], axis=axis), np.take(X, [1, 0], axis=axis)],
        )
        for n, axis, end in itertools.product((0, 1, 2, 3), (0, 1, -1, -3), ("prepend", "append"))
    },
    "diff of the option": (lambda x, o: np.diff(o, prepend=x, append=x), X, [X, X[..., :1]]),
    "ediff1d to_begin": (lambda x, o: np.ediff1d(x, to_begin=o), X, [1.5, V]),
    "ediff1d to_end": (lambda x, o: np.ediff1d(x, to_end=o), X, [1.5, V]),
    "gradient": (lambda x, o: np.gradient(x, o, axis=1), X, [0.5, np.float64(2.0)]),
    "gradient, both": (lambda x, o: np.stack(np.gradient(x[..., 0], o, 2 * o)), X, [0.5]),
    "trapezoid dx": (lambda x, o: np.trapezoid(x, dx=o, axis=1), X, [0.5, np.float64(2.0)]),
    "trapezoid x": (lambda x, o: np.trapezoid(x, o, axis=1), X, [V, np.cumsum(X * X, axis=1)]),
    "interp xp": (lambda x, o: np.interp(1.1 * x + 0.01, o, [1.0, 3.0, 2.0, 5.0]), X, [V]),
    "interp fp": (lambda x, o: np.interp(1.1 * x + 0.01, V, o), X, [V * V]),
    "interp left": (lambda x, o: np.interp(1.1 * x + 0.01, V, V * V, left=o, right=2 * o), X, [3.0, np.float64(1.0)]),
    "average": (lambda x, o: np.average(x, weights=o), X, [X * X + 1]),
    "average axis": (lambda x, o: np.average(x, axis=1, weights=o), X, [V * V + 1]),
    "clip": (lambda x, o: np.clip(x, o, 2.0), X, [0.1, ROW - 1.9]),
    "clip max": (lambda x, o: np.clip(x, a_min=None, a_max=o), X, [0.1, ROW - 1.9]),
    "full_like": (lambda x, o: np.full_like(x, o), X, [0.1, ROW]),
    "linspace stop": (lambda x, o: np.linspace(x, o, 5, axis=1), X, [0.1, ROW]),
    "linspace start": (lambda x, o: np.linspace(o, x, 5, endpoint=False), X, [0.1, ROW]),
    "append": (lambda x, o: np.append(x, o), X, [0.1, ROW]),
    "append axis": (lambda x, o: np.append(x, o, axis=-1), X, [PLANE]),
    "select": (lambda x, o: np.select([x > 0.5, x > 0], [x, o], default=o), X, [0.1, ROW]),
    "where": (lambda x, o: np.where(x > 0, x, o), X, [0.1, ROW]),
    "quantile": (lambda x, o: np.quantile(x, o, axis=1), X, [0.3, np.array([0.1, 0.77])]),
    "percentile": (lambda x, o: np.percentile(x, o, axis=(0, 1)), X, [33.0, np.array([10.0, 77.0])]),
    "pad": (lambda x, o: np.pad(x, 1, constant_values=o), X, [0.5, 3.0, np.array([0.5, 2.0])]),
    "nan_to_num": (lambda x, o: np.nan_to_num(np.where(x > 0, x, np.nan), nan=o), X, [0.5, np.float64(3.0)]),
    "nan_to_num inf": (lambda x, o: np.nan_to_num(np.where(x > 0, x, -np.inf), posinf=o, neginf=-o), X, [0.5]),
    "polyval": (lambda x, o: np.polyval(o, x), X, [V]),
    "cross": (lambda x, o: np.cross(x, o, axis=0), X, [X + 1]),
    "float_power": (lambda x, o: np.float_power(x * x + 1, o), X, [1.5, ROW]),
    "isclose": (lambda x, o: np.isclose(x, 0.3, rtol=0, atol=o) * x, X, [0.5]),
}


# NumPy asks only some of its arguments whether they are ours, and turns the others into arrays or writes them into one;
# what decides how a comparison comes out has no derivative here. All in words.
REFUSED = {
    *((name, "option") for name in ("interp left", "full_like", "nan_to_num", "nan_to_num inf", "pad", "isclose")),
    ("isclose", "both"),
}


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("name", VALUES)
def test_options_are_plain_or_traced(name: str) -> None:
    """The array alone, the option alone, or both may be traced: values and gradients are those of NumPy."""
    f, x, values = VALUES[name]
    for option in values:
        expected = f(x, option)
        w = np.random.default_rng(1).normal(size=np.shape(expected))
        slopes: list[Any] = []
        for position, at in enumerate((x, option)):
            at = np.asarray(at)
            slope = np.zeros(at.shape)
            for place in np.ndindex(at.shape):
                step = np.zeros(at.shape)
                step[place] = 1e-6
                ends = [f(at + s, option) if position == 0 else f(x, at + s) for s in (step, -step)]
                slope[place] = np.nansum(w * (ends[0] - ends[1])) / 2e-6
            slopes.append(slope)
        doors = {
            "array": (lambda x, option=option: f(x, option), (x,), slopes[:1]),
            "option": (lambda o: f(x, o), (option,), slopes[1:]),
            "both": (f, (x, option), slopes),
        }
        for door, (g, at, wanted) in doors.items():
            if (name, door) in REFUSED:
                with pytest.raises(TapeError):
                    tm.vjp(g, *at)
                continue
            value, pullback = tm.vjp(g, *at)
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-13)
            assert np.shape(value) == np.shape(expected)
            for found, slope in zip(pullback(w), wanted, strict=True):
                np.testing.assert_allclose(found, slope, atol=1e-6, err_msg=door)


LINE, CUBE = X[:, 0, 0], X
REDUCTIONS = [
    np.sum, np.mean, np.max, np.min, np.prod, np.var, np.std, np.median, np.ptp, np.average, np.nansum, np.nanprod,
    np.nanmax, np.nanmin, np.nanmean, np.any, np.all, np.count_nonzero, np.linalg.norm, np.linalg.vector_norm,
]  # fmt: skip
ONE_AXIS: list[Callable[..., Any]] = [
    np.cumsum, np.cumprod, np.sort, np.argsort, np.argmax, np.argmin, np.diff, np.gradient, np.trapezoid,
    *present("unstack", "cumulative_sum", "cumulative_prod"),
    lambda x, axis: np.take(x, [1, 0], axis=axis), lambda x, axis: np.repeat(x, 2, axis=axis),
    lambda x, axis: np.concatenate([x, x], axis=axis), lambda x, axis: np.stack([x, x], axis=axis),
    lambda x, axis: np.delete(x, 1, axis=axis), lambda x, axis: np.append(x, x, axis=axis),
    lambda x, axis: np.array_split(x, 2, axis=axis), lambda x, axis: np.split(x, [1], axis=axis),
    lambda x, axis: np.linspace(x, 2.0, 3, axis=axis), lambda x, axis: np.take_along_axis(x, np.argsort(x, axis), axis),
    lambda x, axis: np.rollaxis(x, axis), lambda x, axis: np.swapaxes(x, 0, axis), lambda x, axis: np.size(x, axis) * x,
]  # fmt: skip
AS_MANY: list[Callable[..., Any]] = [
    lambda x, axis: np.flip(x, axis), lambda x, axis: np.roll(x, 1, axis), lambda x, axis: np.expand_dims(x, axis),
    lambda x, axis: np.squeeze(np.expand_dims(x, axis), axis), lambda x, axis: np.moveaxis(x, axis, axis),
    lambda x, axis: np.quantile(x, 0.3, axis), lambda x, axis: np.percentile(x, [20, 70.0], axis),
]  # fmt: skip


def check(f: Callable[[Any], Any], x: Any) -> None:
    """Value, pullback and batch rule, against NumPy where it takes the arguments; else we refuse them in words."""
    try:
        expected = f(x)
    except (TypeError, ValueError, IndexError):
        with pytest.raises(TapeError):
            tm.vjp(f, x)
        return
    value, pullback = tm.vjp(f, x)
    leaves, wanted = tm.tree_flatten(value)[0], tm.tree_flatten(expected)[0]
    for one, other in zip(leaves, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
        assert np.shape(one) == np.shape(other)
    if all(np.asarray(one).dtype.kind == "f" for one in wanted):
        assert pullback(tm.tree_map(np.ones_like, value))[0].shape == x.shape
    mapped = tm.tree_flatten(tm.vmap(f)(np.stack([x, x])))[0]
    for one, other in zip(mapped, wanted, strict=True):
        np.testing.assert_allclose(one, np.stack([other, other]), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("x", [LINE, CUBE], ids=["line", "cube"])
@pytest.mark.parametrize("axis", [0, -1, 1, np.int64(0), np.int8(-1)], ids=repr)
@pytest.mark.parametrize("f", REDUCTIONS + ONE_AXIS + AS_MANY)
def test_one_axis(f: Any, axis: Any, x: Any) -> None:
    check(lambda x: f(x, axis=axis), x)


@pytest.mark.parametrize("x", [LINE, CUBE], ids=["line", "cube"])
@pytest.mark.parametrize("axis", [(0,), (0, 1), (-1, 0), (np.int64(1), 0)], ids=repr)
@pytest.mark.parametrize("f", REDUCTIONS + AS_MANY)
def test_several_axes(f: Any, axis: Any, x: Any) -> None:
    check(lambda x: f(x, axis=axis), x)


@pytest.mark.parametrize("axes", [0, (0,), [0], -1, np.int64(0), np.array([0])], ids=repr)
def test_transpose_of_a_line(axes: Any) -> None:
    check(lambda x: np.transpose(x, axes), LINE)
    assert tm.grad(lambda x: np.sum(np.transpose(x, axes) * LINE))(LINE).tolist() == LINE.tolist()
    check(lambda x: x.transpose(axes), LINE)


@pytest.mark.parametrize("axes", [(1, 0, 2), [2, 0, 1], np.array([0, 2, 1]), (-1, 0, 1), (np.int64(1), 2, 0)], ids=repr)
def test_transpose_of_a_cube(axes: Any) -> None:
    check(lambda x: np.transpose(x, axes), CUBE)
    w = np.transpose(CUBE, axes)
    np.testing.assert_array_equal(tm.grad(lambda x: np.sum(np.transpose(x, axes) * w))(CUBE), CUBE)
