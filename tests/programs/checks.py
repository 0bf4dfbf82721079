"""What is checked of a program: every transform, and their nestings, each against the judge.

A check is Python text over `f` (from a vector to two numbers), `g` (to one number), the points and a few vectors; what
it should give is said in terms of the judge's derivatives.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

import numpy as np

import tapem as tm
from tapem.core.tree import tree_flatten

from .doors import DOORS
from .judging import Doubtful, Judge, judge_of
from .language import Program, walk
from .running import DIRECT
from .vocabulary import THREAD

W = np.array([1.5, -0.5])
SUM = np.array([1.0, 0.3])


class Check(NamedTuple):
    """Text that is evaluated, what it should give, and the order of the derivatives in it."""

    text: str
    expected: Callable[[Judge], Any]
    order: int

    def __str__(self) -> str:
        return self.text


def check(order: int, expected: Callable[[Judge], Any], *texts: str) -> list[Check]:
    """Checks that all should give the same."""
    return [Check(text, expected, order) for text in texts]


def one(j: Judge) -> Any:
    """f at the first point."""
    return j.values[0]


def jacobian(j: Judge) -> Any:
    """Its Jacobian."""
    return j.jacobians[0]


def gradient(j: Judge) -> Any:
    """The gradient of g."""
    return SUM @ j.jacobians[0]


def gradients(j: Judge) -> Any:
    """The gradients of g at all points."""
    return SUM @ j.jacobians


def product(j: Judge) -> Any:
    """The Hessian of g, times V."""
    return j.products[0]


def products(j: Judge) -> Any:
    """At all points."""
    return j.products


CHECKS = [
    # values and first derivatives
    *check(0, one, "f(X)"),
    *check(1, jacobian, "tm.jacfwd(f)(X)", "tm.jacrev(f)(X)"),
    *check(1, lambda j: (one(j), W @ jacobian(j)), "(lambda y, pull: (y, pull(W)[0]))(*tm.vjp(f, X))"),
    *check(1, lambda j: (one(j), jacobian(j) @ j.v), "tm.jvp(f, (X,), (V,))"),
    *check(1, lambda j: jacobian(j) @ j.v, "tm.linearize(f, X)[1](V)"),
    *check(1, gradient, "tm.grad(g)(X)", "tm.grad(lambda d: g(d['x']))({'x': X})['x']"),
    *check(1, lambda j: (SUM @ one(j), gradient(j)), "tm.value_and_grad(g)(X)"),
    # batches
    *check(0, lambda j: j.values, "tm.vmap(f)(BATCH)", "tm.vmap(f, in_axes=1, out_axes=-1)(BATCH.T).T"),
    *check(0, lambda j: np.stack([j.values] * 2), "tm.vmap(tm.vmap(f))(np.stack([BATCH, BATCH]))"),
    *check(1, gradients, "tm.vmap(tm.grad(g))(BATCH)", "tm.grad(lambda xs: np.sum(tm.vmap(g)(xs)))(BATCH)"),
    *check(1, lambda j: (j.values @ SUM, gradients(j)), "tm.vmap(tm.value_and_grad(g))(BATCH)"),
    *check(1, lambda j: j.jacobians, "tm.vmap(tm.jacfwd(f))(BATCH)", "tm.vmap(tm.jacrev(f))(BATCH)"),
    *check(
        1, lambda j: j.jacobians @ j.v, "tm.vmap(lambda x: tm.jvp(f, (x,), (V,))[1])(BATCH)",
        "tm.jvp(tm.vmap(f), (BATCH,), (np.tile(V, (len(BATCH), 1)),))[1]",
    ),
    *check(1, lambda j: W @ j.jacobians, "tm.vjp(tm.vmap(f), BATCH)[1](np.tile(W, (len(BATCH), 1)))[0]"),
    # a weight that all examples share, and that the mapped function closes over
    *check(
        1, lambda j: np.sum(j.batch * gradients(j), axis=0),
        "tm.grad(lambda w: np.sum(tm.vmap(lambda x: g(x * w))(BATCH)))(np.ones(len(X)))",
    ),
    # second derivatives
    *check(
        2, product, "tm.hvp(g, (X,), (V,))", "tm.hessian(g)(X) @ V", "tm.jvp(tm.grad(g), (X,), (V,))[1]",
        "tm.jacrev(tm.grad(g))(X) @ V", "tm.jacfwd(tm.grad(g))(X) @ V", "tm.jacrev(tm.jacfwd(g))(X) @ V",
        "tm.jacfwd(tm.jacfwd(g))(X) @ V", "tm.grad(lambda x: np.sum(tm.grad(g)(x) * V))(X)",
        "tm.grad(lambda x: tm.jvp(g, (x,), (V,))[1])(X)", "tm.vjp(tm.grad(g), X)[1](V)[0]",
        "tm.grad(lambda x: tm.vjp(g, x)[1](1.0)[0] @ V)(X)", "tm.linearize(tm.grad(g), X)[1](V)",
        "tm.grad(lambda w: tm.grad(lambda x: g(x + w))(X) @ V)(np.zeros(len(X)))",
    ),
    *check(2, lambda j: j.v @ product(j), "tm.jvp(lambda x: tm.jvp(g, (x,), (V,))[1], (X,), (V,))[1]"),
    *check(2, lambda j: np.ones(len(j.v)) @ np.reshape(product(j), (-1,)), "np.sum(tm.jacrev(tm.jacrev(g))(X) @ V)"),
    *check(
        2, products, "tm.vmap(lambda x: tm.hvp(g, (x,), (V,)))(BATCH)", "tm.vmap(tm.hessian(g))(BATCH) @ V",
        "tm.jvp(tm.vmap(tm.grad(g)), (BATCH,), (np.tile(V, (len(BATCH), 1)),))[1]",
        "tm.grad(lambda xs: np.sum(tm.vmap(tm.grad(g))(xs) @ V))(BATCH)",
        "tm.jacfwd(lambda w: tm.vmap(tm.grad(lambda x: g(x + w)))(BATCH))(np.zeros(len(X))) @ V",
        "tm.jacrev(lambda w: tm.vmap(tm.grad(lambda x: g(x + w)))(BATCH))(np.zeros(len(X))) @ V",
    ),
    # third derivatives
    *check(
        3, lambda j: j.third, "tm.jvp(lambda x: tm.hvp(g, (x,), (V,)), (X,), (V,))[1]",
        "tm.jacrev(lambda x: tm.hvp(g, (x,), (V,)))(X) @ V", "tm.grad(lambda x: tm.hvp(g, (x,), (V,)) @ V)(X)",
    ),
]  # fmt: skip

GRADIENT = next(each for each in CHECKS if each.text == "tm.grad(g)(X)")


class Failure(NamedTuple):
    """A check that a program does not pass, and how."""

    program: Program
    check: str
    kind: str
    message: str
    expected: Any

    def __str__(self) -> str:
        return f"{self.kind} in {self.check} of program {self.program.seed}: {self.message}"


@functools.cache
def compiled(text: str) -> Any:
    """The code of a check."""
    return compile(text, "<check>", "eval")


def some_of(random: Random, count: int) -> list[Check]:
    """The gradient, and a few other checks."""
    return [*random.sample(CHECKS, count), GRADIENT]


def failures(
    program: Program, checks: Sequence[Check] = CHECKS, doors: Collection[str] = tuple(DOORS)
) -> Iterator[Failure]:
    """What is wrong with the derivatives of a program: by these checks, and through these doors."""
    judge = judge_of(program)
    f = DIRECT.run(program)
    names = {
        "np": np, "tm": tm, "f": f, "g": lambda x: (lambda y: y[0] + 0.3 * y[1])(f(x)),
        "BATCH": judge.batch, "X": judge.batch[0], "V": judge.v, "W": W,
    }  # fmt: skip
    for each in checks:
        if each.order <= program.order:
            found = attempt(program, judge, each.text, lambda each=each: eval(compiled(each.text), names), each)
            if found is not None:
                yield found
    for name in doors:
        found = attempt(
            program, judge, name, lambda name=name: DOORS[name](program, judge.batch[0]), Check(name, gradient, 1)
        )
        if found is not None:
            yield found


def attempt(program: Program, judge: Judge, name: str, run: Callable[[], Any], check: Check) -> Failure | None:
    """The failure of one check, if it fails."""
    tolerance = judge.tolerance(max(check.order, 1))
    try:
        expected = check.expected(judge)
    except Doubtful:
        return None
    if check.order > 1 and not np.max(np.abs(expected), initial=0.0) < 1e4:
        return None  # too curved to be judged by differences
    try:
        with np.errstate(all="ignore"):
            found = run()
    except tm.EscapedTracerError as error:
        if "copy_context().run" in str(error) and any(s.text == THREAD for s in walk(program.statements)):
            return None  # a thread that knows nothing of the transforms around it says what to do
        return Failure(program, name, type(error).__name__, str(error), expected)
    except Exception as error:
        return Failure(program, name, type(error).__name__, str(error), expected)
    if close(found, expected, tolerance):
        return None
    for scale in (0.4, 0.05):
        with np.errstate(all="ignore"):
            finer = check.expected(Judge(program, scale))
        if not close(expected, finer, 0.03 * tolerance) and close(found, finer, 1e-3):
            return None  # the judge is not sure of itself, and does not contradict
    return Failure(program, name, "wrong", f"{found!r} should be {expected!r}", expected)


def close(found: Any, expected: Any, tolerance: float) -> bool:
    """Whether all numbers agree, relative to the largest of them; and all shapes."""
    found, expected = tree_flatten(found)[0], tree_flatten(expected)[0]
    if len(found) != len(expected):
        return False
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, float(np.max(np.abs(other), initial=0.0)))
        if np.shape(one) != np.shape(other) or not np.allclose(one, other, tolerance, tolerance * scale):
            return False
    return True
