"""The checkers of notebook 3, the backward sweep by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from checker import agree, compare, difference, exercise, mini, need
from checker.the_tape import recorded

M: dict[str, Any] = {}
mini(M, before=4)


def moved(tape: Any, id: int, value: Any, out: int) -> Any:
    """The output of a tape if one of its nodes had another value: what a cotangent is about."""
    values: list[Any] = []
    for at, node in enumerate(tape):
        parents = [values[parent] for parent in node.parents]
        if at == id:
            values.append(value)
        else:
            values.append(node.value if node.op == "leaf" else M["OPS"][node.op].f(*parents, **node.static))
    return values[out]


def cotangent(tape: Any, id: int, out: int) -> Any:
    """The cotangent of a node, by moving its value."""
    return difference(lambda value: moved(tape, id, value, out), float(tape[id].value))


def judge(found: Any, tape: Any, out: int, what: str, hint: str = "") -> None:
    """Compare the cotangents of all nodes that have one with those by differences."""
    need(isinstance(found, dict), f"{what} should be a dict from id to cotangent, not {type(found).__name__}.")
    for id in range(out, -1, -1):
        expected = cotangent(tape, id, out)
        need(id in found or abs(expected) < 1e-9, f"{what}: node {id} ({tape[id].op}) has no cotangent.")
        if id in found:
            compare(found[id], expected, f"{what}: the cotangent of node {id} ({tape[id].op})", hint)


@exercise
def on_paper(found: Any, tape: Any) -> str:
    """Cotangents by hand."""
    judge(found, tape, 4, "on your paper", "Move this node's value a little: how does the output move?")
    return "each node's cotangent is the sum over the ways from it to the output."


@exercise
def hypot(to_a: Callable[..., Any], to_b: Callable[..., Any]) -> str:
    """The rules of hypot."""
    for a, b in ((3.0, 4.0), (-1.0, 0.5)):
        y = float(np.hypot(a, b))
        slopes = difference(np.hypot, a, b)
        found = to_a(1.0, y, a, b), to_b(1.0, y, a, b)
        swapped = agree(found[0], slopes[1]) and agree(found[1], slopes[0]) and not agree(found[0], slopes[0])
        need(not swapped, "your rule for a returns what belongs to b, and that for b what belongs to a: exchange them.")
        for name, rule, one, slope in zip("ab", (to_a, to_b), found, slopes, strict=True):
            compare(one, slope, f"what hypot passes to {name} at a={a}, b={b} for g=1")
            compare(
                rule(2.0, y, a, b),
                2 * slope,
                f"what hypot passes to {name} for g=2",
                "A rule is linear in g: twice the cotangent, twice the contribution.",
            )
    return "g * a / y and g * b / y."


def programs() -> list[tuple[str, Any]]:
    """Tapes to try a sweep on, each with its name."""
    return [
        ("exp(sin(x))", recorded(("leaf", 0.3), ("sin", 0), ("exp", 1))),
        ("x * x", recorded(("leaf", 3.0), ("mul", 0, 0))),
        ("tanh(x) * x", recorded(("leaf", 0.5), ("tanh", 0), ("mul", 1, 0))),
        (
            "(x / y) + log(x) * exp(x / y)",
            recorded(("leaf", 2.0), ("leaf", 3.0), ("div", 0, 1), ("log", 0), ("exp", 2), ("mul", 3, 4), ("add", 2, 5)),
        ),
    ]


@exercise
def find_the_fault(function: Callable[..., Any]) -> str:
    """A sweep that adds."""
    for name, tape in programs():
        judge(function(tape, len(tape) - 1), tape, len(tape) - 1, name, "Is every contribution counted?")
    _, tape = programs()[1]
    compare(function(tape, 1, 2.0)[0], 12.0, "x * x with g=2: the cotangent of node 0", "Start with g, not with 1.")
    return "contributions to one node add up."


@exercise
def why(function: Callable[..., Any]) -> str:
    """The contributions to a node."""
    for name, tape in programs():
        out = len(tape) - 1
        cotangents = M["backward"](tape, out)
        for id in range(out):
            expected = [
                (child, part)
                for child in range(out, -1, -1)
                if child in cotangents and tape[child].parents
                for parent, part in M["contributions"](tape, tape[child], cotangents[child])
                if parent == id
            ]
            found = function(tape, out, id)
            need(isinstance(found, list), f"why should return a list of (child, part), not {type(found).__name__}.")
            need(
                len(found) == len(expected),
                f"{name}: you name {len(found)} contributions to node {id} ({tape[id].op}), but there are "
                f"{len(expected)}: one for each time that it is an operand.",
            )
            for (child, part), (right, value) in zip(found, expected, strict=True):
                need(
                    child == right,
                    f"{name}: the next contribution to node {id} comes from node {right} ({tape[right].op}), "
                    f"but you name node {child}.",
                )
                compare(part, value, f"{name}: what node {child} ({tape[child].op}) contributes to node {id}")
            total = sum(part for _, part in found)
            compare(total, cotangent(tape, id, out), f"{name}: the sum of the contributions to node {id}")
    return "that is tm.explain, without its words."


@exercise
def backward_from(function: Callable[..., Any]) -> str:
    """A sweep from several outputs."""
    tape = recorded(("leaf", 2.0), ("leaf", 3.0), ("mul", 0, 1), ("sin", 0), ("exp", 1))
    given = {2: 5.0, 3: 7.0}
    found = function(tape, given)
    need(given == {2: 5.0, 3: 7.0}, "you changed the dict that you were given; copy it first.")
    for id, name in ((0, "x"), (1, "y")):
        expected = 5 * cotangent(tape, id, 2) + 7 * cotangent(tape, id, 3)
        compare(
            found.get(id),
            expected,
            f"the cotangent of {name} for 5 times x*y and 7 times sin(x)",
            "Both outputs should count, each with its cotangent.",
        )
    need(4 not in found, "node 4 is not among the outputs, nor does one of them depend on it.")
    chain = recorded(("leaf", 2.0), ("sin", 0), ("exp", 1))
    expected = 1 * cotangent(chain, 0, 2) + 10 * cotangent(chain, 0, 1)
    compare(
        function(chain, {2: 1.0, 1: 10.0})[0],
        expected,
        "the cotangent of x, if exp(sin(x)) and sin(x) are both outputs",
        "What arrives at sin(x) is to be added to the 10 that it was given.",
    )
    return "one sweep pulls back any combination of outputs."
