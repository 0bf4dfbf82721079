"""Example by example: loops and conditions that differ between examples as scans over the examples.

When they run, examples of one way run together, in groups that are known only then. A program that is written out goes
through the examples one after another instead, which has the same values, and derivatives like any scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tapem.core import Static
from tapem.transforms.branching import Branching, Cond, While
from tapem.transforms.calls import Derivative, Spread, call
from tapem.transforms.closure_conversion import traced
from tapem.transforms.loops import Scan, weak_kind
from tapem.transforms.program import Program


def by_example(program: Program) -> Program:
    """The program in which every loop or condition that groups examples goes through them one by one."""
    nodes = [
        node._replace(static=Static(program=apart(node.static["program"]))) if node.op is call else node
        for node in program.nodes
    ]
    return Program(nodes, program.inputs, program.outputs, program.__name__)


def apart(function: Any) -> Any:
    """The same for a function that is called."""
    match function:
        case Program():
            return by_example(function)
        case Derivative():
            return type(function)(apart(function.program), function.moving, function.reached)
        case Spread():
            return Spread(apart(function.program), function.size, function.places)
        case Scan():
            return replace(function, body=by_example(function.body))
        case While():
            function = replace(function, test=by_example(function.test), body=by_example(function.body))
        case Cond():
            function = replace(function, yes=by_example(function.yes), no=by_example(function.no))
        case _:
            return function
    return ExampleByExample(function) if function.sizes else function


@dataclass(frozen=True, eq=False)
class ExampleByExample:
    """A loop or condition over examples, as a scan over the first batch axis of one over the others."""

    program: Branching

    @property
    def __name__(self) -> str:
        return self.program.__name__

    @property
    def links(self) -> Sequence[int]:
        """Those of the program."""
        return self.program.links

    def shapes(self, *inputs: Any) -> Any:
        """Those that the program gives."""
        return self.program.shapes(*inputs)  # pyright: ignore

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for all examples."""
        whole = self.program
        axes = tuple(own[1:] for own in whole.axes)
        one: Any = replace(whole, sizes=whole.sizes[1:], axes=axes)  # pyright: ignore[reportCallIssue]
        inner = ExampleByExample(one) if one.sizes else one
        xs = [place for place, own in enumerate(whole.axes) if own[0]]
        rest = [place for place, own in enumerate(whole.axes) if not own[0]]
        back = [*map([*xs, *rest].index, range(len(inputs)))]
        kinds = [weak_kind(value) for value in inputs]
        slices = [replace(kinds[place], shape=kinds[place].shape[1:]) for place in xs]
        body = traced(
            lambda *values: call(*(values[place] for place in back), program=inner),
            [*slices, *(kinds[place] for place in rest)],
            self.__name__,
        )
        scan = Scan(body, 0, len(xs), whole.sizes[0])
        return call(*(inputs[place] for place in (*xs, *rest)), program=scan)


__all__ = ["by_example"]
