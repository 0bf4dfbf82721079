"""Loops and branches on a recorder that will never know values: one node each, and so are their derivatives.

The judge is eager mode, where the same functions are unrolled, and finite differences judge eager mode (test_control).
"""

import functools
import time
import tracemalloc

import numpy as np
import pytest

import losses
import tapem as tm
from layers import rms_norm
from tapem.core import ShapeDtype, UnknownNumber
from tapem.transforms.branching import Branching
from tapem.transforms.calls import call
from tapem.transforms.closure_conversion import traced
from tapem.transforms.loops import Scan, weak_kind
from tapem.transforms.lowering import lowered

X = np.array([0.3, -0.8, 1.1])
V = np.array([1.0, -2.0, 0.5])
W = np.array([[0.2, 0.5, -1.0], [0.7, -0.4, 0.1], [0.3, 0.3, -0.6]])
E = np.array([[0.1, 0.5, -0.3], [1.2, -0.4, 0.2], [0.7, 0.3, -0.9], [-0.2, 0.8, 0.4]])
BATCH = np.stack([X, V, X * V, X + V])


def whole(f, *values):
    """The results of a flat function, traced on a recorder that never knows values, and the lowered program."""
    program = traced(lambda *inputs: tm.tree_leaves(f(*inputs)), [*map(weak_kind, values)], "f")
    low = lowered(program)
    results = low(*values)
    for one, other in zip(program(*values), results, strict=True):
        np.testing.assert_allclose(one, other, 1e-12, 1e-12)
    for kind, value in zip((low.nodes[id].output for id in low.outputs), results, strict=True):
        assert ShapeDtype.of(kind) == ShapeDtype.of(value)
    return results, low


def calls(program):
    """The programs that a program calls, and those that they call in turn."""
    for node in program.nodes:
        if node.op is call:
            own = node.static["program"]
            yield own
            for part in ("body", "test", "yes", "no"):
                if hasattr(own, part):
                    yield from calls(getattr(own, part))


def same(f, *values, rtol=1e-10, atol=1e-10):
    found, low = whole(f, *values)
    wanted = tm.tree_leaves(f(*values))
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert type(one) is type(other) or np.ndim(one) == 0
        assert weak_kind(one) == weak_kind(other), (one, other)
        np.testing.assert_allclose(one, other, rtol, atol)
    return low


# -- functions (3,) -> () ----------------------------------------------------------------------------------------------


def recurrent(x):
    carry, ys = tm.scan(lambda c, e: (np.tanh(W @ c + e * x), np.sum(c) * e * x), x * 0.5, E)
    return np.sum(carry**2) + np.sum(ys**2)


def trees(x):
    def step(state, row):
        a, b = state["a"], state["b"][0]
        return {"a": a * np.cos(b[0]) + row[0], "b": (b + a * x[0], state["b"][1])}, (a * row[1], None)

    last, (ys, _) = tm.scan(step, {"a": x[0], "b": (x, x[2])}, (x, np.array([3.0, 2.0, 1.0])))
    return np.sum(last["b"][0] * last["b"][1]) + last["a"] * np.sum(ys**2)


def weights_by_index(x):
    weights = np.stack([x, x**2])
    return np.sum(tm.fori_loop(0, 5, lambda i, s: s * weights[i % 2] + i * np.sin(s), x))


def while_with_counter(x):
    return np.sum(tm.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, np.sin(s[1]) * x), (0, x))[1] ** 2)


def linear_while(x):
    return np.sum(tm.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] * 1.5), (0, x))[1] ** 3)


def while_that_reads_the_state(x):
    last = tm.while_loop(
        lambda s: np.sum(s[0] ** 2) > 0.1, lambda s: (s[0] * 0.8 * np.cos(s[1]), s[1] * x), (x, x * 0.3)
    )
    return np.sum(last[0] * last[1])


def while_that_does_not_run(x):
    return np.sum(tm.while_loop(lambda s: np.sum(s) > 1e6, lambda s: s * x, x) ** 2)


def branches(x):
    return np.sum(tm.cond(x[0] > 0, lambda a: a * a * x, lambda a: np.sin(a) * x[1], x * 3) ** 2)


def branches_of_other_types(x):
    y, n = tm.cond(x[1] > 0, lambda: (x, 1), lambda: (x[0] * x[2], 2.5))
    return np.mean(y) * n * x[0]


