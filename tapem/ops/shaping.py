"""Shapes: the same elements, arranged otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Shaped

from tapem.declare import primitive
from tapem.primitive import Primitive, linear_in_all
from tapem.signature import Tensor

T = Shaped[Tensor, "..."]
ShapeLike: TypeAlias = int | Sequence[int]


def _batch_reshape(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    (x,) = inputs
    shape = static["shape"] if isinstance(static["shape"], tuple) else (static["shape"],)
    if -1 in shape:  # with an empty batch NumPy could not tell what -1 stands for
        shape = np.empty(np.shape(x)[1:], bool).reshape(shape).shape
    return op(x, shape=(size, *shape))


@primitive(
    rrule=(lambda g, y, x, shape: np.reshape(g, np.shape(x)),),
    frule=linear_in_all,
    batch=_batch_reshape,
    numpy=[np.reshape],
)
def reshape(x: T, shape: ShapeLike) -> T:
    """Reshape."""
    return np.reshape(x, shape)


flatten = reshape


def _inverse(axes: Any) -> Any:
    return None if axes is None else tuple(int(a) for a in np.argsort(axes))


def _batch_transpose(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    (x,) = inputs
    ndim = np.ndim(x) - 1
    axes = static["axes"]
    axes = range(ndim)[::-1] if axes is None else [a % ndim for a in axes]
    return op(x, axes=(0, *(a + 1 for a in axes)))


@primitive(
    rrule=(lambda g, y, x, axes: np.transpose(g, _inverse(axes)),),
    frule=linear_in_all,
    batch=_batch_transpose,
    numpy=[np.transpose],
)
def transpose(x: T, axes: Sequence[int] | None = None) -> T:
    """Transpose."""
    return np.transpose(x, axes)


@primitive(
    rrule=(lambda g, y, x, shape: g,),
    frule=linear_in_all,
    numpy=[np.broadcast_to],
)
def broadcast_to(x: T, shape: ShapeLike) -> T:
    """Broadcast."""
    return np.broadcast_to(x, shape)
