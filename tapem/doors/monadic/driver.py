"""The driver: it takes a step with a loop and an explicit stack, never by recursion, so programs of any length run.

The stack holds what waits for the result of the step at hand: bound functions, and running programs. The driver goes
down from a step to its first part that can be taken at once (`take`), and up with the result until something asks for
another step (`drive`). An error is raised at the `yield` of the program that asked for the step, as in plain code; if
the program catches it, it goes on from the tape on which it had asked.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any, TypeVar

import numpy as np

from tapem.core import Primitive, Static, tree_map
from tapem.doors.direct.recorder import Recorder
from tapem.doors.monadic.builder import RecorderBuilder, TapeBuilder, as_tracer
from tapem.doors.monadic.step import (
    Apply,
    Bind,
    Builder,
    Effect,
    Program,
    State,
    TapeM,
    is_step,
    register_driver,
    short_text,
)
from tapem.doors.pure.ref import Ref
from tapem.doors.pure.tape import Tape
from tapem.errors import StepError

A = TypeVar("A")


def run_on_tape(step: TapeM[A], tape: Tape) -> tuple[A, Tape]:
    """Take a step on a tape: the result, and the tape with what was recorded."""
    builder = TapeBuilder(tape)
    try:
        return drive(step, builder), builder.state
    finally:
        if builder.lent is not None:
            builder.lent.end()  # a tracer of direct code that is used after this raises EscapedTracerError


register_driver(run_on_tape)


def run_if_program(value: Any, recorder: Recorder) -> Any:
    """What a function returned inside a transform, as direct code expects it: a step is taken, Refs become tracers."""
    if not isinstance(value, TapeM):
        return value
    result = drive(value, RecorderBuilder(recorder))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return tree_map(lambda leaf: as_tracer(leaf, recorder), result)


Running = tuple[Generator[Any, Any, Any], State]
"""A program that waits for the step it has asked for, and the state in which it asked."""

Waiting = Running | Callable[[Any], Any]


def drive(step: TapeM[A], builder: Builder) -> A:
    """Take a step on a builder, and give its result."""
    stack: list[Waiting] = []
    waiting: Waiting
    current: Any = step
    error: Exception | None = None
    try:
        while True:
            result: Any = None
            try:
                result = take(current, stack, builder)
            except Exception as raised:
                error = raised
            while stack:
                waiting = stack[-1]  # pyright: ignore[reportUnknownVariableType]
                if not callable(waiting):
                    generator, state = waiting
                    try:
                        if error is None:
                            current = generator.send(result)
                        else:
                            builder.state = state
                            current, error = generator.throw(error), None
                        stack[len(stack) - 1] = generator, builder.state
                        break
                    except StopIteration as stop:
                        result, error = stop.value, None
                    except Exception as raised:
                        error = explained(raised, generator)
                    stack.pop()
                    continue
                stack.pop()
                if error is None:
                    try:
                        current = next_step(waiting, result)
                        break
                    except Exception as raised:
                        error = raised
            else:
                if error is not None:
                    raise error
                return result
    finally:
        error = None  # its traceback holds this frame: together they would be a circle, and the tape in it
        for waiting in reversed(stack):
            if not callable(waiting):
                waiting[0].close()


def take(step: Any, stack: list[Waiting], builder: Builder) -> Any:
    """The result of a step; what must wait for its parts goes on the stack, and the first part is taken."""
    while True:
        kind = step.__class__
        if kind is Apply:
            op, operands, static = step.parts
            for operand in operands:
                if type(operand) is not Ref and isinstance(operand, TapeM):
                    stack.append((binding(op, operands, static, builder), builder.state))
                    return None
            result, builder.state = builder.state.apply(op, operands, static)
            return result
        if kind is Bind:
            step, continuation = step.parts
            stack.append(continuation)
        elif kind is Program:
            stack.append((start(*step.parts), builder.state))
            return None  # what a program that starts is sent
        elif kind is Effect:
            return step.parts[0](builder)
        else:
            return tensor(step, stack)


def binding(op: Primitive, operands: tuple[Any, ...], static: Static, builder: Builder) -> Generator[Any, Any, Any]:
    """The program of an op some of whose operands are steps: it takes them from left to right, and applies the op."""
    bound: list[Any] = []
    for operand in operands:
        bound.append((yield operand) if isinstance(operand, TapeM) else operand)
    result, builder.state = builder.state.apply(op, tuple(bound), static)
    return result


def start(
    function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Generator[Any, Any, Any]:
    """A fresh generator of a program; StepError if its function makes none."""
    generator: Any = function(*arguments, **options)
    if type(generator) is not GeneratorType:
        raise StepError(f"the program {function.__name__} must yield its steps, but returned {short_text(generator)}.")
    return generator  # pyright: ignore[reportUnknownVariableType]


def next_step(continuation: Callable[[Any], Any], result: Any) -> Any:
    """The step that a bound function makes of a result; StepError if it makes anything else."""
    step = continuation(result)
    if not is_step(step):
        raise StepError(
            f"a function given to bind must return a step, but returned {short_text(step)}. "
            "Use .map(f) for a plain function, or wrap the value in tm.pure(...)."
        )
    return step


def tensor(value: Any, stack: list[Waiting]) -> Any:
    """A tensor that a program yielded in the place of a step is handed back as it is; StepError for other values."""
    if type(value) in (bool, int, float):
        return value
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "fiub":
        return value
    running: list[Any] = [waiting[0] for waiting in stack if not callable(waiting)]
    where = f"the program {running[-1].__name__}" if running else "a program"
    raise StepError(
        f"{where} yielded {short_text(value)}, which is neither a step nor a tensor. Yield what an op returns: "
        "h = yield relu(x)."
    )


def explained(error: Exception, generator: Any) -> Exception:
    """The error of a program, in plainer words for `yield from` an array: Python says only that it has no `send`."""
    if not isinstance(error, AttributeError) or error.name != "send" or type(error.obj) is not _ROWS:
        return error
    problem = StepError(
        f"the program {generator.__name__} took `yield from` of an array, which is no step: an op that is given arrays "
        "alone computes at once. Make a step of one of them (x = yield from tm.const(x)), or write `yield`, which "
        "hands an array back as it is."
    )
    problem.__cause__ = error
    return problem


_ROWS = type(iter(np.zeros(1)))

__all__ = ["drive", "run_if_program", "run_on_tape"]
