"""Loops and branches on a recorder that will never know values: one node each, and so are their derivatives.

The judge is eager mode, where the same functions are unrolled, and finite differences judge eager mode (test_control).
"""

import functools
import time
import tracemalloc

import numpy as np
import pytest

import tapem as tm
from tapem.core import ShapeDtype, UnknownNumber
from tapem.transforms.branching import Branching
from tapem.transforms.calls import call
from tapem.transforms.closure_conversion import traced
from tapem.transforms.loops import Scan, weak_kind
from tapem.transforms.lowering import lowered
from tests.transforms.loop_functions import (
    BATCH,
    FUNCTIONS,
    E,
    V,
    W,
    X,
    all_nested,
    branches,
    cond_in_while_on_the_state,
    linear_while,
    recurrent,
    scan_in_scan,
    weights_by_index,
    while_that_reads_the_state,
    while_with_counter,
)


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
