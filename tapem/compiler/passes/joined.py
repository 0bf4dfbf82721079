"""Joined loops: two loops of the same steps become one, if the state of one is contained in that of the other.

The pullback of a loop runs it again and keeps more of each step, its tangent runs it again beside the tangents. The
joined loop does it once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tapem.compiler.passes.common import common, constant_key, node_key
from tapem.compiler.passes.dead import trimmed
from tapem.compiler.rewriting import Rewriter, Value
from tapem.core import LEAF, Node, Static, UnknownNumber, pick
from tapem.transforms import Cond, Program, Scan, While, call, traced


def joined(program: Program) -> Program:
    """Join loops until no two of them do the same steps."""
    while (found := next(pairs(program), None)) is not None:
        program = merged(program, *found)
    return program


class Loop(NamedTuple):
    """A node that is a loop, with keys for its operands; equal keys mean equal values."""

    node: Node
    loop: Scan | While
    operands: tuple[Any, ...]
    keys: tuple[Hashable, ...]

    @property
    def xs_end(self) -> int:
        """Where the xs of a scan end."""
        return self.loop.count + self.loop.xs

    def part(self, values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any], Sequence[Any]]:
        """What belongs to the state, to the xs, to what the condition captures, and to what the body captures."""
        tested = self.xs_end + (self.loop.captured if isinstance(self.loop, While) else 0)
        count, end = self.loop.count, self.xs_end
        return values[:count], values[count:end], values[end:tested], values[tested:]


def loop_of(node: Node) -> Loop | None:
    """The loop that a node is, if it is one."""
    loop = node.static.get("program") if node.op is call else None
    if not isinstance(loop, Scan | While) or getattr(loop, "sizes", ()):
        return None
    operands = tuple(x if p is None else Value(p) for p, x in zip(node.parents, node.inputs, strict=True))
    return Loop(node, loop, operands, tuple(x if type(x) is Value else constant_key(x) for x in operands))


def pairs(program: Program) -> Iterator[tuple[Loop, Loop, tuple[list[int], list[int]]]]:
    """The pairs of loops that can be joined: the smaller one, the larger one, and the classes of their states."""
    loops = [loop for loop in map(loop_of, program.nodes) if loop is not None]
    for position, second in enumerate(loops):
        for first in loops[:position]:
            if alike(first.loop, second.loop) and not depends(program, second.node.id, first.node.id):
                small, large = sorted((first, second), key=lambda loop: loop.loop.count)
                classes = equal_states(small, large)
                if classes is not None:
                    yield small, large, classes


def alike(one: Scan | While, other: Scan | While) -> bool:
    """Whether two loops may do the same steps."""
    if isinstance(one, Scan) and isinstance(other, Scan):
        return (one.length, one.reverse) == (other.length, other.reverse) and one.length is not None
    return isinstance(one, While) and isinstance(other, While)


def depends(program: Program, id: int, on: int) -> bool:
    """Whether a node depends on an earlier one."""
    found = {on}
    for node in program.nodes[on + 1 : id + 1]:
        if not found.isdisjoint(node.parents):
            found.add(node.id)
    return id in found


def equal_states(small: Loop, large: Loop) -> tuple[list[int], list[int]] | None:
    """A class for each state of both loops, where states of one class are equal at every step; None if they differ.

    At first all states that begin alike count as equal; they are set apart where the bodies compute different values.
    Source: the optimistic value numbering of Alpern, Wegman and Zadeck 1988.
    """
    kinds = [(loop.loop.body.nodes[i].output, loop.keys[i]) for loop in (small, large) for i in range(loop.loop.count)]
    classes = labels(kinds)
    while True:
        split = classes[: small.loop.count], classes[small.loop.count :]
        if not set(split[0]) <= set(split[1]):
            return None
        table: dict[Hashable, int] = {}
        numbers = [numbered(loop, own, table) for loop, own in zip((small, large), split, strict=True)]
        outputs = [*numbers[0][1][: small.loop.count], *numbers[1][1][: large.loop.count]]
        following = labels(list(zip(classes, outputs, strict=True)))
        if len(set(following)) == len(set(classes)):
            break
        classes = following
    same_test = numbers[0][0] == numbers[1][0]
    shared = small.loop.count > 0 or bool({*numbers[0][1]} & {*numbers[1][1]})
    return split if same_test and shared else None


def labels(keys: Sequence[Hashable]) -> list[int]:
    """A number for each key, equal for equal keys."""
    known: dict[Hashable, int] = {}
    return [known.setdefault(key, len(known)) for key in keys]


def numbered(loop: Loop, classes: Sequence[int], table: dict[Hashable, int]) -> tuple[list[int], list[int]]:
    """Numbers of what the condition and the body of a loop return; equal values have equal numbers."""
    _, xs, tested, captured = loop.part(loop.keys)
    state: list[Hashable] = [("state", own) for own in classes]
    body = loop.loop.body
    weak = [type(body.nodes[i].output) is UnknownNumber for i in range(loop.loop.count, loop.xs_end)]
    rows: list[Hashable] = [("slice", key, own) for key, own in zip(xs, weak, strict=True)]
    fixed: list[Hashable] = [("captured", key) for key in captured]
    test: list[int] = []
    if isinstance(loop.loop, While):
        test = numbers_of(loop.loop.test, [*state, *(("captured", key) for key in tested)], table)
    return test, numbers_of(body, [*state, *rows, *fixed], table)


def numbers_of(program: Program, inputs: Sequence[Hashable], table: dict[Hashable, int]) -> list[int]:
    """The numbers of the outputs of a program, given keys of its inputs."""
    found: dict[int, Any] = {
        id: table.setdefault(key, len(table)) for id, key in zip(program.inputs, inputs, strict=True)
    }
    for node in program.nodes[len(program.inputs) :]:
        key = None
        if node.op is LEAF:
            key = constant_key(node.output)
        elif node.op is pick:
            key = result_key(program.nodes[node.parents[0]], node.static["index"], found)  # pyright: ignore
        key = node_key(node, found) if key is None else key
        found[node.id] = table.setdefault(key, len(table))
    return [found[id] for id in program.outputs]


def result_key(node: Node, index: int, found: Mapping[int, Hashable]) -> Hashable:
    """The key of one result of a loop or condition: it is that of a smaller one, which has no other results."""
    own = node.static.get("program") if node.op is call else None
    if not isinstance(own, Scan | While | Cond) or getattr(own, "sizes", ()):
        return None
    smaller, operands, results = trimmed(own, {index})
    keys = [
        constant_key(node.inputs[i]) if (parent := node.parents[i]) is None else ("value", found[parent])
        for i in operands
    ]
    smaller, order = ordered(smaller, keys)
    return "result", constant_key(smaller), tuple(keys[i] for i in order), results.index(index)


def ordered(control: Scan | While | Cond, keys: Sequence[Hashable]) -> tuple[Scan | While | Cond, list[int]]:
    """A loop whose operands of one role stand in the order of their keys, and this order; a condition as it is."""
    if isinstance(control, Cond):
        return control, [*range(len(keys))]
    count, end = control.count, control.count + control.xs
    middle = end + (control.captured if isinstance(control, While) else 0)
    slices, tested, captured = (
        sorted(part, key=lambda i: repr(keys[i]))
        for part in (range(count, end), range(end, middle), range(middle, len(keys)))
    )
    shift = middle - end
    inputs = [*range(count), *slices, *(i - shift for i in captured)]
    body = Program.of(control.body.nodes, inputs, control.body.outputs, "")
    order = [*range(count), *slices, *tested, *captured]
    if isinstance(control, Scan):
        return replace(control, body=body), order
    test = Program.of(control.test.nodes, [*range(count), *tested], control.test.outputs, "")
    return replace(control, body=body, test=test), order


class Operand(NamedTuple):
    """An operand of a loop that is not state: its role and key, by which equal ones are one, and the body's kind."""

    role: str
    key: Hashable
    value: Any
    kind: Any


