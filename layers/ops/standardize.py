"""The arithmetic that all normalizations share: values with mean 0, their variance, and the derivative of both.

Values are (examples, channels), or (examples, channels, positions) where channels have several positions. Statistics
are taken either by rows (each example, or each group of its channels, by itself) or by channels (over all examples and
positions). One number per row or per channel has a shape that broadcasts to the values.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from layers.ops.arguments import is_number
from tapem import ArgumentError

Means: TypeAlias = Callable[[Any], Any]


class Centered(NamedTuple):
    """Values with mean 0, the factors that make their variance 1, and the statistics.

    The values are not multiplied by the factors yet: the product of factors and gamma is smaller than the values. The
    mean is the sum of the two parts of `means`.
    """

    values: Any
    scale: Any
    means: tuple[Any, Any]
    variance: Any


def check_eps(op: str, eps: Any) -> float:
    """The number to add to a variance; raises ArgumentError unless it is positive."""
    if not (is_number(eps) and 0 < eps < math.inf):
        raise ArgumentError(
            f"{op}: eps is {eps!r}, but must be a positive number: it keeps values and derivatives finite where all "
            "elements are equal."
        )
    return float(eps)


# Arithmetic that may happen in place ----------------------------------------------------------------------------------


def all_arrays(own: Any, *others: Any) -> bool:
    """Whether all are arrays of one dtype: then the first may be changed in place, provided that the caller made it."""
    if type(own) is not np.ndarray:
        return False
    for other in others:
        if type(other) is not np.ndarray or other.dtype != own.dtype:
            return False
    return True


def plus(own: Any, other: Any) -> Any:
    """The sum; an array `own`, which the caller must have made, is overwritten with it."""
    if all_arrays(own, other):
        own += other
        return own
    return own + other


def minus(own: Any, other: Any) -> Any:
    """The difference; an array `own`, which the caller must have made, is overwritten with it."""
    if all_arrays(own, other):
        own -= other
        return own
    return own - other


# Sums as products with a vector, since such a product is one call to BLAS ---------------------------------------------


def shares(count: int, of: int, dtype: Any) -> Any:
    """A read-only vector of `count` numbers `1 / of`."""
    # A long vector costs little compared to the sums that use it, and should not stay in the cache.
    return _kept_shares(count, of, dtype) if count <= 4096 else np.full(count, 1 / max(of, 1), dtype)


@functools.lru_cache(maxsize=128)
def _kept_shares(count: int, of: int, dtype: Any) -> Any:
    vector = np.full(count, 1 / max(of, 1), dtype)
    vector.flags.writeable = False
    return vector


def row_means(x: Any) -> Means:
    """A function that gives the mean of every row, as a column, of matrices like x."""
    weights = shares(x.shape[1], x.shape[1], x.dtype)
    return lambda x: np.dot(x, weights)[:, None]


def channel_means(x: Any) -> Means:
    """A function that gives the mean of every channel, in a shape that broadcasts, of values like x."""
    weights = shares(x.shape[0], channel_count(x), x.dtype)
    return lambda x: per_channel(np.dot(weights, position_sums(x)), x)


def position_sums(x: Any) -> Any:
    """The sum over all positions of every channel of every example, as a matrix."""
    if x.ndim == 2:
        return x
    examples, channels, positions = x.shape
    sums = np.dot(x.reshape(examples * channels, positions), shares(positions, 1, x.dtype))
    return sums.reshape(examples, channels)


def example_sums(matrix: Any) -> Any:
    """The sum of the rows of a matrix that has one row per example."""
    return np.dot(shares(matrix.shape[0], 1, matrix.dtype), matrix)


def channel_sums(x: Any) -> Any:
    """The sum of every channel."""
    return example_sums(position_sums(x))


def channel_count(x: Any) -> int:
    """How many values every channel has."""
    return x.shape[0] * math.prod(x.shape[2:])


def per_channel(parameter: Any, x: Any) -> Any:
    """One number per channel in a shape that broadcasts to the values."""
    return parameter if x.ndim == 2 else parameter[:, None]


# Standard values and their derivative ---------------------------------------------------------------------------------


def center(x: Any, means: Means, eps: float) -> Centered:
    """The values without their mean, and `1 / sqrt(variance + eps)`."""
    mean = means(x)
    values = x - mean
    # The mean was rounded, which far from 0 is a good part of the variance, so the remaining mean is subtracted too.
    rest = means(values)
    values = minus(values, rest)
    variance = means(values * values)
    return Centered(values, 1 / np.sqrt(variance + eps), (mean, rest), variance)


def slope(change: Any, values: Any, along: Any, shift: Any = None) -> Any:
    """`change - values * along - shift`, the form of derivatives of normalized values; in place, as `minus`."""
    moved = values * along
    return minus(change, moved if shift is None else plus(moved, shift))


__all__ = [
    "Centered", "Means", "all_arrays", "center", "channel_count", "channel_means", "channel_sums",
    "check_eps", "example_sums", "minus", "per_channel", "plus", "position_sums", "row_means",
    "shares", "slope",
]  # fmt: skip
