"""Sums whose terms hand back cotangents of mixed kinds: under a nested transform some are arrays, some are tracers.

The cotangent of a linear term does not depend on the point, so a sweep that is itself recorded meets it as an array;
that of any other term is a tracer. What a node receives in all may be either, in any order.
"""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapem as tm
from tests.transforms.judges import close, complex_jacobian, difference_hessian, loop

WEIGHTS = np.array([0.5, -1.0, 2.0, 0.25])
X = np.array([0.4, -0.7, 1.2, 0.3])
V = np.array([0.5, 1.0, -0.25, 0.8])
BATCH = np.array([[0.4, -0.7, 1.2, 0.3], [-0.3, 0.8, 0.1, -0.9], [1.1, 0.6, -0.9, 0.2]])


def twice(into):
    """2 x, by an op whose cotangent knows how to add itself into an array; `into` says how."""

    def rrule(g, y, x):
        return tm.InplaceableThunk(tm.Thunk(lambda: 2.0 * g), lambda total: into(total, 2.0 * g))

    return tm.primitive(rrule=(rrule,), frule=(lambda t, y, x: 2.0 * t,), name="twice")(lambda x: 2.0 * x)


def iadd(total, g):
    total += g
    return total


DOUBLE = twice(iadd)
DOUBLE_OUT = twice(lambda total, g: np.add(total, g, out=total))


def double(x, op=DOUBLE):
    return 2.0 * x if np.iscomplexobj(x) else op(x)


# Of these, the cotangent is an array (linear) or a tracer (the others).
LINEAR = [
    lambda x: x[3],
    lambda x: x[0],
    lambda x: np.sum(x),
    lambda x: x @ WEIGHTS,
    lambda x: np.sum(x[1:] * 0.5),
    lambda x: np.sum(double(x)),
    lambda x: double(x, DOUBLE_OUT)[1],
    lambda x: np.sum(x[[0, 2, 2]]),
    lambda x: np.sum(np.stack([x, x])[:, 1]),
]
OTHER = [
    lambda x: x[0] ** 2,
    lambda x: np.sum(np.sin(x)),
    lambda x: x[1] * x[2],
    lambda x: np.sum(double(x * x)),
    lambda x: np.sum(double(x) * x),
    lambda x: np.exp(np.sum(double(x, DOUBLE_OUT)) * 0.1),
    lambda x: (x @ WEIGHTS) ** 2,
    lambda x: np.sum(np.cumsum(x) ** 3),
]
TERMS = LINEAR + OTHER
PARENTS = [
    lambda x: x,
    lambda x: x * 1.5,
    np.sin,
    lambda x: np.stack([x[0], x[1], x[2], np.sum(x)]),
    lambda x: np.cumsum(x) - 0.25,
]


def program(parent, terms, x):
    """The sum of the terms of one parent, in this order."""
    value = PARENTS[parent](x)
    return functools.reduce(lambda total, term: total + TERMS[term](value), terms[1:], TERMS[terms[0]](value))


def check_every_nesting(parent, terms):
    f = functools.partial(program, parent, terms)
    hessian = difference_hessian(f, X)
    near = functools.partial(close, rtol=1e-5, atol=1e-6)
    near(tm.hvp(f, (X,), (V,)), hessian @ V)
    near(tm.jvp(tm.grad(f), (X,), (V,))[1], hessian @ V)
    near(tm.jacrev(tm.grad(f))(X), hessian)
    near(tm.jacfwd(tm.grad(f))(X), hessian)
    near(tm.grad(lambda x: np.sum(tm.grad(f)(x)))(X), hessian.sum(axis=0))
    close(tm.vmap(tm.grad(f))(BATCH), loop(lambda x: complex_jacobian(f, x), BATCH))
    close(tm.grad(lambda xs: np.sum(tm.vmap(f)(xs)))(BATCH), loop(lambda x: complex_jacobian(f, x), BATCH))
    _, pullback = tm.vjp(f, X)  # a cotangent that is a tracer, at values that are arrays
    close(tm.grad(lambda g: np.sum(pullback(g)[0]))(2.0), np.sum(complex_jacobian(f, X)))
    close(tm.vmap(lambda g: pullback(g)[0])(np.array([1.0, -2.0])), np.outer([1.0, -2.0], complex_jacobian(f, X)))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, len(PARENTS) - 1), st.lists(st.integers(0, len(TERMS) - 1), min_size=2, max_size=7))
def test_sums_of_mixed_terms(parent, terms):
    check_every_nesting(parent, terms)


@pytest.mark.parametrize("kinds", list(itertools.product("lo", repeat=4)), ids="".join)
def test_every_order_of_arrays_and_tracers(kinds):
    """Four contributions to one node, of either kind, in every order."""
    for shift in range(3):
        linear, other = itertools.count(shift), itertools.count(len(LINEAR) + shift)
        check_every_nesting(0, [next(linear if kind == "l" else other) for kind in kinds])


def test_the_sum_that_blamed_an_assignment_nobody_wrote():
    f = lambda x: x[3] + x[0] ** 2 + x[1] + x[2]  # noqa: E731
    close(tm.hvp(f, (X,), (X,)), np.array([2 * X[0], 0, 0, 0]))
    close(tm.vmap(tm.grad(f))(BATCH), np.stack([2 * BATCH[:, 0], *np.ones((3, 3))], axis=1))


@pytest.mark.parametrize("op", [DOUBLE, DOUBLE_OUT], ids=["+=", "out="])
def test_one_cotangent_is_a_tracer_and_the_other_an_array(op):
    def f(x):
        return np.sum(double(x, op)), x[0] + x[1] + np.sum(x)

    _, pullback = tm.vjp(f, X)
    close(tm.jacfwd(lambda g: pullback((g, 1.0))[0])(3.0), np.full(4, 2.0))
    close(tm.vmap(lambda g: pullback((g, 1.0))[0])(np.array([1.0, 2.0]))[1], np.array([6.0, 6.0, 5.0, 5.0]))
