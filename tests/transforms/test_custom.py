"""custom_vjp and custom_jvp: honored in both modes, at every order, under vmap."""

from typing import NamedTuple

import numpy as np
import pytest

import tapem as tm
from tapem.tangents import DoesNotExist, Zero

from .judges import close, complex_jacobian

X = np.array([0.3, -0.8, 1.1])
Y = np.array([1.5, 0.4, -0.6])
V = np.array([1.0, -2.0, 0.5])
BATCH = np.stack([X, Y, V, X + V])


class Saved(NamedTuple):
    x: object
    extra: object


# Rules that are wrong on purpose (three times the true one) show that the rule is used, and nothing else.
@tm.custom_vjp
def tripled_vjp(x):
    return np.sin(x)


tripled_vjp.defvjp(lambda x: (np.sin(x), np.cos(x)), lambda cos, g: (3 * g * cos,))


@tm.custom_jvp
def tripled_jvp(x):
    return np.sin(x)


tripled_jvp.defjvp(lambda xs, ts: (np.sin(xs[0]), 3 * ts[0] * np.cos(xs[0])))

# cos is a residual of the first: a derivative of its rule treats it as the function of x that it is.
both = pytest.mark.parametrize("f", [tripled_vjp, tripled_jvp], ids=["vjp", "jvp"])


@both
def test_the_rule_holds_in_both_modes(f):
    close(f(X), np.sin(X))
    close(tm.grad(lambda x: np.sum(f(x)))(X), 3 * np.cos(X))
    close(tm.jvp(f, (X,), (V,)), (np.sin(X), 3 * np.cos(X) * V))
    close(tm.vjp(f, X)[1](V)[0], 3 * np.cos(X) * V)
    close(tm.linearize(f, X)[1](V), 3 * np.cos(X) * V)
    close(tm.jacfwd(f)(X), np.diag(3 * np.cos(X)))
    close(tm.jacrev(f)(X), np.diag(3 * np.cos(X)))


@both
def test_the_rule_holds_at_every_order(f):
    assert np.isclose(tm.grad(tm.grad(f))(0.7), -3 * np.sin(0.7))
    assert np.isclose(tm.grad(tm.grad(tm.grad(f)))(0.7), -3 * np.cos(0.7))
    for outer in (tm.jacfwd, tm.jacrev):
        for inner in (tm.jacfwd, tm.jacrev):
            close(outer(inner(f))(0.7), np.array(-3 * np.sin(0.7)))
    close(tm.hvp(lambda x: np.sum(f(x)), (X,), (V,)), -3 * np.sin(X) * V)
    close(tm.grad(lambda x: np.sum(tm.jvp(f, (x,), (V,))[1]))(X), -3 * np.sin(X) * V)
    # the rule inside of the rule's own derivative
    close(tm.grad(lambda x: f(f(x)))(0.7), 9 * np.cos(np.sin(0.7)) * np.cos(0.7))


@both
def test_the_rule_holds_under_vmap_and_around_it(f):
    close(tm.vmap(f)(BATCH), np.sin(BATCH))
    close(tm.vmap(tm.grad(lambda x: np.sum(f(x))))(BATCH), 3 * np.cos(BATCH))
    close(tm.grad(lambda b: np.sum(tm.vmap(f)(b)))(BATCH), 3 * np.cos(BATCH))
    close(tm.jvp(tm.vmap(f), (BATCH,), (BATCH,))[1], 3 * np.cos(BATCH) * BATCH)
    close(tm.vmap(lambda x: tm.jvp(f, (x,), (V,))[1])(BATCH), 3 * np.cos(BATCH) * V)
    close(tm.vmap(tm.vmap(tm.grad(f)))(BATCH), 3 * np.cos(BATCH))
    close(tm.vmap(tm.vmap(tm.grad(tm.grad(f))))(BATCH), -3 * np.sin(BATCH))
    close(tm.grad(lambda b: np.sum(tm.vmap(tm.vmap(tm.grad(f)))(b)))(BATCH), -3 * np.sin(BATCH))
    close(tm.vmap(lambda x: tm.hvp(lambda z: np.sum(f(z)), (x,), (V,)))(BATCH), -3 * np.sin(BATCH) * V)


