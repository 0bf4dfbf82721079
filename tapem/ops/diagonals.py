"""Diagonals and triangles of matrices: all ops are linear, and the transpose of each is another one here."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core import Primitive, Shape, ShapeDtype, linear_in_all
from tapem.errors import ShapeError
from tapem.ops.declare import primitive
from tapem.types import Num, Tensor

T = Num[Tensor, "..."]
Matrices = Num[Tensor, "*batch n m"]


def _planes(x: Any, axis1: int, axis2: int) -> tuple[int, int]:
    """The two axes of a plane as non-negative numbers. Raises ValueError, which the engine converts, for equal ones."""
    first, second = (np.lib.array_utils.normalize_axis_index(axis, np.ndim(x)) for axis in (axis1, axis2))
    if first == second:
        raise ValueError(f"axis1={axis1} and axis2={axis2} are the same axis: a diagonal needs two")
    return first, second


def _batch_diagonal(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """The same diagonal of every example: its axes are one further to the right."""
    (x,) = inputs
    first, second = (static[name] % (np.ndim(x) - 1) + 1 for name in ("axis1", "axis2"))
    return op(x, **{**static, "axis1": first, "axis2": second})


def _back(g: Any, y: Any, x: Any, offset: int, axis1: int, axis2: int) -> Any:
    return from_diagonal(g, offset=offset, axis1=axis1, axis2=axis2, shape=np.shape(x))


@primitive(rrule=(_back,), frule=linear_in_all, batch=_batch_diagonal, numpy=[np.diagonal])
def diagonal(x: T, offset: int = 0, axis1: int = 0, axis2: int = 1) -> T:
    """The elements of `x` whose positions along `axis2` and `axis1` differ by `offset`, along a new last axis.

    Num "n m", with any other axes -> Num "k", behind them. Raises ArgumentError for an axis out of range, or given
    twice.

    >>> diagonal(np.array([[1.0, 2.0], [3.0, 4.0]])), diagonal(np.array([[1.0, 2.0], [3.0, 4.0]]), offset=1)
    (array([1., 4.]), array([2.]))
    """
    _planes(x, axis1, axis2)
    return np.diagonal(x, offset, axis1, axis2)


def _batch_from_diagonal(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    rank = len(static["shape"])
    first, second = (static[name] % rank + 1 for name in ("axis1", "axis2"))
    return op(inputs[0], offset=static["offset"], axis1=first, axis2=second, shape=(size, *static["shape"]))


@primitive(
    rrule=(lambda g, y, x, offset, axis1, axis2, shape: diagonal(g, offset, axis1, axis2),),
    frule=linear_in_all,
    batch=_batch_from_diagonal,
    abstract=lambda x, offset, axis1, axis2, shape: ShapeDtype(shape, x.dtype),
)
def from_diagonal(x: T, offset: int, axis1: int, axis2: int, shape: Shape) -> T:
    """The transpose of `diagonal`, zeros of `shape` with `x` on the diagonal: Num "..." -> Num "...".

    >>> from_diagonal(np.array([1.0, 2.0]), offset=1, axis1=0, axis2=1, shape=(2, 3))
    array([[0., 1., 0.],
           [0., 0., 2.]])
    """
    out = np.zeros(shape, x.dtype)
    # NumPy's diagonal is a view, which must be made writeable.
    view = np.diagonal(out, offset, axis1, axis2)
    view.flags.writeable = True
    view[...] = x
    return out


def _diag_back(g: Any, y: Any, x: Any, k: int) -> Any:
    if np.ndim(x) == 1:
        return diagonal(g, k)
    return from_diagonal(g, offset=k, axis1=0, axis2=1, shape=np.shape(x))


def _batch_diag(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    (x,), k = inputs, static["k"]
    if np.ndim(x) == 3:
        return diagonal(x, k, 1, 2)
    n = np.shape(x)[1] + abs(k)
    return from_diagonal(x, offset=k, axis1=1, axis2=2, shape=(size, n, n))


@primitive(rrule=(_diag_back,), frule=linear_in_all, batch=_batch_diag, numpy=[np.diag])
def diag(x: T, k: int = 0) -> T:
    """The square matrix with a vector on its `k`-th diagonal, or the `k`-th diagonal of a matrix.

    Num "n" -> Num "n+|k| n+|k|", Num "n m" -> Num "d". Raises ShapeError for any other number of axes.

    >>> diag(np.array([1.0, 2.0]))
    array([[1., 0.],
           [0., 2.]])
    >>> diag(np.array([[1.0, 2.0], [3.0, 4.0]]), k=1)
    array([2.])
    """
    if np.ndim(x) not in (1, 2):
        raise ShapeError(f"diag(x): x must be a vector or a matrix, but has shape {np.shape(x)}.")
    return np.diag(x, k)


def _trace_back(g: Any, y: Any, x: Any, offset: int, axis1: int, axis2: int) -> Any:
    shape = np.shape(x)
    length = np.diagonal(np.broadcast_to(np.zeros(()), shape), offset, axis1, axis2).shape[-1]
    spread = np.broadcast_to(np.expand_dims(g, -1), (*np.shape(g), length))
    return from_diagonal(spread, offset=offset, axis1=axis1, axis2=axis2, shape=shape)


@primitive(rrule=(_trace_back,), frule=linear_in_all, batch=_batch_diagonal, numpy=[np.trace])
def trace(x: T, offset: int = 0, axis1: int = 0, axis2: int = 1) -> T:
    """The sum of a diagonal: Num "n m", with any other axes -> Num "", with these.

    Raises ArgumentError for an axis out of range, or given twice.

    >>> float(trace(np.array([[1.0, 2.0], [3.0, 4.0]])))
    5.0
    """
    _planes(x, axis1, axis2)
    return np.trace(x, offset, axis1, axis2)


def _batch_triangle(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    return op(inputs[0], **static)  # leading axes are free


@primitive(rrule=(lambda g, y, x, k: triu(g, k),), frule=linear_in_all, batch=_batch_triangle, numpy=[np.triu])
def triu(x: Matrices, k: int = 0) -> Matrices:
    """The upper triangle of each matrix, zeros below its `k`-th diagonal: Num "*batch n m" -> Num "*batch n m".

    >>> triu(np.ones((2, 2)))
    array([[1., 1.],
           [0., 1.]])
    """
    return np.triu(x, operator.index(k))


@primitive(rrule=(lambda g, y, x, k: tril(g, k),), frule=linear_in_all, batch=_batch_triangle, numpy=[np.tril])
def tril(x: Matrices, k: int = 0) -> Matrices:
    """The lower triangle of each matrix, zeros above its `k`-th diagonal: Num "*batch n m" -> Num "*batch n m".

    >>> tril(np.ones((2, 2)))
    array([[1., 0.],
           [1., 1.]])
    """
    return np.tril(x, operator.index(k))


__all__ = ["diag", "diagonal", "trace", "tril", "triu"]
