"""Where the nodes of a tape stand on a page: a row for each node, a lane for each value, blocks of rows.

The rows are in the order of the tape, but that a given value stands just above its first reader. A value keeps its lane
until its last reader, as a branch does in a picture of a version history, so that no line runs through a node and few
lines cross. A block is a call; its rows follow one another, so that it folds into one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tapem.core import LEAF, Node
from tapem.seeing.origins import Block, Origin

CHUNK = 40
"""A block with more rows than this of its own, and no inner blocks, is cut into pieces of this size."""

AT_ONCE = 60
"""The number of rows that are unfolded at first."""


class Folder(NamedTuple):
    """A block of rows that folds: its label, its first and last row, and the block around it (-1 for none)."""

    label: str
    first: int
    last: int
    parent: int
    open: bool


class Layout(NamedTuple):
    """`rows` are the ids of the nodes from top to bottom; `lanes` maps an id to its lane; `width` counts the lanes."""

    rows: tuple[int, ...]
    lanes: Mapping[int, int]
    width: int
    folders: tuple[Folder, ...]


def layout(nodes: Sequence[Node], origins: Mapping[int, Origin]) -> Layout:
    """The layout of the nodes of a tape.

    >>> import tapem as tm
    >>> taped = tm.tape_of(lambda x, y: x * y + x, 2.0, 3.0)
    >>> layout(list(taped.tape), taped.origins)[:3]
    ((0, 1, 2, 3), {0: 0, 1: 1, 2: 1, 3: 1}, 2)
    """
    rows = order(nodes)
    lanes = lanes_of(nodes, rows)
    scopes = scopes_of(nodes, rows, origins)
    folders = opened(list(cut(folders_of(scopes), len(rows))))
    return Layout(tuple(rows), lanes, max(lanes.values(), default=-1) + 1, tuple(folders))


def order(nodes: Sequence[Node]) -> list[int]:
    """The ids in the order of the rows."""
    rows: list[int] = []
    placed: set[int] = set()
    for node in nodes:
        if node.op is LEAF:
            continue
        for parent in dict.fromkeys(node.parents):
            if parent is not None and parent not in placed:
                placed.add(parent)
                rows.append(parent)
        placed.add(node.id)
        rows.append(node.id)
    return [*(node.id for node in nodes if node.id not in placed), *rows]


def lanes_of(nodes: Sequence[Node], rows: Sequence[int]) -> dict[int, int]:
    """The lane of each node: its first parent's if that ends there, else the first free one."""
    place = {id: row for row, id in enumerate(rows)}
    last: dict[int, int] = {}
    for node in nodes:
        for parent in node.parents:
            if parent is not None:
                last[parent] = max(last.get(parent, 0), place[node.id])
    lanes: dict[int, int] = {}
    busy: dict[int, int] = {}  # lane -> the row of the last reader of the value in it
    for row, id in enumerate(rows):
        ended = [lane for lane, until in busy.items() if until <= row]
        mine = [lanes[parent] for parent in nodes[id].parents if parent is not None and lanes[parent] in ended]
        for lane in ended:
            del busy[lane]
        lane = mine[0] if mine else next(lane for lane in range(len(busy) + 1) if lane not in busy)
        lanes[id] = lane
        busy[lane] = last.get(id, row)
    return lanes


def scopes_of(nodes: Sequence[Node], rows: Sequence[int], origins: Mapping[int, Origin]) -> list[tuple[Block, ...]]:
    """The calls around each row; those of a given value are those of its first reader."""
    scopes: list[tuple[Block, ...]] = []
    following: tuple[Block, ...] = ()
    for id in reversed(rows):
        origin = origins.get(id)
        if nodes[id].op is not LEAF:
            following = () if origin is None else origin.scope
        scopes.append(following)
    common = len(common_beginning(scopes))
    return [scope[common:] for scope in reversed(scopes)]


def common_beginning(scopes: Sequence[tuple[Block, ...]]) -> tuple[Block, ...]:
    """The calls that are around all rows."""
    first = min(scopes, key=len, default=())
    count = 0
    while count < len(first) and all(scope[count] == first[count] for scope in scopes):
        count += 1
    return first[:count]


def folders_of(scopes: Sequence[tuple[Block, ...]]) -> list[Folder]:
    """The blocks of rows that lie in one call, outer ones first."""
    found: list[Folder] = []
    stack: list[tuple[Block, int]] = []
    for row, scope in enumerate([*scopes, ()]):
        depth = 0
        while depth < min(len(stack), len(scope)) and stack[depth][0] == scope[depth]:
            depth += 1
        for _, index in stack[depth:]:
            found[index] = found[index]._replace(last=row - 1)
        del stack[depth:]
        for block in scope[depth:]:
            found.append(Folder(block.label, row, row, stack[-1][1] if stack else -1, True))
            stack.append((block, len(found) - 1))
    return found


def cut(folders: Sequence[Folder], rows: int) -> Iterator[Folder]:
    """The folders, and pieces of the long stretches of rows that have none of their own."""
    yield from folders
    outer = [Folder("", 0, rows - 1, -1, True), *folders]
    for index, folder in enumerate(outer, -1):
        inside = [inner for inner in folders if inner.parent == index]
        edges = [folder.first - 1, *(edge for inner in inside for edge in (inner.first, inner.last)), folder.last + 1]
        for before, after in zip(edges[::2], edges[1::2], strict=True):
            first, last = before + 1, after - 1
            if last - first + 1 > CHUNK:
                for start in range(first, last + 1, CHUNK):
                    end = min(start + CHUNK - 1, last)
                    yield Folder("", start, end, index, True)


def opened(folders: list[Folder]) -> list[Folder]:
    """The folders in the order of their rows, as many of them open as show `AT_ONCE` rows; outer ones first."""
    order = sorted(range(len(folders)), key=lambda i: (folders[i].first, -folders[i].last, i))
    place = {old: new for new, old in enumerate(order)}
    place[-1] = -1
    sorted_ = [folders[old]._replace(parent=place[folders[old].parent], open=False) for old in order]
    children: dict[int, list[int]] = {}
    for index, folder in enumerate(sorted_):
        children.setdefault(folder.parent, []).append(index)

    def own_rows(index: int) -> int:
        inside = children.get(index, [])
        return (
            sorted_[index].last
            - sorted_[index].first
            + 1
            - sum(sorted_[inner].last - sorted_[inner].first for inner in inside)
        )

    shown, queue = 0, list(children.get(-1, []))
    while queue:
        index = queue.pop(0)
        if shown + own_rows(index) > AT_ONCE:
            continue
        shown += own_rows(index)
        sorted_[index] = sorted_[index]._replace(open=True)
        queue += children.get(index, [])
    return sorted_


def shown_rows(plan: Layout) -> list[int | Folder]:
    """What a picture shows from top to bottom: the ids of nodes, and the folders that are closed."""
    begins: dict[int, Folder] = {}
    for folder in reversed(plan.folders):  # the outermost closed folder that begins at a row hides the others
        if not folder.open:
            begins[folder.first] = folder
    shown: list[int | Folder] = []
    row = 0
    while row < len(plan.rows):
        closed = begins.get(row)
        shown.append(plan.rows[row] if closed is None else closed)
        row = row + 1 if closed is None else closed.last + 1
    return shown


__all__ = ["Folder", "Layout", "layout", "shown_rows"]