def others(loop: Loop) -> list[Operand]:
    """The operands of a loop that are not state."""
    kinds = [*loop.loop.kinds]
    kinds[loop.loop.count : loop.xs_end] = [node.output for node in loop.loop.body.nodes[loop.loop.count : loop.xs_end]]
    _, xs, tested, captured = loop.part([*zip(loop.keys, loop.operands, kinds, strict=True)])
    slices = [Operand("number" if type(own[2]) is UnknownNumber else "slice", *own) for own in xs]
    return [*slices, *(Operand("tested", *own) for own in tested), *(Operand("captured", *own) for own in captured)]


def merged(program: Program, small: Loop, large: Loop, classes: tuple[list[int], list[int]]) -> Program:
    """The program in which both loops are one."""
    order = list(dict.fromkeys(classes[1]))
    first = [classes[1].index(own) for own in order]
    unique = {(own.role, own.key): own for own in (*others(large), *others(small))}
    slices = [own for own in unique.values() if own.role in ("number", "slice")]
    tested = [own for own in unique.values() if own.role == "tested"]
    captured = [own for own in unique.values() if own.role == "captured"]
    states = [large.loop.body.nodes[position].output for position in first]

    def inputs_of(loop: Loop, own: Sequence[int], values: Sequence[Any], rest: Sequence[Operand]) -> list[Any]:
        given = dict(zip(((x.role, x.key) for x in rest), values[len(order) :], strict=True))
        return [
            *(values[order.index(label)] for label in own),
            *(given[x.role, x.key] for x in others(loop) if (x.role, x.key) in given),
        ]

    def body(*values: Any) -> list[Any]:
        rest = [*slices, *captured]
        one = small.loop.body(*inputs_of(small, classes[0], values, rest))
        other = large.loop.body(*inputs_of(large, classes[1], values, rest))
        return [*(other[position] for position in first), *other[large.loop.count :], *one[small.loop.count :]]

    def test(*values: Any) -> Any:
        assert isinstance(large.loop, While)
        return large.loop.test(*inputs_of(large, classes[1], values, tested))

    count, ends = len(order), len(large.loop.body.outputs) - large.loop.count
    kinds = [*states, *(own.kind for own in (*slices, *captured))]
    both = joined(common(traced(body, kinds, large.loop.body.__name__)))
    all_rows = both.outputs[count:]
    rows = list(dict.fromkeys(all_rows))
    both = Program(both.nodes, both.inputs, [*both.outputs[:count], *rows], both.__name__)
    if isinstance(large.loop, Scan):
        loop = Scan(both, count, len(slices), large.loop.length, large.loop.reverse)
    else:
        kinds = [*states, *(own.kind for own in tested)]
        holds = traced(test, kinds, large.loop.test.__name__)
        axes = ((),) * (count + len(tested) + len(captured))
        loop = While((), axes, holds, both, count, len(tested))
    operands = [*(large.operands[position] for position in first), *(x.value for x in (*slices, *tested, *captured))]
    places = {
        large.node.id: [*map(order.index, classes[1]), *(count + rows.index(id) for id in all_rows[:ends])],
        small.node.id: [*map(order.index, classes[0]), *(count + rows.index(id) for id in all_rows[ends:])],
    }
    return with_one(program, loop, operands, places)


