"""Closure conversion: record a function once, and turn everything that it closes over into an explicit input.

An op whose static argument is a program (`checkpoint`, `while_loop`) must not hide a tracer in a closure, where no
sweep would find it. So the function runs on a new recorder, one level up, which turns every outer tracer that the
function uses into an additional input. The result is data, a `Program`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tapem.core import NOTHING, Node, Primitive, Static, Structure, UnknownNumber, tree_flatten
from tapem.doors.direct import Recorder, Tracer, current_recorder, home, new_recorder, opened, results_of
from tapem.doors.monadic import run_if_program
from tapem.errors import TapeError
from tapem.ops import astype
from tapem.transforms.program import Program, kind_of


class Conversion(NamedTuple):
    """The result of `convert_closure`: the program, the outer tracers that follow its inputs, and its outputs."""

    program: Program
    captures: list[Tracer]
    outputs: list[Any]
    structure: Structure


def convert_closure(
    f: Callable[..., Any],
    leaves: Sequence[Any],
    rebuild: Callable[[Sequence[Any]], tuple[Sequence[Any], Mapping[str, Any]]],
) -> Conversion:
    """Record `f(*args, **kwargs)`, where `rebuild(leaves)` returns its arguments.

    The outputs are values, or ShapeDtypes if the current recorder is abstract.
    """

    below = current_recorder()
    recorder = new_recorder(abstract=below is not None and below.abstract, capturing=True)
    return opened(recorder, convert, f, leaves, rebuild, getattr(f, "__name__", type(f).__name__))


def convert(
    recorder: Recorder,
    f: Callable[..., Any],
    leaves: Sequence[Any],
    rebuild: Callable[[Sequence[Any]], tuple[Sequence[Any], Mapping[str, Any]]],
    name: str,
) -> Conversion:
    """The same on a new capturing recorder, which is the current one already."""
    inputs = [input_leaf(recorder, leaf) for leaf in leaves]
    arguments, options = rebuild([Tracer(recorder, node) for node in inputs])
    values, structure = tree_flatten(run_if_program(f(*arguments, **options), recorder))
    outputs = [output_node(recorder, value) for value in values]
    assert recorder.captures is not None
    captured = list(recorder.captures.values())
    ids = [node.id for node in inputs] + [node.id for _, node in captured]
    program = Program.of(recorder.nodes, ids, [node.id for node in outputs], name)
    return Conversion(program, [tracer for tracer, _ in captured], [node.output for node in outputs], structure)


def traced(f: Callable[..., Sequence[Any]], kinds: Sequence[Any], name: str) -> Program:
    """The program of a function of arrays, from their shapes and dtypes alone: a ShapeDtype or number per argument.

    Nothing is computed, and loops and branches stay whole. The function returns a sequence of arrays. Raises TapeError
    if it closes over a tracer.
    """
    converted = opened(new_recorder(abstract=True, capturing=True, whole=True), convert, f, kinds, no_options, name)
    if converted.captures:
        raise TapeError(f"{name} closes over {converted.captures[0]!r}. Pass it as an argument.")
    return converted.program


def strong(value: Any) -> Any:
    """A Python number that is differentiated, as an array: the state of a loop changes, and so does its cotangent."""
    number = type(value) is Tracer and type(value.node.output) is UnknownNumber and value.node.requires_grad
    return astype(value, value.dtype) if number else value


def no_options(values: Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The arguments and options of a function of flat values."""
    return values, NOTHING


def input_leaf(recorder: Recorder, value: Any) -> Node:
    """The input node of a value: it holds the value, or only its shape and dtype if the recorder is abstract."""
    if recorder.abstract:
        if type(value) not in (bool, int, float, complex):
            value = kind_of(value)
        elif recorder.whole:
            value = UnknownNumber.like(value)
        return recorder.leaf(value, requires_grad=type(value) is not UnknownNumber)
    return recorder.leaf(value.node.output, copy=False) if type(value) is Tracer else recorder.leaf(value)


def is_tensor(value: Any) -> bool:
    """Whether a value may have a derivative here or in an outer transform: a tracer, floats or complex numbers."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return type(value) is Tracer or isinstance(value, float | complex) or kind in ("f", "c")


def output_node(recorder: Recorder, value: Any) -> Node:
    """The node of an output; a constant, or an outer tracer that the function returns, gets a new node."""
    if type(value) is Tracer:
        return value.node if value.recorder is recorder else recorder.capture(value)
    return recorder.leaf(value, requires_grad=False)


def record_computed(
    op: Primitive, operands: Sequence[Any], static: Mapping[str, Any], outputs: tuple[Any, ...]
) -> Sequence[Any]:
    """Record an op whose outputs `convert_closure` has computed already; returns the tracers of its results."""
    if not outputs:
        return ()
    recorder: Recorder = home(operands, op.usage)
    node = recorder.record(op, operands, Static(static), (outputs, None))
    return results_of(recorder, node)
