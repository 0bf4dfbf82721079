"""Expansion: ops that are a few smaller ones become these, so that other passes see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from tapem.compiler.rewriting import Rewriter, rewritten
from tapem.core import Node
from tapem.ops import add, dot, reshape, transpose
from tapem.transforms import Program


def expand(program: Program) -> Program:
    """Replace the ops of the table."""

    def replace(rewriter: Rewriter, node: Node) -> Any:
        rule = EXPANSIONS.get(getattr(node.op, "name", ""))
        return None if rule is None else rule(rewriter, node, *rewriter.operands(node), **node.static)

    return rewritten(program, replace)


def linear(rewriter: Rewriter, node: Node, weight: Any, bias: Any, x: Any) -> Any:
    """An affine map is a product and a sum; BLAS multiplies matrices, so the axes of examples are one."""
    shape = rewriter.kind(x).shape
    rows = x if len(shape) <= 2 else rewriter.apply(reshape, x, shape=(-1, shape[-1]))
    product = rewriter.apply(cast("Any", dot), rows, rewriter.apply(transpose, weight, axes=None))
    if len(shape) > 2:
        product = rewriter.apply(reshape, product, shape=node.shape)
    return rewriter.apply(add, product, bias)


EXPANSIONS: Mapping[str, Callable[..., Any]] = {"linear": linear}
"""From the name of an op to the smaller ops."""


__all__ = ["EXPANSIONS", "expand"]
