"""Loops and conditions as native functions, with what their bodies contain.

All arrays of known shape are made before the outermost loop. The state of a loop lies in pairs of arrays: a step reads
one and writes the other, `now` and `then` in turn; numbers are variables. Rows are read and written in place. Stacks of
a while loop grow to twice their length. Inner loops and conditions stand inside, with the same arrays at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.compiler.native.access import accesses, is_plain, picked_from
from tapem.compiler.native.codegen import Segment, indexed
from tapem.compiler.native.frame import Function
from tapem.compiler.native.groups import Group, grouped, kind_of
from tapem.compiler.native.scalars import DTYPES, literal
from tapem.compiler.native.text import loops
from tapem.core import LEAF, Node, ShapeDtype, pick, unstack
from tapem.transforms import Cond, Program, Scan, While, call, row_kinds

_CHUNK = 16
"""The rows for which a stack has room at first."""


def native_control(node: Node) -> Scan | While | Cond | None:
    """The loop or condition that a node is, if it can be a native function."""
    control = node.static.get("program") if node.op is call else None
    if not isinstance(control, Scan | While | Cond) or getattr(control, "sizes", ()):
        return None
    return control if all(map(is_native, parts_of(control))) else None


def parts_of(control: Scan | While | Cond) -> list[Program]:
    """The programs in a loop or condition."""
    if isinstance(control, Cond):
        return [control.yes, control.no]
    return [control.body] if isinstance(control, Scan) else [control.test, control.body]


def is_native(program: Program) -> bool:
    """Whether all that a program does has a native form."""
    views = accesses(program)
    for node in program.nodes:
        if node.op is LEAF:
            if ShapeDtype.of(node.output).dtype not in DTYPES:
                return False
        elif node.op is call:
            if native_control(node) is None:
                return False
        elif node.op is pick and picked_from(program, node).op is call:
            if node.dtype not in DTYPES:
                return False
        elif node.op is unstack:
            continue
        elif node.id not in views or (views[node.id].base == node.id and kind_of(node, inside=True) == "call"):
            return False
    kinds = [ShapeDtype.of(program.nodes[id].output) for id in program.outputs]
    return all(-1 not in kind.shape and kind.dtype in DTYPES for kind in kinds)


def written(node: Node, control: Scan | While | Cond) -> tuple[Function, str]:
    """The function of a loop or condition, and its text."""
    function = Function(node)
    writer = Writer(function, None)
    kinds = [*map(ShapeDtype.of, control.shapes(*node.inputs))]
    results = writer.control(control, function.operands, [None] * len(kinds), kinds)
    return function, function.text(writer.lines, results)


class Writer(Segment):
    """Writes one program inside of a native function."""

    def __init__(self, function: Function, program: Program | None) -> None:
        """Write nothing yet."""
        self.function = function
        self.tag = f"{next(function.counter)}_"
        self.texts: dict[int, str] = {}
        self.free: dict[ShapeDtype, list[str]] = {}
        self.lines = []
        self.room = function.room
        if program is not None:
            views = accesses(program)
            groups = grouped(program, views, inside=True)
            wanted = {views[id].base for id in program.outputs}
            self.begin(program, views, groups, wanted)
            self.groups = groups

    def run(self, inputs: Sequence[str], targets: Sequence[str | None]) -> list[str]:
        """Write all; the outputs go into the targets, where there are some. Returns where the outputs are."""
        program, function = self.program, self.function
        self.texts.update(zip(program.inputs, inputs, strict=True))
        for node in program.nodes[len(inputs) :]:
            if node.op is LEAF:
                value = node.output
                array = np.ndim(value) > 0
                self.texts[node.id] = function.constant(value) if array else literal(value, ShapeDtype.of(value).dtype)
        own: dict[int, str] = {}
        copied: list[tuple[int, str]] = []
        for id, target in zip(program.outputs, targets, strict=True):
            if target is None:
                continue
            node = program.nodes[id]
            computed = node.op is not LEAF and self.views[id].base == id and node.shape
            if computed and id not in own and not (node.op is pick and self.keeps(node)):
                own[id] = target
            else:
                copied.append((id, target))
        self.texts.update(own)
        used, ends = self._used_elsewhere(self.groups), self.ends()
        for number, group in enumerate(self.groups):
            if group.kind == "call":
                self.node(group)
            else:
                self.write(group, used)
            for id in ends.get(number, ()):
                node = program.nodes[id]
                self.free.setdefault(ShapeDtype.of(node.output), []).append(self.texts[id])
        for id, target in copied:
            self.copy(id, target)
        function.may_be_wide |= self.may_be_wide
        function.may_fail |= self.may_fail
        self.lines = function.outline.chunks(self.lines)
        return [
            target if target is not None else self.given(id)
            for id, target in zip(program.outputs, targets, strict=True)
        ]

    def ends(self) -> dict[int, list[int]]:
        """For each group the values in arrays of their own that no later group needs: their arrays can be used again.

        What a loop takes may be what it returns, so it stays.
        """
        last: dict[int, int] = {}
        kept = {self.views[id].base for id in self.program.outputs if id in self.views}
        for number, group in enumerate(self.groups):
            for node in group.nodes:
                bases = {self.views[p].base for p in node.parents if p is not None and p in self.views}
                last.update(dict.fromkeys(bases, number))
                if group.kind == "call":
                    kept |= bases | {node.id}
        found: dict[int, list[int]] = {}
        used = self._used_elsewhere(self.groups)
        for group in self.groups:
            for node in group.nodes:
                if node.id in last and node.id in used and node.id not in kept and node.shape:
                    found.setdefault(last[node.id], []).append(node.id)
        return found

    def keeps(self, node: Node) -> bool:
        """Whether a result of a loop or condition is the state of a loop, which lies in arrays of its own."""
        control = picked_from(self.program, node).static["program"]
        return isinstance(control, While) or (isinstance(control, Scan) and node.static["index"] < control.count)

    # -- where values are ----------------------------------------------------------------------------------------------

    def name(self, id: int) -> str:
        """The array or the number of a node."""
        known = self.texts.get(id)
        if known is None:
            node = self.program.nodes[id]
            free = self.free.get(ShapeDtype.of(node.output))
            if not node.shape:
                known = self.local(id)
            else:
                known = free.pop() if free else self.function.array(node.shape, node.dtype)
            self.texts[id] = known
        return known

    def value(self, id: int) -> str:
        """The same: all values are there."""
        return self.name(id)

    def _whole(self, group: Group, own: set[int]) -> int | None:
        """Sizes are written out."""
        return None

    def _reshape(self, node: Node) -> None:
        """A copy with another shape."""
        (parent,) = node.parents
        assert parent is not None
        source = self.given(parent)
        self.lines.append(f"{indexed(self.name(node.id), '...')} = {source}.reshape({node.shape})")

    def allocated(self, name: str, node: Node, shape: str | None = None) -> list[str]:
        """Arrays are made before the loop; those of nodes when they are named, a copy's here."""
        if name.startswith("c"):
            self.function.hoisted.append(f"{name} = np.empty({node.shape}, np.{node.dtype.name})")
            self.function.fixed.add(name)
        return []

    def in_one_line(self, id: int, size: str, before: list[str]) -> str:
        """The array of a node with all its axes as one."""
        return self.function.in_one_line(self.name(id), size)

    def _is_flat(self, group: Group, own: set[int]) -> bool:
        """Whether all arrays can be indexed so."""
        if not super()._is_flat(group, own):
            return False
        parents = {parent for node in group.nodes for parent in node.parents if parent is not None}
        texts = [self.name(self.views[id].base) for id in parents - own if self.program.nodes[id].shape]
        texts += [self.texts[id] for id in own if id in self.texts and self.program.nodes[id].shape]
        return all(self.can_be_flat(text) for text in texts)

    def can_be_flat(self, text: str) -> bool:
        """Whether an array is there before the loop, and at most a row of another."""
        base, _, index = text.partition("[")
        return base in self.function.fixed and "," not in index

    def given(self, id: int) -> str:
        """A value as the input of an inner program, or as a result: all of an array, or a number."""
        node, access = self.program.nodes[id], self.views.get(id)
        if access is None or access.base == id:
            return self.name(id)
        base = self.program.nodes[access.base]
        if is_plain(access, len(node.shape)) and base.shape == node.shape:
            return self.name(access.base)
        if not node.shape:
            name = self.function.fresh("u")
            self.lines.append(f"{name} = {self.operand(id, [])}")
            return name
        name = self.function.array(node.shape, node.dtype)
        self.copy(id, name)
        return name

    def copy(self, id: int, target: str) -> None:
        """Copy a value into an array."""
        shape = self.program.nodes[id].shape
        indices = [f"i{axis}" for axis in range(len(shape))]
        place = indexed(target, ", ".join(indices)) if shape else target
        self.lines += loops(shape, [f"{place} = {self.operand(id, indices)}"])

    # -- loops and conditions ------------------------------------------------------------------------------------------

    def node(self, group: Group) -> None:
        """Write a node that is a loop or condition; its results are picked."""
        (node,) = group.nodes
        if node.op is pick:
            return
        control: Any = node.static["program"]
        operands = [
            literal(value, ShapeDtype.of(value).dtype) if parent is None else self.given(parent)
            for parent, value in zip(node.parents, node.inputs, strict=True)
        ]
        picks = {
            other.static["index"]: other.id
            for other in self.program.nodes
            if other.op is pick and other.parents[0] == node.id
        }
        kinds = [ShapeDtype.of(kind) for kind in node.output]
        targets = [self.texts.get(picks[number]) if number in picks else None for number in range(len(kinds))]
        results = self.control(control, operands, targets, kinds)
        for number, id in picks.items():
            if id not in self.texts:
                self.texts[id] = results[number]

    def control(
        self,
        control: Scan | While | Cond,
        operands: Sequence[str],
        targets: Sequence[str | None],
        kinds: Sequence[ShapeDtype],
    ) -> list[str]:
        """Write a loop or condition; returns where its results are."""
        if isinstance(control, Cond):
            return self.cond(control, operands, targets, kinds)
        return self.loop(control, operands, targets)

    def inside(self, program: Program, inputs: Sequence[str], targets: Sequence[str | None]) -> tuple[list[str], Any]:
        """The lines of a program inside, and where its outputs are."""
        inner = Writer(self.function, program)
        outputs = inner.run(inputs, targets)
        return [f"    {line}" for line in inner.lines], outputs

    def cond(
        self, cond: Cond, operands: Sequence[str], targets: Sequence[str | None], kinds: Sequence[ShapeDtype]
    ) -> list[str]:
        """An `if`; arrays are written by the branch that is taken."""
        results = [
            target or (self.function.array(kind.shape, kind.dtype) if kind.shape else self.function.fresh("u"))
            for target, kind in zip(targets, kinds, strict=True)
        ]
        into = [result if kind.shape else None for result, kind in zip(results, kinds, strict=True)]
        for head, branch in ((f"if {operands[0]}:", cond.yes), ("else:", cond.no)):
            lines, outputs = self.inside(branch, cond.of(branch, operands), into)
            numbers = [
                f"    {result} = np.{kind.dtype.name}({output})"
                for result, kind, output in zip(results, kinds, outputs, strict=True)
                if not kind.shape
            ]
            self.lines += [head, *lines, *numbers, "    pass"]
        return results

    def loop(self, loop: Scan | While, operands: Sequence[str], targets: Sequence[str | None]) -> list[str]:
        """A loop with its state in pairs of arrays, or in numbers."""
        function, body, count = self.function, loop.body, loop.count
        now, then = function.fresh("now"), function.fresh("then")
        state: list[str] = []
        into: list[str | None] = []
        numbers: list[tuple[str, int, str]] = []
        for number in range(count):
            kind = ShapeDtype.of(body.nodes[number].output)
            if body.outputs[number] == number:  # it stays the same
                state.append(operands[number])
                into.append(None)
            elif not kind.shape:
                state.append(function.fresh("u"))
                into.append(None)
                numbers.append((state[-1], number, f"np.{kind.dtype.name}"))
                self.lines.append(f"{state[-1]} = {numbers[-1][2]}({operands[number]})")
            else:
                pair = function.array((2, *kind.shape), kind.dtype)
                state.append(f"{pair}[{now}]")
                into.append(f"{pair}[{then}]")
                indices = ", ".join(f"i{axis}" for axis in range(len(kind.shape)))
                line = f"{indexed(f'{pair}[0]', indices)} = {indexed(operands[number], indices)}"
                self.lines += loops(kind.shape, [line])
        self.lines.append(f"{now} = 0")
        write = self.scan if isinstance(loop, Scan) else self.while_loop
        head, step, inputs, rows, tail = write(loop, operands, state, targets)  # pyright: ignore[reportArgumentType]
        lines, outputs = self.inside(body, inputs, [*into, *(indexed(row, step) for row in rows)])
        self.lines += [*head, f"    {then} = 1 - {now}", *lines]
        if numbers:
            after = ", ".join(f"{cast}({outputs[number]})" for _, number, cast in numbers)
            self.lines.append(f"    {', '.join(name for name, _, _ in numbers)} = {after}")
        if function.may_fail and isinstance(loop, While):  # it might never end
            tail += ["    if failed:", "        break"]
        self.lines += [f"    {now} = {then}", *tail]
        return [*state, *rows]

    def scan(
        self, scan: Scan, operands: Sequence[str], state: Sequence[str], targets: Sequence[str | None]
    ) -> tuple[list[str], str, list[str], list[str], list[str]]:
        """The head of a `for`, the step, the inputs of the body, the rows, and the end."""
        function, step = self.function, self.function.fresh("step")
        end = scan.count + scan.xs
        xs = operands[scan.count : end]
        length = str(scan.length) if scan.length is not None else function.lengths[xs[0]]
        before: list[str] = []
        rows: list[str] = []
        for kind, target in zip(row_kinds(scan.body, scan.count), targets[scan.count :], strict=True):
            if target is not None:
                rows.append(target)
            elif scan.length is not None:
                rows.append(function.array((scan.length, *kind.shape), kind.dtype))
            else:
                rows.append(function.stack(kind, 1))
                function.lengths[rows[-1]] = length
                before.append(f"{rows[-1]} = with_room({rows[-1]}, {length})")
        slices: list[str] = []
        reads: list[str] = []
        for node, x in zip(scan.body.nodes[scan.count : end], xs, strict=True):
            slices.append(indexed(x, step))
            if not ShapeDtype.of(node.output).shape:
                name = function.fresh("u")
                reads.append(f"    {name} = {slices[-1]}")
                slices[-1] = name
        steps = f"range({length} - 1, -1, -1)" if scan.reverse else f"range({length})"
        head = [*before, f"for {step} in {steps}:", *reads]
        return head, step, [*state, *slices, *operands[end:]], rows, []

    def while_loop(
        self, loop: While, operands: Sequence[str], state: Sequence[str], targets: Sequence[str | None]
    ) -> tuple[list[str], str, list[str], list[str], list[str]]:
        """The same for a `while`; stacks grow when they are full."""
        function, step = self.function, self.function.fresh("n")
        _, tested, captured = loop.parts(operands)
        rows = [function.stack(kind, _CHUNK) for kind in row_kinds(loop.body, loop.count)]
        function.lengths.update(dict.fromkeys(rows, step))
        lines, (holds,) = self.inside(loop.test, [*state, *tested], [None])
        head = [f"{step} = 0", "while True:", *lines, f"    if not {holds}:", "        break"]
        for row in rows:
            head += [f"    if {step} == {row}.shape[0]:", f"        {row} = grown({row})"]
        return head, step, [*state, *captured], rows, [f"    {step} += 1"]


__all__ = ["native_control", "written"]
