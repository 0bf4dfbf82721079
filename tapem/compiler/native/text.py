"""Text: what the writers of native loops share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

SQUARE = 16
"""The side of squares in which loops run whose operands lie in memory in different orders."""


class Names(Protocol):
    """What a move needs to know: how values are written."""

    may_fail: bool
    tag: str

    def name(self, id: int) -> str:
        """The array or the number of a node."""
        ...

    def operand(self, id: int, indices: Sequence[str]) -> str:
        """An element of a node at an index of its own axes."""
        ...


Text = list[str]


def loops(sizes: Sequence[object], inner: Text, prefix: str = "i") -> Text:
    """Lines inside of loops over these sizes."""
    lines = [f"{'    ' * axis}for {prefix}{axis} in range({size}):" for axis, size in enumerate(sizes)]
    return lines + [f"{'    ' * len(sizes)}{line}" for line in inner]


def loops_after(sizes: Sequence[int], depth: int, lines: Text, inner: Text) -> Text:
    """The same, with lines that need the first indices only, after as many loops."""
    outer, prefix = loops(sizes[:depth], lines), "    " * depth
    heads = [f"{'    ' * axis}for i{depth + axis} in range({size}):" for axis, size in enumerate(sizes[depth:])]
    rest = [*heads, *(f"{'    ' * len(heads)}{line}" for line in inner)]
    return [*outer, *(f"{prefix}{line}" for line in rest)]


def tiled(sizes: Sequence[object], inner: Text) -> Text:
    """The same, the last two loops in squares: what one reads in rows and the other in columns stays in the cache."""
    (rows, columns), rank = sizes[-2:], len(sizes)
    heads = [
        f"for j90 in range(0, {rows}, {SQUARE}):",
        f"    for j91 in range(0, {columns}, {SQUARE}):",
        f"        for i{rank - 2} in range(j90, min(j90 + {SQUARE}, {rows})):",
        f"            for i{rank - 1} in range(j91, min(j91 + {SQUARE}, {columns})):",
    ]
    return loops(sizes[:-2], [*heads, *(f"                {line}" for line in inner)])


def at(array: str, index: Sequence[str]) -> str:
    """An array at an index; an array that is a row of another already is indexed once."""
    if not index:
        return array
    inside = ", ".join(index)
    return f"{array[:-1]}, {inside}]" if array.endswith("]") else f"{array}[{inside}]"


def in_range(index: object, size: int) -> bool:
    """Whether the numbers of an index are known to be those of elements."""
    return isinstance(index, np.ndarray) and bool(index.min() >= -size and index.max() < size)


def checked(names: Names, name: str, value: str, size: int, kind: object) -> Text:
    """An index, counted from the end if it is negative; one that is out of range fails, and is 0."""
    lines = [f"{name} = np.int64({value})", f"{name} = {name} + {size} if {name} < 0 else {name}"]
    if in_range(kind, size):
        return lines
    names.may_fail = True
    return [
        *lines,
        f"failed |= {name} < 0 or {name} >= {size}",
        f"{name} = {name} if 0 <= {name} < {size} else 0",
    ]


__all__ = ["SQUARE", "Names", "Text", "at", "checked", "in_range", "loops", "loops_after", "tiled"]
