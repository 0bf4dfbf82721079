"""Casts: the same numbers in another dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tapem.core import DType, ShapeDtype
from tapem.core import detach as detach
from tapem.errors import DTypeError
from tapem.ops.declare import batch_elementwise, primitive
from tapem.types import Num, Tensor

__all__ = ["astype"]

T = Num[Tensor, "*shape"]


@primitive(
    rrule=(lambda g, y, x, dtype: astype(g, ShapeDtype.of(x).dtype),),
    frule=(lambda t, y, x, dtype: astype(t, dtype),),
    batch=batch_elementwise,
)
def cast(x: T, dtype: DType) -> T:
    """Cast to another float dtype, `astype` to one that can be perturbed: Num "*shape" -> Num "*shape"."""
    return np.asarray(x).astype(dtype)


@primitive(differentiable=False, batch=batch_elementwise)
def discretize(x: T, dtype: DType) -> T:
    """Cast to integers, rounded towards zero, or bools: Num "*shape" -> Num "*shape".

    This is `astype` to a dtype that cannot be perturbed.
    """
    return np.asarray(x).astype(dtype)


def astype(x: Any, dtype: npt.DTypeLike) -> Any:
    """`x` in another dtype: Num "*shape" -> Num "*shape".

    The cotangent is cast back to the dtype of `x`. A result of integers or bools is a constant: its derivative is zero.

    Raises DTypeError if `dtype` is not a dtype of real numbers.

    >>> astype(np.array([1.5, -1.5]), np.float32)
    array([ 1.5, -1.5], dtype=float32)
    >>> astype(np.array([1.5, -1.5]), int)
    array([ 1, -1])
    """
    try:
        target = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"astype(x, dtype): {dtype!r} is not a dtype ({error}).") from error
    if target.kind not in "fiub":
        raise DTypeError(
            f"astype(x, dtype): {target} is not a dtype of real numbers. Cast to floats, integers or bools."
        )
    op: Any = cast if target.kind == "f" else discretize
    return op(x, target)


def in_dtype_of(x: Any, like: Any) -> Any:
    """Cast `x` to the dtype of `like`; return `x` itself if it has that dtype.

    A rule that applies a function to only one operand casts it first: NumPy would promote a Python scalar or a small
    integer by itself, not together with the other operand.

    >>> np.log(in_dtype_of(2.0, np.ones(3, np.float32))).dtype
    dtype('float32')
    """
    return x if ShapeDtype.of(x).dtype == like.dtype else astype(x, like.dtype)
