"""Codegen: groups as the text of functions that numba compiles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapem.compiler.native.access import Access, in_columns, is_plain
from tapem.compiler.native.groups import DIVISIONS, REDUCTIONS, Group, reduced_axes
from tapem.compiler.native.matrices import product_text
from tapem.compiler.native.moves import move_text
from tapem.compiler.native.products import workspaces
from tapem.compiler.native.scalars import SCALARS, computed_in, literal
from tapem.compiler.native.text import SQUARE, tiled
from tapem.core import Node, ShapeDtype, UnknownNumber
from tapem.transforms import Program

_START = {"sum": 0, "prod": 1, "max": -np.inf, "min": np.inf, "all": True, "any": False, "count_nonzero": 0}
_EXTREMES = {"max": "larger", "min": "smaller"}
_STEP = {
    "sum": "{total} + {x}",
    "prod": "{total} * {x}",
    "max": "{x} if {x} > {total} or {x} != {x} else {total}",
    "min": "{x} if {x} < {total} or {x} != {x} else {total}",
    "all": "{total} and {x} != 0",
    "any": "{total} or {x} != 0",
    "count_nonzero": "{total} + ({x} != 0)",
}

_SHORT = 16
"""Loops over fewer elements are always written for this size, which LLVM unrolls; there are no vectors in them."""

_WRITTEN_OUT = 200
"""The number of lines up to which LLVM writes a loop of known length out step by step."""

_FUNCTION = re.compile(r"\{B\}|math\.|np\.\w+\(|power")
"""What is a function of one number or two in the expression of an op."""


class Segment:
    """The text of one native function: some groups that follow each other, with arguments and results.

    Values of shape () are scalars `v7`, others C-contiguous arrays `a7`, named by the id of their node. If it
    `may_be_wide`, the last result says whether sin or cos met too large a number.
    """

    tag = ""
    any_size = False

    def __init__(
        self,
        program: Program,
        views: Mapping[int, Access],
        groups: Sequence[Group],
        wanted: set[int],
        any_size: bool = False,
    ) -> None:
        """Write the groups; `wanted` are the nodes whose values are needed outside.

        Loops of `any_size` take theirs from an operand, so that more of them are equal and compile fast.
        """
        self.any_size = any_size
        self.begin(program, views, groups, wanted)
        used = self._used_elsewhere(groups)
        for group in groups:
            self.write(group, used)

    def begin(self, program: Program, views: Mapping[int, Access], groups: Sequence[Group], wanted: set[int]) -> None:
        """Start with no lines."""
        self.program = program
        self.views = views
        self.made = {node.id for group in groups for node in group.nodes}
        self.results = sorted(self.made & wanted)
        self.arguments: list[int] = []
        self.lines: list[str] = []
        self.room: dict[str, int] = {}
        self.may_be_wide = False
        self.may_fail = False
        self._declared: set[str] = set()

    def write(self, group: Group, used: set[int]) -> None:
        """Write one group."""
        if group.kind == "product":
            node = group.nodes[0]
            if node.shape:
                self._empty(node)
            self.lines += product_text(self, node)
        elif group.kind == "reshape":
            self._reshape(group.nodes[0])
        elif group.kind == "move":
            node = group.nodes[0]
            if node.shape:
                self._empty(node)
            self.lines += move_text(self, node)
        else:
            self._loop(group, used)

    def _used_elsewhere(self, groups: Sequence[Group]) -> set[int]:
        """The nodes whose values must lie in memory: results, and those that another group reads."""
        needed = set(self.results)
        for group in groups:
            own = {node.id for node in group.nodes}
            for node in group.nodes:
                for parent in node.parents:
                    if parent is not None and parent in self.views:
                        base = self.views[parent].base
                        if base not in own or base != parent:
                            needed.add(base)
        return needed

    def text(self, name: str) -> str:
        """The function; its names say nothing of the program, so that equal functions have equal texts."""
        return renumbered(self._text(name))

    def _text(self, name: str) -> str:
        results = ", ".join([*map(self.name, self.results), *["wide"] * self.may_be_wide])
        head = f"def {name}({', '.join(map(self.name, self.arguments))}):"
        lines = [*["wide = False"] * self.may_be_wide, *workspaces(self.room), *self.lines]
        return "\n".join([head, *(f"    {line}" for line in lines), f"    return ({results},)"])

    def name(self, id: int) -> str:
        """The name of the value of a node."""
        return f"a{id}" if self.program.nodes[id].shape else self.local(id)

    def local(self, id: int) -> str:
        """The name of the element of a node that a loop has at hand."""
        return f"v{self.tag}{id}"

    def value(self, id: int) -> str:
        """The same; what another function made is an argument."""
        if id not in self.made and id not in self.arguments:
            self.arguments.append(id)
        return self.name(id)

    def operand(self, id: int, indices: Sequence[str]) -> str:
        """An element of a value at an index of its own axes, which may be a view."""
        access, shape = self.views[id], self.program.nodes[id].shape
        if not self.program.nodes[access.base].shape:
            return self.value(access.base)
        return indexed(self.value(access.base), access.index_text(indices, shape))

    def whole(self, id: int) -> str:
        """A value as an array of its own, or as a number."""
        access, node = self.views[id], self.program.nodes[id]
        if not node.shape:
            return self.operand(id, [])
        plain = is_plain(access, len(node.shape)) and self.program.nodes[access.base].shape == node.shape
        return self.value(access.base) if plain else self.copied(id, access)

    def _reshape(self, node: Node) -> None:
        """The same memory with another shape."""
        (parent,) = node.parents
        assert parent is not None
        self.lines.append(f"{self.name(node.id)} = {self.whole(parent)}.reshape({node.shape})")

    def copied(self, id: int, access: Access) -> str:
        """A view copied into an array of its own."""
        name = f"c{self.tag}{id}"
        if name not in self._declared:
            self._declared.add(name)
            shape = self.program.nodes[id].shape
            self.lines += self.allocated(name, self.program.nodes[id])
            indices = [f"i{axis}" for axis in range(len(shape))]
            for axis, size in enumerate(shape):
                self.lines.append(f"{'    ' * axis}for i{axis} in range({size}):")
            line = f"{indexed(name, ', '.join(indices))} = {self.operand(id, indices)}"
            self.lines.append(f"{'    ' * len(shape)}{line}")
        return name

    # -- loops ---------------------------------------------------------------------------------------------------------

    def allocated(self, name: str, node: Node, shape: str | None = None) -> list[str]:
        """The lines that make an array for the value of a node; the text of its shape may be given."""
        return [f"{name} = np.empty({shape or node.shape}, np.{node.dtype.name})"]

    def in_one_line(self, id: int, size: str, before: list[str]) -> str:
        """The array of a node with all its axes as one, which is made before the loop."""
        name = f"f{self.tag}{id}"
        before.append(f"{name} = flat({self.value(id)})")
        return name

    def _empty(self, node: Node) -> None:
        self.lines += self.allocated(self.name(node.id), node)

    def _loop(self, group: Group, used: set[int]) -> None:
        """A loop over the shape of a group."""
        shape, nodes = group.shape, group.nodes
        own = {node.id for node in nodes}
        flat = len(shape) > 1 and self._is_flat(group, own)
        sizes = (int(np.prod(shape)),) if flat else shape
        counts = [str(size) for size in sizes]
        like = self._whole(group, own) if flat or len(shape) == 1 or self.any_size else None
        indices = [f"i{axis}" for axis in range(len(sizes))]
        before: list[str] = []
        body: list[str] = []
        after: dict[int, list[str]] = {}
        opening: dict[int, list[str]] = {}
        arrays: dict[int, str] = {}

        def array(id: int) -> str:
            """The array of a node as this loop indexes it."""
            name = self.value(id)
            if not flat:
                return name
            if id not in arrays:
                arrays[id] = self.in_one_line(id, counts[0], before)
            return arrays[id]

        def element(id: int) -> str:
            """One element of a value."""
            if id in own and self.program.nodes[id].op.name not in REDUCTIONS:
                return self.local(id)
            access, operand = self.views[id], self.program.nodes[id].shape
            if not self.program.nodes[access.base].shape:
                return self.value(access.base)
            if flat:
                return indexed(array(access.base), "i0")
            shift = len(shape) - len(operand)
            return indexed(array(access.base), access.index_text(indices[shift:], operand))

        if like is not None and len(sizes) == 1:  # so loops over other sizes are the same function
            counts = [f"n{nodes[0].id}"]
            before.append(f"n{nodes[0].id} = {self.value(like)}.size")
        elif like is not None:
            counts = [
                str(size) if size < _SHORT else f"{self.value(like)}.shape[{axis}]" for axis, size in enumerate(sizes)
            ]
        for node in nodes:
            name = node.op.name
            if name in REDUCTIONS:
                self._reduction(node, element, counts, indices, flat, before, body, opening, after)
                continue
            expression = scalar(node, element)
            if name in ("sin", "cos") and node.parents[0] is not None:
                self.may_be_wide = True
                body.append(f"wide |= abs({element(node.parents[0])}) > WIDE{8 * node.dtype.itemsize}")
            if name in DIVISIONS and type(node.output) is UnknownNumber:
                self.may_fail = True
                divisor = node.inputs[1] if node.parents[1] is None else element(node.parents[1])
                body.append(f"failed |= {divisor} == 0")
            body.append(f"{self.local(node.id)} = {expression}")
            if node.id in used and shape:
                before += self.allocated(
                    self.name(node.id), node, None if like is None else f"{self.value(like)}.shape"
                )
                body.append(f"{indexed(array(node.id), ', '.join(indices))} = {self.local(node.id)}")
        known = len(counts) > 1 and counts[-1].isdigit()
        if known and sizes[-1] >= _SHORT and sizes[-1] * len(body) <= _WRITTEN_OUT and is_cheap(nodes):
            counts[-1] = f"n{nodes[0].id}"
            before.append(f"{counts[-1]} = unknown({sizes[-1]})")
        self.lines += before
        if self._is_turned(group, own):
            self.lines += tiled(counts, body)
            return
        for depth, size in enumerate(counts):
            self.lines += [f"{'    ' * depth}{line}" for line in opening.get(depth, [])]
            self.lines.append(f"{'    ' * depth}for i{depth} in range({size}):")
        inner = len(sizes)
        self.lines += [f"{'    ' * inner}{line}" for line in (body or ["pass"])]
        for depth in range(len(sizes) - 1, -1, -1):
            self.lines += [f"{'    ' * depth}{line}" for line in after.get(depth, [])]

    def _is_turned(self, group: Group, own: set[int]) -> bool:
        """Whether a large loop without reductions reads an array in columns."""
        rank = len(group.shape)
        if rank < 2 or min(group.shape[-2:]) < 2 * SQUARE or any(node.op.name in REDUCTIONS for node in group.nodes):
            return False
        parents = {p for node in group.nodes for p in node.parents if p is not None and p not in own}
        return any(in_columns(self.views[p], rank - len(self.program.nodes[p].shape), rank) for p in parents)

    def _whole(self, group: Group, own: set[int]) -> int | None:
        """An array of the shape of the loop that is made outside of it, and read in order; None if there is none."""
        for node in group.nodes:
            for parent in node.parents:
                if parent is not None and parent not in own and is_plain(self.views[parent], len(group.shape)):
                    base = self.views[parent].base
                    if base not in own and self.program.nodes[base].shape == group.shape:
                        return base
        return None

    def _is_flat(self, group: Group, own: set[int]) -> bool:
        """Whether a loop may run over all elements in one line: every array has the whole shape, or no axis."""
        for node in group.nodes:
            if node.op.name in REDUCTIONS and len(reduced_axes(node)) != len(group.shape):
                return False
            for parent in node.parents:
                if parent is None or parent in own:
                    continue
                access = self.views[parent]
                if not self.program.nodes[access.base].shape:
                    continue
                whole = self.program.nodes[parent].shape == group.shape == self.program.nodes[access.base].shape
                if not whole or not is_plain(access, len(group.shape)):
                    return False
        return True

    def _reduction(
        self,
        node: Node,
        element: Any,
        counts: list[str],
        indices: list[str],
        flat: bool,
        before: list[str],
        body: list[str],
        opening: dict[int, list[str]],
        after: dict[int, list[str]],
    ) -> None:
        """A reduction: a scalar where the innermost axes are reduced, else an array that each element is added to."""
        name = node.op.name
        axes = (0,) if flat else reduced_axes(node)
        x = element(node.parents[0])
        start = literal(start_of(name, node.dtype), node.dtype)
        kept = [axis for axis in range(len(counts)) if axis not in axes]
        keepdims = node.static["keepdims"]
        shown = [axis for axis in range(len(counts)) if axis in kept or keepdims]
        places = [indices[axis] if axis in kept else "0" for axis in shown]
        shape = "".join(f"{counts[axis] if axis in kept else 1}, " for axis in shown)
        if flat and node.shape:
            places, shape = ["0"] * len(node.shape), "1, " * len(node.shape)
        target = indexed(self.name(node.id), ", ".join(places)) if node.shape else self.name(node.id)
        if node.shape:
            before += self.allocated(self.name(node.id), node, f"({shape.rstrip()})")
        inner = tuple(axes) == tuple(range(len(kept), len(counts)))
        if inner:
            total, is_nan = f"t{self.tag}{node.id}", f"b{self.tag}{node.id}"
            first, step, result = [f"{total} = {start}"], [f"{total} = {_STEP[name].format(total=total, x=x)}"], total
            if name in _EXTREMES and node.dtype.kind == "f":
                first.append(f"{is_nan} = False")
                step = [f"{total} = {_EXTREMES[name]}({x}, {total})", f"{is_nan} |= {x} != {x}"]
                result = f"np.{node.dtype.name}(np.nan) if {is_nan} else {total}"
            opening.setdefault(len(kept), []).extend(first)
            body.extend(step)
            after.setdefault(len(kept), []).append(f"{target} = {result}")
        else:
            before.append(f"{indexed(self.name(node.id), '...')} = {start}")
            body.append(f"{target} = {_STEP[name].format(total=target, x=x)}")


def renumbered(text: str) -> str:
    """The text with the values numbered in the order in which they occur."""
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"{match[1]}{numbers.setdefault(match[2], len(numbers))}{match[3]}"

    return re.sub(r"\b([abfvtcsn])(\d+)(|_\d)\b", number, text)


def is_cheap(nodes: Sequence[Node]) -> bool:
    """Whether each op is an instruction or a few, and no function."""
    return not any(_FUNCTION.search(SCALARS.get(node.op.name, "")) for node in nodes)


def start_of(name: str, dtype: np.dtype[Any]) -> Any:
    """The value with which a reduction begins: that of no elements."""
    start = _START[name]
    if dtype.kind != "i" or np.isfinite(start):
        return start
    return np.iinfo(dtype).min if start < 0 else np.iinfo(dtype).max


def indexed(array: str, index: str) -> str:
    """An array at an index; an array that is a row of another already is indexed once."""
    return f"{array[:-1]}, {index}]" if array.endswith("]") else f"{array}[{index}]"


def scalar(node: Node, element: Any) -> str:
    """The expression of an elementwise op for one element."""
    dtypes = computed_in(node.op.name, node.inputs, node.dtype)
    assert dtypes is not None
    operands: list[str] = []
    for parent, value, dtype in zip(node.parents, node.inputs, dtypes, strict=True):
        if parent is None:
            operands.append(literal(value, dtype))
            continue
        text = element(parent)
        kind = value.dtype if isinstance(value, ShapeDtype) else None
        same = kind == dtype and type(value) is not UnknownNumber
        operands.append(text if same else f"np.{dtype.name}({text})")
    of_all = node.op.name == "power" and ShapeDtype.of(node.inputs[1]).shape == ()
    expression = SCALARS["power_of_all" if of_all else node.op.name].format(
        *operands, T=f"np.{dtypes[-1].name}", B=8 * dtypes[-1].itemsize
    )
    return expression if dtypes[-1] == node.dtype or node.dtype.kind == "b" else f"np.{node.dtype.name}({expression})"


__all__ = ["Segment", "indexed"]
