"""A sweep as data: one immutable step for each node, from what a watcher saw of the real sweep.

A step tells what a reader would write beside the node on paper: the rule, the derivative that arrives, what is handed
on to whom, and the sums so far. A node that the sweep does not visit has a step too, which says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from tapem.core import LEAF, Node, ShapeDtype, is_several, pick
from tapem.sweeps.forward import push
from tapem.sweeps.rule_numbers import with_numbers
from tapem.sweeps.rule_source import sources_of
from tapem.tangents import Thunk, Zero, add

_NOTHING: Mapping[int, Any] = MappingProxyType({})


class Contribution(NamedTuple):
    """What passes between a node and one of its parents: in reverse mode to the parent, in forward mode from it.

    `operand` names the op's argument that the parent is, `rule` is the source text of the rule for it, and `numbers`
    the same text with the values put in. `running` is the sum at its receiver, this contribution included.
    """

    parent: int
    operand: str
    rule: str
    numbers: str
    value: Any
    running: Any


class ReverseStep(NamedTuple):
    """One node of a reverse sweep: the cotangent that arrives at it, and what it contributes to its parents.

    `running` maps each of those parents to the sum of its contributions so far. `skipped` says why the sweep does not
    visit the node; it is None if it does.
    """

    node: Node
    rule: str
    cotangent: Any
    contributions: tuple[Contribution, ...]
    running: Mapping[int, Any]
    skipped: str | None


class ForwardStep(NamedTuple):
    """One node of a forward sweep: the tangent of its value, and what each parent's tangent contributes to it.

    `running` maps the node to its tangent. `skipped` says why the node has no tangent; it is None if it has one.
    """

    node: Node
    rule: str
    tangent: Any
    contributions: tuple[Contribution, ...]
    running: Mapping[int, Any]
    skipped: str | None


class Notes:
    """A watcher that keeps what a reverse sweep over some nodes hands on: (position, cotangent, contribution) by node.

    A rule may sweep over nodes of its own, as those of `call` and `scan` do; what they hand on is not kept.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Start with nothing seen."""
        self.nodes = nodes
        self.seen: dict[int, list[tuple[int, Any, Any]]] = {}

    def recorded(self, node: Node) -> None:
        """Do nothing: a sweep over arrays records nothing."""

    def pushed(self, node: Node, tangent: Any, nodes: Sequence[Node]) -> None:
        """Do nothing: a reverse sweep pushes no tangents."""

    def contributed(self, node: Node, cotangent: Any, position: int, contribution: Any, nodes: Sequence[Node]) -> None:
        """Keep one contribution."""
        if node.id < len(self.nodes) and self.nodes[node.id] is node:
            self.seen.setdefault(node.id, []).append((position, cotangent, contribution))


def reverse_steps_of(
    nodes: Sequence[Node], notes: Notes, cotangents: Mapping[int, Any], last: int
) -> Iterator[ReverseStep]:
    """Yield the steps of a reverse sweep from the nodes up to `last`, which it left in `notes` and `cotangents`."""
    sums: dict[int, Any] = {}
    needed: set[int | None] = {last}  # the parents of all nodes that were visited
    for node in reversed(nodes):
        seen = notes.seen.get(node.id, ())
        cotangent = seen[0][1] if seen else cotangents.get(node.id)
        if cotangent is None:
            yield ReverseStep(node, "", None, (), _NOTHING, why_not_reached(node, last, needed))
            continue
        needed.update(node.parents)
        rules = rules_of(node, "rrule", "g")
        contributions: list[Contribution] = []
        if node.op is pick:  # hands its cotangent to a slot of the node that has several results
            parent = node.parents[0]
            assert parent is not None
            contributions.append(Contribution(parent, "results", rules[0], "", cotangent, cotangent))
        for position, _, part in seen:
            parent = node.parents[position]
            assert parent is not None
            sums[parent] = add(sums[parent], part) if parent in sums else part
            rule = rules[position if len(rules) > 1 else 0]
            numbers = with_numbers(node, "rrule", position, cotangent)
            contributions.append(Contribution(parent, name_of(node, position), rule, numbers, part, sums[parent]))
        running = MappingProxyType({part.parent: part.running for part in contributions})
        yield ReverseStep(node, rule_line(node, rules), cotangent, tuple(contributions), running, None)


def forward_steps_of(nodes: Sequence[Node], tangents: Mapping[int, Any], given: set[int]) -> Iterator[ForwardStep]:
    """Yield the steps of a forward sweep that left its tangents in `tangents`; those of the ids in `given` began it."""
    for node in nodes:
        tangent = tangents.get(node.id)
        if tangent is None:
            yield ForwardStep(node, "", None, (), _NOTHING, why_without_tangent(node, tangents))
            continue
        rules = () if node.id in given else rules_of(node, "frule", "t")
        contributions: list[Contribution] = []
        total: Any = None
        for position, parent in enumerate(node.parents if rules else ()):
            arriving = None if parent is None else tangents.get(parent)
            if parent is None or arriving is None:
                continue
            alone = [arriving if other == position else Zero() for other in range(len(node.parents))]
            part = push(node, alone, None)
            if part is None:
                continue
            part = forced(part)
            total = part if total is None else tuple(map(add, total, part)) if is_several(part) else add(total, part)
            rule = rules[position if len(rules) > 1 else 0]
            numbers = with_numbers(node, "frule", position, arriving)
            contributions.append(Contribution(parent, name_of(node, position), rule, numbers, part, total))
        running = MappingProxyType({node.id: tangent})
        yield ForwardStep(node, rule_line(node, rules), tangent, tuple(contributions), running, None)


def forced(part: Any) -> Any:
    """A tangent whose thunks are computed."""
    if is_several(part):
        return tuple(map(forced, part))
    return part() if type(part) is Thunk else part


def rules_of(node: Node, mode: str, change: str) -> tuple[str, ...]:
    """The texts of a node's rules: one per operand, or a single one for all of them; none for a leaf."""
    if node.op is LEAF:
        return ()
    if node.op is pick:
        return (f"{change}, in the slot of result {node.static['index']}",)
    return sources_of(getattr(node.op, mode), change)


def rule_line(node: Node, rules: Sequence[str]) -> str:
    """The rules of a node in one line, each with the name of its operand if there are several."""
    if len(rules) < 2:
        return "".join(rules)
    return ", ".join(f"{name_of(node, position)}: {rule}" for position, rule in enumerate(rules))


def name_of(node: Node, position: int) -> str:
    """The name of the op's argument at this position."""
    op: Any = node.op
    return op.operand_name(position)


def why_not_reached(node: Node, last: int, needed: set[int | None]) -> str:
    """Why no cotangent arrives at a node."""
    if node.id > last:
        return "it comes after the output"
    if not node.requires_grad:
        return "it is constant: it depends on no leaf that requires a gradient"
    if node.id in needed:
        return "every contribution to it is zero"
    return "the output does not depend on it"


def why_without_tangent(node: Node, tangents: Mapping[int, Any]) -> str:
    """Why a node has no tangent."""
    if node.op is LEAF:
        return "no tangent is given for it"
    if isinstance(node.output, ShapeDtype) or node.requires_grad:
        reached = any(parent in tangents for parent in node.parents)
        return "its tangent is zero" if reached else "it depends on no leaf that has a tangent"
    return "it is constant: it depends on no leaf that requires a gradient"


__all__ = ["Contribution", "ForwardStep", "Notes", "ReverseStep", "forward_steps_of", "reverse_steps_of"]
