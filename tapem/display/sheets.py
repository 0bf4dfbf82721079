"""A sheet: what a display says, as data, from which its HTML and its text for terminals are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias


class Drawn(NamedTuple):
    """A picture: its HTML, made by `tapem.display` alone, and the text that stands in its place in a terminal."""

    html: str
    text: str


class Mark(NamedTuple):
    """A verdict: its text, which says all, and whether it is good."""

    text: str
    good: bool


class Fold(NamedTuple):
    """A line that opens to show what is inside."""

    line: Cell
    inside: tuple[Part, ...]
    open: bool = False


class Table(NamedTuple):
    """Rows of cells under a head; each row has as many cells as the head."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Sheet(NamedTuple):
    """A display: its title and its parts, from top to bottom."""

    title: str
    parts: tuple[Part, ...] = ()


# A tuple of cells is a line of them.
Cell: TypeAlias = "str | Drawn | Mark | Fold | tuple[str | Drawn | Mark, ...]"
Part: TypeAlias = "Cell | Table"


def text_of(sheet: Sheet) -> str:
    """The sheet as plain text, with everything unfolded.

    >>> print(text_of(Sheet("Two", (Table(("name", "value"), (("x", "1"), ("long", Mark("2 !", False)))),))))
    Two
      name  value
      x     1
      long  2 !
    """
    return "\n".join([sheet.title, *(f"  {line}" for part in sheet.parts for line in lines_of(part) if line)])


def lines_of(part: Part) -> list[str]:
    """A part as lines of text."""
    if isinstance(part, Table):
        return table_lines(part)
    if isinstance(part, Fold):
        return [cell_text(part.line), *(f"  {line}" for inner in part.inside for line in lines_of(inner))]
    return cell_text(part).split("\n")


def cell_text(cell: Cell) -> str:
    """The text of a cell; of a fold, its line."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Fold):
        return cell_text(cell.line)
    if isinstance(cell, Drawn | Mark):
        return cell.text
    return " ".join(text for text in map(cell_text, cell) if text)


def table_lines(table: Table) -> list[str]:
    """A table as lines of text, its columns aligned."""
    rows: list[Sequence[str]] = [table.head] if any(table.head) else []
    rows += [[cell_text(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


__all__ = ["Cell", "Drawn", "Fold", "Mark", "Part", "Sheet", "Table", "cell_text", "lines_of", "text_of"]
