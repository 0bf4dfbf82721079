"""TapeM: a description of a step `Tape -> (A, Tape)`, and the driver that takes it.

A step is data: one op, or one step bound to what comes after. `run` drives a program with a loop and an explicit stack
of continuations, never by recursion, so programs of any length run. The laws of the monad hold:

    pure(a).bind(f) == f(a)        m.bind(pure) == m        m.bind(f).bind(g) == m.bind(lambda a: f(a).bind(g))
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from types import GeneratorType
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np

from tapem.core import (
    CONTEXT,
    NOTHING,
    Primitive,
    Static,
    boundary,
    constant_text,
    detach,
    register_door,
    setter,
    shorten,
    tree_flatten,
    tree_unflatten,
)
from tapem.doors.direct.recorder import Recorder
from tapem.doors.monadic.builder import Builder, as_tape, place
from tapem.doors.monadic.outcome import Err, Ok
from tapem.doors.pure.ref import Deferred, Ref
from tapem.doors.pure.tape import Tape
from tapem.errors import StepError, TapeError

A = TypeVar("A")
B = TypeVar("B")
A_co = TypeVar("A_co", covariant=True)


class TapeM(Deferred, Generic[A_co]):
    """A step that has not been taken yet: run on a tape, it gives a result and a longer tape.

    Steps are values. They can be run any number of times, on any tape, in any thread. Where an op takes a Ref it also
    takes a step, which it binds first.

    >>> import numpy as np, tapem as tm
    >>> program = tm.leaf(np.array([1.0, 2.0])).bind(tm.square).bind(tm.sum)
    >>> out, tape = program.run()
    >>> tape.value(out), len(tape)
    (array(5.), 3)
    """

    __slots__ = ("__weakref__", "parts")

    parts: tuple[Any, ...]
    """What it is made of; each kind of step says what that is."""

    def run(self, tape: Tape | None = None) -> tuple[A_co, Tape]:
        """Take the step on a tape (the empty one by default): the result and the tape with what was recorded.

        An error discards the tape of the failed run and touches nothing else.
        """
        builder = Builder(Tape() if tape is None else as_tape(tape, "run"))
        try:
            return drive(self, builder), builder.tape()
        except Exception as error:
            shorten(error)
            raise
        finally:
            builder.end()

    @boundary
    def eval(self, tape: Tape | None = None) -> A_co:
        """Run, and keep the result only.

        >>> import tapem as tm
        >>> tm.pure(3).eval()
        3
        """
        return self.run(tape)[0]

    @boundary
    def exec(self, tape: Tape | None = None) -> Tape:
        """Run, and keep the tape only.

        >>> import tapem as tm
        >>> len(tm.leaf(1.0).exec())
        1
        """
        return self.run(tape)[1]

    def attempt(self, tape: Tape | None = None) -> Ok[tuple[A_co, Tape]] | Err:
        """Run, with a `TapeError` as a value instead of an exception.

        >>> import numpy as np, tapem as tm
        >>> type(tm.leaf(np.ones(2)).bind(lambda x: x + np.ones(3)).attempt())
        <class 'tapem.doors.monadic.outcome.Err'>
        """
        start = None if tape is None else as_tape(tape, "attempt")
        try:
            return Ok(self.run(start))
        except TapeError as error:
            return Err(error)

    def bind(self, f: Callable[[A_co], TapeM[B]]) -> TapeM[B]:
        """Take this step, then the step that `f` makes of its result.

        >>> import tapem as tm
        >>> tm.pure(2).bind(lambda a: tm.pure(a + 1)).eval()
        3
        """
        return made(Bind(self, f))

    def map(self, f: Callable[[A_co], B]) -> TapeM[B]:
        """Take this step, and apply a plain function to its result.

        >>> import tapem as tm
        >>> tm.pure(2).map(str).eval()
        '2'
        """
        return self.bind(lambda result: Effect(lambda _: f(result)))

    def then(self, step: TapeM[B]) -> TapeM[B]:
        """Take this step, drop its result, and take another; also written `m >> n`.

        >>> import tapem as tm
        >>> (tm.pure(1) >> tm.pure(2)).eval()
        2
        """
        if not isinstance(step, TapeM):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StepError(f"m.then(n), or m >> n, needs a step for n, not {_short(step)}; tm.pure(x) makes one.")
        return self.bind(lambda _: step)

    def __rshift__(self, step: TapeM[B]) -> TapeM[B]:
        return self.then(step)

    def __iter__(self) -> Generator[TapeM[Any], Any, A_co]:
        # `h = yield from step` is `h = yield step`, with a type that a checker can follow.
        return (yield self)

    def __repr__(self) -> str:
        return f"<step {step_text(self)}>"


class Effect(TapeM[A_co]):
    """A step that is a function of the builder: every step that is not an op, a bind or a program."""

    __slots__ = ()

    def __init__(self, action: Callable[[Recorder], A_co]) -> None:
        """Describe the action."""
        _set_parts(self, (action,))


class Apply(TapeM[Ref]):
    """The step that applies one op; its operands are Refs, constants, and steps that are bound first."""

    __slots__ = ()

    def __init__(self, op: Primitive, operands: tuple[Any, ...], static: Static) -> None:
        """Describe the application."""
        _set_parts(self, (op, operands, static))


class Bind(TapeM[B]):
    """A step, and the function that makes the next step of its result."""

    __slots__ = ()

    def __init__(self, step: TapeM[A], continuation: Callable[[A], TapeM[B]]) -> None:
        """Describe the bind."""
        _set_parts(self, (step, continuation))


class Program(TapeM[A_co]):
    """A `do` program: a generator function and its arguments, started afresh by every run."""

    __slots__ = ()

    def __init__(
        self, function: Callable[..., Generator[Any, Any, A_co]], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        """Describe the program."""
        _set_parts(self, (function, arguments, options))


def made(step: TapeM[A]) -> TapeM[A]:
    """A step as it is handed out: one that is described under no_grad gives constants, whenever it is taken."""
    return Bind(step, cut_off) if CONTEXT.get().constant else step


def cut_off(result: Any) -> TapeM[Any]:
    """The step that gives a tree with every Ref that requires a gradient detached."""
    leaves, structure = tree_flatten(result)

    def detaching() -> Generator[Any, Any, Any]:
        constants: list[Any] = []
        for value in leaves:
            open_ended = type(value) is Ref and value.node.requires_grad
            constants.append((yield Apply(detach, (value,), NOTHING)) if open_ended else value)
        return tree_unflatten(structure, constants)

    return Program(detaching, (), {})


_set_parts = setter(TapeM, "parts")
_new = object.__new__


def start(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A fresh generator of a program; StepError if its function makes none."""
    generator: Any = function(*arguments, **options)
    if type(generator) is not GeneratorType:
        raise StepError(f"the program {function.__name__} must yield its steps, but returned {_short(generator)}.")
    return cast(Any, generator)


