"""Access: views without memory of their own, as a way to index the array behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tapem.core import Node, pick, unstack
from tapem.transforms import Program


class Place(NamedTuple):
    """Where a view reads along an axis of its base: at `start + step * i`, with i the index along an axis of the view.

    Without an axis, it reads at `start` only.
    """

    axis: int | None
    start: int = 0
    step: int = 1


class Access(NamedTuple):
    """How a value reads the memory of another: the base, and a place for each axis of it."""

    base: int
    places: tuple[Place, ...]

    def index_text(self, indices: Sequence[str], shape: Sequence[int]) -> str:
        """The index of the base's element, from the indices of the view, whose shape this is."""
        return ", ".join(self._text(place, indices, shape) for place in self.places)

    def strides(self, base: Sequence[int], shape: Sequence[int]) -> tuple[int, list[int]]:
        """Where the view begins in the memory of the base, and how far its axes step there; these are the shapes.

        The base is in row-major order; along an axis that is repeated the step is 0.
        """
        start, steps, step = 0, [0] * len(shape), 1
        for place, size in zip(reversed(self.places), reversed(base), strict=True):
            start += place.start * step
            if place.axis is not None and shape[place.axis] != 1:
                steps[place.axis] = place.step * step
            step *= size
        return start, steps

    @staticmethod
    def _text(place: Place, indices: Sequence[str], shape: Sequence[int]) -> str:
        if place.axis is None or shape[place.axis] == 1:
            return str(place.start)
        text = indices[place.axis]
        if place.step != 1:
            text = f"{place.step} * {text}" if text.isidentifier() else f"{place.step} * ({text})"
        return text if not place.start else f"{place.start} + {text}"


def whole(id: int, rank: int) -> Access:
    """The access of a value that has memory of its own."""
    return Access(id, tuple(Place(axis) for axis in range(rank)))


def is_plain(access: Access, rank: int) -> bool:
    """Whether the value is all of the base, in the same order."""
    return access.places == whole(access.base, rank).places


def is_turned(access: Access, rank: int) -> bool:
    """Whether the value is all of the base, with the last two axes exchanged."""
    turned = [*range(rank - 2), rank - 1, rank - 2]
    return rank >= 2 and access.places == tuple(Place(axis) for axis in turned)


def in_columns(access: Access, shift: int, rank: int) -> bool:
    """Whether a loop over `rank` axes, of which the first `shift` are not of the value, reads the base in columns."""
    axes = [None if place.axis is None else shift + place.axis for place in access.places]
    return bool(axes) and axes[-1] == rank - 2 and rank - 1 in axes


def accesses(program: Program) -> dict[int, Access]:
    """The access of every node with one result."""
    found: dict[int, Access] = {}
    for node in program.nodes:
        if type(node.output) is tuple:
            continue
        parent = node.parents[0] if node.parents else None
        view = _VIEWS.get(getattr(node.op, "name", ""))
        places = None
        if node.op is pick and picked_from(program, node).op is unstack:
            parent = picked_from(program, node).parents[0]
            if parent in found:
                places = [Place(None, node.static["index"]), *map(Place, range(len(node.shape)))]
        elif view is not None and parent in found and len(node.parents) == 1:
            places = view(program.nodes[parent].shape, node)  # pyright: ignore[reportArgumentType]
        if places is None:
            found[node.id] = whole(node.id, len(node.shape))
        else:
            inner = found[parent]  # pyright: ignore[reportArgumentType]
            found[node.id] = Access(inner.base, tuple(composed(place, places) for place in inner.places))
    return found


def picked_from(program: Program, node: Node) -> Node:
    """The node of which another picks a result."""
    (parent,) = node.parents
    assert parent is not None
    return program.nodes[parent]


def composed(place: Place, outer: Sequence[Place]) -> Place:
    """The place of a view of a view."""
    if place.axis is None:
        return place
    other = outer[place.axis]
    return Place(other.axis, place.start + place.step * other.start, place.step * other.step)


# -- views: for each axis of the operand, a place in terms of the axes of the result -----------------------------------


def _in_order(order: Sequence[int]) -> Sequence[Place]:
    """For a view whose axis k is the operand's axis `order[k]`."""
    places = [Place(None)] * len(order)
    for position, axis in enumerate(order):
        places[axis] = Place(position)
    return places


def _transpose(before: Sequence[int], node: Node) -> Sequence[Place]:
    axes, rank = node.static["axes"], len(before)
    return _in_order(range(rank)[::-1] if axes is None else [axis % rank for axis in axes])


def _swapaxes(before: Sequence[int], node: Node) -> Sequence[Place]:
    rank = len(before)
    order = list(range(rank))
    one, other = node.static["axis1"] % rank, node.static["axis2"] % rank
    order[one], order[other] = order[other], order[one]
    return _in_order(order)


def _moveaxis(before: Sequence[int], node: Node) -> Sequence[Place]:
    rank = len(before)
    sources, targets = (_several(node.static[key], rank) for key in ("source", "destination"))
    order = [axis for axis in range(rank) if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        order.insert(target, source)
    return _in_order(order)


def _several(axes: Any, rank: int) -> list[int]:
    return [axis % rank for axis in (axes if isinstance(axes, tuple | list) else (axes,))]


def _broadcast(before: Sequence[int], node: Node) -> Sequence[Place]:
    shift = len(node.shape) - len(before)
    return [Place(None if size == 1 else shift + axis) for axis, size in enumerate(before)]


def _same_order(before: Sequence[int], node: Node) -> Sequence[Place] | None:
    """A reshape is a view here if only axes of size 1 come and go."""
    real = [axis for axis, size in enumerate(before) if size != 1]
    after = [axis for axis, size in enumerate(node.shape) if size != 1]
    if [before[axis] for axis in real] != [node.shape[axis] for axis in after]:
        return None
    place = dict(zip(real, after, strict=True))
    return [Place(place.get(axis)) for axis in range(len(before))]


def _flip(before: Sequence[int], node: Node) -> Sequence[Place]:
    axes = node.static["axis"]
    turned = range(len(before)) if axes is None else _several(axes, len(before))
    return [Place(axis, size - 1, -1) if axis in turned else Place(axis) for axis, size in enumerate(before)]


def _getitem(before: Sequence[int], node: Node) -> Sequence[Place]:
    """Basic indexing: numbers, slices, new axes and an ellipsis."""
    parts: list[Any] = list(node.static["at"].parts)
    used = sum(part is not None and part is not Ellipsis for part in parts)
    rest = [slice(None)] * (len(before) - used)
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = rest
    else:
        parts += rest
    places: list[Place] = []
    axis = 0
    for part in parts:
        if part is None:
            axis += 1
        elif isinstance(part, slice):
            start, _, step = part.indices(before[len(places)])
            places.append(Place(axis, start, step))
            axis += 1
        else:
            number: Any = part
            places.append(Place(None, number % before[len(places)]))
    return places


_VIEWS: Mapping[str, Callable[[Sequence[int], Node], Sequence[Place] | None]] = {
    "broadcast_to": _broadcast,
    "expand_dims": _same_order,
    "flatten": _same_order,
    "flip": _flip,
    "getitem": _getitem,
    "moveaxis": _moveaxis,
    "reshape": _same_order,
    "squeeze": _same_order,
    "swapaxes": _swapaxes,
    "transpose": _transpose,
}


__all__ = ["Access", "Place", "accesses", "in_columns", "is_plain", "is_turned", "picked_from", "whole"]
