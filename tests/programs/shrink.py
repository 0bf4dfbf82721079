"""Shrinking: the smallest program that one finds, statement by statement, that still fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .checks import CHECKS, Check, Failure, failures
from .generate import REFUSALS
from .judging import Judge
from .language import Function, Program, Statement, renamed, used


def shrunk(failure: Failure, tries: int = 400) -> Failure:
    """The failure of a program from which nothing can be left out."""
    checks = [check for check in CHECKS if check.text == failure.check]
    smaller = True
    while smaller:
        smaller = False
        for candidate in candidates(failure.program):
            tries -= 1
            if tries < 0:
                return failure
            found = same(candidate, failure, checks)
            if found is not None:
                failure, smaller = found, True
                break
    return failure


def smallest(program: Program, fails: Callable[[Program], object]) -> Program:
    """A program from which nothing can be left out that still fails: `fails` gives anything but None for it."""
    while True:
        for candidate in candidates(program):
            try:
                if fails(candidate) is not None:
                    program = candidate
                    break
            except Exception:  # what is left is no program
                continue
        else:
            return program


def same(program: Program, failure: Failure, checks: list[Check]) -> Failure | None:
    """The failure of a program, if it is of the same kind."""
    try:
        with np.errstate(all="ignore"):
            Judge(program).insist()
        found = failures(program, checks, () if checks else (failure.check,))
        return next((f for f in found if (f.check, f.kind) == (failure.check, failure.kind)), None)
    except (KeyError, LookupError, *REFUSALS):
        return None


def candidates(program: Program) -> Iterator[Program]:
    """Programs with a little less in them, those with much less first."""
    for part in program.parts:
        if len(program.parts) > 1:
            fewer = tuple(other for other in program.parts if other != part)
            yield needed(program._replace(parts=fewer))
    for statements in shorter(program.statements, set(program.parts)):
        yield needed(program._replace(statements=statements))


def needed(program: Program) -> Program:
    """The program without the statements that nothing uses."""
    names = set(program.parts)
    kept: list[Statement] = []
    for statement in reversed(program.statements):
        if statement.target in names:
            kept.append(statement)
            names |= used(statement)
    return program._replace(statements=tuple(reversed(kept)))


def shorter(statements: tuple[Statement, ...], fixed: set[str]) -> Iterator[tuple[Statement, ...]]:
    """The statements with one of them left out, replaced by its operand, or with less in its function."""
    for place, statement in enumerate(statements):
        before, after = statements[:place], statements[place + 1 :]
        for operand in dict.fromkeys(statement.operands) if statement.target not in fixed else ():
            yield (*before, *(renamed(later, statement.target, operand) for later in after))
        inner = statement.function
        if inner is None:
            continue
        if statement.target not in fixed or inner.result != inner.parameter:
            body = tuple(renamed(inside, inner.parameter, statement.operands[0]) for inside in inner.statements)
            result = statement.operands[0] if inner.result == inner.parameter else inner.result
            if statement.target not in fixed:
                yield (*before, *body, *(renamed(later, statement.target, result) for later in after))
        for result in (inner.parameter, *(inside.target for inside in inner.statements)):
            if result != inner.result:
                lean = Function(inner.parameter, inner.statements, result)
                yield (*before, statement._replace(function=trimmed(lean)), *after)
        for body in shorter(inner.statements, {inner.result}):
            yield (*before, statement._replace(function=Function(inner.parameter, body, inner.result)), *after)


def trimmed(function: Function) -> Function:
    """The function without the statements after its result."""
    targets = [statement.target for statement in function.statements]
    end = targets.index(function.result) + 1 if function.result in targets else 0
    return Function(function.parameter, function.statements[:end], function.result)
