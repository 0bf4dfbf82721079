"""Compare both modes with finite differences: small Jacobians as a whole, large ones by random probes.

A probe is a new random direction at every call, so an error cannot hide in a fixed subspace. If a probe finds an error,
bisection finds the wrong element.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapem.core import Array, ShapeDtype
from tapem.errors import ArgumentError
from tapem.testing.findings import Finding, worst_elements
from tapem.testing.finite_differences import Difference, along, difference, element
from tapem.testing.flattening import Flat, Layout, packed
from tapem.testing.rounding import rounding_error
from tapem.transforms import jvp, linearize, vjp

FULL = 100
"""Up to this many inputs and outputs the whole Jacobian is compared."""


def rounding(dtype: np.dtype[Any]) -> float:
    """How far two ways of computing the same may differ, relative to the largest number: 4e-10 in float64.

    Terms inside a rule may cancel, so this is more than the last digits; mistakes are larger still.
    """
    return float(np.finfo(dtype).eps) ** 0.6


NAMES = {"fwd": "forward", "rev": "reverse"}
ROLES = {"fwd": "tangent", "rev": "cotangent"}


def known_modes(caller: str, modes: Sequence[str]) -> tuple[str, ...]:
    """The modes as a tuple; `caller` is the name shown in errors. Raises ArgumentError for an unknown mode."""
    if isinstance(modes, str) or not set(modes) <= NAMES.keys():
        raise ArgumentError(f"{caller}: modes={modes!r} must hold 'fwd' and 'rev', or one of them.")
    return tuple(modes)


class Tolerance(NamedTuple):
    """How far a derivative may be from its finite difference.

    An element passes if its absolute or its relative error is within tolerance. Without `atol`, an error passes if it
    is at most 1e-3 `rtol` times the largest element, or if rounding can explain it.
    """

    rtol: float
    atol: float | None = None
    eps: float | None = None

    @staticmethod
    def of(flat: Flat, rtol: float | None, atol: float | None, eps: float | None) -> Tolerance:
        """The tolerance for a function; the default depends on its least precise dtype."""
        default = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 1e-2}.get(flat.precision, 1e-1)
        return Tolerance(default if rtol is None else rtol, atol, eps)

    def wrong(self, actual: Array, expected: Array, noise: Any, scale: float | None = None) -> Array:
        """Which elements differ too much; an element that is not finite is wrong, unless both are the same infinity."""
        with np.errstate(all="ignore"):
            if scale is None:
                scale = float(np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected)))
            absolute = 1e-3 * self.rtol * scale if self.atol is None else self.atol
            relative = self.rtol * np.maximum(np.abs(actual), np.abs(expected))
            allowed = np.maximum(np.maximum(relative, absolute), noise)
            return ~((np.abs(actual - expected) <= allowed) & np.isfinite(expected)) & (actual != expected)


def first_order(
    flat: Flat, modes: Sequence[str], rng: np.random.Generator, tolerance: Tolerance, label: str = "", full: int = FULL
) -> Iterator[Finding]:
    """Check the first derivatives of a function in these modes."""
    whole = flat.inputs.size <= full and flat.outputs.size <= full
    # The error of rounding is estimated only if something seems wrong, since that takes several runs.
    inside = functools.cache(lambda: rounding_error(flat, rng))

    @functools.cache
    def columns(with_inside: bool) -> list[Difference]:
        known = inside() if with_inside else 0.0
        each = range(flat.inputs.size)
        return [difference(flat, element(flat, column), tolerance.eps, inside=known) for column in each]

    for mode in modes:
        check = f"{NAMES[mode]} {label or 'mode'}"
        try:
            maps = linear_map(flat, mode)
            found = list(kinds(flat, mode, maps, check))
            if not found:
                if whole:
                    found = whole_jacobian(flat, mode, maps, columns, tolerance, check, rng)
                else:
                    found = list(probes(flat, mode, maps, rng, tolerance, check, inside))
        except Exception as error:  # a rule may raise anything
            found = [Finding.raised(check, error)]
        yield from found


class End(NamedTuple):
    """One end of a derivative: the values that its tangents or cotangents belong to, and their layout in a vector."""

    values: list[Any]
    layout: Layout


def ends(flat: Flat, mode: str) -> tuple[End, End]:
    """Where a derivative starts and where it ends: at the inputs and at the outputs, or the other way round."""
    inputs, outputs = End(flat.leaves, flat.inputs), End(flat.values, flat.outputs)
    return (inputs, outputs) if mode == "fwd" else (outputs, inputs)


def linear_map(flat: Flat, mode: str) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """The linear map from tangents to tangents, or from cotangents to cotangents."""
    return {"fwd": forward_map, "rev": reverse_map}[mode](flat)


def forward_map(flat: Flat) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """The linear map from tangents of the inputs to tangents of the outputs."""
    _, derivative = linearize(flat, *flat.leaves)
    return lambda tangents: derivative(*tangents)


def reverse_map(flat: Flat) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """The linear map from cotangents of the outputs to cotangents of the inputs."""
    _, pullback = vjp(flat, *flat.leaves)
    return lambda cotangents: pullback(list(cotangents))


def like(values: Sequence[Any], vector: Array) -> list[Any]:
    """Cut a vector into arrays with the shapes and dtypes of these values."""
    parts: list[Any] = []
    start = 0
    for value in values:
        kind = ShapeDtype.of(value)
        parts.append(vector[start : start + kind.size].reshape(kind.shape).astype(kind.dtype))
        start += kind.size
    return parts


def kinds(flat: Flat, mode: str, linear: Callable[[Sequence[Any]], Sequence[Any]], check: str) -> Iterator[Finding]:
    """Check the shape and dtype of every tangent or cotangent."""
    start, end = ends(flat, mode)
    role = ROLES[mode]
    results = linear(like(start.values, np.ones(start.layout.size)))
    for name, value, result in zip(end.layout.names, end.values, results, strict=True):
        expected, actual = ShapeDtype.of(value), ShapeDtype.of(result)
        if expected.shape != actual.shape:
            yield Finding(check, name, (), expected.shape, actual.shape, f"the shape of its {role}", kind="shape")
        if expected.dtype != actual.dtype:
            yield Finding(check, name, (), expected.dtype, actual.dtype, f"the dtype of its {role}", kind="dtype")


def ad_matrix(flat: Flat, mode: str, linear: Callable[[Sequence[Any]], Sequence[Any]]) -> Array:
    """The whole Jacobian, outputs by inputs, as a mode computes it."""
    start, end = ends(flat, mode)
    matrix = np.zeros((start.layout.size, end.layout.size))
    for row, unit in zip(matrix, np.eye(start.layout.size), strict=True):
        row[:] = packed(linear(like(start.values, unit)))
    return matrix.T if mode == "fwd" else matrix


def whole_jacobian(
    flat: Flat,
    mode: str,
    linear: Callable[[Sequence[Any]], Sequence[Any]],
    columns: Callable[[bool], Sequence[Difference]],
    tolerance: Tolerance,
    check: str,
    rng: np.random.Generator,
) -> list[Finding]:
    """Compare every element of the Jacobian; if one seems wrong, compare again with the error of rounding."""
    if not flat.inputs.size or not flat.outputs.size:
        return []
    actual = ad_matrix(flat, mode, linear)
    findings: list[Finding] = []
    for with_inside in (False, True):
        expected = np.stack([column.value for column in columns(with_inside)], axis=1)
        noise = np.stack([column.noise for column in columns(with_inside)], axis=1)
        wrong = tolerance.wrong(actual, expected, noise)
        if wrong.any() and with_inside:
            wrong = tolerance.wrong(actual, expected, np.maximum(noise, noise_of_derivative(flat, mode, rng)))
        if not wrong.any():
            return []
        findings = worst_elements(check, actual, expected, wrong, flat.inputs, flat.outputs)
    return findings


def noise_of_derivative(flat: Flat, mode: str, rng: np.random.Generator) -> Array:
    """Estimate the error of rounding in each element of a mode's Jacobian, from one random direction."""
    error = rounding_error(of_point_and_direction(flat, mode, random_direction(flat, mode, rng)), rng)
    return error[:, None] if mode == "fwd" else error[None, :]


