"""Rewriting: the one way in which a pass makes a program from another.

A pass walks the nodes in order. For each it says what stands in its place: the node itself, an earlier value, or new
nodes. The ids are positions, so they are given anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tapem.core import LEAF, NOTHING, Node, Primitive, ShapeDtype, Static, abstract_evaluate, new_node, number_of
from tapem.transforms import Program


class Value(NamedTuple):
    """An operand of a new node: an earlier node of the new program."""

    id: int


class Rewriter:
    """A program that is being written; operands are `Value`s or constants.

    `values` says for each node of the old program which value stands for it; `hidden` are further outputs, guards.
    """

    def __init__(self, program: Program) -> None:
        """Start with the inputs of a program."""
        self.program = program
        self.nodes: list[Node] = [program.nodes[id] for id in program.inputs]
        self.values: dict[int, Any] = {id: Value(id) for id in program.inputs}
        self.hidden: list[Value] = []

    def operands(self, node: Node) -> list[Any]:
        """The operands of an old node, as the new program has them."""
        return [
            constant if parent is None else self.values[parent]
            for parent, constant in zip(node.parents, node.inputs, strict=True)
        ]

    def kind(self, operand: Any) -> Any:
        """Shape and dtype of a value, or a constant as it is."""
        return self.nodes[operand.id].output if type(operand) is Value else operand

    def put(self, op: Any, operands: Sequence[Any], static: Static, output: Any) -> Value:
        """Append a node whose shape and dtype are known."""
        parents = tuple([operand.id if type(operand) is Value else None for operand in operands])
        inputs = tuple(map(self.kind, operands))
        self.nodes.append(new_node((len(self.nodes), op, parents, inputs, static, output, None, False, None)))
        return Value(len(self.nodes) - 1)

    def apply(self, op: Primitive, *operands: Any, **static: Any) -> Value:
        """Append an op applied to values and constants; its shape and dtype are found here."""
        values, bound = op.bind(operands, static)
        kinds = [*map(self.kind, values)]
        return self.put(op, values, bound, number_of(op, kinds) or abstract_evaluate(op, kinds, bound))

    def constant(self, array: Any) -> Value:
        """Append a constant."""
        self.nodes.append(new_node((len(self.nodes), LEAF, (), (), NOTHING, array, None, False, None)))
        return Value(len(self.nodes) - 1)

    def copy(self, node: Node) -> Any:
        """Append an old node as it is."""
        if node.op is LEAF:
            return self.constant(node.output)
        return self.put(node.op, self.operands(node), node.static, node.output)

    def finish(self) -> Program:
        """The new program; what its outputs do not need is left out."""
        outputs = [self.values[id] for id in self.program.outputs]
        ids = [value.id if type(value) is Value else self.constant(value).id for value in outputs]
        ids += [value.id for value in self.hidden]
        return Program.of(self.nodes, self.program.inputs, ids, self.program.__name__)


def rewritten(program: Program, replace: Callable[[Rewriter, Node], Any]) -> Program:
    """The program in which `replace(rewriter, node)` says what stands for each node that is no input.

    It returns a `Value` or a constant; None keeps the node.
    """
    rewriter = Rewriter(program)
    for node in program.nodes[len(program.inputs) :]:
        value = replace(rewriter, node)
        rewriter.values[node.id] = rewriter.copy(node) if value is None else value
    return rewriter.finish()


def kind_matches(kind: Any, other: Any) -> bool:
    """Whether two values have the same shape and dtype."""
    return ShapeDtype.of(kind) == ShapeDtype.of(other)


__all__ = ["Rewriter", "Value", "kind_matches", "rewritten"]
