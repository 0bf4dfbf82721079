"""What derivatives return: zeros, dtypes, and memory of their own."""

import itertools

import numpy as np
import pytest

import tapem as tm

from .judges import close

X = np.array([0.3, -0.8, 1.1])
Y = np.array([1.5, 0.4, -0.6])
V = np.array([1.0, -2.0, 0.5])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_gradients_have_the_dtype_and_shape_of_their_arguments(dtype):
    x, w = X.astype(dtype), np.outer(X, Y).astype(dtype)
    gx, gw = tm.grad(lambda x, w: np.sum(np.sin(w @ x) * 2.0), argnums=(0, 1))(x, w)
    assert gx.dtype == gw.dtype == dtype and gx.shape == (3,) and gw.shape == (3, 3)
    value, _ = tm.value_and_grad(lambda x: np.sum(x))(x)
    assert value.dtype == dtype
    assert tm.jvp(lambda x: np.sin(x) * 2, (x,), (x,))[1].dtype == dtype
    assert tm.jacfwd(np.sin)(x).dtype == tm.jacrev(np.sin)(x).dtype == dtype
    assert tm.hvp(lambda x: np.sum(np.sin(x)), (x,), (x,)).dtype == dtype
    assert tm.hessian(lambda x: np.sum(np.sin(x)))(x).dtype == dtype


def test_mixed_dtypes_each_keep_their_own():
    single, double = X.astype(np.float32), Y
    a, b = tm.grad(lambda x, y: np.sum(x * y), argnums=(0, 1))(single, double)
    assert a.dtype == np.float32 and b.dtype == np.float64
    close(a, Y, 1e-6)
    close(b, single)
    assert tm.jvp(lambda x, y: x * y, (single, double), (single, double))[1].dtype == np.float64
    for jacobian in (tm.jacfwd, tm.jacrev):
        a, b = jacobian(lambda x, y: x * y, argnums=(0, 1))(single, double)
        assert a.dtype == np.float32 and b.dtype == np.float64


def test_an_order_of_bytes_is_no_dtype_of_its_own():
    # Arrays from files may have another one than the machine; NumPy's functions keep it or not, as they please.
    x = np.outer(X, Y).astype(np.dtype(np.float64).newbyteorder("S"))

    def loss(x):
        y = np.transpose(x)
        return np.sum(y * np.sin(y))

    native = x.astype(np.float64)
    close(tm.grad(loss)(x), tm.grad(loss)(native))
    close(tm.jvp(loss, (x,), (native,))[1], tm.jvp(loss, (native,), (native,))[1])
    close(tm.hvp(loss, (x,), (x,)), tm.hvp(loss, (native,), (native,)))
    close(tm.vjp(np.transpose, x)[1](native)[0], native.T)


def test_unused_inputs_get_zeros():
    a, b, c = tm.grad(lambda x, y, z: np.sum(x), argnums=(0, 1, 2))(X, np.ones((2, 2), np.float32), 3.0)
    close(a, np.ones(3))
    close(b, np.zeros((2, 2)))
    assert b.dtype == np.float32 and float(c) == 0.0
    close(tm.grad(lambda x: 3.0)(X), np.zeros(3))
    close(tm.grad(lambda x: np.float64(3.0))(X), np.zeros(3))
    close(tm.grad(lambda x: np.array(3.0))(X), np.zeros(3))
    close(tm.jvp(lambda x: Y, (X,), (V,)), (Y, np.zeros(3)))
    _y, pullback = tm.vjp(lambda x: Y, X)
    close(pullback(V), (np.zeros(3),))
    close(tm.linearize(lambda x: Y, X)[1](V), np.zeros(3))
    close(tm.jacfwd(lambda x: Y)(X), np.zeros((3, 3)))
    close(tm.jacrev(lambda x: Y)(X), np.zeros((3, 3)))
    close(tm.hessian(np.sum)(X), np.zeros((3, 3)))
    close(tm.hvp(np.sum, (X,), (V,)), np.zeros(3))


def test_the_identity():
    assert tm.grad(lambda x: x)(2.0) == 1.0
    close(tm.jvp(lambda x: x, (X,), (V,)), (X, V))
    close(tm.vjp(lambda x: x, X)[1](V), (V,))
    close(tm.vjp(lambda x: (x, x), X)[1]((V, X)), (V + X,))
    close(tm.jacfwd(lambda x: x)(X), np.eye(3))
    close(tm.jacrev(lambda x: x)(X), np.eye(3))


