"""Program: a straight-line program without values, as data that can be applied, transformed and written out.

Its nodes are those of an abstract tape: each says which op is applied to which earlier nodes, and what shape and dtype
the result has. A program closes over no tracer, so it can be applied to arrays, to tracers of any level, and, through
`vmap`, to batches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapem.core import (
    LEAF,
    NOTHING,
    Handle,
    Node,
    Primitive,
    ShapeDtype,
    UnknownNumber,
    new_node,
    pick,
    python_operator,
)


class Instruction(NamedTuple):
    """One op of a program: its operands (each a slot or a constant), and the slots that are free afterwards."""

    op: Any
    slots: tuple[int | None, ...]
    constants: tuple[Any, ...]
    static: Mapping[str, Any]
    target: int
    last_uses: tuple[int, ...]


class Program:
    """A recorded function without its values.

    `nodes` are in order, and the id of each is its position. The first ones are the `inputs`, leaves that hold a
    ShapeDtype (or the Python number with which the program was recorded). A leaf that is no input is a constant, and
    holds its array; other constants stand in the `inputs` of a node, where its parent is None. The `output` of an op is
    its ShapeDtype, or a tuple of them. Every node is needed for the `outputs`. A program never changes.

    Called with values for the inputs, it returns the tuple of the outputs.
    """

    def __init__(self, nodes: Sequence[Node], inputs: Sequence[int], outputs: Sequence[int], name: str) -> None:
        """Of nodes that are as the class says; `of` makes them so."""
        self.nodes = tuple(nodes)
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.__name__ = name

    @staticmethod
    def of(nodes: Sequence[Node], inputs: Sequence[int], outputs: Sequence[int], name: str) -> Program:
        """The program of nodes of a tape, whose ids are their positions: without values, and without unused nodes.

        An input may be the node of an op: then its value is given instead of computed.
        """
        live, given = set(outputs), set(inputs)
        for index in range(max(live, default=-1), -1, -1):
            if index in live and index not in given:
                live.update(nodes[index].parents)  # pyright: ignore[reportArgumentType]  # None is no position
        kept = [input_of(position, nodes[id]) for position, id in enumerate(inputs)]
        place: dict[int | None, int | None] = {id: position for position, id in enumerate(inputs)}
        place[None] = None
        live.difference_update(place)
        for id in sorted(live):
            node = nodes[id]
            new = len(kept)
            place[id] = new
            if node.op is LEAF:
                kept.append(node._replace(id=new))
                continue
            parents = tuple([place[parent] for parent in node.parents])
            values = tuple([x if p is None else kept[p].output for p, x in zip(parents, node.inputs, strict=True)])
            fields = (new, node.op, parents, values, node.static, kind_of(node.output), None)
            kept.append(new_node((*fields, node.requires_grad, node.name)))
        return Program(kept, range(len(inputs)), [place[id] for id in outputs], name)  # pyright: ignore[reportArgumentType]

    @functools.cached_property
    def instructions(self) -> list[Instruction]:
        """What a call does, op by op."""
        free: dict[int, list[int]] = {}
        seen = set(self.outputs)
        for node in reversed(self.nodes):
            for parent in node.parents:
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    free.setdefault(node.id, []).append(parent)
        return [
            Instruction(
                op_of(node),
                node.parents,
                tuple(None if p is not None else x for p, x in zip(node.parents, node.inputs, strict=True)),
                node.static,
                node.id,
                tuple(free.get(node.id, ())),
            )
            for node in self.nodes
            if node.op is not LEAF
        ]

    @functools.cached_property
    def constants(self) -> dict[int, Any]:
        """The leaves that are no inputs, by their ids."""
        return {node.id: node.output for node in self.nodes[len(self.inputs) :] if node.op is LEAF}

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for these inputs."""
        slots: dict[int, Any] = dict(self.constants)
        slots.update(zip(self.inputs, inputs, strict=True))
        for op, sources, constants, static, target, last_uses in self.instructions:
            operands = [
                constant if slot is None else slots[slot] for slot, constant in zip(sources, constants, strict=True)
            ]
            slots[target] = operands[0][static["index"]] if op is pick else op(*operands, **static)
            for slot in last_uses:
                del slots[slot]
        return tuple(slots[slot] for slot in self.outputs)

    @property
    def links(self) -> list[int]:
        """For each output, the inputs on which its derivative can depend: bit i stands for input i."""
        found: dict[int, Any] = dict.fromkeys(self.constants, 0)
        found.update((slot, 1 << number) for number, slot in enumerate(self.inputs))
        for op, slots, _, static, target, _ in self.instructions:
            masks = [0 if slot is None else found[slot] for slot in slots]
            if op is pick:
                found[target] = masks[0][static["index"]] if isinstance(masks[0], list) else masks[0]
            elif not getattr(op, "differentiable", True):
                found[target] = 0
            elif "program" in static:
                found[target] = [linked(link, masks) for link in static["program"].links]
            else:
                found[target] = union(masks)
        return [found[slot] for slot in self.outputs]

    def with_op(self, op: Primitive, other: Callable[..., Any], count: int) -> Program:
        """A copy that calls `other` instead of `op` wherever the op depends on one of the first `count` inputs."""
        reached = set(self.inputs[:count])
        nodes: list[Node] = []
        for node in self.nodes:
            if not reached.isdisjoint(node.parents):
                reached.add(node.id)
                if node.op is op:
                    node = node._replace(op=other)  # pyright: ignore[reportArgumentType]  # a function that is no op
            nodes.append(node)
        return Program(nodes, self.inputs, self.outputs, self.__name__)

    def __repr__(self) -> str:
        return f"<{self.__name__}: {len(self.instructions)} ops>"


def op_of(node: Node) -> Any:
    """What computes a node: its op, or Python's operator where the result is a Python number."""
    op: Any = node.op
    weak = type(node.output) is UnknownNumber and isinstance(op, Primitive)
    return (python_operator(op, node.inputs) if weak else None) or op


def input_of(position: int, node: Node) -> Node:
    """The node of an input: a leaf that knows shape and dtype, or the Python number, which has no dtype of its own."""
    output = node.output
    kind = output if type(output) in (bool, int, float, complex) else kind_of(output)
    return new_node((position, LEAF, (), (), NOTHING, kind, None, node.requires_grad, node.name))


def kind_of(output: Any) -> Any:
    """Shape and dtype of a value; a tuple of them for several results. An unknown Python number stays one."""
    if isinstance(output, Handle):
        output = output.node.output
    if type(output) is np.ndarray:
        return ShapeDtype(output.shape, output.dtype)
    if type(output) is tuple:
        return tuple([kind_of(part) for part in output])
    return output if isinstance(output, ShapeDtype) else ShapeDtype.of(output)


def is_unknown(value: Any) -> bool:
    """Whether a value is a tracer of which only the shape is known."""
    return isinstance(value, Handle) and isinstance(value.node.output, ShapeDtype)


def linked(link: int, masks: Sequence[int]) -> int:
    """The union of the masks of the inputs in a link."""
    return union(mask for number, mask in enumerate(masks) if link >> number & 1)


def union(masks: Iterable[int]) -> int:
    """All the bits of some masks."""
    found = 0
    for mask in masks:
        found |= mask
    return found
