"""The checkers of notebook 12, compiling a tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from checker import compare, exercise, mini, need
from checker.the_tape import recorded

M: dict[str, Any] = {}
mini(M, before=13)
RANDOM = np.random.default_rng(12)


@exercise
def simpler(function: Callable[..., Any]) -> str:
    """Common subexpressions, and products with 1."""
    grad = M["grad"]
    before = M["common"]
    try:
        M["common"] = function
        for f, x in (
            (grad(grad(lambda x: np.sin(x) * x)), 0.7),
            (lambda x: (x * 1.0 + np.sin(x * 1.0)) * 2.0, 0.7),
            (lambda x: 1.0 * np.exp(1.0 * x), RANDOM.normal(size=3)),
        ):
            program, text = M["compiled"](f, x)
            compare(program(1.1 * x), f(1.1 * x), "the result of a program simplified by you", f"Its text is: {text}")
            need("1.0 *" not in text and "* 1.0" not in text, f"there are products with 1 left: {text}")
        program, text = M["compiled"](lambda x: x * np.ones(3), 2.0)
        compare(program(2.0), np.full(3, 2.0), "x * np.ones(3) for a number x", "These ones are there to broadcast.")
        program, text = M["compiled"](lambda x, y: x * y, 1.0, 5.0)
        compare(program(3.0, 5.0), 15.0, "x * y, compiled for x = 1", "An input that is 1 now may be 3 the next time.")
        program, text = M["compiled"](lambda x: np.sin(x) * np.sin(1.0 * x), 0.7)
        need(text.count("sin") == 1, f"sin(1 * x) is sin(x), so one sin is enough: {text}")
    finally:
        M["common"] = before
    return "a pass is a function from tape to tape, or to what is the same on it."


@exercise
def last_use(function: Callable[..., Any]) -> str:
    """Where values are used for the last time."""
    tape = recorded(("leaf", 1.0), ("leaf", 2.0), ("sin", 0), ("exp", 1), ("mul", 2, 0), ("add", 4, 2), ("neg", 5))
    for out, expected in (
        (5, {0: 4, 2: 5, 4: 5, 5: None}),
        (6, {0: 4, 2: 5, 4: 5, 5: 6, 6: None}),
        (3, {1: 3, 3: None}),
    ):
        found = function(tape, out)
        need(isinstance(found, dict), f"last_use should return a dict, not {type(found).__name__}.")
        for id in sorted(set(found) - set(expected)):
            need(False, f"for out={out}, node {id} ({tape[id].op}) is not needed at all.")
        for id, user in expected.items():
            need(id in found, f"for out={out}, node {id} ({tape[id].op}) is needed, but not in your dict.")
            need(
                found[id] == user,
                f"for out={out}, the last node that uses node {id} ({tape[id].op}) is {user}, but you say {found[id]}.",
            )
    return "behind its last use a value can be deleted, or its memory used again."


@exercise
def jit(function: Callable[..., Any]) -> str:
    """Compile at need."""
    runs: list[int] = []

    def f(x: Any, scale: Any) -> Any:
        runs.append(1)
        return np.sum(np.sin(x) * scale) * len(np.shape(x))

    fast = function(f)
    for shape, count in (((3,), 1), ((3,), 1), ((2, 2), 2), ((3,), 2), ((2, 2), 2)):
        x, scale = RANDOM.normal(size=shape), float(RANDOM.normal())
        found = fast(x, scale)
        expected = np.sum(np.sin(x) * scale) * len(shape)
        compare(found, expected, f"the result for an x of shape {shape}", "Is it the program for this shape?")
        need(
            len(runs) == count,
            f"after this call of shape {shape} your jit has run f {len(runs)} times; {count} would do, one per shape.",
        )
    other = function(lambda x, scale: x * 0.0 + 7.0)
    compare(other(np.ones(3), 1.0), np.full(3, 7.0), "the result of another function", "One dict per function.")
    return "one run per shape; that is what the first call costs."


@exercise
def forgetful(function: Callable[..., Any]) -> str:
    """A function that a program does not keep up with."""
    program, _ = M["compiled"](function, 0.5)
    for x in (0.5, 2.0, -1.0, 0.0, 5.0):
        for _ in range(3):
            found, expected = float(program(x)), float(function(x))
            if not np.allclose(found, expected, equal_nan=True):
                return f"for x = {x} the function says {expected:.4g}, and the program still says {found:.4g}."
    need(False, "the program computes the same wherever I tried it: all that your function does was recorded.")
    return ""
