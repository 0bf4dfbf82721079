"""NumPy's functions of the calculus of arrays: differences, integrals, interpolation; see `functions`."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from tapem.errors import ArgumentError, ShapeError
from tapem.ops import convolving, indexing
from tapem.ops.axes import axis_of
from tapem.ops.bessel import i0_derivative
from tapem.ops.complex_numbers import require_real
from tapem.ops.numpy.functions import MISSING, equals

# -- differences and sums ------------------------------------------------------------------------------------------


def _at(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that selects `part` of one axis and all of the others."""
    return (*(slice(None),) * axis, part)


@equals(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = MISSING, append: Any = MISSING) -> Any:
    """The differences of neighbors, taken `n` times; for n = 0 it is `a`, without `prepend` and `append`."""
    if n == 0:
        return a
    if n < 0:
        raise ArgumentError(f"np.diff: n={n}, but differences are taken 0 times or more.")
    axis = axis_of(a, axis, "np.diff")
    shape = (*np.shape(a)[:axis], 1, *np.shape(a)[axis + 1 :])
    parts = [part for part in (prepend, a, append) if part is not MISSING]
    if len(parts) > 1:
        a = np.concatenate([np.broadcast_to(p, shape) if np.ndim(p) == 0 else p for p in parts], axis=axis)
    for _ in range(n):
        after, before = a[_at(axis, slice(1, None))], a[_at(axis, slice(None, -1))]
        a = np.not_equal(after, before) if a.dtype == bool else after - before
    return a


