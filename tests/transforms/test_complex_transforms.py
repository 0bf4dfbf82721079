"""Every transform of a complex function: what it gives, and what its error says without holomorphic=True."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.testing import finite_diff

Z = np.array([1 + 2j, -0.5 + 0.25j])
TRANSFORMS: dict[str, Callable[..., Any]] = {
    "grad": tm.grad,
    "value_and_grad": tm.value_and_grad,
    "jacrev": tm.jacrev,
    "jacfwd": tm.jacfwd,
    "jacobian": tm.jacobian,
    "hessian": tm.hessian,
}


def cube(z: Any) -> Any:
    return np.sum(z**3)


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "jacobian"])  # which is jacrev
@pytest.mark.parametrize(
    ("f", "x", "options"),
    [
        (cube, Z, {}),
        (lambda x: np.sum(x * 1j), np.ones(2), {}),
        (lambda z: np.sum(np.abs(z)), Z, {"holomorphic": True}),
        (np.sum, np.ones(2), {"holomorphic": True}),
        (np.sum, np.arange(2), {}),
        (lambda z: z, np.ones(2), {}),
    ],
    ids=["complex", "complex of real", "real", "real of real", "integers", "a vector"],
)
def test_an_error_names_the_transform_that_was_called(name: str, f: Any, x: Any, options: dict[str, Any]) -> None:
    try:
        TRANSFORMS[name](f, **options)(x)
    except (tm.DTypeError, tm.NotScalarError) as error:
        assert re.match(rf"{name}\b", str(error))
        assert f"{name}(f, holomorphic=True)" in str(error) or "(f," not in str(error)
    else:
        assert name.startswith(("jac", "hess"))  # of vectors, and jacfwd of complex outputs


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_complex_output_explains_itself(name: str) -> None:
    with pytest.raises(tm.DTypeError, match=r"is complex128|dtype complex128") as error:
        TRANSFORMS[name](cube)(Z)
    assert "holomorphic=True" in str(error.value) and "complex derivative" in str(error.value)
    with pytest.raises(tm.DTypeError, match="holomorphic=True"):  # the same under vmap, where only shapes are known
        tm.vmap(TRANSFORMS[name](cube))(Z[None])
    found = TRANSFORMS[name](cube, holomorphic=True)(Z)
    expected = {"value_and_grad": (cube(Z), 3 * Z**2), "hessian": np.diag(6 * Z)}.get(name, 3 * Z**2)
    for one, other in zip(tm.tree_leaves(found), tm.tree_leaves(expected), strict=True):
        np.testing.assert_allclose(one, other)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("value", [3, True, np.int32(3), np.arange(2)], ids=repr)
def test_integers_and_bools_have_no_derivative(name: str, value: Any) -> None:
    for options in ({}, {"holomorphic": True}):
        with pytest.raises(tm.DTypeError, match=r"integers and bools have no derivative. Convert it to floats"):
            TRANSFORMS[name](lambda z: np.sum(z * 1j), **options)(value)


def test_holomorphic_says_what_does_not_fit() -> None:
    for name, transform in TRANSFORMS.items():
        with pytest.raises(tm.DTypeError, match=r"an argument is float64. Write x\.astype\(complex\)"):
            transform(cube, holomorphic=True)(Z.real)
        if name != "hessian":
            with pytest.raises(tm.DTypeError, match=r"complex output|an output is float64"):
                transform(lambda z: np.sum(np.abs(z)), holomorphic=True)(Z)
    with pytest.raises(tm.DTypeError, match="an argument is float64"):
        tm.grad(lambda t: np.sum(t["z"] * t["x"]), holomorphic=True)({"z": Z, "x": Z.real})


def test_what_takes_complex_functions_as_they_are() -> None:
    y, pullback = tm.vjp(cube, Z)
    np.testing.assert_allclose(y, cube(Z))
    np.testing.assert_allclose(pullback(2 - 1j)[0], (2 - 1j) * 3 * Z**2)
    np.testing.assert_allclose(tm.jvp(cube, (Z,), (1j * Z,))[1], np.sum(3 * Z**2 * 1j * Z))
    value, push = tm.linearize(cube, Z)
    np.testing.assert_allclose([value, push(1j * Z)], [cube(Z), np.sum(3j * Z**3)])
    np.testing.assert_allclose(tm.vmap(lambda z: tm.jvp(lambda z: z**3, (z,), (1j,))[1])(Z), 3j * Z**2)


def real_loss(z: Any) -> Any:
    return np.sum(np.abs(z) ** 4 + (z**2).imag)


def test_second_products_are_derivatives_of_the_gradient() -> None:
    """hvp, and both nestings, along both directions: the change of df/dx - i df/dy along a step."""
    for v in (np.array([1, 0j]), np.array([1j, 0]), np.array([0.3 - 1j, 2 + 0.5j])):
        h = 1e-5
        change = (tm.grad(real_loss)(Z + h * v) - tm.grad(real_loss)(Z - h * v)) / (2 * h)
        np.testing.assert_allclose(tm.hvp(real_loss, (Z,), (v,)), change, rtol=1e-8)
        np.testing.assert_allclose(tm.jvp(tm.grad(real_loss), (Z,), (v,))[1], change, rtol=1e-8)
        np.testing.assert_allclose(tm.linearize(tm.grad(real_loss), Z)[1](v), change, rtol=1e-8)
        slope = tm.grad(lambda z, v=v: np.sum((tm.grad(real_loss)(z) * v).real))(Z)
        np.testing.assert_allclose(slope, change, rtol=1e-8)  # the second derivative is symmetric
    with pytest.raises(tm.DTypeError, match="needs a real output"):
        tm.hvp(cube, (Z,), (Z,))


def test_nested_maps() -> None:
    batch = np.stack([Z, Z * 1j, Z - 2])
    rows = np.stack([tm.grad(real_loss)(row) for row in batch])
    np.testing.assert_allclose(tm.vmap(tm.grad(real_loss))(batch), rows)
    np.testing.assert_allclose(tm.grad(lambda b: np.sum(tm.vmap(real_loss)(b)))(batch), rows)
    twice = tm.vmap(tm.vmap(tm.grad(lambda z: np.abs(z) ** 3)))(batch)
    np.testing.assert_allclose(twice, 3 * np.abs(batch) * batch.conj())
    hessians = tm.vmap(tm.hessian(cube, holomorphic=True))(batch)
    np.testing.assert_allclose(hessians, np.stack([np.diag(6 * row) for row in batch]), atol=1e-12)


def test_mixed_trees_and_integers_aside() -> None:
    found = tm.grad(lambda t: np.sum(np.abs(t["z"]) ** 2 * t["x"]))({"z": Z, "x": Z.real})
    np.testing.assert_allclose(found["z"], 2 * Z.conj() * Z.real)
    np.testing.assert_allclose(found["x"], np.abs(Z) ** 2)
    assert found["x"].dtype == float
    dz, dn = tm.grad(lambda z, n: np.abs(z) ** 2 * n, argnums=(0, 1), allow_int=True)(1j, 3)
    assert dz == -6j and dn is None


def test_the_gradient_of_torch_is_the_conjugate() -> None:
    """torch's z.grad is df/dx + i df/dy, twice the derivative by the conjugate: by that formula, from values alone."""
    h = 1e-6
    torchs = np.zeros(2, complex)
    for at in range(2):
        e = h * np.eye(2)[at]
        torchs[at] = (real_loss(Z + e) - real_loss(Z - e)) / (2 * h) + 1j * (
            real_loss(Z + 1j * e) - real_loss(Z - 1j * e)
        ) / (2 * h)
    np.testing.assert_allclose(tm.grad(real_loss)(Z).conj(), torchs, rtol=1e-8)
    np.testing.assert_allclose(np.conj(finite_diff(real_loss, Z)), torchs, rtol=1e-5)
    # So what torch subtracts, z - rate * z.grad, is what tm.optim subtracts.
    optimizer = tm.optim.sgd(0.01)
    stepped, _ = optimizer.update(tm.grad(real_loss)(Z), optimizer.init(Z), Z)
    np.testing.assert_allclose(stepped, Z - 0.01 * torchs, rtol=1e-8)


