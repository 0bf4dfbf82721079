"""Transforms inside transforms, two and three deep: no perturbation confusion, closures at every level."""

import itertools

import numpy as np
import pytest

import tapem as tm

from .judges import close, complex_jacobian, difference_jacobian, loop

X = np.array([0.3, -0.8, 1.1])
V = np.array([1.0, -2.0, 0.5])
BATCH = np.array([[0.3, -0.8, 1.1], [0.9, 0.2, -0.4]])


def f(x):
    """From (3,) to (2,): every second and third derivative is there."""
    return np.stack([np.sin(x[0]) * x[1] ** 2 * np.exp(0.5 * x[2]), np.sum(x**3) * x[0] + np.tanh(x[1] * x[2])])


def scalar(x):
    return f(x)[0] - 0.5 * f(x)[1]


# Each transform makes a function (3,) -> (3,) ... of any function (3,) -> anything, in tapem and for the judge.
def by_grad(g):
    return tm.grad(lambda x: np.sum(np.sin(g(x))))


def judged_grad(g):
    return lambda x: difference_jacobian(lambda z: np.sum(np.sin(g(z))), x, 1e-4)


def by_jvp(g):
    return lambda x: tm.jvp(g, (x,), (V,))[1]


def by_linearize(g):
    return lambda x: tm.linearize(g, x)[1](V)


def judged_jvp(g):
    return lambda x: difference_jacobian(g, x, 1e-4) @ V


def by_vjp(g):
    def pulled(x):
        y, pullback = tm.vjp(g, x)
        return pullback(np.cos(y))[0]

    return pulled


def judged_vjp(g):
    return lambda x: np.tensordot(np.cos(g(x)), difference_jacobian(g, x, 1e-4), np.ndim(g(x)))


def by_vmap(g):
    # The rows depend on x through the mapped array and through the closure.
    return lambda x: np.sum(tm.vmap(lambda row: g(row * x) + np.sum(x))(BATCH * x[1]), axis=0)


def judged_vmap(g):
    return lambda x: sum(g(row * x[1] * x) + np.sum(x) for row in BATCH)


def judged_jacobian(g):
    return lambda x: difference_jacobian(g, x, 1e-4)


def by_checkpoint(g):
    return tm.checkpoint(g)


LAYERS = {
    "grad": (by_grad, judged_grad),
    "jvp": (by_jvp, judged_jvp),
    "linearize": (by_linearize, judged_jvp),
    "vjp": (by_vjp, judged_vjp),
    "vmap": (by_vmap, judged_vmap),
    "jacfwd": (tm.jacfwd, judged_jacobian),
    "jacrev": (tm.jacrev, judged_jacobian),
    "checkpoint": (by_checkpoint, lambda g: g),
}


