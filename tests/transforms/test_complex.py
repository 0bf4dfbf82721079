"""Complex numbers: the convention, in numbers; every transform; what is refused, in words.

The judges are differences in both real directions, the two modes against each other, and closed forms.
"""

from __future__ import annotations

import numpy as np
import pytest

import layers
import losses
import tapem as tm
from tapem.testing import check_gradient, check_grads, finite_diff, finite_diff_jacobian
from tests.tables import complex_numbers

Z = np.array([1 + 2j, 3 - 1j, -0.5 + 0.25j])
X = np.array([0.5, -1.0, 2.0])


def by_differences(f, z):
    """The gradient df/dx - i df/dy of a real function, from its values alone."""
    z, h = np.asarray(z, complex), 1e-6
    found = np.zeros(z.shape, complex)
    for at in np.ndindex(z.shape):
        for step, factor in ((h, 1), (1j * h, -1j)):
            there, back = z.copy(), z.copy()
            there[at] += step
            back[at] -= step
            found[at] += factor * (f(there) - f(back)) / (2 * h)
    return found


REAL_FUNCTIONS = {
    "square of the absolute value": lambda z: np.sum(np.abs(z) ** 2),
    "product with the conjugate": lambda z: np.sum((z * z.conj()).real),
    "real part of a power": lambda z: np.sum((z**3).real),
    "imaginary part": lambda z: np.sum(np.sin(z).imag),
    "angle": lambda z: np.sum(np.angle(z) * X),
    "angle in degrees": lambda z: np.sum(np.angle(z, deg=True)),
    "norm": np.linalg.norm,
    "norm of order 1": lambda z: np.linalg.norm(z, 1),
    "norm of order 3": lambda z: np.linalg.norm(z, 3),
    "greatest absolute value": lambda z: np.linalg.norm(z, np.inf),
    "variance": np.var,
    "standard deviation": np.std,
    "vdot": lambda z: np.vdot(z, z * X).real,
    "vecdot": lambda z: np.vecdot(z, np.sin(z)).imag,
    "matrix product": lambda z: np.sum(np.abs(np.outer(z, X) @ z)),
    "einsum": lambda z: np.abs(np.einsum("i,i,j->", z, X, z)),
    "direction": lambda z: np.sum(np.sign(z).real * X),
    "branches": lambda z: np.sum(np.abs(np.where(z.real > 0, z**2, z.conj()))),
    "sums along": lambda z: np.sum(np.abs(np.cumsum(z) * np.cumprod(z))),
    "in pieces": lambda z: np.sum(np.abs(np.concatenate([z[1:], z[:1] * 1j])) * X),
    "powers": lambda z: np.sum(np.abs(z**z)),
    "a real part of float operands": lambda z: np.sum(np.exp(X * z).real),
}


