"""The pytest plugin: what a marked test checks, what a failure shows, summary and reports; and that it idles."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

# pytester forgets what its runs import, but NumPy cannot be imported twice.
import tapem.testing as _  # noqa: F401

pytest_plugins = ["pytester"]

HEAD = """
import numpy as np, pytest, tapem as tm
from jaxtyping import Float
from tapem import Tensor

@tm.elementwise(lambda g, y, x: g * (2 * x * y))
def wrong(x: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    return np.exp(-x * x)
"""
QUICK = "--gradcheck-profile=quick"
MARKED = """
@pytest.mark.gradcheck
def test_marked(x: Float[Tensor, "n"]):
    return np.sin(x)
"""
FAULTY = """
@pytest.mark.gradcheck
def test_faulty(x: Float[Tensor, "n"]):
    return wrong(x)
"""


def run(pytester: pytest.Pytester, text: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(HEAD + text)
    return pytester.runpytest("-p", "tapem_pytest", "-p", "no:cacheprovider", "--strict-markers", *options)


def test_a_marked_function_is_what_is_checked(pytester: pytest.Pytester) -> None:
    text = """
class TestOfAClass:
    @pytest.mark.gradcheck(order=1)
    def test_method(self, x: Float[Tensor, "n"]):
        return x * x

@pytest.mark.gradcheck
def softened(x: Float[Tensor, "n"]):  # collected whatever its name
    return tm.softplus(x)

def helper(x: Float[Tensor, "n"]): return x
"""
    result = run(pytester, MARKED + text, QUICK, "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*gradient checks (tapem)*", "3 functions; 30 examples; worst error *e-*; * s"])


def test_other_parameters_are_fixtures_and_parameters(pytester: pytest.Pytester) -> None:
    text = """
@pytest.fixture
def factor(): return 2.0

@pytest.mark.gradcheck(order=1)
@pytest.mark.parametrize("axis", [0, 1])
def test_softmax(x: Float[Tensor, "n m"], axis: int, factor: float, shift: float = 1.0):
    assert factor == 2.0
    return tm.softmax(x * factor + shift, axis=axis)

@pytest.mark.parametrize("op", [tm.sin, wrong])
@pytest.mark.gradcheck
def test_returned(op, tmp_path):
    return op
"""
    result = run(pytester, text, QUICK)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*test_returned?wrong? _*", "wrong(x): 2 checks failed"])


def test_marks_of_a_module_and_a_class_add_up(pytester: pytest.Pytester) -> None:
    text = """
pytestmark = pytest.mark.gradcheck(order=1)

def helper(x: Float[Tensor, "n"]): return wrong(x)

@pytest.mark.gradcheck(max_examples=4)
class TestOfAClass:
    @pytest.mark.gradcheck(max_examples=3)
    def test_three(self, x: Float[Tensor, "n"]): return x
    def test_four(self, x: Float[Tensor, "n"]): return x
"""
    result = run(pytester, text)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["2 functions; 7 examples;*"])


def test_a_failure_shows_the_finding_and_its_replay(pytester: pytest.Pytester) -> None:
    result = run(pytester, FAULTY, QUICK)
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "test_faulty(x): 2 checks failed",
            "  forward mode: argument x?0?, output?0?: expected *, got * the sign is wrong)",
            "  the smallest example that fails:",
            "  the same again: check_op(test_faulty, order=1, batch=False, max_examples=10, seed=*",
            "  in pytest: pytest 'test_a_failure*.py::test_faulty' --gradcheck-seed=* --gradcheck-profile=quick",
            "1 function, 1 failed;*",
            "  test_a_failure*.py::test_faulty: forward mode: argument x*",
        ]
    )
    assert "Error" not in text and "core.py" not in text and "traceback" not in text.lower()
    replay = next(line for line in result.outlines if "in pytest:" in line).split()[-2:]
    again = run(pytester, FAULTY, *replay)
    again.assert_outcomes(failed=1)
    shown = [line for line in result.outlines if line.startswith("    x = ")]
    assert shown and shown == [line for line in again.outlines if line.startswith("    x = ")]


def test_an_error_of_the_function_is_shown_from_the_function_on(pytester: pytest.Pytester) -> None:
    text = """
@pytest.mark.gradcheck
def test_raising(x: Float[Tensor, "n"]):
    return {}["nothing"]
"""
    result = run(pytester, text, QUICK)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['>*return {}?"nothing"?', "E*KeyError: 'nothing'", "E*the same again: check_op(*"])
    assert "site-packages" not in result.stdout.str() and "properties.py" not in result.stdout.str()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "@pytest.mark.gradcheck\ndef test_nothing(): pass",
            "test_nothing is marked gradcheck, but it has no parameter annotated as a tensor, such as "
            "x: Float[[]Tensor, 'n'], and returned None instead of a function to check.",
        ),
        (
            "@pytest.mark.gradcheck(3)\ndef test_positional(x: Float[Tensor, 'n']): return x",
            "test_positional: pytest.mark.gradcheck takes keywords only, not (3,).",
        ),
        (
            "@pytest.mark.gradcheck\ndef test_tree(p: dict[str, float], x: Float[Tensor, 'n']): return x",
            "*fixture 'p' not found*",
        ),
    ],
)
def test_bad_input(pytester: pytest.Pytester, text: str, said: str) -> None:
    result = run(pytester, text, QUICK)
    assert result.ret == 1
    result.stdout.fnmatch_lines([said])


def test_options_that_say_nothing(pytester: pytest.Pytester) -> None:
    for options, said in [
        (["--gradcheck-examples=0"], "*argument --gradcheck-examples: invalid*"),
        (["--gradcheck-profile=slow"], "*argument --gradcheck-profile: invalid choice*"),
        (["-o", "gradcheck_profile=slow"], "*gradcheck_profile must be one of default, ci, quick, not 'slow'.*"),
    ]:
        result = run(pytester, MARKED, *options)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([said])


def test_the_options_win_over_the_mark(pytester: pytest.Pytester) -> None:
    text = MARKED.replace("gradcheck", "gradcheck(max_examples=7, seed=1, order=1)")
    result = run(pytester, text, "--gradcheck-examples=4", "--gradcheck-seed=5", "--gradcheck-json=out/report.json")
    result.assert_outcomes(passed=1)
    [row] = json.loads((pytester.path / "out/report.json").read_text())["functions"]
    assert (row["examples"], row["seed"]) == (4, 5)
    assert row["replay"] == "check_op(test_marked, max_examples=4, seed=5, order=1)"


def test_the_ci_profile_repeats_itself(pytester: pytest.Pytester) -> None:
    """As an ini option too; every run has the seed of the function's name."""
    seeds = set()
    for options in (["-o", "gradcheck_profile=ci"], ["--gradcheck-profile=ci"]):
        run(pytester, MARKED, *options, "--gradcheck-examples=2", "--gradcheck-json=report.json")
        seeds.add(json.loads((pytester.path / "report.json").read_text())["functions"][0]["seed"])
    assert len(seeds) == 1


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "with xdist"])
def test_reports(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """The figures stand in the JSON report, with versions, and among JUnit's properties."""
    if workers:
        pytest.importorskip("xdist")
    result = run(pytester, MARKED + FAULTY, QUICK, *workers, "--gradcheck-json=report.json", "--junitxml=junit.xml")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["2 functions, 1 failed; 10 examples;*", "report: report.json"])
    report = json.loads((pytester.path / "report.json").read_text())
    assert report["versions"].keys() == {"tapem", "numpy", "hypothesis"}
    by_name = {row["name"]: row for row in report["functions"]}
    assert by_name["test_marked"]["outcome"] == "passed" and by_name["test_marked"]["worst_error"] < 1e-7
    assert "the sign is wrong" in by_name["test_faulty"]["finding"] and by_name["test_faulty"]["examples"] == 0
    cases = ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
    properties = {case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")} for case in cases}
    assert properties["test_marked"]["gradcheck_examples"] == "10"
    assert float(properties["test_marked"]["gradcheck_worst_error"] or "nan") == by_name["test_marked"]["worst_error"]


def test_it_idles_until_it_is_used(tmp_path: Path) -> None:
    """Loaded, with tests that are not marked, it imports nothing of tapem and says nothing."""
    (tmp_path / "test_other.py").write_text("import pytest\n\n@pytest.mark.usefixtures()\ndef test_x(): pass\n")
    program = (
        "import sys, pytest\n"
        f"status = pytest.main(['-q', '-p', 'tapem_pytest', '-p', 'no:cacheprovider', {str(tmp_path)!r}])\n"
        "assert 'tapem_pytest' in sys.modules and 'tapem' not in sys.modules\n"
        "sys.exit(status)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "gradient checks" not in ran.stdout