def with_one(program: Program, loop: Scan | While, operands: Sequence[Any], places: Mapping[int, list[int]]) -> Program:
    """The program with one loop in the place of two; `places` says where the outputs of these are among its outputs.

    What follows from the first of the two waits until the second one has its operands.
    """
    rewriter = Rewriter(program)
    first, second = min(places), max(places)
    waiting: list[Node] = []
    blocked = {first}

    def put(node: Node) -> None:
        if node.op is pick and node.parents[0] in places:
            static = Static(index=places[node.parents[0]][node.static["index"]])  # pyright: ignore
            rewriter.values[node.id] = rewriter.put(pick, rewriter.operands(node), static, node.output)
        else:
            rewriter.values[node.id] = rewriter.copy(node)

    for node in program.nodes[len(program.inputs) :]:
        if node.id == second:
            given = [rewriter.values[x.id] if type(x) is Value else x for x in operands]
            one = rewriter.put(call, given, Static(program=loop), loop.shapes(*loop.kinds))
            rewriter.values[first] = rewriter.values[second] = one
            for late in waiting:
                put(late)
            blocked.clear()
        elif node.id == first or not blocked.isdisjoint(node.parents):
            blocked.add(node.id)
            if node.id != first:
                waiting.append(node)
        else:
            put(node)
    return rewriter.finish()


__all__ = ["joined"]
