"""The buffer plan: which values are written into arrays that a later value may use again.

A call of a program has one set of buffers. A value lives from its node to the last node that may read its memory; then
its buffer is free. An elementwise op writes into the buffer of an operand that nobody reads afterwards. Results never
lie in buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tapem.compiler.sharing import sources
from tapem.core import LEAF, Node, ShapeDtype
from tapem.transforms import Program


class Plan(NamedTuple):
    """The buffers, and for each node that is written into one its number."""

    buffers: tuple[ShapeDtype, ...]
    places: Mapping[int, int]


_PRODUCTS = ("dot", "matmul")
_VIEWS = ("reshape", "flatten", "expand_dims", "squeeze")


def plan(program: Program) -> Plan:
    """Give buffers to the values that NumPy can write into a given array.

    Source: linear-scan register allocation (Poletto and Sarkar 1999); arrays of equal shape and dtype are registers.
    """
    origin, ordered = sources(program), in_row_major_order(program)
    kept = frozenset[int]().union(*(origin[id] for id in program.outputs))
    last: dict[int, int] = {}
    for node in program.nodes:
        for parent in node.parents:
            if parent is not None:
                last.update(dict.fromkeys(origin[parent], node.id))
    buffers: list[ShapeDtype] = []
    places: dict[int, int] = {}
    free: dict[ShapeDtype, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for id, end in last.items():
        ends.setdefault(end, []).append(id)
    for node in program.nodes:
        dying = [id for id in ends.get(node.id, ()) if id in places]
        if node.id not in kept and node.id in ordered and can_be_written(node):
            kind = node.output
            inside = is_ufunc(node) or is_masked(node)
            own = [id for id in dying if inside and id in node.parents and program.nodes[id].output == kind]
            if own:
                dying.remove(own[0])
                places[node.id] = places[own[0]]
            elif free.get(kind):
                places[node.id] = free[kind].pop()
            else:
                places[node.id] = len(buffers)
                buffers.append(kind)
        for id in dying:
            free.setdefault(program.nodes[id].output, []).append(places[id])
    return Plan(tuple(buffers), places)


def in_row_major_order(program: Program) -> set[int]:
    """The nodes whose values NumPy would lay out in row-major order, as buffers are.

    The result of a ufunc is laid out as its operands are. Inputs are taken to be in row-major order, and so is what is
    made of them by ufuncs, products and reshapes; of other ops, such as a convolution, nothing is known.
    """
    found: set[int] = set()
    for node in program.nodes:
        whole = [p for p in node.parents if p is not None and program.nodes[p].shape == node.shape]
        if node.op is LEAF or len(node.shape) == 1 or node.op.name in _PRODUCTS:
            found.add(node.id)
        elif (is_ufunc(node) or is_masked(node)) and whole and found.issuperset(whole):
            found.add(node.id)
        elif node.op.name in _VIEWS and node.parents[0] in found:
            found.add(node.id)
    return found


def is_ufunc(node: Node) -> bool:
    """Whether the op of a node is one NumPy ufunc, or relu, which is one with a number."""
    return isinstance(getattr(node.op, "implementation", None), np.ufunc) or node.op.name == "relu"


_BITS = {"f": "uint32", "d": "uint64"}


def is_masked(node: Node) -> bool:
    """Whether a node is `where(condition, x, 0)` of arrays of one shape: a product of the bits of x with 0 or 1."""
    if node.op is LEAF or node.op.name != "where" or not node.shape or node.parents[2] is not None:
        return False
    condition, x, zero = node.inputs
    if np.ndim(zero) or zero != 0 or np.signbit(zero) or node.dtype.char not in _BITS:
        return False
    known = ShapeDtype.of(condition)
    return known.dtype == np.bool_ and ShapeDtype.of(x) == node.output == ShapeDtype(known.shape, node.dtype)


def bits_of(node: Node) -> str:
    """The name of the integer dtype with as many bits as the value of a node."""
    return _BITS[node.dtype.char]


def can_be_written(node: Node) -> bool:
    """Whether NumPy can write the value of a node into a given array."""
    if node.op is LEAF or type(node.output) is not ShapeDtype or not node.shape:
        return False
    if is_ufunc(node):
        return not node.static
    if is_masked(node):
        return True
    return node.op.name in _PRODUCTS and all(is_matrix(x, node) for x in node.inputs)


def is_matrix(operand: Any, node: Node) -> bool:
    """Whether an operand is a matrix or a vector of the dtype of the result, so that its product is BLAS's."""
    kind = ShapeDtype.of(operand)
    return kind.ndim in (1, 2) and kind.dtype == node.dtype and kind.dtype.kind in "fc"


__all__ = ["Plan", "bits_of", "can_be_written", "is_masked", "plan"]
