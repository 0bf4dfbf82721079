"""The same programs through the doors of steps: one step after another on a tape, and as a `do` program.

A statement becomes a step of tapem's own ops where they have NumPy's names, and a lifted function elsewhere. Blocks
that run in a thread or without gradients are blocks here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

import tapem as tm

from .language import Function, Program, Statement, is_name, used
from .running import DIRECT, Namespace
from .tools import TOOLS, in_thread
from .vocabulary import SILENT, THREAD

ALIKE = {name: getattr(tm, name) for name in tm.__all__ if callable(getattr(np, name, None)) and name != "split"}
OTHERS = {
    "concatenate": tm.concat, "ravel": tm.flatten,
    "linalg": SimpleNamespace(solve=tm.solve, inv=tm.linalg_inv, det=tm.det),
    "array": np.array, "arange": np.arange, "eye": np.eye, "float32": np.float32, "float64": np.float64,
    "int64": np.int64, "int8": np.int8,
}  # fmt: skip
STEPS = Namespace({"np": SimpleNamespace(**{**ALIKE, **OTHERS}), "tm": tm, **TOOLS})
"""NumPy's names for tapem's own ops, which build steps of Refs."""


def native(statement: Statement, values: Mapping[str, Any]) -> Any:
    """A statement as a step of tapem's own ops; None where it is written as only direct code can be."""
    if statement.function is not None or "lambda" in statement.text:
        return None
    try:
        return STEPS.call(statement, values)
    except (AttributeError, tm.TapeError, TypeError, ValueError):
        return None


def step_of(statement: Statement, values: Mapping[str, Any]) -> Any:
    """What a statement gives for Refs: a step, or a value where no Ref is among its operands."""
    found = native(statement, values)
    if found is not None:
        return found
    names = sorted(used(statement))

    def direct(*operands: Any) -> Any:
        return DIRECT.call(statement, dict(zip(names, operands, strict=True)))

    return tm.lift(direct)(*(values[name] for name in names))


def total(program: Program) -> tuple[Statement, ...]:
    """The statements of a program, and more for the number that is differentiated."""
    last = program.parts[-1]
    sums = [Statement("total", "{0} * 0.15", (last,))]
    sums += [Statement("total", "{0} + {1}", ("total", part)) for part in program.parts]
    return (*program.statements, *sums)


def silent(inner: Function) -> tuple[Statement, ...]:
    """The statements of a block without gradients, where even what it hands on is a value of its own."""
    return (*inner.statements, Statement("silent", "1 * {0}", (inner.result,)))


def run_pure(statements: tuple[Statement, ...], values: dict[str, Any], tape: Any) -> Any:
    """Take one step after another on a tape; the values are entered where they belong."""
    for statement in statements:
        if statement.text in (THREAD, SILENT):
            inner = statement.function
            assert inner is not None
            operand = statement.operands[0]
            inside = {**values, inner.parameter: values[operand] if is_name(operand) else DIRECT.literal(operand)}
            if statement.text == THREAD:
                tape = in_thread(run_pure, inner.statements, inside, tape)
                values[statement.target] = inside[inner.result]
            else:
                with tm.no_grad():
                    tape = run_pure(silent(inner), inside, tape)
                values[statement.target] = inside["silent"]
            continue
        value = step_of(statement, values)
        if isinstance(value, tm.TapeM):
            value, tape = value.run(tape)
        values[statement.target] = value
    return tape


def run_do(statements: tuple[Statement, ...], values: dict[str, Any]) -> Generator[Any, Any, None]:
    """Yield one step after another; the values are entered where they belong."""
    for statement in statements:
        if statement.text == SILENT:
            inner = statement.function
            assert inner is not None
            operand = statement.operands[0]
            inside = {**values, inner.parameter: values[operand] if is_name(operand) else DIRECT.literal(operand)}
            with tm.no_grad():
                yield from run_do(silent(inner), inside)
            values[statement.target] = inside["silent"]
            continue
        value = step_of(statement, values)
        values[statement.target] = (yield value) if isinstance(value, tm.TapeM) else value


def as_do(program: Program) -> Callable[[Any], Any]:
    """The program as a `do` program of one vector, giving the number that is differentiated."""

    @tm.do
    def steps(x: Any) -> Generator[Any, Any, Any]:
        values = {"x": x}
        yield from run_do(total(program), values)
        return values["total"]

    return steps


def by_tape(program: Program, x: Any) -> Any:
    """The gradient from a tape that was built one step after another."""
    leaf, tape = tm.Tape().leaf(x)
    values = {"x": leaf}
    tape = run_pure(total(program), values, tape)
    return swept(tape, values["total"], leaf, x)


def by_do(program: Program, x: Any) -> Any:
    """The gradient from a tape that a `do` program built."""
    leaf, tape = tm.Tape().leaf(x)
    out, tape = as_do(program)(leaf).run(tape)
    return swept(tape, out, leaf, x)


def by_lift(program: Program, x: Any) -> Any:
    """The gradient from a tape that a lifted function built."""
    f = DIRECT.run(program)
    leaf, tape = tm.Tape().leaf(x)
    out, tape = tm.lift(lambda x: (lambda y: y[0] + 0.3 * y[1])(f(x)))(leaf).run(tape)
    return swept(tape, out, leaf, x)


def swept(tape: Any, out: Any, leaf: Any, x: Any) -> Any:
    """The gradient of an output on a tape; zeros where it is a constant."""
    if not isinstance(out, tm.Ref) or not tape[out].requires_grad:
        return np.zeros(np.shape(x))
    gradients = tape.backward_scalar(out)
    return gradients[leaf] if leaf in gradients else np.zeros(np.shape(x))


DOORS: dict[str, Callable[[Program, Any], Any]] = {
    "a tape, step by step": by_tape,
    "a do program on a tape": by_do,
    "a lifted function on a tape": by_lift,
    "tm.grad of a do program": lambda program, x: tm.grad(as_do(program))(x),
}
