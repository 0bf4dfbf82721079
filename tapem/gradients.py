"""Gradients: what a reverse sweep found, as an immutable mapping from node to array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tapem.errors import MissingGradientError, TapeError
from tapem.node import Array, Node, read_only
from tapem.tangents import add


class Gradients(Mapping[Any, Array]):
    """An immutable mapping from a node to its gradient, for every node that was reached and requires one.

    The keys are ids; a Ref may be used wherever an id may. Arrays come out read-only.

    >>> import numpy as np, tapem as tm
    >>> x, tape = tm.Tape().leaf(np.array([1.0, 2.0]))
    >>> y, tape = tape.record(tm.square, x)
    >>> out, tape = tape.record(tm.sum, y)
    >>> gradients = tape.backward_scalar(out)
    >>> gradients[x], sorted(gradients)
    (array([2., 4.]), [0, 1, 2])
    >>> (gradients + gradients)[x]
    array([4., 8.])
    """

    __slots__ = ("_cotangents", "_nodes")

    def __init__(self, cotangents: Mapping[int, Any], nodes: Sequence[Node]) -> None:
        """Wrap what `reverse` returned, with the nodes it swept."""
        self._cotangents = cotangents
        self._nodes = nodes

    def __getitem__(self, key: Any) -> Array:
        """The gradient of a Ref or an id; MissingGradientError says why there is none."""
        node: Node | None = getattr(key, "node", None)
        index = key if node is None else node.id
        if node is not None and (index >= len(self._nodes) or self._nodes[index] is not node):
            raise MissingGradientError(f"{node.label()} ({node.op.name}) is not on the tape that was swept.")
        value = self._cotangents.get(index)
        if value is not None:
            return read_only(value)
        if not isinstance(index, int):
            raise MissingGradientError(f"gradients are indexed by Ref or id, not by {index!r}.")
        if not 0 <= index < len(self._nodes):
            raise MissingGradientError(f"there is no node {index} on the tape that was swept ({len(self._nodes)} nodes).")
        node = self._nodes[index]
        if type(node.output) is tuple:
            raise MissingGradientError(f"{node.label()} has several results; ask for the gradient of one of them.")
        if not node.requires_grad:
            raise MissingGradientError(f"{node.label()} ({node.op.name}) is constant: it does not require a gradient.")
        raise MissingGradientError(
            f"{node.label()} ({node.op.name}) was not reached: no output depends on it, so its gradient is zero."
        )

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._cotangents))

    def __len__(self) -> int:
        return len(self._cotangents)

    def __contains__(self, key: object) -> bool:
        node: Node | None = getattr(key, "node", None)
        if node is None:
            return key in self._cotangents
        return node.id in self._cotangents and node.id < len(self._nodes) and self._nodes[node.id] is node

    def __add__(self, other: Gradients) -> Gradients:
        """Accumulate: the gradients of the sum of both outputs. Both must come from one tape, or one's extension."""
        if type(other) is not Gradients:
            return NotImplemented
        long, short = (self, other) if len(self._nodes) >= len(other._nodes) else (other, self)
        if len(short) and any(long._nodes[index] is not short._nodes[index] for index in short):
            raise TapeError("these gradients belong to two different tapes, so their nodes cannot be added.")
        total = dict(long._cotangents)
        for index, value in short._cotangents.items():
            total[index] = add(total[index], value) if index in total else value
        return Gradients(total, long._nodes)

    def __repr__(self) -> str:
        inside = ", ".join(f"{self._nodes[index].label()}: {self[index]!r}" for index in list(self)[:6])
        return f"Gradients({{{inside}{', ...' if len(self) > 6 else ''}}})"
