"""Joining and splitting: several operands in, or several results out."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from tapem.core import Array, Primitive, linear_in_all
from tapem.errors import ArgumentError
from tapem.ops.axes import all_mapped, batch_along, behind_batch, normal_axes
from tapem.ops.declare import Deferred, Numeric, Operand, Step, StepOfSeveral, primitive
from tapem.ops.shaping import flatten
from tapem.tangents import Thunk
from tapem.types import Num, Tensor

T = Num[Tensor, "..."]


def _several(name: str, xs: Any) -> tuple[Any, ...]:
    """The operands in a sequence: a list, a tuple, or the rows of an array or a tracer."""
    # Arrays and tracers have rows; Refs and steps have not.
    if isinstance(xs, list | tuple) or hasattr(xs, "astype"):
        return tuple(xs)
    raise ArgumentError(f"{name}(xs): xs is a {type(xs).__name__}, but must be a sequence of operands: {name}([a, b]).")


def _part(g: Any, axis: int, index: Any) -> Thunk:
    """The part of a cotangent at an index along an axis, as a thunk."""
    return Thunk(functools.partial(operator.getitem, g, (*(slice(None),) * (axis % np.ndim(g)), index)))


# -- concat ------------------------------------------------------------------------------------------------------------


def _concat_cotangents(g: Any, y: Any, *xs: Any, axis: int) -> tuple[Thunk, ...]:
    ends = np.cumsum([np.shape(x)[axis] for x in xs]).tolist()
    return tuple(_part(g, axis, slice(end - np.shape(x)[axis], end)) for x, end in zip(xs, ends, strict=True))


@primitive(rrule=_concat_cotangents, frule=linear_in_all, batch=batch_along, name="concat")
def concat_arrays(*xs: T, axis: int = 0) -> T:
    """Join the operands along an existing axis, `concat` as a variadic op: Num "..." each -> Num "...".

    >>> concat_arrays(np.ones(1), np.zeros(2))
    array([1., 0., 0.])
    """
    return np.concatenate(xs, axis=axis)


@overload
def concat(xs: Sequence[Numeric] | Array, axis: int | None = 0) -> Array: ...  # pyright: ignore[reportOverlappingOverload]
@overload
def concat(xs: Sequence[Operand], axis: int | None = 0) -> Step: ...
def concat(xs: Any, axis: int | None = 0) -> Any:
    """Join the operands along an existing axis: Num "*a n_i *b", ... -> Num "*a n *b", n = sum(n_i).

    All other axes must agree. With `axis` None the operands are flattened first. Raises ShapeError or ArgumentError if
    the shapes do not fit, if there are no operands, or if one is 0-d.

    >>> concat([np.array([1.0, 2.0]), np.array([3.0])])
    array([1., 2., 3.])
    """
    operands = _several("concat", xs)
    if axis is None:
        return concat_arrays(*map(flatten, operands), axis=0)
    return concat_arrays(*operands, axis=axis)


@primitive(
    rrule=(lambda g, y, a, b: g[: np.shape(a)[0]], lambda g, y, a, b: g[np.shape(a)[0] :]),
    frule=linear_in_all,
    batch=lambda op, size, inputs, mapped, static: concat_arrays(*all_mapped(size, inputs, mapped), axis=1),
)
def concat_vectors(a: Num[Tensor, "n"], b: Num[Tensor, "m"]) -> Num[Tensor, "n+m"]:
    """The vector `b` after the vector `a`: Num "n", Num "m" -> Num "n+m". Raises ShapeError for other ranks.

    >>> concat_vectors(np.array([1.0, 2.0]), np.array([3.0]))
    array([1., 2., 3.])
    """
    return np.concatenate((a, b))


# -- stack -------------------------------------------------------------------------------------------------------------


def _stack_cotangents(g: Any, y: Any, *xs: Any, axis: int) -> tuple[Thunk, ...]:
    return tuple(_part(g, axis, index) for index in range(len(xs)))


def _batch_stack(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    values = all_mapped(size, inputs, mapped)
    (axis,) = behind_batch(static["axis"], np.ndim(values[0]))
    return op(*values, axis=axis)


@primitive(rrule=_stack_cotangents, frule=linear_in_all, batch=_batch_stack, name="stack")
def stack_arrays(*xs: T, axis: int = 0) -> T:
    """Join the operands along a new axis, `stack` as a variadic op: Num "..." each -> Num "...".

    >>> stack_arrays(np.float64(1.0), np.float64(2.0))
    array([1., 2.])
    """
    return np.stack(xs, axis=axis)


@overload
def stack(xs: Sequence[Numeric] | Array, axis: int = 0) -> Array: ...  # pyright: ignore[reportOverlappingOverload]
@overload
def stack(xs: Sequence[Operand], axis: int = 0) -> Step: ...
def stack(xs: Any, axis: int = 0) -> Any:
    """Join operands of one shape along a new axis: Num "*a *b", ... -> Num "*a n *b".

    `axis` is the place of the new axis in the result. Raises ShapeError or ArgumentError if the shapes differ or there
    are no operands.

    >>> stack([np.array([1.0, 2.0]), np.array([3.0, 4.0])], axis=1)
    array([[1., 3.],
           [2., 4.]])
    """
    return stack_arrays(*_several("stack", xs), axis=axis)


# -- split -------------------------------------------------------------------------------------------------------------


@primitive(
    rrule=(lambda g, y, x, indices_or_sections, axis: concat(g, axis=axis),),
    frule=linear_in_all,
    batch=batch_along,
    name="split",
)
def split_array(x: T, indices_or_sections: int | tuple[int, ...], axis: int = 0) -> tuple[T, ...]:
    """The consecutive pieces of `x` along an axis, `split` as an op: Num "..." -> (Num "...", ...).

    >>> split_array(np.array([1.0, 2.0, 3.0]), (1,))
    (array([1.]), array([2., 3.]))
    """
    normal_axes(axis, x.ndim)
    if isinstance(indices_or_sections, tuple):
        cuts = [slice(cut).indices(x.shape[axis])[1] for cut in indices_or_sections]
        if cuts != sorted(cuts):
            raise ArgumentError(f"split(x): the cuts {indices_or_sections} must be in ascending order.")
    elif indices_or_sections < 1:
        raise ArgumentError(f"split(x): x cannot be cut into {indices_or_sections} sections.")
    return tuple(np.split(x, indices_or_sections, axis=axis))


@overload
def split(x: Numeric, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Array, ...]: ...
@overload
def split(x: Deferred, indices_or_sections: int | Sequence[int], axis: int = 0) -> StepOfSeveral: ...
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """The consecutive pieces of `x` along an axis, as a tuple: Num "*a n *b" -> Num "*a n_i *b", ...

    An integer is the number of pieces, which must all have the same size; a sequence has the positions of the cuts, in
    ascending order (negative ones count from the end). Raises ArgumentError for anything else.

    >>> split(np.array([1.0, 2.0, 3.0, 4.0]), 2)
    (array([1., 2.]), array([3., 4.]))
    >>> split(np.array([1.0, 2.0, 3.0, 4.0]), [1])
    (array([1.]), array([2., 3., 4.]))
    """
    cuts = indices_or_sections
    return split_array(x, cuts if np.ndim(cuts) == 0 else tuple(np.asarray(cuts).tolist()), axis=axis)


__all__ = ["concat", "concat_vectors", "split", "stack"]
