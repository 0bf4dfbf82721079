"""Forward mode: one fold over a tape, from its beginning to its end.

For every node that a tangent reaches, its op's `frule` computes the tangent of its value.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

from tapem.core import Node, ShapeDtype, Watcher, linear_in_all, pick
from tapem.errors import ShapeError
from tapem.sweeps.broadcasting import zeros_of
from tapem.sweeps.fitting import fitted, materialized
from tapem.sweeps.reverse import View
from tapem.sweeps.rule_errors import call_rule, missing_rule, rule_failed, rule_text
from tapem.tangents import Thunk, Zero, add

_ZERO = Zero()


def forward(
    nodes: Sequence[Node],
    tangents: MutableMapping[int, Any],
    last: int,
    *,
    outputs: Sequence[int] = (),
    view: View | None = None,
    watcher: Watcher | None = None,
) -> MutableMapping[int, Any]:
    """Push tangents forward through the nodes with id <= last; fills and returns the given mapping `tangents`.

    `view` says how the rules see a node's values; by default as the arrays that it holds. `watcher` is notified of
    every tangent. If a rule returns a `Thunk` for one of several results, the thunk is called only if another node
    needs that result, or if the result is among the `outputs`: an unused tangent need not exist.

    Raises NoRuleError where an op on the way has no rule, ShapeError or DTypeError where a rule returns a tangent that
    does not fit the op's value.
    """
    if not tangents:
        return tangents
    reached = tangents.keys()
    waiting: set[int] = set()  # picks whose tangent is a thunk

    def settle(ids: Iterable[int | None]) -> None:
        for id in waiting.intersection(ids):
            waiting.remove(id)
            tangent = fitted_tangent(tangents.pop(id), nodes[id])
            if tangent is not None:
                tangents[id] = tangent
                if watcher is not None:
                    watcher.pushed(nodes[id], tangent, nodes)

    for index in range(min(tangents) + 1, last + 1):
        node = nodes[index]
        if index in reached or not node.requires_grad or reached.isdisjoint(node.parents):
            continue
        if waiting:
            settle(node.parents)
        if node.op is pick:
            part = tangents[node.parents[0]][node.static["index"]]  # type: ignore[index]  # reached, so it is an id
            if type(part) is Thunk:
                waiting.add(index)
                tangents[index] = part
                continue
        given = [_ZERO if parent is None else tangents.get(parent, _ZERO) for parent in node.parents]
        tangent = push(node, given, view)
        if tangent is not None:
            tangents[index] = tangent
            if watcher is not None:
                known = (
                    tuple(part for part in tangent if type(part) is not Thunk) if type(tangent) is tuple else tangent
                )
                watcher.pushed(node, known, nodes)
    settle(outputs)
    for id in waiting:
        del tangents[id]
    return tangents


def push(node: Node, given: Sequence[Any], view: View | None) -> Any:
    """The tangent of one node's value, from its operands' tangents; None for a zero tangent."""
    op: Any = node.op
    rules = op.frule
    if rules is None:
        raise missing_rule(node, "forward")
    output, residuals, inputs = (node.output, node.residuals, node.inputs) if view is None else view(node)[:3]
    static = node.static
    rest = (output, residuals, *inputs) if op.residuals else (output, *inputs)
    if rules is linear_in_all:
        filled = [
            zeros_of(value, writeable=False) if type(tangent) is Zero else tangent
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
        try:
            part = rule(tangent, *rest, **static)
        except Exception as error:
            rule_failed(node, "frule", error, position)
        part = fitted_tangent(part, node, position)
        if part is not None:
            total = part if total is None else tuple(map(add, total, part)) if type(part) is tuple else add(total, part)
    return total


def fitted_tangent(part: Any, node: Node, position: int | None = None) -> Any:
    """A tangent with the shape and dtype of the node's value, or None for zero; raises an error if it does not fit."""
    output = node.output
    if type(output) is not tuple:
        return fitted(part, output, node, "frule", position)
    if type(part) is not tuple:
        if materialized(part, ShapeDtype.of(output[0]), node, "frule", position) is None:
            return None
    elif len(part) == len(output):
        # A thunk waits until a node picks its result; if no node does, the tangent need not exist.
        parts = [
            one if type(one) is Thunk else fitted(one, value, node, "frule", position)
            for one, value in zip(part, output, strict=True)
        ]
        return tuple(Zero() if one is None else one for one in parts)
    raise ShapeError(
        f"the {rule_text(node, 'frule', position)} must return a tuple of {len(output)} tangents, one per result "
        f"({node.label()})."
    )
