"""The options of NumPy's reductions that the ops do not have: dtype, where, initial, correction and mean.

An op is called directly as long as a call gives only the op's own options; the functions here take the others, and
lead back to the ops: a cast before, neutral elements in the places that `where` leaves out, `initial` after.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.core import ShapeDtype, called_with, enter_options
from tapem.errors import ArgumentError
from tapem.ops import casting
from tapem.ops.axes import axes_of, axis_of
from tapem.ops.complex_numbers import conjugated
from tapem.ops.numpy.functions import MISSING, equals
from tapem.types import is_inexact, present


def _cast(a: Any, dtype: Any) -> Any:
    return a if dtype is None else casting.astype(a, dtype)


def _narrowed(result: Any, dtype: Any) -> Any:
    """A result in the dtype that was asked for, where a sum of small integers has grown."""
    return result if dtype is None or result.dtype == np.dtype(dtype) else casting.astype(result, dtype)


def _complex_too(result: Any, dtype: Any) -> Any:
    """A real result in the dtype that was asked for, if that is a complex one, as NumPy's spreads have it."""
    return casting.astype(result, dtype) if dtype is not None and np.dtype(dtype).kind == "c" else result


def _kept(where: Any, a: Any, kept: Any, left_out: Any) -> Any:
    """The elements `kept` where the mask holds, else `left_out`, in the shape of `a`."""
    return np.where(
        np.broadcast_to(np.asarray(where) if isinstance(where, list) else where, np.shape(a)), kept, left_out
    )


def _masked(a: Any, where: Any, neutral: Any) -> Any:
    return a if where is True else _kept(where, a, a, neutral)


def _sum(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = MISSING, where: Any = True
) -> Any:
    total = np.sum(_masked(_cast(a, dtype), where, 0), axis=axis, keepdims=keepdims)
    return _narrowed(total if initial is MISSING else total + initial, dtype)


def _prod(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = MISSING, where: Any = True
) -> Any:
    product = np.prod(_masked(_cast(a, dtype), where, 1), axis=axis, keepdims=keepdims)
    return _narrowed(product if initial is MISSING else product * initial, dtype)


def _extreme(reduction: Callable[..., Any], choose: Callable[..., Any], sign: int) -> Callable[..., Any]:
    """np.max (sign 1) or np.min (sign -1); `choose` compares two values. `initial` ties as one more element does."""

    def extreme(a: Any, axis: Any = None, keepdims: bool = False, initial: Any = MISSING, where: Any = True) -> Any:
        if initial is MISSING:
            if where is not True:
                raise ArgumentError(f"np.{reduction.__name__}: where= needs initial=, the result where it is False.")
            return reduction(a, axis=axis, keepdims=keepdims)
        # As in NumPy a number may be given axis 0 or -1, which it does not have; another one the reduction refuses.
        axes = axes_of(a, axis, f"np.{reduction.__name__}") if np.ndim(a) else ()
        if not math.prod(np.shape(a)[i] for i in axes):
            return np.sum(a, axis=axis, keepdims=keepdims) + initial
        if a.dtype == bool:
            least: Any = sign < 0
        elif is_inexact(a.dtype):
            least = -sign * np.inf
        else:
            least = np.iinfo(a.dtype).min if sign > 0 else np.iinfo(a.dtype).max
        return choose(reduction(_masked(a, where, least), axis=axis, keepdims=keepdims), initial)

    return extreme


def _number(a: Any, axis: Any, keepdims: bool, where: Any) -> Any:
    """How many elements the mask leaves in each line: an integer, or a float array."""
    if where is True:
        return math.prod(np.shape(a)[i] for i in axes_of(a, axis, "np.mean"))
    dtype = np.real(np.zeros((), a.dtype)).dtype if is_inexact(a.dtype) else np.float64
    return np.sum(casting.astype(_kept(where, a, True, False), dtype), axis=axis, keepdims=keepdims)


def _mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, where: Any = True) -> Any:
    a = _cast(a, dtype)
    if where is True:
        return np.mean(a, axis=axis, keepdims=keepdims)
    return _sum(a, axis, None, keepdims, where=where) / _number(a, axis, keepdims, where)


def _var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Any = MISSING,
    correction: Any = MISSING,
) -> Any:
    return _complex_too(_variance(a, axis, dtype, ddof, keepdims, where, mean, correction), dtype)


