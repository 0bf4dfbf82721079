"""What is said of custom rules that fail, or that return what does not fit."""

import numpy as np
import pytest

import tapem as tm

from .judges import close

X = np.array([0.3, -0.8, 1.1])
V = np.array([1.0, -2.0, 0.5])
BATCH = np.stack([X, V, X * V, X + V])


FWD, BWD, RULE = "the fwd of mine", "the bwd of mine", "the rule of mine"
NO_PAIR, STRUCTURES = r" must return a pair \((y, residuals|y, dy)\), not ", ": the structures differ"
WRONG = [
    (lambda: by_fwd(lambda x: np.sin(x)), tm.ShapeError, FWD + NO_PAIR + r".*shape \(.*3,\)"),
    (lambda: by_fwd(lambda x: (x, x, x)), tm.ShapeError, FWD + NO_PAIR + "tuple of 3"),
    (lambda: by_fwd(lambda x: None), tm.ShapeError, FWD + NO_PAIR + "NoneType"),
    (lambda: by_vjp(lambda r, g: g), tm.ShapeError, BWD + " must return a tuple of 1 cotangents.*not .*shape"),
    (lambda: by_vjp(lambda r, g: (g, g)), tm.ShapeError, BWD + " must return a tuple of 1 cotangents.*not 2"),
    (lambda: by_vjp(lambda r, g: None), tm.ShapeError, BWD + " must return a tuple of 1.*NoneType"),
    (
        lambda: by_vjp(lambda r, g: (g[:2],)),
        tm.ShapeError,
        BWD + r".*shape \(2,\).* belongs to the argument x of shape \(3,\)",
    ),
    (lambda: by_vjp(lambda r, g: ({"a": g},)), tm.TreeError, BWD + STRUCTURES),
    (lambda: by_vjp(lambda r, g: ((g, g),)), tm.TreeError, BWD + STRUCTURES),
    (
        lambda: by_vjp(lambda r, g: (g.astype(np.float32),)),
        tm.DTypeError,
        BWD + ".*float32.* belongs to the argument x.*64",
    ),
    (lambda: by_vjp(lambda r, g: (np.ones(3, int),)), tm.DTypeError, BWD + ".*int64.* belongs to the argument x"),
    (lambda: by_jvp(lambda xs, ts: xs[0]), tm.ShapeError, RULE + NO_PAIR),
    (lambda: by_jvp(lambda xs, ts: None), tm.ShapeError, RULE + NO_PAIR + "NoneType"),
    (lambda: by_jvp(lambda xs, ts: (xs[0], ts[0][:2])), tm.ShapeError, RULE + r".*has shape \(2,\).*\(3,\)"),
    (
        lambda: by_jvp(lambda xs, ts: (np.sum(xs[0]), ts[0])),
        tm.ShapeError,
        RULE + r" returned .* as its value.*f64\[3\]",
    ),
    (lambda: by_jvp(lambda xs, ts: ((xs[0],), ts[0])), tm.TreeError, RULE + STRUCTURES),
    (lambda: by_jvp(lambda xs, ts: (xs[0], (ts[0],))), tm.TreeError, RULE + STRUCTURES),
    (lambda: by_jvp(lambda xs, ts: (xs[0], ts[0].astype(np.float32))), tm.DTypeError, RULE + ".*float32.*float64"),
]


def by_fwd(mine):
    mine.__name__ = "mine"
    return tm.custom_vjp(mine, lambda r, g: (g,))


def by_vjp(bwd):
    def mine(x):
        return 2 * x

    f = tm.custom_vjp(mine)
    f.defvjp(lambda x: (2 * x, None), bwd)
    return f


def by_jvp(rule):
    def mine(x):
        return 2 * x

    return tm.custom_jvp(mine, rule)


@pytest.mark.parametrize("case", WRONG, ids=range(len(WRONG)))
def test_wrong_rules_are_told_by_the_name_of_the_function(case):
    make, error, message = case
    for call in (
        lambda f: tm.grad(lambda x: np.sum(f(x)))(X),
        lambda f: tm.jvp(f, (X,), (V,)),
        lambda f: tm.vmap(tm.grad(lambda x: np.sum(f(x))))(BATCH),
        lambda f: tm.grad(lambda b: np.sum(tm.vmap(f)(b)))(BATCH),
    ):
        with pytest.raises(error, match=message):
            call(make())


