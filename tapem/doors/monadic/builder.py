"""Builder: the tape that a running program has built so far, and how its ops are placed there.

A program runs either on a builder, whose state is one immutable tape after another, or inside a transform, where the
direct code around it records too. The two are told apart here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, cast

from tapem.core import Node, Primitive, Static
from tapem.doors.direct.recorder import Recorder
from tapem.doors.direct.tracer import Tracer
from tapem.doors.pure.ref import Ref, unknown
from tapem.doors.pure.tape import Tape
from tapem.errors import StepError


class Continuation:
    """A tape and the nodes that direct code adds to it, as one buffer.

    What is added lies apart until the tape takes it over, since others may go on from the tape in the buffer that they
    share with it.
    """

    __slots__ = ("_added", "_start", "_tape", "append")

    def __init__(self, tape: Tape) -> None:
        """Start at the end of a tape."""
        self._tape = tape
        self._start = len(tape)
        self._added: list[Node] = []
        self.append = self._added.append

    def __len__(self) -> int:
        return self._start + len(self._added)

    def __getitem__(self, index: int) -> Node:
        own = index - self._start
        return self._added[own] if own >= 0 else self._tape[index]

    def __setitem__(self, index: int, node: Node) -> None:
        self._added[index - self._start] = node

    def __iter__(self) -> Iterator[Node]:
        return chain(self._tape, self._added)

    def whole(self) -> Tape:
        """The tape with what was added."""
        return self._tape.append(*self._added) if self._added else self._tape


class Builder(Recorder):
    """The recorder of a running program: it holds a tape, and with every op the next one."""

    __slots__ = ("added", "held")

    held: Tape
    added: Any  # a Continuation, which the engine takes for a list of nodes; None until it is needed

    def __init__(self, tape: Tape) -> None:
        """Start from a tape."""
        super().__init__()
        self.rewind(tape)

    @property
    def nodes(self) -> list[Node]:
        """What direct code records to, and reads."""
        if self.added is None:
            self.added = Continuation(self.held)
        return self.added

    @nodes.setter
    def nodes(self, nodes: list[Node]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.rewind(Tape.of(nodes, len(nodes)))

    def tape(self) -> Tape:
        """What was recorded so far, as a value."""
        if self.added is not None:
            self.rewind(self.added.whole())
        return self.held

    def mark(self) -> Tape:
        """The tape as it is: the state of a program is a value."""
        return self.tape()

    def rewind(self, mark: Tape | None) -> None:
        """Go on from another tape."""
        assert mark is not None
        self.held = mark
        self.added = None


def as_tape(tape: object, what: str) -> Tape:
    """A tape that a user gave; StepError, which names `what` was given it, if it is none."""
    if not isinstance(tape, Tape):
        raise StepError(f"{what} needs a Tape, such as tm.Tape() or one that run returned, not {tape!r}.")
    return tape


def place(op: Primitive, operands: tuple[Any, ...], static: Static, builder: Recorder) -> Any:
    """Record one op: a Ref, or a tuple of Refs where the op has several results."""
    if type(builder) is not Builder:  # inside a transform: the direct door records the op
        return as_refs(op(*as_tracers(operands, builder), **static))
    result, builder.held = builder.tape().apply(op, operands, static)
    return result


def as_tracer(value: Any, recorder: Recorder) -> Any:
    """What direct code takes in the place of a value: for a Ref, which must be on the recorder's tape, its tracer."""
    if type(value) is not Ref:
        return value
    nodes, node = recorder.nodes, value.node
    if node.id >= len(nodes) or nodes[node.id] is not node:
        raise unknown(value, len(nodes))
    return Tracer(recorder, node)


def as_tracers(values: tuple[Any, ...], recorder: Recorder) -> tuple[Any, ...]:
    """The values with every Ref as its tracer."""
    return tuple(as_tracer(value, recorder) for value in values)


def as_refs(value: Any) -> Any:
    """The result of an op with every tracer as the Ref that a program takes in its place."""
    if type(value) is tuple:
        return tuple(map(as_refs, cast(tuple[Any, ...], value)))
    return Ref(value.node) if type(value) is Tracer else value


__all__ = ["Builder", "as_refs", "as_tape", "as_tracer", "place"]
