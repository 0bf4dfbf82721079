"""The boundary: where an error leaves tapem, its traceback is cut down to what the user wrote.

Between the user's call of a transform and the line of the user's function that went wrong lie many frames of tapem and
of NumPy, about which a user can do nothing. They are taken out of the traceback where it leaves the outermost
transform or op, so that plain Python, pytest, debuggers and notebooks all show the same: the call, one frame of the
boundary, and the user's own frames. Under `debug_mode` (or `debug`) nothing is left out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar

from tapem.core.context import WORK
from tapem.core.hints import add_hint
from tapem.errors import TapeError
from tapem.types import is_users

P = ParamSpec("P")
R = TypeVar("R")


def boundary(function: Callable[P, R]) -> Callable[P, R]:
    """The function, whose errors show the user's code and leave out tapem's.

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
            return function(*arguments, **options)  # tapem's frames are left out here: tm.debug_mode shows them
        except Exception as error:
            shorten(error)
            raise

    return through_tapem


def shorten(error: Exception) -> None:
    """Leave tapem's frames out of an error that is being handled, and of those that led to it.

    The first frame stays, which is the one that handles it. What led to an error of ours within NumPy or tapem is left
    out as a whole, since the error says it better. A hint is added where there is one.
    """
    add_hint(error)
    if WORK.get().watcher is not None:
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
            later.__cause__ = None  # which hides the context, too; it stays in `__context__`
            return
        elif isinstance(reason, TapeError):
            reason.__traceback__ = None  # NumPy wrapped it in an error of its own, whose traceback tells the line
        later = reason


def leave_out(first: TracebackType) -> None:
    """Take tapem's frames out of what follows in a traceback."""
    kept = first
    while kept.tb_next is not None:
        following = kept.tb_next
        while following is not None and not is_users(following.tb_frame):
            following = following.tb_next
        kept.tb_next = following
        if following is None:
            return
        kept = following
