"""Along: what runs over one axis inside of native loops: choosing, adding and sorting.

Outside of loops NumPy's own functions run: they are as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tapem.compiler.native.text import Names, Text, at, checked, loops, loops_after
from tapem.core import Node, ShapeDtype


class Along(NamedTuple):
    """How an op is written, and for which operands it can be."""

    lines: Callable[[Names, Node], Text]
    fits: Callable[[Node, Sequence[ShapeDtype]], bool]


def axis_of(node: Node) -> int:
    """The axis, counted from the front; only vectors have none."""
    return (node.static["axis"] or 0) % len(ShapeDtype.of(node.inputs[0]).shape)


def has_axis(node: Node, kinds: Sequence[ShapeDtype]) -> bool:
    """Whether an op runs along an axis of its first operand."""
    return bool(kinds[0].shape) and (node.static["axis"] is not None or len(kinds[0].shape) == 1)


def of_numbers(node: Node, kinds: Sequence[ShapeDtype]) -> bool:
    """The same for numbers whose dtype stays."""
    return has_axis(node, kinds) and kinds[0].dtype == node.dtype and node.dtype.kind != "b"


def of_last_axis(node: Node, kinds: Sequence[ShapeDtype]) -> bool:
    """The same for the last axis of floats."""
    return has_axis(node, kinds) and kinds[0].dtype.kind == "f" and axis_of(node) == len(kinds[0].shape) - 1


def by_indices(node: Node, kinds: Sequence[ShapeDtype]) -> bool:
    """Whether indices choose along an axis, and the other axes are as long."""
    return has_axis(node, kinds) and kinds[1].dtype.kind == "i" and len(kinds[1].shape) == len(kinds[0].shape)


def element(names: Names, node: Node, position: int, indices: Sequence[str]) -> str:
    """An element of an operand, which is broadcast."""
    value, shape = node.inputs[position], ShapeDtype.of(node.inputs[position]).shape
    own = ["0" if size == 1 else index for size, index in zip(shape, indices[len(indices) - len(shape) :], strict=True)]
    parent = node.parents[position]
    assert parent is not None, value
    return names.operand(parent, own)


def indices_of(shape: Sequence[int]) -> list[str]:
    """The names of the indices of loops over a shape."""
    return [f"i{axis}" for axis in range(len(shape))]


def replaced(indices: Sequence[str], axis: int, index: str) -> list[str]:
    """The indices with another one along an axis."""
    return [*indices[:axis], index, *indices[axis + 1 :]]


# -- choosing by indices -----------------------------------------------------------------------------------------------


def _take_along_axis(names: Names, node: Node) -> Text:
    axis, indices = axis_of(node), indices_of(node.shape)
    size = ShapeDtype.of(node.inputs[0]).shape[axis]
    lines = checked(names, "j0", element(names, node, 1, indices), size, node.inputs[1])
    value = element(names, node, 0, replaced(indices, axis, "0" if size == 1 else "j0"))
    return loops(node.shape, [*lines, f"{at(names.name(node.id), indices)} = {value}"])


def _scatter_add(names: Names, node: Node) -> Text:
    axis, out, indices = axis_of(node), names.name(node.id), indices_of(node.shape)
    sizes = [*node.shape[:axis], ShapeDtype.of(node.inputs[1]).shape[axis], *node.shape[axis + 1 :]]
    lines = checked(names, "j0", element(names, node, 1, indices), node.shape[axis], node.inputs[1])
    place = at(out, replaced(indices, axis, "j0"))
    copied = loops(node.shape, [f"{at(out, indices)} = {element(names, node, 0, indices)}"])
    return [*copied, *loops(sizes, [*lines, f"{place} = {place} + {element(names, node, 2, indices)}"])]


def _embedding(names: Names, node: Node) -> Text:
    indices, id = indices_of(node.shape), element(names, node, 1, indices_of(node.shape[:-1]))
    lines = checked(names, "j0", id, ShapeDtype.of(node.inputs[0]).shape[0], node.inputs[1])
    names.may_fail = True
    value = element(names, node, 0, ["j0", indices[-1]])
    lines.append(f"failed |= {id} < 0")
    return loops_after(node.shape, len(indices) - 1, lines, [f"{at(names.name(node.id), indices)} = {value}"])


def _added_rows(names: Names, node: Node) -> Text:
    out, shape = names.name(node.id), ShapeDtype.of(node.inputs[0]).shape
    indices = indices_of(shape)
    lines = checked(names, "j0", element(names, node, 1, indices[:-1]), node.shape[0], node.inputs[1])
    place = at(out, ["j0", indices[-1]])
    zeros = loops(node.shape, [f"{at(out, indices_of(node.shape))} = np.{node.dtype.name}(0)"])
    added = [f"{place} = {place} + {element(names, node, 0, indices)}"]
    return [*zeros, *loops_after(shape, len(shape) - 1, lines, added)]


# -- from first to last ------------------------------------------------------------------------------------------------


def _accumulated(symbol: str) -> Callable[[Names, Node], Text]:
    def lines(names: Names, node: Node) -> Text:
        axis, out, indices = axis_of(node), names.name(node.id), indices_of(node.shape)
        first, later = (replaced(indices, axis, index) for index in ("0", f"1 + i{axis}"))
        before, after = (
            [*node.shape[:axis], size, *node.shape[axis + 1 :]] for size in (1, node.shape[axis] - 1)
        )  # fmt: skip
        value = f"{at(out, indices)} {symbol} {element(names, node, 0, later)}"
        begin = loops(before, [f"{at(out, first)} = {element(names, node, 0, first)}"])
        return begin + (loops(after, [f"{at(out, later)} = {value}"]) if node.shape[axis] > 1 else [])

    return lines


def _extreme(symbol: str) -> Callable[[Names, Node], Text]:
    """The index of the first extreme element, or of the first NaN."""

    def lines(names: Names, node: Node) -> Text:
        shape, axis = ShapeDtype.of(node.inputs[0]).shape, axis_of(node)
        best, place = f"t{names.tag}{node.id}", f"n{names.tag}{node.id}"
        kept = [f"i{number}" for number in range(len(shape) - 1)]
        source = [*kept[:axis], "j0", *kept[axis:]]
        target = at(names.name(node.id), replaced(source, axis, "0") if node.static["keepdims"] else kept)
        value = element(names, node, 0, source)
        inner = [
            f"{best} = {element(names, node, 0, replaced(source, axis, '0'))}",
            f"{place} = 0",
            f"for j0 in range({shape[axis]}):",
            f"    if {value} {symbol} {best} or ({value} != {value} and {best} == {best}):",
            f"        {best} = {value}",
            f"        {place} = j0",
            f"{target} = {place}",
        ]
        return loops([*shape[:axis], *shape[axis + 1 :]], inner)

    return lines


def _sort(names: Names, node: Node) -> Text:
    out, indices = names.name(node.id), indices_of(node.shape)
    copied = loops(node.shape, [f"{at(out, indices)} = {element(names, node, 0, indices)}"])
    return [*copied, *loops(node.shape[:-1], [f"{at(out, indices[:-1])}.sort()"])]


ALONG: Mapping[str, Along] = {
    "added_rows": Along(_added_rows, lambda node, kinds: kinds[0].dtype == node.dtype and kinds[1].dtype.kind == "i"),
    "argmax": Along(_extreme(">"), has_axis),
    "argmin": Along(_extreme("<"), has_axis),
    "cumprod": Along(_accumulated("*"), of_numbers),
    "cumsum": Along(_accumulated("+"), of_numbers),
    "embedding": Along(_embedding, lambda node, kinds: kinds[1].dtype.kind == "i"),
    "permute": Along(_take_along_axis, by_indices),
    "scatter_add": Along(_scatter_add, lambda node, kinds: by_indices(node, kinds) and kinds[0].shape == node.shape),
    "sort": Along(_sort, of_last_axis),
    "take_along_axis": Along(_take_along_axis, by_indices),
}
"""From the name of an op to how it is written."""


__all__ = ["ALONG"]
