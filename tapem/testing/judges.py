"""Complex steps: the imaginary part of `f(x + ih) / h`, which loses no digits, where f is analytic as it is written.

Whether it is, a real difference along a random direction tells: `abs`, `sign`, `maximum`, `conj` and norms are not.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tapem.core import Array
from tapem.errors import ArgumentError
from tapem.testing.flattening import Flat, first_line, packed
from tapem.testing.stencils import Difference, Direction, along, difference, element

STEPS = {np.dtype(np.float64): 1e-200}
"""So small that its square vanishes, and with it everything but the derivative; less so in lower precisions."""

CONFIRMED = 1e-9
"""A complex step is exact if a difference of values agrees with it as far, relative to the terms of the sum."""


class ComplexSteps(NamedTuple):
    """Columns of the Jacobian by complex steps, for which outputs they are exact, and else the reason why not."""

    columns: list[Array]
    exact: Array
    reason: str


def complex_steps(flat: Flat, wanted: Sequence[int], eps: float | None = None) -> list[Array]:
    """Columns of the Jacobian by complex steps. Raises ArgumentError if the function refuses complex numbers."""
    return [complex_step(flat, element(flat, column), eps) for column in wanted]


def complex_step(flat: Flat, direction: Direction, eps: float | None) -> Array:
    """The imaginary part of f at a small imaginary displacement: there is no difference, so nothing cancels."""
    if any(flat.of_inputs):
        raise ArgumentError(
            'finite differences: method="complex" steps into the complex plane from a real point, but an input is '
            'complex. Use method="extrapolated", which steps in both of its directions.'
        )
    step = STEPS.get(flat.precision, 1e-20) if eps is None else eps
    if not (step > 0 and np.isfinite(step)):
        raise ArgumentError(f"finite differences: the step eps={eps} must be positive.")
    leaves, _ = direction.path(complex(0.0, step))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            found = packed([np.imag(value) for value in flat(*leaves)])
        if found.size != flat.outputs.size:  # it counts the parts of complex numbers, as tm.ravel does
            raise ValueError(f"it gives {found.size} numbers for them, not {flat.outputs.size}")
    except Exception as error:  # a compiled function of another library may raise anything
        raise ArgumentError(
            f'finite differences: method="complex" calls the function with complex numbers, which it refuses: '
            f'{first_line(error)}. Use method="extrapolated".'
        ) from error
    return found / step


def exact_steps(flat: Flat, wanted: Sequence[int]) -> ComplexSteps:
    """Columns of the Jacobian by complex steps, and for which outputs a difference of values confirms them."""
    nothing = np.zeros(flat.outputs.size, bool)
    if not len(wanted):
        return ComplexSteps([], nothing, "no input")
    reason = why_not(flat)
    if reason is not None:
        return ComplexSteps([], nothing, reason)
    try:
        columns = complex_steps(flat, wanted)
        probe = probe_of(flat, wanted, np.random.default_rng(len(wanted)))
        expected = difference(flat, along(flat, probe)).value
    except ArgumentError as error:
        why = first_line(error.__cause__) if isinstance(error.__cause__, Exception) else "its domain ends beside x"
        return ComplexSteps([], nothing, f"complex numbers are refused: {why}" if error.__cause__ else why)
    terms = np.array([probe[column] * partial for column, partial in zip(wanted, columns, strict=True)])
    with np.errstate(all="ignore"):
        exact = np.abs(np.sum(terms, axis=0) - expected) <= CONFIRMED * np.sum(np.abs(terms), axis=0)
    return ComplexSteps(columns, exact, "differences do not confirm it")


def why_not(flat: Flat) -> str | None:
    """Why no complex step is tried; None if one is."""
    if any(flat.of_inputs) or any(flat.of_outputs):
        return "the function itself is complex"
    if flat.real_only:
        return "its annotations allow real numbers only"
    return None if flat.precision == np.float64 else f"the function is {flat.precision}"


class Probe(NamedTuple):
    """The derivative along one direction, and whether it is a complex step, which is exact to rounding."""

    found: Difference
    exact: bool


def probed(flat: Flat, direction: Array, eps: float | None, inside: Array | float) -> Probe:
    """The derivative along a direction: a complex step if a difference of values confirms it, else the difference."""
    path = along(flat, direction)
    found = difference(flat, path, eps, inside=inside)
    if eps is not None or why_not(flat) is not None:
        return Probe(found, False)
    try:
        step = complex_step(flat, path, None)
    except ArgumentError:
        return Probe(found, False)
    with np.errstate(all="ignore"):
        exact = bool(np.all(np.abs(step - found.value) <= CONFIRMED * np.max(np.abs(step), initial=0.0)))
    return Probe(Difference(step, np.zeros_like(step)), True) if exact else Probe(found, False)


def probe_of(flat: Flat, wanted: Sequence[int], rng: np.random.Generator) -> Array:
    """A random direction in which only the wanted inputs move."""
    probe = np.zeros(flat.inputs.size)
    probe[list(wanted)] = rng.normal(size=len(wanted))
    return probe


def refuse_unless_analytic(flat: Flat, columns: Sequence[Array], wanted: Sequence[int]) -> None:
    """Raise ArgumentError if complex steps contradict differences of values, as they do if f uses abs or compares."""
    probe = probe_of(flat, wanted, np.random.default_rng(len(wanted)))
    expected = difference(flat, along(flat, probe)).value
    found = np.zeros(flat.outputs.size)
    for column, partial in zip(wanted, columns, strict=True):
        found += probe[column] * partial
    loose = 1e-4 if flat.precision == np.float64 else 5e-2
    scale = np.max(np.abs([expected, found]), initial=1.0, where=np.isfinite([expected, found]))
    wrong = np.abs(found - expected) > loose * scale
    if wrong.any():
        name, index = flat.outputs.locate(int(np.argmax(wrong)))
        raise ArgumentError(
            f'finite differences: method="complex" contradicts differences of values at {name}{list(index)}: f is not '
            "analytic as it is written (abs, sign, maximum, conj and norms are not). "
            'Use method="extrapolated".'
        )


class Judgment(NamedTuple):
    """What a Jacobian is compared with: some of its columns, the error in them, and who judges.

    `exact` says for which outputs the columns are complex steps, which are exact to rounding.
    """

    value: Array
    noise: Array
    exact: Array
    judge: str


def judgment(
    flat: Flat,
    wanted: Sequence[int],
    eps: float | None = None,
    method: str = "auto",
    accuracy: int | None = None,
    *,
    steps: ComplexSteps | None = None,
    inside: Array | float = 0.0,
    estimate: bool = True,
) -> Judgment:
    """Columns of the Jacobian by a method: "auto" takes complex steps where they are exact, else differences.

    `steps` are complex steps that were computed before. With `eps` there are none, since it is a real step. Without
    `estimate` a difference of one step is not computed twice, and its error of truncation stays unknown.
    """
    shape = (flat.outputs.size, len(wanted))
    no = np.zeros(shape[0], bool)
    if method == "complex":
        columns = complex_steps(flat, wanted, eps)
        refuse_unless_analytic(flat, columns, wanted)
        return Judgment(matrix(columns, shape), np.zeros(shape), no, "complex step")
    if method == "auto" and eps is None:
        steps = exact_steps(flat, wanted) if steps is None else steps
        if steps.exact.all() and steps.columns:
            return Judgment(matrix(steps.columns, shape), np.zeros(shape), steps.exact, "complex step")
    else:
        steps = ComplexSteps([], no, "")
    chosen = "extrapolated" if method == "auto" else method
    found: list[Difference] = [
        difference(flat, element(flat, column), eps, chosen, accuracy, inside=inside, estimate=estimate)
        for column in wanted
    ]
    value, noise = matrix([one.value for one in found], shape), matrix([one.noise for one in found], shape)
    judge = f"{chosen} differences"
    if steps.exact.any():
        exact = matrix(steps.columns, shape)
        value, noise = np.where(steps.exact[:, None], exact, value), np.where(steps.exact[:, None], 0.0, noise)
        judge = f"complex step, and {judge} for {int(np.sum(~steps.exact))} of {shape[0]} outputs"
    elif steps.reason:
        judge = f"{judge} (no complex step: {steps.reason})"
    return Judgment(value, noise, steps.exact, judge)


def matrix(columns: Sequence[Array], shape: tuple[int, int]) -> Array:
    """Columns side by side."""
    return np.stack(columns, axis=1) if columns else np.zeros(shape)


__all__ = ["ComplexSteps", "Judgment", "exact_steps", "judgment", "probed"]
