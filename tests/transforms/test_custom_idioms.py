"""Custom rules as JAX's tutorial on custom derivatives writes them, word for word but for the names of the modules."""

import functools

import numpy as np
import pytest

import tapem as tm

from .judges import close, complex_jacobian

X = np.array([0.3, -0.8, 1.1])
V = np.array([1.0, -2.0, 0.5])
BATCH = np.stack([X, V, X * V, X + V])


def everything(f, value, slope, curve=None, third=None):
    """A function of one number, elementwise on arrays, under all transforms; slopes of slopes where `curve` is given.

    The judge is what the rules say, which need not be the derivative of the function; `third` is that of the curve.
    """
    total = lambda x: np.sum(f(x))  # noqa: E731
    close(f(X), value(X))
    close(tm.grad(total)(X), slope(X))
    close(tm.jvp(f, (X,), (V,)), (value(X), slope(X) * V))
    close(tm.linearize(f, X)[1](V), slope(X) * V)
    close(tm.jacfwd(f)(X), np.diag(slope(X)))
    close(tm.jacrev(f)(X), np.diag(slope(X)))
    close(tm.vmap(f)(BATCH), value(BATCH))
    close(tm.vmap(tm.grad(total))(BATCH), slope(BATCH))
    close(tm.vmap(tm.vmap(tm.grad(f)))(BATCH), slope(BATCH))
    close(tm.grad(lambda b: np.sum(tm.vmap(f)(b)))(BATCH), slope(BATCH))
    close(tm.jvp(tm.vmap(f), (BATCH,), (BATCH,))[1], slope(BATCH) * BATCH)
    close(tm.vmap(lambda x: tm.jvp(f, (x,), (V,))[1])(BATCH), slope(BATCH) * V)
    close(tm.grad(lambda x: np.sum(tm.checkpoint(f)(x)))(X), slope(X))
    x, tape = tm.Tape().leaf(X)
    out, tape = tm.lift(total)(x).run(tape)
    close(tape.backward_scalar(out)[x], slope(X))
    if curve is None:
        return
    for outer in (tm.jacfwd, tm.jacrev):
        for inner in (tm.jacfwd, tm.jacrev):
            close(outer(inner(f))(0.7), curve(np.array(0.7)))
    close(tm.hvp(total, (X,), (V,)), curve(X) * V)
    close(tm.grad(lambda x: tm.jvp(total, (x,), (V,))[1])(X), curve(X) * V)
    close(tm.vmap(tm.vmap(tm.grad(tm.grad(f))))(BATCH), curve(BATCH))
    close(tm.grad(lambda b: np.sum(tm.vmap(tm.grad(total))(b)))(BATCH), curve(BATCH))
    expected = complex_jacobian(curve, np.array(0.7)) if third is None else third(0.7)
    close(tm.grad(tm.grad(tm.grad(f)))(0.7), expected)
    close(tm.jacfwd(tm.grad(tm.grad(f)))(0.7), expected)


def sin3(x):
    return 3 * np.cos(x)


def test_a_forward_pass_that_calls_the_function_itself():
    @tm.custom_vjp
    def f(x):
        return np.sin(x)

    def f_fwd(x):
        return f(x), np.cos(x)

    def f_bwd(cos, g):
        return (3 * cos * g,)

    f.defvjp(f_fwd, f_bwd)
    everything(f, np.sin, sin3, lambda x: -3 * np.sin(x))


def test_residuals_that_the_function_itself_gives():
    """The second derivative asks for that of the residual, which is the function: its rule holds there too."""

    @tm.custom_vjp
    def f(x):
        return np.exp(x)

    f.defvjp(lambda x: (f(x), f(x)), lambda y, g: (2 * y * g,))
    everything(f, np.exp, lambda x: 2 * np.exp(x), lambda x: 4 * np.exp(x), lambda x: 8 * np.exp(x))

    @tm.custom_jvp
    def h(x):
        return np.exp(x)

    @h.defjvp
    def h_jvp(primals, tangents):
        (x,), (t,) = primals, tangents
        y = h(x)
        return y, 2 * y * t

    everything(h, np.exp, lambda x: 2 * np.exp(x), lambda x: 4 * np.exp(x), lambda x: 8 * np.exp(x))
    assert h_jvp is h.rule


