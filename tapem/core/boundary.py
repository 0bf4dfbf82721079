"""The boundary: when an error leaves tapem, its traceback is cut down to the user's own code.

Many frames of tapem and NumPy lie between the user's call of a transform and the user's line that failed. A user can
do nothing about them. The outermost transform or op removes them from the traceback, so plain Python, pytest, debuggers
and notebooks all show the same: the call, one frame of the boundary, and the user's own frames. `debug_mode` and
`debug` keep all frames.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar

from tapem.core.context import CONTEXT
from tapem.core.hints import add_hint
from tapem.errors import TapeError
from tapem.types import is_users

P = ParamSpec("P")
R = TypeVar("R")


def boundary(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that its errors show the user's code and leave out tapem's.

    >>> import traceback, numpy as np, tapem as tm
    >>> try:
    ...     tm.grad(lambda x: np.sum(x) / np.ones((2, 2)))(np.ones(3))
    ... except tm.NotScalarError as error:
    ...     len(traceback.extract_tb(error.__traceback__))
    2
    """

    @functools.wraps(function)
    def through_tapem(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return function(*arguments, **options)  # tapem's frames are hidden here: tm.debug_mode shows them
        except Exception as error:
            shorten(error)
            raise

    return through_tapem


def shorten(error: Exception) -> None:
    """Remove tapem's frames from an error that is being handled, and from the errors that caused it.

    The first frame stays: it is the one that handles the error. A cause that lies within NumPy or tapem is removed
    whole if tapem raised the error, since the error says it better. If there is a hint, it is added.
    """
    add_hint(error)
    if CONTEXT.get().watcher is not None:
        return
    if error.__traceback__ is not None:
        leave_out(error.__traceback__)
    seen = {id(error)}
    later: BaseException = error
    while True:
        reason = later.__cause__ or (None if later.__suppress_context__ else later.__context__)
        if reason is None or id(reason) in seen:
            return
        seen.add(id(reason))
        first = reason.__traceback__
        while first is not None and not is_users(first.tb_frame):
            first = first.tb_next
        if first is not None:
            leave_out(first)
            reason.__traceback__ = first
        elif isinstance(later, TapeError):
            later.__cause__ = None  # this hides the context too; it stays in `__context__`
            return
        elif isinstance(reason, TapeError):
            reason.__traceback__ = None  # NumPy wrapped it in its own error, whose traceback shows the line
        later = reason


def leave_out(first: TracebackType) -> None:
    """Remove tapem's frames from a traceback, but keep its first frame."""
    kept = first
    while kept.tb_next is not None:
        following = kept.tb_next
        while following is not None and not is_users(following.tb_frame):
            following = following.tb_next
        kept.tb_next = following
        if following is None:
            return
        kept = following
