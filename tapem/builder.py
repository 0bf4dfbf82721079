"""Builder: the tape that a running program has built so far, and how its ops are placed there.

A program runs either on a builder, whose state is one immutable tape after another, or inside a transform, where the
direct code around it records too. The two are told apart here and nowhere else.
"""

from __future__ import annotations

from typing import Any, cast

from tapem.errors import StepError
from tapem.node import Node, Static
from tapem.primitive import Primitive
from tapem.recorder import Recorder
from tapem.ref import Ref, unknown
from tapem.tape import Tape
from tapem.tracer import Tracer


class Builder(Recorder):
    """The recorder of a running program: it holds a tape, and with every node the next one."""

    __slots__ = ("held",)

    held: Tape

    def __init__(self, tape: Tape) -> None:
        """Start from a tape."""
        super().__init__()
        self.held = tape
        self.usual = None  # so that every node comes by `append`

    @property
    def nodes(self) -> list[Node]:
        """A buffer that ends where the tape ends; a new one if others have gone on from there in the one they share."""
        nodes = self.held.buffer()
        self.held = Tape.of(nodes, len(nodes))
        return nodes

    @nodes.setter
    def nodes(self, nodes: list[Node]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.held = Tape.of(nodes, len(nodes))

    def append(self, node: Node) -> Node:
        """Append a node, numbered again if another thread took its place in the buffer since it was made."""
        place = len(self.held)
        if node.id != place:
            node = node._replace(id=place)
        self.held = self.held.append(node)
        return node

    def tape(self) -> Tape:
        """What was recorded so far, as a value."""
        return self.held

    def mark(self) -> Tape:
        """The tape as it is; the state of a program is a value."""
        return self.held

    def rewind(self, mark: Tape | None) -> None:
        """Go on from another tape."""
        assert mark is not None
        self.held = mark


def as_tape(tape: object, what: str) -> Tape:
    """A tape that a user gave; StepError, which names `what` was given it, if it is none."""
    if not isinstance(tape, Tape):
        raise StepError(f"{what} needs a Tape, such as tm.Tape() or one that run returned, not {tape!r}.")
    return tape


def place(op: Primitive, operands: tuple[Any, ...], static: Static, builder: Recorder) -> Any:
    """Record one op: a Ref, or a tuple of Refs where the op has several results."""
    if type(builder) is not Builder:  # direct code is at work: its door records the op
        return as_refs(op(*as_tracers(operands, builder), **static))
    result, builder.held = builder.held.apply(op, operands, static)
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
