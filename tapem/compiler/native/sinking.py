"""Sinking: a loop runs where its first reader does, so that both are one loop.

Groups are found from first to last, and an op goes into the first group where its operands are ready. So `m * 0.9` of
an optimizer would be a loop of its own, long before the gradient is there. From last to first, each group moves down to
the first group that reads it, if that is a loop over the same shape that needs only the elements at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tapem.compiler.native.access import Access
from tapem.core import Node
from tapem.transforms import Program


def sunk(
    groups: Sequence[Sequence[Node]],
    shapes: Sequence[tuple[int, ...] | None],
    reductions: frozenset[str],
    program: Program,
    views: Mapping[int, Access],
    most: int,
) -> list[int]:
    """For each group the group where it runs; `shapes` are those of loops, and None for what stays where it is.

    No loop grows to more than `most` ops. The values of `reductions` are at hand after the loop only.
    """
    place = {node.id: number for number, group in enumerate(groups) for node in group}
    reads: dict[int, list[tuple[int, bool]]] = {}
    for number, group in enumerate(groups):
        for node in group:
            for parent in node.parents:
                base = views[parent].base if parent is not None and parent in views else parent
                if base is None or base not in place or place[base] == number:
                    continue
                at_hand = base == parent and getattr(program.nodes[base].op, "name", "") not in reductions
                reads.setdefault(place[base], []).append((number, at_hand))
    runs_in = list(range(len(groups)))
    size = [len(group) for group in groups]
    for number in range(len(groups) - 1, -1, -1):
        readers = [(runs_in[reader], at_hand) for reader, at_hand in reads.get(number, ())]
        if shapes[number] is None or not readers:
            continue
        first = min(reader for reader, _ in readers)
        fits = shapes[first] == shapes[number] and size[first] + size[number] <= most
        if fits and all(at_hand for reader, at_hand in readers if reader == first):
            runs_in[number] = first
            size[first] += size[number]
    return runs_in


__all__ = ["sunk"]
