"""TapeM: a description of a step `Tape -> (A, Tape)`, as data.

A step is one op, a step with a function of its result, a program of steps, or a function of the builder. The driver
runs steps; it lies above this file and registers itself here. The laws of the monad hold:

    pure(a).bind(f) == f(a)        m.bind(pure) == m        m.bind(f).bind(g) == m.bind(lambda a: f(a).bind(g))
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

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
from tapem.doors.monadic.outcome import Err, Ok
from tapem.doors.pure.ref import Deferred, Ref
from tapem.doors.pure.tape import Tape
from tapem.errors import StepError, TapeError
from tapem.types import short_text

A = TypeVar("A")
B = TypeVar("B")
A_co = TypeVar("A_co", covariant=True)


class State(Protocol):
    """The record of a program so far: a Tape, or inside a transform a `RecorderState`."""

    def apply(self, op: Primitive, operands: tuple[Any, ...], static: Static) -> tuple[Any, State]:
        """Record one op: a Ref, or a tuple of Refs where the op has several results; and the next state."""
        ...

    def leaf(self, value: Any, *, name: str | None = None, requires_grad: bool = True) -> tuple[Ref, State]:
        """Record a given value: its Ref, and the next state."""
        ...


class Builder(Protocol):
    """The holder of the state of a running program: every step reads the state and replaces it by the next one."""

    state: Any
    """A `State`. A program that catches an error returns to the state that it had at the `yield` of the failed step."""

    def direct(self, f: Callable[[list[Any]], Any], values: list[Any]) -> Any:
        """The result of direct code, which sees tracers instead of Refs and may return a step."""
        ...

    def tape(self) -> Tape:
        """The tape of everything recorded so far."""
        ...


class Driver(Protocol):
    """The function that runs a step on a tape; see `register_driver`."""

    def __call__(self, step: TapeM[A], tape: Tape) -> tuple[A, Tape]:
        """The result and the longer tape."""
        ...


class TapeM(Deferred, Generic[A_co]):
    """A step that has not run yet: run on a tape, it returns a result and a longer tape.

    Steps are values. They can run any number of times, on any tape, in any thread. Where an op takes a Ref it also
    takes a step, which runs first.

    >>> import numpy as np, tapem as tm
    >>> program = tm.leaf(np.array([1.0, 2.0])).bind(tm.square).bind(tm.sum)
    >>> out, tape = program.run()
    >>> tape.value(out), len(tape)
    (array(5.), 3)
    """

    __slots__ = ("__weakref__", "parts")

    parts: tuple[Any, ...]
    """The parts of the step; `__init__` of each class defines them."""

    def run(self, tape: Tape | None = None) -> tuple[A_co, Tape]:
        """Run the step on a tape (the empty one by default): the result, and the tape with the recorded nodes.

        An error discards the tape of the failed run and changes nothing else.
        """
        try:
            return _DRIVERS[0](self, tape if type(tape) is Tape else Tape() if tape is None else as_tape(tape, "run"))
        except Exception as error:
            shorten(error)
            raise

    @boundary
    def eval(self, tape: Tape | None = None) -> A_co:
        """Run the step, and return only the result.

        >>> import tapem as tm
        >>> tm.pure(3).eval()
        3
        """
        return self.run(tape)[0]

    @boundary
    def exec(self, tape: Tape | None = None) -> Tape:
        """Run the step, and return only the tape.

        >>> import tapem as tm
        >>> len(tm.leaf(1.0).exec())
        1
        """
        return self.run(tape)[1]

    def attempt(self, tape: Tape | None = None) -> Ok[tuple[A_co, Tape]] | Err:
        """Run the step, and return a `TapeError` as a value instead of raising it.

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
        """Run this step, then the step that `f` returns for its result.

        >>> import tapem as tm
        >>> tm.pure(2).bind(lambda a: tm.pure(a + 1)).eval()
        3
        """
        return made(Bind(self, f))

    def map(self, f: Callable[[A_co], B]) -> TapeM[B]:
        """Run this step, and apply a plain function to its result.

        >>> import tapem as tm
        >>> tm.pure(2).map(str).eval()
        '2'
        """
        return self.bind(lambda result: Effect(lambda _: f(result)))

    def then(self, step: TapeM[B]) -> TapeM[B]:
        """Run this step, drop its result, and run another step; also written `m >> n`.

        >>> import tapem as tm
        >>> (tm.pure(1) >> tm.pure(2)).eval()
        2
        """
        if not isinstance(step, TapeM):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise StepError(f"m.then(n), or m >> n, needs a step for n, not {short_text(step)}; tm.pure(x) makes one.")
        return self.bind(lambda _: step)

    def __rshift__(self, step: TapeM[B]) -> TapeM[B]:
        return self.then(step)

    def __iter__(self) -> Generator[TapeM[Any], Any, A_co]:
        # `h = yield from step` is `h = yield step`, with a type that a checker can follow.
        return (yield self)

    def __repr__(self) -> str:
        return f"<step {step_text(self)}>"


