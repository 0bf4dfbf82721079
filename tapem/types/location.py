"""Find the user's line: errors from deep inside tapem show it, and tracebacks leave out the frames below it."""

from __future__ import annotations

import builtins
import contextlib
import dis
import functools
import itertools
import linecache
import os
import sys
from collections.abc import Mapping
from types import FrameType

import jaxtyping
import numpy
import optree

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_OURS = [os.path.join(_ROOT, name) + os.sep for name in ("tapem", "layers", "losses")]
_SITE = os.path.dirname(os.path.dirname(numpy.__file__))
_BESIDE = [
    os.path.join(_SITE, name) + os.sep for name in ("scipy", "matplotlib", "beartype")
]  # found without importing them
_CALLED = [os.path.dirname(str(module.__file__)) + os.sep for module in (numpy, optree, jaxtyping)]
# The beginnings of file names of tapem's frames, and of the frames between tapem's and the user's.
_INSIDE = (*_OURS, *_CALLED, *_BESIDE, functools.__file__, contextlib.__file__)


def is_users(frame: FrameType) -> bool:
    """Whether a frame runs code that is not tapem's and not of a library that tapem calls.

    >>> is_users(sys._getframe())
    True
    """
    return not frame.f_code.co_filename.startswith(_INSIDE)


def users_frame() -> FrameType | None:
    """The innermost running frame of the user's code."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and not is_users(frame):
        frame = frame.f_back
    return frame


def users_line() -> str:
    """The innermost running line of the user's code: its file, number and text.

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


def users_expression() -> tuple[str, Mapping[str, object]]:
    """The source of the expression that the user's innermost line is evaluating, and the values of the names there.

    The source is empty if it is not at hand, as at a prompt.

    >>> users_expression()[0]
    'users_expression()'
    """
    frame = users_frame()
    if frame is None:
        return "", {}
    name, variables = frame.f_code.co_filename, {**vars(builtins), **frame.f_globals, **frame.f_locals}
    first, last, start, end = next(itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
    if first is None or last is None or start is None or end is None:
        return "", variables
    lines = [linecache.getline(name, number, frame.f_globals).encode() for number in range(first, last + 1)]
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    return b"".join(lines).decode(), variables


def user_assigns_item() -> bool:
    """Whether the user's innermost line is now assigning to an element, `a[i] = ...`."""
    frame = users_frame()
    return frame is not None and dis.opname[frame.f_code.co_code[frame.f_lasti]] in _ASSIGNMENTS


_ASSIGNMENTS = frozenset({"STORE_SUBSCR", "STORE_SLICE"})
