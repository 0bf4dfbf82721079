"""NumPy's functions of the calculus of arrays: differences, integrals, means, quantiles; see `numpy_functions`."""

# These run on arrays and on tracers alike, which NumPy's own annotations do not say.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.node import Abstract
from tapem.numpy_functions import ADAPTERS, MISSING, equals
from tapem.ops import indexing

# -- differences and sums ------------------------------------------------------------------------------------------


def _at(axis: int, x: Any, part: Any) -> tuple[Any, ...]:
    """The index that takes `part` of one axis and all of the others."""
    return (*(slice(None),) * (axis % np.ndim(x)), part)


@equals(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = MISSING, append: Any = MISSING) -> Any:
    """The differences of neighbours, taken `n` times."""
    ends = [
        np.broadcast_to(end, (*np.shape(a)[: axis % np.ndim(a)], 1, *np.shape(a)[axis % np.ndim(a) + 1 :]))
        if end is not MISSING and np.ndim(end) == 0
        else end
        for end in (prepend, append)
    ]
    parts = [part for part in (ends[0], a, ends[1]) if part is not MISSING]
    a = np.concatenate(parts, axis=axis) if len(parts) > 1 else a
    for _ in range(n):
        a = a[_at(axis, a, slice(1, None))] - a[_at(axis, a, slice(None, -1))]
    return a


@equals(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """The differences of neighbours in an array laid out flat, with something before and after."""
    parts = [to_begin, np.diff(np.ravel(ary)), to_end]
    return np.concatenate([np.ravel(part).astype(ary.dtype) for part in parts if part is not None])


@equals(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None) -> Any:
    """The central differences of `f`, one-sided at both ends, for evenly spaced points."""
    axes = range(np.ndim(f)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    steps = varargs * (len(axes) if len(varargs) == 1 else 1) if varargs else (1.0,) * len(axes)
    if len(steps) != len(axes) or builtins.any(np.ndim(step) for step in steps):
        raise TypeError("np.gradient of a tracer takes one number per axis as spacing")

    def one(i: int, h: Any) -> Any:
        inner = (f[_at(i, f, slice(2, None))] - f[_at(i, f, slice(None, -2))]) / (2.0 * h)
        first = (f[_at(i, f, slice(1, 2))] - f[_at(i, f, slice(0, 1))]) / h
        last = (f[_at(i, f, slice(-1, None))] - f[_at(i, f, slice(-2, -1))]) / h
        return np.concatenate([first, inner, last], axis=i)

    found = tuple(one(i, h) for i, h in zip(axes, steps, strict=True))
    return found[0] if len(found) == 1 else found


@equals(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral by the trapezoidal rule."""
    d = dx if x is None else np.diff(x, axis=axis if np.ndim(x) > 1 else -1)
    if x is not None and np.ndim(x) == 1:
        d = np.reshape(d, (-1, *(1,) * (np.ndim(y) - 1 - axis % np.ndim(y))))
    return np.sum(d * (y[_at(axis, y, slice(1, None))] + y[_at(axis, y, slice(None, -1))]) / 2.0, axis=axis)


@equals(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """Linear interpolation between the points (`xp`, `fp`), whose `xp` increase; constant outside."""
    xp, fp = (np.asarray(points) if isinstance(points, list | tuple) else points for points in (xp, fp))
    # Comparing with every inner point finds the interval without a search, which no op does for unknown values.
    i = np.sum(np.expand_dims(x, -1) >= xp[1:-1], axis=-1)
    slope = (fp[1:] - fp[:-1]) / (xp[1:] - xp[:-1])
    inside = indexing.take(fp[:-1], i) + indexing.take(slope, i) * (x - indexing.take(xp[:-1], i))
    below = np.where(x < xp[0], fp[0] if left is None else left, inside)
    return np.where(x > xp[-1], fp[-1] if right is None else right, below)


@equals(np.ptp)
def ptp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The greatest element less the least."""
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
        weights = np.reshape(weights, (-1, *(1,) * (np.ndim(a) - 1 - axis % np.ndim(a))))
    weights = np.broadcast_to(weights, np.shape(a))
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (mean, total) if returned else mean


@equals(np.quantile)
def quantile(a: Any, q: Any, axis: int | None = None, *, keepdims: bool = False) -> Any:
    """Quantiles by linear interpolation between the elements in order; `q` are plain numbers."""
    values = np.sort(np.ravel(a) if axis is None else np.moveaxis(a, axis, -1), axis=-1)
    q = q if isinstance(q, int | float) else np.asarray(q)
    place = np.asarray(q) * (np.shape(values)[-1] - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, np.shape(values)[-1] - 1)
    found = np.take(values, low, axis=-1) + (np.take(values, high, axis=-1) - np.take(values, low, axis=-1)) * (
        place - low
    ).astype(np.result_type(values, q))
    found = np.moveaxis(found, range(-np.ndim(q), 0), range(np.ndim(q)))
    if not keepdims:
        return found
    kept = (1,) * np.ndim(a) if axis is None else (*np.shape(a)[: axis % np.ndim(a)], 1, *np.shape(a)[axis:][1:])
    return np.reshape(found, (*np.shape(q), *kept))


equals(np.percentile)(
    lambda a, q, axis=None, *, keepdims=False: np.quantile(a, np.true_divide(q, 100.0), axis, keepdims=keepdims)
)
equals(np.median)(lambda a, axis=None, *, keepdims=False: np.quantile(a, 0.5, axis, keepdims=keepdims))
equals(np.cumulative_sum)(lambda x, /, *, axis=None: np.cumsum(x, axis=axis))
equals(np.cumulative_prod)(lambda x, /, *, axis=None: np.cumprod(x, axis=axis))


def _ignoring_nan(function: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    return lambda a, axis=None, *, keepdims=False: function(
        np.where(np.isnan(a), neutral, a), axis=axis, keepdims=keepdims
    )


equals(np.nansum)(_ignoring_nan(np.sum, 0.0))
equals(np.nanprod)(_ignoring_nan(np.prod, 1.0))
equals(np.nanmax)(_ignoring_nan(np.max, -np.inf))
equals(np.nanmin)(_ignoring_nan(np.min, np.inf))


@equals(np.nanmean)
def nanmean(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The mean of what is not NaN."""
    count = np.sum(np.logical_not(np.isnan(a)), axis=axis, keepdims=keepdims)
    return np.nansum(a, axis=axis, keepdims=keepdims) / count.astype(a.dtype)


@equals(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """A polynomial, its highest coefficient first, by Horner's rule."""
    y = np.zeros(np.shape(x), Abstract.of(x).dtype)
    for k in range(np.shape(p)[0]):
        y = y * x + p[k]
    return y


@equals(np.linspace)
def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, *, axis: int = 0) -> Any:
    """`num` evenly spaced values from `start` to `stop`."""
    steps = np.arange(num) / builtins.max(num - 1 if endpoint else num, 1)
    shape = np.broadcast_shapes(np.shape(start), np.shape(stop))
    along = np.reshape(steps.astype(np.result_type(start, stop, np.float16)), (num, *(1,) * len(shape)))
    return np.moveaxis(start * (1.0 - along) + stop * along, 0, axis)


__all__ = ["ADAPTERS"]
