"""NumPy's functions that are not ops themselves, made from ops: a few lines each, with NumPy's arguments.

Each is written in terms of NumPy's functions, so it runs on tracers and arrays, and its ops are recorded,
differentiated and batched. An option that a function here does not have raises NoRuleError (see `core.names`).
"""

from __future__ import annotations

import builtins
import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from tapem.core import CONSTANTS, ShapeDtype, detach, enter_function, enter_refusal, enter_ufunc, is_weak
from tapem.errors import ArgumentError, ConcretizationError
from tapem.ops import arithmetic, casting, complex_numbers, indexing, joining, selection
from tapem.ops.axes import axes_of, axis_of
from tapem.ops.einsum import einsum
from tapem.types import present

MISSING: Any = inspect.signature(np.diff).parameters["prepend"].default
"""NumPy's default where None has a meaning."""

F = TypeVar("F", bound=Callable[..., Any])


def equals(*functions: Callable[..., Any]) -> Callable[[F], F]:
    """Enter the decorated function as the handler of these NumPy functions, called with their arguments."""

    def enter(adapter: F) -> F:
        for function in functions:
            enter_function(function, adapter)
        return adapter

    return enter


def constant(*functions: Callable[..., Any]) -> Callable[[F], F]:
    """`equals`, for functions without a derivative by nature: their results are constants."""
    CONSTANTS.update(functions)
    return equals(*functions)


def values_of(x: Any, caller: str) -> Any:
    """The plain values of `x`; `caller` is the name shown in errors.

    Raises ConcretizationError if only the shape is known.
    """
    plain = detach(x)
    if not isinstance(plain, np.ndarray | np.generic | complex | float | int):
        raise ConcretizationError(
            f"{caller} has a result whose shape depends on the values of {x!r}, which are not known inside vmap, "
            "eval_shape and loop bodies. Use masks: np.where(condition, a, b)."
        )
    return plain


# -- asking --------------------------------------------------------------------------------------------------------

constant(np.shape)(lambda a: a.shape)
constant(np.ndim)(lambda a: len(a.shape))


@constant(np.size)
def size(a: Any, axis: Any = None) -> int:
    """The number of elements, along all axes or some."""
    return math.prod(np.shape(a)[i] for i in axes_of(a, axis, "np.size"))


def _kind(x: Any) -> Any:
    """The dtype of a tracer, since promotion depends on it alone; any other value unchanged."""
    return x.dtype if hasattr(x, "recorder") else x


constant(np.result_type)(lambda *arrays_and_dtypes: np.result_type(*map(_kind, arrays_and_dtypes)))
constant(np.common_type)(lambda *arrays: np.result_type(*map(_kind, arrays), np.float16).type)
constant(np.can_cast)(lambda from_, to, casting="safe": np.can_cast(_kind(from_), _kind(to), casting))  # type: ignore
constant(np.min_scalar_type)(lambda a, /: _kind(a))
constant(np.iscomplexobj)(lambda x: x.dtype.kind == "c")
constant(np.isrealobj)(lambda x: x.dtype.kind != "c")
constant(np.iscomplex)(lambda x: np.imag(x) != 0)
constant(np.isreal)(lambda x: np.imag(x) == 0)
constant(np.may_share_memory, np.shares_memory)(lambda a, b, /, max_work=0: a is b)

# -- constants of a tracer's shape ---------------------------------------------------------------------------------


def _like(make: Callable[..., Any]) -> Callable[..., Any]:
    def like(a: Any, /, dtype: Any = None, *, shape: Any = None, device: Any = None) -> Any:
        dtype = a.dtype if dtype is None else dtype
        return make(np.shape(a) if shape is None else shape, dtype=dtype, device=device)

    return like


constant(np.zeros_like)(_like(np.zeros))
constant(np.ones_like)(_like(np.ones))
constant(np.empty_like)(_like(np.empty))


