"""Elementwise and searching ops: every row against NumPy, finite differences and a loop; kinks and extremes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.errors import ArgumentError, DTypeError, ShapeError
from tapem.ops import activations, arithmetic, casting, exponential, searching, selection, trigonometry
from tests.tables import Row, elementwise
from tests.tables import searching as searching_table

ROWS = [*elementwise.ROWS, *searching_table.ROWS]
SMOOTH = [row for row in elementwise.ROWS if row.order]
APPROXIMATE = {"sigmoid", "softplus", "silu", "erf", "gelu", "elu", "safe_log", "leaky_relu"}


def program(row: Row) -> tuple[Any, tuple[Any, ...]]:
    """The op as a function of its float operands alone, and these operands."""
    chosen = [i for i, x in enumerate(row.operands) if x is not None and np.asarray(x).dtype.kind == "f"]

    def f(*xs: Any) -> Any:
        operands = list(row.operands)
        for i, x in zip(chosen, xs, strict=True):
            operands[i] = x
        return row.op(*operands, **row.static)

    return f, tuple(row.operands[i] for i in chosen)


def noise(value: Any, seed: int) -> Any:
    return np.asarray(np.random.default_rng(seed).normal(size=np.shape(value)))


def slope(f: Any, xs: Any, ts: Any, h: float = 1e-5) -> Any:
    ahead, behind = (f(*(x + s * t for x, t in zip(xs, ts, strict=True))) for s in (h, -h))
    return (np.asarray(ahead) - behind) / (2 * h)


def inner(a: Any, b: Any) -> Any:
    return sum(np.sum(x * y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_value(row: Row) -> None:
    value, expected = row.op(*row.operands, **row.static), row.reference(*row.operands, **row.static)  # type: ignore[misc]
    assert np.shape(value) == np.shape(expected)
    assert np.asarray(value).dtype == np.asarray(expected).dtype
    tolerance = 1e-12 if row.op.name in APPROXIMATE else 0.0  # type: ignore[attr-defined]
    np.testing.assert_allclose(value, expected, rtol=tolerance, atol=1e-3 * tolerance)


@pytest.mark.parametrize("row", SMOOTH, ids=str)
def test_both_modes(row: Row) -> None:
    f, xs = program(row)
    ts = tuple(noise(x, 1) for x in xs)
    y, dy = tm.jvp(f, xs, ts)
    np.testing.assert_array_equal(y, f(*xs))
    if row.note != "zero base":  # 0 to a negative power, a little to the left of exponent 0
        np.testing.assert_allclose(dy, slope(f, xs, ts), rtol=1e-6, atol=1e-7)
    w = noise(y, 2)
    np.testing.assert_allclose(inner([w], [dy]), inner(tm.vjp(f, *xs)[1](w), ts), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("row", [row for row in SMOOTH if row.order > 1 and row.note != "zero base"], ids=str)
def test_second_order(row: Row) -> None:
    f, xs = program(row)
    w, ts, us = noise(f(*xs), 1), tuple(noise(x, 2) for x in xs), tuple(noise(x, 3) for x in xs)

    def pulled(*xs: Any) -> Any:
        return sum(np.sum(g * u) for g, u in zip(tm.vjp(f, *xs)[1](w), us, strict=True))

    def pushed(*xs: Any) -> Any:
        return np.sum(tm.jvp(f, xs, us)[1] * w)

    expected = slope(pulled, xs, ts, 1e-4)
    for first_order in (pulled, pushed):
        np.testing.assert_allclose(tm.jvp(first_order, xs, ts)[1], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(inner(tm.vjp(first_order, *xs)[1](1.0), ts), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("first_only", [False, True])
def test_batch(row: Row, first_only: bool) -> None:
    chosen = [i for i, x in enumerate(row.operands) if x is not None][: 1 if first_only else None]
    stacked = [np.stack([x, x]) if i in chosen else x for i, x in enumerate(row.operands)]
    axes = tuple(0 if i in chosen else None for i in range(len(stacked)))

    def f(*xs: Any) -> Any:
        operands = list(row.operands)
        for i, x in zip(chosen, xs, strict=True):
            operands[i] = x
        return row.op(*operands, **row.static)

    given = [stacked[i] for i in chosen]
    expected = np.stack([f(*(x[k] for x in given)) for k in range(2)])
    result = tm.vmap(f)(*given)
    assert result.dtype == expected.dtype and axes
    np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("row", [row for row in SMOOTH if row.note not in ("integers", "bools", "zero base")], ids=str)
def test_dtype_is_kept(row: Row, dtype: Any) -> None:
    operands = [x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in row.operands]
    if any(isinstance(x, np.ndarray) and x.dtype.kind == "i" for x in operands) or row.op is casting.cast:
        return  # int64 promotes to float64, in NumPy too
    if not any(isinstance(x, np.ndarray) for x in operands):
        return
    f, xs = program(Row(row.op, tuple(operands), row.static))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        wanted = np.asarray(row.reference(*operands, **row.static)).dtype if row.op.numpy else np.dtype(dtype)  # type: ignore
        y, pullback = tm.vjp(f, *xs)
        assert y.dtype == wanted == dtype
        cotangents = pullback(np.ones_like(y))
        tangent = tm.jvp(f, xs, tuple(np.ones_like(x) for x in xs))[1]
        exact = tm.vjp(f, *(np.asarray(x, np.float64) for x in xs))[1](np.ones(np.shape(y)))
    assert tangent.dtype == dtype
    tolerance = 1e-4 if dtype is np.float32 else 0.05
    for x, cotangent, reference in zip(xs, cotangents, exact, strict=True):
        assert np.asarray(cotangent).dtype == np.asarray(x).dtype
        np.testing.assert_allclose(cotangent, reference, rtol=tolerance, atol=tolerance)


# -- kinks: alike in both modes ------------------------------------------------------------------------------------

HALF = 0.5
KINKS = [
    (arithmetic.abs, (0.0,), 0, 0.0),
    (arithmetic.fabs, (0.0,), 0, 0.0),
    (arithmetic.copysign, (0.0, 1.0), 0, 0.0),
    (arithmetic.copysign, (1.0, 0.0), 1, 0.0),
    (arithmetic.hypot, (0.0, 0.0), 0, 0.0),
    (arithmetic.hypot, (0.0, 0.0), 1, 0.0),
    (activations.relu, (0.0,), 0, 0.0),
    (activations.leaky_relu, (0.0,), 0, 0.01),
    (activations.elu, (0.0,), 0, 1.0),
    (selection.maximum, (1.0, 1.0), 0, HALF),
    (selection.maximum, (1.0, 1.0), 1, HALF),
    (selection.minimum, (1.0, 1.0), 0, HALF),
    (selection.minimum, (1.0, 1.0), 1, HALF),
    (selection.fmax, (1.0, 1.0), 0, HALF),
    (selection.fmax, (1.0, np.nan), 0, 1.0),
    (selection.fmin, (np.nan, 1.0), 1, 1.0),
    (selection.clamp, (-1.0, -1.0, 1.0), 0, 0.0),
    (selection.clamp, (1.0, -1.0, 1.0), 0, 0.0),
    (selection.clamp, (-1.0, -1.0, 1.0), 1, 1.0),
    (selection.clamp, (1.0, -1.0, 1.0), 2, 1.0),
    (selection.clamp, (0.0, 1.0, -1.0), 2, 1.0),
    (selection.clamp, (0.0, 1.0, -1.0), 1, 0.0),
    (trigonometry.sinc, (0.0,), 0, 0.0),
    (arithmetic.power, (0.0, 0), 0, 0.0),
    (arithmetic.power, (0.0, 0.0), 0, 0.0),
    (arithmetic.power, (0.0, 1), 0, 1.0),
    (arithmetic.power, (0.0, 1.0), 0, 1.0),
    (arithmetic.power, (0.0, 2), 0, 0.0),
    (arithmetic.power, (0.0, 2.0), 1, 0.0),
    (arithmetic.power, (0.0, 0.5), 1, 0.0),
    (arithmetic.power, (0.0, 0.0), 1, -np.inf),
    (arithmetic.power, (-2.0, 3), 0, 12.0),
    (arithmetic.power, (-2.0, 3.0), 0, 12.0),
    (arithmetic.power, (-2.0, -1.0), 0, -0.25),
]


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("as_arrays", [False, True])
@pytest.mark.parametrize(("op", "at", "argnum", "expected"), KINKS)
def test_kinks(op: Any, at: Any, argnum: int, expected: float, as_arrays: bool) -> None:
    operands = [np.full(2, x, float) if as_arrays else x for x in at]

    def f(x: Any) -> Any:
        return op(*operands[:argnum], x, *operands[argnum + 1 :])

    x = operands[argnum] if as_arrays else float(operands[argnum])
    w = np.ones_like(x)
    assert np.all(tm.vjp(f, x)[1](w)[0] == expected)
    assert np.all(tm.jvp(f, (x,), (w,))[1] == expected)


@pytest.mark.parametrize("derivative", ["reverse", "forward", "mixed"])
@pytest.mark.parametrize("exponent", [lambda n: n, float, np.array, lambda n: np.array(float(n)), np.float64])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("at", [0.0, -1.5, 2.0])
def test_derivatives_of_powers(at: float, n: int, exponent: Any, derivative: str) -> None:
    f = lambda x: np.power(x, exponent(n))  # noqa: E731
    reverse = tm.grad
    forward = lambda f: lambda x: tm.jvp(f, (x,), (1.0,))[1]  # noqa: E731
    outer, inner = {"reverse": (reverse, reverse), "forward": (forward, forward), "mixed": (forward, reverse)}[
        derivative
    ]
    assert np.isclose(inner(f)(at), n * at ** max(n - 1, 0))
    assert np.isclose(outer(inner(f))(at), n * (n - 1) * at ** max(n - 2, 0))
    third = n * (n - 1) * (n - 2) * at ** max(n - 3, 0)
    assert np.isclose(outer(outer(inner(f)))(at), third)


def test_power_in_both_operands() -> None:
    mixed = tm.grad(tm.grad(np.power, 0), 1)
    for a, b in ((2.0, 0.0), (2.0, 3.0), (0.5, -1.0)):
        assert np.isclose(mixed(a, b), a ** (b - 1) * (1 + b * np.log(a)))
    assert mixed(0.0, 2.0) == 0.0
    assert tm.grad(tm.grad(np.power, 1), 1)(0.0, 2.0) == 0.0


def test_exponent_of_a_negative_base() -> None:
    assert tm.grad(np.power)(-2.0, 2.0) == -4.0  # without a warning: the logarithm is never taken
    with np.errstate(invalid="ignore"):
        assert np.isnan(tm.grad(np.power, 1)(-2.0, 2.0))


def test_power_of_small_integer_exponents_keeps_float32() -> None:
    x = np.array([0.0, -2.0], np.float32)
    for exponent in (np.array([2, 3], np.int8), np.array([2, 3], np.uint8), np.array([True, False])):
        y, pullback = tm.vjp(lambda x, n=exponent: np.power(x, n), x)
        assert y.dtype == np.float32 and pullback(np.ones(2, np.float32))[0].dtype == np.float32
    unsigned = np.array([0, 0], np.uint8)
    assert tm.vjp(lambda x: np.power(x, unsigned), x)[1](np.ones(2, np.float32))[0].tolist() == [0.0, 0.0]
    assert tm.vjp(lambda n: np.power(2.0, n), x)[1](np.ones(2, np.float32))[0].dtype == np.float32


def test_square_by_power_is_square() -> None:
    x = np.random.default_rng(0).normal(size=100).astype(np.float32)
    np.testing.assert_array_equal(arithmetic.power(x, 2), x**2)
    np.testing.assert_array_equal(arithmetic.power(np.arange(3), 2), np.arange(3) ** 2)
    assert tm.hessian(lambda x: np.sum(x**2))(np.zeros(2)).tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_root_at_zero_is_infinitely_steep() -> None:
    for op in (arithmetic.sqrt, exponential.cbrt):
        with np.errstate(divide="ignore"):
            assert tm.grad(op)(0.0) == np.inf


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(
    "inside",
    [
        activations.relu,
        lambda x: np.maximum(x, 0.0),
        lambda x: np.fmax(0.0, x),
        lambda x: tm.clamp(x, 0.0, 1.0),
        lambda x: np.where(x > 0, x, 0.0),
        lambda x: np.where(x <= 0, 0.0, x),
        lambda x: -np.minimum(-x, 0.0),
    ],
)
def test_infinite_cotangents_do_not_leak(inside: Any) -> None:
    f = lambda x: np.sum(np.sqrt(inside(x)))  # noqa: E731
    x = np.array([-1.0, 0.25])
    assert tm.grad(f)(x).tolist() == [0.0, 1.0]
    assert tm.grad(lambda x: f(x))(x.astype(np.float32)).dtype == np.float32


# -- extremes ------------------------------------------------------------------------------------------------------

LIMITS = [-1e300, -1e4, -50.0, -1.0, 0.5, 50.0, 1e4, 1e300]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(
    "f",
    [
        activations.relu, activations.sigmoid, activations.softplus, activations.silu, activations.erf,
        activations.gelu, lambda x: activations.gelu(x, "tanh"), activations.leaky_relu, activations.elu,
        exponential.safe_log, np.tanh, np.arctan, np.arcsinh, lambda x: np.logaddexp(x, 0.0),
        lambda x: np.arctan2(x, 1.0), lambda x: np.hypot(x, 1.0),
    ],
)  # fmt: skip
def test_stable_for_every_finite_input(f: Any, dtype: Any) -> None:
    x = np.array(LIMITS).clip(np.finfo(dtype).min / 2, np.finfo(dtype).max / 2).astype(dtype)
    y, pullback = tm.vjp(f, x)
    (g,) = pullback(np.ones_like(x))
    assert y.dtype == g.dtype == dtype
    assert np.isfinite(y).all() and np.isfinite(g).all()
    assert np.isfinite(tm.jvp(f, (x,), (np.ones_like(x),))[1]).all()


def test_small_probabilities_are_exact() -> None:
    np.testing.assert_allclose(np.log(activations.sigmoid(np.array([-20.0, -700.0]))), [-20.0, -700.0], rtol=1e-9)
    np.testing.assert_allclose(activations.softplus(np.array([-20.0, -700.0])), np.exp([-20.0, -700.0]), rtol=1e-8)
    assert float(exponential.safe_log(-1e4)) == pytest.approx(np.log(1e-6))


def test_erf_in_float32() -> None:
    special = pytest.importorskip("scipy.special")
    x = np.linspace(-6, 6, 10_001)
    np.testing.assert_allclose(activations.erf(x.astype(np.float32)), special.erf(x.astype(np.float32)), atol=5e-7)
    np.testing.assert_allclose(activations.erf(x), special.erf(x), rtol=4e-16)
    assert np.isnan(activations.erf(np.nan)) and activations.erf(np.inf) == 1.0
    assert activations.erf(np.array([1, 2])).dtype == np.float64


def test_sinc_near_zero() -> None:
    x = np.array([1e-300, 1e-12, 1e-6, 1e-3])
    np.testing.assert_allclose(tm.grad(lambda x: np.sum(np.sinc(x)))(x), -(np.pi**2) * x / 3, rtol=1e-5)
    second = tm.grad(tm.grad(np.sinc))
    assert second(0.0) == pytest.approx(-(np.pi**2) / 3) and tm.grad(second)(0.0) == 0.0
    inside, outside = (1 - 1e-9) / np.pi, (1 + 1e-9) / np.pi  # where the power series hands over to the formula
    assert second(inside) == pytest.approx(second(outside), rel=1e-7)


def test_exact_quotients_in_remainders() -> None:
    # 1 / 0.1 rounds up to 10, but 0.1 goes only 9 times into 1, since it is a little more than a tenth.
    assert tm.grad(np.remainder, 1)(1.0, 0.1) == -9.0
    assert tm.grad(np.fmod, 1)(1.0, 0.1) == -9.0
    assert tm.grad(np.fmod, 1)(-1.0, 0.1) == 9.0


# -- constants -----------------------------------------------------------------------------------------------------


def test_comparisons_give_plain_arrays_inside_grad() -> None:
    def f(x: Any) -> Any:
        best = np.argmax(x)
        assert isinstance(best, np.ndarray) and isinstance(x > 0, np.ndarray)
        return np.sum(x * (x > 0)) + x[int(best)] * np.sign(x[0])

    assert tm.grad(f)(np.array([1.0, 3.0, -1.0])).tolist() == [1.0, 2.0, 0.0]


def test_casting_to_integers_is_a_constant() -> None:
    f = lambda x: np.sum(x * tm.astype(x, int))  # noqa: E731
    assert tm.grad(f)(np.array([1.5, -2.5])).tolist() == [1.0, -2.0]
    assert tm.jvp(f, (np.array([1.5, -2.5]),), (np.ones(2),))[1] == -1.0
    assert tm.vmap(tm.grad(f))(np.array([[1.5], [-2.5]])).tolist() == [[1.0], [-2.0]]


def test_cotangents_are_cast_back() -> None:
    x = np.array([1.0, 2.0], np.float32)
    (g,) = tm.vjp(lambda x: tm.astype(x, np.float64) ** 2, x)[1](np.ones(2))
    assert g.dtype == np.float32 and g.tolist() == [2.0, 4.0]
    assert tm.jvp(lambda x: x.astype(np.float16), (x,), (x,))[1].dtype == np.float16
    assert tm.hessian(lambda x: np.sum(x.astype(float) ** 3))(x).dtype == np.float32
    ref, tape = tm.Tape().leaf(x)
    y, tape = tm.astype(ref, float).run(tape)
    assert y.dtype == np.float64 and tape.backward(y, np.ones(2))[ref].dtype == np.float32


def test_a_float_condition_has_no_derivative() -> None:
    f = lambda x: np.sum(np.where(x, x, 2.0))  # noqa: E731
    assert tm.grad(f)(np.array([0.0, 3.0])).tolist() == [0.0, 1.0]
    assert tm.jvp(f, (np.array([0.0, 3.0]),), (np.ones(2),))[1] == 1.0


def test_identity_and_detach_do_not_alias() -> None:
    x = np.ones(2)
    assert arithmetic.identity(x) is not x and arithmetic.identity(2.0) == 2.0
    assert arithmetic.identity(np.array(True)).dtype == bool


# -- refusals ------------------------------------------------------------------------------------------------------


def refused(error: type[Exception], text: str, op: Any, *operands: Any, **static: Any) -> None:
    with pytest.raises(error) as caught:
        op(*operands, **static)
    assert text in str(caught.value)


def test_refusals() -> None:
    refused(ShapeError, "add(a, b): ", arithmetic.add, np.ones(2), np.ones(3))
    refused(ShapeError, "where(condition, x, y): ", selection.where, np.ones(2, bool), np.ones(3), 0.0)
    refused(ShapeError, "clamp(x, lo, hi): ", selection.clamp, np.ones(2), np.ones(3))
    refused(ShapeError, "scale(x, c): ", arithmetic.scale, np.ones(2), np.ones(2))
    refused(DTypeError, "sin(x): ", trigonometry.sin, "x")
    refused(DTypeError, "add(a, b): ", arithmetic.add, None, 1.0)
    refused(DTypeError, "neg(x): ", arithmetic.neg, np.array([True]))
    refused(ShapeError, "Integers to negative integer powers", arithmetic.power, np.array([1, 2]), -1)
    refused(ArgumentError, "eps must be positive and finite, not 0.0", exponential.safe_log, 1.0, eps=0.0)
    refused(ArgumentError, "eps must be positive and finite, not nan", exponential.safe_log, 1.0, eps=np.nan)
    refused(ArgumentError, "negative_slope must be a finite number", activations.leaky_relu, 1.0, np.ones(2))
    refused(ArgumentError, "alpha must be a finite number, not inf", activations.elu, 1.0, np.inf)
    refused(ArgumentError, "must be 'none' or 'tanh', not 'fast'", activations.gelu, 1.0, "fast")
    refused(DTypeError, "'nonsense' is not a dtype", casting.astype, 1.0, "nonsense")
    refused(DTypeError, "datetime64 is not a dtype of numbers", casting.astype, 1.0, "datetime64")
    refused(ArgumentError, "axis 2 is out of bounds", searching.argmax, np.ones((2, 3)), axis=2)
    refused(ArgumentError, "axis 1 is out of bounds", searching.argmax, np.array(1.0), axis=1)
    refused(ArgumentError, "empty sequence", searching.argmin, np.ones(0))
    refused(ArgumentError, "duplicate value in 'axis'", searching.any, np.ones((2, 2)), axis=(0, 0))
    refused(ArgumentError, "kind", searching.argsort, np.ones(2), kind="nonsense")
