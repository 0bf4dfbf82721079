"""Loops that stay whole: `scan` as one node of a tape whose values will never be known, as that of `tm.compile`.

The body is recorded once, whatever the number of steps. So the state must keep its shapes and dtypes from step to step.
A Python number at the start has no dtype of its own: it takes the one that the body gives it, and stays a Python number
if the body returns one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tapem.core import ShapeDtype, Structure, UnknownNumber, leaves_like, taken, tree_flatten, tree_unflatten
from tapem.doors.direct import Tracer, home
from tapem.errors import DTypeError, ShapeError, TapeError
from tapem.ops import stack
from tapem.transforms.arguments import as_pair
from tapem.transforms.calls import call
from tapem.transforms.closure_conversion import Conversion, convert_closure, no_options, strong, traced
from tapem.transforms.loop_batches import batched_kinds, batched_program, dependent, mapped_state, repeated
from tapem.transforms.program import Program, is_unknown, kind_of, linked


@dataclass(frozen=True, eq=False)
class Scan:
    """The program of a loop of known length, whose inputs are the carry, the xs, and what the body captures.

    Its body turns carry, slices of the xs and captures into the next carry and the rows of the ys. Its outputs are the
    last carry and the stacked ys. Of the inputs, `count` are carry and `xs` are xs. With `reverse` it goes from the
    last slice to the first one, and row i of the ys still belongs to slice i. A `length` of None is that of the xs,
    which is known only when the loop runs: such xs have a first axis of length -1 on abstract tapes.
    """

    body: Program
    count: int
    xs: int
    length: int | None
    reverse: bool = False

    __name__ = "scan"

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for these inputs; one node if their values are not known."""
        if any(map(is_unknown, inputs)):
            return call(*inputs, program=self)
        state, xs, captured = inputs[: self.count], inputs[self.count :][: self.xs], inputs[self.count + self.xs :]
        length = np.shape(xs[0])[0] if self.length is None else self.length
        order = range(length)[:: -1 if self.reverse else 1]
        kinds = [node.output for node in self.body.nodes[self.count :]]
        columns = [slices(x, kind) for x, kind in zip(xs, kinds, strict=False)]
        rows: list[Sequence[Any]] = []
        for step in order:
            outputs = self.body(*state, *(column[step] for column in columns), *captured)
            state = outputs[: self.count]
            rows.append(outputs[self.count :])
        return (*state, *stacked(rows[:: -1 if self.reverse else 1], row_kinds(self.body, self.count)))

    @property
    def kinds(self) -> list[ShapeDtype]:
        """Shapes and dtypes of the inputs."""
        kinds = [node.output for node in self.body.nodes[: len(self.body.inputs)]]
        length = -1 if self.length is None else self.length
        for position in range(self.count, self.count + self.xs):
            kinds[position] = ShapeDtype((length, *kinds[position].shape), kinds[position].dtype)
        return kinds

    def shapes(self, *inputs: Any) -> tuple[ShapeDtype, ...]:
        """The carry keeps its shapes; the ys have one row per step."""
        length = -1 if self.length is None else self.length
        carried = [node.output for node in self.body.nodes[: self.count]]
        return (*carried, *(ShapeDtype((length, *kind.shape), kind.dtype) for kind in row_kinds(self.body, self.count)))

    @property
    def links(self) -> list[int]:
        """The links of the carry and of the ys after any number of steps."""
        return loop_links(self.body.links, [1 << number for number in self.body.inputs], self.count)

    def batched(self, size: int, mapped: tuple[bool, ...] | None) -> Program:
        """The scan for all examples: all its outputs have the batch axis first, the mapped inputs too."""
        given = mapped or (True,) * len(self.kinds)
        flags = mapped_state(self.body, self.count, given)
        rows = dependent(self.body, flags)[self.count :]
        body = batched_program(self.body, size, flags, [*flags[: self.count], *rows])
        scan, end = replace(self, body=body), self.count + self.xs

        def run(*inputs: Any) -> list[Any]:
            state = [
                repeated(value, size, own) if flag else value
                for value, own, flag in zip(inputs[: self.count], given, flags, strict=False)
            ]
            xs = [
                np.moveaxis(x, 0, 1) if own else x
                for x, own in zip(inputs[self.count : end], given[self.count : end], strict=True)
            ]
            outputs = call(*state, *xs, *inputs[end:], program=scan)
            last = [repeated(value, size, flag) for value, flag in zip(outputs, flags[: self.count], strict=False)]
            ys = [
                np.moveaxis(y, 0, 1) if row else repeated(y, size, False)
                for y, row in zip(outputs[self.count :], rows, strict=True)
            ]
            return [*last, *ys]

        return traced(run, batched_kinds(self.kinds, size, given), f"batched {self.__name__}")


