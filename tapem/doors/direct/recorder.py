"""The recorder: the only mutable object, which holds the current tape while direct code runs.

A single context variable names the current recorder, so threads and asyncio tasks are separate. The interpreter sets it
back, however the code under it ends.
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
    UnknownNumber,
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

    `level` is the depth of nesting, and `below` the recorder one level down: an op records on the highest of its
    operands' recorders. An `abstract` recorder holds shapes only. A `capturing` recorder is for closure conversion: it
    makes an input for every tracer of a lower level that an op uses, and keeps both in `captures`. `closure` is the
    innermost capturing recorder, this one or one further down: everything computed inside belongs to that closure.
    On a `plain` recorder, tracers stand for arrays of plain code to the last bit (`is_plain`), but for those in the
    `depth` functions, one in the other, that are being differentiated.
    On a `whole` recorder, and on all above it, no value will ever be known: loops and branches stay whole, as one node.
    `slices` are the nodes of slices, by the node and the index: a slice that a loop takes again is not recorded again.
    `alive` becomes False when the transform that opened the recorder ends.

    `usual` is the value of the context variable in the usual case: this recorder is current and knows values, there is
    no no_grad and no watcher. An op checks all this by one comparison.
    """

    __slots__ = (
        "__weakref__", "abstract", "alive", "below", "captures", "closure", "depth", "level", "nodes", "plain",
        "slices", "usual", "whole",
    )  # fmt: skip

    def __init__(
        self,
        *,
        level: int = 0,
        abstract: bool = False,
        capturing: bool = False,
        whole: bool = False,
        plain: bool = False,
        below: Recorder | None = None,
    ) -> None:
        """Start on an empty tape."""
        self.nodes: list[Node] = []
        self.level = level
        self.below = below
        self.abstract = abstract
        self.plain = plain
        self.depth = 0
        self.whole = whole or (below is not None and below.whole)
        self.alive = True
        self.slices: dict[Any, Node] = {}
        # node of the captured tracer (kept alive by the tracer) -> (tracer, input that stands for it)
        self.captures: dict[int, tuple[Any, Node]] | None = {} if capturing else None
        self.closure: Recorder | None = self if capturing else None if below is None else below.closure
        self.usual: RecordingContext | None = None if abstract or capturing else new_context((self, 0, None))

    def append(self, node: Node) -> Node:
        """Append a node; its id is the length of the tape, unless another thread appends at the same moment."""
        nodes = self.nodes
        nodes.append(node)
        return node if nodes[node.id] is node else self.renumbered(node)

    def renumbered(self, node: Node) -> Node:
        """Correct the id of a node that was appended while another thread appended."""
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
        """The input for a tracer of a lower level; the first call for a tracer makes it."""
        assert self.captures is not None
        known = self.captures.get(id(tracer.node))
        if known is None:
            value = tracer.node.output
            if self.abstract and not isinstance(value, ShapeDtype):
                value = ShapeDtype.of(value)
            needs = type(value) is not UnknownNumber or tracer.node.requires_grad
            known = self.captures[id(tracer.node)] = tracer, self.leaf(value, requires_grad=needs, copy=False)
        return known[1]

    def own(self, tracer: Any) -> Node | None:
        """The node of a tracer on this recorder: its own, or its captured input; None if it is a constant."""
        if tracer.recorder is self:
            return tracer.node
        return None if self.captures is None else self.capture(tracer)

    def stands_on(self, other: Recorder) -> bool:
        """Whether this is the other recorder, or one of the recorders below it is."""
        below: Recorder | None = self
        while below is not None and below is not other:
            below = below.below
        return below is other

    def tape(self) -> Tape:
        """The tape so far, as a copy, since tracers continue to record here."""
        return Tape.of([*self.nodes], len(self.nodes))

    def end(self) -> None:
        """End the recording. A tracer used after this raises EscapedTracerError."""
        self.alive = False
        self.usual = self.closure = None  # these are the only reference cycles, so the tape is freed at once

    def check_alive(self) -> None:
        """Raise EscapedTracerError if the transform that opened this recorder has ended."""
        if not self.alive:
            raise EscapedTracerError(
                "this tracer escaped from the transform that made it (grad, vjp, vmap, ...), which has ended, so its "
                "value can no longer be traced. Return it from the function, with has_aux=True if need be."
            )


def current_recorder() -> Recorder | None:
    """The current recorder, if there is one.

    A context that was copied while a recorder was current (for example by an asyncio task made inside f) still names it
    after its end; then there is none.
    """
    recorder: Recorder | None = CONTEXT.get().recorder
    return recorder if recorder is not None and recorder.alive else None


def prepared_for(recorder: Recorder | None) -> Context:
    """A copy of the context in which this recorder is the current one, without any no_grad."""
    watcher = CONTEXT.get().watcher
    usual = recorder.usual if recorder is not None and watcher is None else None
    return prepared(usual or new_context((recorder, 0, watcher)))


def new_recorder(
    *, abstract: bool = False, capturing: bool = False, whole: bool = False, plain: bool = False
) -> Recorder:
    """A recorder one level above the current one."""
    below = current_recorder()
    level = 0 if below is None else below.level + 1
    return Recorder(level=level, abstract=abstract, capturing=capturing, whole=whole, plain=plain, below=below)


def opened(recorder: Recorder, function: Callable[[Recorder, Unpack[Ts]], R], *arguments: *Ts) -> R:
    """Call the function with a new recorder as the current one, and end the recorder afterwards."""
    try:
        return run(prepared_for(recorder), function, recorder, *arguments)
    finally:
        recorder.end()


def plain_index(index: Any) -> Any:
    """An index of integers and slices of integers as what can be hashed before Python 3.12; None for any other."""
    kind = type(index)
    if kind is int:
        return index
    if kind is slice:
        parts = (slice, index.start, index.stop, index.step)
        return parts if _WHOLE.issuperset(map(type, parts)) else None
    if kind is tuple:
        known = tuple(map(plain_index, index))
        return None if None in known else known
    return None


# The types in `plain_index` of a slice.
_WHOLE = frozenset({type, int, type(None)})
