"""Padding: add elements around an array; and its transpose, which removes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np

from tapem.core import Primitive, linear_in_all
from tapem.errors import ArgumentError
from tapem.ops.declare import primitive
from tapem.types import Num, Tensor

T = Num[Tensor, "..."]
Mode: TypeAlias = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
Widths: TypeAlias = "int | Sequence[int] | Sequence[Sequence[int]]"


def pairs(value: Any, ndim: int) -> tuple[tuple[Any, Any], ...]:
    """One pair (before, after) for each axis, from any form that np.pad accepts."""
    if isinstance(value, Mapping):
        rows: list[tuple[Any, Any]] = [(0, 0)] * ndim
        for axis, width in cast("Mapping[int, Any]", value).items():
            rows[np.lib.array_utils.normalize_axis_index(axis, ndim)] = pairs(width, 1)[0]
        return tuple(rows)
    try:
        rows_of_two = np.broadcast_to(np.asarray(value), (ndim, 2))
    except ValueError:
        raise ArgumentError(
            f"pad(x): {value!r} must be one number, one pair (before, after), or one pair for each of the {ndim} axes "
            "of x."
        ) from None
    return tuple((before, after) for before, after in rows_of_two.tolist())


def _batch_pad(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    (x,) = inputs
    batched: dict[str, Any] = {
        name: ((0, 0), *pairs(value, np.ndim(x) - 1)) for name, value in static.items() if name != "mode"
    }
    if static["mode"] != "constant":
        batched.pop("constant_values", None)
    return op(x, **batched, mode=static["mode"])


@primitive(
    rrule=(lambda g, y, x, pad_width, mode, constant_values: unpad(g, pairs(pad_width, np.ndim(x)), mode=mode),),
    frule=(lambda t, y, x, pad_width, mode, constant_values: pad(t, pad_width, mode=mode),),
    batch=_batch_pad,
    numpy=[np.pad],
)
def pad(x: T, pad_width: Widths, mode: Mode = "constant", constant_values: Any = 0) -> T:
    """`x` with elements added before and after it along each axis: Num "..." -> Num "...".

    `pad_width` is one number, one pair (before, after), or one pair for each axis. `mode` is NumPy's: "constant" (adds
    `constant_values`, in the same forms), "edge", "reflect", "symmetric" or "wrap". Raises ArgumentError for another
    mode, and for a negative width.

    >>> pad(np.array([1.0, 2.0]), (1, 2))
    array([0., 1., 2., 0., 0.])
    >>> pad(np.array([1.0, 2.0]), 1, mode="edge")
    array([1., 1., 2., 2.])
    """
    if mode not in get_args(Mode):
        raise ArgumentError(f"pad(x): mode={mode!r} is not known; it must be one of {', '.join(get_args(Mode))}.")
    if not isinstance(pad_width, int):
        pairs(pad_width, np.ndim(x))  # raises if it does not fit the axes
    if mode == "constant":
        return np.pad(x, pad_width, constant_values=constant_values)
    if np.any(np.asarray(constant_values) != 0):
        raise ArgumentError(f"pad(x): constant_values={constant_values!r} has no meaning with mode={mode!r}.")
    return np.pad(x, pad_width, mode=mode)


def _batch_unpad(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    return op(inputs[0], widths=((0, 0), *static["widths"]), mode=static["mode"])


@primitive(
    rrule=(lambda g, y, x, widths, mode: pad(g, widths or 0, mode=mode),), frule=linear_in_all, batch=_batch_unpad
)
def unpad(x: T, widths: Sequence[tuple[int, int]], mode: Mode = "constant") -> T:
    """The transpose of `pad`: remove the padding, and add each removed copy to its element.

    `widths` has one pair (before, after) for each axis. Num "..." -> Num "...".

    >>> unpad(np.array([1.0, 2.0, 3.0, 4.0]), ((1, 1),), mode="edge")
    array([3., 7.])
    """
    for axis, (before, after) in enumerate(widths):
        lines = np.moveaxis(x, axis, 0)
        end = len(lines) - after
        inner = lines[before:end]
        if mode != "constant" and before + after:
            source = np.pad(np.arange(len(inner)), (before, after), mode=mode)
            inner = inner.copy()
            for padding in (slice(0, before), slice(end, None)):
                np.add.at(inner, source[padding], lines[padding])
        x = np.moveaxis(inner, 0, axis)
    return x


__all__ = ["pad"]
