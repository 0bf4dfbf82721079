"""Operands held constant: to a rule they come as `Zero()`, and must mean what arrays of zeros mean.

A joint frule is given the tangents of all operands at once, symbolic zeros among them, which finite differences of all
operands never show it. So every subset of the operands is held constant in turn, and each derivative that comes out is
compared with the one in which everything moves, along zeros.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tapem.testing.comparison import NAMES, forward_map, like, raised, reverse_map, rounding
from tapem.testing.findings import Finding
from tapem.testing.flattening import Flat, Layout, packed
from tapem.testing.purity import unequal
from tapem.transforms import jvp, vjp

EVERY_SUBSET = 4
"""Of up to this many operands every subset is held constant."""


def constant_operands(flat: Flat, modes: Sequence[str], order: int, rng: np.random.Generator) -> Iterator[Finding]:
    """What the derivatives, and from order 2 on theirs, say differently where some operands are held constant."""
    towards = {"fwd": flat.leaves, "rev": flat.values}
    directions = {mode: like(given, rng.normal(size=sum(map(np.size, given)))) for mode, given in towards.items()}
    for moving in moving_subsets(len(flat.leaves), rng):
        held = ", ".join(name for at, name in enumerate(flat.inputs.names) if at not in moving)
        chosen = Layout([flat.inputs.names[at] for at in moving], [flat.inputs.shapes[at] for at in moving])
        for mode in modes:
            check = f"{NAMES[mode]} mode, {held} held constant"
            layout = flat.outputs if mode == "fwd" else chosen
            pair = [functools.partial(find, flat, moving, directions[mode]) for find in DERIVATIVES[mode]]
            try:
                found, expected = (packed(derivative(*flat.leaves)) for derivative in pair)
                yield from unequal(check, found, expected, [expected], rounding(flat.precision), layout, DETAIL)
                if order > 1:
                    yield from once_more(check, flat, pair, modes, rng)
            except Exception as error:  # a rule may raise anything
                yield Finding(check, detail=raised(error))


DETAIL = "with zeros in place of the constants"


def moving_subsets(count: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """The subsets of the operands that move: all but none and all; of many, one, all but one, and some at random.

    >>> moving_subsets(3, np.random.default_rng())
    [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    """
    every = range(count)
    if count <= EVERY_SUBSET:
        return [chosen for size in range(1, count) for chosen in itertools.combinations(every, size)]
    some = {tuple(sorted(rng.choice(count, rng.integers(2, count - 1), replace=False).tolist())) for _ in range(4)}
    return [*itertools.combinations(every, 1), *sorted(some), *itertools.combinations(every, count - 1)]


def of_moving(flat: Flat, moving: Sequence[int], leaves: Sequence[Any]) -> Callable[..., list[Any]]:
    """The function of the operands that move, with the others as they are."""

    def call(*chosen: Any) -> list[Any]:
        whole = list(leaves)
        for at, leaf in zip(moving, chosen, strict=True):
            whole[at] = leaf
        return flat(*whole)

    return call


def pushed_by_some(flat: Flat, moving: Sequence[int], tangents: Sequence[Any], *leaves: Any) -> Any:
    """The tangents of the outputs, where the other operands are constants."""
    chosen = tuple(leaves[at] for at in moving)
    return jvp(of_moving(flat, moving, leaves), chosen, tuple(tangents[at] for at in moving))[1]


def pushed_by_all(flat: Flat, moving: Sequence[int], tangents: Sequence[Any], *leaves: Any) -> Any:
    """The tangents of the outputs, where the other operands have zeros for tangents."""
    filled = (tangent if at in moving else np.zeros_like(tangent) for at, tangent in enumerate(tangents))
    return jvp(flat, leaves, tuple(filled))[1]


def pulled_to_some(flat: Flat, moving: Sequence[int], cotangents: Sequence[Any], *leaves: Any) -> Any:
    """The cotangents of the operands that move, where the others are constants."""
    return list(vjp(of_moving(flat, moving, leaves), *(leaves[at] for at in moving))[1](list(cotangents)))


def pulled_to_all(flat: Flat, moving: Sequence[int], cotangents: Sequence[Any], *leaves: Any) -> Any:
    """The cotangents of the operands that move, where the others have cotangents too."""
    found = vjp(flat, *leaves)[1](list(cotangents))
    return [found[at] for at in moving]


DERIVATIVES = {"fwd": (pushed_by_some, pushed_by_all), "rev": (pulled_to_some, pulled_to_all)}


def once_more(
    check: str, flat: Flat, pair: Sequence[Callable[..., Any]], modes: Sequence[str], rng: np.random.Generator
) -> Iterator[Finding]:
    """The derivative of a derivative, in every operand: the rule itself is differentiated, zeros and all."""
    outer = "rev" if "rev" in modes else "fwd"
    first = [Flat(derivative, tuple(flat.leaves), flat.inputs.names) for derivative in pair]
    given = first[0].values if outer == "rev" else flat.leaves
    direction = like(given, rng.normal(size=sum(map(np.size, given))))
    linear = {"fwd": forward_map, "rev": reverse_map}[outer]
    found, expected = (packed(linear(one)(direction)) for one in first)
    layout = flat.inputs if outer == "rev" else first[0].outputs
    yield from unequal(
        f"{NAMES[outer]} over {check}", found, expected, [expected], rounding(flat.precision), layout, DETAIL
    )


__all__ = ["constant_operands", "moving_subsets"]
