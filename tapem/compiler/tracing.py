"""Tracing for compile: a function and its arguments as a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tapem.compiler.randomness import random_states
from tapem.core import ShapeDtype, Structure, UnknownNumber, tree_flatten
from tapem.doors.direct import Recorder, Tracer, new_recorder, opened
from tapem.doors.monadic import run_if_program
from tapem.errors import ArgumentError, DTypeError
from tapem.transforms import Program
from tapem.types import NUMBERS, as_tensor


class Traced(NamedTuple):
    """A function at some shapes and dtypes: its program, and the structure of its result."""

    program: Program
    structure: Structure


def traced(
    call: Callable[[list[Any]], Any], kinds: Sequence[Any], name: str, sources: Sequence[Any] = (), plain: bool = False
) -> Traced | None:
    """Trace `call(leaves)` on leaves of which only shapes and dtypes are known; None if it uses an outer tracer.

    `name` is that of the function; in `sources` generators of random numbers are looked for. With
    `plain`, operators are recorded as they compute with NumPy's scalars, to the bit. Raises
    ConcretizationError where the function reads a value, ArgumentError if it draws random numbers, DTypeError if it
    returns what is no tree of arrays.
    """

    def record(recorder: Recorder) -> Traced | None:
        inputs = [recorder.leaf(kind, requires_grad=False) for kind in kinds]
        before = random_states(sources)
        result = run_if_program(call([Tracer(recorder, node) for node in inputs]), recorder)
        if random_states(sources) != before:
            raise ArgumentError(
                f"compile: {name} draws from a random generator or a global random state, so the numbers drawn now "
                "would be the same at every call. Pass a key of tm.random as an argument."
            )
        leaves, structure = tree_flatten(result)
        outputs = [output_of(recorder, leaf, name) for leaf in leaves]
        if recorder.captures:
            return None
        program = Program.of(recorder.nodes, [node.id for node in inputs], outputs, name)
        return Traced(program, structure)

    return opened(new_recorder(abstract=True, capturing=True, whole=True, plain=plain), record)


def kind_of_leaf(leaf: Any) -> ShapeDtype:
    """What a trace knows of a leaf: shape and dtype, or the type of a Python number."""
    return UnknownNumber.like(leaf) if type(leaf) in (bool, int, float, complex) else ShapeDtype.of(leaf)


def output_of(recorder: Recorder, value: Any, name: str) -> int:
    """The id of the node of an output; a constant gets a node."""
    if type(value) is Tracer:
        return value.node.id if value.recorder is recorder else recorder.capture(value).id
    if type(value) not in NUMBERS:
        try:
            value = as_tensor(value, op="compile", argument=f"what {name} returns")
        except DTypeError as error:
            raise DTypeError(f"compile: {name} must return a tree of arrays and numbers. {error}") from None
    return recorder.leaf(value, requires_grad=False).id


__all__ = ["Traced", "kind_of_leaf", "traced"]
