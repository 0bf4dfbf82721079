"""What grad, value_and_grad, vjp, jvp and linearize say of what is wrong."""

import numpy as np
import pytest

import tapem as tm

from .judges import close

X = np.array([0.3, -0.8, 1.1])
Y = np.array([1.5, 0.4, -0.6])
V = np.array([1.0, -2.0, 0.5])


def test_grad_needs_a_scalar():
    with pytest.raises(tm.NotScalarError, match=r"output of shape \(\), but the function returned shape \(3,\).*sin"):
        tm.grad(np.sin)(X)
    with pytest.raises(tm.NotScalarError, match=r"shape \(1,\)"):
        tm.grad(lambda x: x[:1])(X)
    with pytest.raises(tm.NotScalarError, match="2 values"):
        tm.grad(lambda x: (np.sum(x), np.sum(x)))(X)
    with pytest.raises(tm.NotScalarError, match="returned None: no `return`"):
        tm.grad(lambda x: None)(X)
    with pytest.raises(tm.DTypeError, match=r"real output.*text"):
        tm.grad(lambda x: "text")(X)
    with pytest.raises(tm.DTypeError, match=r"real output.*int64"):
        tm.grad(lambda x: np.argmax(x))(X)
    with pytest.raises(tm.DTypeError, match=r"real output.*bool"):
        tm.grad(lambda x: x[0] > 0)(X)


def test_a_cotangent_must_fit_the_output():
    _, pullback = tm.vjp(lambda x: {"a": np.sin(x), "b": np.sum(x)}, X)
    close(pullback({"a": V, "b": 1.0}), (np.cos(X) * V + 1,))
    with pytest.raises(tm.ShapeError, match=r"cotangent has shape \(2,\).*\(3,\)"):
        pullback({"a": np.ones(2), "b": 1.0})
    with pytest.raises(tm.ShapeError, match=r"cotangent has shape \(\).*\(3,\)"):
        pullback({"a": 1.0, "b": 1.0})
    with pytest.raises(tm.TreeError, match="structures differ"):
        pullback({"a": V})
    with pytest.raises(tm.TreeError, match="structures differ"):
        pullback(V)
    _, single = tm.vjp(np.sin, X.astype(np.float32))
    with pytest.raises(tm.DTypeError, match=r"float64.*float32.*astype\(np.float32\)"):
        single(V)
    for wrong in (V * 1j, np.array(["a", "b", "c"])):
        with pytest.raises(tm.DTypeError):
            pullback({"a": wrong, "b": 1.0})


def test_a_tangent_must_fit_its_primal():
    with pytest.raises(tm.ShapeError, match=r"tangent has shape \(2,\).*\(3,\)"):
        tm.jvp(np.sin, (X,), (np.ones(2),))
    with pytest.raises(tm.TreeError, match=r"primals.*tangents"):
        tm.jvp(np.sin, (X,), (X, X))
    with pytest.raises(tm.TreeError, match="tuple with one entry per argument, not ndarray"):
        tm.jvp(np.sin, X, X)
    with pytest.raises(tm.DTypeError, match=r"float64.*float32"):
        tm.jvp(np.sin, (X.astype(np.float32),), (V,))
    with pytest.raises(tm.TreeError, match="linearize"):
        tm.linearize(np.sin, X)[1](V, V)
    with pytest.raises(tm.ShapeError, match="tangent has shape"):
        tm.linearize(np.sin, X)[1](np.ones((3, 1)))


def test_the_functions_own_errors_come_through():
    class Mine(Exception):
        pass

    def f(x):
        raise Mine("inside")

    for call in (
        lambda: tm.grad(f)(X),
        lambda: tm.vjp(f, X),
        lambda: tm.jvp(f, (X,), (X,)),
        lambda: tm.vmap(f)(X),
        lambda: tm.jacfwd(f)(X),
        lambda: tm.grad(tm.checkpoint(lambda x: f(x)))(X),
    ):
        with pytest.raises(Mine, match="inside"):
            call()
    with pytest.raises(TypeError):
        tm.grad(lambda: 1.0)(X)


def test_vjp_and_linearize_run_the_function_once():
    runs = []

    def f(x):
        runs.append(x)
        return np.sin(x)

    _, pullback = tm.vjp(f, X)
    for scale in range(1, 4):
        close(pullback(scale * V), (scale * V * np.cos(X),))
    _y, derivative = tm.linearize(f, X)
    for scale in range(1, 4):
        close(derivative(scale * V), scale * V * np.cos(X))
    tm.value_and_grad(lambda x: np.sum(f(x)))(X)
    tm.jvp(f, (X,), (V,))
    assert len(runs) == 4
