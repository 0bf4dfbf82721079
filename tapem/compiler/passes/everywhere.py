"""Everywhere: a pass over a program and over the programs inside of it, those of loops and conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tapem.core import Node, Static
from tapem.transforms import Program, call, with_parts


def everywhere(improve: Callable[[Program], Program], program: Program) -> Program:
    """Improve the programs inside, the innermost first, and then the program."""
    known: dict[int, Any] = {}

    def inside(node: Node) -> Node:
        if node.op is not call:
            return node
        own = node.static["program"]
        if id(own) not in known:
            known[id(own)] = with_parts(own, lambda part: everywhere(improve, part)) or own
        return node._replace(static=Static(program=known[id(own)]))

    if not any(node.op is call for node in program.nodes):
        return improve(program)
    nodes = [inside(node) for node in program.nodes]
    return improve(Program(nodes, program.inputs, program.outputs, program.__name__))


__all__ = ["everywhere"]