@pytest.mark.parametrize("names", list(itertools.product(LAYERS, repeat=2)), ids="-of-".join)
def test_two_deep(names):
    ours, judged = f, f
    for name in reversed(names):
        ours, judged = LAYERS[name][0](ours), LAYERS[name][1](judged)
    close(ours(X), judged(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "names", list(itertools.product(["grad", "jvp", "vjp", "vmap", "jacfwd", "jacrev"], repeat=3)), ids="-of-".join
)
def test_three_deep(names):
    """The innermost derivative is judged by a complex step, so that two differences remain."""
    ours, judged = LAYERS[names[2]][0](f), INNERMOST[names[2]]
    for name in reversed(names[:2]):
        ours, judged = LAYERS[name][0](ours), LAYERS[name][1](judged)
    close(ours(X), judged(X), rtol=2e-4, atol=2e-4)


def exact_grad(x):
    return complex_jacobian(lambda z: np.sum(np.sin(f(z))), x)


INNERMOST = {
    "grad": exact_grad,
    "jvp": lambda x: complex_jacobian(f, x) @ V,
    "vjp": lambda x: np.cos(f(x)) @ complex_jacobian(f, x),
    "vmap": judged_vmap(f),
    "jacfwd": lambda x: complex_jacobian(f, x),
    "jacrev": lambda x: complex_jacobian(f, x),
}


# -- perturbation confusion -----------------------------------------------------------------------------------------


def derivative(mode):
    """d/dx of a scalar function, in one mode."""
    if mode == "reverse":
        return tm.grad
    if mode == "linearize":
        return lambda g: lambda x: tm.linearize(g, x)[1](1.0)
    if mode == "pullback":
        return lambda g: lambda x: tm.vjp(g, x)[1](1.0)[0]
    return lambda g: lambda x: tm.jvp(g, (x,), (1.0,))[1]


MODES = ["reverse", "forward", "linearize", "pullback"]


@pytest.mark.parametrize("outer", MODES)
@pytest.mark.parametrize("inner", MODES)
def test_an_inner_derivative_is_not_confused_with_an_outer_one(outer, inner):
    d, e = derivative(outer), derivative(inner)
    assert float(d(lambda x: x * e(lambda y: x + y)(1.0))(1.0)) == 1.0
    assert float(d(lambda x: x * e(lambda y: x * y)(2.0))(3.0)) == 6.0
    assert float(d(lambda x: x * e(lambda z: z * x)(x))(3.0)) == 6.0
    assert float(d(lambda x: e(lambda y: y * x**2)(x))(3.0)) == 6.0
    assert float(d(lambda x: e(lambda y: x)(x))(3.0)) == 0.0
    assert float(d(lambda x: e(lambda x: x**3)(x))(2.0)) == 12.0


@pytest.mark.parametrize("modes", list(itertools.product(MODES, repeat=3)), ids="-".join)
def test_three_levels_each_see_the_others_variables(modes):
    d, e, h = map(derivative, modes)

    def program(x):
        return e(lambda y: y * h(lambda z: np.sin(x * y * z))(x * y) * x)(x)

    # h gives cos(x y z) x y at z = x y, so the inner function is y^2 x^2 cos(x^2 y^2); its derivative in y at y = x:
    def closed(x):
        return 2 * x**3 * np.cos(x**4) - 2 * x**7 * np.sin(x**4)

    close(d(program)(0.7), complex_jacobian(closed, 0.7), 1e-10, 1e-10)


def test_the_same_array_passed_twice_has_two_gradients():
    a, b = tm.grad(lambda x, y: np.sum(x**2 * y), argnums=(0, 1))(X, X)
    close((a, b), (2 * X**2, X**2))
    a, b = tm.grad(lambda pair: np.sum(pair[0] ** 2 * pair[1]))((X, X))
    close((a, b), (2 * X**2, X**2))
    _y, dy = tm.jvp(lambda x, y: x**2 * y, (X, X), (V, 0 * V))
    close(dy, 2 * X * X * V)

    def inner(x):
        a, b = tm.grad(lambda u, v: np.sum(u**2 * v), argnums=(0, 1))(x, x)
        return np.sum(a * 3 + b)

    close(tm.grad(inner)(X), 2 * 3 * 2 * X + 2 * X)


def test_the_same_tracer_mapped_and_not_mapped():
    def program(x):
        return np.sum(tm.vmap(lambda row, whole: row * np.sum(whole**2), in_axes=(0, None))(x, x))

    close(tm.grad(program)(X), complex_jacobian(lambda x: np.sum(x) * np.sum(x**2), X))


def test_closures_at_every_level():
    a, b, c = 0.5, 1.5, -0.7

    def program(a, b, c):
        def outer(x):
            def middle(y):
                def inner(z):
                    return np.sin(a * x) * np.cos(b * y) * np.exp(c * z) * z

                return tm.grad(inner)(y) * x

            return tm.jvp(middle, (x,), (1.0,))[1] * a

        return np.sum(tm.vmap(outer)(X * b)) * c

    for argnum in range(3):
        found = tm.grad(program, argnums=argnum)(a, b, c)
        pushed = tm.jvp(program, (a, b, c), tuple(float(i == argnum) for i in range(3)))[1]

        def along(value, argnum=argnum):
            values = [a, b, c]
            values[argnum] = value
            return program(*values)

        close(found, difference_jacobian(along, [a, b, c][argnum]), 1e-6, 1e-7)
        close(pushed, found, 1e-11, 1e-11)


def test_a_transform_whose_input_does_not_depend_on_the_outer_one():
    assert float(tm.grad(lambda x: x * tm.grad(lambda y: y**3)(2.0))(5.0)) == 12.0
    assert float(tm.grad(lambda x: tm.grad(lambda y: y**3)(2.0))(5.0)) == 0.0
    close(tm.grad(lambda x: np.sum(tm.vmap(np.sin)(X)) * x)(5.0), np.sum(np.sin(X)))
    close(tm.vmap(lambda x: x * tm.grad(lambda y: y**3)(2.0))(X), X * 12)
    close(tm.vmap(lambda x: tm.grad(lambda y: y**3)(2.0))(X), np.full(3, 12.0))


def test_a_pullback_used_inside_an_enclosing_transform_many_times():
    def program(x):
        y, pullback = tm.vjp(lambda z: np.sin(z) * x[0], x)
        return sum(np.sum(pullback(y * k)[0]) for k in range(1, 4))

    def closed(x):
        return 6 * np.sum(np.sin(x) * x[0] * np.cos(x) * x[0])

    close(tm.grad(program)(X), complex_jacobian(closed, X))
    close(tm.jvp(program, (X,), (V,))[1], complex_jacobian(closed, X) @ V)


def test_a_pullback_made_outside_and_used_inside():
    _, pullback = tm.vjp(np.sin, X)
    close(tm.grad(lambda ct: np.sum(pullback(ct)[0] * ct))(V), 2 * V * np.cos(X))
    close(tm.vmap(lambda ct: pullback(ct)[0])(BATCH), BATCH * np.cos(X))
    close(tm.jacrev(lambda ct: pullback(ct)[0])(V), np.diag(np.cos(X)))
    _, derivative = tm.linearize(np.sin, X)
    close(tm.grad(lambda t: np.sum(derivative(t) * t))(V), 2 * V * np.cos(X))
    close(tm.vmap(derivative)(BATCH), BATCH * np.cos(X))
    close(tm.vmap(tm.jacfwd(derivative))(BATCH), np.broadcast_to(np.diag(np.cos(X)), (2, 3, 3)))


@pytest.mark.parametrize("order", range(1, 7))
@pytest.mark.parametrize("mode", MODES)
def test_high_orders(order, mode):
    g = np.sin
    for _ in range(order):
        g = derivative(mode)(g)
    close(float(g(0.4)), np.sin(0.4 + order * np.pi / 2), 1e-11, 1e-11)


@pytest.mark.parametrize("modes", list(itertools.product(MODES, repeat=4)), ids="-".join)
def test_fourth_derivatives_in_mixed_modes(modes):
    g = lambda x: np.exp(2 * x) * x  # noqa: E731
    for mode in modes:
        g = derivative(mode)(g)
    close(float(g(0.3)), 16 * np.exp(0.6) * 0.3 + 32 * np.exp(0.6), 1e-11, 1e-11)


def test_nested_maps_with_closures_of_every_level():
    rows, columns = np.linspace(0.1, 1.0, 4), np.linspace(-1.0, 1.0, 5)

    def table(scale):
        return tm.vmap(lambda a: tm.vmap(lambda b: np.sin(a * b) * scale + a)(columns))(rows)

    close(table(2.0), np.sin(np.outer(rows, columns)) * 2.0 + rows[:, None])
    close(tm.grad(lambda s: np.sum(table(s) ** 2))(2.0), np.sum(2 * table(2.0) * np.sin(np.outer(rows, columns))))
    # the derivative is taken between the two maps, of a value that both closures share
    found = tm.vmap(lambda a: tm.grad(lambda s: np.sum(tm.vmap(lambda b: np.sin(a * b * s))(columns)))(a))(rows)
    close(found, loop(lambda a: np.sum(np.cos(a * columns * a) * a * columns), rows))
    # three maps deep
    found = tm.vmap(lambda a: tm.vmap(lambda b: tm.vmap(lambda c: a * b**2 * c**3)(rows))(columns))(rows)
    close(found, np.einsum("i,j,k->ijk", rows, columns**2, rows**3))


def test_a_derivative_of_a_jacobian_of_a_map():
    weights = np.array([[0.2, 0.4, -0.3], [0.5, -0.1, 0.8]])

    def program(w):
        jacobians = tm.vmap(tm.jacrev(lambda x: np.tanh(w @ x)))(BATCH)
        return np.sum(jacobians**2)

    def judged(w):
        return sum(np.sum(((1 - np.tanh(w @ x) ** 2)[:, None] * w) ** 2) for x in BATCH)

    close(tm.grad(program)(weights), complex_jacobian(judged, weights))
    close(tm.jacfwd(program)(weights), complex_jacobian(judged, weights))


def test_hvp_is_both_ways_round_and_matches_the_hessian():
    hessian = difference_jacobian(lambda x: complex_jacobian(scalar, x), X)
    close(tm.hessian(scalar)(X), hessian, 1e-6, 1e-7)
    product = tm.hessian(scalar)(X) @ V
    close(tm.hvp(scalar, (X,), (V,)), product, 1e-11, 1e-11)
    close(tm.jvp(tm.grad(scalar), (X,), (V,))[1], product, 1e-11, 1e-11)
    close(tm.grad(lambda x: tm.jvp(scalar, (x,), (V,))[1])(X), product, 1e-11, 1e-11)
    close(tm.vjp(tm.grad(scalar), X)[1](V)[0], product, 1e-11, 1e-11)
    close(tm.vmap(lambda v: tm.hvp(scalar, (X,), (v,)))(np.eye(3)), tm.hessian(scalar)(X), 1e-11, 1e-11)


def test_do_programs_and_ops_nest_like_functions():
    @tm.do
    def cubed(x):
        y = yield tm.mul(x, x)
        return (yield tm.mul(y, x))

    assert float(tm.grad(cubed)(2.0)) == 12.0
    assert float(tm.grad(tm.grad(cubed))(2.0)) == 12.0
    assert float(tm.jvp(tm.grad(cubed), (2.0,), (1.0,))[1]) == 12.0
    close(tm.vmap(tm.grad(cubed))(X), 3 * X**2)
    close(tm.hessian(lambda x: np.sum(cubed(x)))(X), np.diag(6 * X))

    @tm.do
    def with_derivative(x):
        slope = yield tm.lift(tm.grad(np.sin))(x)
        return (yield tm.mul(slope, x))

    x, tape = tm.Tape().leaf(0.5)
    out, tape = with_derivative(x).run(tape)
    close(float(tape.value(out)), np.cos(0.5) * 0.5)
    close(float(tape.backward_scalar(out)[x]), np.cos(0.5) - 0.5 * np.sin(0.5))


def test_transforms_of_refs_are_steps():
    x, tape = tm.Tape().leaf(0.5)
    step = tm.grad(np.sin)(x)
    assert isinstance(step, tm.TapeM)
    slope, tape = step.run(tape)
    close(float(tape.value(slope)), np.cos(0.5))
    close(float(tape.backward_scalar(slope)[x]), -np.sin(0.5))
    rows, tape = tape.leaf(X)
    mapped, tape = tm.vmap(tm.grad(np.sin))(rows).run(tape)
    close(tape.value(mapped), np.cos(X))
    close(tape.backward(mapped, V)[rows], -np.sin(X) * V)
    pushed, tape = tm.jvp(np.sin, (rows,), (V,)).run(tape)
    close(tape.value(pushed[1]), np.cos(X) * V)
    matrix, tape = tm.jacrev(np.sin)(rows).run(tape)
    close(tape.value(matrix), np.diag(np.cos(X)))
    matrix, tape = tm.hessian(lambda x: np.sum(np.sin(x)))(rows).run(tape)
    close(tape.value(matrix), np.diag(-np.sin(X)))
