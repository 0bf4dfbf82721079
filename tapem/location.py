"""Where the user's code is running: what an error that happens far inside of tapem quotes."""

from __future__ import annotations

import linecache
import os
import sys
from types import FrameType

_INSIDE = os.path.dirname(__file__) + os.sep
_NUMPY = os.sep + "numpy" + os.sep


def users_line() -> str:
    """The innermost line that is running outside of tapem and NumPy: its file, its number and its text.

    >>> compiled = compile("where = users_line()", "model.py", "exec")
    >>> exec(compiled, names := {"users_line": users_line})
    >>> names["where"]
    'model.py, line 1'
    """
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and (frame.f_code.co_filename.startswith(_INSIDE) or _NUMPY in frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return "here"
    name, number = frame.f_code.co_filename, frame.f_lineno
    code = linecache.getline(name, number, frame.f_globals).strip()
    return f"{os.path.basename(name)}, line {number}" + (f", `{code}`" if code else "")
