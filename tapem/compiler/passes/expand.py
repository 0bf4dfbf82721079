"""Expansion: ops that are a few smaller ones become these, so that an engine can fuse and simplify them.

The smaller ops are written as NumPy, and traced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tapem.compiler.guards import Guarded, guard
from tapem.compiler.passes.checks import CHECKS
from tapem.compiler.passes.parts import AFFINE, LABELED, PARTS, can_be_taken_apart
from tapem.compiler.rewriting import Rewriter, Value, rewritten
from tapem.compiler.tracing import traced
from tapem.core import Node, Primitive, ShapeDtype, Static, pick, tree_leaves, tree_unflatten
from tapem.transforms import Kept, Program, Pulled, kept, pulled


def expand(program: Program) -> Program:
    """Take apart what every engine computes better in parts: an affine map is a product and a sum."""
    return expanded(program, AFFINE)


def expand_labeled(program: Program) -> Program:
    """Take apart the losses of labels, which are then written into buffers."""
    return expanded(program, LABELED)


def expand_all(program: Program) -> Program:
    """Take apart all ops of the table, and those that they are made of, for engines that fuse elementwise ops."""
    table = {**AFFINE, **PARTS}
    for _ in range(_DEEPEST):
        if not any(parts_known(node, table) for node in program.nodes):
            break
        program = expanded(program, table)
    return program


_DEEPEST = 4
"""How often parts have parts: multi_head_attention is made of attention_weights."""


def expanded(program: Program, table: Mapping[str, Callable[..., Any] | None]) -> Program:
    """Replace the ops of a table; None stands for the op's own implementation, which tracers can run."""

    def replace(rewriter: Rewriter, node: Node) -> Any:
        op: Any = node.op
        if op is pick and type(whole := rewriter.values.get(node.parents[0])) is tuple:  # pyright: ignore
            return whole[node.static["index"]]
        if not parts_known(node, table):
            return None
        operands, static = rewriter.operands(node), node.static
        if op is pulled:
            return inlined(rewriter, static["what"], operands, {})
        if op is kept:
            what: Kept = static["what"]
            add_check(rewriter, what.op, what.operands(operands), what.static)
            part = table[what.op.name] or what.op.implementation
            kept_of = lambda *xs: tree_leaves(part(*what.operands(xs), **what.static)[1])[what.leaf]  # noqa: E731
            return inlined(rewriter, kept_of, operands, {})
        add_check(rewriter, op, operands, static)
        part = table[op.name] or op.implementation
        return inlined(rewriter, lambda *xs, **own: value_of(op, part(*xs, **own)), operands, static)

    return rewritten(program, replace)


def parts_known(node: Node, table: Mapping[str, Callable[..., Any] | None]) -> bool:
    """Whether a node can be taken apart: its op is in the table, and it computes with float32 or float64."""
    op: Any = node.op
    static, inputs = node.static, node.inputs
    if op is kept or op is pulled:
        what: Kept | Pulled = static["what"]
        op, static, inputs = what.op, what.static, inputs if isinstance(what, Pulled) else what.operands(inputs)
    if not isinstance(op, Primitive) or op.name not in table:
        return False
    kinds = [ShapeDtype.of(x) for x in inputs if x is not None]
    if not can_be_taken_apart(op.name, table[op.name], static, kinds):
        return False
    known = all(min(k.shape, default=1) > 0 and (k.dtype.kind in "biu" or k.dtype in _FLOATS) for k in kinds)
    return known and kinds[0].dtype.kind == "f"


_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def value_of(op: Primitive, result: Any) -> Any:
    """The value in what an implementation returns."""
    return result[0] if op.residuals else result


def inlined(rewriter: Rewriter, parts: Callable[..., Any], operands: list[Any], static: Mapping[str, Any]) -> Any:
    """The value of a function of some operands, written into the new program op by op."""
    values = [x for x in operands if type(x) is Value]

    def call(tracers: list[Any]) -> Any:
        found = iter(tracers)
        return parts(*(next(found) if type(x) is Value else x for x in operands), **static)

    result = traced(call, [rewriter.kind(value) for value in values], "expand")
    assert result is not None
    if result.structure.num_leaves == 0:
        return None
    inner, places = result.program, dict[int, Any](zip(range(len(values)), values, strict=True))
    for node in inner.nodes[len(values) :]:
        if not node.parents:
            places[node.id] = rewriter.constant(node.output)
            continue
        own = [x if p is None else places[p] for p, x in zip(node.parents, node.inputs, strict=True)]
        places[node.id] = rewriter.put(node.op, own, node.static, node.output)
    return tree_unflatten(result.structure, [places[id] for id in inner.outputs])


def add_check(rewriter: Rewriter, op: Primitive, operands: list[Any], static: Static) -> None:
    """Check the values that an op would refuse: a hidden output."""
    check = CHECKS.get(op.name)
    fine = None if check is None else inlined(rewriter, check, operands, static)
    if fine is not None:
        rewriter.hidden.append(rewriter.apply(guard, fine, *operands, what=Guarded(op, static)))


__all__ = ["expand", "expand_all", "expand_labeled"]