@both
def test_the_rule_holds_inside_checkpoint_scan_and_loops(f):
    close(tm.grad(lambda x: np.sum(tm.checkpoint(f)(x)))(X), 3 * np.cos(X))
    close(tm.vmap(tm.grad(lambda x: np.sum(tm.checkpoint(f)(x))))(BATCH), 3 * np.cos(BATCH))
    close(tm.jvp(tm.checkpoint(f), (X,), (V,))[1], 3 * np.cos(X) * V)
    close(tm.grad(lambda x: tm.scan(lambda c, e: (c + f(e), None), 0.0, x)[0])(X), 3 * np.cos(X))
    close(tm.grad(lambda x: tm.fori_loop(0, 2, lambda i, s: f(s), x))(0.7), 9 * np.cos(np.sin(0.7)) * np.cos(0.7))


# Two arguments, a tree of an argument, a tree of an output, a tree of residuals.
def forward(weights, x):
    y = weights["w"] @ x
    return {"y": np.tanh(y), "square": np.sum(x**2)}, Saved(x, {"w": weights["w"], "y": np.tanh(y), "none": None})


def backward(saved, ct):
    g = ct["y"] * (1 - saved.extra["y"] ** 2)
    return {"w": np.outer(g, saved.x)}, saved.extra["w"].T @ g + 2 * saved.x * ct["square"]


def tangent(primals, tangents):
    (weights, x), (dw, dx) = primals, tangents
    y = np.tanh(weights["w"] @ x)
    dy = (1 - y**2) * (dw["w"] @ x + weights["w"] @ dx)
    return {"y": y, "square": np.sum(x**2)}, {"y": dy, "square": 2 * np.sum(x * dx)}


LAYERS = [tm.custom_vjp(forward, backward), tm.custom_jvp(lambda w, x: forward(w, x)[0], tangent)]
W = {"w": np.array([[0.2, 0.5, -1.0], [0.7, -0.4, 0.1]])}


@pytest.mark.parametrize("layer", LAYERS, ids=["vjp", "jvp"])
def test_trees_everywhere(layer):
    def total(w, x):
        out = layer(w, x)
        return np.sum(np.sin(out["y"])) * out["square"]

    def plain(w, x):
        return np.sum(np.sin(np.tanh(w @ x))) * np.sum(x**2)

    in_w, in_x = tm.grad(total, argnums=(0, 1))(W, X)
    close(in_w["w"], complex_jacobian(lambda w: plain(w, X), W["w"]))
    close(in_x, complex_jacobian(lambda x: plain(W["w"], x), X))
    tangents = {"w": np.outer([1.0, -1.0], V)}, V
    pushed = tm.jvp(total, (W, X), tangents)[1]
    close(pushed, np.sum(in_w["w"] * tangents[0]["w"]) + in_x @ V)
    # only one of the arguments is perturbed, in either mode
    close(tm.grad(total, argnums=1)(W, X), in_x)
    close(tm.jvp(lambda x: total(W, x), (X,), (V,))[1], in_x @ V)
    # shared weights, mapped x; and the other way round
    close(
        tm.vmap(tm.grad(total, argnums=1), in_axes=(None, 0))(W, BATCH),
        np.stack([complex_jacobian(lambda x: plain(W["w"], x), x) for x in BATCH]),
    )
    shared = tm.grad(lambda w: np.sum(tm.vmap(total, in_axes=(None, 0))(w, BATCH)))(W)["w"]
    close(shared, sum(complex_jacobian(lambda w, x=x: plain(w, x), W["w"]) for x in BATCH))
    close(
        tm.hessian(lambda x: total(W, x))(X),
        tm.hessian(lambda x: np.sum(np.sin(np.tanh(W["w"] @ x))) * np.sum(x**2))(X),
        1e-10,
        1e-10,
    )


@pytest.mark.parametrize("nothing", [None, Zero(), DoesNotExist()])
def test_symbolic_zeros_and_none(nothing):
    f = tm.custom_vjp(lambda x, y: (x * y, y), lambda y, g: (g * y, nothing))
    a, b = tm.grad(lambda x, y: np.sum(f(x, y)), argnums=(0, 1))(X, Y)
    close((a, b), (Y, np.zeros(3)))
    close(tm.jvp(f, (X, Y), (V, V))[1], V * Y)
    close(tm.vmap(tm.grad(lambda x, y: np.sum(f(x, y)), argnums=(0, 1)))(BATCH, BATCH), (BATCH, 0 * BATCH))
    close(tm.grad(lambda x, y: np.sum(tm.vmap(f)(x, y)), argnums=(0, 1))(BATCH, BATCH), (BATCH, 0 * BATCH))
    close(tm.grad(lambda y: np.sum(tm.vmap(f, (0, None))(BATCH, y)))(Y), np.zeros(3))


