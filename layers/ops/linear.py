"""The affine map of dense layers."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from tapem import Tensor, primitive


def rows(x: Any) -> Any:
    """The examples of x as the rows of one matrix, whose product is one call to BLAS; otherwise NumPy loops."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def times(x: Any, matrix: Any) -> Any:
    """The product of x, along its last axis, with a matrix."""
    # For small float32 matrices np.dot takes little more than half the time of @.
    if x.ndim <= 2:
        return np.dot(x, matrix)
    return np.dot(rows(x), matrix).reshape(*x.shape[:-1], matrix.shape[1])


@functools.lru_cache(maxsize=64)
def ones_vector(count: int, dtype: Any) -> Any:
    """A read-only vector of ones: a sum as a product with it is one call to BLAS."""
    ones = np.ones(count, dtype)
    ones.flags.writeable = False
    return ones


def _column_sums(matrix: Any) -> Any:
    """The sum of the rows of a matrix; for a batch it is a product, which is twice as fast as np.sum."""
    if matrix.shape[0] > 4096:
        return np.add.reduce(matrix, axis=0)
    return np.dot(ones_vector(matrix.shape[0], matrix.dtype), matrix)


def _batch_linear(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    weight, bias, x = inputs
    if not (mapped[0] or mapped[1]):
        return op(weight, bias, x)
    batch = x.shape[1:-1] if mapped[2] else x.shape[:-1]
    examples = np.reshape(x, (*(size,) * mapped[2], math.prod(batch), x.shape[-1]))
    products = np.matmul(examples, np.swapaxes(weight, -1, -2))
    sums = products + (np.expand_dims(bias, 1) if mapped[1] else bias)
    return np.reshape(sums, (size, *batch, weight.shape[-2]))


@primitive(
    rrule=(
        lambda g, y, weight, bias, x: np.dot(rows(g).T, rows(x)),
        lambda g, y, weight, bias, x: _column_sums(rows(g)),
        lambda g, y, weight, bias, x: times(g, weight),
    ),
    frule=(
        lambda t, y, weight, bias, x: times(x, t.T),
        lambda t, y, weight, bias, x: np.broadcast_to(t, y.shape),
        lambda t, y, weight, bias, x: times(t, weight.T),
    ),
    batch=_batch_linear,
)
def linear(
    weight: Float[Tensor, "out in"], bias: Float[Tensor, "out"], x: Float[Tensor, "*batch in"]
) -> Float[Tensor, "*batch out"]:
    """The affine map `x W^T + b` of every example.

    Float "out in", Float "out", Float "*batch in" -> Float "*batch out". The bias may not be None.

    Raises ShapeError where the sizes `in` or `out` disagree, DTypeError for integers.

    >>> weight = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])
    >>> linear(weight, np.array([0.5, 0.0]), np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 0.0]]))
    array([[6.5, 1. ],
           [4.5, 2. ]])
    """
    y = times(x, weight.T)
    if y.dtype == bias.dtype:
        y += bias  # the product is new, so no other code holds it
        return y
    return y + bias


__all__ = ["linear"]
