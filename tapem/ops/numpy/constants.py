"""NumPy's functions whose results small changes do not change: they are constants of every derivative.

A derivative knows its values, so NumPy itself computes them. Inside vmap values are not known: what can be said by
comparisons and counts is, and for the rest ConcretizationError tells so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.core import ShapeDtype, detach, enter_whole, tree_map
from tapem.errors import ConcretizationError
from tapem.ops.axes import axis_of
from tapem.ops.complex_numbers import require_real
from tapem.ops.numpy.functions import constant, equals, values_of


def known(value: Any) -> bool:
    """Whether the numbers of a value are known, so that NumPy can compute with them."""
    return not isinstance(getattr(getattr(value, "node", None), "output", None), ShapeDtype)


def plain_values(value: Any, name: str) -> Any:
    """The value without its derivative; ConcretizationError, with the name of the function, if it is not known."""
    if not known(value):
        raise ConcretizationError(
            f"{name} needs the values of {value!r}, which are not known inside vmap, eval_shape and loop bodies. "
            "Compute it outside, or say it with comparisons and np.where."
        )
    return detach(value) if hasattr(value, "node") else value


def _constant(function: Callable[..., Any], name: str) -> None:
    """Enter a function that NumPy computes of the plain values."""

    def handler(*arguments: Any, **options: Any) -> Any:
        return function(*(tree_map(lambda x: plain_values(x, name), value) for value in arguments), **options)

    enter_whole(function, handler, constant=True)


for _function in (
    np.ravel_multi_index, np.unravel_index, np.packbits, np.unpackbits, np.einsum_path,
    np.array2string, np.array_repr, np.array_str,
):  # fmt: skip
    _constant(_function, f"np.{_function.__name__}")

constant(np.tril_indices_from)(lambda arr, k=0: np.tril_indices(np.shape(arr)[-2], k, np.shape(arr)[-1]))
constant(np.triu_indices_from)(lambda arr, k=0: np.triu_indices(np.shape(arr)[-2], k, np.shape(arr)[-1]))
constant(np.diag_indices_from)(lambda arr: np.diag_indices(np.shape(arr)[0], np.ndim(arr)))


@constant(np.isposinf)
def isposinf(x: Any) -> Any:
    """Where `x` is positive infinity."""
    require_real(x, "np.isposinf", "x")
    return x == np.inf


@constant(np.isneginf)
def isneginf(x: Any) -> Any:
    """Where `x` is negative infinity."""
    require_real(x, "np.isneginf", "x")
    return x == -np.inf


# -- places in an order ------------------------------------------------------------------------------------------------


@constant(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """Where in the ordered `a` each element of `v` would be put."""
    if known(a) and known(v) and known(sorter):
        return np.searchsorted(detach(a), detach(v), side, sorter)  # type: ignore[call-overload]
    a = a if sorter is None else np.take(a, sorter)
    before = np.less if side == "left" else np.less_equal
    return np.sum(before(a, np.expand_dims(v, -1)), axis=-1)


@constant(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The number of the bin of each element; the edges of the bins rise or fall."""
    bins = np.asarray(bins) if isinstance(bins, list | tuple) else bins
    require_real(x, "np.digitize", "x")
    if known(x) and known(bins):
        return np.digitize(detach(x), detach(bins), right)
    above = np.less if right else np.less_equal
    below = np.greater_equal if right else np.greater
    rising = np.sum(above(bins, np.expand_dims(x, -1)), axis=-1)
    falling = np.sum(below(bins, np.expand_dims(x, -1)), axis=-1)
    return np.where(bins[0] <= bins[-1], rising, falling)


