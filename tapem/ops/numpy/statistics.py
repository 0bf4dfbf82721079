"""NumPy's order statistics and averages, made from ops; see `functions`.

NaN and infinities give the same results and warnings as in NumPy: the order statistics of a line with a NaN are NaN,
and there is no interpolation where none is needed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapem.core import detach
from tapem.errors import ArgumentError
from tapem.ops import indexing
from tapem.ops.axes import axes_of, normal_axes
from tapem.ops.numpy.functions import equals


def _in_order(function: str, a: Any, axis: Any) -> Any:
    """The elements along the axes, sorted in ascending order along one last axis; NaN is at its end."""
    axes = axes_of(a, axis, function)
    kept = [i for i in range(np.ndim(a)) if i not in axes]
    shape = [np.shape(a)[i] for i in kept]
    lines = np.reshape(np.transpose(a, (*kept, *axes)), (*shape, math.prod(np.shape(a)[i] for i in axes)))
    return np.sort(lines, axis=-1)


def _nan_where_any(found: Any, ordered: Any, rank: int = 0) -> Any:
    """Replace `found` by NaN for every line that has one; `found` has `rank` axes after those of the lines."""
    last = ordered[(..., -1, *(None,) * rank)]
    return np.where(np.isnan(last), last, found)


def _kept(found: Any, a: Any, axis: Any, keepdims: bool, leading: tuple[int, ...] = ()) -> Any:
    if not keepdims:
        return found
    axes = normal_axes(axis, np.ndim(a))
    return np.reshape(found, (*leading, *(1 if i in axes else n for i, n in enumerate(np.shape(a)))))


@equals(np.median)
def median(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The middle element in order, or the mean of the two in the middle."""
    ordered = _in_order("np.median", a, axis)
    count = np.shape(ordered)[-1]
    found = np.mean(ordered[..., (count - 1) // 2 if count else 0 : count // 2 + 1], axis=-1)
    return _kept(_nan_where_any(found, ordered) if count else found, a, axis, keepdims)


def _require_share(q: Any, function: str, most: float) -> None:
    plain = detach(q)
    if isinstance(plain, np.ndarray | np.generic | float | int):
        shares = np.asarray(plain, np.float64)
        if not np.all((shares >= 0) & (shares <= most)):
            raise ArgumentError(f"{function}: q must be in [0, {most:g}], but is {plain!r}.")


@equals(np.quantile)
def quantile(a: Any, q: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Quantiles by linear interpolation between the elements in order."""
    q = np.asarray(q) if isinstance(q, list | tuple) else q
    _require_share(q, "np.quantile", 1)
    return _quantile("np.quantile", a, q, q, axis, keepdims)


@equals(np.percentile)
def percentile(a: Any, q: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Quantiles with q in percent."""
    q = np.asarray(q) if isinstance(q, list | tuple) else q
    _require_share(q, "np.percentile", 100)
    return _quantile("np.percentile", a, np.true_divide(q, 100), q, axis, keepdims)


def _quantile(function: str, a: Any, q: Any, given: Any, axis: Any, keepdims: bool) -> Any:
    """The quantiles q; in the dtype of `a` if `given`, the user's q, is a Python number."""
    ordered = _in_order(function, a, axis)
    count, rank = np.shape(ordered)[-1], np.ndim(q)
    if not count:
        raise ArgumentError(f"{function}: there is no element along axis {axis} of shape {np.shape(a)}.")
    place = q * (count - 1)
    if np.result_type(place).kind in "iu":  # the least or the greatest element, without interpolation
        found = indexing.take(ordered, place, axis=-1)
    else:
        found = _between(ordered, place, weak=type(given) in (int, float))
    found = _nan_where_any(found, ordered, rank)
    return _kept(np.moveaxis(found, range(-rank, 0), range(rank)), a, axis, keepdims, np.shape(q))


def _between(ordered: Any, place: Any, *, weak: bool) -> Any:
    """Interpolate the elements at places that are not integers; `weak` places do not promote the dtype."""
    count = np.shape(ordered)[-1]
    low = np.floor(place)
    share = place - low
    low = np.clip(low.astype(np.intp), 0, count - 1)
    below, above = (indexing.take(ordered, k, axis=-1) for k in (low, np.minimum(low + 1, count - 1)))
    if weak:
        share = float(share)
    # From the nearer end, as in NumPy, so that both ends are exact; with NumPy's warnings, and no others.
    far, step = share >= 0.5, above - below
    from_above = np.where(far, above, 0) - np.where(far, step, 0) * (1 - share)
    return np.where(far, from_above, below + step * share)


@equals(np.ptp)
def ptp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The greatest element minus the least."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@equals(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """The mean, weighted if weights are given."""
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        return (mean, np.full_like(mean, np.size(a) / np.size(mean))) if returned else mean
    if np.shape(weights) != np.shape(a):
        if not isinstance(axis, int):
            raise TypeError("Axis must be specified when shapes of a and weights differ.")
        (along,) = axes_of(a, axis, "np.average")
        weights = np.reshape(weights, (-1, *(1,) * (np.ndim(a) - 1 - along)))
    weights = np.broadcast_to(weights, np.shape(a))
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (mean, total) if returned else mean
