"""Loops and branches in compiled functions: real ones in the program, whose values and derivatives are those of f."""

import re

import numpy as np
import pytest

import tapem as tm
from tests.transforms.test_whole_loops import BATCH, FIRST, FUNCTIONS, SECOND, W, X, best_of, recurrent, without_xs

TRANSFORMS = {**FIRST, **SECOND}


def assert_close(found, wanted, rtol):
    found, wanted = tm.tree_leaves(found), tm.tree_leaves(wanted)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol, 1e-9)


@pytest.mark.parametrize(("engine", "fast"), [("numpy", False), ("numpy", True), ("numba", True)])
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("f", FUNCTIONS)
def test_loops_in_derivatives(f, transform, engine, fast):
    g = TRANSFORMS[transform](f)
    run = tm.compile(g, engine=engine, fast=fast)
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

    assert best_of(lambda: compiled(10_000)) < 2 * best_of(lambda: compiled(1))
    assert_close(tm.compile(gradient(1000), engine="numpy")(X), gradient(1000)(X), 1e-8)


def test_the_source_has_loops_and_branches():
    text = tm.compile(without_xs, engine="numpy").source(X)
    assert len(re.findall(r"for \w+ in range\(6\):", text)) == 1
    text = tm.compile(tm.grad(recurrent), engine="numpy").source(X)
    assert len(re.findall(r"for \w+ in reversed\(range\(4\)\):", text)) == 1


def test_a_number_of_steps_that_is_an_argument():
    run = tm.compile(lambda x, n: tm.grad(lambda x: np.sum(tm.fori_loop(0, n, lambda i, s: np.sin(s) * x, x)))(x))
    for n in (0, 1, 5, 40):
        assert_close(run(X, n), run.__wrapped__(X, n), 1e-8)
    assert len(run._entries) == 1
