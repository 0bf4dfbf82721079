"""The one context variable: the recorder, no_grad and watcher of this thread or task, and how to run code with others.

A block that sets a variable and sets it back leaves a gap: Ctrl-C can arrive between setting the variable and entering
the `try`, and then the variable is never set back. So a transform does not set the variable. It sets it in a copy of
the context and lets the interpreter run the code in that copy: there is no gap, and the copy is thrown away.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import Context, ContextVar, Token, copy_context
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar, TypeVarTuple, Unpack

import numpy as np

from tapem.core.node import Node

Ts = TypeVarTuple("Ts")
Q = ParamSpec("Q")
R = TypeVar("R")


class Watcher(Protocol):
    """An observer of recorded ops, pushed tangents and contributed cotangents, as `debug` and `debug_mode` are."""

    def recorded(self, node: Node) -> None:
        """See a new node, once its value is known."""
        ...

    def pushed(self, node: Node, tangent: Any, nodes: Sequence[Node]) -> None:
        """See the tangent of a node that a forward sweep reaches; `nodes` are all nodes of the tape."""
        ...

    def contributed(self, node: Node, cotangent: Any, position: int, contribution: Any, nodes: Sequence[Node]) -> None:
        """See what a node contributes to the cotangent of its parent at this position."""
        ...


class RecordingContext(NamedTuple):
    """The recorder, if any; the number of no_grad blocks around the code; and the watcher, if any.

    The recorder is a `tapem.doors.direct.recorder.Recorder`, which this file may not import.
    """

    recorder: Any = None
    constant: int = 0
    watcher: Watcher | None = None

    def usual(self) -> RecordingContext:
        """The recorder's own `usual` object if neither no_grad nor a watcher is active, else this one.

        With it an op needs one comparison to know that it can take the fast way.
        """
        known: RecordingContext | None = None if self.recorder is None else self.recorder.usual
        return self if known is None or self.constant or self.watcher is not None else known


new_context: Callable[[tuple[Any, int, Watcher | None]], RecordingContext] = functools.partial(
    tuple.__new__,  # pyright: ignore[reportUnknownMemberType]
    RecordingContext,
)
"""A RecordingContext from the tuple of its fields; it costs half of calling the class, once per transform."""

CONTEXT: ContextVar[RecordingContext] = ContextVar(
    "tapem_context",
    default=RecordingContext(),  # noqa: B039  # it is immutable
)


def set_back(
    token: Token[RecordingContext], change: Callable[[RecordingContext, RecordingContext], RecordingContext]
) -> None:
    """End a block that began with `token = CONTEXT.set(...)`, and set CONTEXT to `change(now, before)`.

    In another context than the token's there is nothing to set back. This happens when a generator is suspended inside
    the block and closed after its transform has ended.
    """
    now = CONTEXT.get()
    try:
        CONTEXT.reset(token)
    except ValueError:
        return
    CONTEXT.set(change(now, CONTEXT.get()).usual())


def prepared(recording: RecordingContext) -> Context:
    """Copy the context and set CONTEXT in the copy."""
    context = copy_context()
    context.run(CONTEXT.set, recording)
    return context


def run(context: Context, function: Callable[[Unpack[Ts]], R], *arguments: *Ts) -> R:
    """Call a function in a prepared copy of the context.

    When the function returns or raises an Exception, the context variables that it set are set in the caller's context
    too. After an interrupt, such as KeyboardInterrupt, they are not. A token belongs to the context that made it, so a
    variable that was set outside cannot be reset inside, nor the other way round.
    """
    try:
        result = context.run(function, *arguments)
    except Exception:
        carry(context)
        raise
    carry(context)
    return result


def carry(context: Context) -> None:
    """Set in this context all variables but CONTEXT that were set in the other one, a copy of this."""
    for variable, value in context.items():
        if variable is not CONTEXT and variable.get(context) is not value:
            variable.set(value)


def quietly(function: Callable[Q, R], *arguments: Q.args, **options: Q.kwargs) -> R:
    """Call a function without NumPy's warnings of division by zero and of invalid values.

    This is for sweeps, which call only rules: context variables that a rule sets are lost afterwards.
    """
    return copy_context().run(_without_warnings, function, *arguments, **options)


def silently(function: Callable[Q, R], *arguments: Q.args, **options: Q.kwargs) -> R:
    """Call a function without any of NumPy's warnings, and keep its context variables to itself, as `quietly` does."""
    return copy_context().run(_without_any_warnings, function, *arguments, **options)


@np.errstate(all="ignore")
def _without_any_warnings(function: Callable[Q, R], *arguments: Q.args, **options: Q.kwargs) -> R:
    return function(*arguments, **options)


@np.errstate(divide="ignore", invalid="ignore")
def _without_warnings(function: Callable[Q, R], *arguments: Q.args, **options: Q.kwargs) -> R:
    return function(*arguments, **options)
