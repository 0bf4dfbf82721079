"""GradBench's problems: tapem's answers to the tiny cases, and the judge."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks import gradbench
from benchmarks.gradbench import compiled
from benchmarks.gradbench.check import result_of
from benchmarks.gradbench.inputs import NAMES, SIZES
from benchmarks.gradbench.judge import Case, WrongResultError, cases, digest, error_of, kept

ROOT = Path(__file__).parents[2]

TINY = [case for name in NAMES for case in cases(name, "tiny")]


def label(case: Case) -> str:
    return "-".join(filter(None, [case.name, case.part, case.mode]))


@pytest.mark.parametrize("case", TINY, ids=label)
@pytest.mark.parametrize("module", [gradbench, compiled], ids=["eager", "compiled"])
def test_tiny(module: ModuleType, case: Case):
    before = {name: np.copy(value) for name, value in case.inputs.items()}
    assert error_of(case, result_of(module, case)) <= 1e-12
    assert all(np.array_equal(before[name], value) for name, value in case.inputs.items()), "it changed its inputs"


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"lstm", "particle", "saddle"}))
def test_middle(name: str):
    """The problems that are quick in their middle size too."""
    for case in cases(name, "middle"):
        error_of(case, result_of(gradbench, case))


@pytest.mark.parametrize("size", SIZES)
def test_inputs_are_those_of_the_cases(size: str):
    assert all(list(cases(name, size)) for name in NAMES)


def case_of(result: Any, whole: bool) -> Case:
    return Case("lse", "tiny", "", "derivative", {}, kept(result, whole))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "digest"])
def test_judge_refuses_what_is_wrong(whole: bool):
    right = np.linspace(1.0, 2.0, 7)
    case = case_of(right, whole)
    assert error_of(case, right.copy()) == 0.0
    for position in range(7):
        for fault in (1e-6, np.nan):
            wrong = right.copy()
            wrong[position] += fault
            with pytest.raises(WrongResultError, match="off by"):
                error_of(case, wrong)
    with pytest.raises(WrongResultError, match="off by"):
        error_of(case, right[[1, 0, 2, 3, 4, 5, 6]])
    with pytest.raises(WrongResultError, match=r"float64 \[6\], not of kind 'f' and shape \[7\]"):
        error_of(case, right[:6])
    with pytest.raises(WrongResultError, match=r"int64 \[7\], not of kind 'f'"):
        error_of(case, right.astype(int))
    with pytest.raises(WrongResultError, match=r"fields \['x'\], not \[''\]"):
        error_of(case, {"x": right})


def test_zeros_are_judged_absolutely():
    case = case_of(np.zeros(3), whole=False)
    assert error_of(case, np.zeros(3)) == 0.0
    with pytest.raises(WrongResultError):
        error_of(case, np.full(3, 1e-8))


def test_digest_is_of_the_values():
    assert digest(np.array([[3.0, 4.0]])).tolist() == [7.0, 5.0, 3.0 + 4.0 * np.cos(1.0)]


def test_command_prints_a_table():
    command = [sys.executable, "-m", "benchmarks.gradbench", "--quick", "--columns", "tapem"]
    done = subprocess.run(
        [*command, "--evals", "hello", "saddle", "--sizes", "tiny"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert table[0].split() == ["|", "eval", "|", "tapem", "|"]
    assert [line.split("|")[1].strip() for line in table[2:]] == ["hello tiny", "saddle tiny rr"]
    assert all(float(line.split("|")[2]) > 0 for line in table[2:])


def test_command_prints_each_row_when_it_is_known():
    command = [sys.executable, "-m", "benchmarks.gradbench", "--quick", "--columns", "tapem"]
    options = ["--evals", "hello", "lse", "--sizes", "tiny"]
    with subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("| hello tiny"):
            assert line, "the row did not come"
        assert process.poll() is None
        assert process.stdout.readline().startswith("| lse tiny")
