"""Access: views without memory of their own, as a way to index the array behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tapem.core import Node
from tapem.transforms import Program


class Access(NamedTuple):
    """How a value reads the memory of another: for each axis of the base the axis of the value, None for index 0."""

    base: int
    axes: tuple[int | None, ...]


def identity_of(id: int, rank: int) -> Access:
    """The access of a value that has memory of its own."""
    return Access(id, tuple(range(rank)))


def is_plain(access: Access, rank: int) -> bool:
    """Whether a value lies in memory as the base does."""
    return access.axes == tuple(range(rank))


def accesses(program: Program) -> dict[int, Access]:
    """The access of every node with one result: transposes, broadcasts and axes of size 1 are views."""
    found: dict[int, Access] = {}
    for node in program.nodes:
        if type(node.output) is tuple:
            continue
        view = view_of(node, program)
        rank = len(node.shape)
        if view is None or node.parents[0] is None or node.parents[0] not in found:
            found[node.id] = identity_of(node.id, rank)
            continue
        inner = found[node.parents[0]]
        found[node.id] = Access(inner.base, tuple(None if axis is None else view[axis] for axis in inner.axes))
    return found


def view_of(node: Node, program: Program) -> Sequence[int | None] | None:
    """For each axis of a view's operand the axis of the view, None for index 0; None if the node is no view."""
    name = getattr(node.op, "name", "")
    if name not in _VIEWS or node.parents[0] is None:
        return None
    before, after = program.nodes[node.parents[0]].shape, node.shape
    rank = len(after)
    if name in ("transpose", "swapaxes", "moveaxis"):
        order = _order(name, len(before), node.static)
        inverse: list[int | None] = [None] * rank
        for position, axis in enumerate(order):
            inverse[axis] = position
        return inverse
    if name == "broadcast_to":
        shift = rank - len(before)
        return [None if size == 1 else shift + axis for axis, size in enumerate(before)]
    # Axes of size 1 come and go; otherwise the elements are laid out anew.
    real_before = [axis for axis, size in enumerate(before) if size != 1]
    real_after = [axis for axis, size in enumerate(after) if size != 1]
    if [before[axis] for axis in real_before] != [after[axis] for axis in real_after]:
        return None
    place = dict(zip(real_before, real_after, strict=True))
    return [place.get(axis) for axis in range(len(before))]


_VIEWS = frozenset("transpose swapaxes moveaxis broadcast_to expand_dims squeeze reshape flatten identity".split())


def _order(name: str, rank: int, static: Any) -> Sequence[int]:
    """For each axis of the result the axis of the operand."""
    if name == "transpose":
        axes = static["axes"]
        return range(rank)[::-1] if axes is None else [axis % rank for axis in axes]
    order = list(range(rank))
    if name == "swapaxes":
        one, other = static["axis1"] % rank, static["axis2"] % rank
        order[one], order[other] = order[other], order[one]
        return order
    sources, targets = (_several(static[key], rank) for key in ("source", "destination"))
    rest = [axis for axis in range(rank) if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        rest.insert(target, source)
    return rest


def _several(axes: Any, rank: int) -> list[int]:
    return [axis % rank for axis in (axes if isinstance(axes, tuple | list) else (axes,))]


__all__ = ["Access", "accesses", "identity_of", "is_plain", "view_of"]
