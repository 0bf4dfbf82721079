"""Closure conversion: record a function once, and turn everything that it closes over into an explicit input.

An op whose static argument is a program (`checkpoint`, `while_loop`) must not hide a tracer in a closure, where no
sweep would find it. So the function runs on a new recorder, one level up, which turns every outer tracer that the
function uses into an additional input. The result is data: a list of instructions that can be applied to arrays, to
tracers of any level, and, through `vmap`, to batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

from tapem.core import LEAF, Node, Primitive, ShapeDtype, Static, Structure, pick, tree_flatten
from tapem.doors.direct import Recorder, Tracer, current_recorder, home, new_recorder, opened, results_of
from tapem.doors.monadic import run_if_program


class Instruction(NamedTuple):
    """One op of a replay: its operands (each a slot or a constant), and the slots that are free afterwards."""

    op: Any
    slots: tuple[int | None, ...]
    constants: tuple[Any, ...]
    static: Mapping[str, Any]
    target: int
    last_uses: tuple[int, ...]


class Replay:
    """A recorded function without its values: it recomputes its outputs from any inputs.

    Called with the inputs, followed by the values of the captures, it returns the tuple of the outputs.
    """

    def __init__(self, nodes: Sequence[Node], inputs: Sequence[int], outputs: Sequence[int], name: str) -> None:
        """Keep the parts of the nodes that a replay needs."""
        self.__name__ = name
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.leaves = {node.id: node.output for node in nodes if node.op is LEAF and node.id not in set(inputs)}
        kept = set(outputs)
        last: dict[int, int] = {}
        for node in reversed(nodes):
            if node.id in kept or node.id in last:
                for parent in node.parents:
                    if parent is not None:
                        last.setdefault(parent, node.id)
        ends: dict[int, list[int]] = {}
        for slot, user in last.items():
            if slot not in kept:
                ends.setdefault(user, []).append(slot)
        self.instructions = [
            Instruction(
                node.op,
                node.parents,
                tuple(None if p is not None else x for p, x in zip(node.parents, node.inputs, strict=True)),
                node.static,
                node.id,
                tuple(ends.get(node.id, ())),
            )
            for node in nodes
            if node.op is not LEAF and (node.id in kept or node.id in last) and node.id not in self.inputs
        ]

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for these inputs."""
        slots: dict[int, Any] = dict(self.leaves)
        slots.update(zip(self.inputs, inputs, strict=True))
        for op, sources, constants, static, target, last_uses in self.instructions:
            operands = [
                constant if slot is None else slots[slot] for slot, constant in zip(sources, constants, strict=True)
            ]
            slots[target] = operands[0][static["index"]] if op is pick else op(*operands, **static)
            for slot in last_uses:
                del slots[slot]
        return tuple(slots[slot] for slot in self.outputs)

    @property
    def links(self) -> list[int]:
        """For each output, the inputs on which its derivative can depend: bit i stands for input i."""
        found: dict[int, Any] = dict.fromkeys(self.leaves, 0)
        found.update((slot, 1 << number) for number, slot in enumerate(self.inputs))
        for op, slots, _, static, target, _ in self.instructions:
            masks = [0 if slot is None else found[slot] for slot in slots]
            if op is pick:
                found[target] = masks[0][static["index"]] if isinstance(masks[0], list) else masks[0]
            elif not getattr(op, "differentiable", True):
                found[target] = 0
            elif "program" in static:
                found[target] = [linked(link, masks) for link in static["program"].links]
            else:
                found[target] = union(masks)
        return [found[slot] for slot in self.outputs]

    def with_op(self, op: Primitive, other: Callable[..., Any], count: int) -> Replay:
        """A copy that calls `other` instead of `op` wherever the op depends on one of the first `count` inputs."""
        reached = set(self.inputs[:count])
        instructions: list[Instruction] = []
        for instruction in self.instructions:
            if not reached.isdisjoint(instruction.slots):
                reached.add(instruction.target)
                if instruction.op is op:
                    instruction = instruction._replace(op=other)
            instructions.append(instruction)
        changed = copy(self)
        changed.instructions = instructions
        return changed

    def __repr__(self) -> str:
        return f"<{self.__name__}: {len(self.instructions)} ops>"


def linked(link: int, masks: Sequence[int]) -> int:
    """The union of the masks of the inputs in a link."""
    return union(mask for number, mask in enumerate(masks) if link >> number & 1)


def union(masks: Iterable[int]) -> int:
    """All the bits of some masks."""
    found = 0
    for mask in masks:
        found |= mask
    return found


class Conversion(NamedTuple):
    """The result of `convert_closure`: the program, the outer tracers that follow its inputs, and its outputs."""

    program: Replay
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

    def record(recorder: Recorder) -> Conversion:
        inputs = [input_leaf(recorder, leaf) for leaf in leaves]
        arguments, options = rebuild([Tracer(recorder, node) for node in inputs])
        values, structure = tree_flatten(run_if_program(f(*arguments, **options), recorder))
        outputs = [output_node(recorder, value) for value in values]
        assert recorder.captures is not None
        captured = list(recorder.captures.values())
        ids = [node.id for node in inputs] + [node.id for _, node in captured]
        name = getattr(f, "__name__", type(f).__name__)
        program = Replay(recorder.nodes, ids, [node.id for node in outputs], name)
        return Conversion(program, [tracer for tracer, _ in captured], [node.output for node in outputs], structure)

    below = current_recorder()
    return opened(new_recorder(abstract=below is not None and below.abstract, capturing=True), record)


def input_leaf(recorder: Recorder, value: Any) -> Node:
    """The input node of a value: it holds the value, or only its shape and dtype if the recorder is abstract."""
    if recorder.abstract:
        return recorder.leaf(value if type(value) in (bool, int, float, complex) else ShapeDtype.of(value))
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
