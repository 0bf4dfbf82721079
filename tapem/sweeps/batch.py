"""Batching: one fold over the abstract tape of one example, which computes the results of many examples.

The tape was traced with the shapes of a single example. The fold applies every node to the actual values, arrays or
tracers of the level below: by its batch rule if an operand is mapped, else by the op itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapem.core import CONTEXT, LEAF, Node, pick
from tapem.errors import ConcretizationError
from tapem.sweeps.broadcasting import repeated


class Batched(NamedTuple):
    """A value of the fold: if it is mapped, its batch axis comes first."""

    value: Any
    mapped: bool


def batch(nodes: Sequence[Node], size: int, inputs: Mapping[int, Batched], outputs: Sequence[int]) -> list[Batched]:
    """Fold the batch rules over the nodes that the outputs need; `inputs` gives the values of the mapped leaves."""
    environment: dict[int, Batched] = dict(inputs)
    watcher = CONTEXT.get().watcher
    for index, finished in needed(nodes, outputs):
        node = nodes[index]
        if index in environment:
            continue
        if node.op is LEAF:
            environment[index] = Batched(node.output, False)
            continue
        operands = [
            Batched(value, False) if parent is None else environment[parent]
            for parent, value in zip(node.parents, node.inputs, strict=True)
        ]
        environment[index] = result = apply(node, size, operands)
        if watcher is not None and type(result.value) is np.ndarray:  # tracers are watched where they are recorded
            given = tuple(operand.value for operand in operands)
            watcher.recorded(node._replace(output=result.value, inputs=given))
        for parent in finished:
            del environment[parent]
    return [environment[index] for index in outputs]


def needed(nodes: Sequence[Node], outputs: Sequence[int]) -> list[tuple[int, set[int]]]:
    """The ids of the nodes on which the outputs depend, in order, each with the parents that no later one needs."""
    found = set(outputs)
    plan: list[tuple[int, set[int]]] = []
    for index in range(max(found, default=-1), -1, -1):
        if index in found:
            finished = {parent for parent in nodes[index].parents if parent is not None and parent not in found}
            found |= finished
            plan.append((index, finished))
    plan.reverse()
    return plan


def apply(node: Node, size: int, operands: Sequence[Batched]) -> Batched:
    """Apply one node for all examples."""
    op: Any = node.op
    values = [operand.value for operand in operands]
    mapped = [operand.mapped for operand in operands]
    if op is pick:
        return Batched(values[0][node.static["index"]], mapped[0])
    if not any(mapped):
        return Batched(op(*values, **node.static), False)
    if op.batch is not None:
        return Batched(op.batch(op, size, values, mapped, node.static), True)
    return Batched(one_by_one(node, size, operands), True)


def one_by_one(node: Node, size: int, operands: Sequence[Batched]) -> Any:
    """Apply an op without a batch rule to each example in turn: correct and differentiable, but slow."""
    if size == 0:
        raise ConcretizationError(
            f"vmap over an axis of size 0: {node.op.name} has no batch rule, and there is no example to apply it to. "
            "Give it one with tm.defbatch."
        )
    op: Any = node.op
    results = [
        op(*(operand.value[example] if operand.mapped else operand.value for operand in operands), **node.static)
        for example in range(size)
    ]
    if isinstance(results[0], tuple):
        return tuple(np.stack(part) for part in zip(*results, strict=True))
    return np.stack(results)


def to_front(value: Any, axis: int) -> Any:
    """Move the batch axis of a value to the front."""
    return value if axis == 0 else np.moveaxis(value, axis, 0)


def from_front(batched: Batched, axis: int, size: int) -> Any:
    """Move the batch axis of a result to the given axis; a result without a batch axis is repeated."""
    value = batched.value
    if not batched.mapped:
        value = repeated(value, (size, *np.shape(value)))
    return value if axis == 0 else np.moveaxis(value, 0, axis)
