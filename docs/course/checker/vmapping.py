"""The checkers of notebook 10, vmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tapem as tm
from checker import NotYet, compare, exercise, mini, need

M: dict[str, Any] = {}
mini(M, before=11)
RANDOM = np.random.default_rng(10)


def looped(f: Callable[..., Any], batched: tuple[bool, ...], *xs: Any) -> Any:
    """The judge: one example after the other."""
    size = next(len(x) for x, mapped in zip(xs, batched, strict=True) if mapped)
    return np.stack([f(*(x[i] if mapped else x for x, mapped in zip(xs, batched, strict=True))) for i in range(size)])


@exercise
def batch_solve(rule: Callable[..., Any]) -> str:
    """The batch rule of solve."""
    for batched, what in (
        ((True, True), "both have a batch axis"),
        ((True, False), "only a has a batch axis"),
        ((False, True), "only b has a batch axis"),
    ):
        a = RANDOM.normal(size=(4, 3, 3) if batched[0] else (3, 3)) + 3 * np.eye(3)
        b = RANDOM.normal(size=(4, 3, 2) if batched[1] else (3, 2))
        try:
            found = rule(batched, a, b)
        except (IndexError, ValueError, np.linalg.LinAlgError) as error:
            raise NotYet(f"if {what}, your rule raises {type(error).__name__}: {error}") from None
        compare(found, looped(np.linalg.solve, batched, a, b), f"if {what}, the result")
    return "np.linalg.solve takes stacks of matrices already."


@exercise
def mixed(x: Any, y: Any, vmap: Callable[..., Any]) -> str:
    """Operands that broadcast without an error, and wrongly."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    need(x.ndim and y.ndim and len(x) == len(y) == 3, "both need three examples: a first axis of size 3.")
    try:
        expected = looped(np.add, (True, True), x, y)
    except ValueError:
        raise NotYet("one example of x and one of y do not broadcast: choose shapes that fit each other.") from None
    try:
        plain = x + y
    except ValueError:
        raise NotYet("x + y raises an error: that is the good case, as somebody notices it.") from None
    need(
        plain.shape == expected.shape,
        f"x + y has shape {plain.shape}, not {expected.shape}: that would soon be noticed.",
    )
    need(not np.array_equal(plain, expected), "x + y is right here: all axes stand where they should.")
    compare(vmap(np.add)(x, y), expected, "what your vmap makes of it")
    return "no error, the right shape, and wrong numbers: the rule must align, not hope."


@exercise
def hessian(
    function: Callable[..., Any], grad: Callable[..., Any], jvp: Callable[..., Any], vmap: Callable[..., Any]
) -> str:
    """A Hessian by one batched sweep."""
    runs: list[int] = []
    weights = RANDOM.normal(size=4)

    def f(x: Any) -> Any:
        runs.append(1)
        return np.sum(np.sin(x * weights) * np.sum(x * x))

    x = RANDOM.normal(size=4)
    found = function(f, x, grad, jvp, vmap)
    count = len(runs)
    expected = tm.testing.finite_diff_jacobian(lambda x: tm.testing.finite_diff(f, x, method="complex"), x)
    compare(found, expected, "the Hessian", tolerance=1e-5)
    need(count == 1, f"right, but f ran {count} times; vmap needs one run.")
    return "one run, and one walk for all columns."


@exercise
def vmap_some(function: Callable[..., Any]) -> str:
    """A vmap that leaves some arguments as they are."""
    w, data = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=(5, 3))

    def f(w: Any, x: Any) -> Any:
        return np.sum(np.tanh(w * x), axis=1)

    for mapped, xs in (((False, True), (w, data)), ((True, True), (np.stack([w] * 5), data))):
        try:
            found = function(f, mapped)(*xs)
        except (IndexError, ValueError, TypeError) as error:
            raise NotYet(f"for mapped={mapped} it raises {type(error).__name__}: {error}") from None
        compare(found, looped(f, mapped, *xs), f"for mapped={mapped}, the result")
    found = function(lambda x, w: f(w, x), (True, False))(data, w)
    compare(found, looped(f, (False, True), w, data), "with the arguments the other way round, the result")
    return "what is not mapped is a constant of the function."
