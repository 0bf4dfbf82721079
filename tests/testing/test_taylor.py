"""Taylor's test: rates, steps, rounding, wrong derivatives of both orders, and the drawing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

import tapem as tm
from tapem.testing import TaylorTest, taylor_test

X = np.array([0.3, -1.2, 2.0])
Vector = Float[tm.Tensor, "n"]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(np.sin(x)),
        lambda x: np.exp(x) * x,
        lambda x: {"a": np.tanh(x), "b": (np.sum(x**3),)},
        lambda x: np.sum(np.sin(30 * x)),
        lambda x: tm.softmax(5 * x),
        lambda x: 1e12 * np.sum(np.cos(x)),
        lambda x: 1e-12 * np.sum(np.cos(x)),
    ],
)
def test_the_rates_of_smooth_functions(f: Any) -> None:
    for seed in range(5):
        result = taylor_test(f, X, seed=seed)
        assert isinstance(result, TaylorTest) and result
        assert all(rate >= order + 0.75 for order, rate in enumerate(result.rates) if rate is not None), result
        assert result.rates[0] == pytest.approx(1, abs=0.3), result
        assert len(result.steps) == 7 and [len(row) for row in result.remainders] == [7, 7, 7]


def wrong(first: float, second: float) -> Any:
    """The cube, with a derivative that is off by a factor, or whose own derivative is."""

    def slope(x: Any) -> Any:
        right = 3 * first * x * x
        return second * right + (1 - second) * tm.detach(right)

    @tm.primitive(rrule=(lambda g, y, x: g * slope(x),), frule=(lambda t, y, x: t * slope(x),))
    def cube(x: Vector) -> Vector:
        return x**3

    return cube


def test_wrong_derivatives_have_lower_rates() -> None:
    assert taylor_test(wrong(1, 1), X, seed=0)
    first = taylor_test(wrong(1.1, 1), X, seed=0)
    assert not first and first.right == (True, False, False) and first.rates[1] == pytest.approx(1, abs=0.1)
    assert "FAILED, the derivative of order 1 is wrong or does not exist" in str(first)
    second = taylor_test(wrong(1, 1.01), X, seed=0)
    assert not second and second.right == (True, True, False) and second.rates[2] == pytest.approx(2, abs=0.1)
    assert taylor_test(wrong(1, 1.01), X, orders=1, seed=0) and taylor_test(wrong(2, 1), X, orders=0, seed=0)


def test_a_kink_has_no_derivative() -> None:
    result = taylor_test(lambda x: np.sum(np.abs(x)), np.array([0.0, 1.0]), seed=0)
    assert result.right == (True, False, False)
    assert taylor_test(lambda x: np.sum(np.abs(x)), np.array([0.5, 1.0]), seed=0)


def test_polynomials_leave_only_rounding() -> None:
    result = taylor_test(lambda x: np.sum(3 * x), X, seed=0)
    assert result and result.rates[0] == pytest.approx(1) and result.rates[1:] == (None, None)
    assert result.rounding[1] == result.steps[0] and "hidden by rounding (2 expected)" in str(result)
    even = taylor_test(np.cos, 0.0, direction=1.0)
    assert even and even.rates == pytest.approx([2, 2, 4], abs=0.05)


def test_it_says_where_rounding_sets_in() -> None:
    result = taylor_test(lambda x: np.exp(x) + 100, 0.5, direction=1.0)
    at = result.rounding[2]
    assert result.rounding[:2] == (None, None) and at in result.steps[-2:]
    lines = str(result).splitlines()
    assert len(lines) == 9 and lines[1].split() == ["step", "order", "0", "order", "1", "order", "2"]
    marked = [line for line in lines if "(rounding)" in line]
    assert len(marked) == sum(step <= at for step in result.steps)
    single = taylor_test(lambda x: np.sum(np.tanh(x) ** 2), X.astype(np.float32), seed=0)
    assert single and single.rounding[2] is not None


def test_cancellation_is_no_wrong_derivative() -> None:
    for seed in range(10):
        assert taylor_test(lambda x: (x + 1e6) ** 2 - 1e12, X, seed=seed)
        assert taylor_test(lambda x: 1 - np.tanh(6 * x) ** 2, X, seed=seed)


def test_points_of_any_size() -> None:
    for scale in (1e-8, 1.0, 1e8):
        assert taylor_test(lambda x: np.sum(np.log(x)), scale * np.abs(X), seed=0).rates == pytest.approx(
            [1, 2, 3], abs=0.25
        )


def test_directions() -> None:
    f = lambda t: np.sum(t["a"] ** 3) * t["b"]  # noqa: E731
    x = {"a": X, "b": 2.0}
    result = taylor_test(f, x, {"a": np.array([1.0, 0.0, 0.0]), "b": 0.0}, seed=0)
    assert result and result.derivatives == pytest.approx((2 * np.sum(X**3), 6 * X[0] ** 2, 12 * X[0]))
    assert taylor_test(f, x, seed=1) == taylor_test(f, x, seed=1)


def test_bad_input() -> None:
    with pytest.raises(tm.ArgumentError, match="float16 has too few digits for a rate"):
        taylor_test(np.sum, X.astype(np.float16))
    with pytest.raises(tm.ArgumentError, match="orders=3 must be 0, 1 or 2"):
        taylor_test(np.sum, X, orders=3)
    with pytest.raises(tm.ShapeError, match=r"direction has the shapes \[\(2,\)\], but x has \[\(3,\)\]"):
        taylor_test(np.sum, X, np.ones(2))
    with pytest.raises(tm.DTypeError, match="holds integers"):
        taylor_test(np.sum, np.arange(3))
    with pytest.raises(tm.TreeError, match=r"direction is the tree \(\[\*, \*, \*\],\), but x is \(\*,\); they must"):
        taylor_test(np.sum, X, [1.0, 2.0, 3.0])
    with pytest.raises(tm.ArgumentError, match="direction has elements that are not finite"):
        taylor_test(np.sum, X, np.full(3, np.nan))
    with pytest.raises(tm.ArgumentError, match="x has elements that are not finite; choose a finite point"):
        taylor_test(lambda x: np.sum(x), np.array([1.0, np.inf]))


def test_the_drawing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "rates.png"
    figure = taylor_test(np.exp, 0.5, direction=1.0).draw(str(path))
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:2] == ["order 0: rate 1.00", "slope 1"] and len(labels) == 6
    assert path.stat().st_size > 10_000
