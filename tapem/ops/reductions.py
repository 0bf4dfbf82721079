"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Shaped

from tapem.declare import primitive
from tapem.primitive import Primitive, linear_in_all
from tapem.signature import Tensor

T = Shaped[Tensor, "..."]
Axis: TypeAlias = int | Sequence[int] | None


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` names, as sorted non-negative integers; None names them all.

    >>> normal_axes(-1, 3), normal_axes(None, 2)
    ((2,), (0, 1))
    """
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(int(np.lib.array_utils.normalize_axis_index(a, ndim)) for a in axes))


def restore(value: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """A reduced value with the axes that were reduced put back as axes of size 1."""
    if keepdims:
        return value
    axes = normal_axes(axis, np.ndim(x))
    return np.reshape(value, tuple(1 if a in axes else n for a, n in enumerate(np.shape(x))))


def batch_reduction(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """Reduce the same axes of every example: one further to the right, behind the batch axis."""
    (x,) = inputs
    axes = tuple(a + 1 for a in normal_axes(static["axis"], np.ndim(x) - 1))
    return op(x, **{**static, "axis": axes})


@primitive(
    rrule=(lambda g, y, x, axis, keepdims: np.broadcast_to(restore(g, x, axis, keepdims), np.shape(x)),),
    frule=linear_in_all,
    batch=batch_reduction,
    numpy=[np.sum],
)
def sum(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The sum."""
    return np.sum(x, axis=axis, keepdims=keepdims)


def _share(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    count = int(np.prod([np.shape(x)[a] for a in normal_axes(axis, np.ndim(x))], dtype=np.int64))
    return np.broadcast_to(restore(g / max(count, 1), x, axis, keepdims), np.shape(x))


@primitive(
    rrule=(lambda g, y, x, axis, keepdims: _share(g, x, axis, keepdims),),
    frule=linear_in_all,
    batch=batch_reduction,
    numpy=[np.mean],
)
def mean(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The mean."""
    return np.mean(x, axis=axis, keepdims=keepdims)


max = min = sum