def loop_links(steps: Sequence[int], masks: Sequence[int], count: int) -> list[int]:
    """The links of a loop from those of its body, the first `count` inputs of which are the state.

    `masks` are those of the body's inputs before the loop.
    """
    state = list(masks[:count])
    while True:
        reached = [linked(step, [*state, *masks[count:]]) for step in steps]
        following = [before | after for before, after in zip(state, reached, strict=False)]
        if following == state:
            return [*state, *reached[count:]]
        state = following


def row_kinds(body: Program, count: int) -> list[ShapeDtype]:
    """The shapes and dtypes of a row of the ys: what a body returns besides its state of `count` values."""
    return [ShapeDtype.of(body.nodes[id].output) for id in body.outputs[count:]]


def slices(x: Any, kind: ShapeDtype) -> Sequence[Any]:
    """The slices of a value along its first axis; Python numbers where the body was recorded with them."""
    if type(kind) is UnknownNumber:
        value: Any = x.node.output if type(x) is Tracer else x
        return [kind.kind(number) for number in value]
    return list(x) if type(x) is Tracer else x


def stacked(rows: Sequence[Sequence[Any]], kinds: Sequence[ShapeDtype]) -> list[Any]:
    """The rows of each output as one array."""
    if not rows:
        return [np.zeros((0, *kind.shape), kind.dtype) for kind in kinds]
    return [
        stack(list(column)) if any(type(value) is Tracer for value in column) else np.array(column, kind.dtype)
        for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)
    ]


def stays_whole(values: Sequence[Any], caller: str) -> bool:
    """Whether a loop over these values is recorded whole, since no value will be known where it is recorded."""
    recorder = home(values, lambda: caller)
    return recorder is not None and recorder.whole


def whole_scan(
    f: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Sequence[Any], structure: Structure, length: int
) -> tuple[Any, Any]:
    """`scan` as one node; `xs` are the leaves of a tree of this structure."""
    leaves, carried = tree_flatten(init)
    out_structure = structure

    @functools.wraps(f)
    def step(*values: Any) -> list[Any]:
        nonlocal out_structure
        state, row = tree_unflatten(carried, values[: len(leaves)]), tree_unflatten(structure, values[len(leaves) :])
        carry, y = as_pair(f(state, row), f, "scan")
        after = leaves_like(carried, carry, "scan: the carry that f is given and the one that it returns")
        ys, out_structure = tree_flatten(y)
        return [*after, *ys]

    operands, program, captures = whole_scan_of(step, leaves, xs, length, "scan")
    outputs = call(*operands, *xs, *captures, program=program)
    return (
        tree_unflatten(carried, outputs[: len(leaves)]),
        tree_unflatten(out_structure, outputs[len(leaves) :]),
    )


def whole_fori_loop(lower: int, upper: int, body: Callable[[int, Any], Any], init: Any) -> Any:
    """`fori_loop` as one node: a scan over the indices, each of which is a Python number to the body."""
    leaves, structure = tree_flatten(init)

    @functools.wraps(body)
    def step(*values: Any) -> list[Any]:
        following = body(values[-1], tree_unflatten(structure, values[:-1]))
        return leaves_like(structure, following, "fori_loop: the state before and after the body")

    xs = [np.arange(lower, upper)]
    operands, program, captures = whole_scan_of(step, leaves, xs, len(xs[0]), "fori_loop", numbers=True)
    return tree_unflatten(structure, call(*operands, *xs, *captures, program=program))


