"""Loops and branches in compiled functions: real ones in the program, whose values and derivatives are those of f."""

import re
import threading

import numpy as np
import pytest

import tapem as tm
from tapem.transforms import Program
from tests.transforms.loop_functions import (
    BATCH,
    FUNCTIONS,
    W,
    X,
    recurrent,
    scan_in_scan,
    while_that_reads_the_state,
    while_with_counter,
    without_xs,
)
from tests.transforms.test_whole_loops import FIRST, SECOND, best_of, calls

TRANSFORMS = {**FIRST, **SECOND}
NATIVE = [f for f in FUNCTIONS if f.__name__ in (
    "trees", "weights_by_index", "while_that_reads_the_state", "branches_of_other_types", "all_nested", "without_steps",
    "integers_and_flags", "residuals",
)]  # fmt: skip


def assert_close(found, wanted, rtol):
    found, wanted = tm.tree_leaves(found), tm.tree_leaves(wanted)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol, 1e-9)


@pytest.mark.parametrize("f", NATIVE)
def test_loops_of_native_code(f):
    run = tm.compile(tm.value_and_grad(f), engine="numba")
    assert_close(run(X), tm.value_and_grad(f)(X), 1e-8)
    assert_close(run(X * 0.5), tm.value_and_grad(f)(X * 0.5), 1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("f", FUNCTIONS)
def test_native_loops_in_derivatives(f, transform):
    g = TRANSFORMS[transform](f)
    assert_close(tm.compile(g, engine="numba")(X), g(X), 1e-8)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("f", FUNCTIONS)
def test_loops_in_derivatives(f, transform, fast):
    g = TRANSFORMS[transform](f)
    run = tm.compile(g, engine="numpy", fast=fast)
    assert_close(run(X), g(X), 1e-8)
    assert_close(run(X * 0.5), g(X * 0.5), 1e-8)


@pytest.mark.parametrize("f", FUNCTIONS)
def test_batched_loops(f):
    g = tm.vmap(tm.grad(f))
    assert_close(tm.compile(g, engine="numpy")(BATCH), g(BATCH), 1e-8)


@pytest.mark.parametrize("f", FUNCTIONS)
def test_derivatives_of_compiled_loops(f):
    run = tm.compile(f, engine="numpy")
    assert_close(tm.grad(run)(X), tm.grad(f)(X), 1e-8)
    assert_close(tm.vmap(run)(BATCH), tm.vmap(f)(BATCH), 1e-8)
    assert_close(tm.compile(tm.grad(run), engine="numpy")(X), tm.grad(f)(X), 1e-8)


def test_ten_thousand_steps_compile_as_one_and_run():
    def gradient(length):
        f = lambda x: np.sum(tm.scan(lambda c, _: (np.tanh(W @ c) + x, None), x, length=length)[0])  # noqa: E731
        return tm.grad(f)

    def compiled(length):
        tm.compile(gradient(length), engine="numpy").tape(X)

    assert best_of(lambda: compiled(10_000), 7) < 3 * best_of(lambda: compiled(1), 7)
    assert_close(tm.compile(gradient(1000), engine="numpy")(X), gradient(1000)(X), 1e-8)


def test_the_source_has_loops_and_branches():
    text = tm.compile(without_xs, engine="numpy").source(X)
    assert len(re.findall(r"for \w+ in range\(6\):", text)) == 1
    text = tm.compile(tm.grad(recurrent), engine="numpy").source(X)
    assert len(re.findall(r"for [\w, ]+ in zip\((\w+\[::-1\](, )?)+\):", text)) == 1


def test_a_number_of_steps_that_is_an_argument():
    run = tm.compile(lambda x, n: tm.grad(lambda x: np.sum(tm.fori_loop(0, n, lambda i, s: np.sin(s) * x, x)))(x))
    for n in (0, 1, 5, 40):
        assert_close(run(X, n), run.__wrapped__(X, n), 1e-8)
    assert len(run._entries) == 1


def loops_of(f, *arguments):
    """The kinds of the loops of a compiled program, those inside of loops too."""
    nodes = [*tm.compile(f, engine="numpy").tape(*arguments).after]
    return [type(own).__name__ for own in calls(Program(nodes, (), (), "f"))]


@pytest.mark.parametrize(
    ("f", "transform", "wanted"),
    [
        (recurrent, "value", ["Scan"]),
        (recurrent, "value and gradient", ["Scan", "Scan"]),
        (recurrent, "tangent", ["Scan"]),
        (recurrent, "forward over reverse", ["Scan", "Scan"]),
        (recurrent, "reverse over forward", ["Scan"] * 3),
        (scan_in_scan, "value and gradient", ["Scan"] * 4),
        (while_that_reads_the_state, "value and gradient", ["While", "Scan"]),
        (while_that_reads_the_state, "tangent", ["While"]),
        (while_with_counter, "reverse over forward", ["While", "Scan", "Scan"]),
    ],
)
def test_loops_run_once(f, transform, wanted):
    """The pullback and the tangent of a loop do not run it again."""
    assert sorted(loops_of(TRANSFORMS[transform](f), X)) == sorted(wanted)


def test_what_no_output_needs_is_not_computed():
    def f(x):
        step = lambda c, e: ((c[0] * e, c[1] + np.exp(c[0]), c[2] + 1), (np.cos(c[1]), np.sinh(c[0])))  # noqa: E731
        return tm.scan(step, (x, x, 0), np.stack([x, x * x, x]))[1][1]

    text = tm.compile(f, engine="numpy").source(X)
    assert "sinh" in text and "exp" not in text and "cos(" not in text
    assert_close(tm.compile(f, engine="numpy")(X), f(X), 1e-12)
    choose = lambda x: tm.cond(x[0] > 0, lambda: (np.exp(x), x * 2), lambda: (x, np.sinh(x)))[1]  # noqa: E731
    text = tm.compile(choose, engine="numpy").source(X)
    assert "sinh" in text and "exp" not in text
    assert_close(tm.compile(choose, engine="numpy")(-X), choose(-X), 1e-12)


def test_equal_loops_are_one_and_others_are_not():
    run = lambda x, w: tm.scan(lambda c, e: (np.tanh(c * w) + e, np.sum(c)), x, np.stack([x, x]))  # noqa: E731
    assert loops_of(lambda x: run(x, x)[0] * run(x, x)[1][0], X) == ["Scan"]
    for g in (
        lambda x: run(x, x)[0] * run(x, x * 2)[0],
        lambda x: run(x, x)[0] * run(x * 2, x)[0],
        lambda x: run(run(x, x)[0], x)[0],
    ):
        assert loops_of(g, X) == ["Scan", "Scan"]
        assert_close(tm.compile(g, engine="numpy")(X), g(X), 1e-12)
    until = lambda x, most: tm.while_loop(lambda s: np.sum(s) < most, lambda s: s * 1.5, x)  # noqa: E731
    g = lambda x: until(x, 4.0) + until(x, 9.0) + until(x, 4.0)  # noqa: E731
    assert loops_of(g, X) == ["While", "While"]
    assert_close(tm.compile(g, engine="numpy")(X), g(X), 1e-12)


LOOPS_IN_THREADS = {
    "scan": lambda x: tm.scan(lambda c, _: (np.sin(c) * x, None), x, None, length=3)[0],
    "fori_loop": lambda x: tm.fori_loop(0, 3, lambda i, c: np.sin(c) * x, x),
    "while_loop": lambda x: tm.while_loop(lambda c: np.sum(c) > 0.1, lambda c: np.sin(c) * x * 0.5, x),
    "cond": lambda x: tm.cond(np.sum(x) > 0, np.sin, np.cos, x),
}


@pytest.mark.parametrize("name", LOOPS_IN_THREADS)
def test_a_loop_in_a_thread_without_the_context(name):
    """The values decide where a loop is recorded, not the thread."""

    def function(x):
        found = []
        thread = threading.Thread(target=lambda: found.append(LOOPS_IN_THREADS[name](x)))
        thread.start()
        thread.join()
        return np.sum(found[0])

    x = np.array([0.3, 0.5])
    for f in (function, tm.grad(function)):
        np.testing.assert_allclose(tm.compile(f, engine="numpy")(x), f(x), rtol=1e-13)