def test_a_linear_function_whose_rule_applies_it_to_the_tangent():
    weights = np.array([2.0, -1.0, 0.5])

    @tm.custom_jvp
    def f(x):
        return 3.0 * x

    f.defjvp(lambda xs, ts: (f(xs[0]), f(ts[0])))
    everything(f, lambda x: 3 * x, lambda x: 3 + 0 * x, lambda x: 0 * x)

    @tm.custom_jvp
    def reverse(x):
        return (x * weights)[::-1]

    reverse.defjvp(lambda xs, ts: (reverse(xs[0]), reverse(ts[0])))
    close(tm.jacrev(reverse)(X), np.diag(weights)[::-1])
    close(tm.jacfwd(reverse)(X), np.diag(weights)[::-1])
    close(tm.vmap(tm.jacrev(reverse))(BATCH), np.stack([np.diag(weights)[::-1]] * 4))
    close(tm.hessian(lambda x: np.sum(reverse(x) ** 2))(X), np.diag(2 * weights**2))
    close(tm.grad(lambda b: np.sum(tm.vmap(reverse)(b) * BATCH))(BATCH), BATCH[:, ::-1] * weights)

    @tm.custom_vjp
    def symmetric(x):
        return 3.0 * x

    symmetric.defvjp(lambda x: (symmetric(x), None), lambda _, g: (symmetric(g),))
    everything(symmetric, lambda x: 3 * x, lambda x: 3 + 0 * x, lambda x: 0 * x)


