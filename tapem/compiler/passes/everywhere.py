"""Everywhere: a pass over a program and over the programs inside of it, those of loops and conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tapem.core import Node, Static
from tapem.transforms import Program, call, with_parts


def everywhere(improve: Callable[[Program], Program], program: Program) -> Program:
    """Improve the programs inside, the innermost first, and then the program."""
    known: dict[int, Any] = {}

    def part_of(part: Program) -> Program:
        better = everywhere(improve, part)
        # A guard is a further output, which the body of a loop cannot have.
        return better if len(better.outputs) == len(part.outputs) else part

    def inside(node: Node) -> Node:
        if node.op is not call:
            return node
        own = node.static["program"]
        if id(own) not in known:
            known[id(own)] = with_parts(own, part_of) or own
        return node._replace(static=Static(program=known[id(own)]))

    if not any(node.op is call for node in program.nodes):
        return improve(program)
    nodes = [inside(node) for node in program.nodes]
    return improve(Program(nodes, program.inputs, program.outputs, program.__name__))


__all__ = ["everywhere"]
