"""Forward mode: one fold over a tape, from its beginning to its end.

Every node that some tangent reaches asks its op's `frule` for the tangent of its value.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import numpy as np

from tapem.errors import DTypeError, ShapeError
from tapem.node import Abstract, Node
from tapem.primitive import linear_in_all
from tapem.sweeps.reverse import View, broadcasts_to, call_rule, missing_rule
from tapem.tangents import DoesNotExist, InplaceableThunk, Thunk, Zero, add
from tapem.work import Watcher


def forward(
    nodes: Sequence[Node],
    tangents: MutableMapping[int, Any],
    last: int,
    *,
    view: View | None = None,
    watcher: Watcher | None = None,
) -> MutableMapping[int, Any]:
    """Push tangents forward through the nodes with id <= last; the mapping that was passed in is filled and returned.

    `view` says how a node's values are shown to the rules; by default as the arrays that it holds. `watcher` is told of
    every tangent.

    Raises NoRuleError where an op on the way has no rule, ShapeError or DTypeError where a rule returns a tangent that
    does not fit the op's value.
    """
    if not tangents:
        return tangents
    for index in range(min(tangents) + 1, last + 1):
        node = nodes[index]
        if index in tangents or not node.requires_grad:
            continue
        given = [Zero() if parent is None else tangents.get(parent, Zero()) for parent in node.parents]
        if all(type(tangent) is Zero for tangent in given):
            continue
        tangent = push(node, given, view)
        if tangent is not None:
            tangents[index] = tangent
            if watcher is not None:
                watcher.pushed(node, tangent)
    return tangents


def push(node: Node, given: list[Any], view: View | None) -> Any:
    """The tangent of one node's value, from its operands' tangents; None for nothing."""
    op: Any = node.op
    rules = op.frule
    if rules is None:
        raise missing_rule(node, "forward")
    output, residuals, inputs = (node.output, node.residuals, node.inputs) if view is None else view(node)
    static = node.static
    rest = (output, residuals, *inputs) if op.residuals else (output, *inputs)
    if rules is linear_in_all:
        filled = [
            zeros_like(value) if type(tangent) is Zero else tangent
            for tangent, value in zip(given, inputs, strict=True)
        ]
        return fitted_tangent(op(*filled, **static), node)
    if type(rules) is not tuple:
        return fitted_tangent(call_rule(node, "frule", rules, (given, *rest), static), node)
    total: Any = None
    for position, tangent in enumerate(given):
        if type(tangent) is Zero:
            continue
        rule = rules[position] if position < len(rules) else None
        if rule is None:
            raise missing_rule(node, "forward", position)
        part = fitted_tangent(call_rule(node, "frule", rule, (tangent, *rest), static), node)
        total = part if total is None else add(total, part) if part is not None else total
    return total


def zeros_like(value: Any) -> Any:
    """Zeros of the shape and dtype of a value; of float64 for what is no float and so has no tangent."""
    kind = Abstract.of(value)
    return np.zeros(kind.shape, kind.dtype)


def fitted_tangent(part: Any, node: Node) -> Any:
    """A tangent with the shape and dtype of the node's value, or None for nothing; wrong ones are an error."""
    while type(part) is Thunk or type(part) is InplaceableThunk:
        part = part()
    if part is None or type(part) is Zero or type(part) is DoesNotExist:
        return None
    if type(node.output) is tuple:
        if type(part) is not tuple or len(part) != len(node.output):
            raise ShapeError(f"the frule of {node.op.name} must return {len(node.output)} tangents ({node.label()}).")
        pairs = zip(part, node.output, strict=True)
        return tuple(
            zeros_like(value) if type(one) is Zero or one is None else fitted_array(one, value, node)
            for one, value in pairs
        )
    return fitted_array(part, node.output, node)


def fitted_array(part: Any, value: Any, node: Node) -> Any:
    """One tangent, broadcast to the shape of the value it belongs to."""
    op: Any = node.op
    own, expected = Abstract.of(part), Abstract.of(value)
    if own.dtype.kind != "f" and expected.dtype.kind == "f":
        raise DTypeError(f"the frule of {op.name} returned a tangent of dtype {own.dtype} ({node.label()}).")
    if own.shape != expected.shape:
        if not op.elementwise or not broadcasts_to(own.shape, expected.shape):
            raise ShapeError(
                f"the frule of {op.name} returned a tangent of shape {own.shape} for a value of shape "
                f"{expected.shape} ({node.label()})."
            )
        part = np.broadcast_to(part, expected.shape)
    if own.dtype != expected.dtype and expected.dtype.kind == "f":
        if all(Abstract.of(x).dtype == expected.dtype for x in node.inputs if x is not None and type(x) is not tuple):
            raise DTypeError(
                f"the frule of {op.name} returned a tangent of dtype {own.dtype} for a value of dtype "
                f"{expected.dtype} ({node.label()}); rules keep the dtype of what they are given."
            )
        part = part.astype(expected.dtype)
    return part
