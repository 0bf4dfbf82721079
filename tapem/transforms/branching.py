"""Programs whose flow differs between examples: the branches of a condition, loops of different lengths.

They run when values are known. The examples are grouped by branch, each group runs together, and the results are put
back in order. So no example evaluates a branch that it does not take, and no NaN comes from such a branch, neither into
a value nor into a derivative.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tapem.core import ShapeDtype
from tapem.doors.direct import Tracer
from tapem.errors import TapeError
from tapem.transforms.calls import ClosedFunction, batched, call
from tapem.transforms.closure_conversion import traced
from tapem.transforms.loop_batches import batched_kinds, batched_program, dependent, mapped_state, repeated
from tapem.transforms.loops import loop_links, row_kinds, stacked, started
from tapem.transforms.program import Program, is_unknown, linked

Examples = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Branching:
    """A program that runs on one example, or on many examples in groups.

    `sizes` are the lengths of its batch axes, which come first in every output; `axes` says which of them each input
    has.
    """

    sizes: tuple[int, ...]
    axes: tuple[tuple[bool, ...], ...]

    __name__ = "branching"

    @abstractmethod
    def one(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """The outputs for one example."""

    @property
    @abstractmethod
    def links(self) -> list[int]:
        """For each output, the inputs on which its derivative can depend."""

    @abstractmethod
    def many(self, count: int, mapped: Sequence[bool], inputs: Sequence[Any]) -> Sequence[Any]:
        """The outputs for a number of examples along one axis, which the mapped inputs have."""

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for these inputs; one node if their values are not known."""
        if any(map(is_unknown, inputs)):
            return call(*inputs, program=self)
        if not self.sizes:
            return tuple(self.one(inputs))
        count = math.prod(self.sizes)
        along = [self.along_one_axis(count, value, own) for value, own in zip(inputs, self.axes, strict=True)]
        outputs = self.many(count, [any(own) for own in self.axes], along)
        return tuple(np.reshape(value, (*self.sizes, *np.shape(value)[1:])) for value in outputs)

    def along_one_axis(self, count: int, value: Any, own: tuple[bool, ...]) -> Any:
        """An input with all the batch axes as one, if it has any of them."""
        if not any(own) or len(own) == 1:
            return value
        rest = np.shape(value)[sum(own) :]
        lengths = [size if has else 1 for size, has in zip(self.sizes, own, strict=True)]
        value = np.broadcast_to(np.reshape(value, (*lengths, *rest)), (*self.sizes, *rest))
        return np.reshape(value, (count, *rest))

    @abstractmethod
    def together(self, size: int, mapped: tuple[bool, ...]) -> ClosedFunction | None:
        """The program for all examples at once, if the way of all of them is the same; else None."""

    def batched(self, size: int, mapped: tuple[bool, ...] | None) -> ClosedFunction:
        """The same with one more batch axis in front, which the mapped inputs have."""
        new = (True,) * len(self.axes) if mapped is None else mapped
        together = None if self.sizes else self.together(size, new)
        if together is not None:
            return together
        axes = tuple((is_mapped, *own) for is_mapped, own in zip(new, self.axes, strict=True))
        return replace(self, sizes=(size, *self.sizes), axes=axes)