@constant(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The order by several keys, of which the last one counts first."""
    first, *rest = keys
    if not np.ndim(first):
        return np.lexsort(([0.0], [0.0]))[0]  # NumPy takes numbers, which are in order
    along = axis_of(first, axis, "np.lexsort")
    order = np.argsort(first, axis=along, stable=True)
    for key in rest:
        order = np.take_along_axis(
            order, np.argsort(np.take_along_axis(key, order, along), axis=along, stable=True), along
        )
    return order


constant(np.nanargmax)(
    lambda a, axis=None, *, keepdims=False: _nan_place(np.nanargmax, np.argmax, -1, a, axis, keepdims)
)
constant(np.nanargmin)(
    lambda a, axis=None, *, keepdims=False: _nan_place(np.nanargmin, np.argmin, 1, a, axis, keepdims)
)


def _nan_place(function: Any, search: Any, sign: int, a: Any, axis: Any, keepdims: bool) -> Any:
    if known(a):
        return function(detach(a), axis=axis, keepdims=keepdims)
    return search(np.where(np.isnan(a), sign * np.inf, a), axis=axis, keepdims=keepdims)


@constant(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """The number of singular values above a tolerance."""
    if known(A):
        return np.linalg.matrix_rank(detach(A), tol, hermitian, rtol=rtol)
    if np.ndim(A) < 2:
        return np.any(A != 0).astype(int)
    s = np.linalg.svdvals(A)
    if tol is None:
        rtol = max(np.shape(A)[-2:]) * np.finfo(s.dtype).eps if rtol is None else rtol
        tol = np.max(s, axis=-1) * rtol
    return np.count_nonzero(s > np.expand_dims(tol, -1), axis=-1)


@constant(np.isin)
def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """Which elements are among others, or with `invert` which are not."""
    found = np.any(np.expand_dims(element, -1) == np.ravel(test_elements), axis=-1)
    return np.logical_not(found) if invert else found


# -- sets: which elements, not their values, is constant ---------------------------------------------------------------


@equals(np.unique)
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """The elements that differ, in order. Their derivative goes to the first one of those that are equal."""
    plain = values_of(ar, "np.unique")
    _, index, inverse, counts = np.unique(
        plain, return_index=True, return_inverse=True, return_counts=True, axis=axis, equal_nan=equal_nan
    )
    found = np.ravel(ar)[index] if axis is None else np.take(ar, index, axis)
    asked = [(return_index, index), (return_inverse, inverse), (return_counts, counts)]
    others = tuple(value for wanted, value in asked if wanted)
    return (found, *others) if others else found


_ALL: Any = type(np.unique_all(np.zeros(1)))
_COUNTS: Any = type(np.unique_counts(np.zeros(1)))
_INVERSE: Any = type(np.unique_inverse(np.zeros(1)))
equals(np.unique_all)(lambda x, /: _ALL(*unique(x, True, True, True, equal_nan=False)))
equals(np.unique_counts)(lambda x, /: _COUNTS(*unique(x, return_counts=True, equal_nan=False)))
equals(np.unique_inverse)(lambda x, /: _INVERSE(*unique(x, return_inverse=True, equal_nan=False)))
equals(np.unique_values)(lambda x, /: unique(x, equal_nan=False))


def _of_both(first: Any, second: Any, name: str, kept: bool, assume_unique: bool = False) -> Any:
    """The different elements of `first` that are in `second`, or that are not; in order, unless they differ already."""
    first = np.ravel(first) if assume_unique else unique(first)
    inside = np.isin(values_of(first, name), values_of(second, name))
    return first[inside if kept else ~inside]


equals(np.union1d)(lambda ar1, ar2: unique(np.concatenate([np.ravel(ar1), np.ravel(ar2)])))
equals(np.setdiff1d)(lambda ar1, ar2, assume_unique=False: _of_both(ar1, ar2, "np.setdiff1d", False, assume_unique))
equals(np.setxor1d)(
    lambda ar1, ar2, assume_unique=False: np.sort(
        np.concatenate([_of_both(ar1, ar2, "np.setxor1d", False), _of_both(ar2, ar1, "np.setxor1d", False)])
    )
)


@equals(np.intersect1d)
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    """The elements that are in both; their derivative goes to the first array, as if it alone were looked at."""
    plain = [values_of(x, "np.intersect1d") for x in (ar1, ar2)]
    _, one, other = np.intersect1d(*plain, assume_unique=assume_unique, return_indices=True)
    found = np.ravel(ar1)[one]
    return (found, one, other) if return_indices else found
