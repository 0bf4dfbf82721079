"""Residual: what it adds, keys and state within it, shapes that must be kept, and its rows in the summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import layers
import tapem as tm
from layers import BatchNorm, Conv2d, Dropout, Flatten, Linear, Relu, Residual, Sequential, TransformerBlock

KEY = tm.random.key(0)


def complaint(call: Any, kind: type[Exception]) -> str:
    with pytest.raises(kind) as error:
        call()
    assert isinstance(error.value, tm.TapeError)
    return str(error.value)


@dataclass(frozen=True)
class Counter(layers.Layer):
    """Counts how often it was applied."""

    def init_state(self) -> Any:
        return {"count": 0}

    def step(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return x, {"count": state["count"] + 1}


def test_value_and_parameters_are_those_of_the_layer() -> None:
    inner = Linear(3, 8) >> Relu() >> Linear(8, 3)
    model, x = Residual(inner), np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    params = model.init(KEY, (4, 3))
    np.testing.assert_array_equal(params[0]["weight"], inner.init(KEY)[0]["weight"])
    np.testing.assert_array_equal(model.apply(params, x), x + inner.apply(params, x))
    assert model.output_shape((None, 3)) == (None, 3) and model.takes == (..., 3)
    assert (
        repr(model) == "Residual(Linear(3, 8) >> Relu() >> Linear(8, 3))" and eval(repr(model), vars(layers)) == model
    )
    assert (model >> model)[1] == model and model.output_shape((..., 3)) == (..., 3)


def test_keys_and_state_reach_the_layer() -> None:
    inner = Sequential(Linear(3, 3), BatchNorm(3), Dropout(0.5))
    model, x = Residual(inner) >> Relu(), np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    params, state = model.init(KEY), model.init_state()
    y, after = model.apply(params, x, key=KEY, train=True, state=state)
    key = tm.random.split(KEY, 2)[0]
    expected, own = inner.apply(params[0], x, key=key, train=True, state=inner.init_state())
    np.testing.assert_array_equal(y, np.maximum(x + expected, 0))
    for a, b in zip(tm.tree_flatten(after)[0], tm.tree_flatten((own, ()))[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert tm.tree_flatten(after)[1] == tm.tree_flatten(state)[1]
    assert "has state" in complaint(lambda: model.apply(params, x), tm.ArgumentError)
    assert "has state" in complaint(lambda: model.apply(params, x, state=()), tm.ArgumentError)
    assert "has 2 layers, but state has 1 parts" in complaint(
        lambda: model.apply(params, x, state=state[:1]), tm.ArgumentError
    )
    assert not Residual(Linear(3, 3)).has_state


def test_shapes_that_are_not_kept() -> None:
    assert complaint(lambda: Residual(Linear(4, 8)), tm.ShapeError) == (
        "Residual(Linear(4, 8)) adds x to what the layer gives, but that has shape (..., 8) where x has shape "
        "(..., 4): 8 is not 4."
    )
    assert "that has shape (..., 1)" in complaint(lambda: Residual(Linear(4, 2) >> Linear(2, 1)), tm.ShapeError)
    # Sizes that only the input tells are checked when they are known.
    narrow = Residual(Conv2d(2, 2, 3))
    expected = "that has shape (5, 2, 6, 6) where x has shape (5, 2, 8, 8): 6 is not 8."
    assert expected in complaint(lambda: narrow.output_shape((5, 2, 8, 8)), tm.ShapeError)
    x = np.ones((5, 2, 8, 8), np.float32)
    assert expected in complaint(lambda: narrow.apply(narrow.init(KEY), x), tm.ShapeError)
    assert "12 is not 4" in complaint(lambda: Residual(Flatten()).apply((), np.ones((2, 3, 4))), tm.ShapeError)
    assert "takes (..., 5)" in complaint(lambda: Linear(3, 4) >> Residual(Linear(5, 5)), tm.ShapeError)
    assert "was given 3" in complaint(lambda: Residual(3), tm.ArgumentError)  # type: ignore[arg-type]
    assert "5 is not 4" in complaint(lambda: Residual(Linear(4, 4)).init(KEY, (2, 5)), tm.ShapeError)


def test_summary_shows_what_layers_are_made_of(capsys: Any) -> None:
    layers.summary(Linear(4, 8) >> Residual(Linear(8, 2) >> Residual(Relu()) >> Linear(2, 8)) >> Relu(), (None, 4))
    assert capsys.readouterr().out == (
        "layer           output shape  parameters\n"
        "Linear(4, 8)    (?, 8)                40\n"
        "Residual        (?, 8)                 0\n"
        "  Linear(8, 2)  (?, 2)                18\n"
        "  Residual      (?, 2)                 0\n"
        "    Relu()      (?, 2)                 0\n"
        "  Linear(2, 8)  (?, 8)                24\n"
        "Relu()          (?, 8)                 0\n"
        "total                                 82\n"
    )
    layers.summary(TransformerBlock(4, 2), (None, 3, 4))
    assert [line.split("(")[0].rstrip() for line in capsys.readouterr().out.splitlines()[1:-1]] == [
        "TransformerBlock",
        *("  Residual", "    LayerNorm", "    MultiHeadAttention"),
        *("  Residual", "    LayerNorm", "    Linear", "    Gelu", "    Linear"),
    ]


def test_part_of_a_sequential() -> None:
    model = Linear(3, 8) >> Relu() >> Linear(8, 2)
    assert model[:2] == Linear(3, 8) >> Relu() and model[-1] == Linear(8, 2) and model[:0] == Sequential()


def test_parameters_of_another_model() -> None:
    model, x = Linear(3, 8) >> Relu() >> Linear(8, 2), np.ones((1, 3), np.float32)
    first, none, last = model.init(KEY)
    for params, structure in (
        ((first, last, none), "({'bias': *, 'weight': *}, {'bias': *, 'weight': *}, ())"),
        (None, "None"),
        (1.0, "*"),
    ):
        assert complaint(lambda params=params: model.apply(params, x), tm.ArgumentError) == (
            f"{model!r}: params is not what model.init gives: it has the structure {structure}, not "
            "({'bias': *, 'weight': *}, (), {'bias': *, 'weight': *})."
        )
    assert "Linear(3, 8): params is not what model.init gives" in complaint(
        lambda: Linear(3, 8).apply({"w": first["weight"]}, x), tm.ArgumentError
    )
    assert "Counter(): state is not what model.init_state gives: it has the structure {'n': *}" in complaint(
        lambda: Counter().apply((), x, state={"n": 3}), tm.ArgumentError
    )
