"""Gradients: the result of a reverse sweep, as an immutable mapping from node to array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tapem.core import Array, Immutable, Node, read_only, setter
from tapem.display import Displayed
from tapem.errors import MissingGradientError, TapeError, UnknownRefError
from tapem.sweeps import value_text
from tapem.tangents import add


class Nodes(Protocol):
    """What gradients need from the tape of the sweep: the node of a Ref or an id."""

    def __getitem__(self, key: Any) -> Node:
        """The node. Raises UnknownRefError if it is not on the tape."""
        ...

    def __len__(self) -> int:
        """The number of nodes."""
        ...


class Gradients(Immutable, Displayed, Mapping[Any, Array]):
    """An immutable mapping from a node to its gradient, for every node that was reached and requires one.

    The keys are ids or Refs. The arrays are read-only. Two Gradients are equal only if they are the same object;
    compare their arrays with `numpy.testing`.

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

    __slots__ = ("_cotangents", "_tape")

    _cotangents: Mapping[int, Any]
    _tape: Nodes

    def __init__(self, cotangents: Mapping[int, Any], tape: Nodes) -> None:
        """Wrap the result of `reverse` and the tape of the sweep."""
        _set_cotangents(self, cotangents)
        _set_tape(self, tape)

    def __eq__(self, other: object) -> bool:
        return self is other  # comparing mappings would compare arrays

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __getitem__(self, key: Any) -> Array:
        """The gradient of a Ref or an id. Raises MissingGradientError, which says why there is none."""
        try:
            node = self._tape[key]
        except UnknownRefError as error:
            raise MissingGradientError(f"there is no gradient: {error}") from None
        value = self._cotangents.get(node.id)
        if value is not None:
            return read_only(value)
        if type(node.output) is tuple:
            raise MissingGradientError(f"{node.label()} has several results; ask for the gradient of one of them.")
        if not node.requires_grad:
            raise MissingGradientError(f"{node.label()} ({node.op.name}) is constant: it does not require a gradient.")
        raise MissingGradientError(
            f"{node.label()} ({node.op.name}) was not reached: no output depends on it, so its gradient is zero."
        )

    def node(self, key: Any) -> Node:
        """The node of a Ref or an id, to which a gradient belongs. Raises UnknownRefError if it is not on the tape."""
        return self._tape[key]

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._cotangents))

    def __len__(self) -> int:
        return len(self._cotangents)

    def __contains__(self, key: Any) -> bool:
        try:
            return self._tape[key].id in self._cotangents
        except UnknownRefError:
            return False

    def __add__(self, other: Gradients) -> Gradients:
        """The gradients of the sum of both outputs. Both must come from one tape, or one tape must extend the other."""
        if type(other) is not Gradients:
            return NotImplemented
        long, short = (self, other) if len(self._tape) >= len(other._tape) else (other, self)
        # Tapes that share a node share all nodes before it, so comparing the last one is enough.
        last = max(short._cotangents, default=None)
        if last is not None and long._tape[last] is not short._tape[last]:
            raise TapeError("these gradients belong to two different tapes, so their nodes cannot be added.")
        total = dict(long._cotangents)
        for index, value in short._cotangents.items():
            total[index] = add(total[index], value) if index in total else value
        return Gradients(total, long._tape)

    def __repr__(self) -> str:
        texts = [repr(self[id]) if self[id].size <= 6 else value_text(self[id]) for id in list(self)[:6]]
        shown = ", ".join(f"{self._tape[id].label()}: {text}" for id, text in zip(self, texts, strict=False))
        return f"Gradients({{{shown}{', ...' if len(self) > 6 else ''}}})"


_set_cotangents = setter(Gradients, "_cotangents")
_set_tape = setter(Gradients, "_tape")
