"""The display of a tree of arrays: its nodes fold, its leaves show their types, numbers and pictures."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tapem.core import Handle, Immutable, ShapeDtype, setter, tree_leaves, tree_parts
from tapem.display import Displayed, Drawn, Fold, Mark, Part, Sheet, html_of, shows, text_of
from tapem.seeing.displays.values import INLINE, folded_value
from tapem.types import short_text, type_text

MOST = 60
"""The number of parts of one node that are shown."""

OPEN = 12
"""A tree of at most this many leaves opens at once."""


class ShownTree(Immutable, Displayed):
    """A tree of arrays, which a notebook shows folded, and a terminal as its outline.

    >>> import numpy as np, tapem as tm
    >>> tm.show({"weight": np.zeros((2, 3)), "bias": np.array([0.5, 1.0])})
    dict of 2: 8 numbers in 2 arrays
      bias: f64[2] [0.5, 1. ]
      weight: f64[2,3] [[0., 0., 0.], [0., 0., 0.]]
    """

    __slots__ = ("tree",)

    tree: Any

    def __init__(self, tree: Any) -> None:
        """Of a tree."""
        setter(ShownTree, "tree")(self, tree)

    @property
    def title(self) -> str:
        """What it is called."""
        return kind_of(self.tree)

    @property
    def html(self) -> str:
        """The display as a whole page."""
        head = f'<!doctype html><meta charset="utf-8"><title>{escape(self.title)} - tapem</title>'
        return f"{head}<style>:root{{color-scheme:light dark}}</style>{html_of(self)}"

    def save(self, path: str | Path) -> None:
        """Write the page to a file."""
        Path(path).write_text(self.html, encoding="utf-8")

    def __repr__(self) -> str:
        sheet = tree_sheet(self)
        return text_of(sheet._replace(parts=tuple(map(without_numbers, sheet.parts))))


@shows(ShownTree)
def tree_sheet(shown: ShownTree) -> Sheet:
    """The outline of a tree."""
    leaves = tree_leaves(shown.tree)
    numbers = sum(int(np.prod(np.shape(leaf), dtype=np.int64)) for leaf in leaves)
    count = f"{numbers:,} number{'s' * (numbers != 1)} in {len(leaves):,} array{'s' * (len(leaves) != 1)}"
    open = len(leaves) <= OPEN
    return Sheet(f"{kind_of(shown.tree)}: {count}", inside_of(shown.tree, open))


def tree_fold(name: str, tree: Any, open: bool = False) -> Part:
    """A tree below a name."""
    parts = tree_parts(tree)
    if parts is None:
        return leaf_part(name, tree)
    if not parts:
        return f"{name}: {kind_of(tree)}"
    leaves = tree_leaves(tree)
    return Fold(f"{name}: {kind_of(tree)}, {len(leaves)} array{'s' * (len(leaves) != 1)}", inside_of(tree, open), open)


def inside_of(tree: Any, open: bool) -> tuple[Part, ...]:
    """The parts of the outermost node of a tree, or the leaf itself."""
    parts = tree_parts(tree)
    if parts is None:
        return (leaf_part("", tree),)
    shown = [tree_fold(key, part, open) for key, part in parts[:MOST]]
    return (*shown, *([f"... {len(parts) - MOST} more"] if len(parts) > MOST else []))


def leaf_part(name: str, leaf: Any) -> Part:
    """A leaf in one line, which opens to its numbers if it is not small."""
    label = f"{name}: " if name else ""
    if not isinstance(leaf, ShapeDtype) and (isinstance(leaf, Handle) or np.asarray(leaf).dtype.kind not in "biufc"):
        return f"{label}{short_text(leaf)}"
    array: Any = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    head = f"{label}{type_text(array.shape, array.dtype)}"
    cell = folded_value(array)
    fold = cell if isinstance(cell, Fold) else None
    line: tuple[str | Drawn | Mark, ...] = fold.line if fold is not None else cell  # pyright: ignore[reportAssignmentType]
    return (head, *line) if fold is None else Fold((head, *line), fold.inside)


def without_numbers(part: Part) -> Part:
    """A part for a terminal, where nothing folds: arrays that are not small stay closed."""
    if not isinstance(part, Fold):
        return part
    if isinstance(part.line, tuple):  # an array
        return part.line
    return part._replace(inside=tuple(map(without_numbers, part.inside)))


def kind_of(tree: Any) -> str:
    """The kind of a node of a tree, with the number of its parts."""
    parts = tree_parts(tree)
    if tree is None:
        return "None"
    return type(tree).__name__ if parts is None else f"{type(tree).__name__} of {len(parts)}"


__all__ = ["INLINE", "ShownTree", "tree_fold", "tree_sheet"]
