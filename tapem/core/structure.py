"""Ops that move no numbers: taking one result of several, and cutting a value off from its derivative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from tapem.core.primitive import Primitive, linear_in_all
from tapem.ops.declare import primitive
from tapem.types.signature import Tensor


@primitive(differentiable=False, batch=lambda op, size, inputs, mapped, static: op(*inputs))
def detach(x: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """The value itself, cut off from its derivative: zero in both modes.

    >>> detach(2.0)
    2.0
    """
    return x.copy() if type(x) is np.ndarray else x  # a tape's own array must not leave it


@primitive(
    rrule=(lambda g, y, x: np.stack(g),),
    frule=linear_in_all,
    batch=lambda op, size, inputs, mapped, static: op(np.moveaxis(inputs[0], 0, 1)),
)
def unstack(x: Shaped[Tensor, "n *shape"]) -> Any:
    """The slices along the first axis, all at once: one node, whose cotangent is one stack.

    Indexing slice by slice would cost a zero-padded cotangent of the whole array for each slice.
    """
    return tuple(x)


def _batch_pick(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    return inputs[0][static["index"]]


@primitive(
    frule=(lambda t, y, parts, index: t[index],),
    batch=_batch_pick,
    abstract=lambda parts, index: parts[index],
)
def pick(parts, *, index: int) -> Any:  # pyright: ignore  # the operand is a tuple of tensors, which no annotation says
    """One of the several results of an op such as `qr`; the reverse sweep puts its cotangent in the op's tuple."""
    return parts[index]  # pyright: ignore[reportUnknownVariableType]


# A tuple has neither shape nor dtype to check.
pick.checked = False
