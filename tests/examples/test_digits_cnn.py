"""The convolutional digits example, run briefly: what it prints and draws, and how well it reads by then."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "digits_cnn.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The finished process, which computed in one thread, as tests/conftest.py has it."""
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A run of two epochs, and its picture."""
    picture = tmp_path_factory.mktemp("short") / "short.png"
    return run("--epochs", "2", "--out", str(picture)), picture


def test_it_trains_in_two_halves(short):
    finished = short[0]
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"^total +26,090$", finished.stdout, re.MULTILINE)
    assert "252 steps" in finished.stdout
    assert "| 126/252 [" in finished.stderr  # the second bar begins where the first one ended
    assert "validation=" in finished.stderr


def test_it_reads_digits_after_two_epochs(short):
    accuracy = re.search(r"Test accuracy: ([\d.]+)% of 360 images", short[0].stdout)
    assert accuracy
    assert float(accuracy[1]) >= 90.0


def test_it_draws_the_picture(short):
    content = short[1].read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(content[16:20], "big") > 1000
    assert len(content) > 20_000  # a blank page would be smaller


def test_a_single_epoch(tmp_path):
    """There is nothing before the save then, and no epoch to end in the first half."""
    finished = run("--epochs", "1", "--out", str(tmp_path / "one.png"))
    assert finished.returncode == 0, finished.stderr
    assert "126 steps" in finished.stdout


def test_no_epochs_is_refused(tmp_path):
    finished = run("--epochs", "0", "--out", str(tmp_path / "none.png"))
    assert finished.returncode == 2
    assert "--epochs must be at least 1, not 0" in finished.stderr


@pytest.mark.slow
def test_the_whole_run(tmp_path):
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", run("--out", str(tmp_path / "digits_cnn.png")).stdout)
    assert accuracy
    assert float(accuracy[1]) >= 98.5
