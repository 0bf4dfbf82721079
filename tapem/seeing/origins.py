"""Where the nodes of a tape come from: the user's line that made each node, and the calls around it.

The calls are read from Python's stack while the function runs, so that no function has to be marked: a layer shows as
itself (`Linear(4, 8)`), any other function by its name.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple

from tapem.core import Node
from tapem.types import is_users

SHOWN = ("layers", "losses")
"""tapem's own packages whose calls are part of a scope."""


class Block(NamedTuple):
    """One call around a node: its label, and a number that tells two calls of the same function apart."""

    label: str
    number: int


class Origin(NamedTuple):
    """Where a node comes from: file, line and text of the user's code, and the calls from the outermost one inward."""

    file: str
    line: int
    text: str
    scope: tuple[Block, ...]


class OriginNotes:
    """A watcher that keeps the origin of every recorded node."""

    def __init__(self) -> None:
        """Start with no node seen; the calls around this one are no part of any scope."""
        self.origins: dict[int, Origin] = {}
        # The frames are kept, so that no new frame takes the identity of one that has ended.
        self._calls: dict[FrameType, Block] = {}
        self._outside = set(frames(sys._getframe(1)))  # pyright: ignore[reportPrivateUsage]

    def recorded(self, node: Node) -> None:
        """Keep the origin of a node."""
        inside = [frame for frame in frames(sys._getframe(1)) if frame not in self._outside]  # pyright: ignore[reportPrivateUsage]
        users = next(filter(is_users, inside), None)
        scope = [self._block(frame) for frame in reversed(inside) if is_users(frame) or package(frame) in SHOWN]
        if users is None:
            self.origins[node.id] = Origin("", 0, "", merged(scope))
            return
        file, line = users.f_code.co_filename, users.f_lineno
        text = linecache.getline(file, line, users.f_globals).strip()
        self.origins[node.id] = Origin(file, line, text, merged(scope))

    def pushed(self, node: Node, tangent: Any, nodes: Sequence[Node]) -> None:
        """Do nothing: a tangent makes no node."""

    def contributed(self, node: Node, cotangent: Any, position: int, contribution: Any, nodes: Sequence[Node]) -> None:
        """Do nothing: a contribution makes no node."""

    def _block(self, frame: FrameType) -> Block:
        block = self._calls.get(frame)
        if block is None:
            block = self._calls[frame] = Block(label_of(frame), len(self._calls))
        return block


def merged(scope: Sequence[Block]) -> tuple[Block, ...]:
    """A scope without calls that a method of the same object makes: only the outermost of them stays."""
    kept: list[Block] = []
    for block in scope:
        if block.label and (not kept or kept[-1].label != block.label):
            kept.append(block)
    return tuple(kept)


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a frame and the frames that called it, from the inside out."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def package(frame: FrameType) -> str:
    """The top package of the code of a frame."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def label_of(frame: FrameType) -> str:
    """The label of a call: the object of a method, else the name of the function; "" for a comprehension."""
    name = frame.f_code.co_name
    owner = frame.f_locals.get("self")
    if owner is not None and frame.f_code.co_varnames[:1] == ("self",):
        text = repr(owner)
        return text if len(text) <= 40 else type(owner).__name__
    return "" if name.startswith("<") and name != "<lambda>" else name


__all__ = ["Block", "Origin", "OriginNotes"]