def _variance(a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: bool, where: Any, mean: Any, correction: Any) -> Any:
    a = _cast(a, dtype)
    ddof = _degrees(ddof, correction)
    if where is True and mean is MISSING:
        return np.var(a, axis=axis, ddof=ddof, keepdims=keepdims)
    mean = _mean(a, axis, None, True, where) if mean is MISSING else mean
    deviations = _masked(a - mean, where, 0)
    squares = np.real(deviations * conjugated(deviations))
    number = _number(a, axis, keepdims, where) - ddof
    freedom = np.maximum(number, 0) if np.ndim(number) else max(number, 0)  # a number of Python's is weak
    return _narrowed(np.sum(squares, axis=axis, keepdims=keepdims) / freedom, dtype)


def _degrees(ddof: Any, correction: Any) -> Any:
    if correction is MISSING:
        return ddof
    if ddof != 0:
        raise ArgumentError("ddof and correction can't be provided simultaneously.")
    return correction


def _std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Any = MISSING,
    correction: Any = MISSING,
) -> Any:
    if where is True and mean is MISSING:
        result = np.std(_cast(a, dtype), axis=axis, ddof=_degrees(ddof, correction), keepdims=keepdims)
    else:
        result = root(_variance(a, axis, dtype, ddof, keepdims, where, mean, correction))
    return _complex_too(result, dtype)


def root(variance: Any) -> Any:
    """The standard deviation of a variance: at 0 its derivative is 0."""
    some = variance > 0
    return np.where(some, np.sqrt(np.where(some, variance, 1)), variance)


def _any(a: Any, axis: Any = None, keepdims: bool = False, where: Any = True) -> Any:
    return np.any(_kept(where, a, a != 0, False), axis=axis, keepdims=keepdims)


def _all(a: Any, axis: Any = None, keepdims: bool = False, where: Any = True) -> Any:
    return np.all(_kept(where, a, a != 0, True), axis=axis, keepdims=keepdims)


