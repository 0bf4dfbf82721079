"""Where the user's code is running: what an error that happens far inside of tapem quotes, and what it leaves out."""

from __future__ import annotations

import contextlib
import dis
import functools
import linecache
import os
import sys
from types import FrameType

import jaxtyping
import numpy
import optree

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_OURS = [os.path.join(_ROOT, name) + os.sep for name in ("tapem", "layers", "losses")]
_SITE = os.path.dirname(os.path.dirname(numpy.__file__))
_BESIDE = [
    os.path.join(_SITE, name) + os.sep for name in ("scipy", "matplotlib", "beartype")
]  # not to be imported for this
_CALLED = [os.path.dirname(str(module.__file__)) + os.sep for module in (numpy, optree, jaxtyping)]
# How the files begin of our frames, and of those that lie between ours and the user's.
_INSIDE = (*_OURS, *_CALLED, *_BESIDE, functools.__file__, contextlib.__file__)


def is_users(frame: FrameType) -> bool:
    """Whether a frame runs code that is neither tapem's, nor of a library that tapem calls.

    >>> is_users(sys._getframe())
    True
    """
    return not frame.f_code.co_filename.startswith(_INSIDE)


def users_frame() -> FrameType | None:
    """The innermost frame of the user's that is running."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and not is_users(frame):
        frame = frame.f_back
    return frame


def users_line() -> str:
    """The innermost line that is running outside of tapem and NumPy: its file, its number and its text.

    >>> compiled = compile("where = users_line()", "model.py", "exec")
    >>> exec(compiled, names := {"users_line": users_line})
    >>> names["where"]
    'model.py, line 1'
    """
    frame = users_frame()
    if frame is None:
        return "here"
    name, number = frame.f_code.co_filename, frame.f_lineno
    code = linecache.getline(name, number, frame.f_globals).strip()
    return f"{os.path.basename(name)}, line {number}" + (f", `{code}`" if code else "")


def user_assigns_item() -> bool:
    """Whether the user's innermost line is at an assignment to an element, `a[i] = ...`, at this moment."""
    frame = users_frame()
    return frame is not None and dis.opname[frame.f_code.co_code[frame.f_lasti]] in _ASSIGNMENTS


_ASSIGNMENTS = frozenset({"STORE_SUBSCR", "STORE_SLICE"})
