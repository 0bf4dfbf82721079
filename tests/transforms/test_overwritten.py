"""Arrays that are overwritten after they were used: what was computed before stays computed from what they were.

An array may be unlocked before it is overwritten, may be a view of another, and may be overwritten through that.
"""

import numpy as np
import pytest

import tapem as tm

from .judges import close

X = np.array([0.3, -0.8, 1.1, 0.5])
V = np.array([1.0, -0.5, 0.25, 2.0])


def owned():
    array = X.copy()
    return array, array


def locked():
    array = X.copy()
    array.flags.writeable = False
    return array, array


def view():
    base = np.repeat(X, 2)
    return base[::2], base


def locked_view():
    base = np.repeat(X, 2)
    array = base[::2]
    array.flags.writeable = False
    return array, base


def of_columns():
    array = np.asfortranarray(X.reshape(2, 2))
    return array, array


def of_bytes():
    memory = bytearray(X.tobytes())
    return np.frombuffer(memory), np.frombuffer(memory)


ARRAYS = [owned, locked, view, locked_view, of_columns, of_bytes]


def overwrite(array):
    array.flags.writeable = True
    array[...] = 7.0


custom = tm.custom_vjp(lambda x, data: (np.sum(x * data), (x, data)), lambda r, g: (g * r[1], g * r[0]))
keeping = tm.custom_jvp(lambda x, data: np.sum(x * data), lambda xs, ts: (np.sum(xs[0] * xs[1]), np.sum(ts[0] * xs[1])))

# Ways in which a constant array gets onto a tape.
WAYS = {
    "an operand": lambda x, data: np.sum(np.sin(x) * data),
    "on the left": lambda x, data: np.sum(data / (3.0 + x)),
    "a matrix": lambda x, data: np.sum(np.linalg.solve(np.eye(4) * 9.0 + np.reshape(data, (4, 1)), np.reshape(x, 4))),
    "where": lambda x, data: np.sum(np.where(data > 0.0, x, x * data)),
    "stack": lambda x, data: np.sum(np.stack([x, data]) ** 2 * np.stack([data, x])),
    "einsum": lambda x, data: np.einsum("i,i->", np.reshape(x, 4), np.reshape(data, 4)),
    "an index": lambda x, data: np.sum(np.reshape(x, 4)[np.argsort(np.reshape(data, 4))] * np.arange(4.0)),
    "checkpoint": lambda x, data: tm.checkpoint(lambda x, data: np.sum(np.sin(x) * data))(x, data),
    "closed over": lambda x, data: tm.checkpoint(lambda x: np.sum(np.sin(x) * data))(x),
    "custom_vjp": custom,
    "custom_jvp": keeping,
    "vmap": lambda x, data: np.sum(tm.vmap(lambda a, b: np.sin(a) * b)(x, data)),
    "grad": lambda x, data: np.sum(tm.grad(lambda z: np.sum(z**2 * data))(x)),
    "while_loop": lambda x, data: np.sum(
        tm.vmap(lambda a, b: tm.while_loop(lambda s: s < 1.0, lambda s: s + b * b + 0.1, a))(x, data) * x
    ),
    "fori_loop": lambda x, data: np.sum(tm.fori_loop(0, 2, lambda i, s: s * data, x)),
    "no_grad": lambda x, data: np.sum(x * tm.no_grad(lambda: np.sin(data))),
}

# f(x) and its derivatives with respect to x, all of which run f once.
TRANSFORMS = {
    "grad": lambda f, x: tm.grad(f)(x),
    "value_and_grad": lambda f, x: tm.value_and_grad(f)(x),
    "vjp": lambda f, x: (lambda y, pullback: (y, pullback(1.0)[0]))(*tm.vjp(f, x)),
    "jvp": lambda f, x: tm.jvp(f, (x,), (V.reshape(x.shape),)),
    "linearize": lambda f, x: (lambda y, derivative: (y, derivative(V.reshape(x.shape))))(*tm.linearize(f, x)),
    "jacrev": lambda f, x: tm.jacrev(f)(x),
    "jacfwd": lambda f, x: tm.jacfwd(f)(x),
    "hessian": lambda f, x: tm.hessian(f)(x),
    "hvp": lambda f, x: tm.hvp(f, (x,), (V.reshape(x.shape),)),
    "vmap of grad": lambda f, x: tm.vmap(tm.grad(f))(np.stack([x, x])),
    "a tree": lambda f, x: tm.grad(lambda tree: f(tree["a"]) * tree["b"][0])({"a": x, "b": (x.sum(),)}),
    "has_aux": lambda f, x: tm.value_and_grad(lambda x: (f(x), x), has_aux=True)(x),
}


def same(found, expected):
    close(tm.ravel(found)[0], tm.ravel(expected)[0], 1e-15, 1e-15)


@pytest.mark.parametrize("make", ARRAYS)
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_arguments(transform, make):
    def f(x):
        return np.sum(np.sin(x) * x**2) + np.sum(x[0])

    def overwriting(x):
        y = f(x)
        overwrite(base)
        return y

    array, base = make()
    expected = transform(f, array.copy())
    same(transform(overwriting, array), expected)
    assert np.all(array == 7.0)


@pytest.mark.parametrize("make", ARRAYS)
@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_constants(transform, make):
    def overwriting(x):
        y = np.sum(x**2 * data)
        overwrite(base)
        return y

    data, base = make()
    before = data.copy()
    x = X.reshape(data.shape) + 1.0
    expected = transform(lambda x: np.sum(x**2 * before), x)
    same(transform(overwriting, x), expected)


@pytest.mark.parametrize("make", [owned, locked, view])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_in(way, make):
    def overwriting(x):
        y = way(x, data)
        overwrite(base)
        return y

    data, base = make()
    before = data.copy()
    x = X + 1.0
    for transform in ("value_and_grad", "jvp", "hvp"):
        data, base = make()
        same(TRANSFORMS[transform](overwriting, x), TRANSFORMS[transform](lambda x: way(x, before), x))


@pytest.mark.parametrize("make", ARRAYS)
def test_on_a_tape(make):
    array, base = make()
    data, data_base = make()
    before = array.copy()
    x, tape = tm.Tape().leaf(array)
    y, tape = tape.record(tm.mul, x, data)
    out, tape = tm.sum(tm.square(y)).run(tape)
    overwrite(base)
    overwrite(data_base)
    close(tape.value(x), before, 0, 0)
    close(tape.backward_scalar(out)[x], 2 * before**3, 1e-15, 0)


def test_seeds_and_results():
    """Cotangents, tangents and results belong to their users, who may overwrite them at any time."""
    y, pullback = tm.vjp(lambda x: x * 2.0, X)
    g = V.copy()
    (first,) = pullback(g)
    y[...] = first[...] = g[...] = 7.0
    close(pullback(V)[0], 2.0 * V)
    _, derivative = tm.linearize(lambda x: x, X)
    t = V.copy()
    pushed = derivative(t)
    t[...] = 7.0
    close(pushed, V)
