"""What each display says, as text, with the numbers that NumPy has for it."""

import io
import pickle
import re
import sys

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from rich.console import Console

import layers
import tapem as tm
from layers import Linear, Relu
from tapem.display import html_of, sheet_of, text_of
from tapem.seeing.summaries import BINS, summary_of
from tests.seeing.displays.values import displayed, error_of, tapes, training

VALUES = displayed()


def text(value):
    return text_of(sheet_of(value))


def row(value, start):
    """The cells of the row that begins so."""
    (line,) = [line for line in text(value).splitlines() if line.strip().startswith(start)]
    return re.split(r"\s{2,}", line.strip())


@pytest.mark.parametrize("name", VALUES)
def test_every_value_shows_itself(name):
    """In a notebook without an import, by rich, and as text that is no page of numbers."""
    value = VALUES[name]
    formats, _ = DisplayFormatter().format(value)
    html = formats["text/html"]
    assert html.startswith('<div class="tm-sheet">') and len(html) < 6000
    assert not re.search(r"<script|https?:|<b>'|w<b>", html)
    assert formats["text/plain"] == repr(value) or isinstance(value, tuple | Exception)
    assert " object at 0x" not in repr(value) and len(repr(value)) < 1500
    console = Console(file=io.StringIO(), width=160)
    console.print(value)
    assert sheet_of(value).title.split("\n")[0][:40] in console.file.getvalue()


def test_a_tape_is_its_listing_with_values():
    tape, product, out = tapes()
    values = np.asarray(tape.value(product))
    assert row(tape, "%2") == ["%2", "f64[5,3]", "matmul(%0, %1)", f"in [{values.min():.5g}, {values.max():.5g}]"]
    assert row(tape, "%4")[-1] == f"{float(tape.value(out)):.4f}"
    assert "leaf &#x27;w&lt;b&gt;&#x27;" in html_of(tape)
    x, long = tm.Tape().leaf(1.0)
    for _ in range(99):
        x, long = long.record(tm.sin, x)
    assert "60 more nodes" in text(long) and text(long).splitlines()[-1].strip().startswith("%99")
    assert "Tape of 0 nodes" in text(tm.Tape())


def test_an_abstract_tape_has_types_and_no_values():
    assert row(VALUES["an abstract tape"], "%1") == ["%1", "f64[3]", "sin(%0)"]


def test_a_node_names_its_axes_and_rules():
    taped = tm.tape_of(tm.bmm, np.ones((5, 2, 3)), np.ones((5, 3, 4)))
    shown = text(taped.tape[2])
    assert "axes        batch=5  n=2  k=3  m=4" in shown
    assert re.search(r"rule for a +\S+", shown) and "f64[5,2,4]" in shown
    assert "not required: it is constant" in text(tm.Tape().leaf(1)[1][0])
    assert text(VALUES["a ref"]).endswith("%2 = matmul(%0, %1)")


def test_gradients_tell_norms_and_what_is_not_finite():
    tape, _, out = tapes()
    gradients = tape.backward_scalar(out)
    assert row(gradients, "%0 x")[:4] == ["%0 x", "f64[5,4]", f"{np.linalg.norm(gradients[0]):.4g}", "yes"]
    assert "3 computed nodes" in text(gradients)
    x, tape = tm.Tape().leaf(np.array([0.0, 1.0]))
    y, tape = tape.record(tm.sqrt, x)
    out, tape = tape.record(tm.sum, y)
    with np.errstate(divide="ignore"):
        gradients = tape.backward_scalar(out)
    assert row(gradients, "%0")[3] == "no: 1 of 2 NaN or infinite"
    assert '<span class="bad">not finite</span>' in html_of(gradients)


def test_a_sweep_shows_rules_and_contributions():
    x, tape = tm.Tape().leaf(3.0, name="x")
    y, tape = tape.record(tm.mul, x, 2.0)
    _, tape = tape.record(tm.sin, x)
    shown = text(tm.reverse_steps(tape, y))
    assert "%1 = mul(%0, 2.0)" in shown and "to %0 (its a): 2." in shown and "it comes after the output" in shown
    assert "from %0 (its a): 2." in text(tm.forward_steps(tape, {x: 1.0}))


def test_a_tree_shows_its_leaves_and_is_written(tmp_path):
    tree = {"w": np.arange(12.0).reshape(3, 4), "rest": [np.array([0.5, -1.0]), (), None, 3]}
    shown = tm.show(tree, path=tmp_path / "tree.html")
    assert repr(shown).splitlines()[:6] == [
        "dict of 2: 15 numbers in 3 arrays",
        "  rest: list of 4, 2 arrays",
        "    0: f64[2] [ 0.5, -1. ]",
        "    1: tuple of 0",
        "    2: None",
        "    3: i64[] 3",
    ]
    assert repr(shown).splitlines()[6:] == ["  w: f64[3,4] in [0, 11]"] and "[ 8.  9. 10. 11.]" in html_of(shown)
    page = (tmp_path / "tree.html").read_text()
    assert page.startswith("<!doctype html>") and page.count("<details") == 2
    assert pickle.loads(pickle.dumps(shown)).tree["rest"][3] == 3
    many = html_of(tm.show({str(i): np.ones((50, 50)) for i in range(1000)}))
    assert "940 more" in many and len(many) < 150_000 and "<details open>" not in many


