"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from tapem.compiler.rewriting import Rewriter, Value, rewritten
from tapem.core import LEAF, Node, detach, identity
from tapem.transforms import Cond, Program, Scan, While

_SMALL = 64
"""Constants of up to this many bytes are compared byte by byte, larger ones by a digest."""


def common(program: Program) -> Program:
    """Compute each op on the same operands once; a copy of a value is the value itself.

    The sweep of a derivative uses this: `sin(x)` in the forward pass and in a rule is one node.
    """
    seen: dict[Hashable, Value] = {}

    def replace(rewriter: Rewriter, node: Node) -> Value | None:
        if node.op is identity or node.op is detach:
            (operand,) = rewriter.operands(node)
            if rewriter.kind(operand) == node.output:
                return operand
        key = key_of(rewriter, node)
        known = seen.get(key)
        if known is None:
            known = seen[key] = rewriter.copy(node)
        return known

    return rewritten(program, replace)


def key_of(rewriter: Rewriter, node: Node) -> Hashable:
    """What two nodes have in common if they compute the same."""
    if node.op is LEAF:
        return constant_key(node.output)
    operands = tuple(x if type(x) is Value else constant_key(x) for x in rewriter.operands(node))
    return node.op, operands, tuple((name, constant_key(value)) for name, value in node.static.items())


def constant_key(value: Any) -> Hashable:
    """What two constants have in common if they are equal: NaN equals itself here, and 0.0 is not -0.0."""
    if isinstance(value, np.ndarray | np.generic):
        content = value.tobytes() if value.nbytes <= _SMALL else digest(value)
        return "array", value.shape, value.dtype.str, content
    if isinstance(value, Program):
        return "program", program_key(value)
    if isinstance(value, Scan | While | Cond) and not getattr(value, "sizes", ()):
        fields = (getattr(value, field.name) for field in dataclasses.fields(value))
        return type(value), tuple(map(constant_key, fields))
    if type(value) is float or type(value) is complex:
        return type(value), repr(value)
    if isinstance(value, tuple):
        return type(value), tuple(map(constant_key, value))
    if isinstance(value, dict):
        return "dict", tuple((name, constant_key(entry)) for name, entry in value.items())
    try:
        hash(value)
    except TypeError:
        return id(value)
    return type(value), value


def digest(array: Any) -> bytes:
    """A digest of the elements of an array in row-major order."""
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=32).digest()


def program_key(program: Program) -> Hashable:
    """What two programs have in common if they do the same, in whatever order."""
    found: dict[int, int] = {id: number for number, id in enumerate(program.inputs)}
    keys: list[Hashable] = []
    waiting = [*reversed(program.outputs)]
    while waiting:
        node = program.nodes[waiting[-1]]
        before = [] if node.id in found else [p for p in node.parents if p is not None and p not in found]
        if before:
            waiting.extend(reversed(before))
            continue
        waiting.pop()
        if node.id not in found:
            found[node.id] = len(found)
            keys.append(constant_key(node.output) if node.op is LEAF else node_key(node, found))
    kinds = tuple(program.nodes[id].output for id in program.inputs)
    return kinds, tuple(keys), tuple(found[id] for id in program.outputs)


def node_key(node: Node, found: Mapping[int, Hashable]) -> Hashable:
    """What two nodes have in common if they compute the same of operands that have these numbers."""
    pairs = zip(node.parents, node.inputs, strict=True)
    operands = tuple([constant_key(x) if p is None else ("value", found[p]) for p, x in pairs])
    return node.op, operands, constant_key(dict(node.static))


__all__ = ["common", "constant_key", "node_key"]
