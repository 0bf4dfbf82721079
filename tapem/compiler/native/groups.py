"""Groups: which ops share a loop.

Elementwise ops and reductions over the same shape run in one loop, if what one of them needs of the others is the
element at hand, and if they have an array in common. Groups run in order; each node goes into the first group where its
operands are ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from numpy.lib.array_utils import normalize_axis_tuple

from tapem.compiler.guards import guard
from tapem.compiler.native.access import Access, is_plain
from tapem.compiler.native.moves import MOVES, can_move, only_in_loops
from tapem.compiler.native.scalars import DTYPES, ONLY_IN_LOOPS, computed_in
from tapem.compiler.native.sinking import sunk
from tapem.compiler.native.small_products import is_small
from tapem.compiler.passes import sizes_of
from tapem.core import LEAF, Node, ShapeDtype, UnknownNumber, unstack
from tapem.transforms import Program

REDUCTIONS = frozenset({"sum", "prod", "max", "min", "all", "any", "count_nonzero"})
RESHAPES = frozenset({"reshape", "flatten", "expand_dims", "squeeze"})
DIVISIONS = frozenset({"div", "floor_divide", "remainder"})
"""Divisions, which are errors where a Python number is divided by zero."""

_MANY_POWERS = 256
"""The number of powers that NumPy computes, by vectors where the machine has them, faster than C one at a time."""

_MOST = 60
"""The number of ops in one loop."""


@dataclass
class Group:
    """Ops that run together: a loop over `shape`; or one op, a product, a reshape, a move, or a call."""

    kind: str
    shape: tuple[int, ...] = ()
    stage: int = 0
    nodes: list[Node] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)

    def add(self, node: Node, parents: Sequence[int], views: Mapping[int, Access], program: Program) -> None:
        """Add a node, which touches itself and the arrays that it reads."""
        self.nodes.append(node)
        bases = (views[parent].base for parent in parents if parent in views)
        self.touched |= {node.id, *(base for base in bases if program.nodes[base].shape)}


def kind_of(node: Node, inside: bool = False) -> str:
    """How a node runs, `inside` of a native loop or not.

    In a "loop", as a "product" of BLAS, as a "reshape", as a "move" of elements, or by a "call" of its implementation.
    """
    name = getattr(node.op, "name", "")
    if type(node.output) is tuple or not isinstance(node.output, ShapeDtype) or is_stack(node):
        return "call"
    if name in RESHAPES and node.parents[0] is not None:
        return "reshape" if node.dtype in DTYPES and node.shape and node.output.size else "call"
    if name in REDUCTIONS:
        kind = ShapeDtype.of(node.inputs[0])
        of_any = name in ("all", "any", "count_nonzero") or (name in ("sum", "prod") and kind.dtype.kind in "bi")
        of_one = node.dtype == kind.dtype and kind.dtype.kind in "fi"
        dtypes = {kind.dtype, node.dtype} <= DTYPES and (of_any or of_one)
        known = kind.size and kind.ndim and dtypes and node.parents[0] is not None and reduced_axes(node)
        return "loop" if known else "call"
    if type(node.output) is UnknownNumber:
        return "loop" if inside and is_counter(node) else "call"
    if name in MOVES:
        return "move" if can_move(node) and (inside or not only_in_loops(node)) else "call"
    if name == "product_and_sum":
        return "product"
    if name in ("dot", "matmul", "bmm"):
        return "product" if is_product(node) or is_small(node) else "call"
    if not inside and node.shape and (name in ONLY_IN_LOOPS or (name == "power" and node.output.size >= _MANY_POWERS)):
        return "call"
    return "call" if computed_in(name, node.inputs, node.dtype) is None else "loop"


def is_counter(node: Node) -> bool:
    """Whether a Python number is computed from others as from numbers of a fixed size."""
    if computed_in(node.op.name, node.inputs, node.dtype) is None or node.dtype.kind == "c":
        return False
    return node.op.name in ("add", "sub", "mul", "neg", "identity", *DIVISIONS)


def is_stack(node: Node) -> bool:
    """Whether the length of a value, or of an operand, is known only when the program runs."""
    return any(isinstance(x, ShapeDtype) and -1 in x.shape for x in (node.output, *node.inputs))


def is_product(node: Node) -> bool:
    """Whether BLAS multiplies the operands: matrices and vectors, or stacks of as many matrices, of one dtype."""
    kinds = [ShapeDtype.of(x) for x in node.inputs]
    if any(kind.dtype != node.dtype or kind.dtype.kind != "f" or kind.dtype not in DTYPES for kind in kinds):
        return False
    a, b = kinds
    if 0 in (a.size, b.size) or None in node.parents:
        return False
    if (a.ndim in (1, 2) and b.ndim in (1, 2)) or sizes_of(node) is not None:
        return True
    return node.op.name != "dot" and a.ndim > 2 and a.shape[:-2] == b.shape[:-2]


def loop_shape(node: Node) -> tuple[int, ...]:
    """The shape over which a node loops."""
    return ShapeDtype.of(node.inputs[0]).shape if node.op.name in REDUCTIONS else node.shape


def reduced_axes(node: Node) -> tuple[int, ...]:
    """The axes over which a reduction runs."""
    axis, rank = node.static["axis"], len(loop_shape(node))
    return tuple(range(rank)) if axis is None else tuple(sorted(normalize_axis_tuple(axis, rank)))


def grouped(program: Program, views: Mapping[int, Access], inside: bool = False) -> Sequence[Group]:
    """The groups of a program, in the order in which they run; views belong to none."""
    groups: list[Group] = []
    place: dict[int, int] = {}
    stages: dict[int, int] = {}
    for node in program.nodes[len(program.inputs) :]:
        if node.op in (LEAF, unstack) or (node.id in views and views[node.id].base != node.id):
            continue
        kind = kind_of(node, inside)
        shape = loop_shape(node) if kind == "loop" else ()
        stage = stages[node.id] = stage_of(node, kind, program, views, stages)
        ready = 0
        for parent in node.parents:
            if parent is None:
                continue
            base = views[parent].base if parent in views else parent
            if base not in place:
                continue
            group = groups[place[base]]
            here = (
                kind == group.kind == "loop"
                and group.shape == shape
                and base == parent
                and is_plain(views[parent], len(shape))
                and getattr(program.nodes[base].op, "name", "") not in REDUCTIONS
            )
            ready = max(ready, place[base] + (not here))
        number = len(groups)
        if kind == "loop":
            bases = {views[parent].base for parent in node.parents if parent is not None and parent in views}
            fits = [
                (g.kind, g.shape, g.stage) == (kind, shape, stage)
                and len(g.nodes) < _MOST
                and (not shape or not bases.isdisjoint(g.touched))
                for g in groups
            ]
            number = next((index for index in range(ready, len(groups)) if fits[index]), number)
        if number == len(groups):
            groups.append(Group(kind, shape, stage))
        groups[number].add(node, [p for p in node.parents if p is not None], views, program)
        place[node.id] = number
    groups.sort(key=lambda group: group.stage)
    shapes = [group.shape if group.kind == "loop" else None for group in groups]
    runs_in = sunk([group.nodes for group in groups], shapes, REDUCTIONS, program, views, _MOST)
    return [together([groups[n] for n in range(len(groups)) if runs_in[n] == at]) for at in sorted({*runs_in})]


def together(groups: Sequence[Group]) -> Group:
    """Groups as one, which runs where the last of them is."""
    nodes = [node for group in groups for node in group.nodes]
    return replace(groups[-1], nodes=nodes, touched=set[int]().union(*(group.touched for group in groups)))


def stage_of(node: Node, kind: str, program: Program, views: Mapping[int, Access], stages: Mapping[int, int]) -> int:
    """When a node runs: native code in even stages, calls in odd ones, so that few calls come between.

    Guards run at last: nothing depends on them.
    """
    if node.op is guard:
        return len(program.nodes) | 1
    bases = [views[parent].base if parent in views else parent for parent in node.parents if parent is not None]
    latest = max((stages[base] for base in bases if base in stages), default=0)
    return latest + (latest % 2 != (kind == "call"))


__all__ = [
    "DIVISIONS",
    "REDUCTIONS",
    "RESHAPES",
    "Group",
    "grouped",
    "kind_of",
    "loop_shape",
    "reduced_axes",
]
