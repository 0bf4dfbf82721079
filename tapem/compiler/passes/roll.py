"""Rolling: equal steps that follow each other become a loop.

A Python loop in a traced function, and the sweep of its derivative, are long straight-line programs. Nodes are equal if
their ops, static arguments, constants and kinds are. Where a run of equal steps is found, each operand of a step is
made by the same step, by the step before (it is carried), before the loop (it is captured, or a slice of what is
stacked), or there is no loop. What is needed of the steps later is stacked, and taken as slices of the stack: a later
run of steps that takes these slices backwards becomes a loop from the last slice to the first one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from tapem.compiler.guards import guard
from tapem.compiler.passes.common import constant_key
from tapem.compiler.passes.repeats import FEWEST, longest_repeat, longest_run
from tapem.compiler.rewriting import Rewriter, Value
from tapem.core import LEAF, NOTHING, Node, ShapeDtype, Static, UnknownNumber, new_node, pick
from tapem.ops import Index, gather, stack_arrays
from tapem.transforms import Program, Scan, call

_MOST = 16
"""The number of loops that are made of one program."""


def roll(program: Program) -> Program:
    """Make loops of equal steps, the longest run first."""
    for _ in range(_MOST):
        steps = first_steps(program)
        if steps is None:
            return program
        program = Roller(program, steps).rolled()
    return program


# -- finding equal steps -----------------------------------------------------------------------------------------------

Steps = list[list[Node]]
"""The nodes of each step; those of one column are equal."""


def first_steps(program: Program) -> Steps | None:
    """The first of the longest runs of equal steps that can be a loop; None if there is none.

    What a loop stacks, a later loop takes.
    """
    runs: list[Steps] = []
    taken = slices_of(program)
    start = len(program.inputs)
    nodes = [node for node in program.nodes[start:] if node.op is not LEAF and node.id not in taken]
    known: dict[Hashable, int] = {}
    keys = [known.setdefault(key_of(program, node), len(known)) for node in nodes]
    while (found := longest_repeat(keys)) is not None:
        start, period, count = found
        end = min(start + period * (count + 1), len(nodes))
        run = nodes[start:end]
        steps = checked(program, run[: period * (len(run) // period)], period, taken)
        if steps is not None:
            runs.append(steps)
        keys[start : start + period * count] = range(-start - 1, -start - 1 - period * count, -1)  # all different
    return min(runs, key=lambda steps: steps[0][0].id, default=None)


def key_of(program: Program, node: Node) -> Hashable:
    """What equal nodes have in common."""
    operands = [
        constant_key(value) if parent is None else kind_key(program.nodes[parent].output)
        for parent, value in zip(node.parents, node.inputs, strict=True)
    ]
    return node.op, tuple(operands), constant_key(node.static), kind_key(node.output)


def kind_key(kind: Any) -> Hashable:
    """What equal kinds have in common; an array counts by its kind, since it is a constant."""
    if isinstance(kind, np.ndarray | np.generic):
        kind = ShapeDtype(kind.shape, kind.dtype)
    return type(kind), kind


def slices_of(program: Program) -> Mapping[int, tuple[int, int]]:
    """The nodes that are `x[i]` for one of many i: the id of x and i, from the front."""
    found: dict[int, dict[int, int]] = {}
    for node in program.nodes:
        if node.op is gather and len(node.parents) == 1 and node.parents[0] is not None:
            parts = node.static["at"].parts
            if len(parts) == 1 and type(parts[0]) is int:
                length = program.nodes[node.parents[0]].shape[0]
                found.setdefault(node.parents[0], {})[node.id] = parts[0] % length
    many = {source: own for source, own in found.items() if len(set(own.values())) >= FEWEST}
    return {id: (source, index) for source, own in many.items() for id, index in own.items()}


def checked(program: Program, run: Sequence[Node], period: int, taken: Mapping[int, Any]) -> Steps | None:
    """The steps of a run of equal nodes, so many of them as are linked in the same way, or None."""
    steps = [[*run[at : at + period]] for at in range(turned(run, period), len(run) - period + 1, period)]
    steps = linked_alike(steps)
    if steps is not None:
        steps = linked_alike(in_order(steps, taken))
    return steps if steps is not None and can_cross(program, steps, taken) else None


def turned(run: Sequence[Node], period: int) -> int:
    """Where a step should begin so that the fewest values are carried to the next one."""
    place = {node.id: position for position, node in enumerate(run)}
    middle = len(run) // 2 // period * period
    links = [
        (position, place[parent])
        for position in range(middle, middle + period)
        for parent in run[position].parents
        if parent in place
    ]
    users, parents = np.array(links, int).reshape(-1, 2).T
    crossing = [
        len(set(parents[(users - begin) // period != (parents - begin) // period] % period)) for begin in range(period)
    ]
    return crossing.index(min(crossing))


def linked_alike(steps: Steps) -> Steps | None:
    """The longest part of some steps that are linked as the middle one is; None if it is short or there are far links.

    The first step may take from outside what the others take from the step before.
    """
    place = {node.id: (number, column) for number, step in enumerate(steps) for column, node in enumerate(step)}

    def links(number: int) -> list[Any]:
        found: list[Any] = []
        for node in steps[number]:
            for parent in node.parents:
                at = place.get(parent)  # pyright: ignore[reportArgumentType]  # None is no node
                found.append(at if at is None else (number - at[0], at[1]))
        return found

    if len(steps) < FEWEST:
        return None
    every = [links(number) for number in range(len(steps))]
    usual = every[len(steps) // 2]
    if any(link is not None and link[0] > 1 for link in usual):
        return None
    start, length = longest_run(np.array([own == usual for own in every]))
    begins = start > 0 and all(
        own == link or (link is not None and link[0] == 1) for own, link in zip(every[start - 1], usual, strict=True)
    )
    first = start - begins
    return steps[first : start + length] if start + length - first >= FEWEST else None


def in_order(steps: Steps, taken: Mapping[int, tuple[int, int]]) -> Steps:
    """The steps that take the slices of a value in order, if a few others, such as the last one, do not."""
    own = {node.id for step in steps for node in step}
    for column in range(len(steps[0])):
        for position, parent in enumerate(steps[len(steps) // 2][column].parents):
            if parent not in taken or parent in own:
                continue
            found = [taken.get(step[column].parents[position]) for step in steps]  # pyright: ignore[reportArgumentType]
            pairs = pairwise(found)
            moves = [b[1] - a[1] if a is not None and b is not None and a[0] == b[0] else None for a, b in pairs]
            start, length = longest_run(np.array([move == moves[len(moves) // 2] for move in moves]))
            if len(steps) - 3 <= length < len(steps) - 1:
                return in_order(steps[start : start + length + 1], taken)
    return steps


def can_cross(program: Program, steps: Steps, taken: Mapping[int, Any]) -> bool:
    """Whether what goes into and out of the loop is such that a loop can take and give it."""
    own = {node.id for step in steps for node in step}
    first = steps[0][0].id
    inside = {id for id, (source, _) in taken.items() if source in own}
    for step in steps:
        for node in step:
            for parent in node.parents:
                if parent is None or parent in own:
                    continue
                known = program.nodes[parent]
                early = parent < first or known.op is LEAF or (parent in taken and taken[parent][0] < first)
                if not early or parent in inside or type(known.output) is tuple:
                    return False
    later = [node for node in program.nodes[first:] if node.id not in own]
    for id in {parent for node in later for parent in node.parents} | set(program.outputs):
        if id in own and type(program.nodes[id].output) is not ShapeDtype:
            return False
    return True


# -- making the loop ---------------------------------------------------------------------------------------------------


class Carried(NamedTuple):
    """A value that goes from step to step: the column that makes it, and the operand with which it begins."""

    column: int
    start: int | None


class Roller:
    """A program in which some steps become a Scan."""

    def __init__(self, program: Program, steps: Steps) -> None:
        """Find what goes into the loop and what comes out of it."""
        self.program = program
        self.steps = steps
        self.taken = slices_of(program)
        self.place = {
            node.id: (number, column) for number, step in enumerate(steps) for column, node in enumerate(step)
        }
        self.guards = {id for id in program.outputs if program.nodes[id].op is guard and id in self.place}
        outputs = [id for id in program.outputs if id not in self.guards]
        self.rewriter = Rewriter(Program(program.nodes, program.inputs, outputs, program.__name__))
        used = {id for node in program.nodes if node.id not in self.place for id in node.parents} | set(outputs)
        self.needed = [id for id in self.place if id in used]
        self.carried: dict[Carried, int] = {}
        self.captured: dict[int, int] = {}
        self.rows: dict[tuple[int, ...], int] = {}
        self.results: dict[int, Value] = {}
        self.reverse = False

    def rolled(self) -> Program:
        """The new program."""
        first = self.steps[0][0].id
        for node in self.program.nodes[len(self.program.inputs) :]:
            if node.id == first:
                self.loop()
            elif node.id not in self.place and node.id not in self.rewriter.values:
                self.rewriter.values[node.id] = self.rewriter.copy(node)
        return self.rewriter.finish()

    def value(self, id: int) -> Any:
        """The value of a node outside; a constant or a slice may come later than the first step."""
        values = self.rewriter.values
        if id not in values:
            node = self.program.nodes[id]
            for parent in node.parents:
                if parent is not None:
                    self.value(parent)
            values[id] = self.rewriter.copy(node)
        return values[id]

    def source(self, column: int, position: int) -> tuple[str, Any] | None:
        """Where an operand of a column comes from, and which it is; None for a constant."""
        parents = [step[column].parents[position] for step in self.steps]
        middle = parents[len(parents) // 2]
        if middle is None:
            return None
        if middle in self.place:
            number, own = self.place[middle]
            if number == len(parents) // 2:
                return "inside", own
            return "carried", self.carried.setdefault(Carried(own, parents[0]), len(self.carried))
        if len(set(parents)) > 1:
            return "slice", self.rows.setdefault(tuple(parents), len(self.rows))  # pyright: ignore[reportArgumentType]
        if self.program.nodes[middle].op is LEAF and middle >= len(self.program.inputs):
            return "constant", middle
        return "captured", self.captured.setdefault(middle, len(self.captured))

    def loop(self) -> None:
        """Write the loop, and what is needed of its steps."""
        sources = [
            [self.source(column, position) for position in range(len(node.parents))]
            for column, node in enumerate(self.steps[0])
        ]
        length = len(self.steps)
        moves = [self.moves(ids) for ids in self.rows]
        self.reverse = moves.count(-1) > moves.count(1)
        columns = {self.place[id][1] for id in self.needed}
        last = {
            c for c in columns if all(self.place[id] == (length - 1, c) for id in self.needed if self.place[id][1] == c)
        }
        ends = {own.column: index for own, index in self.carried.items() if own.column in last}
        stacked = sorted(columns - set(ends))
        body = self.body(sources, stacked)
        scan = Scan(body, len(self.carried), len(self.rows), length, self.reverse)
        operands = [self.value(own.start) for own in self.carried]  # pyright: ignore[reportArgumentType]
        operands += [self.xs(ids, move) for ids, move in zip(self.rows, moves, strict=True)]
        operands += [self.value(id) for id in self.captured]
        outputs = scan.shapes()[: len(self.carried) + len(stacked)]
        node = self.rewriter.put(call, operands, Static(program=scan), outputs)
        for id in self.needed:
            number, column = self.place[id]
            if column in ends:
                self.rewriter.values[id] = self.result(node, ends[column])
                continue
            rows = self.result(node, len(self.carried) + stacked.index(column))
            index = length - 1 - number if self.reverse else number
            self.rewriter.values[id] = self.rewriter.apply(gather, rows, at=Index((index,)))

    def result(self, node: Value, index: int) -> Value:
        """One result of the loop."""
        if index not in self.results:
            output = self.rewriter.nodes[node.id].output[index]
            self.results[index] = self.rewriter.put(pick, [node], Static(index=index), output)
        return self.results[index]

    def moves(self, ids: Sequence[int]) -> int | None:
        """By how much the index grows from step to step, if these are slices of one value in order; else None."""
        found = [self.taken.get(id) for id in ids]
        if any(own is None or own[0] != found[0][0] for own in found):  # pyright: ignore[reportOptionalSubscript]
            return None
        steps = {b[1] - a[1] for a, b in pairwise(found)}  # pyright: ignore[reportOptionalSubscript]
        return steps.pop() if len(steps) == 1 else None

    def xs(self, ids: Sequence[int], move: int | None) -> Any:
        """An array whose slices are the values of these nodes, the first step's first, or last if it goes backwards."""
        ids = ids[::-1] if self.reverse else ids
        if move is None:
            return self.rewriter.apply(stack_arrays, *map(self.value, ids))
        source, begin = self.taken[ids[0]]
        step = -move if self.reverse else move
        end = begin + step * len(ids)
        array = self.value(source)
        if step == 1 and begin == 0 and end == self.program.nodes[source].shape[0]:
            return array
        return self.rewriter.apply(gather, array, at=Index((slice(begin, end if end >= 0 else None, step),)))

    def body(self, sources: Sequence[Sequence[Any]], stacked: Sequence[int]) -> Program:
        """The program of one step."""
        step = self.steps[len(self.steps) // 2]
        kinds = [step[own.column].output for own in self.carried]
        kinds += [self.program.nodes[ids[0]].output for ids in self.rows]
        kinds += [self.program.nodes[id].output for id in self.captured]
        nodes = [leaf(position, as_input(kind)) for position, kind in enumerate(kinds)]
        begin = {"carried": 0, "slice": len(self.carried), "captured": len(self.carried) + len(self.rows)}
        made: dict[Any, int] = {}
        for column, node in enumerate(step):
            parents: list[int | None] = []
            for source in sources[column]:
                if source is None:
                    parents.append(None)
                    continue
                where, which = source
                if where == "constant" and source not in made:
                    made[source] = len(nodes)
                    nodes.append(leaf(len(nodes), self.program.nodes[which].output))
                parents.append(made[source] if source in made else begin[where] + which)
            inputs = [x if p is None else nodes[p].output for p, x in zip(parents, node.inputs, strict=True)]
            made["inside", column] = len(nodes)
            fields = (len(nodes), node.op, tuple(parents), tuple(inputs), node.static, node.output, None, False, None)
            nodes.append(new_node(fields))
        outputs = [made["inside", own.column] for own in self.carried]
        outputs += [made["inside", column] for column in stacked]
        outputs += [made["inside", column] for column in {self.place[id][1] for id in self.guards}]
        return Program.of(nodes, range(len(kinds)), outputs, "step")


def leaf(id: int, output: Any) -> Node:
    """A node that is given."""
    return new_node((id, LEAF, (), (), NOTHING, output, None, False, None))


def as_input(kind: Any) -> Any:
    """What a step knows of its input: shape and dtype, or that it is a Python number."""
    if type(kind) in (bool, int, float, complex):
        return UnknownNumber.like(kind)
    return kind if isinstance(kind, ShapeDtype) else ShapeDtype.of(kind)


__all__ = ["roll"]
