"""`mutants` lists the wrong versions of an op's rules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from tapem.core import Primitive, is_several
from tapem.errors import ArgumentError
from tapem.sweeps import Written, written_as
from tapem.testing.dtypes import only_discrete
from tapem.testing.mutation.detached import by_value
from tapem.testing.mutation.edits import Edit, edits, of_results
from tapem.testing.mutation.faults import with_detached
from tapem.testing.mutation.rebuilding import GENERIC, compiled, functions_of, reached, rebuilt

MODES = ("rrule", "frule")
SECOND_ORDER = frozenset({"detach", "second order only"})
"""The kinds whose first derivatives are right."""


@dataclass(frozen=True)
class Mutant:
    """One wrong version of an op's rules, and what was changed: `before` became `after`.

    `kind` says what sort of mistake it is; `where` names the rule, or the helper of the rules that has the mistake;
    `place` is the line, the column and the last line of the change in `file`. The op has the wrong rules within
    `with mutant.installed():`, and only there.

    >>> import numpy as np, tapem as tm
    >>> mutant = tm.testing.mutants(tm.square)[0]
    >>> mutant
    Mutant(square, rrule and frule: dropped factor, `g * (x + x)` -> `g`)
    >>> with mutant.installed():
    ...     print(tm.grad(tm.square)(3.0))
    1.0
    """

    op: Primitive
    kind: str
    where: str
    before: str
    after: str
    file: str = field(repr=False)
    place: tuple[int, int, int] = field(repr=False)
    make: Callable[[Any], Any] = field(repr=False, compare=False)

    @property
    def source(self) -> tuple[Any, ...]:
        """What tells one mistake from another: ops that share a rule or a helper share its mistakes."""
        return self.file, self.place, self.kind, self.before, self.after

    def __repr__(self) -> str:
        return f"Mutant({self.op.name}, {self.where}: {self.kind}, `{self.before}` -> `{self.after}`)"

    @contextmanager
    def installed(self) -> Generator[None, None, None]:
        """Give the op its wrong rules for a while."""
        right = {mode: getattr(self.op, mode) for mode in MODES}
        wrong = self.make(right)
        try:
            for mode in MODES:
                setattr(self.op, mode, wrong[mode])
            yield
        finally:
            for mode in MODES:
                setattr(self.op, mode, right[mode])


def mutants(op: Callable[..., Any]) -> list[Mutant]:
    """The wrong versions of an op's rules, each with one mistake, made from their source.

    The mistakes are those that people make: a wrong sign, a dropped factor or term, swapped operands, a transpose too
    many or too few, a wrong axis, a missing unbroadcast or conjugate, a wrong dtype, a derivative that is detached, and
    one that is wrong from second order on only. They are made in the rules themselves and in the helpers of the same
    module that the rules call; the value of the op stays right.

    Raises ArgumentError for something that is not an op.

    >>> import tapem as tm
    >>> sorted({mutant.kind for mutant in tm.testing.mutants(tm.sin)})
    ['detach', 'dropped factor', 'dropped function', 'second order only', 'sign', 'wrong dtype']
    """
    if not isinstance(op, Primitive):
        raise ArgumentError(f"mutants takes an op, not {op!r}. The rules of other functions are those of their ops.")
    if not op.differentiable:
        return []
    rules = {mode: getattr(op, mode) for mode in MODES}
    given = direct(rules)
    home = {op.__module__, *(function.__module__ for function in given)}
    found: list[Mutant] = []
    for function in reached(rules, home):
        if function.__module__ not in home:
            continue
        written = written_as(function)
        if written is None:
            continue
        roles = given.get(function, [])
        where = ", ".join(roles).replace(", ", " and ") if roles else f"helper {function.__name__}"
        file = function.__code__.co_filename
        changes = [*edits(written, function.__globals__), *(of_results(written) if roles else ())]
        for change in changes:
            found.append(of_edit(op, where, function, written, change, file, home))
        if roles:
            found += of_arguments(op, where, function, written, file, home)
    return found


def of_edit(
    op: Primitive, where: str, function: FunctionType, written: Written, edit: Edit, file: str, home: set[str]
) -> Mutant:
    """The mutant that an edit makes."""

    def make(rules: Any) -> Any:
        return rebuilt(rules, function, compiled(function, edit.applied(written)), home)

    return Mutant(op, edit.kind, where, *edit.texts(), file, edit.place, make)


def of_arguments(
    op: Primitive, where: str, function: FunctionType, written: Written, file: str, home: set[str]
) -> Iterator[Mutant]:
    """The mutants in which one argument of a rule is a constant, so that only its derivatives are wrong."""
    names = [argument.arg for argument in (*written.args.posonlyargs, *written.args.args)]
    place = written.lineno, written.col_offset, written.end_lineno or written.lineno
    for position in range(1, 2 + op.residuals + op.arity):
        name = names[position] if position < len(names) else f"argument {position}"
        operand = position - 1 - op.residuals - 1
        given = op.signature.operands[min(operand, op.arity - 1)] if operand >= 0 else None
        if given is not None and (only_discrete(given) or without_rule(op, operand)):
            continue
        if not by_value(function, position):
            continue

        def make(rules: Any, position: int = position) -> Any:
            return rebuilt(rules, function, with_detached(function, position), home)

        yield Mutant(op, "second order only", where, name, f"detach({name})", file, place, make)


def without_rule(op: Primitive, operand: int) -> bool:
    """Whether an operand has no rule of its own in either mode, so that nobody differentiates in it."""
    each = [rules for rules in (op.rrule, op.frule) if is_several(rules)]
    return bool(each) and all(operand >= len(rules) or rules[operand] is None for rules in each)


def direct(rules: dict[str, Any]) -> dict[FunctionType, list[str]]:
    """The functions that were given as rules, unwrapped, with their roles; those that tapem made are left out."""
    found: dict[FunctionType, list[str]] = {}
    for mode, given in rules.items():
        parts = given if is_several(given) else (given,)
        for part in parts:
            partials = getattr(part, "partials", None)
            for function in functions_of(part if partials is None else partials):
                while "__wrapped__" in vars(function):
                    function = inspect.unwrap(function)
                if isinstance(function, FunctionType) and function not in GENERIC:
                    roles = found.setdefault(function, [])
                    roles += [] if mode in roles else [mode]
    return found


__all__ = ["MODES", "SECOND_ORDER", "Mutant", "mutants"]
