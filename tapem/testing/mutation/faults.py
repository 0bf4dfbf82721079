"""What wrong versions of a rule call: each of these spoils the result of a rule, or an argument of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from tapem.core import ShapeDtype
from tapem.tangents import AbstractZero, One, Thunk, force
from tapem.transforms import detach
from tapem.types import is_inexact

PREFIX = "mutated_"


def everywhere(fault: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A fault of one derivative as a fault of what a rule returns, which may be a tuple, a thunk or a symbol."""

    def apply(result: Any) -> Any:
        if isinstance(result, Thunk):
            return Thunk(lambda: apply(force(result)))
        if isinstance(result, tuple):
            return tuple(map(apply, cast("tuple[Any, ...]", result)))
        return result if result is None or isinstance(result, AbstractZero | One) else fault(result)

    return apply


def negative(part: Any) -> Any:
    """A derivative with the wrong sign."""
    return -part


def in_double(part: Any) -> Any:
    """A derivative in double precision, whatever the precision of its operand."""
    dtype = ShapeDtype.of(part).dtype
    if not is_inexact(dtype) or not hasattr(part, "astype"):
        return part
    return part.astype(np.complex128 if dtype.kind == "c" else np.float64)


def constant(part: Any) -> Any:
    """A derivative that is a constant to whoever differentiates it again."""
    return detach(part)


def transposed(part: Any) -> Any:
    """A derivative with its last two axes swapped."""
    return np.swapaxes(part, -1, -2)


def other_axis(axis: Any) -> Any:
    """Another axis or other axes than these.

    >>> other_axis(0), other_axis(-1), other_axis(2), other_axis(None), other_axis((0, 2))
    (-1, 0, 1, 0, (0,))
    """
    if axis is None:
        return 0
    if isinstance(axis, tuple | list):
        return tuple(cast("tuple[Any, ...]", axis))[:-1]
    return -1 if axis == 0 else axis - 1 if axis > 0 else axis + 1


def with_detached(rule: Callable[..., Any], position: int) -> Callable[..., Any]:
    """A rule to which one of its arguments is a constant."""

    def call(*arguments: Any, **static: Any) -> Any:
        held = list(arguments)
        for at in range(position, len(held)) if position < 0 else [position]:
            held[at] = without_derivative(held[at])
        return rule(*held, **static)

    return call


def without_derivative(x: Any) -> Any:
    """A value, or a tuple of values such as residuals, that is a constant."""
    if isinstance(x, tuple):
        return tuple(map(without_derivative, cast("tuple[Any, ...]", x)))
    return detach(x) if hasattr(x, "dtype") and is_inexact(ShapeDtype.of(x).dtype) else x


FAULTS: Mapping[str, Callable[..., Any]] = {
    f"{PREFIX}negative": everywhere(negative),
    f"{PREFIX}in_double": everywhere(in_double),
    f"{PREFIX}detach": everywhere(constant),
    f"{PREFIX}transposed": everywhere(transposed),
    f"{PREFIX}other_axis": other_axis,
}
"""The names under which the sources of wrong versions know them."""

__all__ = ["FAULTS", "PREFIX", "other_axis", "with_detached"]