@equals(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None, device: Any = None) -> Any:
    """An array of the shape and dtype of `a`, filled with `fill_value`, which may be differentiated."""
    dtype = a.dtype if dtype is None else np.dtype(dtype)
    if dtype.kind in "iu" and is_weak(fill_value) and ShapeDtype.of(fill_value).dtype.kind != "f":
        fill_value = np.zeros((), dtype) + fill_value  # which refuses an integer that the dtype cannot hold
    filled = np.broadcast_to(fill_value, np.shape(a) if shape is None else shape).astype(dtype)
    return filled if device is None else filled.to_device(device)


# -- real and complex values ---------------------------------------------------------------------------------------

equals(np.astype)(lambda x, dtype, /, *, copy=True: casting.astype(x, dtype))
equals(np.real)(lambda val: complex_numbers.real(val) if val.dtype.kind == "c" else val)
equals(np.imag)(lambda val: complex_numbers.imag(val) if val.dtype.kind == "c" else np.zeros(np.shape(val), val.dtype))


@equals(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """`a` limited to bounds, either of which may be None or missing."""
    return selection.clamp(a, min if _missing(a_min) else a_min, max if _missing(a_max) else a_max)


def _missing(value: Any) -> bool:
    return value is None or value is MISSING


@equals(np.where)
def where(condition: Any, *branches: Any) -> Any:
    """Choose by `condition`; without branches, return the indices at which it holds."""
    return selection.where(condition, *branches) if branches else np.nonzero(condition)


@equals(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """`x` with NaN and infinities replaced by other numbers, which may be differentiated."""
    if x.dtype.kind == "c":
        parts = (nan_to_num(part, nan=nan, posinf=posinf, neginf=neginf) for part in (np.real(x), np.imag(x)))
        real, imaginary = parts
        return real + 1j * imaginary
    limits = np.finfo(x.dtype) if x.dtype.kind == "f" else np.iinfo(np.int64)
    below, above = x == -np.inf, x == np.inf
    x = np.where(np.isnan(x), casting.astype(nan, x.dtype), x)
    x = np.where(above, casting.astype(limits.max if posinf is None else posinf, x.dtype), x)
    return np.where(below, casting.astype(limits.min if neginf is None else neginf, x.dtype), x)


# -- joining and cutting -------------------------------------------------------------------------------------------


@equals(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """Each array with one axis or more."""
    return _each(lambda x: np.reshape(x, (1,)) if np.ndim(x) == 0 else x, arys)


@equals(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """Each array with two axes or more; new ones come first."""
    return _each(lambda x: np.reshape(x, (1,) * (2 - np.ndim(x)) + np.shape(x)) if np.ndim(x) < 2 else x, arys)


@equals(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """Each array with three axes or more; a vector lies along the middle one."""

    def one(x: Any) -> Any:
        shape = np.shape(x)
        return x if len(shape) > 2 else np.reshape(x, {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}[len(shape)])

    return _each(one, arys)


def _each(change: Callable[[Any], Any], arrays: Sequence[Any]) -> Any:
    changed = tuple(map(change, arrays))
    return changed[0] if len(changed) == 1 else changed


@equals(np.take)
def take(a: Any, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Any:
    """The elements at `indices`; `mode` says whether an index out of range raises, is clipped, or wraps around."""
    if axis in (0, -1) and np.ndim(a) == 0:  # NumPy takes a number for a line
        a, axis = np.reshape(a, (1,)), 0
    if mode != "raise":
        length = math.prod(np.shape(a)[i] for i in axes_of(a, axis, "np.take"))
        indices = np.clip(indices, 0, length - 1) if mode == "clip" else np.remainder(indices, length)
    return indexing.take(a, indices, axis)


equals(np.concatenate)(lambda arrays, /, axis=0: joining.concat(arrays, axis=axis))
equals(np.stack)(lambda arrays, axis=0: joining.stack(arrays, axis=axis))
equals(np.split)(lambda ary, indices_or_sections, axis=0: list(joining.split(ary, indices_or_sections, axis=axis)))
equals(np.einsum)(lambda *operands, optimize=False: einsum(*operands, optimize=optimize))


@equals(np.vstack)
def vstack(tup: Sequence[Any]) -> Any:
    """Rows on top of each other."""
    return np.concatenate([np.atleast_2d(x) for x in tup], axis=0)


@equals(np.hstack)
def hstack(tup: Sequence[Any]) -> Any:
    """Arrays side by side: along the second axis, or the only one."""
    arrays = [np.atleast_1d(x) for x in tup]
    return np.concatenate(arrays, axis=0 if arrays and np.ndim(arrays[0]) == 1 else 1)


@equals(np.dstack)
def dstack(tup: Sequence[Any]) -> Any:
    """Arrays behind each other, along the third axis."""
    return np.concatenate([np.atleast_3d(x) for x in tup], axis=2)


@equals(np.column_stack)
def column_stack(tup: Sequence[Any]) -> Any:
    """Vectors as the columns of a matrix."""
    return np.concatenate([x if np.ndim(x) > 1 else np.reshape(x, (-1, 1)) for x in tup], axis=1)


@equals(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """`arr` followed by `values`; both are flattened if no axis is given."""
    return np.concatenate([np.ravel(arr), np.ravel(values)] if axis is None else [arr, values], axis=axis or 0)


@equals(np.block)
def block(arrays: Any) -> Any:
    """An array from nested lists of blocks; the innermost lists run along the last axis."""

    def depth(part: Any) -> int:
        return 1 + builtins.max(map(depth, part)) if isinstance(part, list) else 0

    def rank(part: Any) -> int:
        return builtins.max(map(rank, part)) if isinstance(part, list) else np.ndim(part)

    axes = builtins.max(rank(arrays), depth(arrays))

    def join(part: Any, axis: int) -> Any:
        if isinstance(part, list):
            return np.concatenate([join(each, axis + 1) for each in part], axis=axis)
        return np.reshape(part, (1,) * (axes - np.ndim(part)) + np.shape(part))

    return join(arrays, -depth(arrays))


@equals(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Pieces along an axis: a number of nearly equal ones, or cut at the given positions."""
    axis = axis_of(ary, axis, "np.array_split")
    length = np.shape(ary)[axis]
    if np.ndim(indices_or_sections) == 0:
        small, extra = divmod(length, int(indices_or_sections))
        sizes = [small + 1] * extra + [small] * (int(indices_or_sections) - extra)
        cuts = [0, *(int(cut) for cut in np.cumsum(sizes))]
    else:
        cuts = [0, *indices_or_sections, length]
    before = (slice(None),) * axis
    return [ary[(*before, slice(start, stop))] for start, stop in itertools.pairwise(cuts)]


equals(np.hsplit)(
    lambda ary, indices_or_sections: np.split(ary, indices_or_sections, axis=0 if np.ndim(ary) == 1 else 1)
)
equals(np.vsplit)(lambda ary, indices_or_sections: np.split(ary, indices_or_sections, axis=0))
equals(np.dsplit)(lambda ary, indices_or_sections: np.split(ary, indices_or_sections, axis=2))
equals(*present("unstack"))(lambda x, /, *, axis=0: tuple(np.moveaxis(x, axis, 0)))


@equals(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """`arr` without the elements at `obj`."""
    length = math.prod(np.shape(arr)[i] for i in axes_of(arr, axis, "np.delete"))
    return np.take(arr, np.delete(np.arange(length), obj), axis=axis)


# -- shapes --------------------------------------------------------------------------------------------------------

equals(np.rollaxis)(lambda a, axis, start=0: np.moveaxis(a, axis, _rolled(a, axis, start)))
equals(np.fliplr)(lambda m: np.flip(m, 1))
equals(np.flipud)(lambda m: np.flip(m, 0))
equals(np.matrix_transpose, np.linalg.matrix_transpose)(lambda x, /: np.swapaxes(x, -1, -2))


def _rolled(a: Any, axis: int, start: int) -> int:
    axis = axis_of(a, axis, "np.rollaxis")
    rank = np.ndim(a)
    if not -rank <= start <= rank:
        raise ArgumentError(f"np.rollaxis: start={start} is out of range for an array of {rank} axes.")
    start = start + rank if start < 0 else start
    return start - 1 if axis < start else start


@equals(np.rot90)
def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    """`m` rotated by `k` quarter turns in the plane of two axes."""
    first, second = axes
    if k % 4 == 0:
        return m
    if k % 4 == 2:
        return np.flip(m, (first, second))
    return (
        np.swapaxes(np.flip(m, second), first, second) if k % 4 == 1 else np.flip(np.swapaxes(m, first, second), second)
    )


@equals(np.broadcast_arrays)
def broadcast_arrays(*args: Any) -> tuple[Any, ...]:
    """All arrays in their common broadcast shape."""
    shape = np.broadcast_shapes(*(np.shape(x) for x in args))
    return tuple(np.broadcast_to(x, shape) for x in args)


@equals(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """The coordinates of a grid: each vector along its own axis, broadcast along the others."""
    order = [1, 0, *range(2, len(xi))] if indexing == "xy" and len(xi) > 1 else list(range(len(xi)))
    grids = [np.reshape(x, tuple(-1 if axis == order[i] else 1 for axis in range(len(xi)))) for i, x in enumerate(xi)]
    return tuple(grids) if sparse else tuple(np.broadcast_arrays(*grids))


# -- choosing and asking about values ------------------------------------------------------------------------------


@equals(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """The choice of the first condition that holds."""
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = np.where(condition, choice, result)
    return result


@constant(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all values are equal within a tolerance."""
    return np.all(np.isclose(a, b, rtol, atol, equal_nan))


@constant(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether two arrays have the same shape and elements."""
    same = np.shape(a1) == np.shape(a2)
    return same and np.all(np.logical_or(a1 == a2, np.logical_and(equal_nan, a1 != a1) & (a2 != a2)))


constant(np.array_equiv)(lambda a1, a2: np.all(a1 == a2))
constant(np.nonzero)(lambda a: np.nonzero(values_of(a, "np.nonzero")))
constant(np.flatnonzero)(lambda a: np.flatnonzero(values_of(a, "np.flatnonzero")))
constant(np.argwhere)(lambda a: np.argwhere(values_of(a, "np.argwhere")))

# -- ufuncs ------------------------------------------------------------------------------------------------------


def _float_power(a: Any, b: Any) -> Any:
    """A power in at least float64."""
    dtype = np.result_type(a, b, np.float64)
    return np.power(casting.astype(a, dtype), casting.astype(b, dtype))


_UFUNCS: Mapping[np.ufunc, Callable[..., Any]] = {
    np.float_power: _float_power,
    np.sign: lambda x: (arithmetic.direction if ShapeDtype.of(x).dtype.kind == "c" else arithmetic.sign)(x),
    np.vecdot: lambda a, b: np.sum(complex_numbers.conjugated(a) * b, axis=-1),
    **dict.fromkeys(present("matvec"), lambda a, b: np.squeeze(np.matmul(a, np.expand_dims(b, -1)), -1)),
    **dict.fromkeys(
        present("vecmat"),
        lambda a, b: np.squeeze(np.matmul(np.expand_dims(complex_numbers.conjugated(a), -2), b), -2),
    ),
    np.divmod: lambda a, b: (np.floor_divide(a, b), np.remainder(a, b)),
}
"""The ufuncs that are made from other ops."""


IN_PLACE: Mapping[Callable[..., Any], str] = {
    np.put_along_axis: "tm.scatter_set(x, indices, values, axis)",
    np.put: "tm.scatter_set(x, indices, values, axis)",
    np.place: "np.where(mask, values, x)",
    np.putmask: "np.where(mask, values, x)",
    np.copyto: "np.where(mask, values, x)",
    np.fill_diagonal: "np.where(np.eye(n, dtype=bool), value, x)",
}
"""The functions that write into their argument, and what to write instead."""

for _ufunc, _handler in _UFUNCS.items():
    enter_ufunc(_ufunc, _handler)
for _function, _instead in IN_PLACE.items():
    enter_refusal(_function, _instead)
