"""Products with equal numbers: a matrix times a vector of ones is a sum, which fuses with what is around it."""

from __future__ import annotations

from typing import Any

from tapem.compiler.passes.simplify import number_in
from tapem.compiler.rewriting import Rewriter, rewritten
from tapem.core import Node, ShapeDtype
from tapem.ops import mul
from tapem.ops import sum as sum_
from tapem.transforms import Program


def uniform(program: Program) -> Program:
    """Write products of arrays with vectors of equal numbers as sums."""

    def replace(rewriter: Rewriter, node: Node) -> Any:
        name = getattr(node.op, "name", "")
        if name not in ("dot", "matmul") or node.dtype.kind != "f":
            return None
        operands = rewriter.operands(node)
        kinds = [ShapeDtype.of(rewriter.kind(x)) for x in operands]
        for vector, axis in ((1, -1), (0, -2)):
            x = operands[1 - vector]
            if kinds[vector].ndim != 1 or kinds[1 - vector].ndim < 2 or kinds[1 - vector].dtype != node.dtype:
                continue
            number = number_in(rewriter, operands[vector])
            if number is not None and kinds[vector].size:
                # The factor comes first, since the sum may overflow where the product does not.
                terms = x if number == 1 else rewriter.apply(mul, x, node.dtype.type(number))
                return rewriter.apply(sum_, terms, axis=axis)
        return None

    return rewritten(program, replace)


__all__ = ["uniform"]
