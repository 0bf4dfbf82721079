"""A derivative along a straight path from values at points of it: stencils and Richardson's extrapolation.

A stencil is a weighted sum of values at a few points; its weights follow from the points. Three points give an error of
order h**2, five points one of order h**4. Richardson's extrapolation takes three-point stencils at steps that are
halved, and removes the leading terms of their error. Each result has an estimate of its own error.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np

from tapem.core import Array
from tapem.errors import ArgumentError
from tapem.testing.flattening import REFUSALS, Flat, as_leaf, first_line, magnitude, packed

# From a displacement t to the displaced leaves and the actual displacement, which rounding may have changed.
Path: TypeAlias = Callable[[Any], "tuple[list[Any], Any]"]

METHODS = ("central", "forward", "backward", "extrapolated", "complex", "auto")
ACCURACIES = {"central": (2, 4, 6, 8), "forward": (1, 2, 3, 4), "backward": (1, 2, 3, 4), "extrapolated": (4, 6, 8)}
"""The orders of the error that each method can have; the first one is its default."""

# Large enough against the error of rounding, small enough against the error of truncation.
STEPS = {np.dtype(np.float64): 1e-4, np.dtype(np.float32): 1e-2, np.dtype(np.float16): 1e-1}

NOTHING = 1e-150
"""A number that is not larger counts as zero: a step in proportion to it would vanish, or its inverse overflow."""


class Difference(NamedTuple):
    """A directional derivative of all outputs, and an estimate of the difference's own error in each of them."""

    value: Array
    noise: Array


class Direction(NamedTuple):
    """A straight path through the point, a scale for the step along it, and a smaller one for small numbers on it.

    `place` is what changes, for errors.
    """

    path: Path
    scale: float
    fine: float
    place: str


def element(flat: Flat, column: int) -> Direction:
    """The path along which one element of one input changes."""
    position = flat.inputs.owner(column)
    leaf = flat.leaves[position]
    at = column - flat.inputs.starts[position]

    def path(t: Any) -> tuple[list[Any], Any]:
        moved = np.array(leaf)
        if isinstance(t, complex):
            moved = moved.astype(np.result_type(moved.dtype, np.complex64))
        before = moved.flat[at]
        moved.flat[at] = before + t
        leaves = list(flat.leaves)
        leaves[position] = as_leaf(moved, leaf)
        return leaves, t if isinstance(t, complex) else float(moved.flat[at]) - float(before)

    size = abs(float(np.asarray(leaf).flat[at]))
    name, index = flat.inputs.locate(column)
    place = f"{name}{list(index) if index else ''} = {float(np.asarray(leaf).flat[at]):.6g}"
    return Direction(path, max(1.0, size), size if size > NOTHING else 1.0, place)


def along(flat: Flat, direction: Array) -> Direction:
    """The path on which all inputs change at once, in proportion to a vector of their size."""
    parts = flat.inputs.split(direction)
    size = np.abs(packed(flat.leaves))
    moving = direction != 0

    def path(t: Any) -> tuple[list[Any], Any]:
        leaves = [as_leaf(np.asarray(leaf) + t * part, leaf) for leaf, part in zip(flat.leaves, parts, strict=True)]
        return leaves, t

    # A step is small enough for every element if it is for the smallest one, which counts as of order one.
    scales = [
        1.0 / max(largest, float(np.max(np.abs(direction / np.where(size > NOTHING, counted, 1))[moving], initial=0)))
        for largest, counted in ((1.0, np.maximum(1, size)), (0.0, np.where(size > NOTHING, size, 1)))
        if moving.any()
    ] or [1.0, 1.0]
    return Direction(path, scales[0], min(scales), "the point, along a direction")


