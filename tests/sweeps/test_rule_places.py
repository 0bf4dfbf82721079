"""Where rules and ops are written: the file and the line hold what is said to stand there."""

import re
from pathlib import Path

import pytest

import tapem as tm
from tapem.core import is_several
from tapem.sweeps import place_of, places_of, source_of, sources_of
from tests.test_table import primitives

ROOT = Path(__file__).parents[2]


def line_at(place):
    return (ROOT / place.file).read_text().splitlines()[place.line - 1]


@pytest.mark.parametrize("op", list(primitives()), ids=lambda op: op.name)
def test_every_op_is_declared_where_it_is_said(op):
    place = place_of(op)
    assert place is not None and line_at(place).strip() == place.text.splitlines()[0]
    for rules in (op.rrule, op.frule):
        if rules is None:
            continue
        texts, places = sources_of(rules, "g"), places_of(rules)
        assert len(texts) == len(places)
        for rule, found in zip(rules if is_several(rules) else [rules] * len(places), places, strict=True):
            if found is None:
                assert not hasattr(rule, "__code__")
                continue
            assert line_at(found).strip() == found.text.splitlines()[0].strip()
            words = set(re.findall(r"\w+", found.text))
            if "lambda" in words and getattr(rule, "__name__", "") == "<lambda>":
                assert set(re.findall(r"\b[a-zA-Z]\w*", source_of(rule))) <= {word.lstrip("_") for word in words}


def test_what_is_written_in_no_file_has_no_place():
    assert place_of(None) is None and place_of(len) is None
    namespace = {}
    exec(compile("f = lambda g: g", "/tmp/ipykernel_12/345.py", "exec"), namespace)
    assert str(place_of(namespace["f"])) == "a cell, line 1"


def test_the_explorer_calls_a_cell_a_cell():
    namespace = {"np": __import__("numpy")}
    exec(compile("def f(x):\n    return np.sin(x)", "/tmp/ipykernel_12/345.py", "exec"), namespace)
    assert '"file":"a cell","line":2' in tm.show(namespace["f"], 0.5).html
