"""Numbers and arrays at the edge of what a function may meet: ties, zeros, extremes, and uncommon layouts in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core import Array
from tapem.errors import ArgumentError


def tied(values: Array) -> Array:
    """Few different numbers, so that many are equal, within an array and across arrays."""
    return np.clip(np.round(values), -2, 2)


def zeroed(values: Array) -> Array:
    """Zeros of both signs in the place of the smaller numbers."""
    return np.where(np.abs(values) < 2.5, np.copysign(0.0, values), values)


def scaled_to(size: Callable[[Any], float]) -> Callable[[Array], Array]:
    """The numbers, all of them multiplied by what depends on the dtype."""
    return lambda values: values * values.dtype.type(size(np.finfo(values.dtype)))


NUMBERS: Mapping[str, Callable[[Array], Array]] = {
    "ties": tied,
    "zeros": zeroed,
    "subnormal": scaled_to(lambda kind: 8 * kind.smallest_subnormal),
    "tiny": scaled_to(lambda kind: 16 * kind.tiny),
    "large": scaled_to(lambda kind: kind.max / 16),
}
"""What may become of the floats of an array, and of both parts of complex numbers."""


def backward(values: Array) -> Array:
    """The same array, laid out with negative strides."""
    return np.flip(np.flip(values).copy()) if values.ndim else values


def fortran(values: Array) -> Array:
    """The same array in Fortran order."""
    return np.array(values, order="F")


def read_only(values: Array) -> Array:
    """The same array, which cannot be written."""
    kept = values.copy()
    kept.flags.writeable = False
    return kept


def swapped(values: Array) -> Array:
    """The same array, with its bytes in the order that is not the machine's."""
    return values.astype(values.dtype.newbyteorder())


LAYOUTS: Mapping[str, Callable[[Array], Array]] = {
    "fortran": fortran,
    "strides": backward,
    "read-only": read_only,
    "non-native": swapped,
}
"""How an array may be laid out; its shape and its numbers stay as they are."""

SIZES = ("empty",)
EDGES = (*NUMBERS, *LAYOUTS, *SIZES)
HARMLESS = ("ties", "zeros", "fortran", "strides", "read-only")
"""What every function of arrays of its shapes should take; drawn unless something else is asked for."""


def known_edges(edges: bool | Sequence[str] | None) -> tuple[str, ...]:
    """The names of the edges that are asked for. Raises ArgumentError for one that there is not.

    >>> known_edges(None), known_edges(False), known_edges(["large"])
    (('ties', 'zeros', 'fortran', 'strides', 'read-only'), (), ('large',))
    """
    if edges is None or isinstance(edges, bool):
        return HARMLESS if edges is None else EDGES if edges else ()
    given: Any = edges
    if isinstance(given, str) or not isinstance(given, Iterable) or not set(edges) <= set(EDGES):
        raise ArgumentError(f"shaped: edges={edges!r} must be True, False, or a list of {', '.join(EDGES)}.")
    return tuple(edges)


def with_numbers(values: Array, edge: str) -> Array:
    """An array with its numbers moved to an edge; integers and bools have none."""
    move = NUMBERS[edge]
    if values.dtype.kind == "c":
        parts: Any = values
        whole: Any = np.empty_like(parts)
        whole.real, whole.imag = move(parts.real), move(parts.imag)
        return whole
    return np.asarray(move(values), values.dtype) if values.dtype.kind == "f" else values


def layout_text(value: Array) -> str:
    """What has to be done to `np.array(...)` to lay it out as this one is: a call around it, or nothing.

    >>> layout_text(np.asfortranarray(np.ones((2, 2)))), layout_text(np.ones(2)), layout_text(backward(np.ones(2)))
    ('np.asfortranarray({})', '{}', 'np.flip(np.flip({}).copy())')
    """
    if value.size > 1 and any(stride < 0 for stride in value.strides):
        return "np.flip(np.flip({}).copy())"
    return "np.asfortranarray({})" if value.flags.f_contiguous and not value.flags.c_contiguous else "{}"


__all__ = ["EDGES", "LAYOUTS", "NUMBERS", "known_edges", "layout_text", "with_numbers"]
