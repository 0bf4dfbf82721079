"""Mistakes in the rules of tapem, layers and losses, and whether the table of ops notices them."""

from __future__ import annotations

import functools

import pytest

from tapem.core import Primitive
from tapem.testing import Mutant
from tapem.testing.mutation.scores import survives
from tests.mutation.judging import lines_of, mistakes, score_of, table_passes
from tests.mutation.survivors import BEYOND, EQUIVALENT, REASONS, reason_of
from tests.mutation.whole_run import OpScore, Survivor, WholeRun, read_record

MISTAKES = [same for every in mistakes().values() for same in every]
SAMPLE = [same for same in MISTAKES[5::450] if reason_of(same[0]) is None]


@pytest.mark.parametrize("same", [pytest.param(same, id=repr(same[0])[7:110]) for same in SAMPLE])
def test_a_mistake_is_noticed(same: list[Mutant]) -> None:
    """A sample of what the slow test tries whole."""
    for mutant in same:
        lines_of(mutant.op)
    assert any(not survives(mutant, functools.partial(table_passes, mutant)) for mutant in same), same[0]


@pytest.mark.slow
@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in mistakes()])
def test_mistakes_in_the_rules_of_an_op_are_noticed(op: Primitive) -> None:
    """Every mistake is noticed, or it is named with the reason why not; what is named is not noticed."""
    score = score_of(op)
    assert [repr(mutant) for mutant in score.survivors if reason_of(mutant) is None] == []
    assert [repr(mutant) for mutant in score.noticed if reason_of(mutant) is not None] == []


def test_at_least_98_percent_are_noticed() -> None:
    """What survives has a reason (the slow test holds that); few of the mistakes that are some have one."""
    assert len(MISTAKES) > 4500
    reasons = [reason_of(same[0]) for same in MISTAKES]
    equivalent, beyond = (sum(reason in group for reason in reasons) for group in (EQUIVALENT, BEYOND))
    assert beyond <= 0.02 * (len(MISTAKES) - equivalent) and equivalent + beyond <= 0.03 * len(MISTAKES)
    keys = {key for keys in REASONS.values() for key in keys}
    unused = [key for key in keys if not any(key.fits(same[0]) for same in MISTAKES)]
    assert unused == [], "reasons for mistakes that there are not"


def test_every_kind_of_mistake_is_tried() -> None:
    assert {same[0].kind for same in MISTAKES} == {
        "sign", "dropped factor", "dropped term", "swapped operands", "transposed", "wrong axis", "missing unbroadcast",
        "wrong dtype", "detach", "second order only", "dropped conjugate", "dropped function",
    }  # fmt: skip


def test_the_record_of_a_run_counts() -> None:
    survivor = Survivor("exp", "rrule", "sign", "g", "-g", None)
    run = WholeRun((OpScore("exp", {"sign": 2, "detach": 1}, (survivor,)), OpScore("log", {"sign": 1}, ())))
    assert run.score == 0.75 and run.mistakes == {"sign": 3, "detach": 1} and run.survivors == (survivor,)
    assert "3 of 4 mistakes in the rules of 2 ops noticed: 75.00%" in str(run) and "NO REASON" in str(run)


def test_the_record_that_is_kept_passes() -> None:
    run = read_record()
    assert run.score >= 0.98 and run.mistakes.total() > 4800
    assert [survivor for survivor in run.survivors if survivor.reason is None] == []
