"""Scans: a loop of a program as a loop of native code, whose body is a native function of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tapem.compiler.native.scalars import DTYPES
from tapem.core import LEAF, Node, ShapeDtype, UnknownNumber
from tapem.transforms import Scan, call


def scan_of(node: Node) -> Scan | None:
    """The scan that a node runs, if all of it can be native code but for ops of its body."""
    program: Any = node.static["program"] if node.op is call else None
    if not isinstance(program, Scan) or not program.length:
        return None
    body = program.body
    kinds = [body.nodes[id].output for id in (*body.inputs, *body.outputs)]
    if not all(is_known(kind) and kind.size for kind in kinds):
        return None
    leaves = [body.nodes[id].op is LEAF and id >= len(body.inputs) for id in body.outputs]
    known = all(is_known(kind) for kind in map(kind_of, node.inputs))
    return program if known and not any(leaves) else None


def is_known(kind: Any) -> bool:
    """Whether a value has a shape and a dtype of native code."""
    return type(kind) is ShapeDtype and kind.dtype in DTYPES and -1 not in kind.shape


def kind_of(value: Any) -> Any:
    """Shape and dtype of an operand."""
    return value if isinstance(value, ShapeDtype | UnknownNumber) else ShapeDtype.of(value)


class Names(NamedTuple):
    """What the text of a scan is made of: a number that no other has, and the names of operands and results."""

    number: int
    body: str
    operands: Sequence[str]
    constants: Sequence[str]
    results: Sequence[tuple[int, str]]
    may_be_wide: bool


def scan_text(scan: Scan, names: Names) -> list[str]:
    """The lines of the loop."""
    number, body = names.number, scan.body
    count, xs, length = scan.count, scan.xs, scan.length
    kinds = [ShapeDtype.of(body.nodes[id].output) for id in body.outputs]
    state = [f"c{number}_{position}" for position in range(count)]
    new = [f"o{number}_{position}" for position in range(len(kinds))]
    step = f"t{number}"
    lines = [f"{name} = {operand}" for name, operand in zip(state, names.operands, strict=False)]
    for position, kind in enumerate(kinds[count:], count):
        lines.append(f"y{number}_{position} = np.empty({(length, *kind.shape)}, np.{kind.dtype.name})")
    slices = [f"{x}[{step}]" for x in names.operands[count : count + xs]]
    given = ", ".join([*state, *slices, *names.operands[count + xs :], *names.constants])
    order = f"range({length} - 1, -1, -1)" if scan.reverse else f"range({length})"
    lines.append(f"for {step} in {order}:")
    flag = ["found"] * names.may_be_wide
    lines.append(f"    {', '.join([*new, *flag])}, = {names.body}({given})")
    lines += [f"    wide |= {name}" for name in flag]
    for position, kind in enumerate(kinds[count:], count):
        indices = ", ".join(f"i{axis}" for axis in range(len(kind.shape)))
        for axis, size in enumerate(kind.shape):
            lines.append(f"    {'    ' * axis}for i{axis} in range({size}):")
        inner = "    " * (len(kind.shape) + 1)
        if kind.shape:
            lines.append(f"{inner}y{number}_{position}[{step}, {indices}] = {new[position]}[{indices}]")
        else:
            lines.append(f"{inner}y{number}_{position}[{step}] = {new[position]}")
    lines += [f"    {name} = {value}" for name, value in zip(state, new, strict=False)]
    for position, result in names.results:
        value = state[position] if position < count else f"y{number}_{position}"
        # What the body passes on may be memory of an operand.
        lines.append(
            f"{result} = {value}.copy()" if position < count and kinds[position].shape else f"{result} = {value}"
        )
    return lines


__all__ = ["Names", "scan_of", "scan_text"]
