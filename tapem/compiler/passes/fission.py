"""Fission: what the steps of a loop compute without the carry is computed before the loop, for all steps at once.

A cosine of each slice is one cosine of the whole stack. What depends on captures alone, such as the transpose of a
weight, is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from tapem.compiler.guards import guard
from tapem.compiler.passes.expand import inlined
from tapem.compiler.rewriting import Rewriter, rewritten
from tapem.core import LEAF, Node, Primitive, ShapeDtype, Static, UnknownNumber, pick
from tapem.transforms import Program, Scan, call, vmap

_LARGEST = 2**22
"""The most bytes of a value for all steps; a larger one leaves the cache before the loop reads it."""

_TOGETHER = frozenset(
    {
        "broadcast_to",
        "cast",
        "dot",
        "expand_dims",
        "matmul",
        "max",
        "min",
        "mean",
        "reshape",
        "squeeze",
        "sum",
        "transpose",
    }
)
"""Ops that are faster for all steps at once, beside the elementwise ones."""


def fission(program: Program) -> Program:
    """Move what can be moved out of each Scan of known length."""

    def replace(rewriter: Rewriter, node: Node) -> Any:
        if node.op is pick and type(whole := rewriter.values[node.parents[0]]) is tuple:  # pyright: ignore
            return whole[node.static["index"]]
        scan = node.static.get("program") if node.op is call else None
        return split(rewriter, scan, rewriter.operands(node)) if isinstance(scan, Scan) and scan.length else None

    return rewritten(program, replace)


def split(rewriter: Rewriter, scan: Scan, operands: list[Any]) -> tuple[Any, ...] | None:
    """The results of a loop after what was moved before it; None if nothing is."""
    body, end, length = scan.body, scan.count + scan.xs, scan.length or 0
    once = [id for id in moved(body, set(body.inputs[end:]), once_only=True) if id not in body.inputs]
    fixed = {*body.inputs[end:], *once, *body_constants(body)}
    slices = {id for id in body.inputs[scan.count : end] if type(body.nodes[id].output) is ShapeDtype}
    every = [id for id in moved(body, slices, fixed, length) if id not in slices]
    if not once and not every:
        return None
    outside = {*once, *every}
    used = {p for node in body.nodes if node.id not in outside for p in node.parents} | set(body.outputs)
    once, every = [id for id in once if id in used], [id for id in every if id in used]
    given = operands[scan.count :]
    values = before(rewriter, body, scan, (once, every), given, length)
    rows = {output: value for output, value in zip(every, values[len(once) :], strict=True)}
    ys = [id for id in body.outputs[scan.count :] if body.nodes[id].op is not guard]
    stay = [id for id in ys if id not in rows]
    guards = [id for id in body.outputs if body.nodes[id].op is guard]
    inputs = [*body.inputs[:end], *every, *body.inputs[end:], *once]
    inner = Program.of(body.nodes, inputs, [*body.outputs[: scan.count], *stay, *guards], body.__name__)
    smaller = Scan(inner, scan.count, scan.xs + len(every), scan.length, scan.reverse)
    new = [*operands[:end], *values[len(once) :], *operands[end:], *values[: len(once)]]
    kinds = smaller.shapes()[: scan.count + len(stay)]
    made = rewriter.put(call, new, Static(program=smaller), kinds)
    results = [rewriter.put(pick, [made], Static(index=index), kind) for index, kind in enumerate(kinds)]
    left = dict(zip(stay, results[scan.count :], strict=True))
    return (*results[: scan.count], *(rows[id] if id in rows else left[id] for id in ys))


def body_constants(body: Program) -> list[int]:
    """The leaves of a body that are no inputs."""
    return [node.id for node in body.nodes[len(body.inputs) :] if node.op is LEAF]


def moved(
    body: Program,
    sources: AbstractSet[int],
    fixed: AbstractSet[int] = frozenset(),
    length: int = 1,
    once_only: bool = False,
) -> list[int]:
    """The nodes that depend on some sources, and beside them on what is fixed only, and that are worth to be moved."""
    constants = set(body_constants(body))
    found = set(sources)
    for node in body.nodes[len(body.inputs) :]:
        parents = [parent for parent in node.parents if parent is not None]
        if found.isdisjoint(parents) or not found.union(fixed, constants).issuperset(parents):
            continue
        if can_move(node) and (once_only or (is_together(node) and size_of(node) * length <= _LARGEST)):
            found.add(node.id)
    return sorted(found - sources)


def can_move(node: Node) -> bool:
    """Whether a node can be computed elsewhere: it has one result, and checks nothing."""
    return node.op is not guard and node.op is not call and type(node.output) in (ShapeDtype, UnknownNumber)


def is_together(node: Node) -> bool:
    """Whether an op is faster for all steps at once."""
    op: Any = node.op
    return isinstance(op, Primitive) and type(node.output) is ShapeDtype and (op.elementwise or op.name in _TOGETHER)


def size_of(node: Node) -> int:
    """The bytes of a value."""
    return node.output.size * node.dtype.itemsize


def before(
    rewriter: Rewriter,
    body: Program,
    scan: Scan,
    wanted: tuple[Sequence[int], Sequence[int]],
    given: Sequence[Any],
    length: int,
) -> list[Any]:
    """The values that are computed before the loop, from its xs and captures: once, and for all steps."""
    once, every = wanted
    captured = body.inputs[scan.count + scan.xs :]
    values: list[Any] = []
    if once:
        values += inlined(rewriter, Program.of(body.nodes, captured, once, "once"), [*given[scan.xs :]], {})
    if every:
        inputs = [*body.inputs[scan.count : scan.count + scan.xs], *captured, *once]
        rows = Program.of(body.nodes, inputs, every, "all steps")
        axes = (0,) * scan.xs + (None,) * (len(inputs) - scan.xs)
        whole = vmap(rows, in_axes=axes, out_axes=(0,) * len(every), axis_size=length)
        values += inlined(rewriter, whole, [*given, *values], {})
    return values


__all__ = ["fission"]
