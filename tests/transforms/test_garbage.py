"""No transform leaves reference cycles: memory is free as soon as its result is, without the garbage collector."""

import gc

import numpy as np
import pytest

import tapem as tm

X = np.array([0.3, 0.8, 1.1])
BATCH = np.stack([X, X + 0.5, X - 0.25])


def scalar(x):
    return np.sum(np.sin(x) * x)


def vector(x):
    return np.sin(x) * x[0] + np.mean(x[1:])


@tm.custom_vjp
def with_pullback(x):
    return np.sin(x)


with_pullback.defvjp(lambda x: (np.sin(x), x), lambda x, g: (g * np.cos(x),))


@tm.custom_jvp
def with_tangent(x):
    return np.sin(x)


with_tangent.defjvp(lambda primals, tangents: (np.sin(primals[0]), tangents[0] * np.cos(primals[0])))


def grows(x):
    return tm.while_loop(lambda state: np.sum(state) < 10.0, lambda state: state + x * x, x * x)


def chosen(x):
    return tm.cond(x[0] > 0.4, np.sin, np.cos, x)


def scanned(x):
    last, rows = tm.scan(lambda carry, row: (np.sin(carry) * row, carry), x, BATCH)
    return np.sum(last) + np.sum(rows) + np.sum(tm.fori_loop(0, 3, lambda i, state: state * x + i, x))


def summed(f):
    return lambda x: np.sum(f(x))


@tm.do
def program():
    x = yield tm.param(X)
    y = yield tm.sum(tm.sin(x))
    gradients = yield tm.backward_scalar(y)
    return gradients


def fails(x):
    return np.sin(x) @ np.ones((2, 2))


def failing():
    try:
        tm.grad(fails)(X)
    except tm.TapeError:
        return
    raise AssertionError("it must fail")


def nested(x):
    return np.sum(tm.grad(lambda y: scalar(x * y))(x))


FUNCTIONS = {
    "scalar": scalar,
    "vector": summed(vector),
    "checkpoint": summed(tm.checkpoint(vector)),
    "scan": scanned,
    "while_loop": summed(grows),
    "cond": summed(chosen),
    "custom_vjp": summed(with_pullback),
    "custom_jvp": summed(with_tangent),
    "nested": nested,
    "several results": lambda x: np.sum(np.linalg.qr(np.outer(x, x) + np.eye(3))[1]),
    "detach": lambda x: np.sum(x * tm.detach(x)),
}
TRANSFORMS = {
    "call": lambda f: f(X),
    "grad": lambda f: tm.grad(f)(X),
    "value_and_grad": lambda f: tm.value_and_grad(lambda x: (f(x), {"x": x}), has_aux=True)(X),
    "vjp": lambda f: tm.vjp(f, X)[1](1.0),
    "vjp, never pulled": lambda f: tm.vjp(f, X)[0],
    "jvp": lambda f: tm.jvp(f, (X,), (X,)),
    "linearize": lambda f: tm.linearize(f, X)[1](X),
    "jacfwd": lambda f: tm.jacfwd(f)(X),
    "jacrev": lambda f: tm.jacrev(f)(X),
    "jacfwd in chunks": lambda f: tm.jacfwd(f, chunk_size=2)(X),
    "jacrev at once": lambda f: tm.jacrev(f, chunk_size=9)(X),
    "hvp": lambda f: tm.hvp(f, (X,), (X,)),
    "hessian": lambda f: tm.hessian(f)(X),
    "vmap": lambda f: tm.vmap(f)(BATCH),
    "vmap of trees": lambda f: tm.vmap(lambda t: f(t["x"][0]), in_axes=({"x": (0, None)},))({"x": (BATCH, X)}),
    "vmap of grad": lambda f: tm.vmap(tm.grad(f))(BATCH),
    "grad of vmap": lambda f: tm.grad(lambda b: np.sum(tm.vmap(f)(b)))(BATCH),
    "grad of grad": lambda f: tm.grad(lambda x: np.sum(tm.grad(f)(x)))(X),
    "eval_shape": lambda f: tm.eval_shape(f, X),
}


def garbage(work):
    """How many objects only the garbage collector frees after a piece of work, which has run before."""
    work()
    work()
    gc.disable()
    gc.freeze()  # what other tests left is not looked at: a collection would take a second
    try:
        work()
        return gc.collect()
    finally:
        gc.unfreeze()
        gc.enable()


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_transform_makes_no_cycles(function, transform):
    assert garbage(lambda: TRANSFORMS[transform](FUNCTIONS[function])) == 0


def test_programs_tapes_and_errors_make_no_cycles():
    def tape():
        x, tape = tm.Tape().leaf(X)
        y, tape = tape.record(tm.sin, x)
        total, tape = tape.record(tm.sum, y)
        return tape.backward([total], [np.array(1.0)])

    assert [garbage(work) for work in (tape, lambda: program().run(), failing)] == [0, 0, 0]
