"""Dead code: what no output needs is not computed, neither in a program nor in the loops and branches inside of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tapem.compiler.guards import guard
from tapem.compiler.rewriting import Rewriter, rewritten
from tapem.core import Node, Static, pick
from tapem.transforms import Cond, Program, Scan, While, call


def dead(program: Program) -> Program:
    """Leave out the nodes on which no output depends, such as the values that only an unused cotangent needs.

    Of a loop or condition, only the results that are used stay, and the operands that these need. A guard goes if it is
    known that all is fine.
    """
    outputs = [id for id in program.outputs if not is_settled(program.nodes[id])]
    program = Program.of(program.nodes, program.inputs, outputs, program.__name__)
    used: dict[int | None, set[int]] = {}
    for node in program.nodes:
        if node.op is pick:
            used.setdefault(node.parents[0], set()).add(node.static["index"])
    places: dict[int | None, list[int]] = {}

    def replace_node(rewriter: Rewriter, node: Node) -> Any:
        if node.op is pick and node.parents[0] in places:
            index = places[node.parents[0]].index(node.static["index"])
            return rewriter.put(pick, rewriter.operands(node), Static(index=index), node.output)
        own = node.static.get("program") if node.op is call else None
        if not isinstance(own, Scan | While | Cond) or getattr(own, "sizes", ()):
            return None
        smaller, operands, results = trimmed(own, used.get(node.id, set()))
        places[node.id] = results
        given = rewriter.operands(node)
        kinds = smaller.kinds if isinstance(smaller, Cond) else smaller.shapes(*smaller.kinds)
        return rewriter.put(call, [given[i] for i in operands], Static(program=smaller), tuple(kinds))

    return rewritten(program, replace_node)


def is_settled(node: Node) -> bool:
    """Whether a node is a guard whose check has been computed already, and holds."""
    return node.op is guard and node.parents[0] is None and bool(node.inputs[0])


def trimmed(control: Scan | While | Cond, used: set[int]) -> tuple[Scan | While | Cond, list[int], list[int]]:
    """A loop or condition without its unused results: itself, and the numbers of its operands and results that stay."""
    if isinstance(control, Cond):
        return trimmed_cond(control, sorted(used))
    return trimmed_loop(control, used)


def needs(program: Program, outputs: Sequence[int]) -> set[int]:
    """The numbers of the inputs that some outputs need."""
    return needed_nodes(program, [program.outputs[number] for number in outputs]) & set(program.inputs)


def needed_nodes(program: Program, ids: Sequence[int]) -> set[int]:
    """The nodes that some nodes need, and these themselves."""
    found = set(ids)
    for node in reversed(program.nodes):
        if node.id in found:
            found.update(parent for parent in node.parents if parent is not None)
    return found


def cut(program: Program, inputs: Sequence[int], outputs: Sequence[int]) -> Program:
    """The program with some of its inputs and outputs, by their numbers."""
    return dead(Program.of(program.nodes, inputs, [program.outputs[number] for number in outputs], program.__name__))


def trimmed_cond(cond: Cond, used: list[int]) -> tuple[Cond, list[int], list[int]]:
    """Without what neither branch needs."""
    flags = range(1 + cond.operands + len(cond.yes.inputs) + len(cond.no.inputs) - 2 * cond.operands)
    of_yes, of_no = cond.of(cond.yes, flags), cond.of(cond.no, flags)
    kept = {of_yes[i] for i in needs(cond.yes, used)} | {of_no[i] for i in needs(cond.no, used)}
    operands = [0, *(i for i in flags if i in kept)]
    yes, no = (
        cut(branch, [i for i, position in enumerate(own) if position in kept], used)
        for branch, own in ((cond.yes, of_yes), (cond.no, of_no))
    )
    shared = sum(1 <= i <= cond.operands for i in operands)
    captured = sum(cond.operands < i <= cond.operands + cond.captured for i in operands)
    kinds = tuple(cond.kinds[i] for i in used)
    smaller = replace(cond, axes=((),) * len(operands), yes=yes, no=no, operands=shared, captured=captured, kinds=kinds)
    return smaller, operands, used


def trimmed_loop(loop: Scan | While, used: set[int]) -> tuple[Scan | While, list[int], list[int]]:
    """Without the rows and the state that nothing needs."""
    body, count, end = loop.body, loop.count, loop.count + loop.xs
    tested = needs(loop.test, [0]) if isinstance(loop, While) else set[int]()
    results = used | {i for i in tested if i < count}
    while True:
        inputs = needs(body, sorted(results))
        following = results | {i for i in inputs if i < count}
        if following == results:
            break
        results = following
    if isinstance(loop, Scan) and loop.length is None and not any(count <= i < end for i in inputs):
        inputs.add(count)  # whose length is the number of steps
    inputs |= {i for i in results if i < count}
    own, outputs = sorted(inputs), sorted(results)
    states = sum(i < count for i in own)
    smaller = cut(body, own, outputs)
    if isinstance(loop, Scan):
        return Scan(smaller, states, sum(count <= i < end for i in own), loop.length, loop.reverse), own, outputs
    captures = [i for i in sorted(tested) if i >= count]
    test = cut(loop.test, [*own[:states], *captures], [0])
    operands = [*own[:states], *captures, *(i + loop.captured for i in own[states:])]
    axes = ((),) * len(operands)
    return replace(loop, axes=axes, test=test, body=smaller, count=states, captured=len(captures)), operands, outputs