def test_a_forward_pass_unlike_the_function():
    f = tm.custom_vjp(lambda x: (x, x))
    f.defvjp(lambda x: (x, None), lambda r, g: (g,))
    with pytest.raises(tm.TreeError, match=r"the fwd of <lambda> returns .* but <lambda> itself"):
        tm.vmap(tm.grad(lambda x: np.sum(f(x)[0])))(BATCH)


def test_integer_arguments():
    """They have no derivative: None, zeros or whatever the rule says, and the others are as they should be."""
    for nothing in (None, tm.Zero(), 0, 0.0, np.zeros((), int)):
        f = tm.custom_vjp(lambda x, n: (x**n, (x, n)), lambda r, g, c=nothing: (g * r[1] * r[0] ** (r[1] - 1), c))
        close(tm.grad(lambda x, f=f: np.sum(f(x, 3)))(X), 3 * X**2)
        close(tm.jvp(lambda x, f=f: f(x, 3), (X,), (V,))[1], 3 * X**2 * V)
        found = tm.vmap(tm.grad(f), in_axes=(0, 0))(X, np.array([1, 2, 3]))
        close(found, [1.0, 2 * X[1], 3 * X[2] ** 2])
        close(tm.grad(lambda x, f=f: f(x[0], np.argmax(x)))(np.array([2.0, 1.0, 5.0])), [4.0, 0.0, 0.0])
        close(tm.grad(f, argnums=(0, 1), allow_int=True)(2.0, 3)[0], 12.0)

    @tm.custom_jvp
    def h(x, n):
        return x**n, n + 1

    @h.defjvp
    def h_jvp(primals, tangents):
        (x, n), (t, _) = primals, tangents
        return h(x, n), (t * n * x ** (n - 1), None)

    close(tm.grad(lambda x: np.sum(h(x, 3)[0]))(X), 3 * X**2)
    close(tm.vmap(tm.grad(lambda x, n: h(x, n)[0]))(X, np.array([1, 2, 3])), [1.0, 2 * X[1], 3 * X[2] ** 2])
    y, dy = tm.jvp(lambda x: h(x, 3), (X,), (V,))
    close((y[0], y[1], dy[0]), (X**3, np.array(4), 3 * X**2 * V))


def test_plain_arrays_inside():
    """Where values are known the function and its rules run on plain arrays: SciPy and Python's `if` work there."""
    scipy_special = pytest.importorskip("scipy.special")

    @tm.custom_jvp
    def bessel(x):
        assert type(x) is np.ndarray
        return scipy_special.jv(0, x)

    bessel.defjvp(lambda xs, ts: (bessel(xs[0]), -scipy_special.jv(1, xs[0]) * ts[0]))
    close(tm.grad(lambda x: np.sum(bessel(x)))(X), -scipy_special.j1(X))
    close(tm.jvp(bessel, (X,), (V,))[1], -scipy_special.j1(X) * V)

    @tm.custom_vjp
    def halved(x):
        return x if x < 0 else x / 2

    halved.defvjp(lambda x: (halved(x), x < 0), lambda negative, g: (g if negative else g / 2,))
    assert tm.grad(halved)(2.0) == 0.5 and tm.grad(halved)(-2.0) == 1.0


def test_what_a_tape_holds_of_a_custom_function_cannot_be_changed():
    buffer = np.ones(3)

    @tm.custom_vjp
    def f(x):
        buffer[:] = 2 * x
        return buffer

    f.defvjp(lambda x: (f(x), buffer), lambda r, g: (g * r,))
    y, pullback = tm.vjp(f, X)
    buffer[:] = 0
    close((y, pullback(np.ones(3))[0]), (2 * X, 2 * X))

    def overwrite(x):
        x[:] = 0
        return x

    g = tm.custom_jvp(overwrite, lambda xs, ts: (xs[0], ts[0]))
    with pytest.raises(ValueError, match="read-only"):
        tm.grad(lambda x: np.sum(g(x)))(X.copy())
