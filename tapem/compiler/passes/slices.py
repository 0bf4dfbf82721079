"""Slices: rows that are taken out of an array and stacked again in their order are a slice of it.

The powers of a vector that a loop has stacked become the columns of a matrix: its rows lie in memory already, and the
matrix is their transpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tapem.compiler.rewriting import Rewriter, Value, rewritten
from tapem.core import Node
from tapem.ops import Index, concat_arrays, gather, moveaxis, stack_arrays
from tapem.transforms import Program

_FEWEST = 4
"""The smallest number of rows that become a slice."""


class Run(NamedTuple):
    """Operands of a stack, from `start` to `end`; if `source` is there, they are its rows from `first` by `step`."""

    start: int
    end: int
    source: int | None = None
    first: int = 0
    step: int = 1


def slices(program: Program) -> Program:
    """Write slices for rows that are stacked again; they are stacked along the first axis, which is then moved."""

    def replace(rewriter: Rewriter, node: Node) -> Any:
        if node.op is not stack_arrays:
            return None
        operands = rewriter.operands(node)
        runs = runs_of([row_of(rewriter, operand) for operand in operands])
        if all(run.source is None for run in runs):
            return None
        pieces = [piece(rewriter, run, operands[run.start : run.end]) for run in runs]
        rows = pieces[0] if len(pieces) == 1 else rewriter.apply(concat_arrays, *pieces, axis=0)
        axis = node.static["axis"] % len(node.shape)
        return rows if axis == 0 else rewriter.apply(moveaxis, rows, source=0, destination=axis)

    return rewritten(program, replace)


def row_of(rewriter: Rewriter, operand: Any) -> tuple[int, int] | None:
    """The array of which a value is one row, and the number of the row, from the front."""
    if type(operand) is not Value:
        return None
    node = rewriter.nodes[operand.id]
    if node.op is not gather or len(node.parents) != 1 or node.parents[0] is None:
        return None
    parts = node.static["at"].parts
    if len(parts) != 1 or type(parts[0]) is not int:
        return None
    return node.parents[0], parts[0] % rewriter.nodes[node.parents[0]].shape[0]


def runs_of(rows: Sequence[tuple[int, int] | None]) -> list[Run]:
    """The longest runs of rows that follow each other, and what lies between them."""
    runs: list[Run] = []
    start = loose = 0
    while start < len(rows):
        end = end_of(rows, start)
        row, second = rows[start], rows[end - 1]
        if row is not None and second is not None and end - start >= _FEWEST:
            if loose < start:
                runs.append(Run(loose, start))
            runs.append(Run(start, end, *row, 1 if second[1] > row[1] else -1))
            loose = end
        start = end
    return [*runs, Run(loose, len(rows))] if loose < len(rows) else runs


def end_of(rows: Sequence[tuple[int, int] | None], start: int) -> int:
    """Where the run of rows ends that begins here; a row that does not follow the one before begins another one."""
    end, step = start + 1, 0
    while end < len(rows):
        before, row = rows[end - 1], rows[end]
        if before is None or row is None or before[0] != row[0]:
            break
        if row[1] - before[1] not in ((step,) if step else (1, -1)):
            break
        step = row[1] - before[1]
        end += 1
    return end


def piece(rewriter: Rewriter, run: Run, operands: Sequence[Any]) -> Any:
    """The rows of a run as one value."""
    if run.source is None:
        return rewriter.apply(stack_arrays, *operands, axis=0)
    end = run.first + run.step * (run.end - run.start)
    whole = run.step == 1 and run.first == 0 and end == rewriter.nodes[run.source].shape[0]
    rows = slice(run.first, end if end >= 0 else None, run.step)
    return Value(run.source) if whole else rewriter.apply(gather, Value(run.source), at=Index((rows,)))


__all__ = ["slices"]
