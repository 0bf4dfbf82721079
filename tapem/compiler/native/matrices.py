"""Matrices: the lines of products, by native tiles, by loops or by BLAS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from tapem.compiler.native.access import Access, is_plain, is_turned
from tapem.compiler.native.moves import loops
from tapem.compiler.native.products import room
from tapem.compiler.native.scalars import literal
from tapem.compiler.native.small_products import is_small, small_product_text
from tapem.compiler.passes import sizes_of
from tapem.core import Node, ShapeDtype
from tapem.transforms import Program


class Values(Protocol):
    """What a product needs to know: how values are written."""

    program: Program
    views: Mapping[int, Access]
    room: dict[str, int]
    tag: str

    def name(self, id: int) -> str:
        """The array or the number of a node."""
        ...

    def value(self, id: int) -> str:
        """The same; what another function made is an argument."""
        ...

    def operand(self, id: int, indices: Sequence[str]) -> str:
        """An element of a node at an index of its own axes."""
        ...

    def copied(self, id: int, access: Access) -> str:
        """A view copied into an array of its own."""
        ...


def product_text(values: Values, node: Node) -> list[str]:
    """The lines of a product into the array of the node, which is there already, or of a number."""
    sizes = sizes_of(node)
    if sizes is not None:
        return by_tiles(values, node, *sizes)
    return small_product_text(values, node) if is_small(node) else by_blas(values, node)


def by_tiles(values: Values, node: Node, m: int, k: int, n: int) -> list[str]:
    """A native product, or a loop of them over stacks; views are read where they are."""
    batch = node.shape[:-2]
    operands = [matrix_at(values, parent, batch) for parent in node.parents[:2]]
    starts = [f"i{axis} * {m * n * int(np.prod(batch[axis + 1 :]))}" for axis in range(len(batch))]
    result = f"({values.name(node.id)}, {' + '.join(starts) or 0}, {n})"
    work = f"w{8 * node.dtype.itemsize}"  # for all products of the function
    values.room[work] = max(room(m, k, node.dtype.itemsize), values.room.get(work, 0))
    rest = f"{result}, {m}, {k}, {n}, {work}"
    if node.op.name != "product_and_sum":
        return loops(batch, [f"product({operands[0]}, {operands[1]}, {rest})"])
    first, sign = matrix_at(values, node.parents[2], ()), "-" * node.static["negative"]
    number, kind = node.parents[3], f"np.{node.dtype.name}"
    factor = literal(node.inputs[3], node.dtype) if number is None else f"{kind}({values.value(number)})"
    return [f"product_and_sum({operands[0]}, {operands[1]}, {first}, {sign}{factor}, {rest})"]


def matrix_at(values: Values, id: int | None, batch: Sequence[int]) -> str:
    """A matrix, or one out of a stack: its array, the place of its first element, the steps of rows and columns.

    The rows of a vector are all the same.
    """
    assert id is not None
    access, shape = values.views[id], values.program.nodes[id].shape
    start, steps = access.strides(values.program.nodes[access.base].shape, shape)
    steps = [0, *steps] if len(steps) == 1 else steps
    shift = len(batch) + 2 - len(shape)
    moves = [f"i{shift + axis} * {step}" for axis, step in enumerate(steps[:-2]) if step]
    at = " + ".join([*moves, *([str(start)] if start or not moves else [])])
    return f"({values.value(access.base)}, {at}, {steps[-2]}, {steps[-1]})"


def by_blas(values: Values, node: Node) -> list[str]:
    """A product by BLAS, or a loop of them; operands are copied unless their last axes are in order, or exchanged."""
    operands = [matrix(values, parent) for parent in node.parents]
    out = values.name(node.id)
    shapes = [ShapeDtype.of(x).shape for x in node.inputs]
    if not node.shape:
        return [f"{out} = np.dot({operands[0]}, {operands[1]})"]
    if len(shapes[0]) <= 2:
        return [f"np.dot({operands[0]}, {operands[1]}, {out})"]
    count = int(np.prod(shapes[0][:-2]))
    stacks = [f"{out}.reshape({(count, *node.shape[-2:])})"]
    for text, (*_, rows, columns) in zip(operands, shapes, strict=True):
        turned = text.endswith(".T")
        shape = (count, columns, rows) if turned else (count, rows, columns)
        stacks.append(f"{text.removesuffix('.T')}.reshape({shape})")
    turns = ["", *(".T" if text.endswith(".T") else "" for text in operands)]
    names = [f"s{values.tag}{node.id}_{number}" for number in range(3)]
    o, x, y = (f"{name}[i]{turn}" for name, turn in zip(names, turns, strict=True))
    views = [f"{name} = {stack}" for name, stack in zip(names, stacks, strict=True)]
    return [*views, f"for i in range({count}):", f"    np.dot({x}, {y}, {o})"]


def matrix(values: Values, id: int | None) -> str:
    """An operand of a product, with `.T` if its last two axes are exchanged in memory."""
    assert id is not None
    access, shape = values.views[id], values.program.nodes[id].shape
    rank, base = len(shape), values.program.nodes[access.base]
    if is_plain(access, rank) and base.shape == shape:
        return values.value(access.base)
    if is_turned(access, rank) and base.shape == (*shape[:-2], shape[-1], shape[-2]):
        return f"{values.value(access.base)}.T"
    return values.copied(id, access)


__all__ = ["product_text"]
