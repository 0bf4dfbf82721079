"""The README keeps its word: its code prints what it says, its commands are those of CI. The table of kinks is true."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import layers
import losses
import tapem as tm
from tests.docs.pages import pairs, run_pairs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOUSE = (ROOT / "docs" / "inside" / "house.md").read_text(encoding="utf-8")
TABLE_OF_KINKS = (ROOT / "docs" / "kinks.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    """The contents of the fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_code(tmp_path, monkeypatch):
    """The blocks of Python run one after another, and each prints what stands below it."""
    monkeypatch.chdir(tmp_path)  # for the files that they write
    assert len(pairs(README)) >= 5
    for code, printed, expected in run_pairs(README, "README.md"):
        assert printed == expected, code


def test_ten_lines_a_door():
    """The three doors are shown in about ten lines each."""
    lengths = [sum(1 for line in code.splitlines() if line.strip()) for code, _ in pairs(README)[:3]]
    assert max(lengths) <= 15, lengths


def test_commands_of_ci():
    """There are two commands, and .ci/run makes the tests' environment and runs the tests as the second one does."""
    commands = [block.strip() for block in blocks("sh")]
    assert len(commands) == 2
    assert all("\n" not in command for command in commands)
    example, tests = (command.rpartition(" && ") for command in commands)
    assert example[2].endswith("python examples/digits.py")
    assert tests[0].replace("[test]", "[examples]") == example[0]
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert f"{tests[0]} || exit 1" in lines
    assert f"{tests[2]} || status=1" in lines


KINKS = re.findall(r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \|", TABLE_OF_KINKS, re.MULTILINE)


@pytest.mark.parametrize(("function", "at", "derivative"), KINKS)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_kinks(function, at, derivative):
    """The derivative at the kink is the one in the table: in both modes, in batches and in programs."""
    f = eval(f"lambda x: {function}", {"layers": layers, "losses": losses, "np": np, "tm": tm})
    x = np.array(ast.literal_eval(at))
    expected = np.array(eval(derivative, {"np": np}))
    np.testing.assert_array_equal(tm.grad(f)(x), expected)
    np.testing.assert_array_equal(tm.jacfwd(f)(x), expected)
    np.testing.assert_array_equal(tm.vmap(tm.grad(f))(np.stack([x, x])), np.stack([expected, expected]))
    np.testing.assert_array_equal(tm.compile(tm.grad(f), engine="numpy")(x), expected)


def test_the_table_of_kinks_is_read():
    assert len(KINKS) >= 10


def test_the_links_lead_somewhere():
    """Every file and folder that the README links to exists."""
    links = re.findall(r"\]\(((?!http)[^)]+)\)", README)
    assert "examples/digits.py" in links
    assert [path for path in links if not (ROOT / path).exists()] == []


def test_the_first_page_is_one_page_and_points_to_all_parts_of_the_documentation():
    assert len(README.splitlines()) <= 300
    parts = {"start", "course", "howto", "coming_from", "inside", "reference"}
    assert {path.split("/")[1] for path in re.findall(r"\]\((docs/\w+/\w+\.md)\)", README)} == parts


def test_the_map_leads_somewhere():
    """Every file and folder that the map of the house names exists, and every file named in its page and the README."""
    house = next(text for text in blocks("text", HOUSE) if text.startswith("tapem/"))
    rooms = re.findall(r"^(\w+(?:/|\.py))", house, re.MULTILINE)
    assert len(rooms) >= 6
    inside = re.findall(r"\b(\w+(?:\.py|/(?=[ ,]|$)))", re.sub(r"^\w+(?:/|\.py).*$", "", house, flags=re.MULTILINE))
    named = re.findall(r"`((?:tapem|tests)/[\w/.]+)`", README + HOUSE)
    assert len(named) >= 5
    for path in [*rooms, *(f"tapem/{name}" for name in inside), *named]:
        assert (ROOT / path).exists(), path