def whole_scan_of(
    step: Callable[..., list[Any]],
    leaves: Sequence[Any],
    xs: Sequence[Any],
    length: int,
    caller: str,
    numbers: bool = False,
) -> tuple[list[Any], Scan, list[Any]]:
    """The state to begin with, the Scan and the captures of a step on flat values."""
    one = [ShapeDtype(np.shape(x)[1:], ShapeDtype.of(x).dtype) for x in xs]
    if numbers:
        one = [UnknownNumber((), kind.dtype, int) for kind in one]
    operands, converted = converted_with_state(step, leaves, one, caller)
    return operands, Scan(converted.program, len(leaves), len(xs), length), converted.captures


def converted_with_state(
    step: Callable[..., list[Any]], leaves: Sequence[Any], rest: Sequence[Any], caller: str
) -> tuple[list[Any], Conversion]:
    """The state as the loop begins with it, and the conversion of its step, which keeps the state's shapes and dtypes.

    `step` takes the state and values like the `rest`, and returns the next state and more. Raises ShapeError or
    DTypeError if it changes a shape or a dtype.
    """
    leaves = [strong(taken(leaf, op=caller, argument="the state at the start")) for leaf in leaves]
    kinds = [weak_kind(leaf) for leaf in leaves]

    @functools.wraps(step)
    def fixed(*values: Any) -> list[Any]:
        outputs = step(*values)
        return [*map(as_before, outputs, kinds), *outputs[len(kinds) :]]

    while True:  # a number at the start becomes an int, a float, a complex number, or an array, in this order
        converted = convert_closure(fixed, [*kinds, *rest], no_options)
        after = [weak_kind(output) for output in converted.outputs[: len(kinds)]]
        if after == kinds:
            return [started(leaf, kind) for leaf, kind in zip(leaves, kinds, strict=True)], converted
        for position, (a, b) in enumerate(zip(kinds, after, strict=True)):
            if a != b:
                if a.shape != b.shape or type(a) is not UnknownNumber:
                    raise changed(a, b, caller)
                kinds[position] = b


def changed(a: ShapeDtype, b: ShapeDtype, caller: str) -> TapeError:
    """The error for a state that the body changes from one kind to another."""
    what = (
        f"{caller}: the body must keep shapes and dtypes, since it is recorded once for all steps, but turns {a} into "
        f"{b}."
    )
    if a.shape != b.shape:
        return ShapeError(f"{what} Begin with a value of shape {b.shape}, or reduce what the body returns.")
    return DTypeError(f"{what} Begin with a value of dtype {b.dtype}, or return x.astype(np.{a.dtype}).")


def weak_kind(value: Any) -> ShapeDtype:
    """Shape and dtype of a value; a Python number is one of unknown value."""
    return UnknownNumber.like(value) if type(value) in (bool, int, float, complex) else kind_of(value)


def as_before(value: Any, kind: ShapeDtype) -> Any:
    """A Python number that a body returns as its state, in the dtype that the state has."""
    own = weak_kind(value)
    fits = kind.shape == () and isinstance(own, UnknownNumber) and np.can_cast(own.kind, kind.dtype, "same_kind")
    return started(value, kind) if fits else value


def started(value: Any, kind: ShapeDtype) -> Any:
    """A Python number, known or not, as a value of this kind; other values are of their kind already."""
    own = weak_kind(value)
    if own == kind or not isinstance(own, UnknownNumber):
        return value
    if isinstance(kind, UnknownNumber):
        return value * kind.kind(1)
    return value.astype(kind.dtype) if type(value) is Tracer else kind.dtype.type(value)


__all__ = [
    "Scan", "converted_with_state", "loop_links", "row_kinds", "stacked", "started", "stays_whole", "weak_kind",
    "whole_fori_loop", "whole_scan",
]  # fmt: skip
