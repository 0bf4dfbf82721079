"""Reductions over axes: sums, means, extremes, products and spreads; norms have their own file.

`axis` is an integer, a tuple of integers, or None for all; negative ones count from the end. With `keepdims` the
reduced axes stay, with size 1. An axis that is out of range or repeated raises ArgumentError. Values equal NumPy's, bit
for bit.

Kinks, the same in both modes: elements that tie for max or min share the derivative equally; the derivative of std is 0
where all elements are equal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapem.core import Array, linear_in_all
from tapem.ops.axes import Axis, batch_reduction, normal_axes, refuse_axis_of_scalar, restore
from tapem.ops.complex_numbers import conjugated
from tapem.ops.cumulative import cumprod, shift
from tapem.ops.declare import primitive
from tapem.ops.scaling import at_scale
from tapem.ops.softmax import as_float, softmax_or_zero
from tapem.sweeps import repeated
from tapem.tangents import InplaceableThunk
from tapem.types import Float, Inexact, Num, Real, Tensor

T = Num[Tensor, "..."]
FloatOut = Float[Tensor, "..."]
Fractional = Inexact[Tensor, "..."]

# The ufunc methods that np.sum, np.max and so on call. NumPy's stubs do not allow all their arguments by position.
_add: Any = np.add.reduce
_maximum: Any = np.maximum.reduce
_minimum: Any = np.minimum.reduce
_multiply: Any = np.multiply.reduce

# np.mean of these dtypes, with up to as many elements as a float32 can count, is np.sum / count.
_PLAIN = {np.dtype(np.float64), np.dtype(np.float32)}
_EXACT = 2**24

_FILLED = 10_000  # up to this size, filling an array is faster than making a broadcast view


def spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Repeat a cotangent of the reduced value for every element of x: the transpose of a sum."""
    shape = x.shape if type(x) is np.ndarray else np.shape(x)
    if axis is not None:
        g = restore(g, x, axis, keepdims)
    if math.prod(shape) > _FILLED:
        return np.broadcast_to(g, shape)
    if isinstance(g, np.ndarray | np.generic):
        filled = np.empty(shape, g.dtype)
        filled[...] = g
        return filled
    return repeated(g, shape)


def count(x: Any, axis: Any) -> int:
    """The number of elements of x for one element of the reduced value."""
    shape = np.shape(x)
    if axis is None:
        return math.prod(shape)
    return math.prod(shape[a] for a in (axis if isinstance(axis, tuple) else (axis,)))


