"""Sharing: which values of a program may share memory, so that results are fresh and buffers are safe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tapem.core import LEAF, Node, Primitive, UnknownNumber, is_several
from tapem.transforms import Program

# Ops whose results are always new arrays, beside all elementwise ops that are NumPy ufuncs.
NEW = frozenset(
    """
    all any argmax argmin argsort bmm clamp concat cross_entropy cumprod cumsum dot elu gelu inner kron leaky_relu
    linear log_softmax logsumexp matmul max mean min mse outer power prod relu repeat scatter sigmoid silu softmax
    softplus sort stack std sum take take_along_axis ties tile var where
    """.split()
)


def is_new(node: Node) -> bool:
    """Whether the value of a node shares memory with no operand."""
    op: Any = node.op
    if not isinstance(op, Primitive) or is_several(node.output):
        return False
    return isinstance(op.implementation, np.ufunc) or op.name in NEW


def sources(program: Program) -> Mapping[int, frozenset[int]]:
    """For each node the nodes whose memory its value may share: itself, if its memory is new.

    An op of which nothing is known may return an operand, or a view of one.
    """
    found: dict[int, frozenset[int]] = {}
    for node in program.nodes:
        if node.op is LEAF or is_new(node):
            found[node.id] = frozenset({node.id})
        else:
            found[node.id] = frozenset({node.id}).union(*(found[p] for p in node.parents if p is not None))
    return found


def copied_outputs(program: Program) -> list[bool]:
    """For each output whether it must be copied, so that it shares memory with no input, constant or other output."""
    origin = sources(program)
    seen: set[int] = {node.id for node in program.nodes if node.op is LEAF}
    copied: list[bool] = []
    for id in program.outputs:
        node = program.nodes[id]
        number = type(node.output) in (UnknownNumber, bool, int, float, complex)
        copied.append(not number and not seen.isdisjoint(origin[id]))
        seen |= origin[id]
    return copied


__all__ = ["NEW", "copied_outputs", "is_new", "sources"]
