"""source: a program as text that runs without tapem, and computes what the compiled function does, bit for bit."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import losses
import tapem as tm
from examples.digits import model, objective, split_data
from tapem.compiler.array_text import array_text
from tapem.compiler.readable import tidy, tidy_return
from tapem.compiler.writing import Writer
from tapem.core import tree_flatten
from tests.compiler.test_every_op import needs_values, value_and_cotangents
from tests.tables import Row
from tests.test_table import TABLE

OURS = ("tapem", "layers", "losses")


class NoneOfOurs:
    """A finder that refuses tapem, as a machine without it does."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name.split(".")[0] in OURS:
            raise ImportError(f"no {name} on this machine")


def entry_of(text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The last function of a program, which cannot import tapem."""
    module = ModuleType("written")
    with monkeypatch.context() as patch:
        for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
            patch.delitem(sys.modules, name)
        patch.setattr(sys, "meta_path", [NoneOfOurs(), *sys.meta_path])
        exec(compile(text, "<written>", "exec", dont_inherit=True), vars(module))
    return list(vars(module).values())[-1]


def assert_equal(found: Any, expected: Any) -> None:
    """Hold trees against each other, bit for bit."""
    leaves, structure = tree_flatten(found)
    others, other = tree_flatten(expected)
    assert structure == other
    for one, two in zip(leaves, others, strict=True):
        assert type(one) is type(two)
        assert np.asarray(one).dtype == np.asarray(two).dtype
        assert not isinstance(one, np.ndarray) or one.flags.writeable
        np.testing.assert_array_equal(one, two)


def source_and_result(row: Row) -> tuple[str, Any] | None:
    """The source of a row's value and cotangents, and what they are; None for a row that raises an error."""
    if needs_values(row):
        return None
    compiled = tm.compile(value_and_cotangents(row), engine="numpy", fast=False)
    try:
        expected = compiled(*row.operands)
    except tm.TapeError:
        return None
    return compiled.source(*row.operands), expected


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{name}-{row}"[:120]) for name, row in TABLE])
def test_row(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    found = source_and_result(row)
    if found is None:
        return
    text, expected = found
    assert "tapem" not in text
    with np.errstate(all="ignore"):
        assert_equal(entry_of(text, monkeypatch)(*row.operands), expected)


HALF = [(name, row) for name, row in TABLE if name in ("losses", "normalization", "attention", "softmax", "pooling")]


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{name}-{row}"[:120]) for name, row in HALF])
def test_row_in_float16(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ops that compute float16 in float32 do so in a program, too."""
    halves = (x.astype(np.float16) if getattr(x, "dtype", None) == np.float64 else x for x in row.operands)
    test_row(dataclasses.replace(row, operands=(*halves,)), monkeypatch)


def test_fast_programs_have_the_values_of_the_compiled_function(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in [*{row.op: row for _, row in reversed(TABLE)}.values()]:
        compiled = tm.compile(value_and_cotangents(row), engine="numpy")
        try:
            expected = tree_flatten(compiled(*row.operands))[0]
        except tm.TapeError:
            continue
        with np.errstate(all="ignore"):
            found = tree_flatten(entry_of(compiled.source(*row.operands), monkeypatch)(*row.operands))[0]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14, err_msg=str(row))


# -- a machine without tapem -------------------------------------------------------------------------------------------

RUN = """
import pickle, sys

class NoneOfOurs:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("tapem", "layers", "losses"):
            raise ImportError(name)

sys.meta_path.insert(0, NoneOfOurs())
results = []
for text, operands in pickle.load(open("programs", "rb")):
    names = {"__name__": "written"}
    exec(compile(text, "<written>", "exec"), names)
    import numpy as np
    with np.errstate(all="ignore"):
        results.append(list(names.values())[-1](*operands))
pickle.dump(results, open("results", "wb"))
"""


def run_elsewhere(programs: list[tuple[str, tuple[Any, ...]]], folder: Path) -> list[Any]:
    """The results of programs in a process that cannot import tapem."""
    (folder / "programs").write_bytes(pickle.dumps(programs))
    subprocess.run([sys.executable, "-c", RUN], check=True, cwd=folder)
    return pickle.loads((folder / "results").read_bytes())


def test_every_op_runs_elsewhere(tmp_path: Path) -> None:
    first = {row.op: row for _, row in reversed(TABLE)}
    found = [(row, source_and_result(row)) for row in first.values()]
    programs = [(pair[0], row.operands) for row, pair in found if pair is not None]
    assert len(programs) > 300
    for result, (_, pair) in zip(
        run_elsewhere(programs, tmp_path), [f for f in found if f[1] is not None], strict=True
    ):
        assert_equal(result, pair[1])  # type: ignore[index]


def test_the_step_of_the_digits_runs_elsewhere(tmp_path: Path) -> None:
    images, labels, _, _ = split_data()
    optimizer = tm.optim.adamw(tm.optim.cosine(2e-3, 100))

    @tm.compile(engine="numpy", fast=False)
    def train_step(params: Any, state: Any, images: Any, labels: Any) -> Any:
        loss, gradient = tm.value_and_grad(objective)(params, images, labels)
        params, state = optimizer.update(gradient, state, params)
        return loss, params, state

    params = model.init(tm.random.key(0))
    operands = params, optimizer.init(params), images[:32], labels[:32]
    train_step.save(tmp_path / "step.py", *operands)
    text = (tmp_path / "step.py").read_text()
    assert text == train_step.source(*operands) + "\n"
    assert_equal(run_elsewhere([(text, operands)], tmp_path)[0], train_step(*operands))


# -- the text ----------------------------------------------------------------------------------------------------------


def test_every_engine_has_the_same_text() -> None:
    pytest.importorskip("numba")

    def f(x: Any) -> Any:
        return np.sum(np.exp(x) * tm.softmax(x))

    x = np.ones(3)
    assert tm.compile(tm.grad(f), engine="numba").source(x) == tm.compile(tm.grad(f), engine="numpy").source(x)


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Model:
    weight: Any
    rest: Any = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frozen:
    rest: Any = None
    again: Any


def test_trees_are_taken_apart_and_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(params: Any, pair: Any, plain: Any, *, rate: Any) -> Any:
        w = params["layers"][0]["w"] * rate
        return Pair(w, [pair.left + pair.right, (plain.weight,)]), {"w": Model(w + 1), 3: None}, w.T

    arguments = {"layers": [{"w": np.arange(6.0).reshape(2, 3)}]}, Pair(np.ones(2), 2.0), Model(np.ones(1))
    compiled = tm.compile(f, engine="numpy", fast=False)
    text = compiled.source(*arguments, rate=0.5)
    assert "def f(params, pair, plain, rate):" in text
    assert 'w0 = params["layers"][0]["w"]' in text
    assert "left = pair.left" in text and "weight = plain.weight" in text
    found = entry_of(text, monkeypatch)(*arguments, rate=0.5)
    expected = compiled(*arguments, rate=0.5)
    pair, rest, last = found
    assert type(pair).__name__ == "Pair" and type(rest["w"]).__name__ == "Model"
    assert_equal(
        (*pair, rest["w"].weight, rest["w"].rest, rest[3], last),
        (*expected[0], expected[1]["w"].weight, None, None, expected[2]),
    )


def test_names_are_whole_where_short_ones_are_ambiguous() -> None:
    def f(a: Any, b: Any, w: Any) -> Any:
        return a["w"] + b["w"] + w + a["two words"] + a["for"]

    one = np.ones(2)
    text = tm.compile(f, engine="numpy").source({"w": one, "two words": one, "for": one}, {"w": one}, one)
    for line in ('a_w = a["w"]', 'b_w = b["w"]', 'a_two_words = a["two words"]', 'a_for = a["for"]', "# w: f64[2]"):
        assert line in text


def test_static_arguments_are_gone_from_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = tm.compile(lambda x, n, y: x * n + y, engine="numpy", static_argnums=1)
    text = compiled.source(np.ones(2), 3, np.ones(2))
    assert "def f(x, y):" in text
    assert_equal(entry_of(text, monkeypatch)(np.ones(2), np.ones(2)), np.full(2, 4.0))


def test_what_an_op_keeps_is_taken_apart_by_name() -> None:
    def loss(x: Any, labels: Any) -> Any:
        return losses.cross_entropy(x, labels)

    text = tm.compile(tm.grad(loss), engine="numpy").source(np.ones((3, 4)), np.array([0, 1, 2]))
    assert "    _, (cross_entropy_kept, _) = cross_entropy(x, labels) " in text
    text = tm.compile(loss, engine="numpy").source(np.ones((3, 4)), np.array([0, 1, 2]))
    assert "    cross_entropy_value, _ = cross_entropy(x, labels) " in text


def test_loops_and_branches_are_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def network(w: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = tm.silu(w @ h + x)
            return h, tm.cond(np.sum(h) > 0, lambda h: np.sum(h), lambda h: -h[0], h)

        h, ys = tm.scan(step, np.zeros(3), xs)
        return np.sum(ys**2) + tm.while_loop(lambda s: s < 10, lambda s: s * 2, np.sum(h**2))

    operands = np.eye(3) * 0.5, np.linspace(-1.0, 2.0, 5)
    compiled = tm.compile(tm.value_and_grad(network), engine="numpy", fast=False)
    text = compiled.source(*operands)
    assert "for step in range(5):" in text and "while True:" in text and "if greater:" in text
    assert_equal(entry_of(text, monkeypatch)(*operands), compiled(*operands))


def test_results_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.arange(20.0)

    def f(x: Any) -> Any:
        return x.T, x, np.reshape(x, -1), table, table[:3]

    x = np.arange(6.0).reshape(2, 3)
    entry = entry_of(tm.compile(f, engine="numpy").source(x), monkeypatch)
    results, again = entry(x), entry(x)
    for position, result in enumerate(results):
        others = [x, *results[:position], *again]
        assert not any(np.shares_memory(result, other) for other in others)


ARRAYS = [
    np.array(3.0), np.array(True), np.zeros((0, 3)), np.zeros((3, 3)), np.ones(4, np.float32), np.full((4, 4), 0.1),
    np.full(9, -0.0), np.full(9, np.nan), np.array([np.nan, -np.inf, -0.0]), np.array([1 + 2j, complex(np.inf, -0.0)]),
    np.array([0.1], np.longdouble), np.arange(20), np.arange(20).reshape(4, 5).T, np.arange(24.0).reshape(4, 6)[:, ::2],
    np.linspace(0, 1, 50).astype(np.float16), np.arange(9, dtype=">i4"), -np.array([np.nan]),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS)
def test_arrays_are_exact(array: Any) -> None:
    writer = Writer(set())
    text = array_text(array, writer.imported)
    names: dict[str, Any] = {}
    exec("\n".join([*writer.imports, f"made = {text}"]), names)
    made = names["made"]
    assert made.shape == array.shape and made.dtype == array.dtype
    np.testing.assert_array_equal(made, array)
    assert np.array_equal(np.signbit(made.real), np.signbit(array.real)) or array.dtype == bool
    assert made.flags.writeable


@pytest.mark.parametrize(
    ("line", "tidied"),
    [
        ("    y = np.sum(x, axis=(-1))", "    y = np.sum(x, axis=-1)"),
        ("y = x['a'] + 'it\\'s'", 'y = x["a"] + "it\'s"'),
        ("for step in range(3):", "for step in range(3):"),
        ("a, b = (c, d)", "a, b = c, d"),
    ],
)
def test_lines_are_tidy(line: str, tidied: str) -> None:
    assert tidy(line) == tidied


def test_a_long_result_is_returned_on_several_lines() -> None:
    names = ", ".join(f"a_rather_long_name_{n}" for n in range(4))
    assert tidy_return(f"({names},)") == f"return {names}"
    text = tidy_return(f"{{'first': ({names}), 'second': ({names})}}")
    assert text.startswith('return {\n    "first": (\n        a_rather') and text.endswith("),\n}")
