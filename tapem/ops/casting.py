"""Casts: the same numbers in another dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tapem.core import DType, ShapeDtype
from tapem.core import detach as detach
from tapem.errors import DTypeError
from tapem.ops.declare import batch_elementwise, primitive
from tapem.types import NUMERIC, Num, Tensor, is_inexact

__all__ = ["astype"]

T = Num[Tensor, "*shape"]


@primitive(
    # The sweep casts what belongs to another dtype than its own, and projects to the reals.
    rrule=(lambda g, y, x, dtype: g,),
    frule=(lambda t, y, x, dtype: t,),
    batch=batch_elementwise,
)
def cast(x: T, dtype: DType) -> T:
    """Cast to another float or complex dtype, `astype` to one that can be perturbed: Num "*shape" -> Num "*shape"."""
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
    From complex to real numbers the real part is taken, with NumPy's ComplexWarning; write x.real instead.

    Raises DTypeError if `dtype` is not a dtype of numbers.

    >>> astype(np.array([1.5, -1.5]), np.float32)
    array([ 1.5, -1.5], dtype=float32)
    >>> astype(np.array([1.5, -1.5]), int)
    array([ 1, -1])
    """
    try:
        target = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"astype(x, dtype): {dtype!r} is not a dtype ({error}).") from error
    if target.kind not in NUMERIC:
        raise DTypeError(
            f"astype(x, dtype): {target} is not a dtype of numbers. Cast to floats, complex numbers, integers or bools."
        )
    op: Any = cast if is_inexact(target) else discretize
    return op(x, target)


def in_dtype_of(x: Any, like: Any) -> Any:
    """Cast `x` to the dtype of `like`; return `x` itself if it has that dtype.

    A rule that applies a function to only one operand casts it first: NumPy would promote a Python scalar or a small
    integer by itself, not together with the other operand.

    >>> np.log(in_dtype_of(2.0, np.ones(3, np.float32))).dtype
    dtype('float32')
    """
    return x if ShapeDtype.of(x).dtype == like.dtype else astype(x, like.dtype)
