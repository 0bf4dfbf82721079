"""Mistakes in the rules of tapem, layers and losses, and whether the table of ops notices them."""

from __future__ import annotations

import functools

import pytest

from tapem.core import Primitive
from tapem.testing import Mutant
from tapem.testing.mutation.scores import survives
from tests.mutation.judging import lines_of, mistakes, score_of, table_passes
from tests.mutation.survivors import NAMED, key_of, reason_of
from tests.mutation.whole_run import OpScore, Survivor, WholeRun

MISTAKES = [same for every in mistakes().values() for same in every]
SAMPLE = MISTAKES[7::211]


@pytest.mark.parametrize("same", [pytest.param(same, id=repr(same[0])[7:110]) for same in SAMPLE])
def test_a_mistake_is_noticed(same: list[Mutant]) -> None:
    """A sample of what the slow test tries whole."""
    for mutant in same:
        lines_of(mutant.op)
    noticed = any(not survives(mutant, functools.partial(table_passes, mutant)) for mutant in same)
    assert noticed == (reason_of(same[0]) is None), same[0]


@pytest.mark.slow
@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in mistakes()])
def test_mistakes_in_the_rules_of_an_op_are_noticed(op: Primitive) -> None:
    """Every mistake is noticed, or named with its reason; and what has a reason is not noticed."""
    score = score_of(op)
    assert [repr(mutant) for mutant in score.survivors if reason_of(mutant) is None] == []
    survived = {key_of(mutant) for mutant in score.survivors}
    assert {key for key in NAMED if key.op == op.name} <= survived, "these reasons are not needed"


def test_at_least_98_percent_are_noticed() -> None:
    """What survives has a reason (the slow test holds that), and so few have one."""
    assert len(MISTAKES) > 4500
    named = [same[0] for same in MISTAKES if reason_of(same[0]) is not None]
    assert len(named) <= 0.02 * len(MISTAKES)
    assert NAMED.keys() == {key_of(mutant) for mutant in named}, "a reason for a mistake that there is not"


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