def probes(
    flat: Flat,
    mode: str,
    linear: Callable[[Sequence[Any]], Sequence[Any]],
    rng: np.random.Generator,
    tolerance: Tolerance,
    check: str,
    inside: Callable[[], Array],
    count: int = 3,
) -> Iterator[Finding]:
    """Compare one number per probe, `<w, J v>`, for random w and v; if it is wrong, find the wrong element."""
    of_derivative = functools.cache(lambda: noise_of_derivative(flat, mode, rng))
    for _ in range(count):
        w = rng.normal(size=flat.outputs.size)
        pulled = packed(linear(like(flat.values, w))) if mode == "rev" else np.zeros(0)

        def sides(
            v: Array, with_inside: bool = True, w: Array = w, pulled: Array = pulled
        ) -> tuple[float, float, float]:  # actual, expected, their difference divided by the allowed error
            known = inside() if with_inside else 0.0
            found = difference(flat, along(flat, v), tolerance.eps, inside=known)
            there = pulled * v if mode == "rev" else w * packed(linear(like(flat.leaves, v)))
            expected, actual = float(w @ found.value), float(np.sum(there))
            terms = float(np.sum(np.abs(there)))
            noise = 2 * float(np.linalg.norm(found.noise * w)) + 1e-4 * tolerance.rtol * terms
            if with_inside:
                noise += float(np.sum(of_derivative() * np.abs(w[:, None] if mode == "fwd" else v[None, :])))
            allowed = max(tolerance.rtol * max(abs(actual), abs(expected)), noise)
            ratio = abs(actual - expected) / max(allowed, np.finfo(float).tiny)
            return actual, expected, ratio if np.isfinite(ratio) else np.inf

        v = rng.normal(size=flat.inputs.size)
        actual, expected, excess = sides(v, False)
        if excess > 1:
            actual, expected, excess = sides(v)
        if excess <= 1:
            continue
        column = culprit(v, lambda part: sides(part)[2])
        unit = np.zeros(flat.inputs.size)
        unit[column] = 1.0
        name, index = flat.inputs.locate(column)
        one, other, remains = sides(unit)
        if remains <= 1:
            yield Finding(
                check, name, (), expected, actual, "<w, Jv> for random w and v; no single element explains it"
            )
        else:
            yield Finding(check, name, index, other, one, "the sum over the outputs with random weights")
        return


