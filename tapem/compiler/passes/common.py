"""Common subexpressions: what is computed twice is computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Any

import numpy as np

from tapem.compiler.rewriting import Rewriter, Value, rewritten
from tapem.core import LEAF, Node, detach, identity
from tapem.transforms import Program

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


__all__ = ["common"]
