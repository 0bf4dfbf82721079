"""A program as data: statements over named values, and functions that stand inside of them.

What a statement computes is Python text with holes: `{0}` and `{1}` for its operands, `{f}` for a function that it is
given. So the text that is printed is the text that runs, and it runs on whatever `np` and `tm` are said to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Function(NamedTuple):
    """A function of one value, which may also use every value that was computed before it."""

    parameter: str
    statements: tuple[Statement, ...]
    result: str


class Statement(NamedTuple):
    """`target = text`, with the operands and the function in the holes. An operand is a name or a literal."""

    target: str
    text: str
    operands: tuple[str, ...]
    function: Function | None = None


class Program(NamedTuple):
    """A function of one vector that gives two numbers: the sum of the parts, and half of the last one.

    `points` are the vectors at which it is known to be defined and smooth. `analytic` says whether it can be given
    complex numbers. `seed` tells where it came from.
    """

    points: tuple[tuple[float, ...], ...]
    statements: tuple[Statement, ...]
    parts: tuple[str, ...]
    analytic: bool = True
    order: int = 3
    seed: object = None


def walk(statements: tuple[Statement, ...]) -> Iterator[Statement]:
    """Every statement, those inside of functions included."""
    for statement in statements:
        yield statement
        if statement.function is not None:
            yield from walk(statement.function.statements)


def used(statement: Statement) -> set[str]:
    """The names that a statement needs from outside."""
    names = {operand for operand in statement.operands if is_name(operand)}
    if statement.function is not None:
        inner = statement.function
        own = {inner.parameter, *(inside.target for inside in inner.statements)}
        names |= {inner.result, *(name for inside in inner.statements for name in used(inside))} - own
    return names


def is_name(operand: str) -> bool:
    """Whether an operand names a value; all else is a literal."""
    return operand.isidentifier() and operand not in ("True", "False")


def renamed(statement: Statement, old: str, new: str) -> Statement:
    """The statement with one value in the place of another."""
    inner = statement.function
    if inner is not None:
        body = tuple(renamed(inside, old, new) for inside in inner.statements)
        inner = Function(inner.parameter, body, new if inner.result == old else inner.result)
    operands = tuple(new if operand == old else operand for operand in statement.operands)
    return Statement(statement.target, statement.text, operands, inner)


def depth(statements: tuple[Statement, ...], texts: frozenset[str]) -> int:
    """How deep statements of these texts are nested in one another."""
    return max(
        (
            (statement.text in texts) + depth(statement.function.statements if statement.function else (), texts)
            for statement in statements
        ),
        default=0,
    )


__all__ = ["Function", "Program", "Statement", "depth", "is_name", "renamed", "used", "walk"]