def test_a_rule_that_applies_other_linear_custom_functions_to_the_tangent():
    double = tm.custom_jvp(lambda x: 2.0 * x)
    double.defjvp(lambda xs, ts: (double(xs[0]), double(ts[0])))
    clipped = tm.custom_vjp(lambda x: x)
    clipped.defvjp(lambda x: (clipped(x), None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    f = tm.custom_jvp(lambda x: np.sin(x))
    # 2 * 2 * cos(x) * t, by calls of double on the tangent and, at the point, of f
    f.defjvp(lambda xs, ts: (f(xs[0]), double(double(ts[0]) * np.cos(xs[0]))))
    everything(f, np.sin, lambda x: 4 * np.cos(x), lambda x: -4 * np.sin(x))
    # a custom_vjp is a transpose by itself, and is not seen through
    g = tm.custom_jvp(lambda x: 5.0 * x, lambda xs, ts: (5.0 * xs[0], clipped(5.0 * ts[0])))
    close(tm.grad(g)(2.0), 5.0)
    close(tm.grad(lambda x: 100 * g(x))(2.0), 5.0)


def test_two_arguments_and_a_rule_for_each():
    def check(f):
        close(tm.jvp(f, (2.0, 3.0), (1.0, 0.0)), (np.sin(2.0) * 3.0, np.cos(2.0) * 3.0))
        close(tm.grad(f, argnums=(0, 1))(2.0, 3.0), (np.cos(2.0) * 3.0, np.sin(2.0)))
        close(tm.grad(f)(2.0, y=3.0), np.cos(2.0) * 3.0)
        close(tm.grad(lambda y: f(y=y, x=2.0))(3.0), np.sin(2.0))
        close(tm.vmap(tm.grad(f, argnums=1), in_axes=(0, None))(X, 3.0), np.sin(X))

    @tm.custom_jvp
    def f(x, y):
        return np.sin(x) * y

    @f.defjvp
    def f_jvp(primals, tangents):
        x, y = primals
        x_dot, y_dot = tangents
        primal_out = f(x, y)
        tangent_out = np.cos(x) * x_dot * y + np.sin(x) * y_dot
        return primal_out, tangent_out

    check(f)

    @tm.custom_jvp
    def g(x, y):
        return np.sin(x) * y

    g.defjvps(
        lambda x_dot, primal_out, x, y: np.cos(x) * x_dot * y, lambda y_dot, primal_out, x, y: primal_out / y * y_dot
    )
    check(g)
    g.defjvps(lambda x_dot, primal_out, x, y: np.cos(x) * x_dot * y, None)
    close(tm.grad(g, argnums=(0, 1))(2.0, 3.0), (np.cos(2.0) * 3.0, 0.0))
    g.defjvps(lambda x_dot, primal_out, x, y: x_dot)
    with pytest.raises(tm.ArgumentError, match=r"g: defjvps was given 1 rules.*2 arguments"):
        tm.grad(g)(2.0, 3.0)

    @tm.custom_vjp
    def h(x, y):
        return np.sin(x) * y

    def h_fwd(x, y):
        return h(x, y), (np.cos(x), np.sin(x), y)

    def h_bwd(res, g):
        cos_x, sin_x, y = res
        return (cos_x * g * y, sin_x * g)

    h.defvjp(h_fwd, h_bwd)
    check(h)


def test_names_and_defaults_are_resolved_to_positions():
    """As JAX does it: the rule is given every argument by position, whichever way the call was written."""
    seen = []

    @tm.custom_vjp
    def power(x, n=2, scale=1.0):
        return scale * x**n

    def fwd(x, n, scale):
        seen.append((n, scale))
        return power(x, n, scale), (x, n, scale)

    power.defvjp(fwd, lambda r, g: (g * r[2] * r[1] * r[0] ** (r[1] - 1), None, g * r[0] ** r[1]))
    for call, n, scale in (
        (lambda x: power(x), 2, 1.0),
        (lambda x: power(x, 3), 3, 1.0),
        (lambda x: power(x, scale=5.0), 2, 5.0),
        (lambda x: power(n=4, x=x, scale=2.0), 4, 2.0),
    ):
        seen.clear()
        close(tm.grad(call)(1.5), scale * n * 1.5 ** (n - 1))
        assert seen == [(n, scale)]
        close(tm.vmap(tm.grad(call))(X), scale * n * X ** (n - 1))
        close(call(X), scale * X**n)
    close(tm.grad(lambda s: power(2.0, scale=s))(3.0), 4.0)
    for wrong in (lambda x: power(x, m=2), lambda x: power(x, x=x), lambda x: power(n=2)):
        with pytest.raises(TypeError, match=r"^power\(x, n=2, scale=1.0\): "):
            tm.grad(wrong)(1.0)

    @tm.custom_jvp
    def named(x, *, n):
        return x**n

    named.defjvp(lambda xs, ts: (xs[0], ts[0]))
    with pytest.raises(TypeError, match=r"named\(x, \*, n\): n can be given by name only"):
        tm.grad(lambda x: named(x, n=2))(1.0)
    # what NumPy's functions take beside an array is no business of a rule's
    total = tm.custom_jvp(np.sum, lambda xs, ts: (np.sum(*xs), 3 * np.sum(*ts)))
    close(tm.grad(total)(X), np.full(3, 3.0))
    with pytest.raises(TypeError, match="sum is not written in Python; pass its arguments by position"):
        total(X, axis=0)


def test_partial_functions():
    def scaled(a, x):
        return a * np.sin(x)

    partial = functools.partial(scaled, 2.0)
    f = tm.custom_jvp(partial, lambda xs, ts: (partial(xs[0]), 6 * np.cos(xs[0]) * ts[0]))
    assert f.__name__ == "scaled"
    everything(f, lambda x: 2 * np.sin(x), lambda x: 6 * np.cos(x), lambda x: -6 * np.sin(x))
    g = tm.custom_vjp(
        functools.partial(lambda a, x: (a * np.sin(x), x), 2.0),
        functools.partial(lambda a, x, g: (a * np.cos(x) * g,), 6.0),
    )
    everything(g, lambda x: 2 * np.sin(x), lambda x: 6 * np.cos(x), lambda x: -6 * np.sin(x))
    with pytest.raises(tm.NoRuleError, match="custom_vjp scaled: its rule is missing"):
        tm.grad(tm.custom_vjp(partial))(1.0)
    # partial functions as such, through every transform
    everything(partial, lambda x: 2 * np.sin(x), lambda x: 2 * np.cos(x), lambda x: -2 * np.sin(x))
    close(
        tm.vmap(tm.grad(lambda x: tm.cond(x > 0, partial, functools.partial(scaled, 0.0), x)))(X),
        np.where(X > 0, 2 * np.cos(X), 0),
    )


def test_gradient_clipping():
    """A tutorial's example: arguments without a gradient get None."""

    @tm.custom_vjp
    def clip_gradient(lo, hi, x):
        return x

    def clip_gradient_fwd(lo, hi, x):
        return x, (lo, hi)

    def clip_gradient_bwd(res, g):
        lo, hi = res
        return (None, None, np.clip(g, lo, hi))

    clip_gradient.defvjp(clip_gradient_fwd, clip_gradient_bwd)

    def f(x):
        return np.sin(clip_gradient(-0.75, 0.75, x))

    x = np.linspace(0.0, 3.0, 7)
    close(tm.vmap(tm.grad(f))(x), np.clip(np.cos(x), -0.75, 0.75))
    close([tm.grad(f)(one) for one in x], list(np.clip(np.cos(x), -0.75, 0.75)))


def test_the_implicit_function_theorem():
    """A tutorial's example: a fixed point, whose pullback takes pullbacks of another function."""

    def fixed_point_of(f, a, start):
        def go_on(state):
            before, now = state
            return np.abs(before - now) > 1e-13

        def body(state):
            _, now = state
            return now, f(a, now)

        return tm.while_loop(go_on, body, (start, f(a, start)))[1]

    @functools.partial(tm.custom_vjp, nondiff_argnums=(0,))
    def fixed_point(f, a, x_guess):
        return fixed_point_of(f, a, x_guess)

    def fixed_point_fwd(f, a, x_init):
        x_star = fixed_point(f, a, x_init)
        return x_star, (a, x_star)

    def fixed_point_rev(f, res, x_star_bar):
        a, x_star = res
        _, vjp_a = tm.vjp(lambda a: f(a, x_star), a)

        def back(packed, u):
            a, x_star, x_star_bar = packed
            return x_star_bar + tm.vjp(lambda x: f(a, x), x_star)[1](u)[0]

        (a_bar,) = vjp_a(fixed_point(back, (a, x_star, x_star_bar), x_star_bar))
        return a_bar, np.zeros_like(x_star)

    fixed_point.defvjp(fixed_point_fwd, fixed_point_rev)

    def newton_sqrt(a):
        return fixed_point(lambda a, x: 0.5 * (x + a / x), a, a)

    close(newton_sqrt(2.0), np.sqrt(2.0))
    close(tm.grad(newton_sqrt)(2.0), 0.5 / np.sqrt(2.0))
    close(tm.grad(tm.grad(newton_sqrt))(2.0), -0.25 * 2.0**-1.5)
    grid = np.array([0.5, 2.0, 9.0])
    close(tm.vmap(tm.grad(newton_sqrt))(grid), 0.5 / np.sqrt(grid))


def test_functions_and_other_things_that_are_no_tensors():
    """`nondiff_argnums`: what is passed first to the rules, and can be anything."""

    @functools.partial(tm.custom_jvp, nondiff_argnums=(0,))
    def app(f, x):
        return f(x)

    app.defjvp(lambda f, primals, tangents: (f(primals[0]), 2.0 * tangents[0]))
    everything(lambda x: app(lambda z: z**3, x), lambda x: x**3, lambda x: 2 + 0 * x, lambda x: 0 * x)

    @functools.partial(tm.custom_vjp, nondiff_argnums=(0, 2))
    def app2(f, x, mode):
        return f(x)

    app2.defvjp(lambda f, x, mode: (f(x), x), lambda f, mode, x, g: ({"five": 5.0, "x": x}[mode] * g,))
    everything(lambda x: app2(np.sin, x, "five"), np.sin, lambda x: 5 + 0 * x, lambda x: 0 * x)
    everything(lambda x: app2(np.sin, x, "x"), np.sin, lambda x: x, lambda x: 1 + 0 * x)

    plain = tm.custom_vjp(lambda x, mode: np.sin(x))
    plain.defvjp(lambda x, mode: (plain(x, mode), x), lambda x, g: (7 * g, None))
    with pytest.raises(tm.DTypeError, match=r"(?s)argument 'mode' is 'x', which is not a tensor") as caught:
        tm.grad(lambda x: np.sum(plain(x, "x")))(X)
    assert "nondiff_argnums=" in "".join(caught.value.__notes__)
    with pytest.raises(tm.TapeError, match=r"app2: nondiff_argnums names mode, which holds a value that is being"):
        tm.grad(lambda x: app2(np.sin, 1.0, x))(2.0)
    with pytest.raises(tm.ArgumentError, match="nondiff_argnums"):
        app.defjvps(None)


def test_trees_of_points():
    @tm.custom_vjp
    def f(pt):
        return {"a": pt["x"] ** 2, "b": (np.sin(pt["x"]), np.cos(pt["y"]))}

    f.defvjp(
        lambda pt: (f(pt), pt),
        lambda pt, g: ({"x": 2 * pt["x"] * g["a"] + np.cos(pt["x"]) * g["b"][0], "y": -np.sin(pt["y"]) * g["b"][1]},),
    )

    def fun(pt):
        dct = f(pt)
        return dct["a"] + dct["b"][0]

    pt = {"x": 1.0, "y": 2.0}
    found = tm.grad(fun)(pt)
    close((found["x"], found["y"]), (2.0 + np.cos(1.0), 0.0))


def test_cotangents_in_lists_and_nothing_at_any_place():
    listed = tm.custom_vjp(lambda x, y: (x * y, (x, y)), lambda r, g: [g * r[1], g * r[0]])
    close(tm.grad(lambda x, y: np.sum(listed(x, y)), argnums=(0, 1))(X, V), (V, X))

    given = {"w": {"a": X, "b": V}, "c": [X, V], "n": None}
    several = {"w": {"a": BATCH, "b": BATCH}, "c": [BATCH, BATCH], "n": None}
    for inner in (
        lambda g: {"w": {"a": g, "b": None}, "c": [g, None], "n": None},
        lambda g: {"w": {"a": g, "b": tm.Zero()}, "c": [g, tm.DoesNotExist()], "n": None},
        lambda g: {"w": {"a": g, "b": 0 * g}, "c": [g, None], "n": tm.Zero()},
    ):
        f = tm.custom_vjp(lambda t: (t["w"]["a"] * t["w"]["b"], None), lambda _, g, inner=inner: (inner(g),))
        gradient = tm.grad(lambda t, f=f: np.sum(f(t)))
        for found, one in ((gradient(given), np.ones(3)), (tm.vmap(gradient)(several), np.ones((4, 3)))):
            assert found["n"] is None
            close((found["w"]["a"], found["w"]["b"], *found["c"]), (one, 0 * one, one, 0 * one))
    # None for a whole subtree, of an argument and of a tangent
    whole = tm.custom_vjp(lambda t: (t["a"] * t["b"]["c"], t["b"]["c"]), lambda c, g: ({"a": g * c, "b": None},))
    found = tm.grad(lambda t: np.sum(whole(t)))({"a": X, "b": {"c": V, "d": X}})
    close((found["a"], found["b"]["c"], found["b"]["d"]), (V, 0 * X, 0 * X))
    pushed = tm.custom_jvp(
        lambda x: {"a": x * 2, "b": (x, x)},
        lambda xs, ts: ({"a": xs[0] * 2, "b": (xs[0],) * 2}, {"a": 2 * ts[0], "b": None}),
    )
    close(tm.jacfwd(lambda x: pushed(x)["a"])(X), 2 * np.eye(3))
    close(tm.jacrev(lambda x: pushed(x)["b"][0])(X), np.zeros((3, 3)))


def test_linearize_with_something_beside():
    y, derivative, aux = tm.linearize(lambda x: (np.sin(x), {"square": x**2, "name": "x"}), X, has_aux=True)
    close((y, derivative(V), aux["square"]), (np.sin(X), np.cos(X) * V, X**2))
    assert aux["name"] == "x" and type(aux["square"]) is np.ndarray
    with pytest.raises(tm.NotScalarError, match="pair"):
        tm.linearize(np.sin, X, has_aux=True)

    def outer(x):
        _, derivative, aux = tm.linearize(lambda z: (np.sin(z), z * x), x, has_aux=True)
        return np.sum(derivative(x) * aux)

    close(tm.grad(outer)(X), complex_jacobian(lambda x: np.sum(np.cos(x) * x * x * x), X))
