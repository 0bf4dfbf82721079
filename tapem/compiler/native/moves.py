"""Moves: joining, gathering and scattering as native loops that copy elements.

Gathered elements may be out of range, which is an error that a native loop cannot raise: it reads another element and
says so by the flag `failed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tapem.compiler.native.along import ALONG
from tapem.compiler.native.scalars import DTYPES
from tapem.compiler.native.text import Names, Text, at, checked, in_range, loops, loops_after
from tapem.core import Node, ShapeDtype
from tapem.ops import ARRAY, NEW


def move_text(names: Names, node: Node) -> Text:
    """The lines of a move into the array of the node, which is there already."""
    return MOVES[node.op.name](names, node)


def can_move(node: Node) -> bool:
    """Whether a native loop can make the moves of a node."""
    kinds = [ShapeDtype.of(x) for x in node.inputs]
    if None in node.parents or any(kind.dtype not in DTYPES for kind in [*kinds, node.output]):
        return False
    if 0 in node.shape or any(0 in kind.shape for kind in kinds):
        return False
    name = node.op.name
    if name in ("getitem", "scatter"):
        if any(kind.dtype.kind != "i" for kind in kinds[1:]) or (kinds[0].dtype.kind == "b" and name == "scatter"):
            return False
        return NEW not in node.static["at"].parts
    if name == "take":
        axis = node.static["axis"]
        return kinds[1].dtype.kind == "i" and (axis is not None or len(kinds[0].shape) == 1)
    if name in ALONG:
        return ALONG[name].fits(node, kinds)
    return all(kind.dtype == node.dtype for kind in kinds)


def only_in_loops(node: Node) -> bool:
    """Whether a move is native in loops only.

    Its numbers may be out of range, which loops find out (those of constants are looked at here); or NumPy is as fast.
    """
    name = node.op.name
    if name not in ("getitem", "scatter", "take"):
        return name in ALONG
    shape = node.shape if name == "scatter" else ShapeDtype.of(node.inputs[0]).shape
    if name == "take":
        sizes = [shape[node.static["axis"] or 0]]
    else:
        sizes = [shape[axis] for axis in indexed_axes(node.static["at"].parts, len(shape))]
    return not all(map(in_range, node.inputs[1:], sizes))


def indexed_axes(parts: Sequence[object], rank: int) -> list[int]:
    """The axes that are indexed by arrays."""
    axes: list[int] = []
    axis = 0
    for part in parts:
        if part is ARRAY:
            axes.append(axis)
        if part is Ellipsis:
            axis += rank - sum(other is not None and other is not Ellipsis for other in parts)
        else:
            axis += part is not None
    return axes


# -- joining -----------------------------------------------------------------------------------------------------------


def _concat(names: Names, node: Node) -> Text:
    axis, out, start = node.static.get("axis", 0) % len(node.shape), names.name(node.id), 0
    lines: Text = []
    for parent, kind in zip(node.parents, node.inputs, strict=True):
        own = [f"i{number}" for number in range(len(kind.shape))]
        target = [*own]
        if start:
            target[axis] = f"{start} + i{axis}"
        lines += loops(kind.shape, [f"{at(out, target)} = {names.operand(parent, own)}"])  # pyright: ignore
        start += kind.shape[axis]
    return lines


def _stack(names: Names, node: Node) -> Text:
    axis, out = node.static["axis"] % len(node.shape), names.name(node.id)
    lines: Text = []
    for number, parent in enumerate(node.parents):
        shape = ShapeDtype.of(node.inputs[number]).shape
        own = [f"i{position}" for position in range(len(shape))]
        target = [*own[:axis], str(number), *own[axis:]]
        lines += loops(shape, [f"{at(out, target)} = {names.operand(parent, own)}"])  # pyright: ignore
    return lines


# -- gathering and scattering ------------------------------------------------------------------------------------------


class Selection:
    """Which element of an array of `shape` belongs to each element of the selected array.

    `lines` compute the numbers out of the index arrays, inside of `depth` loops; `source` is the index.
    """

    def __init__(self, names: Names, node: Node, shape: Sequence[int]) -> None:
        """Of a `getitem` or `scatter`."""
        parts = list(node.static["at"].parts)
        used = sum(part is not None and part is not Ellipsis for part in parts)
        fill = [slice(None)] * (len(shape) - used)
        if Ellipsis in parts:
            place = parts.index(Ellipsis)
            parts[place : place + 1] = fill
        else:
            parts += fill
        arrays = iter(zip(node.parents[1:], node.inputs[1:], strict=True))
        advanced = [part is ARRAY or (ARRAY in parts and isinstance(part, int)) for part in parts]
        shapes = [ShapeDtype.of(x).shape for x in node.inputs[1:]]
        rank = len(np.broadcast_shapes(*shapes)) if shapes else 0
        places = [number for number, flag in enumerate(advanced) if flag]
        together = not places or places[-1] - places[0] + 1 == len(places)
        self.lines: Text = []
        self.source: list[str] = []
        axis, first = 0, None
        if places and not together:
            axis, first = rank, 0
        for number, part in enumerate(parts):
            if advanced[number] and first is None:
                first = axis
                axis += rank
            self.depth = 0 if first is None else first + rank
            if part is None:
                axis += 1
            elif isinstance(part, slice):
                start, _, step = part.indices(shape[len(self.source)])
                text = f"i{axis}" if step == 1 else f"{step} * i{axis}"
                self.source.append(f"{start} + {text}" if start else text)
                axis += 1
            elif part is ARRAY:
                parent, kind = next(arrays)
                assert parent is not None
                size, dims = shape[len(self.source)], ShapeDtype.of(kind).shape
                last = (first or 0) + rank
                own = ["0" if n == 1 else f"i{last - len(dims) + k}" for k, n in enumerate(dims)]
                self.source.append(f"j{len(self.source)}")
                self.lines += checked(names, self.source[-1], names.operand(parent, own), size, kind)
            else:
                self.source.append(str(part % shape[len(self.source)]))


def _gather(names: Names, node: Node) -> Text:
    kind = ShapeDtype.of(node.inputs[0])
    selection = Selection(names, node, kind.shape)
    target = at(names.name(node.id), [f"i{axis}" for axis in range(len(node.shape))])
    line = f"{target} = {names.operand(node.parents[0], selection.source)}"  # pyright: ignore
    return loops_after(node.shape, selection.depth, selection.lines, [line])


def _scatter(names: Names, node: Node) -> Text:
    out, kind = names.name(node.id), ShapeDtype.of(node.inputs[0])
    selection = Selection(names, node, node.shape)
    value = names.operand(node.parents[0], [f"i{axis}" for axis in range(len(kind.shape))])  # pyright: ignore
    place = at(out, selection.source)
    before = f"np.{node.dtype.name}(0)" if len(node.parents) == 1 else place  # 0 + -0.0 is 0
    return [
        *zeros(node, out),
        *loops_after(kind.shape, selection.depth, selection.lines, [f"{place} = {before} + {value}"]),
    ]


def zeros(node: Node, out: str) -> Text:
    """Zeros where nothing is written, if that is easily said, or else everywhere."""
    zero, places = f"np.{node.dtype.name}(0)", [f"i{axis}" for axis in range(len(node.shape))]
    parts = node.static["at"].parts
    if len(node.parents) == 1 and len(parts) == 1 and isinstance(parts[0], slice | int):
        size = node.shape[0]
        rows = range(size)[parts[0]]
        first, end = (rows.start, rows.stop) if isinstance(rows, range) else (rows, rows + 1)
        if not isinstance(rows, range) or rows.step == 1:
            lines: Text = []
            for before, count in ((0, first), (end, size - end)):
                own = [f"{before} + i0" if before else "i0", *places[1:]]
                lines += loops((count, *node.shape[1:]), [f"{at(out, own)} = {zero}"]) if count else []
            return lines
    return loops(node.shape, [f"{at(out, places)} = {zero}"])


def _take(names: Names, node: Node) -> Text:
    kind, indices = (ShapeDtype.of(x) for x in node.inputs)
    axis = (node.static["axis"] or 0) % len(kind.shape)
    rank = len(indices.shape)
    own = [f"i{axis + number}" for number in range(rank)]
    index = names.operand(node.parents[1], own)  # pyright: ignore
    lines = checked(names, "j0", index, kind.shape[axis], node.inputs[1])
    source = [
        "j0" if number == axis else f"i{number if number < axis else number + rank - 1}"
        for number in range(len(kind.shape))
    ]
    target = at(names.name(node.id), [f"i{number}" for number in range(len(node.shape))])
    value = names.operand(node.parents[0], source)  # pyright: ignore
    return loops_after(node.shape, axis + rank, lines, [f"{target} = {value}"])


MOVES: Mapping[str, Callable[[Names, Node], Text]] = {
    "concat": _concat,
    "concat_vectors": _concat,
    "getitem": _gather,
    "scatter": _scatter,
    "stack": _stack,
    "take": _take,
    **{name: along.lines for name, along in ALONG.items()},
}
"""From the name of an op to its lines."""


__all__ = ["MOVES", "can_move", "move_text", "only_in_loops"]
