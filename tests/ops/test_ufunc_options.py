"""Every ufunc with every option that NumPy has for it, and with each of its methods: all found from NumPy itself."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.core import names
from tapem.core.hints import scipys
from tapem.errors import ArgumentError, DTypeError, MutationError, NoRuleError
from tests.ops.judged import judge_value_and_gradient, judge_vmap

X = np.random.default_rng(0).uniform(0.2, 0.9, (3, 4))
V = X[0]
MASK = X > 0.5

UFUNCS = [u for u in names.UFUNCS if not scipys(u) and u.signature is None]
REAL = [u for u in UFUNCS if any(types.startswith("d" * u.nin) for types in u.types)]
TWO = [u for u in UFUNCS if u.nin == 2]
by_name = {"ids": lambda u: u.__name__}


def operands(ufunc: np.ufunc, x: Any) -> tuple[Any, ...]:
    x = x + 1 if ufunc is np.arccosh else x
    return (x,) if ufunc.nin == 1 else (x, V + 0.05 if x.dtype.kind == "f" else x[0])


def parts(y: Any) -> tuple[Any, ...]:
    return y if type(y) is tuple else (y,)


@pytest.mark.parametrize("u", REAL, **by_name)
@pytest.mark.parametrize("option", ["dtype", "signature", "sig"])
@pytest.mark.parametrize(("given", "asked"), [("f", "d"), ("d", "f"), ("i", "d")])
def test_dtype(u: np.ufunc, option: str, given: str, asked: str) -> None:
    """The loop is the one that NumPy takes; what comes back has the operand's dtype."""
    x = (np.arange(1, 13).reshape(3, 4) if given == "i" else X).astype(given)
    loop = next(types for types in u.types if types.startswith("d" * u.nin))
    results = loop[u.nin + 2 :].replace("d", asked)
    value = results[0] if option == "dtype" else f"{asked * u.nin}->{results}"

    def f(x: Any) -> Any:
        return u(*operands(u, x), **{option: value})

    with np.errstate(all="ignore"):
        try:
            wanted = f(x)
        except TypeError:
            with pytest.raises(DTypeError):
                tm.vmap(f)(x[None])
            return
        found = tm.vmap(f)(x[None])
    for one, other in zip(parts(found), parts(wanted), strict=True):
        np.testing.assert_allclose(one[0], other, rtol=1e-6)
        assert one.dtype == other.dtype
    if given != "i" and results == asked:
        value, pullback = tm.vjp(f, x)
        assert pullback(np.ones_like(value))[0].dtype == given


@pytest.mark.parametrize("u", REAL, **by_name)
@pytest.mark.parametrize("mask", [MASK, MASK[0], MASK[:, :1], np.zeros((3, 4), bool), True], ids=str)
def test_where(u: np.ufunc, mask: Any) -> None:
    """NumPy leaves memory as it is where the mask does not hold, so it is given zeros to write into."""
    if u is np.frexp:
        return  # NumPy takes no array of another dtype as out=

    def f(x: Any) -> Any:
        found = u(*operands(u, x), where=mask)
        return found[0] + found[1] if type(found) is tuple else found * 1.0

    def g(x: Any) -> Any:
        zeros = tuple(np.zeros((3, 4), y.dtype) for y in parts(u(*operands(u, x))))
        found = u(*operands(u, x), out=zeros, where=mask)
        return found[0] + found[1] if type(found) is tuple else found * 1.0

    value, pullback = tm.vjp(f, X)
    np.testing.assert_allclose(value, g(X), rtol=1e-12)
    w = np.random.default_rng(1).normal(size=(3, 4))
    found = tm.vjp(lambda x: u(*operands(u, x)) if u.nout == 1 else sum(u(*operands(u, x))), X)[1]
    whole = found(np.where(mask, w, 0)) if value.dtype.kind == "f" and u.types[-1][-1] != "?" else None
    if whole is not None and g(X).dtype.kind == "f":
        np.testing.assert_allclose(pullback(w)[0], whole[0], rtol=1e-12)
    np.testing.assert_allclose(tm.vmap(f)(np.stack([X, X]))[1], g(X), rtol=1e-12)


