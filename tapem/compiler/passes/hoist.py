"""Hoisting: constant arrays become nodes, so that an engine meets them in one place only."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.compiler.passes.common import constant_key
from tapem.compiler.rewriting import Rewriter, Value, rewritten
from tapem.core import LEAF, Node
from tapem.transforms import Program


def hoist(program: Program) -> Program:
    """Make a leaf of every constant array that has axes; equal ones are one."""
    seen: dict[Any, Value] = {}

    def leaf(rewriter: Rewriter, array: Any) -> Value:
        key = constant_key(array)
        known = seen.get(key)
        if known is None:
            known = seen[key] = rewriter.constant(array)
        return known

    def replace(rewriter: Rewriter, node: Node) -> Any:
        if node.op is LEAF:
            return leaf(rewriter, node.output)
        operands = rewriter.operands(node)
        if not any(isinstance(x, np.ndarray) and x.ndim for x in operands):
            return None
        moved = [leaf(rewriter, x) if isinstance(x, np.ndarray) and x.ndim else x for x in operands]
        return rewriter.put(node.op, moved, node.static, node.output)

    return rewritten(program, replace)