@dataclass(frozen=True, eq=False)
class Cond(Branching):
    """The program of a condition: its inputs are the predicate, the operands, and the captured values of both branches.

    `kinds` are the outputs of both branches for one example.
    """

    yes: Program
    no: Program
    operands: int
    captured: int
    kinds: tuple[ShapeDtype, ...]

    __name__ = "cond"

    def one(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """The outputs of the branch that is taken."""
        branch = self.yes if known(inputs[0]) else self.no
        return self.fitted(branch(*self.of(branch, inputs)), ())

    def many(self, count: int, mapped: Sequence[bool], inputs: Sequence[Any]) -> Sequence[Any]:
        """The outputs of each branch for the examples that take it."""
        taken = np.broadcast_to(known(inputs[0]), count)
        parts: list[tuple[Examples, Sequence[Any]]] = []
        for branch, chosen in ((self.yes, taken), (self.no, ~taken)):
            examples = np.flatnonzero(chosen)
            if len(examples) or (count == 0 and not parts):
                flags = tuple(self.of(branch, mapped))
                given = only(examples, count, flags, self.of(branch, inputs))
                outputs = batched(branch, len(examples), flags)(*given)
                parts.append((examples, self.fitted(outputs, (len(examples),))))
        return together(parts)

    def together(self, size: int, mapped: tuple[bool, ...]) -> ClosedFunction | None:
        """The condition of the batched branches, if the predicate is not mapped."""
        if mapped[0]:
            return None
        every = (True,) * len(self.kinds)
        yes, no = (
            batched_program(branch, size, self.of(branch, mapped), every[: len(branch.outputs)])
            for branch in (self.yes, self.no)
        )
        kinds = tuple(batched_kinds(self.kinds, size, every))
        return replace(self, yes=yes, no=no, kinds=kinds)

    def of(self, branch: ClosedFunction, inputs: Sequence[Any]) -> Sequence[Any]:
        """The inputs of one of the branches."""
        start, middle = 1 + self.operands, 1 + self.operands + self.captured
        return [*inputs[1:start], *(inputs[start:middle] if branch is self.yes else inputs[middle:])]

    def fitted(self, outputs: Sequence[Any], batch: tuple[int, ...]) -> Sequence[Any]:
        """The outputs of a branch in the shapes and dtypes on which both agree."""
        results: list[Any] = []
        for value, kind in zip(outputs, self.kinds, strict=True):
            if not batch:
                value = started(value, kind)
            own = ShapeDtype.of(value)
            if own.dtype != kind.dtype:
                value = np.asarray(value, kind.dtype) if type(value) is not Tracer else value.astype(kind.dtype)
            if own.shape != (*batch, *kind.shape):
                missing = (1,) * (len(batch) + len(kind.shape) - len(own.shape))
                value = np.reshape(value, (*batch, *missing, *own.shape[len(batch) :]))
                value = np.broadcast_to(value, (*batch, *kind.shape))
            results.append(value)
        return results

    @property
    def links(self) -> list[int]:
        """The links of both branches together; the predicate has no derivative."""
        bits = [1 << number for number in range(len(self.axes))]
        of_yes, of_no = self.of(self.yes, bits), self.of(self.no, bits)
        return [
            linked(one, of_yes) | linked(other, of_no) for one, other in zip(self.yes.links, self.no.links, strict=True)
        ]

    def shapes(self, *inputs: Any) -> tuple[ShapeDtype, ...]:
        """The common shapes of both branches, for every example."""
        return tuple(ShapeDtype((*self.sizes, *kind.shape), kind.dtype) if self.sizes else kind for kind in self.kinds)


@dataclass(frozen=True, eq=False)
class While(Branching):
    """The program of a loop: its inputs are the state, and the captured values of the condition and the body.

    What the body returns besides the state is stacked, as the ys of a scan: one row for each step, of which there are
    as many as the loop makes.
    """

    test: Program
    body: Program
    count: int
    captured: int

    __name__ = "while_loop"
    xs = 0

    @property
    def kinds(self) -> list[ShapeDtype]:
        """Shapes and dtypes of the inputs for one example."""
        tests, bodies = self.test.nodes[self.count : len(self.test.inputs)], self.body.nodes[: len(self.body.inputs)]
        return [node.output for node in (*bodies[: self.count], *tests, *bodies[self.count :])]

    def parts(self, inputs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
        """Split the inputs into the state and the captured values of the condition and of the body."""
        middle = self.count + self.captured
        return inputs[: self.count], inputs[self.count : middle], inputs[middle:]

    def one(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """The state after the loop."""
        state, for_test, for_body = self.parts(inputs)
        kinds = row_kinds(self.body, self.count)
        rows: list[Sequence[Any]] = []
        while known(self.test(*state, *for_test)[0]):
            outputs = self.body(*state, *for_body)
            state = outputs[: self.count]
            if kinds:
                rows.append(outputs[self.count :])
        return [*state, *stacked(rows, kinds)]

    def many(self, count: int, mapped: Sequence[bool], inputs: Sequence[Any]) -> Sequence[Any]:
        """The state of every example after its loop; the body runs only for the examples that are not done."""
        state, for_test, for_body = self.parts(inputs)
        state = [
            value if is_mapped else np.broadcast_to(value, (count, *np.shape(value)))
            for value, is_mapped in zip(state, mapped, strict=False)
        ]
        _, test_mapped, body_mapped = self.parts(mapped)
        running = np.arange(count)
        done: list[tuple[Examples, Sequence[Any]]] = []
        every = (True,) * len(state)
        while len(running):
            test = batched(self.test, len(running), (*every, *test_mapped))
            holds = known(test(*state, *for_test)[0])
            if not np.all(holds):
                ended, left = np.flatnonzero(~holds), np.flatnonzero(holds)
                done.append((running[ended], only(ended, len(running), every, state)))
                state = only(left, len(running), every, state)
                for_test = only(left, len(running), test_mapped, for_test)
                for_body = only(left, len(running), body_mapped, for_body)
                running = running[left]
            if len(running):
                state = batched(self.body, len(running), (*every, *body_mapped))(*state, *for_body)
        return together(done) if done else state

    def together(self, size: int, mapped: tuple[bool, ...]) -> ClosedFunction | None:
        """The loop of the batched body, if the condition does not depend on the mapped inputs at any step."""
        if len(self.body.outputs) > self.count:
            raise TapeError(
                "while_loop: a loop that stacks what its pullback needs has no batch; map the function first, and then "
                "lower its derivative."
            )
        state, tested, captured = self.parts(mapped)
        flags = mapped_state(self.body, self.count, [*state, *captured])
        if any(dependent(self.test, [*flags[: self.count], *tested])):
            return None
        body = batched_program(self.body, size, flags, flags[: self.count])
        loop = replace(self, body=body)

        def run(*inputs: Any) -> list[Any]:
            start = [
                repeated(value, size, own) if flag else value
                for value, own, flag in zip(inputs, state, flags, strict=False)
            ]
            last = call(*start, *inputs[self.count :], program=loop)
            return [repeated(value, size, flag) for value, flag in zip(last, flags[: self.count], strict=True)]

        return traced(run, batched_kinds(self.kinds, size, mapped), f"batched {self.__name__}")

    @property
    def links(self) -> list[int]:
        """The links of the state and the stacks after any number of steps; the condition has no derivative."""
        state, _, for_body = self.parts([1 << number for number in range(len(self.axes))])
        return loop_links(self.body.links, [*state, *for_body], self.count)

    def shapes(self, *inputs: Any) -> tuple[ShapeDtype, ...]:
        """The state keeps its shapes, for every example; stacks have a length that is not known, written as -1."""
        if not self.sizes:
            state = [node.output for node in self.body.nodes[: self.count]]
            return (*state, *(ShapeDtype((-1, *kind.shape), kind.dtype) for kind in row_kinds(self.body, self.count)))
        kinds = [ShapeDtype.of(value) for value in inputs[: self.count]]
        return tuple(
            ShapeDtype((*self.sizes, *kind.shape[sum(own) :]), kind.dtype)
            for kind, own in zip(kinds, self.axes, strict=False)
        )


def known(predicate: Any) -> npt.NDArray[np.bool_]:
    """A predicate as an array of bools, or as one bool; it has no derivative."""
    value = predicate.node.output if type(predicate) is Tracer else predicate
    return np.asarray(value) != 0


def only(examples: Examples, count: int, mapped: Sequence[bool], values: Sequence[Any]) -> Sequence[Any]:
    """The values of some of `count` examples; a value that is not mapped belongs to all of them."""
    if len(examples) == count:
        return values
    return [value[examples] if is_mapped else value for value, is_mapped in zip(values, mapped, strict=True)]


def together(parts: Sequence[tuple[Examples, Sequence[Any]]]) -> Sequence[Any]:
    """Join the values of groups of examples in the order of the examples."""
    if len(parts) == 1:
        return parts[0][1]
    order = np.argsort(np.concatenate([examples for examples, _ in parts]))
    return [np.concatenate(column)[order] for column in zip(*(values for _, values in parts), strict=True)]
