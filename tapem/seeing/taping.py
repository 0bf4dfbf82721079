"""tape_of: the tape of a plain function, with the places of its arguments and results on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tapem.core import CONTEXT, ROOT, ShapeDtype, leaf_names, prepared, run, tree_flatten, tree_unflatten
from tapem.display import html_of, rich_of
from tapem.doors.direct import Recorder, Tracer, new_recorder, opened
from tapem.doors.monadic import run_if_program
from tapem.doors.pure import Ref, Tape
from tapem.errors import ArgumentError
from tapem.seeing.origins import Origin, OriginNotes
from tapem.transforms import as_function
from tapem.types import NUMBERS, argument_names, as_tensor


class Taped(NamedTuple):
    """The tape of a function at one point.

    `inputs` are the Refs of its arguments, as the tuple of their trees, and `outputs` those of its result, in its tree.
    `origins` maps a node's id to the line of the user's code that made it, and the calls around it.
    """

    tape: Tape
    inputs: tuple[Any, ...]
    outputs: Any
    origins: Mapping[int, Origin]

    _repr_html_ = html_of
    __rich__ = rich_of

    def __repr__(self) -> str:
        return f"{self.tape!r}\n  inputs {self.inputs}\n  outputs {self.outputs}"


def tape_of(f: Callable[..., Any], *arguments: Any, abstract: bool = False) -> Taped:
    """Run f on arrays, numbers or trees of them, and return the tape of everything that it computes.

    Every leaf of the arguments is a leaf of the tape, named after its place; those that are floats or complex numbers
    require a gradient. With `abstract=True` the arguments may be `ShapeDtype`s, and the tape holds shapes only.
    A `do` program is run as well.

    Raises ArgumentError if f is no function or an argument is no tree of arrays, ConcretizationError if f reads a value
    of an abstract tape.

    >>> import numpy as np, tapem as tm
    >>> taped = tape_of(lambda x: np.sum(np.sin(x) * 2.0), np.zeros(3))
    >>> print(taped.tape)
    Tape of 4 nodes
      %0  f64[3]  leaf 'x'  requires grad
      %1  f64[3]  sin(%0)
      %2  f64[3]  mul(%1, 2.0)
      %3  f64[]   sum(%2, axis=None, keepdims=False)
    >>> taped.inputs, taped.outputs
    ((Ref 0 'x' f64[3],), Ref 3 f64[])
    >>> taped.tape.backward_scalar(taped.outputs)[taped.inputs[0]]
    array([2., 2., 2.])
    """
    f = as_function(f, "tape_of")
    notes = OriginNotes()

    def record(recorder: Recorder) -> Taped:
        inputs: list[Any] = []
        for tree, name in zip(arguments, argument_names(f, len(arguments)), strict=True):
            leaves, structure = tree_flatten(tree)
            names = [name if place == ROOT else f"{name}.{place}" for place in leaf_names(tree)]
            nodes = [recorder.leaf(as_kind(leaf, abstract), name=own) for leaf, own in zip(leaves, names, strict=True)]
            inputs.append(tree_unflatten(structure, [Tracer(recorder, node) for node in nodes]))
        result = run_if_program(f(*inputs), recorder)
        leaves, structure = tree_flatten(result)
        places = [output_of(recorder, leaf) for leaf in leaves]
        tape = recorder.tape()
        found, inner = tree_flatten(tuple(inputs))
        refs = tree_unflatten(inner, [Ref(tracer.node) for tracer in found])
        outputs = tree_unflatten(structure, [Ref(tape[place]) for place in places])
        return Taped(tape, refs, outputs, MappingProxyType(notes.origins))

    return run(prepared(CONTEXT.get()._replace(watcher=notes)), opened, new_recorder(abstract=abstract), record)


def as_kind(leaf: Any, abstract: bool) -> Any:
    """A leaf as the tape takes it: its array, or on an abstract tape its shape and dtype."""
    if isinstance(leaf, ShapeDtype):
        if not abstract:
            raise ArgumentError(f"tape_of: {leaf} has no values; give arrays, or abstract=True for shapes only.")
        return leaf
    value = leaf if type(leaf) in NUMBERS else as_tensor(leaf, op="tape_of", argument="an argument")
    return ShapeDtype.of(value) if abstract else value


def output_of(recorder: Recorder, value: Any) -> int:
    """The id of the node of a result; a result that depends on no argument gets a node."""
    if type(value) is Tracer and value.recorder is recorder:
        return value.node.id
    return recorder.leaf(as_tensor(value, op="tape_of", argument="the result"), requires_grad=False).id


__all__ = ["Taped", "tape_of"]