def test_a_training_is_curves_and_no_page_of_weights():
    fitted = training()
    losses, scores = fitted.history["loss"], fitted.history["validation"]
    ends = f"loss {losses[0]:.4g} -> {losses[-1]:.4g}"
    assert ends in text(fitted) and ends in repr(fitted)
    assert f"validation {scores[0]:.4g} -> {scores[-1]:.4g}" in text(fitted)
    assert f"best: {fitted.best.score:.4g} after epoch {fitted.best.epoch}" in text(fitted)
    html = html_of(fitted)
    assert html.count("<path d=") >= 4 and "<title>validation</title>" in html
    assert repr(fitted).startswith("<Fitted: 3 epochs, 12 steps in this call; loss ") and len(repr(fitted)) < 300
    assert repr(fitted).endswith("; 49 parameters in 4 arrays>")
    stopped = fitted._replace(interrupted=True)
    assert "interrupted" in text(stopped) and repr(stopped).endswith("interrupted>")


def test_a_model_is_its_table():
    model = Linear(4, 8) >> Relu() >> Linear(8, 2)
    assert row(model, "Linear(4, 8)") == ["Linear(4, 8)", "(..., 8)", "40"]
    assert row(model, "total") == ["total", "58"]
    assert "Linear(64, 1)" in text(VALUES["a model whose shapes are not known"])
    huge = Linear(100_000, 100_000)  # no parameter is drawn for its display
    assert "10,000,100,000 parameters" in text(huge)


def test_summary_prints_or_shows_the_table(monkeypatch):
    model = Linear(4, 8) >> Relu()
    out = io.StringIO()
    layers.summary(model, (None, 4), file=out)
    assert out.getvalue().splitlines()[-1].split() == ["total", "40"]
    shown = []
    notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr(sys, "stdout", notebook)
    layers.summary(model, (None, 4))
    assert notebook.getvalue() == "" and f"{shown[0]!r}\n" == out.getvalue()
    assert "<td>Linear(4, 8)</td><td>(?, 8)</td><td>40</td>" in html_of(shown[0])


def test_a_check_shows_what_failed():
    assert "passed, 2 elements" in text(VALUES["a check"])
    failed = VALUES["a check that failed"]
    assert row(failed, "[1]") == ["[1]", "6", "4", "2"]
    assert row(failed, "absolute") == ["absolute", "2", "1.5"]
    assert "FAILED at 2 of 2 elements" in text(failed)


def test_an_error_shows_its_axes_as_a_table():
    error = VALUES["an error of axes"]
    assert row(error, "weight") == ["weight", 'Float[Tensor, "out in"]', "f64[3,4]"]
    assert [line.split() for line in text(error).splitlines()[5:9]] == [
        ["axis", "weight", "bias", "x"],
        ["out", "3", "3"],
        ["in", "4", "3", "✗", "does", "not", "fit"],
        ["batch", "(5,)"],
    ]
    assert pickle.loads(pickle.dumps(error)).misfit == error.misfit
    swapped = error_of(lambda: layers.linear(np.ones((3, 4)), np.ones((5, 4)), np.ones(3)))
    assert "hint: exchange bias and x" in text(swapped)
    product = error_of(lambda: tm.matmul(np.ones((5, 2)), np.ones(3)))
    assert row(product, "a ") == ["a", 'Num[Tensor, "..."]', "f64[5,2]"] and row(product, "-1") == ["-1", "2", "3"]
    assert row(product, "-2") == ["-2", "5"] and str(product).endswith("\n  a: f64[5,2]\n  b: f64[3]")
    assert text(VALUES["another error"]).startswith("NotScalarError: grad needs an output of shape ()")


@pytest.mark.parametrize(
    "array",
    [
        np.full((9, 9), np.nan),
        np.full((40, 3), 1e300),
        np.array([[-1.7e308, 1.7e308]] * 30),
        np.full(50, 5e-324),
        np.ones((30, 30), np.float16),
        np.ones(30) * 1j,
        np.zeros((0, 4)),
        np.arange(50) % 2 == 0,
        np.array([np.inf, -np.inf, 1.0] * 20),
        np.longdouble(2) ** np.arange(30),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_every_array_has_a_picture_or_none(array):
    with np.errstate(all="raise"):
        shown = tm.show({"w": array})
        assert html_of(shown) and "w: " in repr(shown)


def test_a_picture_is_the_histogram_of_numpy():
    drawn = np.random.default_rng(0).normal(size=1000)
    assert summary_of(drawn)["histogram"] == np.histogram(drawn, BINS)[0].tolist()


def test_the_leaves_of_a_tree_may_have_no_values():
    ref, _ = tm.Tape().leaf(np.ones(3))
    shown = repr(tm.show({"s": tm.ShapeDtype((2, 3), np.dtype("f4")), "r": ref}))
    assert shown.splitlines()[1:] == ["  r: Ref 0 f64[3]", "  s: f32[2,3]"]
    inside = []
    tm.grad(lambda x: inside.append(repr(tm.show({"w": x, "z": np.ones(2)}))) or np.sum(x))(np.ones(2))
    assert "w: Tracer" in inside[0] and "z: f64[2] [1., 1.]" in inside[0]


def test_a_state_of_a_training_is_a_tree():
    assert "params: tuple of 3, 4 arrays" in text(training().state)


def test_a_layer_that_is_half_written_shows_its_name():
    class Mine(layers.Layer):
        def init(self, key, input_shape=None):
            return {"w": self.missing}

        def forward(self, params, x, *, key=None, train=False):
            return x

    assert "Mine" in html_of(Mine() >> Relu())
