"""The derivative of a program at a point as a linear map, in either mode: tapem's own, or one that was given.

A linear map takes the tangents of the real inputs to those of the real outputs, or cotangents the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tapem.core import Array, ShapeDtype, tree_unflatten
from tapem.errors import ArgumentError
from tapem.testing.flattening import Flat, Layout, packed, real_parts, whole
from tapem.testing.given_derivatives import Given, fitting
from tapem.transforms import jvp, linearize, vjp

LinearMap: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]

NAMES = {"fwd": "forward", "rev": "reverse"}
ROLES = {"fwd": "tangent", "rev": "cotangent"}


def known_modes(caller: str, modes: Sequence[str], given: Given | None = None) -> tuple[str, ...]:
    """The modes as a tuple, without those that a given derivative has not; `caller` is the name shown in errors.

    Raises ArgumentError for an unknown mode, and for none.
    """
    if isinstance(modes, str) or not modes or not set(modes) <= NAMES.keys():
        raise ArgumentError(f"{caller}: modes={modes!r} must hold 'fwd' and 'rev', or one of them.")
    return tuple(mode for mode in modes if given is None or mode in given.modes)


class End(NamedTuple):
    """One end of a derivative: the values that its tangents or cotangents belong to, and their layout in a vector."""

    values: list[Any]
    layout: Layout


def ends(flat: Flat, mode: str) -> tuple[End, End]:
    """Where a derivative starts and where it ends: at the inputs and at the outputs, or the other way round."""
    inputs, outputs = End(flat.leaves, flat.inputs), End(flat.values, flat.outputs)
    return (inputs, outputs) if mode == "fwd" else (outputs, inputs)


def linear_map(flat: Flat, mode: str) -> LinearMap:
    """The linear map from tangents to tangents, or from cotangents to cotangents."""
    return {"fwd": forward_map, "rev": reverse_map}[mode](flat)


def forward_map(flat: Flat) -> LinearMap:
    """The linear map from tangents of the inputs to tangents of the outputs."""
    if flat.given is not None:
        return given_map(flat, flat.given, "fwd", flat.leaves)
    _, derivative = linearize(flat, *flat.leaves)
    return lambda tangents: derivative(*tangents)


def reverse_map(flat: Flat) -> LinearMap:
    """The linear map from cotangents of the outputs to cotangents of the inputs."""
    if flat.given is not None:
        return given_map(flat, flat.given, "rev", flat.leaves)
    _, pullback = vjp(flat, *flat.leaves)
    return lambda cotangents: pullback(list(cotangents))


def given_map(flat: Flat, given: Given, mode: str, leaves: Sequence[Any]) -> LinearMap:
    """The linear map of a given derivative at some leaves; its results are checked, and are copies."""
    arguments = flat.arguments(leaves)
    inputs, outputs = whole_kinds(flat.leaves, flat.of_inputs), whole_kinds(flat.values, flat.of_outputs)
    taken: list[ShapeDtype | None] = [None] * len(flat.all_leaves)
    for position, kind in zip(flat.positions, inputs, strict=True):
        taken[position] = kind
    what = f"{given.name(mode)}="

    def push(tangents: Sequence[Any]) -> Sequence[Any]:
        assert given.jvp is not None
        moved: list[Any] = [np.zeros(np.shape(leaf)) for leaf in flat.all_leaves]
        for position, tangent in zip(flat.positions, whole(tangents, flat.of_inputs), strict=True):
            moved[position] = tangent
        found = given.jvp(arguments, tree_unflatten(flat.structure, moved))
        expected: list[ShapeDtype | None] = [None] * flat.output_structure.num_leaves
        for position, kind in zip(flat.real, outputs, strict=True):
            expected[position] = kind
        names = flat.output_names
        parts = fitting(what, found, flat.output_structure, expected, names)
        return real_parts([parts[position] for position in flat.real], flat.of_outputs)

    def to_inputs(found: Any, kinds: Sequence[ShapeDtype | None]) -> list[Any]:
        parts = fitting(what, found, flat.structure, kinds, flat.paths)
        return [parts[position] for position in flat.positions]

    def pull(cotangents: Sequence[Any]) -> Sequence[Any]:
        assert given.vjp is not None
        moved: list[Any] = [0.0] * flat.output_structure.num_leaves
        for position, part in zip(flat.real, whole(cotangents, flat.of_outputs, -1j), strict=True):
            moved[position] = part
        found = to_inputs(given.vjp(arguments, tree_unflatten(flat.output_structure, moved)), taken)
        return real_parts([np.conj(part) for part in found], flat.of_inputs)

    if mode == "fwd":
        return push
    if given.gradient is None:
        return pull
    if len(flat.real) != 1 or flat.of_outputs[0]:
        raise ArgumentError("gradient= is for a function with one real output; give jvp= or vjp= instead.")
    out = outputs[0].shape
    expected = [None if kind is None else ShapeDtype((*out, *kind.shape), kind.dtype) for kind in taken]
    rows = to_inputs(given.gradient(arguments), expected)

    def times(cotangents: Sequence[Any]) -> Sequence[Any]:
        found = [np.asarray(np.tensordot(cotangents[0], row, len(out)), row.dtype) for row in rows]
        return real_parts([np.conj(part) for part in found], flat.of_inputs)

    return times


def whole_kinds(parts: Sequence[Any], are_complex: Sequence[bool]) -> list[ShapeDtype]:
    """Shape and dtype of the values of which these are the real parts."""
    rest = iter(parts)
    kinds: list[ShapeDtype] = []
    for two in are_complex:
        kind = ShapeDtype.of(next(rest))
        if two:
            next(rest)
        kinds.append(ShapeDtype(kind.shape, np.result_type(kind.dtype, np.complex64)) if two else kind)
    return kinds


def like(values: Sequence[Any], vector: Array) -> list[Any]:
    """Cut a vector into arrays with the shapes and dtypes of these values."""
    parts: list[Any] = []
    start = 0
    for value in values:
        kind = ShapeDtype.of(value)
        parts.append(vector[start : start + kind.size].reshape(kind.shape).astype(kind.dtype))
        start += kind.size
    return parts


def ad_matrix(flat: Flat, mode: str, linear: LinearMap, columns: Sequence[int] | None = None) -> Array:
    """The Jacobian, outputs by inputs, as a mode computes it; or only these columns of it."""
    wanted = list(range(flat.inputs.size)) if columns is None else list(columns)
    start, end = ends(flat, mode)
    units = wanted if mode == "fwd" else range(start.layout.size)
    matrix = np.zeros((len(units), end.layout.size))
    for row, at in zip(matrix, units, strict=True):
        unit = np.zeros(start.layout.size)
        unit[at] = 1.0
        row[:] = packed(linear(like(start.values, unit)))
    return matrix.T if mode == "fwd" else matrix[:, wanted]


def along_direction(flat: Flat, mode: str, leaves: Sequence[Any], given: Sequence[Any]) -> Any:
    """The derivative at these leaves along tangents, or of cotangents: a program like the one it belongs to."""
    if flat.given is not None:
        return given_map(flat, flat.given, mode, leaves)(given)
    leaves = continued(leaves)
    if mode == "fwd":
        return jvp(flat, tuple(leaves), tuple(fit_to(leaves, given)))[1]
    values, pullback = vjp(flat, *leaves)
    return pullback(fit_to(values, given))


def continued(leaves: Sequence[Any]) -> list[Any]:
    """All leaves complex if one is, since the derivative of a complex step is complex in every direction."""
    if any(ShapeDtype.of(leaf).dtype.kind == "c" for leaf in leaves):
        return [leaf + 0j for leaf in leaves]
    return list(leaves)


def fit_to(values: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """The tangents or cotangents of values; complex ones for those that a complex step has made complex."""
    kinds = [ShapeDtype.of(value).dtype for value in values]
    return [part + 0j if kind.kind == "c" else part for kind, part in zip(kinds, given, strict=True)]


def derivative(flat: Flat, mode: str, direction: Array) -> Flat:
    """The derivative along a direction as a function of the same inputs, for checks of higher orders."""
    given = like(ends(flat, mode)[0].values, direction)

    def derived(*leaves: Any) -> Any:
        return along_direction(flat, mode, leaves, given)

    return Flat(derived, tuple(flat.leaves), flat.inputs.names, traceable=flat.traceable, real_only=flat.real_only)


def of_point_and_direction(flat: Flat, mode: str, direction: Array) -> Flat:
    """The derivative as a function of the point and the direction, since rounding of either can move it."""

    def along(leaves: list[Any], given: list[Any]) -> Any:
        return along_direction(flat, mode, leaves, given)

    start = (list(flat.leaves), like(ends(flat, mode)[0].values, direction))
    return Flat(along, start, traceable=flat.traceable)


def random_direction(flat: Flat, mode: str, rng: np.random.Generator) -> Array:
    """Random tangents of the inputs, or cotangents of the outputs, as one vector."""
    return rng.normal(size=ends(flat, mode)[0].layout.size)


__all__ = [
    "NAMES", "ROLES", "LinearMap", "ad_matrix", "along_direction", "derivative", "ends", "forward_map", "known_modes",
    "like", "linear_map", "of_point_and_direction", "random_direction", "reverse_map",
]  # fmt: skip
