"""Check constant operands: a rule gets `Zero()` as their tangents, which must mean the same as arrays of zeros.

A joint frule gets the tangents of all operands at once, with symbolic zeros among them. Finite differences in all
operands never show it such zeros. So every subset of the operands is held constant in turn, and each derivative is
compared with the one in which all operands move, but these along zeros.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tapem.core import Array
from tapem.testing.comparison import rounding
from tapem.testing.findings import Finding
from tapem.testing.flattening import Flat, Layout, packed
from tapem.testing.linear_maps import NAMES, derivative, ends, like, of_point_and_direction, random_direction
from tapem.testing.purity import unequal
from tapem.testing.rounding import rounding_error
from tapem.transforms import jvp, vjp

EVERY_SUBSET = 4
"""Up to this many operands, every subset is held constant."""


def constant_operands(flat: Flat, modes: Sequence[str], order: int, rng: np.random.Generator) -> Iterator[Finding]:
    """Compare the derivatives, and from order 2 on their derivatives, with those where some operands are constant."""
    directions = {mode: random_direction(flat, mode, rng) for mode in modes}
    for moving in moving_subsets(len(flat.leaves), rng):
        held = ", ".join(name for at, name in enumerate(flat.inputs.names) if at not in moving)
        chosen = Layout([flat.inputs.names[at] for at in moving], [flat.inputs.shapes[at] for at in moving])
        for mode in modes:
            check = f"{NAMES[mode]} mode, {held} held constant"
            layout = flat.outputs if mode == "fwd" else chosen
            pair = [
                functools.partial(find, flat, moving, like(ends(flat, mode)[0].values, directions[mode]))
                for find in DERIVATIVES[mode]
            ]
            try:
                first = [Flat(one, tuple(flat.leaves), flat.inputs.names) for one in pair]
                noise = functools.partial(noise_of, flat, mode, directions[mode], rng, moving)
                yield from differing(check, first, layout, noise)
                if order > 1:
                    yield from once_more(check, first, modes, rng)
            except Exception as error:  # a rule may raise anything
                yield Finding.raised(check, error)


def moving_subsets(count: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """The subsets of operands that move: every proper, non-empty one; of many operands only some of them.

    >>> moving_subsets(3, np.random.default_rng())
    [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    """
    every = range(count)
    if count <= EVERY_SUBSET:
        return [chosen for size in range(1, count) for chosen in itertools.combinations(every, size)]
    some = {tuple(sorted(rng.choice(count, rng.integers(2, count - 1), replace=False).tolist())) for _ in range(4)}
    return [*itertools.combinations(every, 1), *sorted(some), *itertools.combinations(every, count - 1)]


def of_moving(flat: Flat, moving: Sequence[int], leaves: Sequence[Any]) -> Callable[..., list[Any]]:
    """The function of the moving operands alone."""

    def call(*chosen: Any) -> list[Any]:
        whole = list(leaves)
        for at, leaf in zip(moving, chosen, strict=True):
            whole[at] = leaf
        return flat(*whole)

    return call


def pushed_by_some(flat: Flat, moving: Sequence[int], tangents: Sequence[Any], *leaves: Any) -> Any:
    """The tangents of the outputs if the other operands are constants."""
    chosen = tuple(leaves[at] for at in moving)
    return jvp(of_moving(flat, moving, leaves), chosen, tuple(tangents[at] for at in moving))[1]


def pushed_by_all(flat: Flat, moving: Sequence[int], tangents: Sequence[Any], *leaves: Any) -> Any:
    """The tangents of the outputs if the other operands have tangents of zeros."""
    filled = (tangent if at in moving else np.zeros_like(tangent) for at, tangent in enumerate(tangents))
    return jvp(flat, leaves, tuple(filled))[1]


def pulled_to_some(flat: Flat, moving: Sequence[int], cotangents: Sequence[Any], *leaves: Any) -> Any:
    """The cotangents of the moving operands if the others are constants."""
    return list(vjp(of_moving(flat, moving, leaves), *(leaves[at] for at in moving))[1](list(cotangents)))


def pulled_to_all(flat: Flat, moving: Sequence[int], cotangents: Sequence[Any], *leaves: Any) -> Any:
    """The cotangents of the moving operands if the others have cotangents too."""
    found = vjp(flat, *leaves)[1](list(cotangents))
    return [found[at] for at in moving]


DERIVATIVES = {"fwd": (pushed_by_some, pushed_by_all), "rev": (pulled_to_some, pulled_to_all)}


def noise_of(
    flat: Flat, mode: str, direction: Array, rng: np.random.Generator, moving: Sequence[int] | None = None
) -> Array:
    """How far rounding may move a derivative; in reverse mode, only the part for the moving operands."""
    error = 2 * rounding_error(of_point_and_direction(flat, mode, direction), rng)
    if mode == "fwd" or moving is None:
        return error
    parts = flat.inputs.split(error)
    return packed([parts[at] for at in moving])


def differing(check: str, pair: Sequence[Flat], layout: Layout, noise: Callable[[], Array]) -> Iterator[Finding]:
    """Report the worst element in which the derivative with constants differs from the derivative with zeros."""
    found, expected = (packed(one.values) for one in pair)
    loose, detail = rounding(pair[1].precision), "with zeros in place of the constants"
    yield from unequal(check, found, expected, [expected], loose, layout, detail, noise)


def once_more(check: str, first: Sequence[Flat], modes: Sequence[str], rng: np.random.Generator) -> Iterator[Finding]:
    """Check the derivative of a derivative in every operand, which differentiates the rule itself with its zeros."""
    outer = "rev" if "rev" in modes else "fwd"
    direction = random_direction(first[1], outer, rng)
    second = [derivative(one, outer, direction) for one in first]
    noise = functools.partial(noise_of, first[1], outer, direction, rng)
    yield from differing(f"{NAMES[outer]} over {check}", second, ends(first[1], outer)[1].layout, noise)


__all__ = ["constant_operands", "moving_subsets"]
