"""The displays of a tape, of what it is made of, and of the sweeps over it."""

from __future__ import annotations

from typing import Any

from tapem.core import Node, Primitive, is_several, listed_nodes, node_line, node_type
from tapem.display import Cell, Drawn, Mark, Sheet, Table, shows
from tapem.doors.pure import Ref, Tape
from tapem.seeing.displays.values import folded_value, value_cell
from tapem.seeing.signatures import axes_of, signature_text
from tapem.seeing.steps import Sweep
from tapem.seeing.taping import Taped
from tapem.sweeps import ForwardStep, ReverseStep, sources_of
from tapem.types import short_text

STEPS = 40
"""The number of steps of a sweep that its display shows."""


@shows(Tape)
def tape_sheet(tape: Tape) -> Sheet:
    """The listing of a tape, with values."""
    count = len(tape)
    rows: list[tuple[Cell, ...]] = []
    last = -1
    for node in listed_nodes(tape):
        if node.id != last + 1:
            rows.append(("...", "", f"{node.id - last - 1} more nodes", ""))
        rows.append((f"%{node.id}", node_type(node), node_line(node), folded_value(node.output)))
        last = node.id
    return Sheet(
        f"Tape of {count} node{'' if count == 1 else 's'}", (Table(("", "type", "node", "value"), tuple(rows)),)
    )


@shows(Node)
def node_sheet(node: Node) -> Sheet:
    """What a node holds, and the rules of its op."""
    rows: list[tuple[str, Cell]] = [("type", node_type(node)), ("node", node_line(node))]
    rows.append(("value", folded_value(node.output)))
    rows.append(("gradient", "required" if node.requires_grad else "not required: it is constant"))
    op: Any = node.op
    if isinstance(op, Primitive):
        rows.append(("signature", signature_text(node)))
        rows.append(("axes", "  ".join(f"{name}={size}" for name, size in axes_of(node).items())))
        sources = sources_of(op.rrule, "g") if op.differentiable else ()
        named = len(sources) == len(node.parents) and len(sources) > 1
        rows += [
            (f"rule for {op.operand_name(place)}" if named else "rule", source) for place, source in enumerate(sources)
        ]
    name = "" if node.name is None else f" {node.name!r}"
    return Sheet(f"Node %{node.id}{name}", (Table(("", ""), tuple(row for row in rows if row[1])),))


@shows(Ref)
def ref_sheet(ref: Ref) -> Sheet:
    """The node of a Ref, without its value: a Ref has none."""
    return Sheet(repr(ref), (f"%{ref.id} = {node_line(ref.node)}",))


@shows(Taped)
def taped_sheet(taped: Taped) -> Sheet:
    """The tape of a function, with its inputs and outputs."""
    sheet = tape_sheet(taped.tape)
    ends = (("inputs", short_text(taped.inputs, 400)), ("outputs", short_text(taped.outputs, 400)))
    return Sheet(sheet.title, (*sheet.parts, Table(("", ""), ends)))


@shows(Sweep)
def sweep_sheet(sweep: Sweep) -> Sheet:
    """The steps of a sweep: the rule of each node, the derivative there, and what is handed on."""
    rows = [step_row(step) for step in sweep[:STEPS]]
    if len(sweep) > STEPS:
        rows.append(("...", "", f"{len(sweep) - STEPS} more steps", ""))
    head = ("node", "rule", "cotangent" if sweep.mode == "reverse" else "tangent", "contributions")
    return Sheet(repr(sweep).strip("<>"), (Table(head, tuple(rows)),))


def step_row(step: ReverseStep | ForwardStep) -> tuple[Cell, ...]:
    """The row of a step."""
    line = f"%{step.node.id} = {node_line(step.node)}"
    if step.skipped is not None:
        return (line, "", "", step.skipped)
    derivative = step.cotangent if isinstance(step, ReverseStep) else step.tangent
    way = "to" if isinstance(step, ReverseStep) else "from"
    parts: list[str | Drawn | Mark] = []
    for part in step.contributions:
        value = part.value if not is_several(part.value) else part.value[0]
        parts += ["\n" * bool(parts) + f"{way} %{part.parent} (its {part.operand}):", *value_cell(value)]
    return (line, step.rule, value_cell(derivative), tuple(parts))


__all__ = ["node_sheet", "ref_sheet", "sweep_sheet", "tape_sheet", "taped_sheet"]
