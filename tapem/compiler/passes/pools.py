"""Pools of relu: the greatest element of a window and relu change places.

`max_pool(relu(x))` is `relu(max_pool(x))`, so relu and its derivative work on one element per window. The cotangent of
a window goes to the same element, unless relu made it 0.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from tapem.compiler.passes.plan import is_masked
from tapem.compiler.rewriting import Rewriter, rewritten
from tapem.core import LEAF, Node, Primitive, ShapeDtype
from tapem.ops import primitive, relu
from tapem.transforms import Program, Pulled, pulled

_POOLS = ("max_pool", "max_pool1d", "max_pool2d", "max_pool3d")


def pools(program: Program) -> Program:
    """Let each max-pool of relu, whose cotangent passes through both, work before relu."""
    nodes, users = program.nodes, users_of(program)
    through = {node.id: parts for node in nodes if (parts := parts_of(program, node, users)) is not None}
    turned = {pool: relued for _, pool, relued, _ in through.values()}

    def replace(rewriter: Rewriter, node: Node) -> Any:
        if node.id in turned:
            x = rewriter.values[cast("int", nodes[turned[node.id]].parents[0])]
            return rewriter.apply(relu, rewriter.apply(cast("Primitive", node.op), x, **node.static))
        if node.id not in through:
            return None
        g, pool, relued, what = through[node.id]
        x = cast("int", nodes[relued].parents[0])
        return rewriter.apply(pulled_through_relu, *(rewriter.values[id] for id in (g, pool, x)), what=what)

    return rewritten(program, replace) if through else program


def users_of(program: Program) -> dict[int, set[int]]:
    """For each value the nodes that read it; -1 stands for the outputs."""
    users: dict[int, set[int]] = {id: {-1} for id in program.outputs}
    for node in program.nodes:
        for parent in node.parents:
            if parent is not None:
                users.setdefault(parent, set()).add(node.id)
    return users


def parts_of(program: Program, node: Node, users: dict[int, set[int]]) -> tuple[int, int, int, Pulled] | None:
    """Of the cotangent of x in `max_pool(relu(x))`: that of the pool, the pool and relu as nodes, and the pool's rule.

    None for other nodes, and where anything else needs relu.
    """
    nodes = program.nodes
    if not is_masked(node) or None in node.parents[:2]:
        return None
    positive, back = (nodes[cast("int", id)] for id in node.parents[:2])
    if back.op is not pulled or positive.op is LEAF or cast("Primitive", positive.op).name != "greater":
        return None
    what: Pulled = back.static["what"]
    if what.op.name not in _POOLS or len(back.parents) != 3 or None in back.parents:
        return None
    g, pool, relued = cast("tuple[int, int, int]", back.parents)
    if positive.parents != (relued, None) or np.ndim(positive.inputs[1]) or positive.inputs[1] != 0:
        return None
    fits = nodes[pool].op is what.op and nodes[pool].parents == (relued,) and nodes[relued].op is relu
    alone = users[positive.id] == users[back.id] == {node.id} and users[relued] == {positive.id, back.id, pool}
    return (g, pool, relued, what) if fits and alone and nodes[relued].parents[0] is not None else None


def _kind(g: Any, y: Any, x: Any, what: Any) -> ShapeDtype:
    return ShapeDtype.of(x)


@cast("Any", primitive(differentiable=False, abstract=_kind))
def pulled_through_relu(g, y, x, *, what: Any) -> Any:  # pyright: ignore  # of floats of any shape
    """The cotangent of x in `y = max_pool(relu(x))`, for the cotangent g of y.

    `what` is the rule of the pool. A NaN wins in its window, where it is not the greatest: then relu comes first.
    """
    if np.isnan(np.max(y)):
        positive: Any = relu(x)
        return np.where(positive > 0, what(g, y, positive), 0)
    masked = np.empty_like(y)  # in the order of y in memory: two orders make all that follows slow
    masked[...] = g
    bits = masked.view(f"i{masked.itemsize}")
    np.multiply(bits, y > 0, out=bits)
    return what(masked, y, x)


pulled_through_relu.checked = False


__all__ = ["pools", "pulled_through_relu"]
