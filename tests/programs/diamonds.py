"""Diamonds: one value, two ops of the tables that take it, and a sum. Rows of every pair of families are put together.

What one op hands back may be a plain array and what the other hands back a tracer, or both, in either order; the value
that both meet at must get their sum.
"""

from __future__ import annotations

import functools
from random import Random
from typing import Any

import numpy as np

from tapem.core.structure import detach

from .judging import Doubtful, judge_of
from .language import Program, Statement
from .rows import families, row, rows_of

MOST = 9
"""How many elements an operand has at most."""

Place = tuple[str, int, int]


@functools.cache
def places(family: str) -> tuple[Place, ...]:
    """The operands of a family's rows that can be displaced: few floats, of an op that has a value nearby."""
    found: list[Place] = []
    for index, each in enumerate(rows_of(family)):
        if each.op is detach or (each.order == 0 and getattr(each.op, "differentiable", True)):
            continue  # rows of what has no derivative, or hides the one it has
        for position, operand in enumerate(each.operands):
            operand = np.asarray(operand)
            if operand.dtype.kind == "f" and operand.size <= MOST and np.all(np.isfinite(operand)):
                found.append((family, index, position))
    return tuple(found)


def pairs() -> list[tuple[str, str]]:
    """All pairs of families."""
    names = [name for name in families() if places(name)]
    return [(a, b) for place, a in enumerate(names) for b in names[place:]]


def diamond(one: str, other: str, seed: object) -> Program:
    """A diamond of two families; the families and the seed decide it."""
    random = Random(f"diamond {one} {other} {seed}")
    for _ in range(200):
        drawn = draw(random, one, other)
        if drawn is None:
            continue
        drawn = drawn._replace(seed=(one, other, seed))
        try:
            with np.errstate(all="ignore"):
                judge_of(drawn).insist()
        except (Doubtful, ValueError, TypeError, np.linalg.LinAlgError):
            continue
        return drawn
    raise LookupError(f"no diamond of {one} and {other}")


def draw(random: Random, one: str, other: str) -> Program | None:
    """A diamond, which may turn out not to be smooth."""
    first, second = random.choice(places(one)), random.choice(places(other))
    if random.random() < 0.5:
        first, second = second, first
    operand = operand_of(first)
    if not operand.size:
        return None
    spread = [[random.uniform(-1, 1) for _ in range(operand.size)] for _ in range(2)]
    points = [tuple((operand.ravel() * (1 + 0.01 * np.array(s)) + 0.003 * np.array(s)).tolist()) for s in spread]
    statements = [Statement("y", f"np.reshape({{0}}, {operand.shape})", ("x",))]
    statements.append(Statement("a", text("row", first), ("y",)))
    # The very same value where it suits the other op, else one that is made of it.
    direct = operand_of(second).shape == operand.shape and fits(second, operand)
    if not direct:
        statements.append(Statement("z", text("near", second), ("y",)))
    statements.append(Statement("b", text("row", second), ("y" if direct else "z",)))
    statements += [Statement("c", random.choice(["np.sum({0})", "np.sum({0} * {0})"]), ("y",))]
    order = min(2, *(2 if each.order == 0 else each.order for each in map(row_of, (first, second))))
    parts = ["a", "b", "c"]
    random.shuffle(parts)
    return Program(tuple(points), tuple(statements), tuple(parts), analytic=False, order=order)


def text(name: str, place: Place) -> str:
    """The text of a statement on a row."""
    family, index, position = place
    return f"{name}('{family}', {index}, {position}, {{0}})"


def row_of(place: Place) -> Any:
    """The row of a place."""
    return rows_of(place[0])[place[1]]


def operand_of(place: Place) -> Any:
    """The operand at a place."""
    return np.asarray(row_of(place).operands[place[2]])


def fits(place: Place, value: Any) -> bool:
    """Whether the op of a place is defined at this value."""
    try:
        with np.errstate(all="ignore"):
            return bool(np.isfinite(row(*place, value)))
    except (ValueError, TypeError, np.linalg.LinAlgError):
        return False
