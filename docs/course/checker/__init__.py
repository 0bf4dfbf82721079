"""What the course's notebooks call: the checkers of exercises, and the mini-tapem of the notebooks before.

A notebook imports the checkers of its own chapter, `from checker import dual_numbers as check`, and calls one after
each exercise: `check.quotient(...)` prints "right: ..." or "not yet: ...", and says what is wrong. The tools here are
for those who write checkers.
"""

from __future__ import annotations

import functools
import linecache
import re
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tapem as tm

COURSE = Path(__file__).parents[1]

# A cell of a notebook: its options, and its code.
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)


def mini_cells(notebook: Path) -> list[str]:
    """The cells of a notebook that belong to the mini-tapem: those with the tag `mini`."""
    return [
        code
        for options, code in CELL.findall(notebook.read_text(encoding="utf-8"))
        if re.search(r"^:tags:.*\bmini\b", options, re.MULTILINE)
    ]


def mini(names: dict[str, Any], before: int = 13) -> None:
    """Execute the mini-tapem of the notebooks before the given one in these names, `globals()` as a rule.

    Errors in it show its lines, as those of a cell do.
    """
    for notebook in sorted(COURSE.glob("[0-9][0-9]_*.md")):
        if int(notebook.name[:2]) >= before:
            continue
        for number, code in enumerate(mini_cells(notebook), 1):
            file = f"<{notebook.stem}, mini cell {number}>"
            linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
            exec(compile(code, file, "exec"), names)


class NotYet(Exception):
    """What a checker raises, with a sentence that tells the learner what is wrong."""


def exercise(check: Callable[..., str]) -> Callable[..., None]:
    """Make a checker of a function that returns what is right, or raises NotYet with what is wrong."""

    @functools.wraps(check)
    def say(*given: Any) -> None:
        try:
            verdict = f"right: {check(*given)}"
        except NotYet as reason:
            verdict = f"not yet: {reason}"
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame.name for frame in frames if not Path(frame.filename).is_relative_to(Path(__file__).parent)]
            where = f" in {own[-1]}" if own else ""
            verdict = f"not yet: your code raised {type(error).__name__}{where}: {error}"
        print(textwrap.fill(verdict, 84))

    return say


def need(condition: Any, message: str) -> None:
    """Raise NotYet with the message unless the condition holds."""
    if not condition:
        raise NotYet(message)


def text(value: Any) -> str:
    """A number or an array, short."""
    if value is None or np.ndim(value) == 0:
        return f"{value:.6g}" if isinstance(value, int | float | np.number | np.ndarray) else str(value)
    return np.array2string(np.asarray(value), precision=4, separator=", ", threshold=12)


def agree(found: Any, expected: Any, tolerance: float = 1e-6) -> bool:
    """Whether two arrays have one shape and nearly the same numbers."""
    try:
        return np.shape(found) == np.shape(expected) and bool(
            np.allclose(np.asarray(found, float), np.asarray(expected, float), tolerance, tolerance)
        )
    except (TypeError, ValueError):
        return False


def compare(found: Any, expected: Any, what: str, hint: str = "", tolerance: float = 1e-6) -> None:
    """Raise NotYet unless `found` is `expected`; `what` names it in the learner's terms."""
    hint = f" {hint}" if hint else ""
    need(found is not None, f"{what} is None; it should be {text(expected)}. Does your function return it?{hint}")
    if not agree(found, expected, tolerance):
        try:
            shapes = np.shape(found), np.shape(expected)
        except ValueError:
            shapes = (), ()
        if shapes[0] != shapes[1]:
            raise NotYet(f"{what} has shape {shapes[0]}; it should have shape {shapes[1]}.{hint}")
        if np.size(expected) > 4:  # a large array: its worst element says enough
            off = np.abs(np.asarray(found, float) - expected)
            at = np.unravel_index(int(np.argmax(off)), off.shape)
            place = ", ".join(map(str, at))
            found, expected, what = np.asarray(found)[at], np.asarray(expected)[at], f"{what} at [{place}]"
        raise NotYet(f"{what} is {text(found)}; it should be {text(expected)}.{hint}")


def difference(f: Callable[..., Any], *point: Any) -> Any:
    """The judge: the gradient of f at a point by differences of its values; a tuple if there are several arguments."""
    found = tm.testing.finite_diff(lambda arguments: np.asarray(f(*arguments), float)[()], point, method="extrapolated")
    return found if len(point) > 1 else found[0]


__all__ = ["NotYet", "agree", "compare", "difference", "exercise", "mini", "mini_cells", "need", "text"]
