"""The display of gradients: a table of names, types, norms and small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.core import LEAF, Node, node_line, node_type
from tapem.display import Cell, Fold, Mark, Part, Sheet, Table, shows
from tapem.doors.pure import Gradients
from tapem.seeing.displays.values import folded_value

HEAD = ("node", "type", "norm", "finite", "gradient")

MOST = 40
"""The number of gradients in one table."""


@shows(Gradients)
def gradients_sheet(gradients: Gradients) -> Sheet:
    """The gradients of the leaves, and folded below them those of the nodes between."""
    nodes = [gradients.node(id) for id in gradients]
    leaves = [node for node in nodes if node.op is LEAF]
    inner = [node for node in nodes if node.op is not LEAF]
    parts: list[Part] = [table_of(leaves, gradients)] if leaves else []
    if inner:
        title = f"{len(inner)} computed node{'s' * (len(inner) != 1)}"
        parts.append(Fold(title, (table_of(inner, gradients),), open=not leaves))
    count = len(leaves)
    return Sheet(f"Gradients of {count} {'leaf' if count == 1 else 'leaves'}", tuple(parts))


def table_of(nodes: Sequence[Node], gradients: Gradients) -> Table:
    """The table of some gradients."""
    rows = [row_of(node, gradients[node.id]) for node in nodes[:MOST]]
    if len(nodes) > MOST:
        rows.append(("...", "", "", "", f"{len(nodes) - MOST} more"))
    return Table(HEAD, tuple(rows))


def row_of(node: Node, gradient: Any) -> tuple[Cell, ...]:
    """The row of one gradient."""
    name = node_line(node) if node.op is not LEAF else node.name or "leaf"
    wrong = int(np.count_nonzero(~np.isfinite(gradient)))
    finite = Mark("yes", True) if not wrong else Mark(f"no: {wrong} of {np.size(gradient)} NaN or infinite", False)
    return (f"%{node.id} {name}", node_type(node), norm_text(gradient), finite, folded_value(gradient))


def norm_text(array: Any) -> str:
    """The Euclidean norm of an array, in four digits."""
    with np.errstate(all="ignore"):
        wide = np.asarray(array, np.result_type(array, np.float64))
        return f"{np.sqrt(np.sum(np.abs(wide) ** 2)):.4g}"


__all__ = ["gradients_sheet", "norm_text"]
