"""The whole run: every mistake in every rule of tapem, layers and losses, with the table of ops as the test.

`python -m tests.mutation` prints it; what writes docs about trust calls `whole_run` and reads the record.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tapem.core import Primitive
from tests.mutation.judging import mistakes, score_of
from tests.mutation.survivors import reason_of

RECORD = Path(__file__).with_name("record.json")


class Survivor(NamedTuple):
    """A mistake that no row of the table notices, and why; without a reason it is a hole in the table."""

    op: str
    where: str
    kind: str
    before: str
    after: str
    reason: str | None


class OpScore(NamedTuple):
    """How many mistakes there are in the rules of an op, by kind, and which survive.

    A mistake in a rule or a helper that several ops share is counted with the first of them.
    """

    op: str
    mistakes: Mapping[str, int]
    survivors: tuple[Survivor, ...]


class WholeRun(NamedTuple):
    """The scores of all ops."""

    ops: tuple[OpScore, ...]

    @property
    def mistakes(self) -> Counter[str]:
        """The number of mistakes of each kind."""
        return sum((Counter(op.mistakes) for op in self.ops), Counter[str]())

    @property
    def survivors(self) -> tuple[Survivor, ...]:
        """All survivors."""
        return tuple(survivor for op in self.ops for survivor in op.survivors)

    @property
    def score(self) -> float:
        """The share of the mistakes that the table notices; equivalent ones count as not noticed."""
        total = self.mistakes.total()
        return 1 - len(self.survivors) / total if total else 1.0

    def __str__(self) -> str:
        total, survivors = self.mistakes.total(), self.survivors
        noticed = f"{total - len(survivors)} of {total} mistakes"
        lines = [f"{noticed} in the rules of {len(self.ops)} ops noticed: {self.score:.2%}"]
        lines += [f"  {kind}: {count}" for kind, count in self.mistakes.most_common()]
        lines += [
            f"  survived: {s.op}, {s.where}: {s.kind}, `{s.before}` -> `{s.after}`\n    {s.reason or 'NO REASON'}"
            for s in survivors
        ]
        return "\n".join(lines)


def op_score(op: Primitive) -> OpScore:
    """The score of one op as data."""
    score = score_of(op)
    found = (Survivor(m.op.name, m.where, m.kind, m.before, m.after, reason_of(m)) for m in score.survivors)
    return OpScore(op.name, Counter(m.kind for m in (*score.noticed, *score.survivors)), tuple(found))


def at(position: int) -> OpScore:
    """The score of the op at this position: positions travel between processes, ops need not."""
    return op_score(list(mistakes())[position])


def whole_run(processes: int | None = None, positions: Iterable[int] | None = None) -> WholeRun:
    """The scores of all ops, or of those at these positions, in several processes."""
    chosen = list(range(len(mistakes())) if positions is None else positions)
    with multiprocessing.get_context("spawn").Pool(processes or os.cpu_count()) as pool:
        return WholeRun(tuple(pool.imap(at, chosen)))


def write_record(run: WholeRun) -> None:
    """Keep a whole run, which takes long, for whoever tells of it."""
    ops = [{"op": op.op, "mistakes": dict(op.mistakes), "survivors": list(map(list, op.survivors))} for op in run.ops]
    RECORD.write_text(json.dumps(ops, separators=(",", ":")).replace('{"op"', '\n{"op"') + "\n")


def read_record() -> WholeRun:
    """The whole run that was kept."""
    ops = json.loads(RECORD.read_text())
    return WholeRun(
        tuple(OpScore(op["op"], op["mistakes"], tuple(Survivor(*s) for s in op["survivors"])) for op in ops)
    )
