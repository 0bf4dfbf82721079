"""The watcher that prints recorded ops, tangents and cotangents, with each value in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.core import Node, ShapeDtype, is_several, node_line, node_type
from tapem.tangents import Zero
from tapem.types import type_text


def value_text(value: Any) -> str:
    """The text of a value in one line: all of it if it is small, else its type and range."""
    if is_several(value):
        return "(" + ", ".join(map(value_text, value)) + ")"
    if isinstance(value, ShapeDtype):
        return str(value)
    if type(value) is Zero:
        return "0"
    node = getattr(value, "node", None)
    if type(node) is Node:  # a tracer
        return value_text(node.output)
    array = np.asarray(value)
    if array.size <= 6:
        return np.array2string(array, precision=4, separator=", ", suppress_small=True).replace("\n", "")
    text = type_text(array.shape, array.dtype)
    return f"{text} in [{array.min():.4g}, {array.max():.4g}]" if array.dtype.kind in "fiu" else text


class Printer:
    """Print every recorded op: its line of the tape, its inputs and its output."""

    def recorded(self, node: Node) -> None:
        """Print the node."""
        inputs = ", ".join(map(value_text, node.inputs))
        print(f"%{node.id} {node_type(node)} = {node_line(node)}\n    {inputs or 'given'} -> {value_text(node.output)}")

    def pushed(self, node: Node, tangent: Any, nodes: Sequence[Node]) -> None:
        """Print the tangent of the node."""
        print(f"  tangent of %{node.id} from {node.op.name}: {value_text(tangent)}")

    def contributed(self, node: Node, cotangent: Any, position: int, contribution: Any, nodes: Sequence[Node]) -> None:
        """Print the contribution of the node to one of its parents."""
        parent = node.parents[position]
        print(f"  cotangent of %{parent} from {node.op.name} %{node.id}: {value_text(contribution)}")
