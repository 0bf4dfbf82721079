"""Finite differences against derivatives that are known by heart."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import tapem as tm
from tapem.testing import finite_diff, finite_diff_jacobian
from tapem.testing.stencils import METHODS

X = np.array([0.3, -1.2, 2.0])

# How close each method comes to the derivative of a smooth function, in float64.
CLOSE = {"central": 1e-7, "forward": 1e-3, "backward": 1e-3, "extrapolated": 1e-10, "complex": 1e-14, "auto": 1e-14}


def smooth(x: Any) -> Any:
    return np.sum(np.sin(x) * x**2)


def slope_of_smooth(x: Any) -> Any:
    return np.cos(x) * x**2 + 2 * x * np.sin(x)


@pytest.mark.parametrize("method", METHODS)
def test_methods(method: str) -> None:
    found = finite_diff(smooth, X, method=method)
    assert found.shape == (3,) and found.dtype == np.float64
    np.testing.assert_allclose(found, slope_of_smooth(X), atol=CLOSE[method])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("dtype", "close"), [(np.float32, 1e-3), (np.float16, 0.15)])
def test_the_step_suits_the_dtype(method: str, dtype: Any, close: float) -> None:
    x = X.astype(dtype)
    found = finite_diff(smooth, x, method=method)
    assert found.dtype == dtype
    loose = 100 * close if method in ("forward", "backward") else close
    np.testing.assert_allclose(found, slope_of_smooth(X), atol=loose)


@pytest.mark.parametrize("eps", [1e-2, 1e-3])
def test_eps_is_the_step(eps: float) -> None:
    def f(x: Any) -> Any:
        return x**3

    assert finite_diff(f, 1.0, eps) - 3 == pytest.approx(eps**2, rel=1e-4)
    assert finite_diff(f, 1.0, eps, "forward") - 3 == pytest.approx(3 * eps + eps**2, rel=1e-4)
    assert finite_diff(f, 1.0, eps, "backward") - 3 == pytest.approx(-3 * eps + eps**2, rel=1e-4)


@pytest.mark.parametrize("x", [1e-4, 1e-2, 1.0, 1e3, 1e8])
def test_extrapolation_finds_its_own_step(x: float) -> None:
    found = finite_diff(np.log, x, method="extrapolated")
    assert found * x == pytest.approx(1.0, rel=1e-7)


def test_the_jacobian_has_the_shape_of_output_and_input() -> None:
    matrix = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(finite_diff_jacobian(lambda x: matrix @ x, X), matrix, atol=1e-9)
    found = finite_diff_jacobian(lambda x: x.T, matrix)
    assert found.shape == (3, 2, 2, 3)
    np.testing.assert_allclose(found, np.einsum("ik,jl->ijlk", np.eye(3), np.eye(2)), atol=1e-9)
    assert finite_diff_jacobian(lambda x: x, np.zeros((0, 2))).shape == (0, 2, 0, 2)
    assert finite_diff_jacobian(np.sum, np.float64(2.0)).shape == ()


class Pair(NamedTuple):
    a: Any
    b: Any


def test_trees_in_and_out() -> None:
    tree = {"w": Pair(X, 2.0), "rest": [np.ones((2, 2))]}
    found = finite_diff(lambda t: np.sum(t["w"].a) * t["w"].b + np.sum(t["rest"][0] ** 2), tree)
    assert isinstance(found["w"], Pair)
    np.testing.assert_allclose(found["w"].a, 2.0, atol=1e-8)
    assert found["w"].b == pytest.approx(X.sum())
    np.testing.assert_allclose(found["rest"][0], 2.0, atol=1e-8)
    both = finite_diff_jacobian(lambda t: Pair(t["x"] * t["y"], {"y": t["y"]}), {"x": X, "y": 3.0})
    np.testing.assert_allclose(both.a["x"], 3 * np.eye(3), atol=1e-8)
    np.testing.assert_allclose(both.a["y"], X, atol=1e-8)
    np.testing.assert_allclose(both.b["y"]["y"], 1.0, atol=1e-8)


@tm.do
def program(x: Any) -> Any:
    y = yield tm.square(x)
    total = yield tm.sum(y)
    return total


@pytest.mark.parametrize(
    "f", [program, lambda x: tm.leaf(x).bind(tm.square).bind(tm.sum), lambda x: tm.sum(tm.square(x))]
)
def test_any_kind_of_program(f: Any) -> None:
    np.testing.assert_allclose(finite_diff(f, X), 2 * X, atol=1e-8)
    assert tm.testing.check_gradient(f, X)
    tm.testing.check_grads(f, (X,))


def test_the_function_may_keep_its_argument() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(x)
        return np.sum(x**2)

    x = X.copy()
    np.testing.assert_allclose(finite_diff(f, x), 2 * X, atol=1e-8)
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize(
    ("f", "x", "options", "message"),
    [
        (np.sin, X, {}, "finite_diff needs a function that returns one real scalar, but it returned the shapes"),
        (np.sum, np.array([1, 2]), {}, "holds integers or bools, which cannot be perturbed"),
        (lambda t: t["x"], {"x": 1.0, "n": 3}, {}, r"t\['n'\] holds integers"),
        (
            np.sin,
            1.0,
            {"method": "newton"},
            "method='newton' is not one of central, forward, backward, extrapolated, complex, auto",
        ),
        (np.sin, 1.0, {"eps": 0.0}, "the step eps=0.0 must be positive"),
        (np.sin, 1.0, {"eps": 1e-20}, "the step 2e-20 is lost in rounding"),
        (lambda x: abs(x) * x, -1.0, {"method": "complex"}, "not analytic as it is written"),
        (lambda x: float(x.real) * 2.0, np.ones(()), {"method": "complex"}, "not analytic"),
        (np.sin, "text", {}, "one of its arguments is 'text', which is not a tensor"),
        (lambda x: None, 1.0, {}, "the function returned None; does it lack a return statement"),
        (lambda x: np.argmax(x), X, {}, "returns one real scalar, but it returned no floats"),
        (1.0, 1.0, {}, r"needs a function, not 1\.0\. Give it the function itself"),
        (lambda x: "text", 1.0, {}, "an output of the function is 'text', which is not a tensor"),
    ],
)
def test_bad_input(f: Any, x: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(tm.TapeError, match=message):
        finite_diff(f, x, **options)


def test_a_function_that_refuses_complex_numbers() -> None:
    def f(x: Any) -> Any:
        if np.iscomplexobj(x):
            raise TypeError("only real numbers")
        return x

    with pytest.raises(tm.ArgumentError, match=r"which it refuses: only real numbers\. Use method=\"extrapolated\""):
        finite_diff(f, 1.0, method="complex")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("tiny", [5e-324, 2e-313, 1e-300, 1e-160, 1e-140])
def test_numbers_next_to_nothing_count_as_zero(tiny):
    """A step in proportion to them would vanish, and the inverse of one of 2e-313 overflows."""
    tm.testing.check_grads(lambda x: np.sum(np.tanh(x) * x), (np.array([tiny, 1.0]),), order=2)
