"""Sharing: which values of a program may share memory, so that results are fresh and buffers are safe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from tapem.compiler.guards import guard
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

# Ops that return NumPy scalars where there is no axis left, beside all elementwise ops that are NumPy ufuncs.
SCALARS = frozenset("all any dot inner max mean min number_power power prod std sum var".split())

# Ops whose results are views that cannot be written.
READ_ONLY = frozenset("broadcast_to diagonal".split())


def is_new(node: Node) -> bool:
    """Whether the value of a node shares memory with no operand."""
    op: Any = node.op
    if not isinstance(op, Primitive) or is_several(node.output):
        return False
    return isinstance(op.implementation, np.ufunc) or op.name in NEW


def sources(program: Program, new: Callable[[Node], bool] = is_new) -> Mapping[int, frozenset[int]]:
    """For each node the nodes whose memory its value may share: itself, if its memory is `new`.

    An op of which nothing is known may return an operand, or a view of one.
    """
    found: dict[int, frozenset[int]] = {}
    for node in program.nodes:
        if node.op is LEAF or new(node):
            found[node.id] = frozenset({node.id})
        else:
            found[node.id] = frozenset({node.id}).union(*(found[p] for p in node.parents if p is not None))
    return found


def copied_outputs(program: Program, new: Callable[[Node], bool] = is_new) -> list[bool]:
    """For each output whether it must be copied, so that it shares memory with no input, constant or other output."""
    origin = sources(program, new)
    seen: set[int] = {node.id for node in program.nodes if node.op is LEAF}
    copied: list[bool] = []
    for id in program.outputs:
        copied.append(not is_number(program.nodes[id]) and not seen.isdisjoint(origin[id]))
        seen |= origin[id]
    return copied


def fresh_outputs(
    program: Program, names: Sequence[str], new: Callable[[Node], bool] = is_new, writable: str | None = None
) -> list[str]:
    """The texts of the outputs that have these names: copied where they must be; guards are left out.

    A result without axes is a NumPy scalar, as NumPy's functions return it. A view of a new array may still be
    read-only, as broadcast arrays and diagonals are: then it is copied, too, when the program runs by the function
    `writable`, else where the ops say so.
    """
    texts: list[str] = []
    for id, name, copied in zip(program.outputs, names, copied_outputs(program, new), strict=True):
        node = program.nodes[id]
        if node.op is guard:
            continue
        if is_number(node):
            texts.append(name)
        elif node.shape == ():
            texts.append(name if is_scalar(node) else f"{name}[()]" if writable is None else f"np.asarray({name})[()]")
        elif copied:
            texts.append(f"{name}.copy()")
        else:
            texts.append(name)
            if writable is not None and not new(node):
                texts[-1] = f"{writable}({name})"
            elif writable is None and may_be_read_only(program, id):
                texts[-1] = f"{name}.copy()"
    return texts


def may_be_read_only(program: Program, id: int) -> bool:
    """Whether a value is a view, or a view of a view, that NumPy makes read-only."""
    node = program.nodes[id]
    if node.op is LEAF or is_new(node):
        return False
    return getattr(node.op, "name", "") in READ_ONLY or any(
        may_be_read_only(program, parent) for parent in node.parents if parent is not None
    )


def is_scalar(node: Node) -> bool:
    """Whether NumPy returns a value without axes as a scalar, not as an array."""
    op: Any = node.op
    return isinstance(op, Primitive) and (isinstance(op.implementation, np.ufunc) or op.name in SCALARS)


def writable(x: Any) -> Any:
    """An array that can be written; a number as it is."""
    return x.copy() if type(x) is ndarray and not x.flags.writeable else x


def is_number(node: Node) -> bool:
    """Whether the value of a node is a Python number."""
    return type(node.output) in (UnknownNumber, bool, int, float, complex)


__all__ = ["NEW", "copied_outputs", "fresh_outputs", "is_new", "sources", "writable"]
