"""Random programs against JAX and torch, where they are installed, and against compiled programs.

This is a sample; `python -m tests.programs --against all --count 100000` runs as many as there is time for.
"""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pytest

import tapem as tm
from tapem.ops.trigonometry import sin
from tests.programs import differential
from tests.programs.__main__ import drawn
from tests.programs.differential import LIBRARIES, NotWritten, Tally, by_tapem, others, run

# numba takes half a second to compile a program, the others a few milliseconds.
COUNTS = dict.fromkeys(("numpy", "numpy, exact", "torch", "jax"), 1000) | {"numba": 40}
PARTS = 10


def insist(name: str, start: int, count: int, order: int) -> Tally:
    """Fail with the programs that differ, shrunk and printed."""
    *_, (done, tally) = run(name, drawn("programs", start, count), order, chunk=50)
    assert done == count
    if tally.findings:
        pytest.fail("\n\n".join(tally.findings))
    return tally


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", [name for name in others() if name in COUNTS])
def test_gradients_of_random_programs_are_those_of_others(name: str, part: int) -> None:
    count = COUNTS[name] // PARTS
    tally = insist(name, 10_000 + part * count, count, 1)
    assert tally.compared >= 0.9 * count, tally
    assert len(tally.alone) <= 0.05 * count, tally


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", others())
def test_second_derivatives_of_many_random_programs_are_those_of_others(name: str, part: int) -> None:
    insist(name, 100_000 + part * 100, 100, 2)


def test_what_is_installed_is_run_against() -> None:
    assert {"numpy", "numpy, exact", "numba"} <= set(others()) and set(others()) <= COUNTS.keys()
    for name in ("jax", "torch"):
        try:
            importlib.import_module(name)
        except ImportError:
            assert name not in LIBRARIES
        else:
            assert name in LIBRARIES and name in others()


# What it finds --------------------------------------------------------------------------------------------------------


def test_an_engine_that_is_slightly_wrong_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(programs, order):
        return [(values, gradients * (1 + 1e-6)) for values, gradients in by_tapem(programs, order)]

    monkeypatch.setitem(differential.ENGINES, "numpy", wrong)
    *_, (_, tally) = run("numpy", drawn("programs", 3, 4), 1, show=1)
    assert len(tally.findings) > 1 and tally.compared == 4
    printed = tally.findings[0]
    assert 'tm.compile(lambda X: (f(X), tm.grad(g)(X)), engine="numpy")' in printed
    assert len(printed.split("def f(x):")[1].split("return")[0].splitlines()) <= 4, printed


def test_a_rule_that_is_slightly_wrong_is_found_by_another_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other library is played by tapem before its rule is wrong."""
    programs = list(drawn("programs", 0, 30))
    right = dict(zip(programs, by_tapem(programs, 1), strict=True))
    monkeypatch.setitem(sys.modules, "tests.programs.in_other", sys)
    monkeypatch.setattr(
        sys, "answers", lambda some, order: [right.get(p, ValueError("?")) for p in some], raising=False
    )
    monkeypatch.setattr(sin, "rrule", (lambda g, y, x: g * np.cos(x) * 1.0001,))
    *_, (_, tally) = run("other", programs, 1)
    assert tally.findings and not tally.alone and tally.compared == 30
    assert all("np.sin(" in found for found in tally.findings[:3])


def test_another_library_that_contradicts_the_judge_is_told_of_and_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(some, order):
        return [(values * 1.01, gradients) for values, gradients in by_tapem(some, order)]

    monkeypatch.setitem(sys.modules, "tests.programs.in_other", sys)
    monkeypatch.setattr(sys, "answers", wrong, raising=False)
    *_, (_, tally) = run("other", drawn("programs", 3, 4), 1)
    assert not tally.findings and tally.alone and "contradicts the judge in [" in str(tally)


def test_what_another_does_not_take_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(differential.ENGINES, "numpy", lambda some, order: [NotWritten("no")] * len(some))
    *_, (done, tally) = run("numpy", drawn("programs", 0, 3), 1)
    assert (done, tally.compared, tally.refused.total()) == (3, 0, 3)
    monkeypatch.setitem(differential.ENGINES, "numpy", lambda some, order: [tm.TapeError("broken")] * len(some))
    *_, (_, tally) = run("numpy", drawn("programs", 0, 2), 1, show=0)
    assert len(tally.findings) == 2, "what an engine refuses without a reason is a fault"


def test_the_command_says_how_many_there_were() -> None:
    command = [sys.executable, "-m", "tests.programs", "--against", "numpy", "--count", "10", "--order", "1"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "numpy: 10 programs compared, 0 findings" in told and "10 programs from seed 0" in told