def scan_in_scan(x):
    def outer(c, e):
        inner, ys = tm.scan(lambda d, g: (np.sin(d * g) + c, d * x), c * e, E[:2])
        return inner, np.sum(ys)

    carry, ys = tm.scan(outer, x, E)
    return np.sum(np.tanh(carry)) + np.sum(ys)


def all_nested(x):
    def outer(c, e):
        def following(s):
            return s[0] + 1, tm.cond(s[0] > 1, lambda a: np.tanh(a * x), lambda a: np.cos(a) * c, s[1])

        _, w = tm.while_loop(lambda s: s[0] < 3, following, (0, c * e))
        return w, np.sum(w * c)

    carry, ys = tm.scan(outer, x, E)
    return np.sum(carry**2) + np.sum(ys)


def cond_in_while_on_the_state(x):
    def following(s):
        n, y = s
        return n + 1, tm.cond(y[0] > 0.2, lambda: y * 0.5 + x * 0.1, lambda: np.sin(y) + x * x)

    return np.sum(tm.while_loop(lambda s: s[0] < 6, following, (0, x))[1] ** 2)


def while_of_other_lengths_in_scan(x):
    def step(c, e):
        last = tm.while_loop(lambda s: np.sum(s * s) > 0.5, lambda s: s * 0.7 * np.cos(s * x), c + e)
        return last, c * x

    carry, ys = tm.scan(step, x, E)
    return np.sum(carry**2) + np.sum(ys)


def while_in_while(x):
    def following(s):
        n, y = s
        return n + 1, tm.while_loop(lambda z: np.sum(z * z) > 0.5 / n, lambda z: z * 0.7 * np.cos(z * x), y + x)

    return np.sum(tm.while_loop(lambda s: s[0] < 5, following, (1, x))[1] ** 2)


def gradient_in_the_body(x):
    loss = lambda w, e: np.sum(np.tanh(w * e) ** 2)  # noqa: E731
    carry, ys = tm.scan(lambda w, e: (w - 0.1 * tm.grad(loss)(w, e * x), loss(w, x)), x, E)
    return np.sum(carry**2) + np.sum(ys)


def reverse_over_reverse_in_the_body(x):
    inner = lambda w: np.sum(tm.fori_loop(0, 3, lambda i, s: np.sin(s * w), w))  # noqa: E731
    curved = lambda w: np.sum(tm.hvp(inner, (w,), (x,)))  # noqa: E731
    return np.sum(tm.fori_loop(0, 3, lambda i, w: w - 0.1 * curved(w) * x, x))


def state_that_stays(x):
    def following(s):
        n, w, y = s
        return n - 1, w, np.tanh(W @ y) * w

    _, w, y = tm.while_loop(lambda s: s[0] + s[1][2] > 2.0, following, (7, x * 0.5, x))
    (_, v), ys = tm.scan(lambda c, e: ((c[0], c[1] * e * c[0]), c[0]), (w, y), E)
    return np.sum(v * w) + np.sum(ys)


def unused_outputs(x):
    carry, _ = tm.scan(lambda c, e: ((c[0] * e, c[1] + np.exp(c[0])), (np.cos(c[1]), c[0])), (x, x), E)
    return np.sum(carry[0])


def only_ys(x):
    _, ys = tm.scan(lambda c, e: (None, np.sin(e * x)), None, E)
    return np.sum(ys**2)


def without_xs(x):
    carry, ys = tm.scan(lambda c, _: (np.sin(c) * x, np.sum(c)), x, length=6)
    return np.sum(carry) * np.sum(ys)


def without_steps(x):
    carry, ys = tm.scan(lambda c, e: (c * e * x, c), x, np.zeros((0, 3)))
    return np.sum(carry**2) + np.sum(ys)


def integers_and_flags(x):
    def step(state, e):
        count, done, y = state
        y = np.where(done, y, y * e + x)
        return (count + 1, np.sum(y) > 3.0, y), count

    (count, _, y), counts = tm.scan(step, (0, False, x), E)
    return np.sum(y) * count + np.sum(counts)


def checkpointed(x):
    block = tm.checkpoint(lambda c, e: np.tanh(W @ c) * e + x)
    return np.sum(tm.scan(lambda c, e: (block(c, e), None), x, E)[0] ** 2)