def step_text(step: TapeM[Any], depth: int = 3) -> str:
    """A step in a line: an op with its operands, which are steps in turn down to a certain depth."""
    match step:
        case Apply(parts=(op, operands, _)) if depth > 0:
            shown = [operand_text(operand, depth - 1) for operand in operands[:4]]
            return f"{op.name}({', '.join(shown)}{', ...' if len(operands) > 4 else ''})"
        case Apply(parts=(op, _, _)):
            return f"{op.name}(...)"
        case Program(parts=(function, _, _)):
            return f"{function.__name__}(...)"
        case Bind(parts=(first, _)) if depth > 0:
            return f"{step_text(first, depth - 1)} >> ..."
        case _:
            return "..."


def operand_text(value: Any, depth: int) -> str:
    """An operand in a few words: a Ref by its id, a step by its text, an array by its type."""
    if isinstance(value, Ref):
        return f"%{value.id}"
    if isinstance(value, TapeM):
        return step_text(cast(TapeM[Any], value), depth)
    return constant_text(value) if type(value) is np.ndarray else _short(value)


class _Waiting:
    """What is left to do: an op that waits for the operand at `position`, a step; those before it are bound."""

    __slots__ = ("bound", "op", "position", "static")

    def __init__(self, op: Primitive, operands: tuple[Any, ...], static: Static, position: int) -> None:
        """Wait for the first step among the operands."""
        self.op = op
        self.bound = list(operands)
        self.static = static
        self.position = position


class _Running:
    """What is left to do: a program that waits for the step it has asked for; `mark` is the tape it asked on."""

    __slots__ = ("generator", "mark")

    def __init__(self, generator: Any, mark: Tape | None) -> None:
        """Start the program."""
        self.generator = generator
        self.mark = mark


