"""The example that checks an op: it finds both bugs, shows them small, and passes the corrected op."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "check_your_op.py"


@pytest.fixture(scope="module")
def finished():
    """The process, and the seconds that the processor worked on it."""
    resource = pytest.importorskip("resource", reason="the seconds a process took are counted by Unix only")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=300, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert process.returncode == 0, process.stderr
    assert not process.stderr
    return process.stdout, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def attempts(text):
    """What is printed about each attempt."""
    return re.split(r"^The (?:first|second|third) attempt\n", text, flags=re.MULTILINE)[1:]


def test_the_usual_test_finds_nothing(finished):
    assert [attempt.splitlines()[0] for attempt in attempts(finished[0])] == ["  the usual test: passed"] * 3


def test_the_first_bug_is_shown_with_one_row(finished):
    first = attempts(finished[0])[0]
    assert "rules: argument weight: expected (1,), got (1, 1) (the shape of its cotangent)" in first
    assert re.search(r"the smallest example that fails:\n +x = .* float64\[1, 1\]\n +weight = .* float64\[1\]\n", first)


def test_the_second_bug_is_shown_with_one_number_on_the_line(finished):
    second = attempts(finished[0])[1]
    assert "off by a factor of 2" in second
    example = re.search(r"x = \[(-?[\d.]+)\]  float64\[1\]\n +weight = .* float64\[1\]\n +delta = ([\d.]+)\n", second)
    assert example
    assert abs(float(example[1])) > float(example[2])
    assert float(example[2]) != 1.0


def test_the_corrected_op_passes_and_the_figures_are_stated(finished):
    text, seconds = finished
    assert attempts(text)[2].splitlines()[1] == "  check_op: passed"
    last = r"Bugs found: 2 of 2\. The corrected op passed 20 random examples; all took [\d.]+ s\.\n$"
    assert re.search(last, text)
    assert seconds < 10.0