def checkpoint_around(x):
    return np.sum(tm.checkpoint(lambda y: tm.scan(lambda c, e: (np.sin(c * e) + x, None), y, E)[0])(x) ** 2)


@tm.custom_vjp
def clipped(x):
    return np.sin(x)


clipped.defvjp(lambda x: (np.sin(x), x), lambda x, g: (g * np.cos(x) * 0.5,))


@tm.custom_jvp
def doubled(x):
    return x * x


doubled.defjvp(lambda primals, tangents: (primals[0] ** 2, 3 * primals[0] * tangents[0]))


def custom_rules(x):
    carry, ys = tm.scan(lambda c, e: (clipped(c * e), doubled(c) * x), x, E)
    return np.sum(carry * x) + np.sum(ys**2)


def residuals(x):
    def step(c, e):
        attended = tm.softmax(np.outer(c, e), axis=1) @ x
        return rms_norm(attended, x) * tm.gelu(c), losses.cross_entropy(np.outer(c, e), np.array([0, 2, 1]))

    carry, ys = tm.scan(step, x, E)
    return np.sum(carry * V) + np.sum(ys)


FUNCTIONS = [
    recurrent, trees, weights_by_index, while_with_counter, linear_while, while_that_reads_the_state,
    while_that_does_not_run, branches, branches_of_other_types, scan_in_scan, all_nested, cond_in_while_on_the_state,
    while_of_other_lengths_in_scan, while_in_while, gradient_in_the_body, reverse_over_reverse_in_the_body,
    state_that_stays, unused_outputs, only_ys, without_xs, without_steps, integers_and_flags, checkpointed,
    checkpoint_around, custom_rules, residuals,
]  # fmt: skip


def third(f):
    return lambda x: tm.grad(lambda x: np.sum(tm.hvp(f, (x,), (V,)) * V))(x)


FIRST = {
    "value": lambda f: f,
    "gradient": tm.grad,
    "value and gradient": tm.value_and_grad,
    "tangent": lambda f: lambda x: tm.jvp(f, (x,), (V,)),
}
SECOND = {
    "forward over reverse": lambda f: lambda x: tm.hvp(f, (x,), (V,)),
    "reverse over reverse": lambda f: tm.grad(lambda x: np.sum(tm.grad(f)(x) * V)),
    "reverse over forward": lambda f: tm.grad(lambda x: tm.jvp(f, (x,), (V,))[1]),
}


@pytest.mark.parametrize("transform", FIRST)
@pytest.mark.parametrize("f", FUNCTIONS)
def test_values_and_first_derivatives(f, transform):
    low = same(FIRST[transform](f), X)
    assert all(isinstance(program, Scan | Branching) for program in calls(low))


@pytest.mark.parametrize("transform", SECOND)
@pytest.mark.parametrize("f", FUNCTIONS)
def test_second_derivatives(f, transform):
    low = same(SECOND[transform](f), X, rtol=1e-8, atol=1e-8)
    assert all(isinstance(program, Scan | Branching) for program in calls(low))


