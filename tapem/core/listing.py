"""The listing of a tape: one line per node, in SSA form, with shapes; the middle of a long tape is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any, Protocol

import numpy as np

from tapem.core.node import LEAF, Node
from tapem.types import short_text, type_text

EDGE = 20
"""The number of nodes that a listing shows at each end of a long tape."""


class Listed(Iterable[Node], Sized, Protocol):
    """What a listing needs from a tape."""

    def __getitem__(self, key: int, /) -> Node: ...


def listing(tape: Listed) -> str:
    """The tape as text: one line per node with id, type, op, operands, static arguments and name."""
    count = len(tape)
    head = f"Tape of {count} node{'' if count == 1 else 's'}"
    nodes = listed_nodes(tape)
    types = [node_type(node) for node in nodes]
    id_width = max((len(f"%{node.id}") for node in nodes), default=0)
    type_width = max(map(len, types), default=0)
    lines = [
        f"  {f'%{node.id}':<{id_width}}  {type_:<{type_width}}  {node_line(node)}"
        for node, type_ in zip(nodes, types, strict=True)
    ]
    if count > len(nodes):
        lines.insert(EDGE, f"  ... {count - len(nodes)} more nodes ...")
    return "\n".join([head, *lines])


def listed_nodes(tape: Listed) -> list[Node]:
    """The nodes that a listing shows: all of a short tape, the first and the last ones of a long one."""
    count = len(tape)
    shown = range(count) if count <= 2 * EDGE + 1 else [*range(EDGE), *range(count - EDGE, count)]
    return [tape[index] for index in shown]


def node_type(node: Node) -> str:
    """The type of a node's value; of an op with several results, their types in parentheses."""
    if type(node.output) is tuple:
        return "(" + ", ".join(type_text(s, d) for s, d in zip(node.shape, node.dtype, strict=True)) + ")"
    return type_text(node.shape, node.dtype)


def node_line(node: Node) -> str:
    """The right-hand side of a node: its op, applied to earlier nodes, constants and static arguments."""
    if node.op is LEAF:
        name = "" if node.name is None else f" {node.name!r}"
        return f"leaf{name}" + ("  requires grad" if node.requires_grad else "")
    operands = [
        f"%{parent}" if parent is not None else constant_text(value)
        for parent, value in zip(node.parents, node.inputs, strict=True)
    ]
    static = [f"{name}={static_text(value)}" for name, value in node.static.items()]
    return f"{node.op.name}({', '.join([*operands, *static])})"


def constant_text(value: Any) -> str:
    """A constant operand: its value if it is a number, else its type."""
    if value is None or np.ndim(value) == 0:
        return str(value)
    return f"const {type_text(np.shape(value), value.dtype)}"


def static_text(value: Any) -> str:
    """The text of a static argument: a function by its name, anything else cut to 40 characters."""
    return getattr(value, "__name__", None) or short_text(value, 40)
