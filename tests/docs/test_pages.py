"""The pages keep their word: each block of Python prints what stands below it, each notebook what was written down."""

import os
import re
import sys

import pytest

from tests.docs.pages import CELLS, DOCS, pages, pairs, run_cells, run_pairs

PAGES = pages()
CODE = [page for page in PAGES if pairs((DOCS / page).read_text(encoding="utf-8"))]
NOTEBOOKS = [page for page in PAGES if CELLS.search((DOCS / page).read_text(encoding="utf-8"))]


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """Run a page in a folder of its own, with checkers of exercises that have not drawn any number yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(DOCS / "course")
    for name in [name for name in sys.modules if name.partition(".")[0] == "checker"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("page", CODE)
@pytest.mark.usefixtures("alone")
def test_blocks_print_what_the_page_says(page):
    for code, printed, expected in run_pairs((DOCS / page).read_text(encoding="utf-8"), page):
        assert printed == expected, code


@pytest.mark.parametrize("page", NOTEBOOKS)
@pytest.mark.usefixtures("alone")
def test_notebooks_print_what_was_written_down(page):
    """With TAPEM_WRITE_OUTPUTS=1 the test writes down what they print; read the difference before it is committed."""
    printed = re.sub(r"0x[0-9a-f]+", "0x...", run_cells((DOCS / page).read_text(encoding="utf-8"), page))
    printed = re.sub(r"\d+ kB", "... kB", printed)  # of an explorer's page
    path = DOCS / "outputs" / page.replace("/", ".").replace(".md", ".txt")
    if os.environ.get("TAPEM_WRITE_OUTPUTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(printed, encoding="utf-8")
    assert printed == path.read_text(encoding="utf-8")


def test_every_page_is_in_a_table_of_contents():
    named = set()
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            folder = (DOCS / page).parent
            named |= {(folder / line.strip()).resolve() for line in tree.splitlines() if line and line[0] != ":"}
    assert {DOCS / page.removesuffix(".md") for page in PAGES if page != "index.md"} <= named
