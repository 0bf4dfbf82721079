"""Counts by weights, and the covariance of variables.

Which bin an element is in does not change with it: counts are linear in the weights and constant in the elements. The
edges of the bins, and so a density, move with the least and the greatest element.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapem.errors import ArgumentError
from tapem.ops.complex_numbers import conjugated, require_real
from tapem.ops.indexing import scatter_add
from tapem.ops.numpy.functions import equals, values_of


@equals(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """For each number how often it is in `x`, or the sum of its elements' weights."""
    numbers = x if isinstance(x, list | tuple) else values_of(x, "np.bincount")
    if weights is None:
        return np.bincount(numbers, minlength=minlength)
    counts = np.bincount(numbers, minlength=minlength)  # raises if they are no counting numbers
    require_real(weights, "np.bincount", "weights")
    return _weighed(np.asarray(numbers), weights, len(counts))


def _weighed(places: Any, weights: Any, count: int) -> Any:
    """The sum of the weights at each place, in float64 or complex128."""
    dtype = np.result_type(weights.dtype, np.float64)
    return scatter_add(np.zeros(count, dtype), places, weights.astype(dtype), axis=0)


@equals(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges of the bins: those given, or evenly spaced ones, which move with the least and greatest element."""
    require_real(a, "np.histogram", "the array of elements")
    require_real(bins, "np.histogram", "the array of edges")
    if np.ndim(bins) == 1:
        return np.asarray(bins) if isinstance(bins, list | tuple) else bins
    plain = np.asarray(values_of(a, "np.histogram"))
    # Only a rule, given by name, looks at the weights, and NumPy refuses them there.
    found = np.histogram_bin_edges(plain, bins, range, weights if isinstance(bins, str) else None)
    if range is not None or not plain.size:
        return found
    half = 0.0 if plain.min() < plain.max() else 0.5
    return np.linspace(np.min(a) - half, np.max(a) + half, len(found))


@equals(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """How many elements are in each bin, or the sum of their weights; and the edges of the bins."""
    elements, edges = np.ravel(values_of(a, "np.histogram")), histogram_bin_edges(a, bins, range, weights)
    limits = np.asarray(values_of(edges, "np.histogram"))
    if weights is None:
        counts: Any = np.histogram(elements, limits)[0]
    elif np.shape(weights) != np.shape(a):
        raise ArgumentError(f"np.histogram: the weights are {np.shape(weights)}, the elements {np.shape(a)}.")
    else:
        place, inside = _bins_of(elements, limits)
        counts = _weighed(place[inside], np.ravel(weights)[inside], len(limits) - 1).astype(np.result_type(weights))
    return (counts / np.sum(counts) / np.diff(edges) if density else counts), edges


def _bins_of(elements: Any, limits: Any) -> tuple[Any, Any]:
    """The number of each element's bin, and whether it lies in one; the last bin has both of its edges."""
    place = np.searchsorted(limits, elements, side="right") - 1
    return np.where(elements == limits[-1], len(limits) - 2, place), (elements >= limits[0]) & (elements <= limits[-1])


@equals(np.histogramdd)
def histogramdd(sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """How many points, the rows of a sample, are in each box, or the sum of their weights; and the edges."""
    columns = list(np.atleast_2d(sample.T)) if hasattr(sample, "shape") else list(sample)
    columns = [np.asarray(column) if isinstance(column, list | tuple) else column for column in columns]
    require_real(0.0 if weights is None else weights, "np.histogramdd", "weights")
    each = bins if hasattr(bins, "__len__") else [bins] * len(columns)
    spans = [None] * len(columns) if range is None else range
    if len(each) != len(columns) or len(spans) != len(columns):
        raise ArgumentError(f"np.histogramdd: bins and range have one entry for each of {len(columns)} dimensions.")
    edges = tuple(histogram_bin_edges(*given) for given in zip(columns, each, spans, strict=True))
    limits = [np.asarray(values_of(edge, "np.histogramdd")) for edge in edges]
    found = [
        _bins_of(np.asarray(values_of(column, "np.histogramdd")), limit)
        for column, limit in zip(columns, limits, strict=True)
    ]
    shape = tuple(len(limit) - 1 for limit in limits)
    inside = np.flatnonzero(np.all([there for _, there in found], axis=0))
    boxes = np.ravel_multi_index([place[inside] for place, _ in found], shape)
    points = np.ones(len(inside)) if weights is None else np.take(weights, inside)
    counts = np.reshape(_weighed(boxes, points, math.prod(shape)), shape)
    if density:
        counts = counts / np.sum(counts)
        for axis, edge in enumerate(edges):
            counts = counts / np.reshape(np.diff(edge), (-1, *(1,) * (len(shape) - 1 - axis)))
    return counts, edges


@equals(np.histogram2d)
def histogram2d(x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """How many points are in each box, or the sum of their weights; and the edges along x and along y."""
    if hasattr(bins, "__len__") and len(bins) not in (1, 2):  # the same edges along both
        bins = [bins, bins]
    counts, edges = histogramdd([x, y], bins, range, density, weights)
    return counts, *edges


@equals(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """The covariance matrix of variables, which are rows, or columns without `rowvar`."""
    rows = _rows(m, rowvar) if y is None else np.concatenate([_rows(m, rowvar), _rows(y, rowvar)], axis=0)
    rows = rows.astype(np.result_type(rows, np.float64) if dtype is None else dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    if weights is None:
        total = np.shape(rows)[1]
        mean, freedom = np.mean(rows, axis=1, keepdims=True), total - ddof
        weighted = rows - mean
    else:
        weights = np.asarray(weights) if isinstance(weights, list | tuple) else weights
        total = np.sum(weights)
        mean = np.expand_dims(np.sum(rows * weights, axis=1) / total, 1)
        freedom = total - (ddof * np.sum(weights * aweights) / total if aweights is not None else ddof)
        weighted = (rows - mean) * weights
    return np.squeeze(np.matmul(weighted, conjugated(rows - mean).T) / freedom)


def _rows(m: Any, rowvar: bool) -> Any:
    m = np.asarray(m) if isinstance(m, list | tuple) else m
    return np.atleast_2d(m) if rowvar or np.ndim(m) < 2 else m.T


@equals(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """The correlation coefficients of variables, within [-1, 1], as are the parts of complex ones."""
    c = np.cov(x, y, rowvar, dtype=dtype)
    if np.ndim(c) == 0:
        return c / c
    deviation = np.sqrt(np.real(np.diag(c)))
    r = c / deviation[:, None] / deviation[None, :]
    if np.iscomplexobj(r):
        return np.clip(np.real(r), -1, 1) + 1j * np.clip(np.imag(r), -1, 1)
    return np.clip(r, -1, 1)
