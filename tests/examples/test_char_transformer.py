"""The transformer example, run briefly as its reader runs it; its judge, its mask and its measure, by themselves."""

import collections
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tapem as tm
from tests.examples import loaded

SCRIPT = Path(__file__).parents[2] / "examples" / "char_transformer.py"


@pytest.fixture(scope="module")
def example():
    """The example as a module."""
    yield from loaded(SCRIPT)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few steps on a little of the text, and its picture."""
    picture = tmp_path_factory.mktemp("transformer") / "short.png"
    arguments = ["--steps", "60", "--characters", "50000", "--letters", "40", "--out", str(picture)]
    finished = subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished, picture


def test_it_learns(run):
    # Knowing nothing would cost log2 96 = 6.6 bits; what comes first in a text, and is held out, differs by version.
    learned = re.findall(r"bits=([\d.]+)", run[0].stderr)
    assert learned and float(learned[-1]) < 5.0
    held_out = re.search(r"Held-out text: ([\d.]+) bits per character; the best n-gram model", run[0].stdout)
    assert held_out and float(held_out[1]) < 6.4
    assert re.search(r"^total +359,232$", run[0].stdout, re.MULTILINE)


def test_it_writes_has_a_progress_bar_and_draws(run):
    assert "\ndef " in run[0].stdout
    assert "60/60" in run[0].stderr and "held_out=" in run[0].stderr
    head = run[1].read_bytes()[:8]
    assert head == b"\x89PNG\r\n\x1a\n"
    assert run[1].stat().st_size > 20_000


def test_the_judge_counts_as_its_source_says(example):
    """Against Witten and Bell's formula with dictionaries, character by character."""
    learn, text = example.encode("abracadabra, a bar, a cab" * 3), example.encode("abra, a cobra")
    likely = np.full(len(text), 1 / 96)
    for n in (1, 2, 3):
        grams = collections.Counter(tuple(learn[i : i + n]) for i in range(len(learn) - n + 1))
        for i in range(n - 1, len(text)):
            gram = tuple(text[i - n + 1 : i + 1])
            after = [number for other, number in grams.items() if other[:-1] == gram[:-1]]
            if after:
                likely[i] = (grams[gram] + len(after) * likely[i]) / (sum(after) + len(after))
        expected = sum(-math.log2(chance) for chance in likely) / len(text)
        assert example.n_gram_bits(learn, text, n)[-1] == pytest.approx(expected, rel=1e-12)


def test_letters_are_numbered_both_ways(example):
    assert example.decode(example.encode("if x:\n\treturn 'é'")) == "if x:\n    return '?'"
    learn, held = example.read_library()
    assert len(learn) > 5 * len(held) > 100_000
    assert learn.max() < 96


def test_a_character_is_foreseen_from_those_before_it_only(example):
    params = example.model.init(tm.random.key(0))
    codes = np.arange(20)
    changed = np.where(np.arange(20) < 12, codes, 50)
    before, after = (example.model.apply(params, window) for window in (codes, changed))
    np.testing.assert_array_equal(before[:12], after[:12])
    assert (before[12:] != after[12:]).all(axis=-1).all()


def test_the_measure_is_that_of_one_window_after_the_other(example):
    params = example.model.init(tm.random.key(0))
    text = example.encode(SCRIPT.read_text()[:200])
    bits = example.bits_of(params, text)
    assert len(bits) == 32 * 5
    logits = example.model.apply(params, text[32 : 32 + 64].astype(int)).astype(float)
    chances = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = -np.log2(chances[np.arange(32, 64), text[32 + 33 : 32 + 65]])
    np.testing.assert_allclose(bits[32:64], expected, rtol=1e-4)