class Effect(TapeM[A_co]):
    """A step that calls a function of the builder: every step that is not an op, a bind or a program."""

    __slots__ = ()

    def __init__(self, action: Callable[[Builder], A_co]) -> None:
        """Describe the action."""
        _set_parts(self, (action,))


class Apply(TapeM[Ref]):
    """The step that applies one op; its operands are Refs, constants, and steps, which run first."""

    __slots__ = ()

    def __init__(self, op: Primitive, operands: tuple[Any, ...], static: Static) -> None:
        """Describe the application."""
        _set_parts(self, (op, operands, static))


class Bind(TapeM[B]):
    """A step, and the function that returns the next step for its result."""

    __slots__ = ()

    def __init__(self, step: TapeM[A], continuation: Callable[[A], TapeM[B]]) -> None:
        """Describe the bind."""
        _set_parts(self, (step, continuation))


class Program(TapeM[A_co]):
    """A `do` program: a generator function and its arguments; every run starts it again."""

    __slots__ = ()

    def __init__(
        self, function: Callable[..., Generator[Any, Any, A_co]], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        """Describe the program."""
        _set_parts(self, (function, arguments, options))


_DRIVERS: list[Driver] = []


def register_driver(driver: Driver) -> None:
    """Register the function that runs steps; called once, where the driver is defined."""
    _DRIVERS[:] = [driver]


def as_tape(tape: object, caller: str) -> Tape:
    """A tape that a user gave; raises StepError for other values. `caller` is the name shown in errors."""
    if not isinstance(tape, Tape):
        raise StepError(f"{caller} needs a Tape, such as tm.Tape() or one that run returned, not {tape!r}.")
    return tape


def made(step: TapeM[A]) -> TapeM[A]:
    """A step for the user: under no_grad, the results of the step are constants, whenever it runs."""
    return Bind(step, cut_off) if CONTEXT.get().constant else step


def cut_off(result: Any) -> TapeM[Any]:
    """The step that returns a tree in which every Ref that requires a gradient is detached."""
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


def step_text(step: TapeM[Any], depth: int = 3) -> str:
    """A step in one line: an op with its operands; steps among them are shown down to `depth` levels."""
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
    """The short text of an operand: a Ref as its id, a step as its text, an array as its type."""
    if isinstance(value, Ref):
        return f"%{value.id}"
    if isinstance(value, TapeM):
        return step_text(cast(TapeM[Any], value), depth)
    return constant_text(value) if type(value) is np.ndarray else short_text(value)


def is_step(value: Any) -> bool:
    """Whether a value is a step that has not run yet."""
    return isinstance(value, TapeM)


class PureDoor:
    """Build the step that applies the op; nothing is computed until the step runs."""

    rank: ClassVar[int] = 2

    @staticmethod
    def apply(op: Primitive, operands: tuple[Any, ...], static: Static) -> Any:
        """The step that applies the op."""
        step = _new(Apply)  # not by the constructor, which would cost time for every op
        _set_parts(step, (op, operands, static))
        return made(step) if CONTEXT.get().constant else step


DEFERRED = frozenset({Ref, TapeM, Effect, Apply, Bind, Program})
"""The classes of operands of which an op makes a step."""

for _type in DEFERRED:
    register_door(_type, PureDoor)

__all__ = [
    "DEFERRED", "Apply", "Bind", "Builder", "Driver", "Effect", "Program", "State", "TapeM", "as_tape", "is_step",
    "made", "register_driver",
]  # fmt: skip
