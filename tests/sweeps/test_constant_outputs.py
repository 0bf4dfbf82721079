"""Programs whose output is a constant, through every door: the gradient is zero, of the argument's shape and dtype."""

import numpy as np
import pytest

import tapem as tm

X = np.array([0.5, -2.0, 3.0], np.float32)

# Each gives a scalar that does not depend on x as far as derivatives go.
CONSTANT = {
    "sign": lambda x: np.sum(np.sign(x)),
    "a number": lambda x: 2.0,
    "a NumPy number": lambda x: np.float64(2.0),
    "an array": lambda x: np.array(2.0, np.float32),
    "detach": lambda x: np.sum(tm.detach(x) ** 2),
    "no_grad": lambda x: tm.no_grad(lambda: np.sum(x * x)),
    "floor": lambda x: np.sum(np.floor(x)) * 1.5,
    "elsewhere": lambda x: np.sum(np.ones(3)),
    "comparison": lambda x: np.sum(np.where(x > 0.0, 1.0, 0.0)),
}


def check(gradient):
    assert gradient.dtype == X.dtype
    np.testing.assert_array_equal(gradient, np.zeros(3))


@pytest.mark.parametrize("f", CONSTANT.values(), ids=CONSTANT)
def test_every_door(f):
    value, gradient = tm.value_and_grad(f)(X)
    check(gradient)
    step = tm.lift(f)

    x, tape = tm.Tape().leaf(X)
    out, tape = step(x).run(tape)
    assert isinstance(out, tm.Ref)
    assert tape.check().value(out) == value
    check(tape.backward_scalar(out)[x])
    check(tape.backward_dense(out)[x.id])
    check(tape.backward(out, np.ones((), out.dtype))[x])

    @tm.do
    def program():
        x = yield tm.param(X)
        y = yield step(x)
        gradients = yield tm.backward_scalar(y)
        return gradients[x]

    check(program().eval())

    @tm.do
    def of(x):
        y = yield step(x)
        return (yield tm.mul(y, 2.0))

    out, tape = of(x).run(tape)
    check(tape.backward_scalar(out)[x])
    check(tm.grad(of)(X))
    np.testing.assert_array_equal(tm.vmap(tm.grad(of))(np.stack([X, X])), np.zeros((2, 3)))


def test_integers_are_refs_too():
    """As a number the position would be taken for the id of a node."""
    x, tape = tm.Tape().leaf(X)
    at, tape = tm.lift(np.argmax)(x).run(tape)
    assert isinstance(at, tm.Ref)
    assert tape.value(at) == 2


def test_in_a_tree_what_is_no_tracer_stays_as_it_is():
    x, tape = tm.Tape().leaf(X)
    state = {"mean": np.ones(2), "steps": 3, "rate": 0.5, "key": tm.random.key(0)}
    (loss, new), tape = tm.lift(lambda x: (np.sum(x), state))(x).run(tape)
    assert all(new[name] is state[name] for name in state)
    np.testing.assert_array_equal(tape.backward_scalar(loss)[x], np.ones(3))


def test_a_constant_of_a_lifted_function_is_a_copy():
    kept = np.ones(3)
    x, tape = tm.Tape().leaf(X)
    out, tape = tm.lift(lambda x: kept)(x).run(tape)
    kept[:] = 7.0
    np.testing.assert_array_equal(tape.value(out), np.ones(3))


def test_gradients_of_constants_add():
    x, tape = tm.Tape().leaf(X)
    zero, tape = tm.lift(CONSTANT["sign"])(x).run(tape)
    out, tape = tm.sum(x).run(tape)
    total = tape.backward_scalar(zero) + tape.backward_scalar(out)
    np.testing.assert_array_equal(total[x], np.ones(3))
    with pytest.raises(tm.MissingGradientError, match="constant"):
        tape.backward_scalar(zero)[zero]
