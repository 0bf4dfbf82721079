"""The recorder: the one mutable cell, which holds the current tape while direct code runs.

A single context variable names the current recorder, so threads and asyncio tasks do not meet. The interpreter
itself sets it back, however the code that runs under it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

from tapem.core import (
    CONTEXT,
    NOTHING,
    Node,
    Primitive,
    RecordingContext,
    ShapeDtype,
    Static,
    new_context,
    prepared,
    recorded,
    run,
)
from tapem.doors.pure.tape import Tape, leaf_node
from tapem.errors import EscapedTracerError

Ts = TypeVarTuple("Ts")
R = TypeVar("R")


class Recorder:
    """A growing tape that direct code writes to.

    `level` says how deep the recorder is nested, and `below` on which other: an op records on the highest of its
    operands' recorders. An `abstract` recorder knows shapes only. A `capturing` recorder serves closure conversion: it
    makes an input of every tracer of a lower level that it meets, and keeps both in `captures`. `closure` is the
    innermost capturing recorder, itself or one further down: what is computed inside belongs to that closure, of
    whatever it is computed. When the transform that opened it ends, `alive` becomes False.

    `usual` is what the context variable holds while this recorder is current and nothing else is the matter: it knows
    values, no_grad is not in force and nobody is watching. One comparison with it tells all this to an op.
    """

    __slots__ = ("__weakref__", "abstract", "alive", "below", "captures", "closure", "level", "nodes", "usual")

    def __init__(
        self, *, level: int = 0, abstract: bool = False, capturing: bool = False, below: Recorder | None = None
    ) -> None:
        """Start on an empty tape."""
        self.nodes: list[Node] = []
        self.level = level
        self.below = below
        self.abstract = abstract
        self.alive = True
        # node of the captured tracer (kept alive by the tracer) -> (tracer, input that stands for it)
        self.captures: dict[int, tuple[Any, Node]] | None = {} if capturing else None
        self.closure: Recorder | None = self if capturing else None if below is None else below.closure
        self.usual: RecordingContext | None = None if abstract or capturing else new_context((self, 0, None))

    def append(self, node: Node) -> Node:
        """Append a node, whose id is the length of the tape, unless another thread appends at the same moment."""
        nodes = self.nodes
        nodes.append(node)
        return node if nodes[node.id] is node else self.renumbered(node)

    def renumbered(self, node: Node) -> Node:
        """A node that was appended while another thread appended: with its true position as its id."""
        nodes = self.nodes
        position = next(index for index in range(len(nodes) - 1, -1, -1) if nodes[index] is node)
        nodes[position] = node = node._replace(id=position)
        return node

    def leaf(self, value: Any, *, name: str | None = None, requires_grad: bool = True, copy: bool = True) -> Node:
        """Append a given value."""
        return self.append(leaf_node(len(self.nodes), value, name, requires_grad, copy))

    def record(
        self,
        op: Primitive,
        operands: Sequence[Any],
        static: Static = NOTHING,
        outcome: tuple[Any, Any] | None = None,
        requires_grad: bool = False,
    ) -> Node:
        """Append one op, applied to tracers and constants; as `recorded` says."""
        id = len(self.nodes)
        return self.append(recorded(id, op, operands, static, self.own, self.abstract, outcome, requires_grad))

    def capture(self, tracer: Any) -> Node:
        """The input that stands for a tracer of a lower level, made when it is met for the first time."""
        assert self.captures is not None
        known = self.captures.get(id(tracer.node))
        if known is None:
            value = ShapeDtype.of(tracer) if self.abstract else tracer.node.output
            known = self.captures[id(tracer.node)] = tracer, self.leaf(value, copy=False)
        return known[1]

    def own(self, tracer: Any) -> Node | None:
        """The node here of a tracer: its own, or the input that stands for it; None where it is a constant."""
        if tracer.recorder is self:
            return tracer.node
        return None if self.captures is None else self.capture(tracer)

    def stands_on(self, other: Recorder) -> bool:
        """Whether it is the other, or was opened while the other was at work, at whatever distance."""
        below: Recorder | None = self
        while below is not None and below is not other:
            below = below.below
        return below is other

    def tape(self) -> Tape:
        """What was recorded so far, as a value: a copy, since tracers go on recording here."""
        return Tape.of([*self.nodes], len(self.nodes))

    def end(self) -> None:
        """The transform that opened this recorder is done: what escaped from it is dead."""
        self.alive = False
        self.usual = self.closure = None  # and with them go the only circles, so that the tape is freed at once

    def check_alive(self) -> None:
        """EscapedTracerError if the transform that opened this recorder has ended."""
        if not self.alive:
            raise EscapedTracerError(
                "this tracer escaped from the transform that made it (grad, vjp, vmap, ...), which has ended, so its "
                "value can no longer be traced. Return it from the function, with has_aux=True if need be."
            )


def current_recorder() -> Recorder | None:
    """The current recorder, if there is one.

    A context that was copied while a recorder was current (by an asyncio task made inside f, say) names it still when
    it has ended; it counts as none.
    """
    recorder: Recorder | None = CONTEXT.get().recorder
    return recorder if recorder is not None and recorder.alive else None


def prepared_for(recorder: Recorder | None) -> Context:
    """A copy of the context in which this recorder is the current one, outside of any no_grad that is in force."""
    watcher = CONTEXT.get().watcher
    usual = recorder.usual if recorder is not None and watcher is None else None
    return prepared(usual or new_context((recorder, 0, watcher)))


def new_recorder(*, abstract: bool = False, capturing: bool = False) -> Recorder:
    """A recorder one level above the current one."""
    below = current_recorder()
    level = 0 if below is None else below.level + 1
    return Recorder(level=level, abstract=abstract, capturing=capturing, below=below)


def opened(recorder: Recorder, function: Callable[[Recorder, Unpack[Ts]], R], *arguments: *Ts) -> R:
    """Call the function with a new recorder, which is current meanwhile, and dead afterwards."""
    try:
        return run(prepared_for(recorder), function, recorder, *arguments)
    finally:
        recorder.end()
