"""Compare both modes with complex steps or finite differences: small Jacobians whole, large ones by random probes.

A probe is a new random direction at every call, so an error cannot hide in a fixed subspace. If a probe finds an error,
bisection finds the wrong element.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tapem.core import Array, ShapeDtype
from tapem.testing.findings import Finding, worst_elements
from tapem.testing.flattening import Flat, magnitude, packed
from tapem.testing.judges import Judgment, exact_steps, judgment, probed
from tapem.testing.linear_maps import (
    NAMES,
    ROLES,
    LinearMap,
    ad_matrix,
    derivative,
    ends,
    like,
    linear_map,
    of_point_and_direction,
    random_direction,
)
from tapem.testing.rounding import rounding_error

Judges: TypeAlias = dict[str, str]
"""Which derivatives were compared with what: "complex step", or differences and why."""

FULL = 100
"""Up to this many inputs and outputs the whole Jacobian is compared."""


def rounding(dtype: np.dtype[Any]) -> float:
    """How far two ways of computing the same may differ, relative to the largest number: 4e-10 in float64.

    Terms inside a rule may cancel, so this is more than the last digits; mistakes are larger still.
    """
    return float(np.finfo(dtype).eps) ** 0.6


class Tolerance(NamedTuple):
    """How far a derivative may be from its finite difference.

    An element passes if its absolute or its relative error is within tolerance. Without `atol`, an error passes if it
    is at most 1e-3 `rtol` times the largest element, or if rounding or the difference's own error can explain it. For
    outputs whose derivatives come from a complex step, which are exact, the relative error is at most `exact`.
    """

    rtol: float
    atol: float | None = None
    eps: float | None = None
    exact: float | None = None

    @staticmethod
    def of(flat: Flat, rtol: float | None, atol: float | None, eps: float | None) -> Tolerance:
        """The tolerance for a function; the default depends on its least precise dtype."""
        default = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 1e-2}.get(flat.precision, 1e-1)
        return Tolerance(default if rtol is None else rtol, atol, eps, 1e-2 * default if rtol is None else rtol)

    def wrong(self, actual: Array, expected: Array, noise: Any, exact: Array) -> Array:
        """Which elements differ too much; an element that is not finite is wrong, unless both are the same infinity."""
        with np.errstate(all="ignore"):
            scale = magnitude(expected)
            absolute = 1e-3 * self.rtol * scale if self.atol is None else self.atol
            rtol = np.where(exact, self.rtol if self.exact is None else self.exact, self.rtol)[:, None]
            relative = rtol * np.maximum(np.abs(actual), np.abs(expected))
            allowed = np.maximum(np.maximum(relative, absolute), noise)
            return ~((np.abs(actual - expected) <= allowed) & np.isfinite(expected)) & (actual != expected)


def first_order(
    flat: Flat,
    modes: Sequence[str],
    rng: np.random.Generator,
    tolerance: Tolerance,
    label: str = "",
    full: int = FULL,
    judges: Judges | None = None,
) -> Iterator[Finding]:
    """Check the first derivatives of a function in these modes; `judges` learns what they are compared with."""
    whole = flat.inputs.size <= full and flat.outputs.size <= full
    every = range(flat.inputs.size)
    told: Judges = {} if judges is None else judges
    # The error of rounding is estimated only if something seems wrong, since that takes several runs.
    inside = functools.cache(lambda: rounding_error(flat, rng))
    steps = functools.cache(lambda: exact_steps(flat, every))

    @functools.cache
    def judged(with_inside: bool) -> Judgment:
        known = inside() if with_inside else 0.0
        found = judgment(flat, every, tolerance.eps, steps=steps() if tolerance.eps is None else None, inside=known)
        told[f"derivatives {label}".rstrip()] = found.judge
        return found

    for mode in modes:
        check = f"{NAMES[mode]} {label or 'mode'}"
        try:
            maps = linear_map(flat, mode)
            found = list(kinds(flat, mode, maps, check))
            if not found:
                if whole:
                    found = whole_jacobian(flat, mode, maps, judged, tolerance, check, rng)
                else:
                    found = list(probes(flat, mode, maps, rng, tolerance, check, inside, told))
        except Exception as error:  # a rule may raise anything
            found = [Finding.raised(check, error)]
        yield from found


def kinds(flat: Flat, mode: str, linear: LinearMap, check: str) -> Iterator[Finding]:
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


def whole_jacobian(
    flat: Flat,
    mode: str,
    linear: LinearMap,
    judged: Callable[[bool], Judgment],
    tolerance: Tolerance,
    check: str,
    rng: np.random.Generator,
) -> list[Finding]:
    """Compare every element of the Jacobian; if one seems wrong, compare again with the error of rounding."""
    if not flat.inputs.size or not flat.outputs.size:
        return []
    actual = ad_matrix(flat, mode, linear)
    findings: list[Finding] = []
    judge = ""
    for with_inside in (False, True):
        expected, noise, exact, judge = judged(with_inside)
        wrong = tolerance.wrong(actual, expected, noise, exact)
        if wrong.any() and with_inside:
            wrong = tolerance.wrong(actual, expected, np.maximum(noise, noise_of_derivative(flat, mode, rng)), exact)
        if not wrong.any():
            return []
        findings = worst_elements(check, actual, expected, wrong, flat.inputs, flat.outputs)
    return [replace(finding, judge=judge) for finding in findings]


def noise_of_derivative(flat: Flat, mode: str, rng: np.random.Generator) -> Array:
    """Estimate the error of rounding in each element of a mode's Jacobian, from one random direction.

    One direction may meet no rounding by chance: the least are the last digits of the values over the inputs' size.
    """
    error = rounding_error(of_point_and_direction(flat, mode, random_direction(flat, mode, rng)), rng)
    largest, inputs = (np.max(np.abs(packed(part)), initial=0.0) for part in (flat.values, flat.leaves))
    error = np.maximum(error, 4 * float(np.finfo(flat.precision).eps) * largest / (inputs or 1.0))
    return error[:, None] if mode == "fwd" else error[None, :]


def probes(
    flat: Flat,
    mode: str,
    linear: LinearMap,
    rng: np.random.Generator,
    tolerance: Tolerance,
    check: str,
    inside: Callable[[], Array],
    told: Judges,
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
            found, exact = probed(flat, v, tolerance.eps, known)
            judge = "complex step" if exact else "extrapolated differences"
            told[check.replace(NAMES[mode], "derivatives", 1).removesuffix(" mode")] = f"{judge}, random directions"
            rtol = tolerance.exact if exact and tolerance.exact is not None else tolerance.rtol
            there = pulled * v if mode == "rev" else w * packed(linear(like(flat.leaves, v)))
            expected, actual = float(w @ found.value), float(np.sum(there))
            terms = float(np.sum(np.abs(there)))
            noise = 2 * float(np.linalg.norm(found.noise * w)) + 1e-4 * tolerance.rtol * terms
            if with_inside:
                noise += float(np.sum(of_derivative() * np.abs(w[:, None] if mode == "fwd" else v[None, :])))
            allowed = max(rtol * max(abs(actual), abs(expected)), noise)
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


def all_orders(
    flat: Flat,
    order: int,
    modes: Sequence[str],
    rng: np.random.Generator,
    tolerance: Tolerance,
    full: Sequence[int] = (FULL, FULL),
    over: str = "",
    judges: Judges | None = None,
) -> list[Finding]:
    """Check the derivatives up to this order; an order is checked only if the one below it is right.

    `judges` learns what the derivatives are compared with.
    """
    label = f"over {over}" if over else ""
    findings = list(first_order(flat, modes, rng, tolerance, label, full[0], judges))
    if order <= 1 or findings:
        return findings
    for mode in modes:
        name = f"{NAMES[mode]} over {over}" if over else NAMES[mode]
        try:
            higher = derivative(flat, mode, random_direction(flat, mode, rng))
        except Exception as error:  # a rule may raise anything
            findings.append(Finding.raised(f"{name} mode", error))
            continue
        findings += all_orders(higher, order - 1, modes, rng, tolerance, full[1:] or full, name, judges)
    return findings


__all__ = ["FULL", "Judges", "Tolerance", "all_orders", "rounding"]
