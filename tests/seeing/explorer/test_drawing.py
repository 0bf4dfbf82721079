"""Still pictures: each node and each line once, as SVG, PNG and Graphviz's text."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import tapem as tm
from layers import Linear, Relu
from tapem.errors import MissingExtraError

SPACE = "{http://www.w3.org/2000/svg}"


def f(x, y):
    return np.sum(x * y + np.sin(x))


def test_an_svg_has_every_node_and_every_line(tmp_path):
    path = tmp_path / "tape.svg"
    x, y = np.ones(3), np.ones(3)
    tm.draw(f, x, y, path=path)
    root = ElementTree.parse(path).getroot()
    texts = [text.text for text in root.iter(f"{SPACE}text")]
    tape = tm.tape_of(f, x, y).tape
    assert [text.split()[0] for text in sorted(texts)] == [f"%{node.id}" for node in tape]
    assert len([*root.iter(f"{SPACE}path")]) == sum(len(set(node.parents)) for node in tape)
    assert len([*root.iter(f"{SPACE}rect")]) == 2 and len([*root.iter(f"{SPACE}circle")]) == 4


def test_a_png_is_written_by_matplotlib(tmp_path):
    path = tmp_path / "tape.png"
    tm.draw(f, np.ones(3), np.ones(3)).save(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_png_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install tapem\[examples\]"):
        tm.draw(f, 1.0, 2.0, path=tmp_path / "tape.png")


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(tm.ArgumentError, match=r"is \.svg, \.png or \.dot, not \.jpg"):
        tm.draw(f, 1.0, 2.0, path=tmp_path / "tape.jpg")


def test_dot_names_nodes_and_arrows(tmp_path):
    text = tm.to_dot(f, 1.0, 2.0)
    tape = tm.tape_of(f, 1.0, 2.0).tape
    arrows = {(p, node.id) for node in tape for p in node.parents if p is not None}
    assert all(f"  n{parent} -> n{child};" in text for parent, child in arrows)
    tm.draw(f, 1.0, 2.0, path=tmp_path / "tape.dot")
    assert (tmp_path / "tape.dot").read_text() == text


def test_a_long_tape_is_drawn_folded():
    x, tape = tm.Tape().leaf(1.0)
    for _ in range(1000):
        x, tape = tape.record(tm.sin, x)
    picture = tm.draw(tape, x)
    assert len(picture.rows) < 120 and any(row.kind == "block" for row in picture.rows)


def test_models_and_programs_are_drawn():
    assert len(tm.draw(Linear(2, 3) >> Relu(), np.ones((1, 2), np.float32)).rows) == 5

    @tm.do
    def program():
        x = yield from tm.leaf(2.0, name="x")
        return (yield from tm.sin(x))

    assert [row.text for row in tm.draw(program()).rows] == ["%0 f64[] = leaf 'x'", "%1 f64[] = sin(%0)"]
