"""The checkers of notebook 2, the tape as a value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from checker import compare, exercise, mini, need

M: dict[str, Any] = {}
mini(M, before=3)


def recorded(*steps: tuple[Any, ...]) -> Any:
    """A tape: a step is ("leaf", value), or an op and its parents."""
    tape = ()
    for op, *given in steps:
        _, tape = M["leaf"](tape, *given) if op == "leaf" else M["record"](tape, op, *given)
    return tape


def out_and_tape(returned: Any, name: str) -> Any:
    """The id and the tape that a learner's function returned."""
    good = isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], tuple)
    need(good, f"{name} should return an id and a tape, as record does.")
    return returned


@exercise
def record_all(function: Callable[..., Any]) -> str:
    """The tape of (a + b) * exp(a)."""
    out, tape = out_and_tape(function(2.0, 3.0), "record_all")
    ops = [node.op for node in tape]
    need(ops.count("leaf") == 2, f"the tape has {ops.count('leaf')} leaves; it should have two, a and b.")
    for op in ("add", "exp", "mul"):
        need(op in ops, f"there is no {op} on the tape yet: it holds {', '.join(ops)}.")
    need(tape[out].op == "mul", f"the id that you return is that of {tape[out].op}; it should be that of mul.")
    compare(tape[out].value, 5 * math.exp(2.0), "the value of (a + b) * exp(a) at a=2, b=3")
    return "five nodes, and each names the nodes that it was computed from."


@exercise
def replay(function: Callable[..., Any], record_all: Callable[..., Any]) -> str:
    """A tape run again."""
    _, tape = out_and_tape(record_all(2.0, 3.0), "record_all")
    before = tuple(tape)
    new = function(tape, [0.0, 7.0])
    need(isinstance(new, tuple), f"replay should return a tape, not {type(new).__name__}.")
    need(len(new) == len(tape), f"the new tape has {len(new)} nodes; it should have as many as the old, {len(tape)}.")
    leaves = [node.value for node in new if node.op == "leaf"]
    need(leaves == [0.0, 7.0], f"the leaves of the new tape hold {leaves}; they should hold the values [0.0, 7.0].")
    _, expected = out_and_tape(record_all(0.0, 7.0), "record_all")
    for id, (node, right) in enumerate(zip(new, expected, strict=True)):
        compare(node.value, right.value, f"the value of node {id} ({node.op})", "Its parents have new values now.")
    need(tuple(tape) == before, "the old tape has changed; replay should make a new one.")
    swapped = recorded(("leaf", 1.0), ("neg", 0), ("leaf", 2.0), ("sub", 1, 2))
    compare(function(swapped, [3.0, 4.0])[-1].value, -7.0, "the output of a tape whose leaves are not all at its start")
    return "a tape is a program, and its leaves are the arguments."


@exercise
def needed(function: Callable[..., Any]) -> str:
    """The nodes that an output depends on."""
    tape = recorded(("leaf", 1.0), ("leaf", 2.0), ("sin", 0), ("exp", 1), ("mul", 2, 0), ("neg", 4))
    found = function(tape, 4)
    need(isinstance(found, set), f"needed should return a set of ids, not {type(found).__name__}.")
    if 5 in found:
        need(False, "node 5 comes after the output 4, so the output cannot depend on it.")
    for id in (3, 1):
        need(id not in found, f"node {id} ({tape[id].op}) is not needed: there is no way from it to node 4.")
    for id in (4, 2, 0):
        need(id in found, f"node {id} ({tape[id].op}) is needed for node 4, but it is not in your set.")
    chain = recorded(("leaf", 1.0), *(("sin", id) for id in range(50)))
    need(function(chain, 50) == set(range(51)), "all 51 nodes of a long chain are needed: go all the way back.")
    return "one pass backward: this is the order of the backward sweep, too."


@exercise
def record_once(function: Callable[..., Any]) -> str:
    """A node that is there already."""
    tape = recorded(("leaf", 1.0), ("leaf", 1.0), ("sin", 0))
    again, same = out_and_tape(function(tape, "sin", 0), "record_once")
    need(len(same) == 3, "sin of node 0 is on the tape already; yours recorded it again.")
    need(again == 2, f"sin of node 0 is node 2, but you return {again}.")
    other, longer = out_and_tape(function(tape, "sin", 1), "record_once")
    need(
        other == 3 and len(longer) == 4,
        "sin of node 1 is another node than sin of node 0, though their values agree: compare parents, not values.",
    )
    out, longer = out_and_tape(function(longer, "sub", 0, 1), "record_once")
    back, longer = out_and_tape(function(longer, "sub", 1, 0), "record_once")
    need(out != back, "sub of (0, 1) and sub of (1, 0) are two things: the order of the parents counts.")
    return "the same op on the same nodes is the same value."
