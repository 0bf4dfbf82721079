"""The spec of a well-formed tape, sentence by sentence; every sweep relies on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tapem.core.node import LEAF, Node, ShapeDtype, is_several
from tapem.core.structure import detach, identity
from tapem.errors import TapeError
from tapem.types import NUMERIC, is_inexact

Sentence = Callable[[Node, Sequence[Node]], bool]
"""Whether a node satisfies a sentence of the spec, given the nodes before it."""


def has_a_type(node: Node, before: Sequence[Node]) -> bool:
    """Whether every result has a shape, and a dtype of numbers."""
    return all(ShapeDtype.of(value).dtype.kind in NUMERIC for value in results(node))


def holds_values_of_parents(node: Node, before: Sequence[Node]) -> bool:
    """Whether every input with a parent is the parent's value."""
    return all(
        parent is None or same(value, before[parent].output)
        for parent, value in zip(node.parents, node.inputs, strict=True)
    )


def requires_what_its_parents_do(node: Node, before: Sequence[Node]) -> bool:
    """Whether requires_grad agrees with the parents'; `identity` and `detach` may have either value."""
    if node.op is LEAF:
        return not node.requires_grad or is_inexact(ShapeDtype.of(node.output).dtype)
    if node.op in (identity, detach):
        return True
    inherited = any(parent is not None and before[parent].requires_grad for parent in node.parents)
    return node.requires_grad == (inherited and getattr(node.op, "differentiable", True))


SPEC: tuple[tuple[str, Sentence], ...] = (
    ("its id is its position", lambda node, before: node.id == len(before)),
    ("it has one parent, or None, for each input", lambda node, before: len(node.parents) == len(node.inputs)),
    ("its parents are earlier nodes", lambda node, before: all(p is None or 0 <= p < node.id for p in node.parents)),
    ("a leaf has no parents", lambda node, before: node.op is not LEAF or not node.parents),
    ("its results have shapes and dtypes of numbers", has_a_type),
    ("its inputs are its parents' values", holds_values_of_parents),
    ("it requires a gradient when its op has one and a parent requires one", requires_what_its_parents_do),
)
"""The sentences in the order in which they are checked: later ones rely on earlier ones."""


def check(nodes: Iterable[Node]) -> None:
    """Raise TapeError if a node breaks a sentence of the spec; it names the first such node and the sentence."""
    before: list[Node] = []
    for node in nodes:
        for words, sentence in SPEC:
            if not sentence(node, before):
                raise TapeError(f"%{len(before)}, {node!r}, breaks the spec of a well-formed tape: {words}.")
        before.append(node)


def results(node: Node) -> tuple[Any, ...]:
    """The results of a node as a tuple."""
    return node.output if is_several(node.output) else (node.output,)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same object; numbers are compared, since pickle may make two of one."""
    kind = one.__class__
    if one is other or kind is not other.__class__:
        return one is other
    if kind is tuple:
        return len(one) == len(other) and all(map(same, one, other))
    return one == other if kind is ShapeDtype else np.ndim(one) == 0 and np.array_equal(one, other, equal_nan=True)


__all__ = ["SPEC", "check"]
