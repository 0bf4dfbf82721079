"""float_error: the nodes where digits go, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

import tapem as tm
from tapem.errors import ArgumentError
from tapem.testing import FloatError, float_error

RNG = np.random.default_rng(0)
AT_AN_OFFSET = (1e3 + RNG.normal(size=100)).astype(np.float32)


def naive_variance(x: Any) -> Any:
    return np.mean(x**2) - np.mean(x) ** 2


def variance(x: Any) -> Any:
    return np.mean((x - np.mean(x)) ** 2)


@tm.elementwise(lambda g, y, x: g * (1 - tm.cos(x)))
def cancelling(x: Float[tm.Tensor, "*shape"]) -> Float[tm.Tensor, "*shape"]:
    """An op whose rule subtracts what is nearly equal."""
    return x - np.sin(x) + np.float32(1)


def one_minus_cosine(x: Any) -> Any:
    return cancelling(x)


def true_error(f: Any, x: Any) -> float:
    exact = f(x.astype(np.float64))
    return float(abs(f(x) - exact) / abs(exact))


def test_the_naive_variance_loses_its_digits_in_the_difference() -> None:
    report = float_error(naive_variance, AT_AN_OFFSET)
    assert isinstance(report, FloatError) and report.precision == np.float32 and report.beside == np.float64
    assert report.value == pytest.approx(true_error(naive_variance, AT_AN_OFFSET), rel=1e-6) and report.value > 1e-2
    worst = report.forward[0]
    assert "= sub(" in worst.text and worst.lost > 4
    assert all(loss.lost < 1.5 for loss in report.forward[1:])
    assert f"{worst.text}: loses {worst.lost:.1f} digits" in str(report)


def test_the_usual_variance_keeps_them() -> None:
    report = float_error(variance, AT_AN_OFFSET)
    assert report.value < 1e-3 and all(loss.lost < 4 for loss in report.forward)
    assert float_error(np.var, AT_AN_OFFSET).value < 1e-5


def test_digits_that_go_backward() -> None:
    """The value is right, but the cotangents of x cancel."""

    def f(x: Any) -> Any:
        return np.sum(np.sqrt(1 + x)) - np.sum(np.sqrt(1 + x * np.float32(1 + 1e-4)))

    report = float_error(lambda x: (tm.sin(x) - x) + 1, np.float32(1e-2))
    assert report.value < 1e-7 and report.gradient is not None and report.gradient > 1e-4
    worst = report.backward[0]
    assert worst.text == "cotangent of %0 (x), as the sum of what arrives" and worst.lost > 3
    gradient = float_error(f, AT_AN_OFFSET).gradient
    right = tm.grad(f)(AT_AN_OFFSET.astype(np.float64))
    actual = np.max(np.abs(tm.grad(f)(AT_AN_OFFSET) - right)) / np.max(np.abs(right))
    inside = float_error(one_minus_cosine, np.float32(1e-2)).backward[0]
    assert inside.text.startswith("rule of %1 = cancelling(%0), for %0") and inside.lost > 3
    assert gradient == pytest.approx(float(actual), rel=0.5)


def test_float32_is_replayed_through_lapack_and_loops() -> None:
    def f(x: Any) -> Any:
        return tm.scan(lambda c, y: (c * y - c, c), x[0], np.linalg.solve(np.outer(x, x) + np.eye(3), x))[0]

    x = np.arange(1, 4, dtype=np.float32)
    report = float_error(f, x)
    assert not report.skipped and report.value == pytest.approx(true_error(f, x), rel=1e-3)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda t: {"a": t["w"] @ t["v"], "n": 3}, {"w": np.ones((2, 3), np.float32), "v": np.ones(3, np.float32)}),
        (lambda z: np.sum(np.abs(z * z)), np.array([1 + 2j, 3j], np.complex64)),
        (lambda x: np.where(x > 1, x, 0) * x[::-1].astype(np.float32), np.array([0.5, 1.5], np.float32)),
        (lambda x: np.linalg.qr(x)[0], np.array([[2, 1], [1, 3]], np.float32)),
        (lambda x: np.sum(x), np.array([1, 2], np.float16)),
        (lambda x: 1.0, np.array([1, 2], np.float32)),
    ],
    ids=["trees", "complex", "decisions and casts", "several results", "float16", "a constant"],
)
def test_programs_of_every_kind(f: Any, x: Any) -> None:
    report = float_error(f, x)
    assert not report.skipped and report.value < 1e-6 and not report.forward
    assert str(report).startswith("FloatError of ")


def test_integers_have_no_digits_to_lose() -> None:
    with pytest.raises(tm.DTypeError, match="holds integers"):
        float_error(np.sum, np.arange(3))


def test_what_overflows_in_one_precision_has_lost_all_digits() -> None:
    report = float_error(lambda x: np.exp(x) * np.float32(1e-30), np.float32(100.0))
    assert report.value == 1.0 and [loss.left for loss in report.forward] == [0.0]
    assert "= exp(" in report.forward[0].text


def test_infinities_of_both_precisions_are_equal() -> None:
    report = float_error(lambda x: np.sum(np.where(x > 0, x, -np.inf)[:1]) + x[1] * 0.0, np.array([1.0, -1.0]))
    assert report.value == 0.0


def test_a_point_where_nothing_is_finite_has_no_digits() -> None:
    with pytest.raises(ArgumentError, match="nothing that f returns is finite at x; choose a point inside its domain"):
        float_error(lambda x: x * np.nan, np.float32(1.0))


def test_nothing_is_longer_than_the_longest_floats() -> None:
    with pytest.raises(ArgumentError, match=r"nothing on this machine is longer than \w+; give x in float(32|64)"):
        float_error(lambda x: x * x, np.longdouble(1.0))