@pytest.mark.parametrize("f", [recurrent, linear_while, while_that_reads_the_state, branches, all_nested])
def test_third_derivatives(f):
    same(third(f), X, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("transform", ["value", "gradient"])
@pytest.mark.parametrize("f", FUNCTIONS)
def test_batches(f, transform):
    """Of each example alone; where all take the same way, the loop stays one."""
    same(tm.vmap(FIRST[transform](f)), BATCH)


@pytest.mark.parametrize("f", [recurrent, weights_by_index, while_with_counter, linear_while, scan_in_scan, all_nested])
def test_batches_of_loops_that_all_examples_share(f):
    g = tm.vmap(tm.vmap(tm.grad(f)))
    low = same(g, np.stack([BATCH, BATCH * 0.5]), rtol=1e-8)
    assert all(isinstance(p, Scan) or p.sizes == () for p in calls(low))
    same(tm.grad(lambda b: np.sum(tm.vmap(f)(b))), BATCH, rtol=1e-8)
    same(tm.vmap(SECOND["reverse over reverse"](f)), BATCH, rtol=1e-7)


@pytest.mark.parametrize("f", [branches, while_that_reads_the_state, cond_in_while_on_the_state])
def test_batches_of_examples_that_part(f):
    same(tm.grad(lambda b: np.sum(tm.vmap(f)(b))), BATCH)
    same(tm.vmap(SECOND["reverse over reverse"](f)), BATCH, rtol=1e-8)
    same(lambda b: tm.scan(lambda c, e: (c + tm.vmap(tm.grad(f))(b * e), None), b, np.array([0.5, 0.3]))[0], BATCH)


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_python_numbers_stay_weak():
    x = X.astype(np.float32)
    same(lambda x: tm.scan(lambda c, e: (c + e, None), 0.0, x), x)
    _, low = whole(lambda x: tm.scan(lambda c, e: (c + e, c * 2), 0.0, x), x)
    assert [low.nodes[id].dtype for id in low.outputs] == [np.float32, np.float32]
    same(lambda x: tm.fori_loop(0, 3, lambda i, s: s * 0.5 + i * x, x), x)
    same(lambda x: tm.scan(lambda c, e: ((c[0] * 0.9, c[1] + e / (1 - c[0] * 0.5)), None), (1.0, x), x), x)
    same(lambda x: tm.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * s[0]), (1, x)), x)
    same(lambda x: tm.scan(lambda c, e: (c + 1, x * c), 0, length=3), x)
    same(lambda x, rate: tm.scan(lambda c, e: (c - rate * e, rate), x, E.astype(np.float32)), x, 0.1)
    same(lambda x, rate: tm.grad(lambda x: np.sum(tm.fori_loop(0, 3, lambda i, s: s - rate * i * s, x)))(x), x, 0.1)
    same(lambda x: tm.scan(lambda c, e: (c * e, None), 2, x)[0], x)
    same(lambda x: tm.cond(x[0] > 0, lambda: (1.0, x), lambda: (2.0, x * 2.0)), x)


def test_a_number_that_the_body_returns_takes_the_dtype_of_the_state():
    def step(state, e):
        return (0.0, state[1] + state[0]), None

    found, _ = whole(lambda x: tm.scan(step, (x[0], x[1]), x)[0], X.astype(np.float32))
    assert [value.dtype for value in found] == [np.float32, np.float32]
    np.testing.assert_allclose(found, [0.0, X[0] + X[1]], 1e-6)


def test_bounds_that_are_arguments():
    f = lambda x, n: tm.fori_loop(1, n, lambda i, s: np.sin(s) * x + i, x)  # noqa: E731
    same(f, X, 4)
    same(lambda x, n: tm.grad(lambda x: np.sum(f(x, n)))(x), X, 4)
    program = traced(lambda x, n: [tm.grad(lambda x: np.sum(f(x, n)))(x)], [weak_kind(X), UnknownNumber.like(1)], "f")
    low = lowered(program)
    for n in (0, 1, 2, 50):
        np.testing.assert_allclose(low(X, n)[0], tm.grad(lambda x, n=n: np.sum(f(x, n)))(X), 1e-10)


# -- cost --------------------------------------------------------------------------------------------------------------


def best_of(work, runs=3):
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("loop", ["scan", "fori_loop"])
def test_ten_thousand_steps_trace_as_one(loop):
    def f(length, x):
        if loop == "scan":
            return np.sum(tm.scan(lambda c, _: (np.tanh(W @ c) + x, np.sum(c)), x, length=length)[1])
        return np.sum(tm.fori_loop(0, length, lambda i, c: np.tanh(W @ c) + x * i, x))

    def trace(length):
        gradient = tm.grad(functools.partial(f, length))
        return lowered(traced(lambda x: [gradient(x)], [weak_kind(X)], "f"))

    assert best_of(lambda: trace(10_000), 7) < 3 * best_of(lambda: trace(1), 7)
    assert len(trace(10_000).nodes) == len(trace(1).nodes)
    np.testing.assert_allclose(trace(1000)(X)[0], tm.grad(functools.partial(f, 1000))(X), 1e-9)


