"""Builders: the state of a running program, and how the program records its ops.

A program runs either on a tape, whose next state is another tape, or inside a transform, where the direct code around
it records too. Only the two builders distinguish these cases. Direct code sees tracers where a program sees Refs:
`as_tracer` and `as_ref` convert one to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, cast

import numpy as np

from tapem.core import CONTEXT, Node, Primitive, Static, prepared, run, tree_map
from tapem.doors.direct.recorder import Recorder
from tapem.doors.direct.tracer import Tracer
from tapem.doors.monadic.step import is_step
from tapem.doors.pure.ref import Ref, unknown
from tapem.doors.pure.tape import Tape


def as_tracer(value: Any, recorder: Recorder) -> Any:
    """The tracer of a Ref, which must be on the recorder's tape; other values stay unchanged."""
    if type(value) is not Ref:
        return value
    nodes, node = recorder.nodes, value.node
    if node.id >= len(nodes) or nodes[node.id] is not node:
        raise unknown(value, len(nodes))
    return Tracer(recorder, node)


def as_ref(value: Any, recorder: Recorder) -> Any:
    """The Ref of a tracer of this recorder; other values stay unchanged."""
    return Ref(value.node) if type(value) is Tracer and value.recorder is recorder else value


class Continuation:
    """A tape and the nodes that direct code adds to it, as one buffer.

    The added nodes are separate until the tape takes them over, since other tapes share the tape's buffer and may
    continue it.
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
        """The tape with the added nodes."""
        return self._tape.append(*self._added) if self._added else self._tape


class TapeBuilder:
    """The builder of a program that runs on a tape: after every op it holds the next tape."""

    __slots__ = ("lent", "state")

    state: Tape
    lent: Recorder | None  # the recorder for direct code that the program calls; made at the first such call

    def __init__(self, tape: Tape) -> None:
        """Start from a tape."""
        self.state = tape
        self.lent = None

    def direct(self, f: Callable[[list[Any]], Any], values: list[Any]) -> Any:
        """The result of direct code, which records on a recorder that continues the tape.

        A tensor that direct code did not compute from its arguments is a constant of the tape. In a tree, values that
        are not tracers stay unchanged: a state, a count, a key.
        """
        if self.lent is None:
            self.lent = Recorder()
        continuation = Continuation(self.state)
        self.lent.nodes = cast("list[Node]", continuation)  # the engine reads it and appends to it, as to a list
        result = call_on(self.lent, f, values)
        self.state = continuation.whole()
        if isinstance(result, np.ndarray | np.generic | float):
            ref, self.state = self.state.leaf(result, requires_grad=False)
            return ref
        return result_of(result, self.lent)

    def tape(self) -> Tape:
        """The tape of everything recorded so far."""
        return self.state


class RecorderState:
    """The state of a program inside a transform: always the same one, since tracers see all recorded nodes."""

    __slots__ = ("recorder",)

    def __init__(self, recorder: Recorder) -> None:
        """Record on the recorder of the direct code around the program."""
        self.recorder = recorder

    def apply(self, op: Primitive, operands: tuple[Any, ...], static: Static) -> tuple[Any, RecorderState]:
        """Record one op through the direct door."""
        recorder = self.recorder
        result = op(*[as_tracer(operand, recorder) for operand in operands], **static)
        if type(result) is tuple:
            return tuple([as_ref(part, recorder) for part in cast("tuple[Any, ...]", result)]), self
        return as_ref(result, recorder), self

    def leaf(self, value: Any, *, name: str | None = None, requires_grad: bool = True) -> tuple[Ref, RecorderState]:
        """Record a given value."""
        return Ref(self.recorder.leaf(value, name=name, requires_grad=requires_grad)), self


class RecorderBuilder:
    """The builder of a program inside a transform: it records on the recorder of the direct code around it."""

    __slots__ = ("recorder", "state")

    state: RecorderState

    def __init__(self, recorder: Recorder) -> None:
        """Record on this recorder."""
        self.recorder = recorder
        self.state = RecorderState(recorder)

    def direct(self, f: Callable[[list[Any]], Any], values: list[Any]) -> Any:
        """The result of direct code, which records on the recorder of the program."""
        return result_of(call_on(self.recorder, f, values), self.recorder)

    def tape(self) -> Tape:
        """The tape of everything recorded so far, by the program and by the direct code around it."""
        return self.recorder.tape()


def call_on(recorder: Recorder, f: Callable[[list[Any]], Any], values: list[Any]) -> Any:
    """Call direct code with this recorder as the current one, and with tracers instead of Refs."""
    tracers = [as_tracer(value, recorder) for value in values]
    return run(prepared(CONTEXT.get()._replace(recorder=recorder).usual()), f, tracers)


def result_of(result: Any, recorder: Recorder) -> Any:
    """A tree that direct code returned, with Refs instead of tracers; a step stays unchanged."""
    return result if is_step(result) else tree_map(lambda value: as_ref(value, recorder), result)


__all__ = ["RecorderBuilder", "TapeBuilder", "as_ref", "as_tracer"]
