"""The options of NumPy's functions of shape and order that the ops do not have, and every way to pad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.core import enter_options
from tapem.errors import ArgumentError, DTypeError, NoRuleError
from tapem.ops import diagonals, padding, shaping
from tapem.ops.axes import as_tuple
from tapem.ops.cumulative import sort as sort_op
from tapem.ops.numpy.creation import array as stacked_array
from tapem.ops.numpy.creation import holds_traced
from tapem.ops.numpy.functions import equals
from tapem.types import is_inexact

# -- order ------------------------------------------------------------------------------------------------------------


def _column_major(order: str, function: str, known: str) -> bool:
    if order not in tuple(known):
        raise ArgumentError(f"{function}: order={order!r} is not one of {', '.join(known)}.")
    return order == "F"  # A value on a tape has no layout of its own: "A" and "K" are row-major.


def _reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    if not _column_major(order, "np.reshape", "CFA"):
        return shaping.reshape(a, shape)
    return shaping.transpose(shaping.reshape(shaping.transpose(a), as_tuple(shape)[::-1]))


def _ravel(a: Any, order: str = "C") -> Any:
    return shaping.flatten(shaping.transpose(a) if _column_major(order, "np.ravel", "CFAK") else a)


enter_options(np.reshape, _reshape)
enter_options(np.ravel, _ravel)


@equals(np.sort)
def sort(a: Any, axis: int | None = -1, kind: str | None = None, order: None = None, *, stable: Any = None) -> Any:
    """The elements in ascending order; `kind` and `stable` do not change the values."""
    np.sort(np.zeros(0), kind=kind, order=order, stable=stable)  # type: ignore[call-overload]
    return sort_op(a, axis)


def _triangle(op: Callable[..., Any]) -> Callable[..., Any]:
    """A triangle of matrices; a vector stands for as many equal rows."""
    return lambda m, k=0: op(np.broadcast_to(m, np.shape(m) * 2) if np.ndim(m) == 1 else m, k)


equals(np.tril)(_triangle(diagonals.tril))
equals(np.triu)(_triangle(diagonals.triu))


# -- dtypes of what is joined -----------------------------------------------------------------------------------------


def _joined(function: Callable[..., Any], **axis: int) -> Callable[..., Any]:
    """The function that joins arrays, of arrays cast to `dtype`."""

    def join(arrays: Any, dtype: Any, casting: Any, **given: Any) -> Any:
        parts: list[Any] = [x if hasattr(x, "dtype") else np.asarray(x) for x in arrays]
        for x in parts:
            if dtype is not None and not np.can_cast(x.dtype, dtype, casting):
                raise DTypeError(f"np.{function.__name__}: {x.dtype} cannot be cast to {dtype!r} by {casting!r}.")
        return function(parts if dtype is None else [np.astype(x, dtype) for x in parts], **given)

    if not axis:
        return lambda tup, *, dtype=None, casting="same_kind": join(tup, dtype, casting)
    return lambda arrays, axis=0, *, dtype=None, casting="same_kind": join(arrays, dtype, casting, axis=axis)


enter_options(np.concatenate, _joined(np.concatenate, axis=0))
enter_options(np.stack, _joined(np.stack, axis=0))
enter_options(np.hstack, _joined(np.hstack))
enter_options(np.vstack, _joined(np.vstack))

# -- padding ----------------------------------------------------------------------------------------------------------


@equals(np.pad)
def pad(
    array: Any,
    pad_width: Any,
    mode: Any = "constant",
    *,
    stat_length: Any = None,
    constant_values: Any = 0,
    end_values: Any = 0,
    reflect_type: str = "even",
) -> Any:
    """`array` with elements added around it, in any of NumPy's modes but a function."""
    if callable(mode):
        raise NoRuleError("np.pad with a function as mode has no rule in tapem; concatenate what it would add.")
    options: dict[str, Any] = {}
    if mode == "constant" and holds_traced(constant_values):
        return _pad_with_traced(array, pad_width, constant_values)
    if mode in ("mean", "median", "maximum", "minimum"):
        options["stat_length"] = stat_length
    elif mode == "linear_ramp":
        options["end_values"] = end_values
    elif mode in ("reflect", "symmetric") and reflect_type != "even":
        options["reflect_type"] = reflect_type
    else:
        return padding.pad(array, pad_width, "constant" if mode == "empty" else mode, constant_values)
    rank = np.ndim(array)
    given = {
        name: [value] * rank if value is None or isinstance(value, str) else padding.pairs(value, rank)
        for name, value in options.items()
    }
    for axis, width in enumerate(padding.pairs(pad_width, rank)):
        array = _pad_axis(array, axis, width, mode, {name: values[axis] for name, values in given.items()})
    return array


def _pad_with_traced(array: Any, pad_width: Any, values: Any) -> Any:
    """Pad with values that are differentiated, in any form that np.pad accepts: the last axis has the corners."""
    rank = np.ndim(array)
    values = np.broadcast_to(stacked_array(values), (rank, 2)).astype(array.dtype)
    for axis, width in enumerate(padding.pairs(pad_width, rank)):
        first, last = np.shape(array)[:axis], np.shape(array)[axis + 1 :]
        before, after = (np.broadcast_to(values[axis, side], (*first, width[side], *last)) for side in (0, 1))
        array = np.concatenate([before, array, after], axis=axis)
    return array


def _pad_axis(array: Any, axis: int, width: tuple[int, int], mode: str, options: dict[str, Any]) -> Any:
    """Pad along one axis. NumPy's mean, ramp and odd reflection are affine in the elements: it gives us the matrix."""
    length = np.shape(array)[axis]
    if mode in ("maximum", "minimum", "median"):
        return _pad_with(array, axis, width, {"maximum": np.max, "minimum": np.min, "median": np.median}[mode], options)
    around: dict[str, Any] = {"pad_width": (width, (0, 0)), "mode": mode}
    ramps: dict[str, Any] = {"end_values": (options.pop("end_values", (0, 0)), (0, 0))} if mode == "linear_ramp" else {}
    rest: dict[str, Any] = {
        name: value if isinstance(value, str | None) else (value, value) for name, value in options.items()
    }
    dtype = array.dtype if is_inexact(array.dtype) else np.dtype(float)
    matrix = np.pad(np.eye(length, dtype=dtype), **around, **rest)
    offset = np.pad(np.zeros((length, 1), dtype), **around, **rest, **ramps)[:, 0]
    moved = np.moveaxis(np.tensordot(array, matrix, axes=(axis, 1)), -1, axis)
    return moved + np.reshape(offset, (-1, *(1,) * (np.ndim(array) - 1 - axis)))


def _pad_with(array: Any, axis: int, width: tuple[int, int], statistic: Any, options: dict[str, Any]) -> Any:
    """Repeat a statistic of the first elements before the array, and of the last ones after it."""
    length = np.shape(array)[axis]
    first, last = (min(n, length) for n in options.get("stat_length") or (length, length))
    before = (slice(None),) * axis
    left = statistic(array[(*before, slice(0, first))], axis=axis, keepdims=True)
    right = statistic(array[(*before, slice(length - last, None))], axis=axis, keepdims=True)
    return np.concatenate([np.repeat(left, width[0], axis), array, np.repeat(right, width[1], axis)], axis=axis)
