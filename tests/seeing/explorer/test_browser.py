"""The explorer in a browser: what it displays at each step are the numbers of the sweep."""

from pathlib import Path

import numpy as np
import pytest

import losses
import tapem as tm
from layers import Linear, Tanh
from tapem.sweeps import value_text
from tests.seeing.explorer.browser import opened

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def network():
    """A loss of a network with two layers, and its arguments."""
    model = Linear(2, 3) >> Tanh() >> Linear(3, 1)
    params = model.init(tm.random.key(0))
    x, y = np.array([[0.5, -1.0]], np.float32), np.array([[1.0]], np.float32)

    def loss(params, x):
        return losses.mse(model.apply(params, x), y)

    return loss, (params, x)


def test_stepping_shows_the_numbers_of_the_sweep(network, tmp_path):
    f, arguments = network
    path = tmp_path / "loss.html"
    tm.show(f, *arguments, path=path)
    taped = tm.tape_of(f, *arguments)
    sweep = tm.reverse_steps(taped.tape, taped.outputs)
    visited = [step for step in sweep if step.skipped is None]
    with opened(path) as page:
        assert page.title() == "loss - tapem"
        for step in visited:
            page.keyboard.press("ArrowRight")
            assert page.locator(".row.now .text").inner_text().startswith(f"%{step.node.id} ")
            assert page.locator("#step code").first.inner_text().startswith(f"%{step.node.id} = ")
            numbers = page.locator("#arriving code").inner_text()
            if np.size(step.cotangent) == 1:
                assert float(numbers.strip("[]")) == pytest.approx(float(np.ravel(step.cotangent)[0]), rel=1e-4)
            parts = page.locator("#step .part")
            assert parts.count() == len(step.contributions)
            for index, part in enumerate(step.contributions):
                text = parts.nth(index).inner_text()
                assert f"to %{part.parent} (its {part.operand})" in text and part.rule in text
        gradients = taped.tape.backward_scalar(taped.outputs)
        for row, leaf in enumerate(tm.tree_leaves(taped.inputs), 1):
            cells = page.locator("#leaves tr").nth(row).locator("td")
            expected = value_text(gradients[leaf])
            assert "".join(cells.nth(2).inner_text().rstrip("…").split()) in "".join(expected.split())
            assert cells.nth(3).inner_text().startswith("✓ agrees")
        page.keyboard.press("Home")
        assert page.locator("#count").inner_text().startswith("compute 0 / ")


def test_forward_mode_shows_tangents(network, tmp_path):
    f, arguments = network
    path = tmp_path / "loss.html"
    tm.show(f, *arguments, path=path)
    taped = tm.tape_of(f, *arguments)
    ones = {leaf: np.ones(leaf.shape, leaf.dtype) for leaf in tm.tree_leaves(taped.inputs)}
    last = tm.forward_steps(taped.tape, ones)[-1]
    with opened(path) as page:
        page.get_by_role("button", name="forward mode").click()
        page.keyboard.press("End")
        assert float(page.locator("#arriving code").inner_text()) == pytest.approx(float(last.tangent), rel=1e-4)
        assert "from %" in page.locator("#step").inner_text()


def test_layers_fold_by_mouse_and_keyboard(network, tmp_path):
    f, arguments = network
    path = tmp_path / "loss.html"
    tm.show(f, *arguments, path=path)
    with opened(path) as page:
        everything = page.locator(".row").count()
        page.locator(".row", has_text="Tanh()").first.click()
        assert page.locator(".row").count() == everything - 1
        page.locator(".row", has_text="Tanh()").first.click()
        assert page.locator(".row").count() == everything
        page.locator(".row", has_text="tanh(").last.click()
        page.keyboard.press("Enter")
        assert page.locator(".row").count() == everything - 1


def test_hovering_shows_the_node_its_axes_and_the_line_of_the_user(network, tmp_path):
    f, arguments = network
    path = tmp_path / "loss.html"
    tm.show(f, *arguments, path=path)
    with opened(path) as page:
        page.locator(".row .text", has_text="= linear(").first.hover()
        node = page.locator("#node").inner_text()
        assert "in=2" in node and "out=3" in node
        assert "return losses.mse(model.apply(params, x), y)" in node and "test_browser.py, line" in node
        page.keyboard.press("ArrowUp")
        assert page.locator(".row.selected").count() == 1


def test_a_kink_and_what_is_cut_off_are_marked(tmp_path):
    path = tmp_path / "kinks.html"
    tm.show(lambda x, y: np.abs(x) + tm.detach(y) * 3.0, 0.0, 1.0, path=path)
    with opened(path) as page:
        page.keyboard.press("End")
        assert "kink" in page.locator(".row", has_text="leaf 'x'").inner_text()
        assert "✗ disagrees" not in page.locator("#leaves").inner_text()
        assert page.locator(".row.skipped", has_text="leaf 'y'").count() == 1
        page.locator(".row.skipped").click()
        assert "the output does not depend on it" in page.locator("#node").inner_text()


def test_a_value_that_is_not_finite_is_marked(tmp_path):
    path = tmp_path / "log.html"
    with np.errstate(divide="ignore"):
        tm.show(lambda y: np.log(y), 0.0, path=path)
    with opened(path) as page:
        assert "not finite" in page.locator(".row", has_text="log(").inner_text()
        page.keyboard.press("End")
        assert "derivative not finite" in page.locator(".row", has_text="leaf 'y'").inner_text()