def test_an_integer_argument_has_no_cotangent():
    f = tm.custom_vjp(lambda x, n: (x**n, (x, n)), lambda r, g: (g * r[1] * r[0] ** (r[1] - 1), None))
    close(tm.grad(lambda x: np.sum(f(x, 3)))(X), 3 * X**2)
    close(tm.jvp(lambda x: f(x, 3), (X,), (V,))[1], 3 * X**2 * V)
    h = tm.custom_jvp(lambda x, n: x**n, lambda xs, ts: (xs[0] ** xs[1], ts[0] * xs[1] * xs[0] ** (xs[1] - 1)))
    close(tm.grad(lambda x: np.sum(h(x, 3)))(X), 3 * X**2)
    close(tm.vmap(tm.grad(h), in_axes=(0, None))(X, 3), 3 * X**2)


def test_cotangents_that_do_not_fit():
    one = tm.custom_vjp(lambda x, y: (x * y, y), lambda y, g: (g * y,))
    with pytest.raises(tm.ShapeError, match=r"must return a tuple of 2 cotangents, one per argument, not 1"):
        tm.grad(lambda x: np.sum(one(x, Y)))(X)
    bare = tm.custom_vjp(lambda x: (x * 2, None), lambda _, g: g * 2)
    with pytest.raises(tm.ShapeError, match=r"must return a tuple of 1 cotangents.*ndarray"):
        tm.grad(lambda x: np.sum(bare(x)))(X)
    shaped = tm.custom_vjp(lambda x: (x * 2, None), lambda _, g: (np.sum(g),))
    with pytest.raises(tm.ShapeError, match=r"shape \(\).*shape \(3,\)"):
        tm.grad(lambda x: np.sum(shaped(x)))(X)
    typed = tm.custom_vjp(lambda x: (x * 2, None), lambda _, g: (g.astype(np.float64),))
    with pytest.raises(tm.DTypeError, match="float64"):
        tm.grad(lambda x: np.sum(typed(x)))(X.astype(np.float32))
    tree = tm.custom_vjp(lambda t: (t["a"], None), lambda _, g: ({"b": g},))
    with pytest.raises(tm.TreeError, match="bwd"):
        tm.grad(lambda t: np.sum(tree(t)))({"a": X})
    pushed = tm.custom_jvp(lambda x: x * 2, lambda xs, ts: (xs[0] * 2, np.sum(ts[0])))
    for call in (lambda: tm.jvp(pushed, (X,), (V,)), lambda: tm.grad(lambda x: np.sum(pushed(x)))(X)):
        with pytest.raises(tm.ShapeError, match=r"shape \(\).*\(3,\)"):
            call()


def test_a_missing_rule_is_an_error_only_where_it_is_needed():
    f = tm.custom_vjp(np.sin)
    close(f(X), np.sin(X))
    with pytest.raises(tm.NoRuleError, match=r"custom_vjp sin.*defvjp"):
        tm.grad(lambda x: np.sum(f(x)))(X)
    g = tm.custom_jvp(np.sin)
    close(g(X), np.sin(X))
    with pytest.raises(tm.NoRuleError, match=r"custom_jvp sin.*defjvp"):
        tm.grad(lambda x: np.sum(g(x)))(X)


def test_closures_over_traced_values_are_refused():
    def by_vjp(x):
        f = tm.custom_vjp(lambda z: (z * x, None), lambda _, g: (g,))
        return np.sum(f(x))

    def by_jvp(x):
        f = tm.custom_jvp(lambda z: z * x, lambda zs, ts: (zs[0] * x, ts[0]))
        return np.sum(f(x))

    def in_bwd(x):
        f = tm.custom_vjp(lambda z: (z * 2, None), lambda _, g: (g * x,))
        return np.sum(f(x))

    for f in (by_vjp, by_jvp):
        with pytest.raises(tm.TapeError, match=r"closes over.*Pass it as an argument"):
            tm.grad(f)(X)
    # In the rule alone, such a value is one that the sweep of this level sees as it is.
    close(
        tm.grad(lambda x: np.sum(tm.custom_vjp(lambda z: (z * 2, None), lambda _, g: (g * 5,))(x)))(X), np.full(3, 5.0)
    )
    try:
        gradient = tm.grad(in_bwd)(X)
    except tm.TapeError:
        pass
    else:
        close(gradient, X)


