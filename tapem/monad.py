"""TapeM: a description of a step `Tape -> (A, Tape)`, and the driver that takes it.

A step is data: one op, or one step bound to what comes after. `run` drives a program with a loop and an explicit stack
of continuations, never by recursion, so programs of any length run. The laws of the monad hold:

    pure(a).bind(f) == f(a)        m.bind(pure) == m        m.bind(f).bind(g) == m.bind(lambda a: f(a).bind(g))
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any, ClassVar, Final, Generic, NamedTuple, NoReturn, TypeVar, cast

import numpy as np

from tapem.errors import StepError, TapeError
from tapem.node import NUMBERS, Node, Static
from tapem.operators import Operators
from tapem.ops.structure import pick
from tapem.primitive import Primitive, register_door
from tapem.recorder import Recorder
from tapem.tape import Ref, Tape, leaf_node, op_node
from tapem.tracer import Tracer

A = TypeVar("A")
B = TypeVar("B")
A_co = TypeVar("A_co", covariant=True)


class Ok(NamedTuple, Generic[A]):
    """What `attempt` returns when the program ran: `value` is `(result, tape)`.

    >>> import tapem as tm
    >>> tm.pure(1).attempt().value[0]
    1
    """

    value: A


class Err(NamedTuple):
    """What `attempt` returns when the program failed: the error, as a value.

    >>> import tapem as tm
    >>> tm.fail(tm.TapeError("no")).attempt().error
    TapeError('no')
    """

    error: TapeError


class Builder(Recorder):
    """The driver's recorder: it extends the buffer of a tape, and makes a copy if someone else took the end."""

    __slots__ = ()

    def append(self, node: Node) -> Node:
        """Append a node, in a private copy of the buffer if the place is taken."""
        nodes = self.nodes
        nodes.append(node)
        if nodes[node.id] is not node:
            self.nodes = [*nodes[: node.id], node]
        return node

    def restart(self, tape: Tape) -> None:
        """Go on from another tape."""
        self.nodes = tape.buffer()


class TapeM(Operators["TapeM[Ref]"], Generic[A_co]):
    """A step that has not been taken yet: run on a tape, it gives a result and a longer tape.

    Steps are values. They can be run any number of times, on any tape, in any thread. Where an op takes a Ref it also
    takes a step, which it binds first.

    >>> import numpy as np, tapem as tm
    >>> program = tm.leaf(np.array([1.0, 2.0])).bind(tm.square).bind(tm.sum)
    >>> out, tape = program.run()
    >>> tape.value(out), len(tape)
    (array(5.), 3)
    """

    __slots__ = ("__weakref__",)

    def run(self, tape: Tape | None = None) -> tuple[A_co, Tape]:
        """Take the step on a tape (the empty one by default): the result and the tape with what was recorded.

        An error discards the tape of the failed run and touches nothing else.
        """
        builder = Builder(nodes=[] if tape is None else tape.buffer())
        try:
            return drive(self, builder), builder.tape()
        finally:
            builder.end()

    def eval(self, tape: Tape | None = None) -> A_co:
        """Run, and keep the result only.

        >>> import tapem as tm
        >>> tm.pure(3).eval()
        3
        """
        return self.run(tape)[0]

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
        <class 'tapem.monad.Err'>
        """
        try:
            return Ok(self.run(tape))
        except TapeError as error:
            return Err(error)

    def bind(self, f: Callable[[A_co], TapeM[B]]) -> TapeM[B]:
        """Take this step, then the step that `f` makes of its result.

        >>> import tapem as tm
        >>> tm.pure(2).bind(lambda a: tm.pure(a + 1)).eval()
        3
        """
        return Bind(self, f)

    def map(self, f: Callable[[A_co], B]) -> TapeM[B]:
        """Take this step, and apply a plain function to its result.

        >>> import tapem as tm
        >>> tm.pure(2).map(str).eval()
        '2'
        """
        return Bind(self, lambda result: Effect(lambda _: f(result)))

    def then(self, step: TapeM[B]) -> TapeM[B]:
        """Take this step, drop its result, and take another; also written `m >> n`.

        >>> import tapem as tm
        >>> (tm.pure(1) >> tm.pure(2)).eval()
        2
        """
        return Bind(self, lambda _: step)

    def __rshift__(self, step: TapeM[B]) -> TapeM[B]:
        return self.then(step)

    def __iter__(self) -> Generator[TapeM[Any], Any, A_co]:
        # `h = yield from step` is `h = yield step`, with a type that a checker can follow.
        return (yield self)

    def __bool__(self) -> NoReturn:
        raise TypeError("a step has no truth value: it has not been taken. Bind it first, and read tape.value(ref).")


class Effect(TapeM[A_co]):
    """A step that is a function of the builder: every step that is not an op, a bind or a program."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[Recorder], A_co]) -> None:
        """Describe the action."""
        self.action: Final = action


class Apply(TapeM[Ref]):
    """The step that applies one op; its operands are Refs, constants, and steps that are bound first."""

    __slots__ = ("op", "operands", "static")

    def __init__(self, op: Primitive, operands: tuple[Any, ...], static: Static) -> None:
        """Describe the application."""
        self.op: Final = op
        self.operands: Final = operands
        self.static: Final = static

    def __repr__(self) -> str:
        return f"<step {self.op.name}({', '.join(map(_short, self.operands))})>"


