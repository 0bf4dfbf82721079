"""Derivatives from anywhere: by hand, as SciPy has them, as other libraries return them, compiled, and wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import scipy.optimize
from jaxtyping import Float

import tapem as tm
from tapem.testing import (
    GradientMismatch,
    check_gradient,
    check_grads,
    check_op,
    finite_diff,
    float_error,
    rule_report,
    taylor_test,
)

X = np.array([0.3, -1.2, 2.0])


def energy(x: Any) -> Any:
    return np.sum(np.sin(x) * x**2)


def slope(x: Any) -> Any:
    return np.cos(x) * x**2 + 2 * x * np.sin(x)


class Foreign:
    """An array of another library: NumPy may read it, nothing else is known of it."""

    def __init__(self, value: Any) -> None:
        self.value = np.asarray(value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.value, dtype)


class Tracked(Foreign):
    """A tensor as torch's are: it must leave its graph before NumPy may read it."""

    def detach(self) -> Foreign:
        return Foreign(self.value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


def plain_only(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which fails on everything but NumPy's arrays and numbers."""

    @functools.wraps(f)
    def called(*args: Any) -> Any:
        for leaf in tm.tree_leaves(args):
            assert isinstance(leaf, np.ndarray | np.generic | float), type(leaf)
        return f(*args)

    return called


@numba.njit
def compiled_energy(x):
    total = 0.0
    for at in range(x.size):
        total += np.sin(x[at]) * x[at] ** 2
    return total


@numba.njit
def compiled_slope(x):
    found = np.empty_like(x)
    for at in range(x.size):
        found[at] = np.cos(x[at]) * x[at] ** 2 + 2 * x[at] * np.sin(x[at])
    return found


def reals_only(x: Any) -> Any:
    if np.iscomplexobj(x):
        raise RuntimeError("a C extension takes doubles only")
    return energy(x)


RIGHT: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "by hand": (energy, slope),
    "as autograd and JAX return": (lambda x: Foreign(energy(x)), lambda x: Foreign(slope(x))),
    "as torch returns": (lambda x: Tracked(energy(x)), lambda x: Tracked(slope(x))),
    "numba": (compiled_energy, compiled_slope),
    "doubles only": (reals_only, slope),
    "Python's floats": (lambda x: float(energy(np.real(x))), slope),
}


@pytest.mark.parametrize("name", RIGHT)
def test_gradients_of_any_library(name: str) -> None:
    f, gradient = map(plain_only, RIGHT[name])
    assert check_gradient(f, X, gradient=gradient)
    check_grads(f, (X,), gradient=gradient)
    assert taylor_test(f, X, gradient=gradient).rates == pytest.approx([1, 2], abs=0.2)

    def off(x: Any) -> Any:
        found = np.array(gradient(x).detach() if name == "as torch returns" else gradient(x))
        return found * np.array([1.0, 1.01, 1.0])

    result = check_gradient(f, X, gradient=off)
    assert [index for index, *_ in result.failed_indices] == [(1,)] and result.source == "gradient"
    with pytest.raises(GradientMismatch, match=r"reverse mode: argument x\[1\].*off by a factor of 1.01"):
        check_grads(f, (X,), gradient=off)
    assert not taylor_test(f, X, gradient=off, seed=0)


def test_the_modes_of_other_libraries() -> None:
    def f(x: Any) -> Any:
        return np.stack([x * np.sin(x), x**2])

    def push(x: Any, t: Any) -> Any:
        return np.stack([(np.sin(x) + x * np.cos(x)) * t, 2 * x * t])

    def pull(x: Any, w: Any) -> Any:
        return (np.sin(x) + x * np.cos(x)) * w[0] + 2 * x * w[1]

    assert check_gradient(f, X, jvp=push) and check_gradient(f, X, vjp=pull)
    assert check_gradient(f, X, vjp=pull, check_indices=[2]).num_checked == 6
    assert check_gradient(f, X, jvp=push, check_indices=[2]).num_checked == 6
    assert taylor_test(f, X, jvp=push) and taylor_test(f, X, vjp=pull)
    check_grads(f, (X,), jvp=lambda a, t: push(*a, *t), vjp=lambda a, w: (pull(*a, w),))
    check_grads(f, (X,), vjp=lambda a, w: pull(*a, w))
    half = lambda x, w: pull(x, w) / 2  # noqa: E731
    assert not check_gradient(f, X, vjp=half) and not taylor_test(f, X, vjp=half)
    with pytest.raises(GradientMismatch) as caught:
        check_grads(f, (X,), jvp=lambda a, t: push(*a, *t), vjp=lambda a, w: half(*a, w))
    assert {finding.check for finding in caught.value.findings} == {"reverse mode"}


def test_a_jacobian_as_scipys_solvers_take_it() -> None:
    def residuals(x: Any) -> Any:
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    def jac(x: Any) -> Any:
        return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])

    x = np.array([-1.2, 1.0])
    assert scipy.optimize.least_squares(residuals, x, jac).success
    assert check_gradient(residuals, x, gradient=jac)
    result = check_gradient(residuals, x, gradient=lambda x: jac(x).T)
    assert {index for index, *_ in result.failed_indices} == {(0, 1), (1, 0)}
    assert check_gradient(scipy.optimize.rosen, x, gradient=scipy.optimize.rosen_der)


