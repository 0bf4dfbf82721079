"""Searching: where in an array an element is, and whether or how often. Small changes do not change the results.

These ops have no derivative. Inside derivatives such as `grad` (but not inside `vmap`) they return plain arrays, so
their results can be read and used as indices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from tapem.core import Primitive
from tapem.ops.axes import Axis, refuse_axis_of_scalar
from tapem.ops.declare import primitive
from tapem.types import Num, Tensor

__all__ = ["all", "any", "argmax", "argmin", "argpartition", "argsort", "count_nonzero"]

T = Num[Tensor, "*shape"]


def _behind_batch(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """Search the same axes of every example, which are one further to the right, behind the batch axis."""
    (x,) = inputs
    shape = np.shape(x)[1:]
    axis = static["axis"] if shape else None  # of a number NumPy takes axes 0 and -1 as None
    if type(axis) is tuple:
        return op(x, **{**static, "axis": tuple(1 + a % len(shape) for a in axis)})
    if axis is not None:
        return op(x, **{**static, "axis": 1 + axis % len(shape)})
    # All axes of an example become one, since not every search takes several axes.
    found = op(np.reshape(x, (size, math.prod(shape))), **{**static, "axis": 1, "keepdims": False})
    return np.reshape(found, (size, *(1,) * len(shape))) if static["keepdims"] else found


def _behind_batch_sorted(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    (x,) = inputs
    shape = np.shape(x)[1:]
    axis = static["axis"]
    if axis is None:
        return op(np.reshape(x, (size, math.prod(shape))), **{**static, "axis": 1})
    return op(x, **{**static, "axis": 1 + axis % len(shape)})


@primitive(differentiable=False, batch=_behind_batch, numpy=[np.argmax])
def argmax(x: T, axis: int | None = None, keepdims: bool = False) -> Int[Tensor, "..."]:
    """The index of the first greatest element along an axis, or among all: Num "*shape" -> Int "...".

    Raises ArgumentError for an axis that does not exist or is empty.

    >>> argmax(np.array([[1.0, 3.0], [4.0, 2.0]]), axis=1)
    array([1, 0])
    """
    return np.asarray(np.argmax(x, axis=axis, keepdims=keepdims))


@primitive(differentiable=False, batch=_behind_batch, numpy=[np.argmin])
def argmin(x: T, axis: int | None = None, keepdims: bool = False) -> Int[Tensor, "..."]:
    """The index of the first least element along an axis, or among all: Num "*shape" -> Int "...".

    Raises ArgumentError for an axis that does not exist or is empty.

    >>> argmin(np.array([[1.0, 3.0], [4.0, 2.0]]), axis=1)
    array([0, 1])
    """
    return np.asarray(np.argmin(x, axis=axis, keepdims=keepdims))


@primitive(differentiable=False, batch=_behind_batch_sorted, numpy=[np.argsort])
def argsort(x: T, axis: int | None = -1, kind: str | None = None, *, stable: bool | None = None) -> Int[Tensor, "..."]:
    """The indices that would sort `x` along an axis, or all of it as one axis: Num "*shape" -> Int "...".

    `kind` and `stable` are those of np.argsort. Raises ArgumentError for an axis that does not exist.

    >>> argsort(np.array([3.0, 1.0, 2.0]))
    array([1, 2, 0])
    """
    refuse_axis_of_scalar(x, axis)
    return np.argsort(x, axis=axis, kind=kind, stable=stable)  # type: ignore[call-overload]


@primitive(differentiable=False, batch=_behind_batch_sorted)
def argpartition(x: T, kth: int | tuple[int, ...], axis: int | None = -1) -> Int[Tensor, "..."]:
    """The indices that put the k-th elements in their places along an axis, or in all of `x` as one axis.

    Num "*shape" -> Int "...". Before a k-th element are those that are not greater, after it those that are not less.
    Raises ArgumentError for an axis that does not exist.

    >>> argpartition(np.array([3.0, 1.0, 2.0]), 0)[0]
    np.int64(1)
    """
    refuse_axis_of_scalar(x, axis)
    return np.argpartition(x, kth, axis=axis)


@primitive(differentiable=False, batch=_behind_batch, numpy=[np.count_nonzero])
def count_nonzero(x: T, axis: Axis = None, keepdims: bool = False) -> Int[Tensor, "..."]:
    """The number of elements that are not 0, along one, several or all axes: Num "*shape" -> Int "...".

    Raises ArgumentError for an axis that does not exist or is repeated.

    >>> count_nonzero(np.array([[1.0, 0.0], [4.0, 2.0]]), axis=0)
    array([2, 1])
    """
    return np.asarray(np.count_nonzero(x, axis=axis, keepdims=keepdims))


@primitive(differentiable=False, batch=_behind_batch, numpy=[np.any])
def any(x: T, axis: Axis = None, keepdims: bool = False) -> Bool[Tensor, "..."]:
    """Whether some element is not 0, along one, several or all axes: Num "*shape" -> Bool "...".

    Raises ArgumentError for an axis that does not exist or is repeated.

    >>> any(np.array([[True, False], [False, False]]), axis=1)
    array([ True, False])
    """
    return np.any(x, axis=axis, keepdims=keepdims)


@primitive(differentiable=False, batch=_behind_batch, numpy=[np.all])
def all(x: T, axis: Axis = None, keepdims: bool = False) -> Bool[Tensor, "..."]:
    """Whether no element is 0, along one, several or all axes: Num "*shape" -> Bool "...".

    Raises ArgumentError for an axis that does not exist or is repeated.

    >>> all(np.array([[True, False], [True, True]]), axis=1)
    array([False,  True])
    """
    return np.all(x, axis=axis, keepdims=keepdims)