class Bind(TapeM[B]):
    """A step, and the function that makes the next step of its result."""

    __slots__ = ("continuation", "step")

    def __init__(self, step: TapeM[A], continuation: Callable[[A], TapeM[B]]) -> None:
        """Describe the bind."""
        self.step: Final[TapeM[Any]] = step
        self.continuation: Final[Callable[[Any], TapeM[B]]] = continuation


class Program(TapeM[A_co]):
    """A `do` program: a generator function and its arguments, started afresh by every run."""

    __slots__ = ("arguments", "function", "options")

    def __init__(
        self, function: Callable[..., Generator[Any, Any, A_co]], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        """Describe the program."""
        self.function: Final = function
        self.arguments: Final = arguments
        self.options: Final = options

    def __repr__(self) -> str:
        return f"<program {self.function.__name__}>"


class _Operands(NamedTuple):
    """A continuation: an op that waits for the operands that are steps."""

    step: Apply
    bound: list[Any]
    position: int


def drive(step: TapeM[A], builder: Recorder) -> A:
    """Take a step on a builder, with an explicit stack of what is still to be done.

    The stack holds bound functions, running generators, and ops that wait for an operand. An error of ours is thrown
    into the generator that asked for the failing step, so that it is raised at the user's line.
    """
    stack: list[Any] = []
    current: Any = step
    try:
        while True:
            error: Exception | None = None
            result: Any = None
            kind = type(current)
            if kind is Bind:
                stack.append(current.continuation)
                current = current.step
                continue
            if kind is Program:
                stack.append(current.function(*current.arguments, **current.options))
            else:
                try:
                    if kind is Apply:
                        position = next_step(current.operands, 0)
                        if position >= 0:
                            stack.append(_Operands(current, list(current.operands), position))
                            current = current.operands[position]
                            continue
                        result = place(current, current.operands, builder)
                    elif kind is Effect:
                        result = current.action(builder)
                    else:
                        result = settled(current, stack)
                except TapeError as raised:
                    error = raised
            # Hand the result down the stack until something asks for another step.
            while True:
                if not stack:
                    if error is not None:
                        raise error
                    return cast(A, result)
                top = stack[-1]
                if type(top) is _Operands and error is None:
                    top.bound[top.position] = result
                    following = next_step(top.step.operands, top.position + 1)
                    stack.pop()
                    if following >= 0:
                        stack.append(top._replace(position=following))
                        current = top.step.operands[following]
                        break
                    try:
                        result = place(top.step, tuple(top.bound), builder)
                    except TapeError as raised:
                        error = raised
                elif type(top) is GeneratorType:
                    try:
                        current = top.send(result) if error is None else top.throw(error)
                        break
                    except StopIteration as stop:
                        stack.pop()
                        result, error = stop.value, None
                    except Exception as raised:
                        # The program's own exception: the program that asked for it may catch it, as in plain code.
                        stack.pop()
                        error = raised
                elif error is None:
                    stack.pop()
                    current = top(result)
                    if isinstance(current, TapeM):
                        break
                    error = StepError(
                        f"a function given to bind must return a step, but returned {_short(current)}. "
                        "Use .map(f) for a plain function, or wrap the value in tm.pure(...)."
                    )
                else:
                    stack.pop()
    finally:
        for waiting in reversed(stack):
            if type(waiting) is GeneratorType:
                waiting.close()


def next_step(operands: tuple[Any, ...], start: int) -> int:
    """The position of the first operand from `start` on that is a step, or -1."""
    for position in range(start, len(operands)):
        if isinstance(operands[position], TapeM):
            return position
    return -1


def place(step: Apply, operands: tuple[Any, ...], builder: Recorder) -> Any:
    """Record one op on the builder: a Ref, or a tuple of Refs where the op has several results."""
    if type(builder) is not Builder:  # direct code is at work: its door records the op
        return as_refs(step.op(*as_tracers(operands, builder), **step.static))
    node = builder.append(op_node(step.op, operands, step.static, builder.nodes, len(builder.nodes)))
    if type(node.output) is tuple:
        return tuple(
            Ref(builder.append(op_node(pick, (Ref(node),), {"index": index}, builder.nodes, len(builder.nodes))))
            for index in range(len(node.output))
        )
    return Ref(node)


def as_tracers(values: tuple[Any, ...], recorder: Recorder) -> tuple[Any, ...]:
    """The values with every Ref as the tracer that direct code takes in its place."""
    return tuple(Tracer(recorder, value.node) if type(value) is Ref else value for value in values)


def as_refs(value: Any) -> Any:
    """The result of an op with every tracer as the Ref that a program takes in its place."""
    if type(value) is tuple:
        return tuple(map(as_refs, value))
    return Ref(value.node) if type(value) is Tracer else value


def settled(value: Any, stack: list[Any]) -> Any:
    """A yielded value that is no step but already a tensor: it is handed back as it is."""
    if isinstance(value, Ref | Tracer | np.ndarray) or type(value) in NUMBERS:
        return value
    generators = [waiting for waiting in stack if type(waiting) is GeneratorType]
    where = f"the program {generators[-1].gi_code.co_name} yielded" if generators else "a program yielded"
    raise StepError(
        f"{where} {_short(value)}, which is neither a step nor a tensor. Yield what an op returns: h = yield relu(x)."
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
        return Apply(op, operands, static)


register_door(Ref, PureDoor)
for _step in (TapeM, Effect, Apply, Bind, Program):
    register_door(_step, PureDoor)

__all__ = ["Apply", "Bind", "Effect", "Err", "Ok", "Program", "TapeM", "drive", "leaf_node"]
