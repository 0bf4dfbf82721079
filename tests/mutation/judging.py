"""The table of ops as the test of mutants: of the rows that run the changed lines, the cheapest first."""

from __future__ import annotations

import functools
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import layers
import losses
import tapem
from tapem.core import Primitive
from tapem.ops import spectral
from tapem.ops.scipy import special
from tapem.testing import Mutant, MutationScore, mutants, rule_report
from tapem.testing.mutation.mutants import SECOND_ORDER
from tapem.testing.mutation.scores import complaint, survives
from tests.tables import Row, complex_numbers
from tests.tables import special as special_rows
from tests.test_table import TABLE, primitives

FILES = tuple(str(Path(str(package.__file__)).parent / part) for package, part in (
    (tapem, "ops"), (tapem, "core"), (layers, ""), (losses, "")
))  # fmt: skip


# Functions of the table that are made of an op, and show what its own rows cannot.
COMPOSED: Mapping[Any, tuple[Any, ...]] = {
    spectral.eigh: (complex_numbers.of_eigh, complex_numbers.of_eigh_values),
    spectral.svd: (complex_numbers.of_svd, complex_numbers.of_svd_values),
    special.exprel: (special_rows.of_exprel,),
    special.iv: (special_rows.of_iv,),
    special.ive: (special_rows.of_ive,),
}


@functools.cache
def rows_of(op: Primitive) -> list[Row]:
    """The rows of an op, small ones first; those without elements have the least to say, so they come last."""

    def cost(row: Row) -> tuple[bool, int]:
        sizes = [np.size(x) for x in row.operands if x is not None]
        return 0 in sizes, sum(sizes)

    ops = {op, *COMPOSED.get(op, ())}
    return sorted((row for _, row in TABLE if row.op in ops and row.order), key=cost)


@functools.cache
def lines_of(op: Primitive) -> Mapping[tuple[str, int], list[Row]]:
    """The rows of an op that run a line in first derivatives, for every line."""
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows_of(op):
        lines: set[tuple[str, int]] = set()

        def inside(frame: FrameType, event: str, argument: Any, lines: set[tuple[str, int]] = lines) -> Any:
            lines.add((frame.f_code.co_filename, frame.f_lineno))
            return inside

        def entered(frame: FrameType, event: str, argument: Any, inside: Any = inside) -> Any:
            return inside if frame.f_code.co_filename.startswith(FILES) else None

        before = sys.gettrace()
        sys.settrace(entered)
        try:
            complaint(functools.partial(passes, row, order=1, batch=False))
        finally:
            sys.settrace(before)
        for line in lines:
            found[line].append(row)
    return found


def checks(mutant: Mutant) -> Iterator[Callable[[], bool]]:
    """The checks that may notice a mutant, in the order of their cost; each says whether the rules pass it.

    First derivatives come first, then second ones, both of the rows that run the changed lines; then all that is left.
    """
    first, _, last = mutant.place
    lines = lines_of(mutant.op)
    running = {id(row) for line in range(first, last + 1) for row in lines.get((mutant.file, line), ())}
    rows = sorted(rows_of(mutant.op), key=lambda row: id(row) not in running)
    if mutant.kind not in SECOND_ORDER:
        for row in rows[: len(running)]:
            yield functools.partial(passes, row, order=1, batch=False)
    for row in rows:
        yield functools.partial(passes, row, order=row.order, batch=True)


def passes(row: Row, *, order: int, batch: bool) -> bool:
    """Whether no check of a row has a finding."""
    return not rule_report(row.op, row.operands, row.static, order=order, batch=batch, brief=True, seed=0).findings


def table_passes(mutant: Mutant) -> bool:
    """Whether the table of ops accepts a mutant's rules."""
    return all(check() for check in checks(mutant))


@functools.cache
def mistakes() -> Mapping[Primitive, list[list[Mutant]]]:
    """Every mistake, by the first op that has it; each is a mutant of every op that shares the rule or the helper."""
    every: dict[tuple[Any, ...], list[Mutant]] = defaultdict(list)
    for op in primitives():
        for mutant in mutants(op):
            every[mutant.source].append(mutant)
    found: dict[Primitive, list[list[Mutant]]] = defaultdict(list)
    for same in every.values():
        found[same[0].op].append(same)
    return found


def score_of(op: Primitive) -> MutationScore:
    """What the table says of the mistakes in an op's rules; one that is shared must be noticed in one of the ops."""
    noticed: list[Mutant] = []
    survivors: list[Mutant] = []
    for same in mistakes().get(op, ()):
        for mutant in same:
            lines_of(mutant.op)  # before its rules are wrong
        alive = all(survives(mutant, functools.partial(table_passes, mutant)) for mutant in same)
        (survivors if alive else noticed).append(same[0])
    return MutationScore(tuple(noticed), tuple(survivors))
