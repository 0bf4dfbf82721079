"""Broadcasting, and its transpose for derivatives: shape arithmetic that sweeps and rules share."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tapem.core import OPS, Array, DType, Primitive, Shape, ShapeDtype, is_plain, replaced
from tapem.types import is_inexact


def broadcasts_to(small: Shape, large: Shape) -> bool:
    """Whether NumPy broadcasting can turn the small shape into the large one.

    >>> broadcasts_to((3, 1), (2, 3, 4)), broadcasts_to((2,), (3,))
    (True, False)
    """
    return len(small) <= len(large) and all(a in (1, b) for a, b in zip(reversed(small), reversed(large), strict=False))


def unbroadcast(cotangent: Any, shape: Shape, to: Shape) -> Any:
    """Undo broadcasting: sum over the axes that were added or stretched.

    >>> unbroadcast(np.ones((4, 3)), (4, 3), (3,))
    array([4., 4., 4.])
    """
    added = len(shape) - len(to)
    axes = tuple(range(added)) + tuple(
        added + axis for axis, size in enumerate(to) if size == 1 and shape[added + axis] != 1
    )
    if not axes:
        return cotangent.reshape(to)
    summed = np.sum(cotangent, axis=axes)
    return summed if np.shape(summed) == to else np.reshape(summed, to)


def repeated(x: Any, shape: Shape) -> Any:
    """A value repeated to a shape: of an array a new array, of a tracer a view, unless it is plain."""
    if is_plain(x):
        return full(OPS[np.broadcast_to])(x, shape=shape)
    view = np.broadcast_to(x, shape)
    return view.copy() if type(view) is np.ndarray else view


@functools.cache
def full(op: Any) -> Primitive:
    """The op `broadcast_to` as one that makes a new array: NumPy sums in the order of memory."""
    return replaced(op, name="full", implementation=in_new_memory)


def in_new_memory(x: Any, shape: Shape) -> Any:
    """`x` repeated to a shape, in memory of its own."""
    return np.full(shape, x)


def zeros_of(value: Any, *, writeable: bool = True) -> Array:
    """The zero derivative of a value, with its shape and dtype; for an integer or a bool, in float64.

    If the zeros need not be writeable, they are one number in memory, in the dtype of the value, also for integers and
    bools. They stand for a derivative that did not arrive, where a rule needs an array.

    >>> zeros_of(np.float32(2.0)), zeros_of(3)
    (array(0., dtype=float32), array(0.))
    >>> zeros = zeros_of(ShapeDtype((1000, 1000), np.dtype(float)), writeable=False)
    >>> zeros.shape, zeros.strides
    ((1000, 1000), (0, 0))
    """
    kind = ShapeDtype.of(value)
    if not writeable:
        return np.broadcast_to(_zero(kind.dtype), kind.shape)
    return np.zeros(kind.shape, kind.dtype if is_inexact(kind.dtype) else np.float64)


@functools.lru_cache(maxsize=64)
def _zero(dtype: DType) -> Array:
    zero = np.zeros((), dtype)
    zero.flags.writeable = False
    return zero


def never_arrived(cotangent: Any) -> bool:
    """Whether a cotangent is zeros in one number of memory, for a result on which no output depends.

    Computed zeros do not count, since a computation that gives 0 at one point may not give 0 at a point beside it.

    >>> never_arrived(zeros_of(np.ones(2), writeable=False)), never_arrived(np.zeros(2))
    (True, False)
    """
    return type(cotangent) is np.ndarray and cotangent.base is _zero(cotangent.dtype)