@equals(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """The differences of neighbors in a flattened array, with `to_begin` before and `to_end` after them."""
    parts = [to_begin, np.diff(np.ravel(ary)), to_end]
    return np.concatenate([np.ravel(part).astype(ary.dtype) for part in parts if part is not None])


@equals(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """The central differences of `f`, one-sided at both ends, of first or second order there.

    The spacing is one number, or the coordinates of the points, for each axis; one number may stand for all.
    """
    given = range(np.ndim(f)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = [axis_of(f, each, "np.gradient") for each in given]
    spacing = varargs * (len(axes) if len(varargs) == 1 else 1) if varargs else (1.0,) * len(axes)
    if len(spacing) != len(axes):
        raise TypeError("invalid number of arguments")
    if edge_order not in (1, 2):
        raise ArgumentError(f"np.gradient: edge_order={edge_order}, but the order at the ends is 1 or 2.")
    short = [i for i in axes if np.shape(f)[i] < edge_order + 1]
    if short:
        raise ShapeError(
            f"np.gradient needs {edge_order + 1} elements along an axis, but axis {short[0]} of {np.shape(f)} has "
            "fewer."
        )
    found = tuple(_slopes(f, i, h, edge_order) for i, h in zip(axes, spacing, strict=True))
    return found[0] if len(found) == 1 else found


def _slopes(f: Any, axis: int, h: Any, edge_order: int) -> Any:
    """The slopes of `f` along an axis: those of the parabola through three neighbors, or at an end of a line."""
    count, rank = np.shape(f)[axis], np.ndim(f)
    if np.ndim(h) == 0:
        steps = h * np.ones(count - 1, f.dtype)
    else:
        h = np.asarray(h) if isinstance(h, list | tuple) else h
        if np.shape(h) != (count,):
            raise ShapeError(f"np.gradient: axis {axis} has {count} points, but their coordinates are {np.shape(h)}.")
        steps = np.diff(h)
    steps = np.reshape(steps, (-1, *(1,) * (rank - 1 - axis)))
    slopes = (f[_at(axis, slice(1, None))] - f[_at(axis, slice(None, -1))]) / steps
    first, last = slopes[_at(axis, slice(0, 1))], slopes[_at(axis, slice(-1, None))]
    left, right, before, after = (
        steps[:-1],
        steps[1:],
        slopes[_at(axis, slice(None, -1))],
        slopes[_at(axis, slice(1, None))],
    )
    inner = (right * before + left * after) / (left + right)
    if edge_order == 2:
        bend = (after - before) / (left + right)
        first = first - steps[:1] * bend[_at(axis, slice(0, 1))]
        last = last + steps[-1:] * bend[_at(axis, slice(-1, None))]
    slopes = np.concatenate([first, inner, last], axis=axis)
    # As in NumPy, coordinates in double precision do not promote values with few bits.
    return slopes.astype(f.dtype) if f.dtype.kind == slopes.dtype.kind else slopes


@equals(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral by the trapezoidal rule."""
    axis = axis_of(y, axis, "np.trapezoid")
    d = dx if x is None else np.diff(x, axis=axis if np.ndim(x) > 1 else -1)
    if x is not None and np.ndim(x) == 1:
        d = np.reshape(d, (-1, *(1,) * (np.ndim(y) - 1 - axis)))
    return np.sum(d * (y[_at(axis, slice(1, None))] + y[_at(axis, slice(None, -1))]) / 2.0, axis=axis)


@equals(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear interpolation between the points (`xp`, `fp`), whose `xp` increase; constant outside, or periodic."""
    xp, fp = (np.asarray(points) if isinstance(points, list | tuple) else points for points in (xp, fp))
    for what, given in {"x": x, "xp": xp}.items():
        require_real(given, "np.interp", what)
    # NumPy computes it in double precision.
    x, xp, fp = (np.multiply(np.ones(()), points) for points in (x, xp, fp))
    if np.ndim(xp) != 1 or np.shape(xp) != np.shape(fp) or not np.shape(xp)[0]:
        raise ShapeError(
            f"np.interp: xp and fp must be lines of as many points, but are {np.shape(xp)}, {np.shape(fp)}."
        )
    if period is not None:
        x, xp, left, right = np.remainder(x, period), np.remainder(xp, period), None, None
        order = np.argsort(xp)
        xp, fp = indexing.take(xp, order), indexing.take(fp, order)
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    if np.shape(xp)[0] == 1:
        above = np.where(x > xp[0], fp[0] if right is None else right, fp[0])
        return np.where(x < xp[0], fp[0] if left is None else left, above)
    # A comparison with every inner point finds the interval, since there is no op that searches unknown values.
    i = np.sum(np.expand_dims(x, -1) >= xp[1:-1], axis=-1)
    slope = (fp[1:] - fp[:-1]) / (xp[1:] - xp[:-1])
    inside = indexing.take(fp[:-1], i) + indexing.take(slope, i) * (x - indexing.take(xp[:-1], i))
    below = np.where(x < xp[0], fp[0] if left is None else left, inside)
    return np.where(x > xp[-1], fp[-1] if right is None else right, below)


equals(np.i0)(lambda x: i0_derivative(x, n=0))


@equals(np.convolve)
def convolve(a: Any, v: Any, mode: convolving.Mode = "full") -> Any:
    """The convolution of two lines; a number is a line of one element."""
    a, v = np.atleast_1d(a, v)
    return convolving.convolve(a, v, mode)


# -- ranges ------------------------------------------------------------------------------------------------------------


def _steps(start: Any, stop: Any, num: int, endpoint: bool, base: Any = 1.0) -> Any:
    """The shares of the way from start to stop, along a new first axis in front of those of all three."""
    steps = np.arange(num) / builtins.max(num - 1 if endpoint else num, 1)
    rank = len(np.broadcast_shapes(np.shape(start), np.shape(stop), np.shape(base)))
    return np.reshape(steps.astype(np.result_type(start, stop, float(num))), (num, *(1,) * rank))


def _finished(along: Any, dtype: Any, axis: int) -> Any:
    found = np.moveaxis(along, 0, axis)
    if dtype is None:
        return found
    return (np.floor(found) if np.dtype(dtype).kind in "iu" else found).astype(dtype)


@equals(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` evenly spaced values from `start` to `stop`; with `retstep` the step as well."""
    share = _steps(start, stop, num, endpoint)
    found = _finished(start * (1.0 - share) + stop * share, dtype, axis)
    return (found, (stop - start) / (num - 1 if endpoint else num)) if retstep else found


@equals(np.logspace)
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    """The powers of `base` whose exponents are evenly spaced."""
    share = _steps(start, stop, num, endpoint, base)
    return _finished(np.power(base, start * (1.0 - share) + stop * share), dtype, axis)


@equals(np.geomspace)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """`num` values from `start` to `stop`, each the same multiple of the one before; both have one sign."""
    # NumPy never computes it in less than double precision.
    start, stop = (x * np.ones((), np.result_type(start, stop, float(num), np.zeros((), dtype))) for x in (start, stop))
    return _finished(start * np.power(stop / start, _steps(start, stop, num, endpoint)), dtype, axis)


@equals(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    """`p` with multiples of the period added, so that neighbors differ by no more than half of it."""
    axis = axis_of(p, axis, "np.unwrap")
    steps = np.diff(p, axis=axis)
    turns = -np.floor((steps + period / 2) / period)
    turns = np.where((steps > 0) & (np.remainder(steps + period / 2, period) == 0), turns + 1, turns)
    turns = np.where(np.abs(steps) < (period / 2 if discont is None else discont), 0, turns)
    rest = p[_at(axis, slice(1, None))] + np.cumsum(turns * period, axis=axis)
    return np.concatenate([p[_at(axis, slice(0, 1))], rest], axis=axis)