def test_trees_several_arguments_and_integers() -> None:
    def f(params: Any, x: Any, n: Any) -> Any:
        return np.sum(params["w"] * x) * n + params["b"]

    def gradient(params: Any, x: Any, n: Any) -> Any:
        return {"w": x * n, "b": 1.0}, params["w"] * n, None

    check_grads(f, ({"w": X, "b": 2.0}, X + 1, 3), gradient=plain_int(gradient))

    def wrong(params: Any, x: Any, n: Any) -> Any:
        return {"w": x * n, "b": 1.0}, -params["w"] * n, None

    with pytest.raises(GradientMismatch, match=r"argument x\[2\].*the sign is wrong"):
        check_grads(f, ({"w": X, "b": 2.0}, X + 1, 3), gradient=wrong)
    assert check_gradient(lambda p: np.sum(p["w"] * X), {"w": X}, gradient=lambda p: {"w": X.copy()})


def plain_int(f: Callable[..., Any]) -> Callable[..., Any]:
    def called(params: Any, x: Any, n: Any) -> Any:
        assert type(n) is int
        return f(params, x, n)

    return called


def test_complex_gradients_are_those_of_grad() -> None:
    z = np.array([1.0 + 2j, -0.5j])

    def f(z: Any) -> Any:
        return np.sum(np.abs(z) ** 2)

    assert check_gradient(f, z, gradient=lambda z: 2 * np.conj(z))
    assert check_gradient(f, z, gradient=tm.grad(f))
    assert not check_gradient(f, z, gradient=lambda z: 2 * z)
    assert check_gradient(lambda z: z**2, z, jvp=lambda z, t: 2 * z * t, rtol=1e-6, atol=1e-8)
    assert check_gradient(lambda z: z**2, z, vjp=lambda z, w: 2 * z * w, rtol=1e-6, atol=1e-8)
    assert not check_gradient(lambda z: z**2, z, vjp=lambda z, w: 2 * np.conj(z) * w)


def weighted(x: Float[np.ndarray, "n"], w: Float[np.ndarray, "n"], power: int = 2) -> Any:
    return np.sum(w * x**power)


def test_check_op_draws_for_other_libraries_too() -> None:
    calls: list[Any] = []

    def gradient(x: Any, w: Any, power: int = 2) -> Any:
        calls.append(x)
        return power * w * x ** (power - 1), x**power

    check_op(weighted, gradient=gradient, max_examples=10, seed=0)
    check_op(weighted, gradient=gradient, max_examples=5, seed=0, power=3)
    assert all(type(x) is np.ndarray and x.dtype == np.float64 for x in calls)
    with pytest.raises(GradientMismatch, match=r"argument w\[0\].*(?s:.)*the smallest example that fails"):
        check_op(weighted, gradient=lambda x, w: (2 * w * x, x), max_examples=10, seed=0)
    with pytest.raises(GradientMismatch, match="forward mode"):
        check_op(weighted, jvp=lambda a, t: 2 * np.sum(a[0] * a[1] * t[0]), max_examples=10, seed=0)
    report = rule_report(lambda x, w: weighted(x, w), [X, X], gradient=gradient)
    assert report.checked == ("values", "derivatives", "linearity and adjointness", "side effects")
    assert report.judges == {"derivatives": "complex step"}


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        (lambda x: x[:2], r"gradient= returned the shape \(2,\) for x, but \(3,\) is expected"),
        (lambda x: slope(x)[None], r"gradient= returned the shape \(1, 3\) for x, but \(3,\) is expected"),
        (lambda x: slope(x).astype(np.float32), "gradient= returned float32 for x, but float64 is expected"),
        (lambda x: slope(x).astype(int), "gradient= returned int64 for x, but float64 is expected"),
        (lambda x: slope(x) + 0j, "gradient= returned complex128 for x, but float64 is expected"),
        (lambda x: None, "gradient= returned the tree None|gradient= returned None for x"),
        (lambda x: {"x": slope(x)}, "gradient= returned the tree .*'x'.* is expected"),
    ],
)
def test_gradients_that_do_not_fit(gradient: Any, message: str) -> None:
    with pytest.raises(tm.TapeError, match=message) as caught:
        check_gradient(energy, X, gradient=gradient)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(tm.TapeError, match=message):
        taylor_test(energy, X, gradient=gradient)
    with pytest.raises(GradientMismatch, match=message):
        check_grads(energy, (X,), gradient=gradient)