def owned(*arrays):
    """Assert that the arrays are writeable and share memory with nobody else among them."""
    for array in arrays:
        assert type(array) is np.ndarray and array.flags.writeable
    for a, b in itertools.combinations(arrays, 2):
        assert not np.shares_memory(a, b)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: np.sum(x + y),
        lambda x, y: np.sum(x) + np.sum(y),
        lambda x, y: np.sum(np.reshape(x, (3, 1)) + y),
        lambda x, y: np.sum(x * 1.0) * 0.0,
        lambda x, y: 1.0,
        lambda x, y: np.sum(np.broadcast_to(x, (4, 3)) + np.stack([y] * 4)),
        lambda x, y: np.sum(np.concatenate([x, y])),
        lambda x, y: np.sum(x.T[::-1] - y),
        lambda x, y: np.dot(x, y),
    ],
)
def test_gradients_belong_to_the_caller(f):
    x, y = X.copy(), Y.copy()
    a, b = tm.grad(f, argnums=(0, 1))(x, y)
    owned(a, b, x, y)
    again = tm.grad(f, argnums=(0, 1))(x, y)
    close(again, (a.copy(), b.copy()))
    a += 100.0  # what the caller does with its gradients ...
    b *= -5.0
    close(tm.grad(f, argnums=(0, 1))(x, y), again)
    close((x, y), (X, Y))
    a, b = tm.grad(lambda pair: f(*pair))((x, x))
    owned(a, b, x)


def test_results_of_vjp_jvp_and_jacobians_belong_to_the_caller():
    x, v = X.copy(), V.copy()
    y, pullback = tm.vjp(lambda x, z: x + z, x, x)
    a, b = pullback(v)
    c, d = pullback(v)
    owned(x, v, y, a, b, c, d)
    y, dy = tm.jvp(lambda x: x, (x,), (v,))
    owned(x, v, y, dy)
    y, derivative = tm.linearize(lambda x: (x, x), x)
    owned(x, v, *y, *derivative(v))
    owned(x, *tm.jacfwd(lambda x: (x, x))(x), *tm.jacrev(lambda x: (x, x))(x))
    value, aux = tm.vjp(lambda x: (x, x), x, has_aux=True)[::2]
    owned(x, value, aux)


def test_pullbacks_remember_the_point_at_which_they_were_made():
    x = X.copy()
    _, pullback = tm.vjp(lambda x: x**2, x)
    _, derivative = tm.linearize(lambda x: x**2, x)
    x[:] = 100.0
    close(pullback(V), (2 * X * V,))
    close(derivative(V), 2 * X * V)
    y, pullback = tm.vjp(np.exp, X)
    expected = np.exp(X)
    y += 7.0  # the value is the caller's, the pullback has its own
    close(pullback(V), (expected * V,))
    y, _aux = tm.vjp(lambda x: (np.exp(x), x), X, has_aux=True)[::2]


def test_inputs_and_cotangents_are_not_written_to():
    x, v = X.copy(), V.copy()
    x.flags.writeable = v.flags.writeable = False
    _y, pullback = tm.vjp(lambda x: x + x * x + x, x)
    close(pullback(v), ((2 + 2 * X) * V,))
    close(tm.jvp(lambda x: x + x * x + x, (x,), (v,))[1], (2 + 2 * X) * V)
    close(tm.grad(lambda x: np.sum(x + x + x))(x), np.full(3, 3.0))


def test_constants_of_the_function_are_left_alone():
    constant = np.ones(3)
    tm.vjp(lambda x: x + constant, X)[1](V)[0][:] = 9
    tm.jvp(lambda x: constant, (X,), (V,))[1][:] = 9
    tm.grad(lambda x: np.sum(x * constant))(X)[:] = 9
    close(constant, np.ones(3))


def test_views_and_orders_of_memory_do_not_matter():
    base = np.arange(24.0).reshape(2, 3, 4) / 10
    for x in (base[:, ::2, ::-1], base.T, np.asfortranarray(base), np.broadcast_to(base[0], (2, 3, 4))):
        close(tm.grad(lambda x: np.sum(np.sin(x)))(x), np.cos(x))
        close(tm.jvp(np.sin, (x,), (x,))[1], np.cos(x) * x)


def test_empty_arrays():
    x = np.zeros((0, 3))
    assert tm.grad(lambda x: np.sum(x**2))(x).shape == (0, 3)
    assert tm.jacfwd(lambda x: x**2)(x).shape == (0, 3, 0, 3)
    assert tm.jacrev(lambda x: x**2)(x).shape == (0, 3, 0, 3)
    assert tm.jvp(np.sin, (x,), (x,))[1].shape == (0, 3)