@primitive(
    rrule=(lambda g, y, x, axis, keepdims: spread(g, x, axis, keepdims),),
    frule=linear_in_all,
    batch=batch_reduction,
    numpy=[np.sum],
)
def sum(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The sum of the elements of `x` along the axes: Num "..." -> Num "...", 0 where there are none.

    >>> sum(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    array([4., 6.])
    """
    return _add(x, axis, None, None, keepdims)


@primitive(
    rrule=(lambda g, y, x, axis, keepdims: spread(g * (1 / (count(x, axis) or 1)), x, axis, keepdims),),
    frule=linear_in_all,
    batch=batch_reduction,
    numpy=[np.mean],
)
def mean(x: T, axis: Axis = None, keepdims: bool = False) -> Fractional:
    """The arithmetic mean of `x` along the axes: Num "..." -> Inexact "...".

    The mean of no elements is NaN, with NumPy's RuntimeWarning.

    >>> mean(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=-1)
    array([1.5, 3.5])
    """
    refuse_axis_of_scalar(x, axis)
    if type(x) is not np.ndarray or x.dtype not in _PLAIN or not 0 < x.size < _EXACT:
        return np.mean(x, axis=axis, keepdims=keepdims)
    return _add(x, axis, None, None, keepdims) / count(x, axis)


# -- extremes ----------------------------------------------------------------------------------------------------------


@primitive(differentiable=False, batch=batch_reduction)
def ties(x: T, extreme: T, axis: Axis = None) -> Fractional:
    """Each element's share in the extreme: 1 / n for the n elements along the axes that equal it, 0 for the others.

    `extreme` is the max or min of x, with the axes of x, and size 1 for the reduced ones. Num "...", Num "..." ->
    Inexact "...". If the extreme is NaN, the elements that are NaN share it.

    >>> ties(np.array([3.0, 1.0, 3.0]), np.array([3.0]), axis=0)
    array([0.5, 0. , 0.5])
    """
    equal, number = attained(x, extreme, axis)
    shares = equal if type(number) is int else np.divide(equal, number)
    return np.asarray(shares).astype(np.asarray(x).dtype)


def attained(x: Any, extreme: Any, axis: Axis) -> tuple[Any, Any]:
    """Where x equals its extreme, and how often: an array of counts, or 1 for once everywhere."""
    equal = np.equal(x, extreme)
    undefined = np.isnan(extreme)
    if undefined.any():
        equal = equal | (undefined & np.isnan(x))
    counts = _add(equal, axis, None, None, True)
    return equal, np.maximum(counts, 1) if np.any(counts > 1) else 1


def _shares(y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    return ties(x, restore(y, x, axis, keepdims), axis=axis)


def _to_extreme(g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The cotangent of x: shares of g. Of a large array they are a small part, which alone is written."""
    g = restore(g, x, axis, keepdims)
    if not (type(x) is np.ndarray and type(g) is np.ndarray and x.size > _FILLED):
        return g * _shares(y, x, axis, keepdims)

    def add_shares(total: Array) -> Array:
        equal, number = attained(x, restore(y, x, axis, keepdims), axis)
        total[equal] += np.broadcast_to(g / number, x.shape)[equal]
        return total

    return InplaceableThunk(lambda: add_shares(np.zeros(x.shape, g.dtype)), add_shares)


_extreme_rules: dict[str, Any] = dict(
    rrule=(_to_extreme,),
    frule=(lambda t, y, x, axis, keepdims: np.sum(t * _shares(y, x, axis, keepdims), axis=axis, keepdims=keepdims),),
    batch=batch_reduction,
)


@primitive(**_extreme_rules, numpy=[np.max, np.amax])
def max(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The greatest element of `x` along the axes: Num "..." -> Num "...". NaN if any element is.

    Kink: elements that tie share the derivative equally. Raises ArgumentError where there is no element.

    >>> max(np.array([[1.0, 4.0], [3.0, 2.0]]), axis=1)
    array([4., 3.])
    """
    return _maximum(x, axis, None, None, keepdims)


@primitive(**_extreme_rules, numpy=[np.min, np.amin])
def min(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The least element of `x` along the axes: Num "..." -> Num "...". NaN if any element is.

    Kink: elements that tie share the derivative equally. Raises ArgumentError where there is no element.

    >>> min(np.array([[1.0, 4.0], [3.0, 2.0]]), axis=1)
    array([1., 2.])
    """
    return _minimum(x, axis, None, None, keepdims)


@primitive(**_extreme_rules, numpy=[np.nanmax])
def nanmax(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The greatest element of `x` along the axes that is not NaN; NaN, with NumPy's warning, where all are.

    Num "..." -> Num "...". Kink: elements that tie share the derivative equally. Raises ArgumentError where there is no
    element.

    >>> nanmax(np.array([1.0, np.nan, 3.0]))
    np.float64(3.0)
    """
    refuse_axis_of_scalar(x, axis)
    return np.nanmax(x, axis=axis, keepdims=keepdims)


@primitive(**_extreme_rules, numpy=[np.nanmin])
def nanmin(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The least element of `x` along the axes that is not NaN; NaN, with NumPy's warning, where all are.

    Num "..." -> Num "...". Kink: elements that tie share the derivative equally. Raises ArgumentError where there is no
    element.

    >>> nanmin(np.array([1.0, np.nan, 3.0]))
    np.float64(1.0)
    """
    refuse_axis_of_scalar(x, axis)
    return np.nanmin(x, axis=axis, keepdims=keepdims)


# -- means that ignore NaN ---------------------------------------------------------------------------------------------


def _nan_shares(x: Any, axis: Any) -> Any:
    """Each element's share in the mean: 0 for NaN, else one over the number of elements that are not NaN."""
    counts = np.logical_not(np.isnan(x)).astype(x.dtype)
    return counts / np.maximum(np.sum(counts, axis=axis, keepdims=True), 1)


@primitive(
    rrule=(lambda g, y, x, axis, keepdims: restore(g, x, axis, keepdims) * _nan_shares(x, axis),),
    frule=(lambda t, y, x, axis, keepdims: np.sum(t * _nan_shares(x, axis), axis=axis, keepdims=keepdims),),
    batch=batch_reduction,
    numpy=[np.nanmean],
)
def nanmean(x: T, axis: Axis = None, keepdims: bool = False) -> Fractional:
    """The mean of the elements of `x` along the axes that are not NaN; NaN, with NumPy's warning, where all are.

    Num "..." -> Inexact "...".

    >>> nanmean(np.array([1.0, np.nan, 3.0]))
    np.float64(2.0)
    """
    refuse_axis_of_scalar(x, axis)
    return np.nanmean(x, axis=axis, keepdims=keepdims)


# -- products ----------------------------------------------------------------------------------------------------------


def product_of_others(x: Any, axis: Any) -> Any:
    """For each element the product of all others along the axes: of those before it, times those after it.

    There is no division, so zeros are allowed; and every step is an op, so it can be differentiated again.

    >>> product_of_others(np.array([2.0, 0.0, 5.0]), 0)
    array([ 0., 10.,  0.])
    """
    axes = normal_axes(axis, np.ndim(x)) if np.ndim(x) else ()
    if len(axes) == 1:
        before = cumprod(shift(x, axis=axes[0], fill=1.0), axis=axes[0])
        after = cumprod(shift(np.flip(x, axes), axis=axes[0], fill=1.0), axis=axes[0])
        return before * np.flip(after, axes)
    order = (*(a for a in range(np.ndim(x)) if a not in axes), *axes)
    moved = np.transpose(x, order)
    kept = np.shape(moved)[: len(order) - len(axes)]
    others = product_of_others(np.reshape(moved, (*kept, count(x, axes))), -1)
    inverse = tuple(order.index(a) for a in range(len(order)))
    return np.transpose(np.reshape(others, np.shape(moved)), inverse)


@primitive(
    rrule=(lambda g, y, x, axis, keepdims: restore(g, x, axis, keepdims) * product_of_others(x, axis),),
    frule=(lambda t, y, x, axis, keepdims: np.sum(t * product_of_others(x, axis), axis=axis, keepdims=keepdims),),
    batch=batch_reduction,
    numpy=[np.prod],
)
def prod(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The product of the elements of `x` along the axes: Num "..." -> Num "...", 1 where there are none.

    Its derivatives of every order are correct for any number of zeros among the elements.

    >>> prod(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    array([ 2., 12.])
    """
    return _multiply(x, axis, None, None, keepdims)


# -- spreads -----------------------------------------------------------------------------------------------------------


def _centered(x: Any, axis: Any, ddof: float) -> Any:
    """The deviations from the mean, divided by the degrees of freedom; of complex numbers their conjugates."""
    freedom = count(x, axis) - ddof
    return conjugated(x - np.mean(x, axis=axis, keepdims=True)) * (1 / freedom if freedom > 0 else math.nan)


@primitive(
    rrule=(lambda g, y, x, axis, ddof, keepdims: 2 * restore(g, x, axis, keepdims) * _centered(x, axis, ddof),),
    frule=(
        lambda t, y, x, axis, ddof, keepdims: 2 * np.sum(t * _centered(x, axis, ddof), axis=axis, keepdims=keepdims),
    ),
    batch=batch_reduction,
    numpy=[np.var],
)
def var(x: T, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> FloatOut:
    """The variance of `x` along the axes: Num "..." -> Float "...".

    It is sum(abs(x - mean(x))**2) / (n - ddof): biased for ddof=0, unbiased for ddof=1. If n <= ddof it is NaN or inf,
    with NumPy's RuntimeWarning.

    >>> float(var(np.array([1.0, 2.0, 3.0]), ddof=1))
    1.0
    """
    refuse_axis_of_scalar(x, axis)
    return np.var(x, axis=axis, ddof=ddof, keepdims=keepdims)


@primitive(differentiable=False, batch=batch_reduction)
def differs(x: T, axis: Axis = None) -> Fractional:
    """Whether the elements of `x` along the axes are not all equal, as 1 or 0: Num "..." -> Inexact "...".

    The axes are kept, with size 1. The standard deviation does not show this: for three times 0.1 rounding makes it
    1e-17.

    >>> differs(np.array([[1.0, 2.0], [3.0, 3.0]]), axis=1)
    array([[1.],
           [0.]])
    """
    x = np.asarray(x)
    if not x.size:
        return np.zeros([1 if a in normal_axes(axis, x.ndim) else n for a, n in enumerate(x.shape)], x.dtype)
    different = np.max(x, axis=axis, keepdims=True) != np.min(x, axis=axis, keepdims=True)
    return np.asarray(different).astype(x.dtype)


def _normalized(y: Any, x: Any, axis: Any, ddof: float, keepdims: bool) -> Any:
    """The derivative of the standard deviation; 0 where all elements are equal, or equal to within rounding."""
    y = restore(y, x, axis, keepdims)
    some = differs(x, axis=axis) * (y != 0)
    return some * _centered(x, axis, ddof) / (y + (1 - some))


@primitive(
    rrule=(
        lambda g, y, x, axis, ddof, keepdims: restore(g, x, axis, keepdims) * _normalized(y, x, axis, ddof, keepdims),
    ),
    frule=(
        lambda t, y, x, axis, ddof, keepdims: np.sum(
            t * _normalized(y, x, axis, ddof, keepdims), axis=axis, keepdims=keepdims
        ),
    ),
    batch=batch_reduction,
    numpy=[np.std],
)
def std(x: T, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> FloatOut:
    """The standard deviation of `x` along the axes, the square root of `var`: Num "..." -> Float "...".

    Unlike in NumPy, squares may over- or underflow.

    Kink: the derivative is 0 where all elements are equal. Where n <= ddof it is NaN or inf, with a RuntimeWarning.

    >>> float(std(np.array([1.0, 3.0])))
    1.0
    """
    refuse_axis_of_scalar(x, axis)
    return at_scale(lambda x: np.std(x, axis=axis, ddof=ddof, keepdims=keepdims), x, 2, axis)


# -- logarithm of a sum of exponentials --------------------------------------------------------------------------------


@primitive(
    rrule=(lambda g, y, x, axis, keepdims: restore(g, x, axis, keepdims) * softmax_or_zero(x, axis=axis),),
    frule=(lambda t, y, x, axis, keepdims: np.sum(t * softmax_or_zero(x, axis=axis), axis=axis, keepdims=keepdims),),
    batch=batch_reduction,
)
def logsumexp(x: Real[Tensor, "..."], axis: Axis = None, keepdims: bool = False) -> FloatOut:
    """log(sum(exp(x))) along the axes, without overflow: Real "..." -> Float "...".

    The greatest element is subtracted first. If all elements are -inf, or there are none, the value is -inf and the
    derivative is 0.

    >>> float(logsumexp(np.array([1e4, -1e4])))
    10000.0
    """
    refuse_axis_of_scalar(x, axis)
    x = as_float(x)
    greatest = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    greatest = np.where(np.isfinite(greatest), greatest, 0)
    with np.errstate(divide="ignore"):
        value = np.log(np.sum(np.exp(x - greatest), axis=axis, keepdims=True)) + greatest
    return value if keepdims else np.squeeze(value, axis=normal_axes(axis, x.ndim))[()]


__all__ = ["logsumexp", "max", "mean", "min", "prod", "std", "sum", "var"]
