"""Mistakes in the rules of tapem, layers and losses, and which of them the table of ops notices."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.mutation.judging import mistakes
from tests.mutation.survivors import reason_of
from tests.mutation.whole_run import WholeRun, at


def measure(share: int) -> dict[str, Any]:
    """All mistakes by kind, the survivors that are named with their reasons, and what a run over some ops says.

    The run takes every op whose number is a multiple of `share`; 1 is the whole run, which takes an hour or so.
    """
    every = [same[0] for some in mistakes().values() for same in some]
    named = [(mutant, reason) for mutant in every if (reason := reason_of(mutant)) is not None]
    run = WholeRun(tuple(at(position) for position in range(0, len(mistakes()), share)))
    return {
        "mistakes": len(every),
        "kinds": Counter(mutant.kind for mutant in every),
        "named": [[m.op.name, m.kind, m.before, m.after, reason] for m, reason in named],
        "tried": run.mistakes.total(),
        "tried_ops": len(run.ops),
        "ops": len(mistakes()),
        "survived": [[s.op, s.kind, s.before, s.after, s.reason] for s in run.survivors],
    }
