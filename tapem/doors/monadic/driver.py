"""The driver: it runs a step with a loop and an explicit stack, not by recursion, so programs can have any length.

The stack holds the bound functions and running programs that wait for the result of the current step. The driver goes
down from a step to its first part that it can run directly (`take`), and up with the result until a function or a
program gives another step (`drive`). An error is raised at the `yield` of the program that asked for the step, as in
plain code; a program that catches the error continues from the tape that it had at that `yield`.
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
)
from tapem.doors.pure.ref import Ref
from tapem.doors.pure.tape import Tape
from tapem.errors import StepError
from tapem.types import NUMERIC, short_text

A = TypeVar("A")


def run_on_tape(step: TapeM[A], tape: Tape) -> tuple[A, Tape]:
    """Run a step on a tape: the result, and the tape with the recorded nodes."""
    builder = TapeBuilder(tape)
    try:
        return drive(step, builder), builder.state
    finally:
        if builder.lent is not None:
            builder.lent.end()  # a tracer of direct code that is used after this raises EscapedTracerError


register_driver(run_on_tape)


def run_if_program(value: Any, recorder: Recorder) -> Any:
    """The result of a function inside a transform, for direct code: a step is run, and Refs become tracers."""
    if not isinstance(value, TapeM):
        return value
    result = drive(value, RecorderBuilder(recorder))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return tree_map(lambda leaf: as_tracer(leaf, recorder), result)


Running = tuple[Generator[Any, Any, Any], State]
"""A program that waits for the result of a step, and the state at its `yield`."""

Waiting = Running | Callable[[Any], Any]


def drive(step: TapeM[A], builder: Builder) -> A:
    """Run a step on a builder, and return its result."""
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
        error = None  # its traceback holds this frame: the reference cycle would keep the tape alive
        for waiting in reversed(stack):
            if not callable(waiting):
                waiting[0].close()


def take(step: Any, stack: list[Waiting], builder: Builder) -> Any:
    """The result of a step, or None after its waiting parts have been put on the stack."""
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
            return None  # a generator starts with send(None)
        elif kind is Effect:
            return step.parts[0](builder)
        else:
            return tensor(step, stack)


def binding(op: Primitive, operands: tuple[Any, ...], static: Static, builder: Builder) -> Generator[Any, Any, Any]:
    """The program of an op with steps among its operands: it runs them from left to right, then applies the op."""
    bound: list[Any] = []
    for operand in operands:
        bound.append((yield operand) if isinstance(operand, TapeM) else operand)
    result, builder.state = builder.state.apply(op, tuple(bound), static)
    return result


def start(
    function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
) -> Generator[Any, Any, Any]:
    """A new generator of a program; raises StepError if its function does not return a generator."""
    generator: Any = function(*arguments, **options)
    if type(generator) is not GeneratorType:
        raise StepError(f"the program {function.__name__} must yield its steps, but returned {short_text(generator)}.")
    return generator  # pyright: ignore[reportUnknownVariableType]


def next_step(continuation: Callable[[Any], Any], result: Any) -> Any:
    """The step that a bound function returns for a result; raises StepError if it returns another value."""
    step = continuation(result)
    if not is_step(step):
        raise StepError(
            f"a function given to bind must return a step, but returned {short_text(step)}. "
            "Use .map(f) for a plain function, or wrap the value in tm.pure(...)."
        )
    return step


def tensor(value: Any, stack: list[Waiting]) -> Any:
    """A tensor that a program yielded instead of a step is sent back unchanged; raises StepError for other values."""
    if type(value) in (bool, int, float, complex):
        return value
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in NUMERIC:
        return value
    running: list[Any] = [waiting[0] for waiting in stack if not callable(waiting)]
    where = f"the program {running[-1].__name__}" if running else "a program"
    raise StepError(
        f"{where} yielded {short_text(value)}, which is neither a step nor a tensor. Yield what an op returns: "
        "h = yield relu(x)."
    )


def explained(error: Exception, generator: Any) -> Exception:
    """The error of a program; for `yield from` an array, where Python only reports a missing `send`, a clearer one."""
    if not isinstance(error, AttributeError) or error.name != "send" or type(error.obj) is not _ROWS:
        return error
    problem = StepError(
        f"the program {generator.__name__} used `yield from` with an array, which is not a step: an op that is given "
        "only arrays computes at once. Make a step of one of them (x = yield from tm.const(x)), or write `yield`, "
        "which returns an array unchanged."
    )
    problem.__cause__ = error
    return problem


_ROWS = type(iter(np.zeros(1)))

__all__ = ["drive", "run_if_program", "run_on_tape"]