def test_where_the_mask_does_not_hold_nothing_happens() -> None:
    """No warning, no infinite slope: the operand there is not looked at."""
    x = np.array([0.5, 0.0, -1.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tm.grad(lambda x: np.sum(np.log(x, where=x > 0)))(x).tolist() == [2, 0, 0, 0.5]
        assert tm.grad(lambda x: np.sum(np.divide(1.0, x, where=[True, False, True, True])))(x).tolist() == [
            -4, 0, -1, -0.25,
        ]  # fmt: skip
        slopes = tm.jvp(lambda x: np.sqrt(x, where=x > 0), (x,), (x,))[1]
        np.testing.assert_allclose(slopes, [np.sqrt(0.5) / 2, 0, 0, 2**-0.5])
        assert tm.grad(lambda x: np.sum(np.log(x, where=x > 9)))(x).tolist() == [0, 0, 0, 0]
        assert tm.grad(lambda x: np.sum(np.log(x[:0], where=x[:0] > 9)))(x).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("u", REAL, **by_name)
def test_what_means_nothing_for_values_on_a_tape_is_taken(u: np.ufunc) -> None:
    for options in ({"order": "F"}, {"subok": True}, {"casting": "unsafe"}, {"casting": "same_kind"}):
        wanted = u(*operands(u, X), **options)
        found = tm.vjp(lambda x, options=options: u(*operands(u, x), **options), X)[0]
        for one, other in zip(parts(found), parts(wanted), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-15)


AXES = [
    (lambda x: np.vecdot(x, X, axis=0), X),
    (lambda x: np.vecdot(x, X, axis=-1, keepdims=True), X),
    (lambda x: np.vecdot(x, X, axes=[0, 0, ()]), X),
    (lambda x: np.matmul(x, X, axes=[(1, 0), (0, 1), (1, 0)]), X),
    (lambda x: np.matmul(x, X, axes=[(0, 1), (1, 0), (-1, -2)]), X),
    (lambda x: np.matmul(x, X.T, dtype=np.float64, casting="safe"), X),
    (lambda x: np.vecdot(x, X, dtype=np.float64), X),
]


@pytest.mark.parametrize(("f", "x"), AXES)
def test_axes_of_generalized_ufuncs(f: Any, x: Any) -> None:
    judge_value_and_gradient(f, x)
    judge_vmap(f, x)


# NumPy's results along a contiguous axis are not those of its own accumulate; ldexp's operands are of two dtypes.
NUMPYS_OWN = {np.power, np.arctan2, np.float_power}
METHODS = ("reduce", "accumulate", "reduceat", "outer")
OPTIONS: list[dict[str, Any]] = [
    {}, {"axis": 1}, {"axis": -2}, {"axis": None}, {"axis": (0, 1), "keepdims": True}, {"keepdims": True},
    {"initial": 0.4}, {"initial": 0.4, "where": MASK}, {"where": MASK}, {"where": MASK[0], "axis": 1, "initial": 0.4},
    {"dtype": np.float64}, {"dtype": "d", "axis": 1},
]  # fmt: skip


@pytest.mark.parametrize("u", TWO, **by_name)
@pytest.mark.parametrize("method", METHODS)
def test_methods(u: np.ufunc, method: str) -> None:
    """Whatever NumPy computes we compute, of floats, bools and integers."""
    tried = 0
    kinds = [{}, {"dtype": np.float64}] if method == "outer" else OPTIONS
    for x, options in itertools.product([X, MASK, np.arange(1, 13).reshape(3, 4)], kinds):
        if u in (np.left_shift, np.power, np.lcm, np.float_power) and x is not X and x is not MASK:
            x = x % 3 + 1  # no overflow
        rest: tuple[Any, ...] = {
            "reduceat": ([0, 2, 1],),
            "outer": (x[0] + x.dtype.type(1) / 20 if x.dtype == float else x[0],),
        }.get(method, ())

        if u is np.ldexp or (u in NUMPYS_OWN and method != "accumulate" and options.get("axis", 0) != 0):
            continue

        def f(x: Any, options: dict[str, Any] = options, rest: tuple[Any, ...] = rest) -> Any:
            return getattr(u, method)(x, *rest, **options)

        with np.errstate(all="ignore"):
            try:
                wanted = f(x)
            except (TypeError, ValueError):
                continue
            tried += 1
            found = tm.vmap(f)(x[None])
        for one, other in zip(parts(found), parts(wanted), strict=True):
            np.testing.assert_allclose(one[0], other, rtol=1e-12, err_msg=str(options))
            assert one.dtype == other.dtype, options
        constant = u in (np.equal, np.not_equal, np.less) or u.nout > 1
        if x is X and not constant and np.asarray(wanted).dtype == float and np.isfinite(wanted).all():
            judge_value_and_gradient(lambda x, f=f: f(x) * 1.0, x)
    assert tried or method != "outer" or u is np.ldexp


@pytest.mark.parametrize("u", UFUNCS, **by_name)
def test_every_ufunc_has_every_method(u: np.ufunc) -> None:
    wanted = {"at"} | ({"outer"} if u.nin == 2 else set())
    wanted |= set(METHODS) if u.nin == 2 and u.nout == 1 else set()
    assert wanted == {method for other, method in names.METHODS if other is u}
    if u.nout > 1:
        return  # NumPy itself takes none of several results
    with pytest.raises(MutationError, match=r"tm\.scatter_add"):
        tm.grad(lambda x: [u.at(x, *[[0]] * u.nin), x.sum()][1])(X)


@pytest.mark.parametrize(
    ("f", "error", "text"),
    [
        (lambda x: np.sin(x, dtype=int), DTypeError, "np.sin: No loop"),
        (lambda x: np.add(x, 1, dtype=np.int32), DTypeError, "Cannot cast ufunc 'add' input 0 .* 'same_kind'"),
        (lambda x: np.add(x, 1, dtype=object), DTypeError, "not a dtype of numbers"),
        (lambda x: np.add(x, np.float32(1), casting="no"), DTypeError, "Cannot cast"),
        (lambda x: np.sin(x, where=[1.0, 0, 1, 1]), ArgumentError, "where= is a mask of bools"),
        (lambda x: np.sin(x, axis=0), (NoRuleError, TypeError), "element by element|unexpected"),
        (lambda x: np.divide(x, 2, out=1 * X, where=MASK), MutationError, r"np\.where\(mask, result, other\)"),
        (lambda x: np.matmul(x, X, axes=[(0, 1)]), (ArgumentError, ValueError), "axes"),
    ],
)  # fmt: skip
def test_refused(f: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        tm.grad(lambda x: np.sum(f(x)))(X)
