"""Check that derivatives are linear, that the two modes are adjoint, and that nothing has side effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tapem.core import Array
from tapem.testing.comparison import rounding
from tapem.testing.findings import Finding
from tapem.testing.flattening import Flat, Layout, is_array, packed
from tapem.testing.linear_maps import (
    NAMES,
    ROLES,
    along_direction,
    ends,
    forward_map,
    like,
    linear_map,
    of_point_and_direction,
    random_direction,
    reverse_map,
)
from tapem.testing.rounding import rounding_error
from tapem.transforms import jvp, vjp


def purity(flat: Flat, modes: Sequence[str], rng: np.random.Generator) -> Iterator[Finding]:
    """Check that arguments, tangents and cotangents do not change, and that results do not share memory."""
    for mode in modes:
        check = f"purity of {NAMES[mode]} mode"
        start, end = ends(flat, mode)
        role, names = ROLES[mode], end.layout.names
        try:
            linear = linear_map(flat, mode)
            passed = like(start.values, random_direction(flat, mode, rng))
            kept = [value.copy() for value in passed]
            results = list(linear(passed))
            for value, before in zip(passed, kept, strict=True):
                if not np.array_equal(value, before):
                    yield Finding(check, detail=f"the {role} it was given changed", kind="memory")
            holders = [
                *zip(flat.every_name(), flat.all_leaves, strict=True),
                *((f"the {role} passed in", value) for value in passed),
            ]
            yield from aliases(check, names, results, holders)
            first = [np.array(result) for result in results]
            for result in results:
                if is_array(result) and result.flags.writeable:
                    result.fill(np.nan)  # a user may overwrite a result, which must not change the next one
            for name, before, after in zip(names, first, linear(kept), strict=True):
                # To rounding: with NumPy 2.0, two calls with the same complex arrays may differ in the last bit.
                if not same_to_rounding(before, after, 16 * float(np.finfo(flat.precision).eps)):
                    index = tuple(map(int, np.argwhere(np.atleast_1d(before != after))[0][: before.ndim]))
                    yield Finding(
                        check,
                        name,
                        index,
                        before[index],
                        np.asarray(after)[index],
                        "a second call gave something else",
                        kind="memory",
                    )
        except Exception as error:  # a rule may raise anything
            yield Finding.raised(check, error)
    changed = flat.mutated()
    if changed is not None:
        position = flat.every_name().index(changed)
        now, before = np.asarray(flat.all_leaves[position]), flat.kept[position]
        index = tuple(map(int, np.argwhere(np.atleast_1d(now != before))[0][: before.ndim]))
        yield Finding(
            "purity", changed, index, before[index], now[index], "the argument was changed in place", kind="memory"
        )


def same_to_rounding(one: Any, other: Any, loose: float) -> bool:
    """Whether two results of the same call are the same, but for rounding relative to the largest number."""
    with np.errstate(all="ignore"):
        largest = float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one)))
        return np.shape(one) == np.shape(other) and bool(
            np.allclose(one, other, rtol=loose, atol=loose * largest, equal_nan=True)
        )


def steadiness(flat: Flat) -> Iterator[Finding]:
    """Check that a second call of the program gives the same value, to rounding, and that no argument has changed."""
    changed = flat.mutated()
    if changed is not None:
        yield Finding("purity", changed, detail="the function changed its argument in place", kind="memory")
        return
    with np.errstate(all="ignore"):
        first, second = packed(flat.values), flat.near(flat.leaves)
        apart = np.abs(first - second) > rounding(flat.precision) * np.maximum(np.abs(first), np.abs(second))
    apart |= np.isfinite(first) != np.isfinite(second)
    if apart.any():
        at = int(np.argmax(apart))
        name, index = flat.outputs.locate(at)
        detail = "two calls with the same arguments differ, so the function is random or keeps a state; fix its seed"
        yield Finding("purity", None, index, float(first[at]), float(second[at]), detail, f"{name}{list(index) or ''}")


def aliases(
    check: str, names: Sequence[str], results: Sequence[Any], holders: Sequence[tuple[str, Any]]
) -> Iterator[Finding]:
    """Report results that share memory with one of the holders, which have names, or with each other."""
    for position, (name, result) in enumerate(zip(names, results, strict=True)):
        for other, value in (*holders, *zip(names[:position], results[:position], strict=True)):
            if is_array(result) and is_array(value) and np.shares_memory(result, value):
                yield Finding(check, name, detail=f"the result shares its memory with {other}", kind="memory")


def linearity(flat: Flat, modes: Sequence[str], rng: np.random.Generator) -> Iterator[Finding]:
    """Check linearity: sums give sums and multiples give multiples, to rounding; zeros give zeros."""
    for mode in modes:
        check = f"linearity of {NAMES[mode]} mode"
        linear = linear_map(flat, mode)
        (values, _), (_, layout) = ends(flat, mode)
        one, other = random_direction(flat, mode, rng), random_direction(flat, mode, rng)
        both = packed(linear(like(values, 2 * one - 3 * other)))
        parts = [2 * packed(linear(like(values, one))), -3 * packed(linear(like(values, other)))]

        def noise(mode: str = mode, one: Array = one, other: Array = other) -> Array:
            each = [of_point_and_direction(flat, mode, direction) for direction in (one, other)]
            return 4 * rounding_error(each[0], rng) + 6 * rounding_error(each[1], rng)

        yield from unequal(check, both, parts[0] + parts[1], parts, rounding(flat.precision), layout, noise=noise)
        nothing = packed(linear(like(values, 0 * one)))
        yield from unequal(check, nothing, np.zeros_like(nothing), [], 0.0, layout, "from zeros")


def linear_again(flat: Flat, modes: Sequence[str], rng: np.random.Generator) -> Iterator[Finding]:
    """Check that the derivative of a linear map, in its tangent or cotangent, is the map itself, in every mode.

    A second derivative of a program passes through the cotangents of its ops: a rule that is constant in its cotangent
    to whoever differentiates it, such as one that detaches it, is right by itself and wrong in every program.
    """
    for mode in modes:
        for outer in modes:
            check = f"{NAMES[outer]} over {NAMES[mode]} mode, in the {ROLES[mode]}"
            try:
                yield from list(linear_once_more(flat, mode, outer, check, rng))
            except Exception as error:  # a rule may raise anything
                yield Finding.raised(check, error)


def linear_once_more(flat: Flat, mode: str, outer: str, check: str, rng: np.random.Generator) -> Iterator[Finding]:
    """Compare a linear map with its derivative along one direction, or with random weights of its results."""
    (values, layout), (results, end) = ends(flat, mode)
    point, step, weights = (rng.normal(size=size) for size in (layout.size, layout.size, end.size))
    where = like(values, point)
    along = like(values, step) if outer == "fwd" else like(results, weights)

    def derived(leaves: list[Any], given: list[Any]) -> list[Any]:
        def linear(*tangents: Any) -> list[Any]:
            return list(along_direction(flat, mode, leaves, list(tangents)))

        if outer == "fwd":
            return jvp(linear, tuple(where), tuple(given))[1]
        return list(vjp(linear, *where)[1](list(given)))

    def noise() -> Array:
        of_map = rounding_error(of_point_and_direction(flat, mode, step), rng)
        again = rounding_error(Flat(derived, (list(flat.leaves), along)), rng)
        return again + of_map if outer == "fwd" else np.array([np.abs(step) @ again + np.abs(weights) @ of_map])

    moved, found = packed(linear_map(flat, mode)(like(values, step))), packed(derived(flat.leaves, along))
    loose, detail = rounding(flat.precision), "the derivative of a linear map is the map"
    if outer == "fwd":
        yield from unequal(check, found, moved, [moved], loose, end, detail, noise)
        return
    sizes = [np.array([np.sum(np.abs(weights * moved))])]
    both = np.array([found @ step]), np.array([weights @ moved])
    yield from unequal(check, *both, sizes, loose, Layout(["<w, L v>"], [()]), detail, noise)


def adjointness(flat: Flat, rng: np.random.Generator) -> Iterator[Finding]:
    """Check `<w, J v> = <J^T w, v>` for random w and v, to rounding."""
    v, w = random_direction(flat, "fwd", rng), random_direction(flat, "rev", rng)
    pushed = packed(forward_map(flat)(like(flat.leaves, v)))
    pulled = packed(reverse_map(flat)(like(flat.values, w)))
    left, right = float(w @ pushed), float(pulled @ v)
    terms = float(np.sum(np.abs(w * pushed)) + np.sum(np.abs(pulled * v)))
    if abs(left - right) <= rounding(flat.precision) * terms or not np.isfinite([left, right]).any():
        return
    of_pushed = float(np.abs(w) @ rounding_error(of_point_and_direction(flat, "fwd", v), rng))
    of_pulled = float(np.abs(v) @ rounding_error(of_point_and_direction(flat, "rev", w), rng))
    if not abs(left - right) <= of_pushed + of_pulled:
        detail = "the two modes contradict each other; random w and v"
        yield Finding("<w, Jv> = <J^T w, v>", None, (), left, right, detail)


def unequal(
    check: str,
    actual: Array,
    expected: Array,
    parts: Sequence[Array],
    loose: float,
    layout: Any,
    detail: str = "",
    noise: Callable[[], Array | float] = lambda: 0.0,
) -> Iterator[Finding]:
    """Report the worst element in which two vectors differ by more than rounding explains.

    Rounding explains `loose` relative to the parts, or else `noise`, which is called only if something seems wrong.
    """
    scale = sum((np.abs(part) for part in parts), np.zeros_like(actual))
    typical = float(np.max(scale, initial=0.0, where=np.isfinite(scale)))
    with np.errstate(all="ignore"):
        error = np.abs(actual - expected)
    wrong = ~((error <= loose * np.maximum(scale, typical)) | (actual == expected))
    wrong &= np.isfinite(expected) | np.isfinite(actual)
    if wrong.any():
        wrong &= ~(error <= noise())
    if wrong.any():
        worst = int(np.argmax(np.where(wrong, np.nan_to_num(error, nan=np.inf), -1.0)))
        name, index = layout.locate(worst)
        yield Finding(check, name, index, float(expected[worst]), float(actual[worst]), detail)


__all__ = ["adjointness", "linear_again", "linearity", "purity", "steadiness"]
