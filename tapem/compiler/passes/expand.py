"""Expansion: ops that are a few smaller ones become these, so that an engine can fuse and simplify them.

The smaller ops are written as NumPy, and traced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tapem.compiler.guards import Guarded, guard
from tapem.compiler.rewriting import Rewriter, Value, rewritten
from tapem.compiler.tracing import traced
from tapem.core import Node, Primitive, ShapeDtype, tree_unflatten
from tapem.transforms import Kept, Program, kept


def expand(program: Program) -> Program:
    """Take apart what every engine computes better in parts: an affine map is a product and a sum."""
    return expanded(program, AFFINE)


def expand_all(program: Program) -> Program:
    """Take apart all ops of the table, for engines that fuse elementwise ops."""
    return expanded(program, {**AFFINE, **PARTS})


def expanded(program: Program, table: Mapping[str, Callable[..., Any] | None]) -> Program:
    """Replace the ops of a table; None stands for the op's own implementation, which tracers can run."""

    def replace(rewriter: Rewriter, node: Node) -> Any:
        op: Any = node.op
        if op is kept:
            what: Kept = node.static["what"]
            return inlined(rewriter, what, rewriter.operands(node), {}) if what.op.name in table else None
        if not isinstance(op, Primitive) or op.name not in table:
            return None
        if op.name in GUARDED:
            guard_labels(rewriter, node)
        parts = table[op.name] or (lambda *xs, **static: value_of(op, op.implementation(*xs, **static)))
        return inlined(rewriter, parts, rewriter.operands(node), node.static)

    return rewritten(program, replace)


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
    inner, places = result.program, dict[int, Any](zip(range(len(values)), values, strict=True))
    for node in inner.nodes[len(values) :]:
        if not node.parents:
            places[node.id] = rewriter.constant(node.output)
            continue
        own = [x if p is None else places[p] for p, x in zip(node.parents, node.inputs, strict=True)]
        places[node.id] = rewriter.put(node.op, own, node.static, node.output)
    return tree_unflatten(result.structure, [places[id] for id in inner.outputs])


# -- the smaller ops ---------------------------------------------------------------------------------------------------


def linear(weight: Any, bias: Any, x: Any) -> Any:
    """A product of matrices, with all axes of examples as one, and a sum."""
    *batch, width = np.shape(x)
    rows = x if len(batch) <= 1 else np.reshape(x, (math.prod(batch), width))
    product = np.dot(rows, np.transpose(weight))
    return (product if len(batch) <= 1 else np.reshape(product, (*batch, np.shape(weight)[0]))) + bias


def softmax(x: Any, axis: Any) -> Any:
    """Exponentials over their sum."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def log_softmax(x: Any, axis: Any) -> Any:
    """Logarithms of the exponentials over their sum."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def mean(x: Any, axis: Any, keepdims: bool) -> Any:
    """A sum over the number of elements."""
    total = np.sum(x, axis=axis, keepdims=keepdims)
    return total / (np.size(x) // max(np.size(total), 1))


AFFINE: Mapping[str, Callable[..., Any] | None] = {"linear": linear}
PARTS: Mapping[str, Callable[..., Any] | None] = {
    "cross_entropy": None,
    "log_softmax": log_softmax,
    "mse": None,
    "softmax": softmax,
}
"""From the name of an op to what it is made of; None stands for its implementation."""


# -- guards ------------------------------------------------------------------------------------------------------------

GUARDED = frozenset({"cross_entropy"})
"""Ops that refuse labels which are no classes."""


def guard_labels(rewriter: Rewriter, node: Node) -> None:
    """Check the labels of a loss: a hidden output."""
    scores, labels = rewriter.operands(node)
    kind = ShapeDtype.of(rewriter.kind(labels))
    shape = ShapeDtype.of(rewriter.kind(scores)).shape
    if kind.dtype.kind not in "iu" or kind.ndim == len(shape) or not kind.size:
        return
    ignored = node.static["ignore_index"]

    def fine(labels: Any) -> Any:
        known = (labels >= 0) & (labels < shape[-1])
        return np.all(known if ignored is None else known | (labels == ignored))

    ok = inlined(rewriter, fine, [labels], {})
    what = Guarded(node.op, node.static)  # pyright: ignore[reportArgumentType]
    rewriter.hidden.append(rewriter.apply(guard, ok, scores, labels, what=what))


__all__ = ["AFFINE", "PARTS", "expand", "expand_all"]
