"""The one context variable: what is at work in this thread or task."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from tapem.node import Node


class Watcher(Protocol):
    """Someone who looks on as ops are recorded, tangents pushed on, cotangents handed back: `debug`, `debug_mode`."""

    def recorded(self, node: Node) -> None:
        """Called with every node, once its value is known."""
        ...

    def pushed(self, node: Node, tangent: Any, nodes: Sequence[Node]) -> None:
        """Called with the tangent of every node that a forward sweep reaches, and all the nodes of the tape."""
        ...

    def contributed(self, node: Node, cotangent: Any, position: int, contribution: Any, nodes: Sequence[Node]) -> None:
        """Called with every contribution of a node to the cotangent of one of its parents."""
        ...


class Work(NamedTuple):
    """What is at work: the recorder, if any; whether no_grad is in force; and who is watching.

    The recorder is a `tapem.recorder.Recorder`, which stands above this file.
    """

    recorder: Any = None
    constant: bool = False
    watcher: Watcher | None = None


WORK: ContextVar[Work] = ContextVar("tapem_work", default=Work())  # noqa: B039  # a Work is immutable
