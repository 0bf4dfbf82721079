"""The typed signature of an op at a node, with what its axes are there."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.core import Node, Primitive, is_several
from tapem.types import Operand


def signature_text(node: Node) -> str:
    """The signature of a node's op; "" for a leaf."""
    return repr(node.op.signature) if isinstance(node.op, Primitive) else ""


def axes_of(node: Node) -> dict[str, str]:
    """The sizes of the named axes of an op's signature at a node.

    >>> import tapem as tm
    >>> taped = tm.tape_of(tm.bmm, np.ones((5, 2, 3)), np.ones((5, 3, 4)))
    >>> axes_of(taped.tape[2])
    {'batch': '5', 'n': '2', 'k': '3', 'm': '4'}
    """
    if not isinstance(node.op, Primitive):
        return {}
    found: dict[str, str] = {}
    for operand, value in zip(node.op.signature.operands, node.inputs, strict=False):
        if value is not None and not operand.variadic and not is_several(value):
            found |= bound(operand, tuple(np.shape(value)))
    return found


def bound(operand: Operand, shape: tuple[int, ...]) -> dict[str, str]:
    """The axes of one operand: of the first of its annotations that has as many axes as the shape."""
    for leaf in operand.leaves:
        axes = str(getattr(leaf, "dim_str", "")).split()
        several = [index for index, axis in enumerate(axes) if axis.startswith("*") or axis == "..."]
        if len(several) > 1 or len(shape) < len(axes) - len(several) or (not several and len(shape) != len(axes)):
            continue
        if several:
            place = several[0]
            count = len(shape) - len(axes) + 1
            shape_of: list[Any] = [*shape[:place], shape[place : place + count], *shape[place + count :]]
        else:
            shape_of = list(shape)
        names = [axis.strip("*#?") for axis in axes]
        return {name: str(size) for name, size in zip(names, shape_of, strict=True) if name.isidentifier()}
    return {}


__all__ = ["axes_of", "signature_text"]
