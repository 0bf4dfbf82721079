"""Ops that move no numbers: taking one result of several, and cutting a value off from its derivative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tapem.declare import primitive
from tapem.primitive import Primitive
from tapem.tangents import Composite, Zero


def _only(g: Any, _: object, parts: tuple[Any, ...], index: int) -> Any:
    return Composite(tuple, *(g if position == index else Zero() for position in range(len(parts))))


def _batch_pick(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    return inputs[0][static["index"]]


@primitive(
    rrule=(_only,),
    frule=(lambda t, y, parts, index: t[index],),
    batch=_batch_pick,
    abstract=lambda parts, index: parts[index],
)
def pick(parts, *, index: int) -> Any:  # pyright: ignore  # the operand is a tuple of tensors, which no annotation says
    """One of the several results of an op such as `qr` or `scan`."""
    return parts[index]


# A tuple has neither shape nor dtype to check.
pick.accepted = None