GOAL = np.array([1 - 2j, -3 + 0.5j])
OPTIMIZERS: dict[str, Any] = {
    "sgd": tm.optim.sgd(0.05),
    "sgd with momentum": tm.optim.sgd(0.02, momentum=0.8),
    "sgd with Nesterov's momentum": tm.optim.sgd(0.02, momentum=0.8, nesterov=True),
    "sgd with decay": tm.optim.sgd(0.05, weight_decay=1e-3),
    "sgd on a schedule": tm.optim.sgd(tm.optim.cosine(0.1, 400)),
    "adam": tm.optim.adam(0.05),
    "adamw": tm.optim.adamw(0.05, weight_decay=1e-3),
    "rmsprop": tm.optim.rmsprop(0.02),
    "adagrad": tm.optim.adagrad(0.5),
}


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_descends_on_a_complex_problem(name: str, dtype: Any) -> None:
    """A problem whose parts are coupled: a step along the gradient itself, and not its conjugate, would climb."""
    optimizer = OPTIMIZERS[name]
    matrix = np.array([[1 + 0.5j, 0.3j], [-0.2, 0.8 - 0.6j]], dtype)
    params = {"z": np.zeros(2, dtype), "x": np.zeros(2, dtype).real}

    def loss(params: Any) -> Any:
        return np.sum(np.abs(matrix @ (params["z"] - GOAL.astype(dtype))) ** 2) + np.sum((params["x"] - 1) ** 2)

    state, values = optimizer.init(params), [loss(params)]
    for _ in range(400):
        gradients = tm.optim.clip_by_global_norm(tm.grad(loss)(params), 5.0)
        params, state = optimizer.update(gradients, state, params)
        values.append(loss(params))
    assert values[1] < values[0] and values[-1] < 0.02 * values[0]
    assert params["z"].dtype == dtype and params["x"].dtype == np.zeros((), dtype).real.dtype
    gradient = tm.grad(loss)({"z": np.zeros(2, dtype), "x": params["x"]})["z"]
    assert loss({**params, "z": -1e-3 * gradient}) > loss({**params, "z": -1e-3 * gradient.conj()})


def test_the_second_moment_is_real() -> None:
    """A complex parameter has one step size for both parts, so that turning the plane turns the path."""
    turn = np.exp(0.7j)
    for optimizer in (tm.optim.adam(0.05), tm.optim.rmsprop(0.05), tm.optim.adagrad(0.3)):
        paths = []
        for goal in (GOAL, GOAL * turn):
            z = np.zeros(2, complex)
            state = optimizer.init(z)
            for _ in range(20):
                z, state = optimizer.update(tm.grad(lambda z, goal=goal: np.sum(np.abs(z - goal) ** 2))(z), state, z)
            paths.append(z)
        np.testing.assert_allclose(paths[0] * turn, paths[1], rtol=1e-10)