def test_a_long_tape_opens_folded_and_stays_fluent(tmp_path):
    x, tape = tm.Tape().leaf(1.0)
    for _ in range(5000):
        x, tape = tape.record(tm.sin, x)
    path = tmp_path / "long.html"
    tm.show(tape, x, path=path)
    with opened(path) as page:
        assert page.locator(".row").count() < 250
        page.keyboard.press("End")
        page.locator(".row").nth(3).click()
        twenty = "for (let i = 0; i < 20; i++) go(state.at - 1);"
        elapsed = page.evaluate(f"() => {{ const t = performance.now(); {twenty} return performance.now() - t; }}")
        assert page.locator(".row.now").count() == 1
        assert elapsed < 20_000  # frozen, not slow: a step takes some milliseconds


def test_a_phone_in_the_dark_sees_all_of_it(network, tmp_path):
    f, arguments = network
    path = tmp_path / "loss.html"
    tm.show(f, *arguments, path=path)
    with opened(path, width=390, height=800, color_scheme="dark") as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
        page.locator("#next").click()
        assert page.locator("#step").is_visible() and page.locator("#leaves").is_visible()


def test_in_a_notebook_it_is_a_frame_of_its_own(network):
    f, arguments = network
    page = tm.show(f, *arguments)
    assert page._repr_html_().startswith('<iframe title="loss" srcdoc="&lt;!doctype html&gt;')
    assert repr(page).startswith("<Explorer of loss: ")
    assert len(tm.show(np.tanh, 0.5).html) < 300_000


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(tm.ArgumentError, match="show takes a tape, a function"):
        tm.show(3.0)
    with pytest.raises(tm.ArgumentError, match="2 outputs"):
        tm.show(lambda x: (x, x), 1.0)


def test_the_lines_of_source_that_computed_a_contribution_are_found(network, tmp_path):
    f, arguments = network
    path = tmp_path / "loss.html"
    tm.show(f, *arguments, path=path)
    with opened(path) as page:
        page.locator(".row", has_text="tanh(").last.wait_for()
        while "tanh(" not in page.locator(".row.now").inner_text():
            page.keyboard.press("ArrowRight")
        step = page.locator("#step .source")
        file, line = step.locator("summary").inner_text().split(", line ")
        assert not step.locator("pre").is_visible()
        step.locator("summary").click()
        source = step.locator("pre").inner_text()
        assert "g * (1 - y * y)" in source
        assert (ROOT / file).read_text().splitlines()[int(line) - 1].strip() == source.splitlines()[0].strip()
        page.locator(".row .text", has_text="= linear(").first.hover()
        node = page.locator("#node")
        assert "declared\nlayers/ops/linear.py, line " in node.inner_text()
        assert node.locator(".source").count() == 3 and "rule for weight" in node.inner_text()


def test_a_compiled_function_is_shown_before_and_after(tmp_path):
    f = tm.compile(lambda x: np.sum(np.sin(x) * 2.0 + np.sin(x)), engine="numpy")
    path, x = tmp_path / "compiled.html", np.array([0.5, 1.0])
    before, after = f.tape(x)
    tm.show(f, x, path=path)
    with opened(path) as page:
        names = page.locator("#programs button").all_inner_texts()
        assert names == [f"compiled: {len(after)} nodes", f"eager: {len(before)} nodes"] and len(after) < len(before)
        for index, tape in enumerate((after, before)):
            page.locator("#programs button").nth(index).click()
            assert page.locator(".row .text").count() == len(tape)
            page.keyboard.press("End")
            gradient = page.locator("#leaves tr").nth(1).locator("td")
            assert gradient.nth(0).inner_text() == "%0 x"
            assert gradient.nth(2).inner_text() == value_text(3 * np.cos(x))
            assert gradient.nth(3).inner_text().startswith("✓ agrees")
    step = tm.compile(tm.value_and_grad(lambda x: np.sum(x * x)), engine="numpy")
    assert "compiled: " in tm.show(step, x).html  # two results, so no sweep begins at one of them


def test_static_arguments_of_a_compiled_function_are_no_leaves():
    f = tm.compile(lambda x, times: sum(np.sin(x) for _ in range(times)), engine="numpy", static_argnums=1)
    page = tm.show(f, 0.5, 3).html
    assert page.count('"leaf":true') == 2 and '"name":"x"' in page and '"name":"times"' not in page
    assert "Gradients of the leaves:\n    %0 'x': 2.6327" in tm.explain(f, 0.5, 3)
    assert f.plain(0.5, times=3)[1] == (0.5,)


def test_a_sweep_and_an_abstract_tape_are_shown(tmp_path):
    x, tape = tm.Tape().leaf(3.0, name="x")
    y, tape = tape.record(tm.mul, x, 2.0)
    tm.show(tm.reverse_steps(tape, y, 10.0), path=tmp_path / "sweep.html")
    with opened(tmp_path / "sweep.html") as page:
        page.keyboard.press("End")
        assert page.locator("#leaves td").nth(2).inner_text() == "20."
        assert page.locator("#modes button").all_inner_texts() == ["reverse mode"]
    taped = tm.tape_of(lambda x: np.sum(np.sin(x)), np.ones(3), abstract=True)
    tm.show(taped, path=tmp_path / "abstract.html")
    with opened(tmp_path / "abstract.html") as page:
        assert page.locator(".row .text").all_inner_texts()[1] == "%1 f64[3] = sin(%0)"
        assert page.locator("#modes button").count() == 0
        page.locator(".row").nth(1).hover()
        assert "np.sum(np.sin(x))" in page.locator("#node").inner_text()
