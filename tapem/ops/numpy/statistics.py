"""NumPy's order statistics and averages, made from ops; see `functions`.

NaN and infinities give the same results and warnings as in NumPy: the order statistics of a line with a NaN are NaN,
and there is no interpolation where none is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tapem.core import detach
from tapem.errors import ArgumentError
from tapem.ops import indexing
from tapem.ops.axes import axes_of, axis_of, normal_axes
from tapem.ops.complex_numbers import require_real
from tapem.ops.numpy.functions import equals, values_of
from tapem.ops.numpy.weighted_quantiles import place_of_each, weighted, weights_like


def _in_order(function: str, a: Any, axis: Any) -> Any:
    """The elements along the axes, sorted in ascending order along one last axis; NaN is at its end."""
    return np.sort(_lines(function, a, axis), axis=-1)


def _lines(function: str, a: Any, axis: Any) -> Any:
    """The elements along the axes, along one last axis."""
    axes = axes_of(a, axis, function)
    kept = [i for i in range(np.ndim(a)) if i not in axes]
    shape = [np.shape(a)[i] for i in kept]
    return np.reshape(np.transpose(a, (*kept, *axes)), (*shape, math.prod(np.shape(a)[i] for i in axes)))


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
def quantile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False, weights: Any = None
) -> Any:
    """Quantiles by any of NumPy's methods; `q` may be differentiated where the method interpolates."""
    q = np.asarray(q) if isinstance(q, list | tuple) else q
    _require_share(q, "np.quantile", 1)
    return _quantile("np.quantile", a, q, q, axis, method, keepdims, weights)


@equals(np.percentile)
def percentile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False, weights: Any = None
) -> Any:
    """Quantiles with q in percent."""
    q = np.asarray(q) if isinstance(q, list | tuple) else q
    _require_share(q, "np.percentile", 100)
    return _quantile("np.percentile", a, np.true_divide(q, 100), q, axis, method, keepdims, weights)


_METHODS: Mapping[str, tuple[float, float]] = {
    "interpolated_inverted_cdf": (0, 1), "hazen": (1 / 2, 1 / 2), "weibull": (0, 0), "linear": (1, 1),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
}  # fmt: skip
"""The methods that interpolate, by their two parameters (Hyndman and Fan, 1996)."""
_MEANS = {"midpoint", "averaged_inverted_cdf"}
"""The methods that go in steps, but may take the mean of two elements."""


def _place(function: str, q: Any, count: Any, method: str) -> Any:
    """Where among `count` elements in order the quantile is, as a number from 0 to count - 1."""
    if method == "linear":
        return q * (count - 1)
    if method in _METHODS:
        alpha, beta = _METHODS[method]
        return np.clip(q * count + (alpha + q * (1 - alpha - beta) - 1), 0, count - 1)
    plain = values_of(q, function)  # The others go in steps: the quantile of 0, 1, 2, ... is the place.
    place = np.asarray(np.quantile(np.arange(count), plain, method=method))  # type: ignore[call-overload]
    # Where a method takes the mean of two elements, a q of few bits does not promote them.
    return (place.astype(np.result_type(plain)) if place.dtype.kind == "f" else place)[()]


def _quantile(
    function: str, a: Any, q: Any, given: Any, axis: Any, method: str, keepdims: bool, weights: Any = None
) -> Any:
    """The quantiles q; in the dtype of `a` if `given`, the user's q, is a Python number."""
    require_real(a, function, "a")
    ordered = _in_order(function, a, axis)
    count, rank = np.shape(ordered)[-1], np.ndim(q)
    if not count:
        raise ArgumentError(f"{function}: there is no element along axis {axis} of shape {np.shape(a)}.")
    if weights is not None:
        weights = _lines(function, weights_like(weights, a, axis, function, method), axis)
        found = _nan_where_any(weighted(_lines(function, a, axis), weights, q), ordered, rank)
        return _kept(np.moveaxis(found, range(-rank, 0), range(rank)), a, axis, keepdims, np.shape(q))
    place = _place(function, q, count, method)
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
    return _mixed(below, above, float(share) if weak else share)


