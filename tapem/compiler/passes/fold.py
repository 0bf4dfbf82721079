"""Constant folding: what depends on constants only is computed once, when the program is written."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.compiler.guards import guard
from tapem.compiler.rewriting import Rewriter, Value, kind_matches, rewritten
from tapem.core import LEAF, Node, Primitive, ShapeDtype, is_several, silently
from tapem.errors import TapeError
from tapem.transforms import Program, call

_LARGEST = 2**20
"""A constant of more bytes than this is not made of smaller ones, such as a number that is repeated."""


def fold(program: Program) -> Program:
    """Compute each node whose operands are all constants, by the op's own implementation.

    An op that refuses its constants stays, so its error is raised when the program runs.
    """

    def replace(rewriter: Rewriter, node: Node) -> Any:
        op: Any = node.op
        if not isinstance(op, Primitive) or op is call or op is guard or type(node.output) is not ShapeDtype:
            return None
        operands = [value_of(rewriter, operand) for operand in rewriter.operands(node)]
        if not operands or any(type(operand) is Value for operand in operands):
            return None
        if node.output.size * node.dtype.itemsize > max(
            _LARGEST, *(np.asarray(operand).nbytes for operand in operands)
        ):
            return None
        try:
            result = silently(op.implementation, *operands, **node.static)
        except (TapeError, *op.refusals):
            return None
        result = result[0] if op.residuals else result
        if is_several(result) or not kind_matches(result, node.output):
            return None
        return rewriter.constant(result) if np.ndim(result) else result

    return rewritten(program, replace)


def value_of(rewriter: Rewriter, operand: Any) -> Any:
    """The value of an operand that is a constant; another operand as it is."""
    if type(operand) is not Value or operand.id < len(rewriter.program.inputs):
        return operand
    node = rewriter.nodes[operand.id]
    return node.output if node.op is LEAF else operand


__all__ = ["fold"]