def test_what_does_not_change_is_not_stacked():
    """The pullback stacks what differs from step to step; weights and what is computed from them are given once."""
    weights = np.ones((200, 200)) * 1e-3

    def f(w):
        carry, _ = tm.scan(lambda c, e: (np.tanh((w * 2.0) @ c) + e, None), np.ones(200), np.ones((50, 200)))
        return np.sum(carry)

    low = lowered(traced(lambda w: [tm.grad(f)(w)], [weak_kind(weights)], "f"))
    stacks = [kind for p in calls(low) for kind in p.shapes(*p.kinds)[p.count :]]
    assert {kind.shape for kind in stacks} == {(50, 200)} and len(stacks) <= 3
    tracemalloc.start()
    found = low(weights)[0]
    assert tracemalloc.get_traced_memory()[1] < 12 * weights.nbytes
    tracemalloc.stop()
    np.testing.assert_allclose(found, tm.grad(f)(weights), 1e-10)


def test_state_that_stays_is_not_stacked():
    weights = np.ones((20, 20)) * 0.01

    def f(w):
        step = lambda s: (s[0] + 1, s[1], np.tanh(s[1] @ s[2]))  # noqa: E731
        return np.sum(tm.while_loop(lambda s: s[0] < 9, step, (0, w, np.ones(20)))[2])

    low = lowered(traced(lambda w: [tm.grad(f)(w)], [weak_kind(weights)], "f"))
    assert all(kind.shape != (-1, 20, 20) for p in calls(low) for kind in p.shapes(*p.kinds))
    np.testing.assert_allclose(low(weights)[0], tm.grad(f)(weights), 1e-10)


# -- refusals ----------------------------------------------------------------------------------------------------------


REFUSED = [
    (lambda x: tm.scan(lambda c, e: (c, c, e), x, x), tm.ArgumentError, r"must return a pair"),
    (lambda x: tm.scan(lambda c, e: ((c, c), e), x, x), tm.TreeError, r"scan: .*structures differ"),
    (lambda x: tm.scan(lambda c, e: (c + x, e), 0.0, x), tm.ShapeError, r"scan: the body must keep shapes.*\(3,\)"),
    (lambda x: tm.scan(lambda c, e: (c[:1], e), x, x), tm.ShapeError, r"f64\[3\] into f64\[1\]"),
    (
        lambda x: tm.scan(lambda c, e: (c * e, e), x.astype(np.float32), x),
        tm.DTypeError,
        r"f32\[3\] into f64\[3\]. Begin with a value of dtype float64, or return x.astype\(np.float32\)",
    ),
    (lambda x: tm.scan(lambda c, e: (c, e) if c[0] > 0 else (e, c), x, E), tm.ConcretizationError, "tm.cond"),
    (lambda x: tm.fori_loop(0, 3, lambda i, s: None, x), tm.TreeError, r"fori_loop: .*structures differ"),
    (lambda x: tm.fori_loop(0, 3, lambda i, s: s[:2], x), tm.ShapeError, r"fori_loop: the body must keep shapes"),
    (lambda x: tm.fori_loop(0, 3, lambda i, s: s * E[i], x), tm.ConcretizationError, r"tm.take\(array, i, axis=0\)"),
    (lambda x: tm.while_loop(lambda s: True, lambda s: (s, s), x), tm.TreeError, "while_loop"),
    (lambda x: tm.while_loop(lambda s: s > 0, lambda s: s, x), tm.TapeError, "condition must return one"),
    (lambda x: tm.while_loop(lambda s: s[0] > 0, lambda s: s[1:], x), tm.ShapeError, "while_loop: the body must keep"),
    (lambda x: tm.cond(x[0] > 0, lambda: (x, x), lambda: x), tm.TreeError, "cond: .*structures differ"),
]


@pytest.mark.parametrize(("f", "error", "match"), REFUSED)
def test_refusals(f, error, match):
    with pytest.raises(error, match=match):
        whole(f, X)


def test_a_lowered_derivative_of_a_while_loop_has_no_batch():
    low = lowered(traced(lambda x: [tm.grad(while_that_reads_the_state)(x)], [weak_kind(X)], "f"))
    with pytest.raises(tm.TapeError, match="map the function first"):
        tm.vmap(low)(BATCH)


def test_indexing_an_array_by_the_index():
    same(lambda x: tm.fori_loop(0, 3, lambda i, s: s * tm.take(E, i, axis=0), x), X)
    same(lambda x: tm.fori_loop(0, 3, lambda i, s: s + x[i] * x[i - 1], x), X)
