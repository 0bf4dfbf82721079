"""The Newton example, run as its reader runs it; and its methods, against scikit-learn's solver."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import tapem as tm
from tests.examples import loaded

SCRIPT = Path(__file__).parents[2] / "examples" / "newton.py"


@pytest.fixture(scope="module")
def newton():
    """The example as a module."""
    yield from loaded(SCRIPT)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with few steps of gradient descent, and its picture."""
    picture = tmp_path_factory.mktemp("newton") / "newton.png"
    arguments = [sys.executable, SCRIPT, "--steps", "150", "--out", str(picture)]
    finished = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished, picture


def test_newton_cg_ends_at_the_minimum_and_gradient_descent_does_not(run):
    text = run[0].stdout
    rows = {
        name: [float(number.replace(",", "")) for number in numbers.split()]
        for name, numbers in re.findall(r"^(gradient descent|L-BFGS \(SciPy\)|Newton-CG|Newton) {2,}(.+)$", text, re.M)
    }
    assert len(rows) == 4
    for name in ("L-BFGS (SciPy)", "Newton-CG", "Newton"):
        assert rows[name][3] < 1e-12
    for name in ("Newton-CG", "Newton"):
        assert rows[name][0] <= 15 and rows[name][4] <= 1e-10
    assert rows["gradient descent"][0] == 150 and rows["gradient descent"][3] > 1e-3
    accuracy = re.search(r"Test accuracy: ([\d.]+)% of 114 tumors", text)
    assert accuracy and float(accuracy[1]) > 95


def test_hvp_is_the_hessian_times_a_vector(run):
    difference = re.search(
        r"has shape \(31, 31\); times a vector it differs from hvp by at most (\S+)\.$", run[0].stdout, re.M
    )
    assert difference and float(difference[1]) < 1e-13


def test_it_shows_a_bar_and_draws_the_picture(run):
    assert "150/150" in run[0].stderr and "Newton-CG" in run[0].stderr
    head = run[1].read_bytes()
    assert head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) > 20_000


def test_no_steps_are_refused(newton, capsys):
    with pytest.raises(SystemExit):
        newton.main(["--steps", "0"])
    assert "--steps must be at least 1, not 0" in capsys.readouterr().err


def test_the_minimum_is_that_of_scikit_learn(newton):
    learn, _ = newton.split_data()
    start, unravel = tm.ravel({"weights": np.zeros(30), "bias": np.zeros(())})
    problem = newton.Problem(lambda vector: newton.objective(unravel(vector), learn))
    *_, last = newton.newton_cg(problem, start)
    judge = LogisticRegression(C=1 / (1e-3 * len(learn.x)), solver="newton-cholesky", tol=1e-12, max_iter=1000)
    judge.fit(learn.x, learn.benign)
    found = unravel(last.vector)
    np.testing.assert_allclose(found["weights"], judge.coef_[0], atol=1e-7)
    np.testing.assert_allclose(found["bias"], judge.intercept_[0], atol=1e-7)


def test_conjugate_gradients_solve_what_is_positive_definite(newton):
    factor = tm.random.normal(tm.random.key(0), (6, 6))
    matrix, goal = factor @ factor.T + np.eye(6), np.ones(6)
    x, products = newton.conjugate_gradients(lambda v: matrix @ v, goal, 1e-10)
    np.testing.assert_allclose(matrix @ x, goal, atol=1e-9)
    assert products <= 7
