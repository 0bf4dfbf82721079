"""Random programs under every transform, and under every nesting of transforms.

A program is a list of instructions: ops of many shapes, values that are shared, closures, and transforms inside. Each
instruction has a NumPy form that also takes complex numbers, so a complex step gives derivatives that are exact to
rounding, and differences of complex steps second and third ones. What `vmap` gives is compared with loops.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tapem as tm

from .judges import close, complex_jacobian, difference_hessian, difference_jacobian, loop

MASKS = np.array([True, False, False, True, True, False, True, False, True])
custom_sin = tm.custom_jvp(np.sin, lambda xs, ts: (np.sin(xs[0]), np.cos(xs[0]) * ts[0]))
custom_tanh = tm.custom_vjp(lambda x: (np.tanh(x), {"y": np.tanh(x)}), lambda r, g: (g * (1 - r["y"] ** 2),))


def last_axis(f):
    """A function of an array with at least one axis, as a function of any array."""
    return lambda x: f(np.reshape(x, (-1,)) if np.ndim(x) == 0 else x)


def fitted(f):
    """A function of two arrays that broadcast, as a function of any two: what does not fit is summed first."""

    def on_any(a, b):
        try:
            np.broadcast_shapes(np.shape(a), np.shape(b))
        except ValueError:
            b = np.sum(b)
        return f(a, b)

    return on_any


def masked(x):
    return np.where(MASKS[: x.shape[-1]], x, np.sin(x))


def square(x):
    """A square matrix well away from singular ones, made of what there is."""
    n = np.shape(x)[-1]
    flat = np.reshape(x, (-1, n))[0]
    return 3.0 * np.eye(n) + 0.5 * np.sin(np.outer(flat, np.cos(flat)))


def matrix_product(a, b):
    a, b = (np.reshape(v, (-1, np.shape(v)[-1])) if np.ndim(v) else np.reshape(v, (1, 1)) for v in (a, b))
    width = min(a.shape[1], b.shape[1])
    return (a[:, :width] @ b[:, :width].T)[:3, :3]


def joined(a, b):
    return np.concatenate([np.ravel(a), np.ravel(b)])[:6]


def stacked(a, b):
    return np.stack([np.ravel(a)[:2].sum(), np.ravel(b)[-2:].sum(), np.sum(a) * 0.5])


def contracted(a, b):
    return np.einsum("i,j->ij", np.ravel(a)[:3], np.ravel(b)[:2])


def selected(a, b):
    return np.where(np.real(np.sum(a)) > 0.1, np.sin(a), a * np.sum(b))


def scanned(a, b):
    carry, sums = tm.scan(lambda c, row: (np.sin(c) + np.sum(row), c * 0.5), np.sum(b), a)
    return sums + carry


def scanned_by_hand(a, b):
    carry, sums = np.sum(b), []
    for row in a:
        sums.append(carry * 0.5)
        carry = np.sin(carry) + np.sum(row)
    return np.stack(sums) + carry


def conditional(a, b):
    return tm.cond(np.real(np.sum(a)) > 0.1, lambda a, b: np.sin(a), lambda a, b: a * np.sum(b), a, b)


def repeated(a, b):
    return tm.fori_loop(0, 3, lambda i, state: np.sin(state) * 0.9 + i * np.sum(b), a)


def repeated_by_hand(a, b):
    for i in range(3):
        a = np.sin(a) * 0.9 + i * np.sum(b)
    return a


def with_axis(f):
    """A function whose first array must have an axis, of two arrays of any shape."""
    return lambda a, b: f(np.reshape(a, (-1,)) if np.ndim(a) == 0 else a, b)


# name: (how it is written for tapem, how it is written in NumPy alone)
UNARY = {
    "sin": (np.sin, np.sin),
    "tanh": (np.tanh, np.tanh),
    "exp": (lambda x: np.exp(0.4 * np.sin(x)), lambda x: np.exp(0.4 * np.sin(x))),
    "log": (lambda x: np.log(2.0 + np.sin(x)), lambda x: np.log(2.0 + np.sin(x))),
    "square": (lambda x: 0.3 * x**2, lambda x: 0.3 * x**2),
    "power": (lambda x: (1.5 + np.cos(x)) ** 1.5, lambda x: (1.5 + np.cos(x)) ** 1.5),
    "affine": (lambda x: 0.7 * x - 0.2, lambda x: 0.7 * x - 0.2),
    "transpose": (lambda x: x.T, lambda x: x.T),
    "ravel": (np.ravel, np.ravel),
    "reverse": (last_axis(lambda x: x[..., ::-1]), last_axis(lambda x: x[..., ::-1])),
    "first": (last_axis(lambda x: x[..., 0]), last_axis(lambda x: x[..., 0])),
    "gather": (last_axis(lambda x: x[..., [0, -1, 0]]), last_axis(lambda x: x[..., [0, -1, 0]])),
    "sum": (last_axis(lambda x: np.sum(x, axis=-1)), last_axis(lambda x: np.sum(x, axis=-1))),
    "mean": (
        last_axis(lambda x: np.mean(x, axis=0, keepdims=True)),
        last_axis(lambda x: np.mean(x, axis=0, keepdims=True)),
    ),
    "prod": (last_axis(lambda x: np.prod(np.cos(x), axis=-1)), last_axis(lambda x: np.prod(np.cos(x), axis=-1))),
    "cumsum": (last_axis(lambda x: np.cumsum(x, axis=0)), last_axis(lambda x: np.cumsum(x, axis=0))),
    "sort": (last_axis(lambda x: np.sort(x, axis=-1)), last_axis(lambda x: np.sort(x, axis=-1))),
    "where": (last_axis(masked), last_axis(masked)),
    "solve": (
        last_axis(lambda x: np.linalg.solve(square(x), np.cos(np.reshape(x, (-1, x.shape[-1]))[0]))),
        last_axis(lambda x: np.linalg.solve(square(x), np.cos(np.reshape(x, (-1, x.shape[-1]))[0]))),
    ),
    "expand": (lambda x: np.expand_dims(np.ravel(x)[:3], 0), lambda x: np.expand_dims(np.ravel(x)[:3], 0)),
    "custom_jvp": (custom_sin, np.sin),
    "custom_vjp": (custom_tanh, np.tanh),
}
BINARY = {
    "add": (fitted(np.add), fitted(np.add)),
    "sub": (fitted(lambda a, b: b - a), fitted(lambda a, b: b - a)),
    "mul": (fitted(lambda a, b: a * b), fitted(lambda a, b: a * b)),
    "div": (fitted(lambda a, b: a / (2.0 + np.cos(b))), fitted(lambda a, b: a / (2.0 + np.cos(b)))),
    "matmul": (matrix_product, matrix_product),
    "concatenate": (joined, joined),
    "stack": (stacked, stacked),
    "einsum": (contracted, contracted),
    "select": (selected, selected),
    "cond": (conditional, selected),
    "fori_loop": (repeated, repeated_by_hand),
    "scan": (with_axis(scanned), with_axis(scanned_by_hand)),
    "closure in grad": (
        lambda a, b: tm.grad(lambda z: np.sum(np.sin(z) * np.sum(b)))(a),
        lambda a, b: np.cos(a) * np.sum(b),
    ),
    "grad of a product with itself": (
        lambda a, b: tm.grad(lambda z: np.sum(z * a) * np.sum(b))(a),
        lambda a, b: a * np.sum(b),
    ),
    "closure in jvp": (
        lambda a, b: tm.jvp(lambda z: np.sin(z) * np.sum(b), (a,), (a * a,))[1],
        lambda a, b: np.cos(a) * np.sum(b) * a * a,
    ),
    "closure in vmap": (
        with_axis(lambda a, b: tm.vmap(lambda row: np.sin(row) * np.sum(b))(a)),
        with_axis(lambda a, b: np.sin(a) * np.sum(b)),
    ),
    "vmap of grad": (
        with_axis(lambda a, b: tm.vmap(tm.grad(lambda row: np.sum(np.sin(row) * np.sum(b))), -1, -1)(a)),
        with_axis(lambda a, b: np.cos(a) * np.sum(b)),
    ),
    "closure in checkpoint": (
        lambda a, b: tm.checkpoint(lambda z: np.tanh(z) * np.sum(b))(a),
        lambda a, b: np.tanh(a) * np.sum(b),
    ),
}
OPS = {**UNARY, **BINARY}


@st.composite
def programs(draw, names=tuple(OPS), length=6):
    """A program: instructions (name, operands), and the results that make its output."""
    body = []
    for step in range(draw(st.integers(1, length))):
        name = draw(st.sampled_from(names))
        operands = [draw(st.integers(0, step + 2)) for _ in range(2 if name in BINARY else 1)]
        body.append((name, operands))
    return body


def run(body, x, form):
    """Run a program on `x`, in one of its forms. Values 0 and 1 are views of x, value 2 is a constant matrix."""
    values = [x, x[:2] * 0.5, np.array([[0.3, -0.8], [1.1, 0.2]])]
    for name, operands in body:
        values.append(OPS[name][form](*(values[index] for index in operands)))
    # Every result is used, so nothing that was drawn is idle.
    parts = [np.sum(np.sin(value) * weight) for weight, value in zip(0.5 + np.arange(len(values)), values, strict=True)]
    return np.stack([sum(parts), parts[-1] * 0.5 + x[0]])


def both(body):
    """The program for tapem and the program for the judges: from (3,) to (2,)."""
    return lambda x: run(body, x, 0), lambda x: run(body, x, 1)


def scalar(f):
    return lambda x: f(x)[0] + 0.3 * f(x)[1]


X = np.array([0.4, -0.7, 1.2])
V = np.array([0.5, 1.0, -0.25])
W = np.array([1.5, -0.5])
BATCH = np.array([[0.4, -0.7, 1.2], [-0.3, 0.8, 0.1], [1.1, 0.6, -0.9], [0.2, 0.9, 0.55]])
calm = settings(deadline=None, max_examples=40, derandomize=True)
few = settings(deadline=None, max_examples=20, derandomize=True)


@calm
@given(programs())
def test_first_derivatives(body):
    f, plain = both(body)
    jacobian = complex_jacobian(plain, X)
    close(f(X), plain(X))
    close(tm.jacfwd(f)(X), jacobian)
    close(tm.jacrev(f)(X), jacobian)
    y, pullback = tm.vjp(f, X)
    close(y, plain(X))
    close(pullback(W), (W @ jacobian,))
    close(tm.jvp(f, (X,), (V,)), (plain(X), jacobian @ V))
    y, derivative = tm.linearize(f, X)
    close(derivative(V), jacobian @ V)
    value, gradient = tm.value_and_grad(scalar(f))(X)
    close(value, scalar(plain)(X))
    close(gradient, complex_jacobian(scalar(plain), X))


@few
@given(programs())
def test_second_derivatives_every_way_round(body):
    f, plain = (scalar(g) for g in both(body))
    hessian = difference_hessian(plain, X)
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    assert np.allclose(hessian, hessian.T, **tolerance)
    found = tm.hessian(f)(X)
    close(found, hessian, **tolerance)
    close(found, found.T, 1e-9, 1e-9)
    close(tm.jacrev(tm.jacfwd(f))(X), found, 1e-9, 1e-9)
    close(tm.jacrev(tm.jacrev(f))(X), found, 1e-9, 1e-9)
    close(tm.jacfwd(tm.jacfwd(f))(X), found, 1e-9, 1e-9)
    product = found @ V
    close(tm.hvp(f, (X,), (V,)), product, 1e-9, 1e-9)
    close(tm.grad(lambda x: tm.jvp(f, (x,), (V,))[1])(X), product, 1e-9, 1e-9)
    close(tm.grad(lambda x: np.sum(tm.grad(f)(x) * V))(X), product, 1e-9, 1e-9)
    close(tm.vjp(tm.grad(f), X)[1](V)[0], product, 1e-9, 1e-9)
    close(tm.jvp(lambda x: tm.jvp(f, (x,), (V,))[1], (X,), (V,))[1], V @ product, 1e-9, 1e-9)


@few
@given(programs())
def test_batches_are_loops(body):
    f, plain = both(body)
    g = scalar(f)
    close(tm.vmap(f)(BATCH), loop(plain, BATCH))
    close(tm.vmap(f, in_axes=1, out_axes=-1)(BATCH.T), loop(plain, BATCH).T)
    close(tm.vmap(tm.grad(g))(BATCH), loop(lambda x: complex_jacobian(scalar(plain), x), BATCH))
    close(tm.vmap(tm.jacfwd(f))(BATCH), loop(lambda x: complex_jacobian(plain, x), BATCH))
    close(tm.vmap(tm.jacrev(f))(BATCH), loop(lambda x: complex_jacobian(plain, x), BATCH))
    close(
        tm.vmap(lambda x, v: tm.jvp(f, (x,), (v,))[1])(BATCH, BATCH[::-1]),
        loop(lambda x, v: complex_jacobian(plain, x) @ v, BATCH, BATCH[::-1]),
    )
    close(tm.vmap(tm.vmap(f))(BATCH.reshape(2, 2, 3)), loop(plain, BATCH).reshape(2, 2, 2))


@few
@given(programs())
def test_derivatives_of_batches(body):
    f, plain = both(body)
    weights = np.linspace(-1.0, 1.0, 8).reshape(4, 2)
    expected = loop(lambda x, w: w @ complex_jacobian(plain, x), BATCH, weights)
    close(tm.grad(lambda xs: np.sum(tm.vmap(f)(xs) * weights))(BATCH), expected)
    close(tm.vjp(tm.vmap(f), BATCH)[1](weights)[0], expected)
    tangent = tm.jvp(tm.vmap(f), (BATCH,), (BATCH[::-1],))[1]
    close(tangent, loop(lambda x, v: complex_jacobian(plain, x) @ v, BATCH, BATCH[::-1]))
    # A weight that every example shares, and that the mapped function closes over.
    shared = tm.grad(lambda w: np.sum(tm.vmap(lambda x: f(x * w))(BATCH)))(V)
    close(shared, sum(complex_jacobian(lambda w, x=x: np.sum(plain(x * w)), V) for x in BATCH))


@few
@given(programs(length=4))
def test_three_deep(body):
    f, plain = (scalar(g) for g in both(body))
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    hessians = loop(lambda x: difference_hessian(plain, x), BATCH)
    products = np.einsum("nij,j->ni", hessians, V)
    close(tm.vmap(lambda x: tm.hvp(f, (x,), (V,)))(BATCH), products, **tolerance)
    close(tm.vmap(tm.hessian(f))(BATCH), hessians, **tolerance)
    close(tm.jvp(tm.vmap(tm.grad(f)), (BATCH,), (np.broadcast_to(V, (4, 3)),))[1], products, **tolerance)
    gradient = tm.grad(lambda xs: np.sum(tm.vmap(tm.grad(f))(xs) @ V))(BATCH)
    close(gradient, products, **tolerance)
    # d/dw of the gradients of all examples, where w is closed over two levels down
    mixed = tm.jacfwd(lambda w: tm.vmap(tm.grad(lambda x: f(x * w)))(BATCH))(V)
    judged = difference_jacobian(lambda w: loop(lambda x: complex_jacobian(lambda z: plain(z * w), x), BATCH), V)
    close(mixed, judged, **tolerance)
    close(tm.jacrev(lambda w: tm.vmap(tm.grad(lambda x: f(x * w)))(BATCH))(V), mixed, 1e-9, 1e-9)
    third = difference_jacobian(lambda x: tm.hvp(f, (x,), (V,)), X)
    close(tm.jacfwd(lambda x: tm.hvp(f, (x,), (V,)))(X), third, **tolerance)
    close(tm.jacrev(lambda x: tm.hvp(f, (x,), (V,)))(X), third, **tolerance)
    close(tm.jacrev(lambda x: tm.grad(lambda z: tm.jvp(f, (z,), (V,))[1])(x))(X), third, **tolerance)


@calm
@given(programs())
def test_the_doors_agree_bit_for_bit(body):
    f = both(body)[0]

    def total(x):
        return np.sum(f(x))

    x, start = tm.Tape().leaf(X)
    out, tape = tm.lift(total)(x).run(start)

    @tm.do
    def program(x):
        y = yield tm.lift(f)(x)
        return (yield tm.sum(y))

    out_of_do, tape_of_do = program(x).run(start)
    value, gradient = tm.value_and_grad(total)(X)
    value_of_do, gradient_of_do = tm.value_and_grad(program)(X)
    values = [value, tape.value(out), tape_of_do.value(out_of_do), value_of_do]
    gradients = [
        tape.backward_scalar(out)[x],
        tape_of_do.backward_scalar(out_of_do)[x],
        gradient_of_do,
    ]
    assert all(np.asarray(v).tobytes() == np.asarray(total(X)).tobytes() for v in values)
    assert all(np.asarray(g).tobytes() == gradient.tobytes() for g in gradients)
