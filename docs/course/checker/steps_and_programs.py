"""The checkers of notebook 5, steps and programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from checker import exercise, mini, need

M: dict[str, Any] = {}
mini(M, before=6)


def ran(step: Any, name: str, tape: Any = ()) -> Any:
    """The result and the tape of a learner's step."""
    need(hasattr(step, "run"), f"{name} should return a step, not {type(step).__name__}: nothing is to run yet.")
    returned = step.run(tape)
    good = isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], tuple)
    need(good, f"the step that {name} returns should have a result and a tape when it runs.")
    return returned


def ops(tape: Any) -> list[str]:
    """The ops on a tape."""
    return [node.op for node in tape]


@exercise
def mapped(function: Callable[..., Any]) -> str:
    """A step whose result goes through a function."""
    step = M["given"](2.0).bind(lambda x: M["apply"]("exp", x))
    calls: list[Any] = []
    new = function(step, lambda id: calls.append(id) or f"node {id}")
    need(not calls, "f was called when the step was built; it should wait until the step runs.")
    result, tape = ran(new, "mapped")
    need(ops(tape) == ["leaf", "exp"], f"the tape holds {ops(tape)}; it should hold what the step records.")
    need(not hasattr(result, "run"), "the result is a step within a step: was a step given to pure?")
    need(result == "node 1", f"the result is {result!r}; it should be f of the step's result, 'node 1'.")
    return "bind and pure are enough for it."


@exercise
def traverse(function: Callable[..., Any]) -> str:
    """A step for each of several values."""
    given = M["given"]
    calls: list[float] = []

    def f(x: float) -> Any:
        calls.append(x)
        return given(x)

    step = function(f, [5.0, 6.0, 7.0])
    result, tape = ran(step, "traverse")
    need(isinstance(result, list), f"the result is {type(result).__name__}; it should be the list of the results.")
    first = result[0] if result else None
    need(not hasattr(first, "run"), "the results are steps that have not run; run each, and keep its result.")
    need(result == [0, 1, 2], f"the result is {result}; it should be the list of the ids, [0, 1, 2].")
    values = [node.value for node in tape]
    need(values == [5.0, 6.0, 7.0], f"the leaves on the tape are {values}; they should be 5, 6 and 7, in order.")
    again, tape = ran(step, "traverse", tape)
    need(again == [3, 4, 5], f"run a second time, on the longer tape, it gives {again}; it should give [3, 4, 5].")
    need(ran(function(f, []), "traverse") == ([], ()), "for no values it should give the empty list, and no nodes.")
    many, _ = ran(function(M["pure"], range(5000)), "traverse")
    need(many == list(range(5000)), "for 5000 values the result is not the list of all of them.")
    return "one loop, and it runs as often as you like."


@exercise
def do_again(function: Callable[..., Any]) -> str:
    """A do whose steps run any number of times."""
    given, apply = M["given"], M["apply"]

    @function
    def program(value: float) -> Iterator[Any]:
        x = yield from given(value)
        return (yield from apply("exp", x))

    step = program(2.0)
    out, tape = ran(step, "your do")
    need(out == 1 and ops(tape) == ["leaf", "exp"], f"the first run gives {out} and {ops(tape)}, not 1 and leaf, exp.")
    out, again = ran(step, "your do")
    need(
        out == 1 and ops(again) == ["leaf", "exp"],
        f"the second run gives {out} and a tape of {len(again)} nodes; it should do what the first did.",
    )
    out, longer = ran(step, "your do", tape)
    need(out == 3 and len(longer) == 4, f"run on the first run's tape it gives {out}, not 3: does it use that tape?")
    return "each run makes its own generator."


@exercise
def attempt(function: Callable[..., Any]) -> str:
    """A step that does not fail."""
    given, apply, leaf = M["given"], M["apply"], M["leaf"]
    _, start = leaf((), np.ones((2, 3)))
    result, tape = ran(function(apply("transpose", 0)), "attempt", start)
    need(result == ("ok", 1), f"where the step does not fail, the result is {result!r}; it should be ('ok', 1).")
    need(ops(tape) == ["leaf", "transpose"], f"where the step does not fail, the tape should be its tape: {ops(tape)}.")

    def refuse(tape: Any) -> Any:
        raise error_class(function)("no matrix")

    fails = given(np.ones(4)).bind(lambda _: M["Step"](refuse))
    try:
        result, tape = ran(function(fails), "attempt", start)
    except TypeError as error:
        need(type(error).__name__ != "ShapeError", f"a ShapeError came through: {error}. Catch it.")
        raise
    need(result == ("error", "no matrix"), f"the result is {result!r}; it should be ('error', 'no matrix').")
    need(
        tape == start,
        f"after the failure the tape has {len(tape)} nodes; it should be the one from before, of {len(start)}.",
    )

    def stop(tape: Any) -> Any:
        raise KeyError("another error")

    try:
        function(M["Step"](stop)).run(start)
    except KeyError:
        return "the old tape was there all the time."
    need(False, "your attempt also hides errors that are no ShapeError; those should be seen.")
    return ""


def error_class(function: Callable[..., Any]) -> Any:
    """The ShapeError that the learner's code knows."""
    return getattr(function, "__globals__", {}).get("ShapeError", M["ShapeError"])