def _cumulative(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, axis=None, dtype=None: _narrowed(function(_cast(a, dtype), axis=axis), dtype)


_max, _min = _extreme(np.max, np.maximum, 1), _extreme(np.min, np.minimum, -1)

for _function, _handler in {
    np.sum: _sum, np.prod: _prod, np.mean: _mean, np.var: _var, np.std: _std, np.any: _any, np.all: _all,
    np.max: _max, np.amax: _max, np.min: _min, np.amin: _min,
    np.cumsum: _cumulative(np.cumsum), np.cumprod: _cumulative(np.cumprod),
}.items():  # fmt: skip
    enter_options(_function, _handler)


def _clip(
    a: Any,
    a_min: Any = None,
    a_max: Any = None,
    *,
    min: Any = None,
    max: Any = None,
    dtype: Any = None,
    casting: Any = "same_kind",
    where: Any = True,
) -> Any:
    """np.clip with the options of the ufunc that NumPy calls: of three operands, or of two where a bound is missing."""
    bounds = [min if a_min is None or a_min is MISSING else a_min, max if a_max is None or a_max is MISSING else a_max]
    ufunc: Any = np._core.umath.clip  # type: ignore[attr-defined]
    given = [bound for bound in bounds if bound is not None]
    if len(given) < 2:
        ufunc = np.positive if not given else np.minimum if bounds[0] is None else np.maximum

    def clamp(a: Any, *cast: Any) -> Any:
        rest = iter(cast)
        return np.clip(a, *(None if bound is None else next(rest) for bound in bounds))

    return called_with(ufunc, "np.clip", clamp, [a, *given], {"dtype": dtype, "casting": casting, "where": where})


enter_options(np.clip, _clip)


@equals(*present("cumulative_sum"))
def cumulative_sum(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """The sums of the first elements along an axis; with `include_initial` the empty sum, 0, comes first."""
    return _with_initial(np.cumsum, "np.cumulative_sum", _cast(x, dtype), axis, include_initial, 0)


@equals(*present("cumulative_prod"))
def cumulative_prod(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """The products of the first elements along an axis; with `include_initial` the empty product, 1, comes first."""
    return _with_initial(np.cumprod, "np.cumulative_prod", _cast(x, dtype), axis, include_initial, 1)


def _with_initial(
    function: Callable[..., Any], name: str, x: Any, axis: Any, include_initial: bool, neutral: int
) -> Any:
    x = np.atleast_1d(x)
    if axis is None and np.ndim(x) > 1:
        raise ArgumentError(f"{name} needs an axis for an array of {np.ndim(x)} axes.")
    along = axis_of(x, 0 if axis is None else axis, name)
    found = function(x, axis=along)
    if not include_initial:
        return found
    first = np.full((*np.shape(found)[:along], 1, *np.shape(found)[along + 1 :]), neutral, ShapeDtype.of(found).dtype)
    return np.concatenate([first, found], axis=along)


def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return _narrowed(np.trace(_cast(a, dtype), offset, axis1, axis2), dtype)


enter_options(np.trace, _trace)
enter_options(
    np.linalg.trace,
    lambda x, /, *, offset=0, dtype=None: _narrowed(np.linalg.trace(_cast(x, dtype), offset=offset), dtype),
)


# -- the reductions that ignore NaN -----------------------------------------------------------------------------------


def _present(a: Any, where: Any) -> Any:
    """Where an element counts: it is not NaN, and the mask holds."""
    there = np.logical_not(np.isnan(a))
    return there if where is True else np.logical_and(there, where)


@equals(np.nansum)
def nansum(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = MISSING, where: Any = True
) -> Any:
    """The sum of the elements that are not NaN."""
    return _sum(np.where(np.isnan(a), 0.0, a), axis, dtype, keepdims, initial, where)


@equals(np.nanprod)
def nanprod(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = MISSING, where: Any = True
) -> Any:
    """The product of the elements that are not NaN."""
    return _prod(np.where(np.isnan(a), 1.0, a), axis, dtype, keepdims, initial, where)


equals(np.nancumsum)(lambda a, axis=None, dtype=None: np.cumsum(_cast(np.where(np.isnan(a), 0.0, a), dtype), axis=axis))
equals(np.nancumprod)(
    lambda a, axis=None, dtype=None: np.cumprod(_cast(np.where(np.isnan(a), 1.0, a), dtype), axis=axis)
)


def _nanmean(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, where: Any = True) -> Any:
    return np.nanmean(_masked(_cast(a, dtype), where, np.nan), axis=axis, keepdims=keepdims)


enter_options(np.nanmean, _nanmean)


def _nan_extreme(reduction: Callable[..., Any], handler: Callable[..., Any], sign: int) -> Callable[..., Any]:
    def extreme(a: Any, axis: Any = None, keepdims: bool = False, initial: Any = MISSING, where: Any = True) -> Any:
        if initial is MISSING:
            return reduction(_masked(a, where, np.nan), axis=axis, keepdims=keepdims)
        return handler(np.where(_present(a, where), a, -sign * np.inf), axis, keepdims, initial)

    return extreme


enter_options(np.nanmax, _nan_extreme(np.nanmax, _max, 1))
enter_options(np.nanmin, _nan_extreme(np.nanmin, _min, -1))


@equals(np.nanvar)
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = MISSING,
    correction: Any = MISSING,
) -> Any:
    """The variance of the elements that are not NaN; NaN where there are no more than `ddof`."""
    return _complex_too(_nan_variance(a, axis, dtype, ddof, keepdims, where, mean, correction), dtype)


def _nan_variance(
    a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: bool, where: Any, mean: Any, correction: Any
) -> Any:
    a = _cast(a, dtype)
    there = _present(a, where)
    a = np.where(there, a, 0.0)
    ddof = _degrees(ddof, correction)
    number = np.sum(casting.astype(there, a.dtype), axis=axis, keepdims=True)
    if mean is MISSING:
        mean = np.sum(a, axis=axis, keepdims=True) / np.maximum(number, 1)
    freedom = np.reshape(np.real(number), np.shape(np.sum(a, axis=axis, keepdims=keepdims))) - ddof
    deviations = casting.astype(np.where(there, a - mean, 0.0), a.dtype)
    squares = np.sum(np.real(deviations * conjugated(deviations)), axis=axis, keepdims=keepdims)
    return np.where(freedom > 0, squares / np.where(freedom > 0, freedom, 1), np.nan)


@equals(np.nanstd)
def nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = MISSING,
    correction: Any = MISSING,
) -> Any:
    """The standard deviation of the elements that are not NaN; its derivative is 0 where they are all equal."""
    return _complex_too(root(_nan_variance(a, axis, dtype, ddof, keepdims, where, mean, correction)), dtype)
