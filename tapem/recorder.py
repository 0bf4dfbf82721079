"""The recorder: the one mutable cell, which holds the current tape while direct code runs.

A single context variable names the recorder that is at work, so threads and asyncio tasks do not meet. It is restored
even when the code that runs under it raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tapem.errors import EscapedTracerError
from tapem.node import Abstract, Node
from tapem.primitive import Primitive
from tapem.tape import Tape, leaf_node
from tapem.work import WORK, Work


class Recorder:
    """A growing tape that direct code writes to.

    `level` says how deep the recorder is nested: an op records on the highest of its operands' recorders. An
    `abstract` recorder knows shapes only. A `closing` recorder makes an input of every tracer of a lower level that it
    meets, and keeps both in `captures`. When the transform that opened it ends, `alive` becomes False.
    """

    __slots__ = ("__weakref__", "abstract", "alive", "captures", "level", "nodes")

    def __init__(
        self, *, level: int = 0, abstract: bool = False, closing: bool = False, nodes: list[Node] | None = None
    ) -> None:
        """Start on an empty tape, or at the end of the given buffer."""
        self.nodes: list[Node] = [] if nodes is None else nodes
        self.level = level
        self.abstract = abstract
        self.alive = True
        # node of the captured tracer (kept alive by the tracer) -> (tracer, input that stands for it)
        self.captures: dict[int, tuple[Any, Node]] | None = {} if closing else None

    def append(self, node: Node) -> Node:
        """Append a node; if another thread appended at the same moment, the node is numbered again."""
        nodes = self.nodes
        nodes.append(node)
        if nodes[node.id] is node:
            return node
        position = next(index for index in range(len(nodes) - 1, -1, -1) if nodes[index] is node)
        nodes[position] = node = node._replace(id=position)
        return node

    def leaf(self, value: Any, *, name: str | None = None, requires_grad: bool = True, copy: bool = True) -> Node:
        """Append a given value."""
        return self.append(leaf_node(len(self.nodes), value, name, requires_grad, copy))

    def record(
        self,
        op: Primitive,
        parents: tuple[int | None, ...],
        inputs: tuple[Any, ...],
        static: Mapping[str, Any],
        requires_grad: bool,
        operands: tuple[Any, ...],
    ) -> Node:
        """Append one op whose operands are resolved already."""
        return self.append(op.node(len(self.nodes), parents, inputs, static, requires_grad, operands, self.abstract))

    def capture(self, tracer: Any) -> Node:
        """The input that stands for a tracer of a lower level, made when it is met for the first time."""
        assert self.captures is not None
        known = self.captures.get(id(tracer.node))
        if known is None:
            value = Abstract.of(tracer) if self.abstract else tracer.node.output
            known = self.captures[id(tracer.node)] = tracer, self.leaf(value, copy=False)
        return known[1]

    def tape(self) -> Tape:
        """What was recorded so far, as a value."""
        return Tape.of(self.nodes, len(self.nodes))

    def check_alive(self) -> None:
        """EscapedTracerError if the transform that opened this recorder has ended."""
        if not self.alive:
            raise EscapedTracerError(
                "this tracer escaped from the transform that made it (grad, vjp, vmap, ...), which has ended, so its "
                "value can no longer be traced. Return it from the function, with has_aux=True if need be."
            )


@contextmanager
def working(recorder: Recorder | None, *, constant: bool = False) -> Iterator[None]:
    """Put a recorder to work for the duration of a `with` block."""
    token = WORK.set(Work(recorder, constant, WORK.get().watcher))
    try:
        yield
    finally:
        WORK.reset(token)


@contextmanager
def opened(*, abstract: bool = False, closing: bool = False) -> Iterator[Recorder]:
    """A new recorder one level above the one at work, at work itself, and dead afterwards."""
    below = WORK.get()
    level = 0 if below.recorder is None else below.recorder.level + 1
    recorder = Recorder(level=level, abstract=abstract, closing=closing)
    token = WORK.set(Work(recorder, False, below.watcher))
    try:
        yield recorder
    finally:
        WORK.reset(token)
        recorder.alive = False
