"""The convolutional digits example, run in full: what it prints and draws, and that it reads as well as it says."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "digits_cnn.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The finished process, which computed in one thread, as tests/conftest.py has it."""
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_the_whole_run(tmp_path):
    """One test, so that the work is done once: two halves, as many digits read as is said, and a picture."""
    picture = tmp_path / "whole.png"
    finished = run("--out", str(picture))
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"^total +26,090$", finished.stdout, re.MULTILINE)
    assert re.search(r"1,008 steps: [\d.]+ s op by op, then [\d.]+ s compiled", finished.stdout)
    assert "| 504/1008 [" in finished.stderr  # the second bar begins where the first one ended
    assert "validation=" in finished.stderr

    accuracy = re.search(r"Test accuracy: ([\d.]+)% of 360 images", finished.stdout)
    assert accuracy
    assert float(accuracy[1]) >= 98.5

    content = picture.read_bytes()
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