def culprit(v: Array, excess: Callable[[Array], float]) -> int:
    """Find by bisection the input whose part of a wrong sum is the most wrong."""
    low, high = 0, len(v)
    while high - low > 1:
        middle = (low + high) // 2
        left, right = np.zeros_like(v), np.zeros_like(v)
        left[low:middle], right[middle:high] = v[low:middle], v[middle:high]
        low, high = (low, middle) if excess(left) >= excess(right) else (middle, high)
    return low


def derivative(flat: Flat, mode: str, direction: Array) -> Flat:
    """The derivative along a direction as a function of the same inputs, for checks of higher orders."""
    given = like(ends(flat, mode)[0].values, direction)

    def derived(*leaves: Any) -> Any:
        return jvp(flat, leaves, tuple(given))[1] if mode == "fwd" else vjp(flat, *leaves)[1](given)

    return Flat(derived, tuple(flat.leaves), flat.inputs.names)


def of_point_and_direction(flat: Flat, mode: str, direction: Array) -> Flat:
    """The derivative as a function of the point and the direction, since rounding of either can move it."""

    def along(leaves: list[Any], given: list[Any]) -> Any:
        return jvp(flat, tuple(leaves), tuple(given))[1] if mode == "fwd" else vjp(flat, *leaves)[1](list(given))

    return Flat(along, (list(flat.leaves), like(ends(flat, mode)[0].values, direction)))


def random_direction(flat: Flat, mode: str, rng: np.random.Generator) -> Array:
    """Random tangents of the inputs, or cotangents of the outputs, as one vector."""
    return rng.normal(size=ends(flat, mode)[0].layout.size)


def all_orders(
    flat: Flat,
    order: int,
    modes: Sequence[str],
    rng: np.random.Generator,
    tolerance: Tolerance,
    full: Sequence[int] = (FULL, FULL),
    over: str = "",
) -> list[Finding]:
    """Check the derivatives up to this order; an order is checked only if the one below it is right."""
    label = f"over {over}" if over else ""
    findings = list(first_order(flat, modes, rng, tolerance, label, full[0]))
    if order <= 1 or findings:
        return findings
    for mode in modes:
        name = f"{NAMES[mode]} over {over}" if over else NAMES[mode]
        try:
            higher = derivative(flat, mode, random_direction(flat, mode, rng))
        except Exception as error:  # a rule may raise anything
            findings.append(Finding.raised(f"{name} mode", error))
            continue
        findings += all_orders(higher, order - 1, modes, rng, tolerance, full[1:] or full, name)
    return findings


__all__ = [
    "FULL", "NAMES", "ROLES", "Tolerance", "all_orders", "derivative", "ends", "forward_map", "known_modes", "like",
    "linear_map", "of_point_and_direction", "random_direction", "reverse_map", "rounding",
]  # fmt: skip
