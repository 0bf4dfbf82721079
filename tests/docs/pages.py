"""The pages of the documentation as programs: their blocks of Python, and what these print."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

# A block of Python, and the block of text that follows it, if one does: what it prints.
PAIRS = re.compile(r"^```python\n(.*?)^```\n+(?:```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
# A cell of a notebook, which Sphinx runs.
CELLS = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[str]:
    """The names of all pages, from the documentation's root."""
    built = ("_build", "outputs")
    paths = sorted(DOCS.rglob("*.md"))
    return [str(path.relative_to(DOCS)) for path in paths if path.relative_to(DOCS).parts[0] not in built]


def pairs(text: str) -> list[tuple[str, str]]:
    """The blocks of Python of a page, each with what it prints."""
    return PAIRS.findall(text)


def run_pairs(text: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Run the blocks of a page one after another; yield each with what it printed and what the page says."""
    names: dict[str, object] = {"__name__": "page"}
    for code, expected in pairs(text):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"<{name}>", "exec", dont_inherit=True), names)
        yield code, printed.getvalue(), expected


def run_cells(text: str, name: str) -> str:
    """Run the cells of a notebook as Jupyter does, and return what they print, with the values of last expressions."""
    names: dict[str, object] = {"__name__": "__main__"}
    printed = io.StringIO()
    for number, (options, code) in enumerate(CELLS.findall(text), 1):
        tree = ast.parse(code, f"<{name}, cell {number}>")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        print(f"-- cell {number}", file=printed)
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(tree, f"<{name}, cell {number}>", "exec", dont_inherit=True), names)
                value = None
                if last is not None:
                    shown = compile(ast.Expression(last.value), f"<{name}>", "eval", dont_inherit=True)
                    value = eval(shown, names)
                if value is not None and not code.rstrip().endswith(";"):
                    print(repr(value))
        except Exception as error:
            if "raises-exception" not in options:
                raise
            print(f"{type(error).__name__}: {error}", file=printed)
    return printed.getvalue()