def drive(step: TapeM[A], builder: Recorder) -> A:
    """Take a step on a builder, with an explicit stack of what is still to be done.

    The stack holds bound functions, running programs, and ops that wait for an operand. An error is raised at the
    `yield` of the program that asked for the step, as in plain code; if the program catches it, it goes on from the
    tape on which it had asked.
    """
    mark = builder.mark
    stack: list[Any] = []
    current: Any = step
    error: Exception | None = None
    try:
        while True:
            # Down: take the step at hand, or put off what must wait for its parts.
            result: Any = None
            kind = current.__class__
            try:
                if kind is Apply:
                    op, operands, static = current.parts
                    position = next_step(operands, 0)
                    if position >= 0:
                        stack.append(_Waiting(op, operands, static, position))
                        current = operands[position]
                        continue
                    result = place(op, operands, static, builder)
                elif kind is Bind:
                    current, continuation = current.parts
                    stack.append(continuation)
                    continue
                elif kind is Program:
                    stack.append(_Running(start(*current.parts), mark()))
                elif kind is Effect:
                    result = current.parts[0](builder)
                else:
                    result = settled(current, stack)
            except Exception as raised:
                error = raised
            # Up: hand the result, or the error, to what waits for it, until something asks for another step.
            while stack:
                top = stack[-1]
                if type(top) is _Running:
                    try:
                        if error is None:
                            current = top.generator.send(result)
                        else:
                            builder.rewind(top.mark)
                            current = top.generator.throw(error)
                            error = None
                        top.mark = mark()
                        break
                    except StopIteration as stop:
                        stack.pop()
                        result, error = stop.value, None
                    except Exception as raised:
                        stack.pop()
                        error = of_array(raised, top.generator) or raised
                    continue
                stack.pop()
                if error is not None:
                    continue
                try:
                    if type(top) is _Waiting:
                        top.bound[top.position] = result
                        position = next_step(top.bound, top.position + 1)
                        if position >= 0:
                            top.position = position
                            stack.append(top)
                            current = top.bound[position]
                            break
                        result = place(top.op, tuple(top.bound), top.static, builder)
                    else:
                        current = top(result)
                        if is_step(current):
                            break
                        raise StepError(
                            f"a function given to bind must return a step, but returned {_short(current)}. "
                            "Use .map(f) for a plain function, or wrap the value in tm.pure(...)."
                        )
                except Exception as raised:
                    error = raised
            else:
                if error is not None:
                    raise error
                return cast(A, result)
    finally:
        error = None  # its traceback holds this frame: together they would be a circle, and the tape in it
        for waiting in reversed(stack):
            if type(waiting) is _Running:
                waiting.generator.close()


def of_array(error: Exception, generator: Any) -> StepError | None:
    """The error for `yield from` an array, of which Python says only that its iterator has no `send`."""
    if not isinstance(error, AttributeError) or error.name != "send" or type(error.obj) is not _ROWS:
        return None
    problem = StepError(
        f"the program {generator.__name__} took `yield from` of an array, which is no step: an op that is given arrays "
        "alone computes at once. Make a step of one of them (x = yield from tm.const(x)), or write `yield`, which "
        "hands an array back as it is."
    )
    problem.__cause__ = error
    return problem


_ROWS = type(iter(np.zeros(1)))


def next_step(operands: Sequence[Any], start: int) -> int:
    """The position of the first operand from `start` on that is a step, or -1."""
    for position in range(start, len(operands)):
        if isinstance(operands[position], TapeM):
            return position
    return -1


def is_step(value: Any) -> bool:
    """Whether a value is a step, not yet taken."""
    return isinstance(value, TapeM)


def settled(value: Any, stack: list[Any]) -> Any:
    """A yielded value that is no step but already a tensor: it is handed back as it is."""
    if type(value) in (bool, int, float):
        return value
    kind = getattr(value, "dtype", None)
    if isinstance(kind, np.dtype) and kind.kind in "fiub":
        return value
    running = [waiting.generator for waiting in stack if type(waiting) is _Running]
    where = f"the program {running[-1].__name__}" if running else "a program"
    raise StepError(
        f"{where} yielded {_short(value)}, which is neither a step nor a tensor. Yield what an op returns: "
        "h = yield relu(x)."
    )


def _short(value: object) -> str:
    text = f"{value!r}"
    return text if len(text) <= 60 else f"{text[:57]}..."


class PureDoor:
    """Build the step that applies the op; nothing is computed until it is run."""

    rank: ClassVar[int] = 2

    @staticmethod
    def apply(op: Primitive, operands: tuple[Any, ...], static: Static) -> Any:
        """The step, not yet taken."""
        step = _new(Apply)  # without a constructor in between: this is paid once per op
        _set_parts(step, (op, operands, static))
        return made(step) if CONTEXT.get().constant else step


for _type in (Ref, TapeM, Effect, Apply, Bind, Program):
    register_door(_type, PureDoor)

__all__ = ["Apply", "Bind", "Effect", "Err", "Ok", "Program", "TapeM", "drive"]