@pytest.mark.parametrize("f", REAL_FUNCTIONS.values(), ids=REAL_FUNCTIONS)
def test_the_gradient_of_a_real_function_is_df_dx_minus_i_df_dy(f):
    gradient = tm.grad(f)(Z)
    np.testing.assert_allclose(gradient, by_differences(f, Z), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(gradient, finite_diff(f, Z), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(tm.jacrev(f)(Z), gradient)
    assert check_gradient(f, Z)
    check_grads(f, (Z,))
    batch = np.stack([Z, Z * (1 + 0.5j)])
    rows = np.stack([tm.grad(f)(row) for row in batch])
    np.testing.assert_allclose(tm.vmap(tm.grad(f))(batch), rows, rtol=1e-12)


def test_the_gradient_is_the_one_that_jax_publishes():
    """Of z -> (x + y)**2, at 1 + 2j, and of abs: from JAX's documentation of complex differentiation and its tests."""
    np.testing.assert_allclose(tm.grad(lambda z: (z.real + z.imag) ** 2)(1 + 2j), 6 - 6j)
    np.testing.assert_allclose(tm.grad(np.abs)(3 + 4j), 0.6 - 0.8j)
    np.testing.assert_allclose(tm.vjp(np.conj, 1 + 2j)[1](3 + 4j)[0], 3 - 4j)
    np.testing.assert_allclose(tm.vjp(np.imag, 1 + 2j)[1](1.0)[0], -1j)
    np.testing.assert_allclose(tm.vjp(lambda z: z * (2 + 1j), 1 + 2j)[1](1j)[0], 1j * (2 + 1j))


def test_holomorphic_derivatives():
    np.testing.assert_allclose(tm.grad(np.sin, holomorphic=True)(1 + 2j), np.cos(1 + 2j))
    value, slope = tm.value_and_grad(np.exp, holomorphic=True)(1 + 2j)
    np.testing.assert_allclose([value, slope], np.exp(1 + 2j))
    matrix = np.array([[1, 2j], [3, 4]])
    for jacobian in (tm.jacfwd, tm.jacrev):
        np.testing.assert_allclose(jacobian(lambda z: matrix @ z**2, holomorphic=True)(Z[:2]), matrix * 2 * Z[:2])
    cube = tm.hessian(lambda z: np.sum(z**3), holomorphic=True)(Z)
    np.testing.assert_allclose(cube, np.diag(6 * Z))
    np.testing.assert_allclose(finite_diff_jacobian(lambda z: matrix @ z**2, Z[:2]), matrix * 2 * Z[:2], rtol=1e-6)


def test_a_real_input_with_complex_outputs():
    expected = np.diag(1j * np.exp(1j * X))
    f = lambda x: np.exp(1j * x)  # noqa: E731
    np.testing.assert_allclose(tm.jacfwd(f)(X), expected)
    np.testing.assert_allclose(finite_diff_jacobian(f, X), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(tm.jvp(f, (X,), (np.ones(3),))[1], 1j * np.exp(1j * X))
    gradient = tm.grad(lambda x: np.sum(np.abs(x * Z) ** 2))(X)
    assert gradient.dtype == float
    np.testing.assert_allclose(gradient, 2 * X * np.abs(Z) ** 2)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_dtypes_are_kept(dtype):
    z, x = Z.astype(dtype), X.astype(np.zeros((), dtype).real.dtype)
    dz, dx = tm.grad(lambda z, x: np.sum(np.abs(z * x)), argnums=(0, 1))(z, x)
    assert (dz.dtype, dx.dtype) == (z.dtype, x.dtype)
    assert tm.jvp(np.abs, (z,), (z,))[1].dtype == x.dtype
    assert tm.grad(lambda z: 1.0, holomorphic=False)(z).dtype == dtype  # zeros


def test_the_second_derivatives():
    """Of abs(z)**2, whose matrix in the two directions is twice the identity."""

    def parts(xy):
        return np.sum(np.abs(xy[0] + 1j * xy[1]) ** 2 * (xy[0] + 1j * xy[1]).real)

    xy = np.array([0.7, -1.2])
    np.testing.assert_allclose(tm.hessian(parts)(xy), [[6 * 0.7, -2.4], [-2.4, 2 * 0.7]], rtol=1e-12)
    check_grads(lambda z, w: np.abs(z) * np.angle(w) * np.sin(z * w).imag, (Z, Z[::-1] * 1j), order=2)


def test_every_door():
    x, tape = tm.Tape().leaf(Z, name="z")
    y, tape = (tm.abs(x) * tm.real(x)).run(tape)
    out, tape = tape.record(tm.sum, y)
    tape.check()
    expected = tm.grad(lambda z: np.sum(np.abs(z) * z.real))(Z)
    np.testing.assert_allclose(tape.backward_scalar(out)[x], expected)

    @tm.do
    def program(z):
        size = yield tm.abs(z)
        part = yield tm.mul(size, tm.real(z))
        return (yield tm.sum(part))

    np.testing.assert_allclose(tm.grad(program)(Z), expected)
    complex_out, tape = tape.record(tm.sum, x)
    with pytest.raises(tm.DTypeError, match=r"backward_scalar needs a real output.*complex128.*tm\.abs or tm\.real"):
        tape.backward_scalar(complex_out)
    np.testing.assert_allclose(tape.backward([complex_out], [1j])[x], np.full(3, 1j))


def test_custom_rules_loops_and_branches():
    @tm.custom_vjp
    def size(z):
        return np.abs(z) ** 2

    size.defvjp(lambda z: (size(z), z), lambda z, ct: (2 * ct * np.conj(z),))
    np.testing.assert_allclose(tm.grad(lambda z: np.sum(size(z)))(Z), 2 * Z.conj())
    pushed = tm.jvp(size, (Z,), (Z[::-1],))[1]
    np.testing.assert_allclose(pushed, 2 * (Z.conj() * Z[::-1]).real)

    def scanned(z):
        return np.sum(np.abs(tm.scan(lambda c, x: (c * x + 1j, c), z[0], z)[1]))

    np.testing.assert_allclose(tm.grad(scanned)(Z), by_differences(lambda z: scanned(z), Z), rtol=1e-6)
    chosen = lambda z: tm.cond(np.abs(z) > 1, lambda z: np.abs(z), lambda z: z.real, z)  # noqa: E731
    np.testing.assert_allclose(tm.grad(chosen)(3 + 4j), 0.6 - 0.8j)
    np.testing.assert_allclose(tm.vmap(tm.grad(chosen))(Z[[0, 2]]), [np.conj(Z[0]) / np.abs(Z[0]), 1])
    np.testing.assert_allclose(tm.grad(tm.checkpoint(lambda z: np.sum(np.abs(z))))(Z), Z.conj() / np.abs(Z))


def test_scalar_rules_with_complex_partials():
    @tm.elementwise(lambda g, y, z: g * 2j * z)
    def turned(z):
        return 1j * z * z

    tm.testing.check_rule(turned, Z)
    tm.testing.check_rule(turned, X)


OPTIMIZERS = [
    tm.optim.sgd(0.1),
    tm.optim.sgd(0.05, momentum=0.5),
    tm.optim.adam(0.1),
    tm.optim.adamw(0.1, weight_decay=0.0),
    tm.optim.rmsprop(0.05),
    tm.optim.adagrad(0.5),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: type(optimizer).__name__)
def test_optimizers_descend(optimizer):
    goal = np.array([1 - 2j, -3 + 0.5j])
    loss = lambda z: np.sum(np.abs(z - goal) ** 2)  # noqa: E731
    z = np.array([0j, 0j])
    state = optimizer.init(z)
    values = [loss(z)]
    for _ in range(200):
        z, state = optimizer.update(tm.grad(loss)(z), state, z)
        values.append(loss(z))
    assert values[1] < values[0]
    assert values[-1] < 0.05 * values[0]


def test_an_optimizer_does_not_take_a_complex_gradient_for_real_parameters():
    optimizer = tm.optim.sgd(0.1)
    with pytest.raises(tm.DTypeError, match=r"complex128.*float64, which is real.*\.real"):
        optimizer.update(Z, optimizer.init(X), X)
    assert tm.optim.global_norm([np.array([3 + 4j]), np.array([12.0])]) == 13.0


REFUSED = {
    "grad of a complex output": (lambda: tm.grad(np.sin)(1j), "real output.*holomorphic=True"),
    "holomorphic of a real argument": (lambda: tm.grad(np.sin, holomorphic=True)(1.0), "an argument.*is float64"),
    "holomorphic of a real output": (lambda: tm.grad(np.abs, holomorphic=True)(1j), "complex output.*df/dx - i df/dy"),
    "jacfwd of a complex argument": (lambda: tm.jacfwd(np.sin)(Z), "argument is complex128.*jacrev.*holomorphic"),
    "jacrev of a complex output": (lambda: tm.jacrev(np.sin)(Z), "output is complex128.*jacfwd.*holomorphic"),
    "hessian of a complex argument": (lambda: tm.hessian(lambda z: np.sum(np.abs(z)))(Z), "complex128"),
    "a complex cotangent of a real value": (lambda: tm.vjp(np.abs, Z)[1](Z), r"complex128.*float64.*\.real"),
    "a complex tangent of a real value": (lambda: tm.jvp(np.sin, (X,), (Z,)), r"complex128.*float64.*\.real"),
    "a layer": (lambda: layers.linear(np.ones((1, 3)), np.ones(1), Z), "x is complex128, where Float is required"),
    "a loss": (lambda: losses.mse(Z, Z), "prediction is complex128, where Float is required"),
    "np.real_if_close": (lambda: tm.grad(lambda z: np.real_if_close(z))(1.0), "np.real_if_close has no rule"),
    "the sign as an op": (lambda: tm.sign(Z), "x is complex128, where Real is required"),
    "an activation": (lambda: tm.gelu(Z), "x is complex128, where Real is required"),
    "a complex step from a complex point": (
        lambda: finite_diff(lambda z: np.sum(np.abs(z)), Z, method="complex"), "an input is complex.*extrapolated",
    ),
    "differences of what is not complex differentiable": (
        lambda: finite_diff_jacobian(np.conj, Z), "not complex differentiable",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name):
    call, words = REFUSED[name]
    with pytest.raises(tm.TapeError, match=f"(?s){words}"):
        call()


def test_kinks():
    assert tm.grad(np.abs)(0j) == 0
    assert tm.jvp(np.abs, (0j,), (1j,))[1] == 0
    assert tm.grad(lambda z: np.linalg.norm(np.stack([z, z])))(0j) == 0
    assert tm.grad(lambda z: np.var(z).real)(np.array([1j, 1j])).tolist() == [0, 0]
    assert tm.grad(np.std)(np.array([1j, 1j])).tolist() == [0, 0]
    with np.errstate(invalid="ignore"):
        assert np.isnan(tm.grad(np.angle)(0j))
    # On a branch cut the derivative is that of the side that NumPy's value belongs to.
    assert tm.grad(np.sqrt, holomorphic=True)(complex(-4, 0.0)) == -0.25j
    assert tm.grad(np.sqrt, holomorphic=True)(complex(-4, -0.0)) == 0.25j
    assert tm.grad(np.log, holomorphic=True)(complex(-4, 0.0)) == -0.25
    assert tm.grad(np.angle)(complex(-4, 0.0)) == tm.grad(np.angle)(complex(-4, -0.0)) == 0.25j


def test_casts():
    assert tm.grad(lambda x: np.sum(np.abs(x.astype(complex) * Z)))(X).dtype == float
    with pytest.warns(np.exceptions.ComplexWarning):
        gradient = tm.grad(lambda z: np.sum(z.astype(float) * X))(Z)
    np.testing.assert_array_equal(gradient, X)
    assert gradient.dtype == complex


def test_what_a_tracer_says_of_its_parts():
    def f(x, z):
        assert x.real is x
        assert x.imag.tolist() == [0, 0, 0] and np.iscomplexobj(z) and not np.iscomplexobj(x)
        assert np.isreal(x).all() and np.iscomplex(z).all()
        assert np.isrealobj(x) and z.real.dtype == float
        return np.sum(x.conj() * np.real(z * z.conjugate()))

    dx, dz = tm.grad(f, argnums=(0, 1))(X, Z)
    np.testing.assert_allclose(dx, np.abs(Z) ** 2)
    np.testing.assert_allclose(dz, 2 * X * Z.conj())


def test_ops_of_real_operands_say_so():
    """Every other op that has a row of real operands has rows of complex ones, in tests/tables/complex_numbers.py."""
    assert complex_numbers.refused() == complex_numbers.REAL