def test_plain_values_may_be_closed_over():
    scale = np.array([1.0, 2.0, 3.0])
    f = tm.custom_vjp(lambda z: (z * scale, None), lambda _, g: (g * scale,))
    close(tm.grad(lambda x: np.sum(f(x)))(X), scale)
    close(tm.vmap(tm.grad(lambda x: np.sum(f(x))))(BATCH), np.stack([scale] * 4))


def test_rules_run_only_where_they_are_needed():
    calls = []

    def fwd(x):
        calls.append("fwd")
        return np.sin(x), np.cos(x)

    def bwd(cos, g):
        calls.append("bwd")
        return (g * cos,)

    f = tm.custom_vjp(fwd, bwd)
    f(X)
    assert "bwd" not in calls
    calls.clear()
    tm.grad(lambda x: np.sum(f(x)))(X)
    assert calls == ["fwd", "bwd"]
    calls.clear()
    tm.grad(lambda x, y: np.sum(f(x) * y), argnums=1)(X, Y)
    assert "bwd" not in calls
    close(tm.grad(lambda x: np.sum(tm.detach(f(x)) * x))(X), np.sin(X))


def test_both_doors():
    x, tape = tm.Tape().leaf(X)
    for f in (tripled_vjp, tripled_jvp):
        y, tape = f(x).run(tape)
        total, tape = tm.sum(y).run(tape)
        close(tape.value(y), np.sin(X))
        close(tape.backward_scalar(total)[x], 3 * np.cos(X))


def test_a_root_by_implicit_differentiation():
    """The purpose of it all: sqrt(a) by Newton's method, its derivative by the implicit function theorem."""

    def solve(a):
        x = 1.0
        for _ in range(30):
            x = 0.5 * (x + a / x)
        return x

    root = tm.custom_vjp(lambda a: (solve(a), solve(a)), lambda x, g: (g / (2 * x),))
    close(tm.grad(root)(3.0), 0.5 / np.sqrt(3.0))
    close(tm.grad(tm.grad(root))(3.0), tm.grad(tm.grad(solve))(3.0), 1e-9)
    close(tm.vmap(tm.grad(root))(np.array([1.0, 4.0, 9.0])), [1 / 2, 1 / 4, 1 / 6])


@both
def test_names_and_documentation_are_kept(f):
    assert f.__name__ == "sin" or f.__name__.startswith("tripled")


def changed(array, factor):
    array *= factor
    return array


IN_PLACE = {
    "the cotangent": tm.custom_vjp(lambda x: (x * 1.0, None), lambda _, g: (changed(g, 3.0),)),
    "a residual": tm.custom_vjp(lambda x: (x * x, x * 1.0), lambda x, g: (g * changed(x, 2.0),)),
    "an argument": tm.custom_vjp(lambda x: (changed(x, 2.0), None), lambda _, g: (g * 2.0,)),
    "a primal": tm.custom_jvp(lambda x: x * 2.0, lambda xs, ts: (changed(xs[0], 2.0), ts[0] * 2.0)),
    "a tangent": tm.custom_jvp(lambda x: x * 2.0, lambda xs, ts: (xs[0] * 2.0, changed(ts[0], 2.0))),
}


@pytest.mark.parametrize("what", IN_PLACE)
def test_what_a_rule_changes_in_place_is_refused_or_its_own(what):
    """The tape and the other rules hold the same arrays: the error would be in the gradient of something else."""
    x = np.array([0.3, -0.8, 1.1])

    def f(x):
        y = np.exp(x)
        return np.sum(IN_PLACE[what](y) + y * y)

    refused = []
    for transform in (
        lambda: tm.grad(f)(x),
        lambda: tm.jvp(f, (x,), (np.ones(3),)),
        lambda: tm.vmap(tm.grad(f))(x[None]),
    ):
        try:
            transform()
        except (ValueError, tm.TapeError) as error:
            refused.append(error)
    assert refused and all("read-only" in str(error) or "in place" in str(error) for error in refused)


def test_a_cotangent_that_is_handed_on_belongs_to_the_caller():
    custom = tm.custom_vjp(lambda x: (x * 1.0, None), lambda _, g: (g,))
    gradient = tm.grad(lambda x: np.sum(custom(x)))(np.ones(3))
    gradient += 1.0
    np.testing.assert_array_equal(gradient, 2.0)
    np.testing.assert_array_equal(tm.vjp(custom, np.ones(3))[1](np.ones(3))[0], 1.0)
