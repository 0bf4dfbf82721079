"""The digits example, run as its reader runs it: what it prints and draws, how well it reads, and how fast."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "digits.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The finished process, which computed in one thread, as tests/conftest.py has it."""
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def size_of_png(path: Path) -> tuple[int, int]:
    """Width and height, from the header of a PNG file."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A run of one epoch, and its picture."""
    picture = tmp_path_factory.mktemp("short") / "short.png"
    return run("--epochs", "1", "--out", str(picture)), picture


@pytest.fixture(scope="module")
def full(short, tmp_path_factory):
    """The whole run, with the picture and the seconds that the processor worked on it.

    The short run goes before it, since the first run on a machine also makes matplotlib's list of fonts.
    """
    resource = pytest.importorskip("resource", reason="the seconds a process took are counted by Unix only")
    picture = tmp_path_factory.mktemp("digits") / "digits.png"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = run("--out", str(picture))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert finished.returncode == 0, finished.stderr
    # Processor time, and not the time on the clock, which other tests on the same machine make longer.
    return finished, picture, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_it_reads_digits(full):
    accuracy = re.search(r"Test accuracy: ([\d.]+)% of 360 images", full[0].stdout)
    assert accuracy
    assert float(accuracy[1]) >= 97.0


def test_it_takes_less_than_ten_seconds(full):
    assert full[2] < 10.0


def test_it_draws_the_picture(full):
    width, height = size_of_png(full[1])
    assert width > 1000
    assert height > 600
    assert full[1].stat().st_size > 20_000  # a blank page would be smaller


def test_it_shows_the_model_and_the_tape(full):
    text = full[0].stdout
    assert re.search(r"^total +19,210$", text, re.MULTILINE)
    for line in (
        "Tape of 9 nodes",
        "  %0  f32[256,64]  leaf 'w1'  requires grad",
        "  %4  f32[32,64]   leaf 'images'",
        "  %5  f32[32,256]  linear(%0, %1, %4)",
        "  %6  f32[32,256]  relu(%5)",
        "  %8  f32[]        cross_entropy(%7, ",
    ):
        assert f"\n{line}" in text


def test_it_has_a_progress_bar(full):
    assert "1320/1320" in full[0].stderr
    assert "loss=" in full[0].stderr


def test_a_short_run(short):
    """With many mistakes, and fewer steps than the curve takes its mean over."""
    finished, picture = short
    assert finished.returncode == 0, finished.stderr
    assert "44 steps" in finished.stdout
    assert size_of_png(picture)[0] > 1000


def test_no_epochs_is_refused(tmp_path):
    finished = run("--epochs", "0", "--out", str(tmp_path / "none.png"))
    assert finished.returncode == 2
    assert "--epochs must be at least 1, not 0" in finished.stderr
    assert not list(tmp_path.iterdir())
