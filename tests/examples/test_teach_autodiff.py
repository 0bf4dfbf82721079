"""The lesson in automatic differentiation, run as its reader runs it; its numbers, against calculus done by hand."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "teach_autodiff.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run, and its picture."""
    picture = tmp_path_factory.mktemp("teach") / "teach.png"
    arguments = [sys.executable, SCRIPT, "--out", str(picture)]
    finished = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished, picture


def numbers(text):
    """The derivatives in the last table, by name: as swept, and as tried."""
    rows = re.findall(r"^([bw][12]\S*(?: \d\])?) +(-?[\d.]+) +(-?[\d.]+)$", text, re.MULTILINE)
    return {name: (float(swept), float(tried)) for name, swept, tried in rows}


def test_it_prints_the_tape_and_every_step_of_the_sweep(run):
    text = run[0].stdout
    for line in (
        "Tape of 15 nodes",
        "  %0   f64[2,3]  leaf 'w1'  requires grad",
        "  %6   f64[2,3]  matmul(%4, %0)",
        "  %14  f64[]     mean(%13, axis=None, keepdims=False)",
        "Reverse sweep from %14, whose cotangent is 1.",
        "Gradients of the leaves:",
        "    %5 'virginica': constant, so it has none",
    ):
        assert f"\n{line}" in text
    told = [int(node) for node in re.findall(r"^%(\d+) = ", text, re.MULTILINE)]
    assert told == list(range(14, 5, -1))
    assert text.count("running sum") == 1  # z is used twice
    assert "gives the same numbers to the last bit" in text


def test_the_derivatives_are_those_of_calculus(run):
    found = numbers(run[0].stdout)
    assert len(found) == 13
    x, t = np.array([[0.94, 0.2], [2.24, 1.3]]), np.array([0.0, 1.0])
    w1, b1 = np.array([[0.5, -0.4, 0.3], [0.2, 0.6, -0.7]]), np.array([0.1, 0.0, -0.1])
    w2, b2 = np.array([1.0, 0.5, -0.5]), 0.1
    h = np.tanh(x @ w1 + b1)
    dz = (1 / (1 + np.exp(-(h @ w2 + b2))) - t) / 2
    dh = np.outer(dz, w2) * (1 - h**2)
    expected = {"b1": dh.sum(axis=0), "b2": dz.sum(), "w1": x.T @ dh, "w2": dz @ h}
    for name, value in expected.items():
        for index in np.ndindex(np.shape(value)):
            swept, tried = found[f"{name}{list(index) if index else ''}"]
            np.testing.assert_allclose([swept, tried], np.asarray(value)[index], atol=1e-8)


def test_differences_agree(run):
    stated = re.search(r"are within (\S+) of the sweep in all 13 numbers", run[0].stdout)
    assert stated and float(stated[1]) < 1e-9


def test_it_shows_a_bar_and_draws_the_picture(run):
    assert "49/49" in run[0].stderr
    head = run[1].read_bytes()
    assert head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) > 20_000
