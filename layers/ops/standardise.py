"""What all normalisations share: values with mean 0 and variance 1 over some axes, and the derivative of that.

Values stand as (examples, channels), or (examples, channels, positions) where channels have several positions.
Statistics are taken either by rows (each example, or each group of its channels, by itself) or by channels (over all
examples and positions); what is one number per row or channel has a shape that broadcasts to the values.
"""

# The functions here run on arrays and on tracers alike, so their arguments have no type that a checker could follow.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tapem import ArgumentError

Means: TypeAlias = Callable[[Any], Any]


class Standard(NamedTuple):
    """Values with mean 0 and variance 1, and how they were made: `normal = (x - mean) * scale`."""

    normal: Any
    scale: Any
    mean: Any
    variance: Any


def check_eps(op: str, eps: Any) -> float:
    """The number that is added to a variance; ArgumentError unless it is positive."""
    number = type(eps) is float or (isinstance(eps, int | float | np.floating) and not isinstance(eps, bool))
    if not (number and 0 < eps < math.inf):
        raise ArgumentError(
            f"{op}: eps is {eps!r}, but must be a positive number: it keeps values and derivatives finite where all "
            "elements are equal."
        )
    return float(eps)


# Dtypes ---------------------------------------------------------------------------------------------------------------


def all_arrays(*values: Any) -> bool:
    """Whether these are arrays of one dtype, so that one may be changed in place by the others."""
    first = values[0]
    return all(type(value) is np.ndarray and value.dtype == first.dtype for value in values)


def as_dtype(x: Any, dtype: Any) -> Any:
    """The values in this dtype."""
    return x if x.dtype == dtype else x.astype(dtype)


def wide(x: Any) -> Any:
    """The values in a dtype in which sums of squares are safe: float32 in place of float16."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def promoted(*operands: Any) -> Any:
    """The dtype of what is computed from these."""
    dtypes = [operand.dtype for operand in operands]
    return dtypes[0] if all(dtype == dtypes[0] for dtype in dtypes) else np.result_type(*dtypes)


# Means ----------------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def shares(count: int, of: int, dtype: Any) -> Any:
    """A vector of `1 / of`, which nobody may change: a mean as a product with it is one call to BLAS."""
    vector = np.full(count, 1 / max(of, 1), dtype)
    vector.flags.writeable = False
    return vector


def row_means(x: Any) -> Any:
    """The mean of every row of a matrix, as a column."""
    return np.dot(x, shares(x.shape[1], x.shape[1], x.dtype))[:, None]


def channel_count(x: Any) -> int:
    """How many values every channel has."""
    return x.shape[0] * math.prod(x.shape[2:])


def _channel_totals(x: Any, of: int) -> Any:
    """The sum of every channel, divided by `of`."""
    weights = shares(x.shape[0], of, x.dtype)
    if x.ndim == 2:
        return np.dot(weights, x)
    examples, channels, positions = x.shape
    sums = np.dot(np.reshape(x, (examples * channels, positions)), shares(positions, 1, x.dtype))
    return np.dot(weights, np.reshape(sums, (examples, channels)))


def channel_sums(x: Any) -> Any:
    """The sum of every channel."""
    return _channel_totals(x, 1)


def channel_means(x: Any) -> Any:
    """The mean of every channel, in a shape that broadcasts to the values."""
    return per_channel(_channel_totals(x, channel_count(x)), x)


def per_channel(parameter: Any, x: Any) -> Any:
    """One number per channel in a shape that broadcasts to the values."""
    return parameter if x.ndim == 2 else parameter[:, None]


# Standard values and their derivative ---------------------------------------------------------------------------------


def affine(normal: Any, gamma: Any, beta: Any) -> Any:
    """`gamma * normal + beta`."""
    y = normal * gamma
    if all_arrays(y, beta):
        y += beta  # the product is fresh, so nobody else sees it change
        return y
    return y + beta


def standardise(x: Any, means: Means, eps: float) -> Standard:
    """The values with mean 0 and variance 1."""
    mean = means(x)
    centred = x - mean
    # That mean was rounded, which far from 0 is a good part of the variance: what is left of it is taken out as well.
    rest = means(centred)
    if all_arrays(centred, rest):
        centred -= rest
        variance = means(centred * centred)
        scale = 1 / np.sqrt(variance + eps)
        centred *= scale
        return Standard(centred, scale, mean + rest, variance)
    centred = centred - rest
    variance = means(centred * centred)
    scale = 1 / np.sqrt(variance + eps)
    return Standard(centred * scale, scale, mean + rest, variance)


def scale_to_one(x: Any, means: Means, eps: float) -> Standard:
    """The values with mean square 1; their mean is left alone."""
    variance = means(x * x)
    scale = 1 / np.sqrt(variance + eps)
    return Standard(x * scale, scale, None, variance)


def slope(change: Any, factor: Any, normal: Any, along: Any, shift: Any = None) -> Any:
    """`change * factor - normal * along - shift`: the form that the derivative of standard values has."""
    result, moved = change * factor, normal * along
    if all_arrays(result, moved):
        if shift is not None:
            moved += shift
        result -= moved
        return result
    return result - moved if shift is None else result - moved - shift


__all__ = [
    "Means",
    "Standard",
    "affine",
    "all_arrays",
    "as_dtype",
    "channel_count",
    "channel_means",
    "channel_sums",
    "check_eps",
    "per_channel",
    "promoted",
    "row_means",
    "scale_to_one",
    "slope",
    "standardise",
    "wide",
]
