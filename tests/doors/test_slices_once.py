"""A slice of one value is one node, however often code takes it: a loop records the slices of its weights once."""

import numpy as np
import pytest

import tapem as tm

W = np.array([[0.5, -1.0, 2.0], [0.25, 1.5, -0.5], [1.0, 0.75, -0.25]])
X = np.array([0.3, -0.8, 1.1])

LOOPS = {
    "for": lambda step, h, n: [h := step(h) for _ in range(n)][-1],
    "fori_loop": lambda step, h, n: tm.fori_loop(0, n, lambda i, h: step(h), h),
    "scan": lambda step, h, n: tm.scan(lambda h, _: (step(h), None), h, length=n)[0],
    "while_loop": lambda step, h, n: tm.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, step(s[1])), (0, h))[1],
}


def step(w, h):
    return np.tanh(h * w[0] + w[-1, :2][0] * w[1:, 1][0]) * w[2, 1]


def by_hand(w, h, n):
    for _ in range(n):
        h = np.tanh(h * w[0] + w[2, 0] * w[1, 1]) * w[2, 1]
    return np.sum(h)


def nodes_of(f, *arguments):
    """The names of the ops that f records."""
    found = []

    def seen(*tracers):
        y = f(*tracers)
        found.extend(node.op.name for node in tracers[0].recorder.nodes)
        return y

    tm.grad(seen)(*arguments)
    return found


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_records_the_slices_of_its_weights_once(loop):
    def f(w, n):
        return np.sum(LOOPS[loop](lambda h: step(w, h), X, n))

    few, many = (nodes_of(lambda w, n=n: f(w, n), W) for n in (2, 20))
    assert few.count("getitem") == many.count("getitem") == 6
    assert many.count("tanh") == 20
    plain = tm.grad(lambda w: by_hand(w + 0.0, X, 5))(W)
    np.testing.assert_allclose(tm.grad(lambda w: f(w, 5))(W), plain, rtol=1e-13)
    np.testing.assert_allclose(tm.jvp(lambda w: f(w, 5), (W,), (np.cos(W),))[1], np.sum(plain * np.cos(W)), rtol=1e-13)
    np.testing.assert_allclose(tm.vmap(tm.grad(lambda w: f(w, 5)))(np.stack([W, W]))[1], plain, rtol=1e-13)
    eps = 1e-6
    along = (tm.grad(lambda w: f(w, 5))(W + eps * np.cos(W)) - tm.grad(lambda w: f(w, 5))(W - eps * np.cos(W))) / (
        2 * eps
    )
    np.testing.assert_allclose(tm.hvp(lambda w: f(w, 5), (W,), (np.cos(W),)), along, rtol=1e-6, atol=1e-9)


def test_each_value_and_each_index_has_its_own():
    def f(x):
        y = x * 2.0
        parts = [x[0], y[0], x[0], x[1], x[-1], x[1:][0], x[1:2][0], x[0:2][1], x[None][0, 0], x[::-1][0], x[2:0:-1][0]]
        return sum(k * part for k, part in enumerate(parts))

    np.testing.assert_array_equal(tm.grad(f)(X), [0 + 2 + 2 + 8, 3 + 5 + 6 + 7, 4 + 9 + 10])
    assert float(tm.value_and_grad(f)(X)[0]) == float(f(X))


def test_equal_indices_of_other_kinds_are_not_mixed_up():
    """1, True and 1.0 are equal and have one hash; NumPy reads them as an element, a mask and an error."""

    def f(x):
        first, second = x[1], x[True]
        assert first.shape == () and second.shape == (1, 3) and x[1:2].shape == (1,)
        with pytest.raises(tm.DTypeError):
            x[1.0]
        with pytest.raises((tm.TapeError, TypeError)):
            x[1.0:2]
        return first + np.sum(second)

    np.testing.assert_array_equal(tm.grad(f)(X), [1.0, 2.0, 1.0])


def test_no_grad_and_outer_values():
    def f(x):
        kept = x[0]
        with tm.no_grad():
            constant = x[0]
        inner = tm.grad(lambda y: y[0] * x[0] * y[1])(x)
        return kept * constant + x[0] * inner[1]  # x0 * const + x0 * x0 * x0

    np.testing.assert_allclose(tm.grad(f)(X), [X[0] + 3 * X[0] ** 2, 0.0, 0.0])


def test_an_abstract_tape_records_a_slice_once_too():
    compiled = tm.compile(lambda x: x[1] * x[1], engine="numpy")
    names = [node.op.name for node in compiled.tape(np.ones(3)).before]
    assert names.count("getitem") == 1
