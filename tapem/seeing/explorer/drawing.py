"""draw and to_dot: a still picture of a tape, for slides, and its text for Graphviz."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tapem.core import LEAF, Immutable, Node, node_line, node_type, setter
from tapem.errors import ArgumentError, MissingExtraError
from tapem.seeing.explorer.layout import Folder, layout, shown_rows
from tapem.seeing.subjects import Subject, subject_of

ROW, LANE, LETTER = 24, 18, 7.3
"""Pixels: the height of a row, the width of a lane, and the width of a letter."""


class Line(NamedTuple):
    """A line of a picture: from a row to a later one, in a lane, and the lanes of its ends."""

    start: int
    end: int
    lane: int
    start_lane: int
    end_lane: int


class Row(NamedTuple):
    """A row of a picture: its text, its lane, and what stands there: "leaf", "op" or "block"."""

    text: str
    lane: int
    kind: str


class Picture(Immutable):
    """A picture of a tape: `svg` is its text, and a notebook shows it.

    `save` writes .svg, .png (with matplotlib) or .dot, by the ending of the file's name.
    """

    __slots__ = ("dot", "lines", "rows", "svg")

    svg: str
    dot: str
    rows: tuple[Row, ...]
    lines: tuple[Line, ...]

    def __init__(self, rows: tuple[Row, ...], lines: tuple[Line, ...], dot: str) -> None:
        """Of rows and the lines between them."""
        for name, value in (("rows", rows), ("lines", lines), ("dot", dot), ("svg", svg_of(rows, lines))):
            setter(Picture, name)(self, value)

    def save(self, path: str | Path) -> None:
        """Write the picture. Raises ArgumentError for another ending, MissingExtraError without matplotlib."""
        path = Path(path)
        if path.suffix == ".png":
            write_png(self, path)
            return
        texts = {".svg": self.svg, ".dot": self.dot}
        if path.suffix not in texts:
            raise ArgumentError(f"draw: the picture of a tape is .svg, .png or .dot, not {path.suffix or path.name}.")
        path.write_text(texts[path.suffix], encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Picture of {len(self.rows)} rows; .save(path) writes it>"


def draw(x: Any, *arguments: Any, path: str | Path | None = None) -> Picture:
    """A still picture of a tape, of a function with its arguments, of a `do` program or of a model with an input.

    A long tape is drawn with its blocks folded. With a `path` it is written there as well: .svg, .png or .dot.

    Raises ArgumentError for what cannot be drawn.

    >>> import numpy as np
    >>> draw(lambda x: np.tanh(x) * x, 0.5)
    <Picture of 3 rows; .save(path) writes it>
    """
    subject = subject_of(x, *arguments, caller="draw")
    picture = Picture(*rows_and_lines(subject), dot_of(subject))
    if path is not None:
        picture.save(path)
    return picture


def to_dot(x: Any, *arguments: Any) -> str:
    """The tape as text for Graphviz: `dot -Tsvg tape.dot` draws it.

    >>> print(to_dot(lambda x: x * 2.0, 1.0))
    digraph tape {
      rankdir=TB;
      node [fontname="monospace" fontsize=10];
      n0 [label="%0 x\\nf64[]" shape=box];
      n1 [label="%1 mul\\nf64[]" shape=ellipse];
      n0 -> n1;
    }
    """
    return dot_of(subject_of(x, *arguments, caller="to_dot"))


def dot_of(subject: Subject) -> str:
    """The text for Graphviz."""
    lines = ["digraph tape {", "  rankdir=TB;", '  node [fontname="monospace" fontsize=10];']
    for node in subject.tape:
        label = f"%{node.id} {node.name or node.op.name}\\n{node_type(node)}".replace('"', "'")
        lines.append(f'  n{node.id} [label="{label}" shape={"box" if node.op is LEAF else "ellipse"}];')
        lines += [f"  n{parent} -> n{node.id};" for parent in node.parents if parent is not None]
    return "\n".join([*lines, "}"])


def rows_and_lines(subject: Subject) -> tuple[tuple[Row, ...], tuple[Line, ...]]:
    """The rows of a picture, and the lines between them."""
    nodes = list(subject.tape)
    plan = layout(nodes, subject.origins)
    rows: list[Row] = []
    place: dict[int, int] = {}
    for one in shown_rows(plan):
        hidden = plan.rows[one.first : one.last + 1] if isinstance(one, Folder) else (one,)
        place.update(dict.fromkeys(hidden, len(rows)))
        rows.append(
            folder_row(one, plan.lanes[hidden[-1]]) if isinstance(one, Folder) else node_row(nodes[one], plan.lanes)
        )
    lines = {
        Line(place[parent], place[node.id], plan.lanes[parent], rows[place[parent]].lane, rows[place[node.id]].lane)
        for node in nodes
        for parent in node.parents
        if parent is not None and place[parent] != place[node.id]
    }
    return tuple(rows), tuple(sorted(lines))


def node_row(node: Node, lanes: Mapping[int, int]) -> Row:
    """The row of a node."""
    text = node_line(node).removesuffix("  requires grad")
    return Row(f"%{node.id} {node_type(node)} = {text}", lanes[node.id], "leaf" if node.op is LEAF else "op")


def folder_row(folder: Folder, lane: int) -> Row:
    """The row of a folded block."""
    return Row(f"{folder.label or 'nodes'} ({folder.last - folder.first + 1} nodes)", lane, "block")


def svg_of(rows: tuple[Row, ...], lines: tuple[Line, ...]) -> str:
    """The picture as SVG, in the colors of the page that it stands on."""
    left = 16 + LANE * (max((line.lane for line in lines), default=0) + 1)
    left = max(left, 16 + LANE * (max((row.lane for row in rows), default=0) + 1))
    width = left + 16 + LETTER * max((len(row.text) for row in rows), default=0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {ROW * len(rows) + 8}" '
        f'width="{width:.0f}" height="{ROW * len(rows) + 8}" font-family="monospace" font-size="12">',
        f'<g fill="none" stroke="#7a8594" stroke-width="1.5">{"".join(map(path_of, lines))}</g>',
    ]
    shapes = {
        "leaf": '<rect x="{0}" y="{1}" width="9" height="9" transform="translate(-4.5 -4.5)"/>',
        "op": '<circle cx="{0}" cy="{1}" r="4.5"/>',
        "block": '<polygon points="-6,-5 6,-5 0,6" transform="translate({0} {1})"/>',
    }
    for index, row in enumerate(rows):
        parts.append(shapes[row.kind].format(x_of(row.lane), y_of(index)).replace("/>", ' fill="#3b6ea8"/>'))
        text = html.escape(row.text)
        parts.append(f'<text x="{left}" y="{y_of(index) + 4}" fill="currentColor" xml:space="preserve">{text}</text>')
    return "".join([*parts, "</svg>"])


def x_of(lane: int) -> int:
    """Where a lane lies."""
    return 12 + LANE * lane


def y_of(row: int) -> int:
    """Where a row lies."""
    return 16 + ROW * row


def corners(line: Line) -> list[tuple[int, int]]:
    """The points of a line: it leaves its row, goes down in its lane, and arrives."""
    top, bottom = y_of(line.start), y_of(line.end)
    ends = (x_of(line.start_lane), top), (x_of(line.end_lane), bottom)
    if line.end - line.start == 1:
        return [*ends]
    lane = x_of(line.lane)
    return [ends[0], (lane, top + ROW), (lane, bottom - ROW), ends[1]]


def path_of(line: Line) -> str:
    """A line as a smooth path."""
    (x, y), *points = corners(line)
    text = f"M{x} {y}"
    for to_x, to_y in points:
        middle = (y + to_y) / 2
        text += f"C{x} {middle:g} {to_x} {middle:g} {to_x} {to_y}"
        x, y = to_x, to_y
    return f'<path d="{text}"/>'


def write_png(picture: Picture, path: Path) -> None:
    """The picture as PNG, by matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(
            "draw: a PNG needs matplotlib: pip install tapem[examples]. An SVG needs nothing."
        ) from None
    left = x_of(1 + max((line.lane for line in picture.lines), default=0))
    width = left + 16 + LETTER * max((len(row.text) for row in picture.rows), default=0)
    height = ROW * len(picture.rows) + 8
    figure: Any = Figure(figsize=(width / 80, height / 80), dpi=160)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for line in picture.lines:
        axes.plot(*zip(*corners(line), strict=True), color="#7a8594", linewidth=1, zorder=1)
    for index, row in enumerate(picture.rows):
        marker = {"leaf": "s", "op": "o", "block": "v"}[row.kind]
        axes.plot(x_of(row.lane), y_of(index), marker, color="#3b6ea8", markersize=5, zorder=2)
        axes.text(left, y_of(index), row.text, family="monospace", fontsize=8, va="center")
    figure.savefig(path)


__all__ = ["Picture", "draw", "to_dot"]
