"""Quantiles by weights, and where among some elements in order a method that goes in steps finds a quantile.

Which element a quantile is changes in steps: the derivative goes to that element, and none to weights and shares.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.core import detach
from tapem.errors import ArgumentError
from tapem.ops import indexing
from tapem.ops.axes import axes_of
from tapem.ops.numpy.constants import known
from tapem.ops.numpy.functions import values_of
from tapem.types import is_inexact


def weights_like(weights: Any, a: Any, axis: Any, function: str, method: str) -> Any:
    """The weights in the shape of `a`; they are given in it, or in that of the axes.

    Raises ArgumentError for another shape, weights that are negative, or a method other than inverted_cdf.
    """
    if method != "inverted_cdf":
        raise ArgumentError(f"{function}: only method='inverted_cdf' takes weights, as in NumPy, and not {method!r}.")
    weights = np.asarray(weights) if isinstance(weights, list | tuple) else weights
    if known(weights) and np.any(np.less(detach(weights), 0)):
        raise ArgumentError(f"{function}: weights must be 0 or more.")
    if np.shape(weights) == np.shape(a):
        return weights
    axes = axes_of(a, axis, function)
    if axis is None or np.shape(weights) != tuple(np.shape(a)[i] for i in axes):
        raise ArgumentError(f"{function}: the weights are {np.shape(weights)}, the array {np.shape(a)}, axis {axis}.")
    shape = tuple(n if i in axes else 1 for i, n in enumerate(np.shape(a)))
    return np.broadcast_to(np.reshape(weights, shape), np.shape(a))


def weighted(lines: Any, weights: Any, q: Any) -> Any:
    """The elements up to which the weights add up to the shares `q`: axes of the lines, then those of `q`."""
    order = np.argsort(lines, axis=-1)
    ordered, weights = (np.take_along_axis(x, order, axis=-1) for x in (lines, weights))
    sums = np.cumsum(weights.astype(np.float64), axis=-1)
    total = sums[..., -1:]
    shares = sums / np.where(total == 0, 1, total)
    if hasattr(q, "dtype") and is_inexact(q.dtype):  # NumPy compares them with as few bits as q has
        shares = shares.astype(q.dtype)
    flat = np.reshape(q, (-1,))
    before = (shares[..., None] < flat) | (shares[..., None] == 0)
    place = np.minimum(np.sum(before, axis=-2), np.shape(lines)[-1] - 1)
    return np.reshape(np.take_along_axis(ordered, place, axis=-1), (*np.shape(lines)[:-1], *np.shape(q)))


def place_of_each(number: Any, most: int, q: Any, method: Any, function: str) -> Any:
    """Where among `number` elements in order the quantiles `q` are: axes of `number`, then those of `q`."""
    plain = values_of(q, function)
    table = np.zeros((most + 1, *np.shape(plain)))
    for count in set(np.ravel(detach(number)).tolist()) if known(number) else range(most + 1):
        if count:  # the quantile of 0, 1, 2, ... is the place
            table[count] = np.quantile(np.arange(float(count)), plain, method=method)
    return indexing.take(table, number, axis=0)
