"""Convert axes from the user's form to the form that rules need: sorted, non-negative, or behind a batch axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from tapem.core import Primitive
from tapem.errors import ArgumentError

Axis: TypeAlias = int | tuple[int, ...] | None


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Convert a static argument to a tuple; a single integer becomes a tuple of one.

    >>> as_tuple(3), as_tuple((1, 2))
    ((3,), (1, 2))
    """
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else tuple(np.ravel(value).tolist())


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes that `axis` names, as sorted non-negative integers; None names them all.

    Raises NumPy's AxisError for an axis out of range and its ValueError for a repeated one, which the engine converts.

    >>> normal_axes(-1, 3), normal_axes((2, 0), 3), normal_axes(None, 2)
    ((2,), (0, 2), (0, 1))
    """
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted(np.lib.array_utils.normalize_axis_tuple(axis, ndim)))


def axes_of(x: Any, axis: Any, function: str) -> tuple[int, ...]:
    """The normal axes of `x` for a function that is not an op; `function` is its name in errors.

    Raises ArgumentError for an axis out of range or a repeated one.

    >>> axes_of(np.ones(3), 1, "np.diff")
    Traceback (most recent call last):
    tapem.errors.ArgumentError: np.diff: axis 1 is out of bounds for array of dimension 1 (axis=1, shape (3,)).
    """
    try:
        return normal_axes(axis, np.ndim(x))
    except ValueError as error:
        raise ArgumentError(f"{function}: {error} (axis={axis!r}, shape {np.shape(x)}).") from None


def axis_of(x: Any, axis: Any, function: str) -> int:
    """The normal form of the one axis of `x` that a function which is not an op runs along.

    Raises ArgumentError for an axis out of range, or none or several.

    >>> axis_of(np.ones((2, 3)), -1, "np.diff")
    1
    """
    axes = axes_of(x, axis, function)
    if len(axes) != 1:
        raise ArgumentError(f"{function} goes along one axis, not along axis={axis!r} of shape {np.shape(x)}.")
    return axes[0]


def behind_batch(axis: Any, ndim: int) -> tuple[int, ...]:
    """The numbers that the axes of an example with `ndim` axes have with a batch axis in front.

    >>> behind_batch((-1, 0), 2)
    (2, 1)
    """
    return tuple(a + 1 for a in np.lib.array_utils.normalize_axis_tuple(axis, ndim, allow_duplicate=True))


def refuse_axis_of_scalar(x: Any, axis: Any) -> None:
    """Raise AxisError for any axis of a 0-d value, where some of NumPy's functions let 0 and -1 pass."""
    if axis is not None and np.ndim(x) == 0:
        normal_axes(axis, 0)


def restore(value: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Put the reduced axes back into a value, with size 1.

    >>> restore(np.ones(2), np.ones((2, 3)), -1, False).shape
    (2, 1)
    """
    if keepdims:
        return value
    shape = np.shape(x)
    if axis is None or not shape:
        return np.reshape(value, (1,) * len(shape))
    kept = list(shape)
    for a in as_tuple(axis):
        kept[a] = 1
    return np.reshape(value, kept)


def all_mapped(size: int, inputs: Sequence[Any], mapped: Sequence[bool]) -> list[Any]:
    """Give every input of a batch rule a batch axis in front, so that the rule has only one case.

    An input that is not mapped is repeated along its batch axis, as a view, without memory.

    >>> [x.shape for x in all_mapped(4, (np.ones((4, 2)), np.ones(3)), (True, False))]
    [(4, 2), (4, 3)]
    """
    return [
        x if is_mapped else np.broadcast_to(x, (size, *np.shape(x)))
        for x, is_mapped in zip(inputs, mapped, strict=True)
    ]


def batch_along(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """The batch rule of an op that works along one axis, `axis`, of operands with equally many axes."""
    values = all_mapped(size, inputs, mapped)
    (axis,) = behind_batch(static["axis"], np.ndim(values[0]) - 1)
    return op(*values, **{**static, "axis": axis})


def batch_reduction(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """The batch rule of an op that works along the axes `axis`; None means all."""
    values = all_mapped(size, inputs, mapped)
    rank = np.ndim(values[0]) - 1
    # As in NumPy a number may have been given axis 0 or -1, which it does not have.
    axes = tuple(a + 1 for a in normal_axes(static["axis"], rank)) if rank else ()
    return op(*values, **{**static, "axis": axes})