def test_options_that_contradict_each_other() -> None:
    for check in (check_gradient, check_grads, taylor_test):
        with pytest.raises(tm.ArgumentError, match="gradient= and vjp= are both the reverse mode; give one of them"):
            check(energy, X, gradient=slope, vjp=slope)
    for check in (check_gradient, taylor_test):
        with pytest.raises(tm.ArgumentError, match="tests one derivative, but jvp= and the reverse mode are given"):
            check(energy, X, gradient=slope, jvp=slope)
    with pytest.raises(tm.ArgumentError, match="both the reverse mode"):
        check_op(weighted, gradient=slope, vjp=slope)
    with pytest.raises(tm.ArgumentError, match="one real output; give jvp= or vjp="):
        check_gradient(lambda x: (x, x), X, gradient=slope)


def test_what_is_no_function() -> None:
    """What forgets to return, or is a value, checks nothing: all checkers refuse it."""
    checks: list[Callable[..., Any]] = [check_gradient, check_grads, taylor_test, float_error, finite_diff]
    for check in checks:
        with pytest.raises(tm.ArgumentError, match="needs a function, not array"):
            check(X, X)
        with pytest.raises(tm.DTypeError, match="the function returned None; does it lack a return statement"):
            check(lambda x: None, X)
    for check in checks[:3]:
        for name in ("gradient", "jvp", "vjp"):
            with pytest.raises(tm.ArgumentError, match=f"{check.__name__}: {name}= needs a function, not 'slope'"):
                check(energy, X, **{name: "slope"})


def test_a_complex_number_is_no_real_derivative() -> None:
    with pytest.raises(tm.DTypeError, match="gradient= returned complex128 for x, but float64 is expected"):
        check_gradient(lambda x: x * x, 1.0, gradient=lambda x: 2.0 + 1j)


def test_functions_that_are_random_or_change_their_argument() -> None:
    rng = np.random.default_rng(0)
    noisy = lambda x: energy(x) + 1e-3 * rng.normal()  # noqa: E731
    said = "two calls with the same arguments differ, so the function is random or keeps a state; fix its seed"
    for check in (check_gradient, taylor_test, check_grads):
        with pytest.raises(GradientMismatch, match=said):
            check(noisy, X, gradient=slope)
        with pytest.raises(GradientMismatch, match=said):
            check(noisy, X)

    def doubling(x: Any) -> Any:
        x *= 2
        return slope(x)

    with pytest.raises(GradientMismatch, match="changed its argument in place"):
        check_gradient(energy, X.copy(), gradient=doubling)
    with pytest.raises(GradientMismatch, match=r"in place"):
        check_grads(energy, (X.copy(),), gradient=doubling)


def root(x: Any) -> Any:
    if np.any(np.real(x) < 0):
        raise ValueError("math domain error")
    return np.sum(np.sqrt(x))


@pytest.mark.parametrize(
    ("f", "said"),
    [(root, r"it raises ValueError \(math domain error\)"), (lambda x: np.sum(np.sqrt(x)), "it is nan")],
)
def test_functions_that_leave_their_domain(f: Any, said: str) -> None:
    x = np.array([0.0, 1.0])
    message = rf"the function leaves its domain beside .*{said}"
    slope_of_root = lambda x: 0.5 / np.sqrt(np.maximum(x, 1e-3))  # noqa: E731
    with pytest.raises(tm.ArgumentError, match=message.replace(".*", r"x\[0\] = 0: ")):
        check_gradient(f, x, gradient=slope_of_root)
    with pytest.raises(GradientMismatch, match=message):
        check_grads(f, (x,), gradient=slope_of_root)
    with pytest.raises(tm.ArgumentError, match=message):
        tm.testing.finite_diff(f, x)
    with pytest.raises(tm.ArgumentError, match="taylor_test: the function leaves its domain beside x"):
        taylor_test(f, x, direction=np.array([-1.0, 0.0]), gradient=slope_of_root)
    # A little inside of it all is well.
    assert check_gradient(f, x + 1e-6, gradient=lambda x: 0.5 / np.sqrt(x))
