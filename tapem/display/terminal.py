"""The sheet for terminals where rich is installed: tables with lines, verdicts in color, folds as a tree."""

from __future__ import annotations

from typing import Any

from tapem.display.sheets import Cell, Fold, Mark, Part, Sheet, Table, cell_text


def renderable(sheet: Sheet) -> Any:
    """The sheet as rich prints it. Only rich calls this, so it is installed."""
    from rich.console import Group
    from rich.text import Text

    return Group(Text(sheet.title, style="bold"), *map(part_renderable, sheet.parts))


def part_renderable(part: Part) -> Any:
    """A part as rich prints it."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.tree import Tree

    if isinstance(part, Table):
        table: Any = RichTable(box=box.SIMPLE_HEAD, show_header=any(part.head), pad_edge=False)
        for name in part.head:
            table.add_column(styled(name))
        for row in part.rows:
            table.add_row(*map(styled, row))
        return table
    if isinstance(part, Fold):
        tree: Any = Tree(styled(part.line))
        for inner in part.inside:
            tree.add(part_renderable(inner))
        return tree
    return styled(part)


def styled(cell: Cell) -> Any:
    """A cell as rich's text, never as its markup."""
    from rich.text import Text

    if isinstance(cell, Mark):
        return Text(cell.text, style="green" if cell.good else "bold red")
    return Text(cell_text(cell))


__all__ = ["renderable"]
