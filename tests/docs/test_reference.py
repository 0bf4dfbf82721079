"""The reference has every public name, once, and says of an op what its declaration says."""

import importlib
import re
import sys
from collections import Counter

import pytest

import tapem as tm
from tests.docs.pages import DOCS

# Types of annotations, for type checkers.
UNLISTED = {"Declaration", "Deferred", "Num", "Numeric", "Operand", "Real", "Tensor", "renamed_parameters"}


@pytest.fixture(scope="module")
def rooms():
    """The extension that makes the reference."""
    sys.path.insert(0, str(DOCS / "_extensions"))
    try:
        yield importlib.import_module("rooms")
    finally:
        sys.path.remove(str(DOCS / "_extensions"))


def listed(rooms):
    """(module, name) of everything that the pages list."""
    for page in sorted((DOCS / "reference").glob("*.md")):
        for module, options in re.findall(r"^```\{room\} (\S+)\n(.*?)^```$", page.read_text(), re.M | re.S):
            given = dict(re.findall(r"^:(\w+): (.*)$", options, re.M))
            found = importlib.import_module(module)
            names = given.get("names", "").split() or rooms.names_of(found, given.get("from", "").split())
            hidden = given.get("except", "").split()
            yield from ((module, name) for name in names if name not in hidden)


def test_every_public_name_stands_on_one_page(rooms):
    count = Counter(listed(rooms))
    assert [name for name, times in count.items() if times > 1] == []
    names = {name for module, name in count if module == "tapem"}
    public = {name for name in tm.__all__ if type(getattr(tm, name)) is not type(tm)}
    assert public - names == UNLISTED


def test_an_op_shows_its_rules(rooms):
    lines = rooms.entry(tm, "tanh")
    assert "## `tm.tanh`" in lines
    assert "| both modes | `` g * (1 - y * y) `` |" in lines
    assert "| NumPy | `` np.tanh `` |" in lines
    assert 'tanh(x: Num[Tensor, "*#shape"]) -> Inexact[Tensor, "*shape"]' in lines
