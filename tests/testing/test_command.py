"""`python -m tapem check`: property tests from the command line, and signatures held against each other."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from tapem.__main__ import main
from tapem.errors import ArgumentError
from tapem.testing import check_signatures

NETWORK = '''
import numpy as np, tapem as tm
from jaxtyping import Float
from typing import Any

T = np.ndarray

@tm.elementwise(lambda g, y, x: g * (2 * x * y))
def wrong(x: Float[T, "*s"]) -> Float[T, "*s"]:
    return np.exp(-x * x)

def encode(x: Float[T, "n d"], w: Float[T, "d k"]) -> Float[T, "n k"]:
    return np.tanh(x @ w)

def scaled(x: Float[T, "n d"], s: Float[T, "n"]) -> Float[T, "n d"]:
    return x * 2

def swapped(x: Float[T, "n d"], w: Float[T, "d k"]):
    """The second operand of scaled has the length of the wrong axis; both run, since scaled makes no use of it."""
    return scaled(x, np.sum(w, 1))

def result(x: Float[T, "n"]) -> Float[T, "n n"]:
    return x

def branch(x: Float[T, "n"]):
    return x if x.sum() > 0 else -x

def raising(x: Float[T, "n"]):
    return [][1]

def faulty(x: Float[T, "n"]):
    return wrong(x)

def of_a_tree(p: dict[str, Any], x: Float[T, "n"]):
    return x

def plain(x): return x
'''


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "network.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("network")
    del sys.modules["network"]


def test_signatures_are_held_against_each_other(network) -> None:
    checks = {check.name: check for check in check_signatures(network)}
    assert checks.keys() == {"encode", "scaled", "swapped", "result", "branch", "raising", "faulty", "of_a_tree"}
    assert {name for name, check in checks.items() if not check} == {"swapped", "result", "raising"}
    assert checks["swapped"].wrong.startswith("scaled(x, s): axis 'n' is")
    assert checks["result"].wrong.startswith("result(x): result must have 2 axes but has 1")
    assert checks["raising"].wrong == "IndexError: list index out of range"
    assert {name for name, check in checks.items() if check.skipped} == {"branch", "of_a_tree"}
    assert network.swapped.__code__.co_name == "swapped", "the module is as it was"
    assert str(checks["encode"]) == "ok     signature of encode"


def test_signatures_of_what_is_not_there(network) -> None:
    with pytest.raises(ArgumentError, match="check_signatures takes a module, and names in it, not 'network'"):
        check_signatures("network")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArgumentError, match=r"no annotated function 'encoed'; it has encode, scaled, swapped"):
        check_signatures(importlib.import_module("network"), "encoed")


def test_a_function_is_checked(network, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "network:encode", "--profile", "quick", "--seed", "1"]) == 0
    signature, run = capsys.readouterr().out.splitlines()
    assert signature == "ok     signature of encode"
    assert run.startswith("ok     encode: 10 examples, worst error ") and run.endswith(", seed 1")


def test_an_op_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "tapem:sin", "tapem:cos", "--examples=2"]) == 0
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        "ok     sin: 2 examples",
        "ok     cos: 2 examples",
    ]


def test_a_failure_names_the_command_that_replays_it(network, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "network:faulty", "--profile=quick", "--examples=5"]) == 1
    out = capsys.readouterr().out
    assert "FAILED faulty: 0 examples" in out and "the sign is wrong" in out
    command = out.splitlines()[-1].removeprefix("  from the command line: python -m tapem ").split()
    assert main(command) == 1
    again = capsys.readouterr().out
    [one], [other] = ([line for line in text.splitlines() if line.startswith("    x = ")] for text in (out, again))
    assert one == other


def test_a_module_is_checked_and_what_cannot_be_drawn_is_said(network, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "network", "--profile=quick"]) == 1
    out = capsys.readouterr().out
    assert "\n?      of_a_tree: shaped: of_a_tree takes p: dict[str, typing.Any], which is a tree" in out
    assert "\nok     scaled: 10 examples" in out and "\nFAILED raising: 0 examples" in out
    assert "raising raised IndexError: list index out of range" in out
    assert main(["check", "network", "--signatures"]) == 1
    assert "examples" not in capsys.readouterr().out
    assert main(["check", "network:of_a_tree"]) == 1, "it was asked for by its name"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("", "'' is no module; write module:function"),
        ("./network.py:f", "'./network.py' is no module; write module:function, and of a file a/b.py a.b:function."),
        ("netwrok", "there is no module 'netwrok' here; write module:function, as in Python."),
        ("network.sub:f", "there is no module 'network.sub' here"),
        ("network:nothing", "network has no function 'nothing'; annotated are encode, scaled, swapped"),
        ("json", "json defines no function with a parameter annotated as a tensor."),
    ],
)
def test_what_is_not_there(network, target: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", target])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_module_that_imports_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is the module's error, not a wrong target."""
    (tmp_path / "needy.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        main(["check", "needy"])