def _mixed(below: Any, above: Any, share: Any) -> Any:
    """Between two elements, from the nearer one as in NumPy, so that both ends are exact; with NumPy's warnings."""
    far, step = share >= 0.5, above - below
    from_above = np.where(far, above, 0) - np.where(far, step, 0) * (1 - share)
    return np.where(far, from_above, below + step * share)


# -- quantiles of what is not NaN --------------------------------------------------------------------------------------


@equals(np.nanquantile)
def nanquantile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False, weights: Any = None
) -> Any:
    """Quantiles of the elements that are not NaN; NaN where all are."""
    q = np.asarray(q) if isinstance(q, list | tuple) else q
    require_real(a, "np.nanquantile", "a")
    _require_share(q, "np.nanquantile", 1)
    return _nanquantile("np.nanquantile", a, q, axis, method, keepdims, weights)


@equals(np.nanpercentile)
def nanpercentile(
    a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False, weights: Any = None
) -> Any:
    """Quantiles of the elements that are not NaN, with q in percent."""
    q = np.asarray(q) if isinstance(q, list | tuple) else q
    require_real(a, "np.nanpercentile", "a")
    _require_share(q, "np.nanpercentile", 100)
    return _nanquantile("np.nanpercentile", a, q / 100, axis, method, keepdims, weights)


@equals(np.nanmedian)
def nanmedian(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The middle element in order of those that are not NaN, or the mean of the two in the middle."""
    return _nanquantile("np.nanmedian", a, 0.5, axis, "linear", keepdims)


def _nanquantile(function: str, a: Any, q: Any, axis: Any, method: str, keepdims: bool, weights: Any = None) -> Any:
    rank = np.ndim(q)
    if weights is not None:
        weights = np.where(np.isnan(a), 0, weights_like(weights, a, axis, function, method))
        found = weighted(_lines(function, a, axis), _lines(function, weights, axis), q)
        return _kept(np.moveaxis(found, range(-rank, 0), range(rank)), a, axis, keepdims, np.shape(q))
    ordered = _in_order(function, a, axis)
    # Every line has a number of elements of its own; NaN is behind them.
    number = np.sum(np.logical_not(np.isnan(ordered)), axis=-1)
    dtype = np.finfo(a.dtype).dtype if np.iscomplexobj(a) else a.dtype
    counts = np.reshape(np.maximum(number, 1).astype(dtype), (*np.shape(number), *(1,) * rank))
    if method in _METHODS:
        place = _place(function, q, counts, method)
    else:
        # Where a method takes the mean of two elements, the dtype of q counts too, as where one interpolates.
        met = np.result_type(dtype, q) if method in _MEANS else dtype
        place = place_of_each(number, np.shape(ordered)[-1], q, method, function).astype(met)
    low = np.floor(place)
    share = place - low
    lines = np.reshape(low, (*np.shape(number), -1)).astype(np.intp)
    last = np.reshape(counts, (*np.shape(number), 1)).astype(np.intp) - 1
    shape = np.shape(place)
    below, above = (
        np.reshape(np.take_along_axis(ordered, np.minimum(k, last), axis=-1), shape) for k in (lines, lines + 1)
    )
    found = np.where(below == above, below, _mixed(below, above, share))
    return _kept(np.moveaxis(found, range(-rank, 0), range(rank)), a, axis, keepdims, np.shape(q))


@equals(np.sort_complex)
def sort_complex(a: Any) -> Any:
    """The elements as complex numbers, in ascending order along the last axis."""
    kinds = {"b": np.complex64, "h": np.complex64, "B": np.complex64, "H": np.complex64, "g": np.clongdouble}
    return np.sort(a if np.iscomplexobj(a) else a.astype(kinds.get(a.dtype.char, np.complex128)))


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
        along = axis_of(a, axis, "np.average")
        weights = np.reshape(weights, (-1, *(1,) * (np.ndim(a) - 1 - along)))
    weights = np.broadcast_to(weights, np.shape(a))
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (mean, total) if returned else mean