def difference(
    flat: Flat,
    direction: Direction,
    eps: float | None = None,
    method: str = "extrapolated",
    accuracy: int | None = None,
    *,
    inside: Array | float = 0.0,
    estimate: bool = True,
) -> Difference:
    """The derivative of all outputs along a direction, by a stencil or by extrapolation.

    `inside` is the error of rounding in each output, if it is known to be more than the last digits. With `estimate` a
    stencil is computed at half its step as well, for the error of truncation. Raises ArgumentError where the function
    is not defined beside the point.
    """
    order = known_accuracy(method, accuracy)
    if eps is not None and not (eps > 0 and np.isfinite(eps)):
        raise ArgumentError(f"finite differences: the step eps={eps} must be positive.")
    with np.errstate(all="ignore"):
        if method == "extrapolated":
            found = extrapolated(flat, direction, eps, order // 2, inside)
        else:
            best = float(np.finfo(flat.precision).eps) ** (1 / (order + 1))
            step = STEPS.get(flat.precision, 1e-4) if accuracy is None else best
            points = offsets(method, order)
            found = stencil(flat, direction, points, step * direction.scale if eps is None else eps, inside)
            size = direction.scale
            if eps is None and not defined(flat, found.value):
                size = direction.fine
                found = stencil(flat, direction, points, step * size, inside)
            if estimate:
                half = stencil(flat, direction, points, (step * size if eps is None else eps) / 2, inside)
                found = Difference(found.value, found.noise + truncation(found.value, half.value, order))
    if not defined(flat, found.value):
        refuse_domain(flat, direction, eps)
    return found


def truncation(whole: Array, half: Array, order: int) -> Array:
    """The error of a stencil, whose error is of this order, from the one at half its step.

    A difference that is nothing but error must not excuse everything, so it is at most a hundredth of the derivative.

    >>> truncation(np.array([1.04]), np.array([1.01]), 2).round(4)  # of order 2, so the derivative is 1.0
    array([0.0104])
    """
    estimate = np.abs(whole - half) * 2.0**order / (2.0**order - 1)
    return np.minimum(np.nan_to_num(estimate, nan=0.0), 1e-2 * np.abs(whole))


def known_accuracy(method: str, accuracy: int | None) -> int:
    """The order of the error of a method. Raises ArgumentError for a method or an order that there is not."""
    if method not in METHODS:
        raise ArgumentError(f"finite differences: method={method!r} is not one of {', '.join(METHODS)}.")
    there = ACCURACIES.get(method)
    if there is None:
        if accuracy is not None:
            raise ArgumentError(f"finite differences: method={method!r} chooses its own accuracy.")
        return 0
    if accuracy is not None and accuracy not in there:
        raise ArgumentError(
            f"finite differences: accuracy={accuracy!r} is not one of {', '.join(map(str, there))}, the orders of the "
            f"error that method={method!r} can have."
        )
    return there[0] if accuracy is None else accuracy


def offsets(method: str, order: int) -> Array:
    """The points of a stencil, in steps.

    >>> offsets("central", 4).tolist(), offsets("forward", 1).tolist()
    ([-2.0, -1.0, 1.0, 2.0], [0.0, 1.0])
    """
    reach = np.arange(1.0, (order // 2 if method == "central" else order) + 1)
    ahead, behind = [0.0, *reach], [*-reach[::-1], 0.0]
    return np.array({"central": [*behind[:-1], *reach], "forward": ahead, "backward": behind}[method])


def weights(points: Array) -> Array:
    """The weights of the values at these points in the first derivative at 0.

    >>> (12 * weights(np.array([-2.0, -1.0, 1.0, 2.0]))).round().tolist()
    [1.0, -8.0, 8.0, -1.0]
    """
    rows: Array = np.vander(points, increasing=True).T
    right: Array = np.eye(len(points))[1]
    return np.linalg.solve(rows, right)


def stencil(flat: Flat, direction: Direction, points: Array, step: float, inside: Array | float) -> Difference:
    """The weighted sum of the values at these points, in steps, and the error of rounding in it."""
    places = [direction.path(float(point) * step) for point in points]
    reached = np.array([t for _, t in places]) / step
    if len(set(reached.tolist())) < len(points):
        raise ArgumentError(
            f"finite differences: the step {step * float(np.ptp(points)):.3g} is lost in rounding, since the input is "
            f"{flat.precision} and large; choose a larger eps."
        )
    values = np.array([flat.near(leaves) for leaves, _ in places])
    factors = weights(reached) / step
    last_digits = 8 * float(np.finfo(flat.precision).eps) * magnitude(values)
    noise = np.maximum(np.full(flat.outputs.size, last_digits), inside) * float(np.sum(np.abs(factors)))
    return Difference(factors @ values, noise)


def extrapolated(flat: Flat, direction: Direction, eps: float | None, levels: int, inside: Array | float) -> Difference:
    """Richardson's extrapolation of central differences, for every output at the step where two of them agree best."""
    rounding = float(np.finfo(flat.precision).eps)
    # At this step the errors of truncation, of order h**(2 levels), and of rounding, of order rounding / h, are equal.
    best = rounding ** (1 / (2 * levels + 1))
    steps = [best * direction.scale / 8**attempt for attempt in range(4 if rounding < 1e-10 else 2)]
    steps += [best * direction.fine / 8**attempt for attempt in range(2) if best * direction.fine < steps[-1]]
    if eps is not None:
        steps = [eps / 8**attempt for attempt in range(len(steps))]
    size = flat.outputs.size
    value, noise, error = np.full(size, np.nan), np.zeros(size), np.full(size, np.inf)
    for step in steps:
        refined, doubt, own = romberg(flat, direction, step, levels, inside)
        closer = doubt < error
        value = np.where(closer, refined, value)
        noise = np.where(closer, own, noise)
        error = np.where(closer, doubt, error)
        if np.all(error <= np.maximum(1e-6 * np.maximum(np.abs(value), 1e-2 * magnitude(value)), noise)):
            break
    # The differences disagree if the function is less smooth or noisier than the step assumes.
    doubt = np.minimum(4 * error, 1e6 * rounding * max(1.0, magnitude(packed(flat.values))))
    return Difference(value, noise + doubt)


def romberg(
    flat: Flat, direction: Direction, step: float, levels: int, inside: Array | float
) -> tuple[Array, Array, Array]:
    """The extrapolated difference, how far it is from the one with a level less, and the error of rounding in it."""
    points = offsets("central", 2)
    row = [stencil(flat, direction, points, step / 2**level, inside) for level in range(levels)]
    values, noise = [one.value for one in row], row[-1].noise
    for level in range(1, levels):
        factor = 4.0**level
        previous = values[-1]
        values = [(factor * two - one) / (factor - 1) for one, two in itertools.pairwise(values)]
        if level == levels - 1:
            return values[0], np.nan_to_num(np.abs(values[0] - previous), nan=np.inf), noise
    raise AssertionError("an extrapolation has two levels or more")


def defined(flat: Flat, value: Array) -> bool:
    """Whether a derivative is a number wherever the value is."""
    return bool(np.isfinite(value[np.isfinite(packed(flat.values))]).all())


def refuse_domain(flat: Flat, direction: Direction, eps: float | None) -> NoReturn:
    """Raise ArgumentError for a function that is not defined beside the point."""
    step = STEPS.get(flat.precision, 1e-4) * direction.scale if eps is None else eps
    there = packed(flat.values)
    for sign in (-1.0, 1.0):
        leaves, _ = direction.path(sign * step)
        try:
            with np.errstate(all="ignore"):
                found = flat.vector(leaves)
        except REFUSALS as error:
            said = f"it raises {type(error).__name__} ({first_line(error)})"
            break
        wrong = np.isfinite(there) & ~np.isfinite(found)
        if wrong.any():
            said = f"it is {found[np.argmax(wrong)]:.6g}"
            break
    else:
        sign, said = 0.0, "its differences overflow"
    beside = "before" if sign < 0 else "after" if sign else "near"
    raise ArgumentError(
        f"finite differences: the function leaves its domain beside {direction.place}: {said} {step:.3g} {beside} it, "
        "so a difference there is no derivative; check a point further inside, or choose a smaller eps."
    )


def values_on(flat: Flat, direction: Direction, steps: Sequence[float]) -> Array:
    """The values of all outputs at some displacements along a direction; NaN where the function is not defined."""
    return np.array([flat.near(direction.path(step)[0]) for step in steps])


__all__ = [
    "METHODS", "Difference", "Direction", "along", "difference", "element", "known_accuracy", "values_on",
]  # fmt: skip
