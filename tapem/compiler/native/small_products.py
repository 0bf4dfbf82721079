"""Small products, of few columns: loops take less time for them than it takes to call for them.

A product of stacks runs over the axes of the stacks, which may be broadcast against each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tapem.compiler.native.moves import at, loops
from tapem.compiler.native.scalars import DTYPES
from tapem.core import Node, ShapeDtype

_SMALL = 512
"""The number of multiplications in a product of two matrices up to which loops multiply them."""


class Elements(Protocol):
    """What a small product needs to know: how values are written."""

    tag: str

    def name(self, id: int) -> str:
        """The array or the number of a node."""
        ...

    def operand(self, id: int, indices: Sequence[str]) -> str:
        """An element of a node at an index of its own axes."""
        ...


def is_small(node: Node) -> bool:
    """Whether loops multiply two matrices, or stacks of them, one of which may be a vector."""
    kinds = [ShapeDtype.of(x) for x in node.inputs]
    if any(kind.dtype != node.dtype or kind.dtype.kind != "f" or kind.dtype not in DTYPES for kind in kinds):
        return False
    if not node.shape or None in node.parents or any(not kind.size for kind in kinds):
        return False
    if min(kind.ndim for kind in kinds) < 1 or (node.op.name == "dot" and max(kind.ndim for kind in kinds) > 2):
        return False
    a, b = (kind.shape for kind in kinds)
    return math.prod(a[-2:]) * (b[-1] if len(b) > 1 else 1) <= _SMALL


def small_product_text(names: Elements, node: Node) -> list[str]:
    """Loops over the stacks, rows `j0`, the axis that is summed `j1`, and columns `j2`; the last add to whole rows."""
    a, b = (ShapeDtype.of(x).shape for x in node.inputs)
    left, right = node.parents
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    stack = [f"i{axis}" for axis in range(len(batch))]
    row, column = ["j0"] * (len(a) > 1), ["j2"] * (len(b) > 1)
    x = names.operand(left, [*of_stack(a, stack), *row, "j1"])  # pyright: ignore[reportArgumentType]
    y = names.operand(right, [*of_stack(b, stack), "j1", *column])  # pyright: ignore[reportArgumentType]
    out, factor = at(names.name(node.id), [*stack, *row, *column]), f"t{names.tag}{node.id}"
    across = [f"for j2 in range({b[-1]}):"] if column else []
    indent = "    " * len(across)
    lines = [*across, f"{indent}{out} = np.{node.dtype.name}(0)", f"for j1 in range({a[-1]}):", f"    {factor} = {x}"]
    lines += [*(f"    {line}" for line in across), f"    {indent}{out} = {out} + {factor} * {y}"]
    if row:
        lines = [f"for j0 in range({a[-2]}):", *(f"    {line}" for line in lines)]
    return loops(batch, lines)


def of_stack(shape: Sequence[int], indices: Sequence[str]) -> Sequence[str]:
    """The index of one matrix of a stack of this shape."""
    own = shape[:-2]
    return indices[len(indices) - len(own) :] if own else []


__all__ = ["is_small", "small_product_text"]
