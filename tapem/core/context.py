"""The one context variable: what is at work in this thread or task, and how code is run with something else at work.

A block that sets a variable and sets it back leaves a gap: an exception that arrives between two instructions (Ctrl-C)
can end it before it has begun to guard itself, and the variable stays as it was set. So a transform does not set the
variable. It prepares a copy of the context, and has the interpreter enter and leave that: there is no instruction in
between, and what was set in the copy goes with the copy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import Context, ContextVar, Token, copy_context
from typing import Any, NamedTuple, Protocol, TypeVar, TypeVarTuple, Unpack

import numpy as np

from tapem.core.node import Node

Ts = TypeVarTuple("Ts")
R = TypeVar("R")


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
    """What is at work: the recorder, if any; how many no_grad blocks are in force; and who is watching.

    The recorder is a `tapem.doors.direct.recorder.Recorder`, which stands above this file.
    """

    recorder: Any = None
    constant: int = 0
    watcher: Watcher | None = None

    def usual(self) -> Work:
        """The same, as the very object that tells an op in one comparison that nothing is the matter, if that is so."""
        known: Work | None = None if self.recorder is None else self.recorder.usual
        return self if known is None or self.constant or self.watcher is not None else known


new_work: Callable[[tuple[Any, int, Watcher | None]], Work] = functools.partial(tuple.__new__, Work)  # pyright: ignore[reportUnknownMemberType]
"""A Work from the tuple of its fields, at half the price of calling the class; it is paid once per transform."""

WORK: ContextVar[Work] = ContextVar("tapem_work", default=Work())  # noqa: B039  # a Work is immutable


def set_back(token: Token[Work], change: Callable[[Work, Work], Work]) -> None:
    """End a block that began with `token = WORK.set(...)`: `change(now, before)` is at work from here on.

    In another context than that of the token there is nothing to set back. A generator gets there that was left inside
    the block, and is closed when its transform has ended.
    """
    now = WORK.get()
    try:
        WORK.reset(token)
    except ValueError:
        return
    WORK.set(change(now, WORK.get()).usual())


def working(work: Work) -> Context:
    """A copy of the context in which this is at work."""
    context = copy_context()
    context.run(WORK.set, work)
    return context


def run(context: Context, function: Callable[[Unpack[Ts]], R], *arguments: *Ts) -> R:
    """Call the function in a context that was prepared for it.

    What the function sets in context variables of its user is set in the user's own context when it returns or raises
    an error, as if it had been called there; after an interrupt (KeyboardInterrupt and the like) nothing is. A token
    belongs to the context in which it was made, so a variable that was set outside is not reset inside, nor the other
    way round.
    """
    try:
        result = context.run(function, *arguments)
    except Exception:
        carry(context)
        raise
    carry(context)
    return result


def carry(context: Context) -> None:
    """Set in this context what its user set in another, which was a copy of it."""
    for variable, value in context.items():
        if variable is not WORK and variable.get(context) is not value:
            variable.set(value)


def quietly(function: Callable[[], R]) -> R:
    """Call the function while NumPy says nothing of divisions by zero, and of what comes of them.

    This is for sweeps, which call rules only: what a rule sets in context variables is gone afterwards.
    """
    context = copy_context()
    context.run(np.errstate(divide="ignore", invalid="ignore").__enter__)
    return context.run(function)
