"""Programs of steps: do-notation, the monad's primitives, leaves, and the backward sweep as a step."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterable
from typing import Any, ParamSpec, TypeVar

from tapem.core import tree_flatten, tree_leaves, tree_map, tree_unflatten
from tapem.doors.direct.recorder import Recorder
from tapem.doors.direct.tracer import Tracer
from tapem.doors.monadic.builder import as_ref
from tapem.doors.monadic.driver import run_if_program
from tapem.doors.monadic.step import Bind, Builder, Effect, Program, TapeM, as_tape, is_step, made
from tapem.doors.pure.gradients import Gradients
from tapem.doors.pure.ref import Ref
from tapem.doors.pure.tape import Tape
from tapem.errors import StepError, TapeError

A = TypeVar("A")
B = TypeVar("B")
P = ParamSpec("P")


def pure(value: A) -> TapeM[A]:
    """The step that records nothing and returns the value.

    >>> pure(1).eval()
    1
    """
    return Effect(lambda _: value)


def fail(error: TapeError | str) -> TapeM[Any]:
    """The step that fails: `run` raises the error, `attempt` returns it as `Err`.

    The error is a message, or a `TapeError`, from which your own class may derive. Raises StepError for other values.

    >>> fail("no such layer").attempt()
    Err(error=TapeError('no such layer'))
    """
    problem = TapeError(error) if isinstance(error, str) else error
    if not isinstance(problem, TapeError):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise StepError(f"fail needs a message or a TapeError (a class of your own may derive from it), not {error!r}.")

    def action(_: Builder) -> Any:
        raise problem

    return Effect(action)


def get_tape() -> TapeM[Tape]:
    """The step that returns the current tape.

    >>> (leaf(1.0) >> get_tape()).map(len).eval()
    1
    """
    return Effect(lambda builder: builder.tape())


def set_tape(tape: Tape) -> TapeM[None]:
    """The step that continues with another tape.

    Raises StepError inside a transform, whose tape cannot be replaced.

    >>> (leaf(1.0) >> set_tape(Tape())).exec()
    Tape of 0 nodes
    """

    as_tape(tape, "set_tape")

    def action(builder: Builder) -> None:
        if not isinstance(builder.state, Tape):
            raise StepError("set_tape: inside grad, vmap and the like the tape belongs to the transform.")
        builder.state = tape

    return Effect(action)


def leaf(value: Any, *, name: str | None = None, requires_grad: bool = True) -> TapeM[Ref]:
    """The step that appends a given value; it returns a tracer's Ref or a Ref without appending.

    >>> import numpy as np
    >>> leaf(np.ones(2), name="x").eval()
    Ref 0 'x' f64[2]
    """

    def action(builder: Builder) -> Ref:
        if type(value) is Ref:
            return value
        if type(value) is Tracer:
            return Ref(value.node)
        ref, builder.state = builder.state.leaf(value, name=name, requires_grad=requires_grad)
        return ref

    return Effect(action)


def param(value: Any, *, name: str | None = None) -> TapeM[Ref]:
    """The step that appends a value that requires a gradient.

    >>> param(1.0, name="w").exec()
    Tape of 1 node
      %0  f64[]  leaf 'w'  requires grad
    """
    return leaf(value, name=name, requires_grad=True)


def const(value: Any, *, name: str | None = None) -> TapeM[Ref]:
    """The step that appends a value that requires no gradient.

    >>> const(1.0, name="c").exec()
    Tape of 1 node
      %0  f64[]  leaf 'c'
    """
    return leaf(value, name=name, requires_grad=False)


def do(program: Callable[P, Generator[Any, Any, A]]) -> Callable[P, TapeM[A]]:
    """Turn a generator function into a program: each `yield step` runs the step and returns its result.

    `h = yield from step` does the same, with a type that a type checker can infer. The program can run any number of
    times. Called with tracers, inside a transform, it runs at once.

    >>> import numpy as np, tapem as tm
    >>> @do
    ... def model(x):
    ...     h = yield from tm.square(x)
    ...     out = yield from tm.sum(h)
    ...     return out
    >>> x, tape = tm.Tape().leaf(np.array([1.0, 2.0]))
    >>> y, tape = model(x).run(tape)
    >>> tape.value(y)
    array(5.)
    """

    if not inspect.isgeneratorfunction(inspect.unwrap(program)):
        name = getattr(program, "__name__", repr(program))
        raise StepError(f"do: {name} is not a generator function: a program yields its steps (h = yield relu(x)).")

    @functools.wraps(program)
    def build(*arguments: P.args, **options: P.kwargs) -> TapeM[A]:
        recorder = recorder_of(arguments, options)
        if recorder is None:
            return made(Program(program, arguments, dict(options)))
        refs, ref_options = tree_map(lambda leaf: as_ref(leaf, recorder), (arguments, options))
        # A caller inside a transform expects the result that plain code would return.
        return run_if_program(Program(program, refs, ref_options), recorder)

    return build


def lift(f: Callable[..., Any]) -> Callable[..., TapeM[Any]]:
    """A direct function as a monadic one: called with Refs, it gives a step that records what `f` computes.

    If f returns an array or a float that it did not compute from its arguments, this becomes a constant of the tape.

    >>> import numpy as np
    >>> f = lift(lambda x: np.sum(np.sin(x)))
    >>> out, tape = leaf(np.zeros(2)).bind(f).run()
    >>> tape.value(out)
    array(0.)
    """

    @functools.wraps(f)
    def build(*arguments: Any, **options: Any) -> TapeM[Any]:
        leaves, structure = tree_flatten((arguments, options))

        def call(values: list[Any]) -> Any:
            inputs, keywords = tree_unflatten(structure, values)
            return f(*inputs, **keywords)

        def body(bound: list[Any]) -> TapeM[Any]:
            return Bind(
                Effect(lambda builder: builder.direct(call, bound)),
                lambda result: result if is_step(result) else pure(result),
            )

        return sequence(leaves).bind(body)

    return build


def recorder_of(arguments: tuple[Any, ...], options: dict[str, Any]) -> Recorder | None:
    """The recorder of the highest level among the tracers of the arguments, or None."""
    if not options and _REF.issuperset(map(type, arguments)):
        return None
    found: Recorder | None = None
    for value in tree_leaves((arguments, options)):
        if type(value) is Tracer and (found is None or value.recorder.level > found.level):
            found = value.recorder
    return found


_REF = frozenset({Ref})


def sequence(steps: Any) -> TapeM[Any]:
    """Run every step of a tree (or an iterable), and return the tree of the results; other leaves stay unchanged.

    >>> sequence({"a": pure(1), "b": [pure(2), 3]}).eval()
    {'a': 1, 'b': [2, 3]}
    """
    leaves, structure = tree_flatten(_as_tree(steps))

    def sequencing() -> Generator[Any, Any, Any]:
        results: list[Any] = []
        for value in leaves:
            results.append((yield value) if isinstance(value, TapeM) else value)
        return tree_unflatten(structure, results)

    return made(Program(sequencing, (), {}))


def traverse(f: Callable[..., TapeM[Any]], xs: Any) -> TapeM[Any]:
    """Apply `f` to every leaf of a tree (or item of an iterable), and run the steps that it returns.

    >>> traverse(lambda x: pure(x + 1), [1, 2]).eval()
    [2, 3]
    """
    leaves, structure = tree_flatten(_as_tree(xs))

    def traversing() -> Generator[Any, Any, Any]:
        results: list[Any] = []
        for value in leaves:
            results.append((yield f(value)))
        return tree_unflatten(structure, results)

    return made(Program(traversing, (), {}))


def fold(f: Callable[[A, B], TapeM[A]], init: A, xs: Iterable[B]) -> TapeM[A]:
    """Thread a state through `f`, once per item: `f(f(init, x0), x1)` and so on.

    >>> fold(lambda total, x: pure(total + x), 0, [1, 2, 3]).eval()
    6
    """

    items = tuple(xs)  # an iterator can be consumed only once, but a step may run often

    def folding() -> Generator[Any, Any, A]:
        state = init
        for x in items:
            state = yield f(state, x)
        return state

    return made(Program(folding, (), {}))


def _as_tree(xs: Any) -> Any:
    # An iterator can be consumed only once, but a step may run often.
    return list(xs) if hasattr(xs, "__next__") else xs


def backward_scalar(out: Ref | TapeM[Ref]) -> TapeM[Gradients]:
    """The step that sweeps backward from a scalar and does not change the tape.

    Raises NotScalarError for an output whose shape is not ().

    >>> import numpy as np, tapem as tm
    >>> leaf(np.array([1.0, 2.0])).bind(tm.square).bind(tm.sum).bind(backward_scalar).eval()[0]
    array([2., 4.])
    """
    return sequence(out).bind(lambda ref: Effect(lambda builder: builder.tape().backward_scalar(ref)))


def backward(outputs: Any, cotangents: Any, show_graph: bool = False) -> TapeM[Gradients]:
    """The step that sweeps backward from one or several outputs, each with a cotangent of its shape.

    `show_graph` prints the sweep: the contributions of each node to its parents.

    >>> import numpy as np, tapem as tm
    >>> leaf(np.array([1.0, 2.0])).bind(tm.square).bind(lambda y: backward(y, np.ones(2))).eval()[0]
    array([2., 4.])
    """

    def sweep(refs: Any) -> TapeM[Gradients]:
        return Effect(lambda builder: builder.tape().backward(refs, cotangents, show_graph))

    return sequence(outputs).bind(sweep)
