"""The tables of names side by side: each name of tapem in them exists, and takes the arguments that it is given."""

import ast
import inspect
import re

import numpy as np
import pytest

import layers
import losses
import tapem as tm
from tests.docs.pages import DOCS

PAGES = sorted((DOCS / "coming_from").glob("*.md"))
# What a name at the beginning of a span stands for; of an object, its class.
KNOWN = {"np": np, "tm": tm, "layers": layers, "losses": losses, "tape": tm.Tape}
# Functions and values of the reader.
THEIRS = {"f", "x", "v", "t", "g", "loss", "tree"}


def rows(text: str) -> list[list[str]]:
    """The rows of the table whose second column is tapem, without its head, as cells."""
    [table] = re.findall(r"^\| [^|]+ \| tapem \| what differs \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]


def spans(text: str) -> list[str]:
    """The code of tapem in a text: what begins with one of its names."""
    found = re.findall(r"`([^`]+)`", text)
    return [span for span in found if span.split(".")[0] in KNOWN and "." in span]


def value_of(node: ast.expr) -> object:
    """The object that a dotted name names. Raises AttributeError or KeyError where there is none."""
    if isinstance(node, ast.Attribute):
        return getattr(value_of(node.value), node.attr)
    if isinstance(node, ast.Call):  # such as tm.Tape().leaf: what a class makes has its attributes
        return value_of(node.func)
    assert isinstance(node, ast.Name)
    return KNOWN[node.id]


def check(span: str) -> None:
    """Raise an error if a span has a name that does not exist, or an argument that its function does not take."""
    tree = ast.parse(span, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            value_of(node)
        elif isinstance(node, ast.Name):
            assert node.id in KNOWN or node.id in THEIRS, node.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            function = value_of(node.func)
            inside = inspect.isfunction(function) and "." in function.__qualname__
            given = [None] * (len(node.args) + inside)  # a method takes its object first
            inspect.signature(function).bind_partial(*given, **{keyword.arg: None for keyword in node.keywords})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_names_of_tapem_exist(page):
    text = page.read_text(encoding="utf-8")
    table = rows(text)
    assert len(table) >= 15
    for _, ours, differs in table:
        assert spans(ours), ours
        for span in [*spans(ours), *spans(differs)]:
            check(span)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_in_the_prose_exist(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for span in spans(prose):
        if span.isidentifier() or re.fullmatch(r"[\w.]+", span):
            check(span)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_tells_what_differs_and_where_it_is_from(page):
    text = page.read_text(encoding="utf-8")
    for part in ("## Names side by side", "## What differs", "kinks.md", "omplex numbers", "Sources:"):
        assert part in text, part
    assert (
        re.search("in.place|immutable", text, re.IGNORECASE) and len(re.findall("^```python$", text, re.MULTILINE)) >= 3
    )


@pytest.mark.parametrize("wrong", ["tm.gradient(f)", "tm.grad(f, argnum=0)", "tape.backwards(loss)", "layers.Dense"])
def test_what_does_not_exist_is_told(wrong):
    with pytest.raises((AttributeError, TypeError)):
        check(wrong)
