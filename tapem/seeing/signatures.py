"""The typed signature of an op at a node, with what its axes are there."""

from __future__ import annotations

import numpy as np

from tapem.core import Node, Primitive, is_several
from tapem.types import axis_sizes


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
            found |= axis_sizes(operand, tuple(np.shape(value)))
    return found


__all__ = ["axes_of", "signature_text"]
