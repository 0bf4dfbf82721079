"""The HTML of a sheet: one fragment with its own few styles, which takes its colors from the page around it."""

from __future__ import annotations

from html import escape

from tapem.display.sheets import Cell, Drawn, Fold, Mark, Part, Sheet, Table

# Text and lines take the color of the page, light or dark; a verdict differs by its sign first, then by its ground.
STYLE = (
    ".tm-sheet{color:inherit;font:13px/1.5 ui-monospace,monospace;overflow-x:auto;max-width:100%}"
    ".tm-sheet b{font-weight:600}"
    ".tm-sheet table{border-collapse:collapse;margin:3px 0;background:none;color:inherit;font:inherit}"
    ".tm-sheet th,.tm-sheet td{text-align:left;vertical-align:top;padding:1px 14px 1px 0;background:none;"
    "color:inherit;white-space:pre-wrap;border:0}"
    ".tm-sheet th{font-weight:400;opacity:.75;border-bottom:1px solid #8888}"
    ".tm-sheet details{margin-left:2px}.tm-sheet details>*:not(summary){margin-left:18px}"
    ".tm-sheet summary{cursor:pointer}.tm-sheet .line{white-space:pre-wrap}"
    ".tm-sheet .good{background:#2a9d4e33;border-radius:3px;padding:0 4px}"
    ".tm-sheet .bad{background:#d9363e44;border-radius:3px;padding:0 4px;font-weight:600}"
    ".tm-sheet img,.tm-sheet svg{vertical-align:middle;margin:0 4px}"
    ".tm-sheet img{image-rendering:pixelated;border:1px solid #8888}"
)


def markup(sheet: Sheet) -> str:
    """The sheet as HTML.

    >>> markup(Sheet("a < b")).endswith('<b>a &lt; b</b></div>')
    True
    """
    inside = f"<b>{escape(sheet.title)}</b>" + "".join(map(part_markup, sheet.parts))
    return f'<div class="tm-sheet"><style>{STYLE}</style>{inside}</div>'


def part_markup(part: Part) -> str:
    """A part as HTML."""
    if isinstance(part, Table):
        head = "".join(f"<th>{escape(name)}</th>" for name in part.head)
        rows = "".join(f"<tr>{''.join(f'<td>{cell_markup(cell)}</td>' for cell in row)}</tr>" for row in part.rows)
        return f"<table>{f'<tr>{head}</tr>' if any(part.head) else ''}{rows}</table>"
    return cell_markup(part) if isinstance(part, Fold) else f'<div class="line">{cell_markup(part)}</div>'


def cell_markup(cell: Cell) -> str:
    """A cell as HTML."""
    if isinstance(cell, str):
        return escape(cell)
    if isinstance(cell, Drawn):
        return cell.html
    if isinstance(cell, Mark):
        return f'<span class="{"good" if cell.good else "bad"}">{escape(cell.text)}</span>'
    if isinstance(cell, Fold):
        inside = "".join(map(part_markup, cell.inside))
        return f"<details{' open' * cell.open}><summary>{cell_markup(cell.line)}</summary>{inside}</details>"
    return " ".join(map(cell_markup, cell))


__all__ = ["markup"]
