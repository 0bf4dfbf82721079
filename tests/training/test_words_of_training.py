"""Words: what is said where a key, a loss, a model or a branch is not what it should be, and what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import layers
import losses
import tapem as tm
from layers import Dropout, Linear

KEY = tm.random.key(0)
X = np.ones((4, 3), np.float32)
LABELS = np.array([0, 1, 2, 1])
MODEL = Linear(3, 2)
PARAMS = MODEL.init(KEY)


def complaint(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as error:
        call()
    return str(error.value)


# Keys -----------------------------------------------------------------------------------------------------------------

DRAWS: list[Callable[[Any], Any]] = [
    tm.random.split,
    lambda key: tm.random.fold_in(key, 1),
    tm.random.uniform,
    lambda key: tm.random.normal(key, (3,)),
    tm.random.bernoulli,
    lambda key: tm.random.integers(key, 3),
    lambda key: tm.random.permutation(key, 5),
    lambda key: tm.random.permutation(key, X),
    lambda key: tm.vmap(tm.random.normal)(np.arange(3)),
    lambda key: tm.random.normal(np.arange(2)),
    MODEL.init,
    (MODEL >> Linear(2, 3)).init,
    lambda key: Dropout(0.5).apply((), X, key=key, train=True),
    lambda key: tm.model.value_and_grad(
        Dropout(0.5) >> MODEL, losses.mse, ((), PARAMS), X, X[:, :2], key=key, train=True
    ),
    lambda key: tm.fit(MODEL, losses.mse, tm.optim.sgd(0.1), (X, X[:, :2]), key=key, epochs=1, progress=False),
]


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("seed", [0, 7, np.int64(3), 0.5])
def test_an_int_where_a_key_is_due(draw: Callable[[Any], Any], seed: Any) -> None:
    assert complaint(lambda: draw(seed), tm.DTypeError).endswith(
        "hint: a key is made from an integer, tm.random.key(0), or from another key, tm.random.split(key)"
    )


def test_every_draw_takes_a_key_by_that_name() -> None:
    for name in tm.random.__all__:
        op = getattr(tm.random, name)
        if isinstance(op, tm.Primitive):
            more = [1] if name == "fold_in" else []
            assert "tm.random.key(0)" in complaint(lambda op=op, more=more: op(0, *more), tm.DTypeError)


# Losses and models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.nll])
def test_exchanged_arguments_of_a_loss_of_scores(loss: Any) -> None:
    for options in ({}, {"ignore_index": 1}, {"reduction": "none"}):
        calls: list[Callable[[], Any]] = [
            lambda o=options: loss(LABELS, X, **o),
            lambda o=options: tm.grad(lambda x: np.sum(loss(LABELS, x, **o)))(X),
            lambda o=options: tm.vmap(lambda label, x: loss(label, x, **o))(LABELS, X),
            lambda o=options: loss(tm.const(LABELS), tm.param(X), **o).run(),
        ]
        for call in calls:
            assert "exchange" in complaint(call, tm.DTypeError)
    assert complaint(lambda: losses.nll(LABELS, X), tm.DTypeError) == (
        "nll: the first argument, int64 of shape (4,), looks like labels, and the second, float32 of shape (4, 3), "
        "like scores: exchange them, nll(prediction, target)."
    )
    assert complaint(lambda: losses.cross_entropy(LABELS, X), tm.DTypeError).endswith(
        "hint: exchange logits and target: they fit the other way round"
    )


def test_exchanged_arguments_of_other_ops() -> None:
    assert "hint: exchange table and ids" in complaint(lambda: layers.embedding(LABELS, X), tm.DTypeError)
    weight, bias = PARAMS["weight"], PARAMS["bias"]
    assert "hint: exchange weight and x" in complaint(lambda: layers.linear(X, bias, weight), tm.ShapeError)
    assert "hint: exchange weight and bias" in complaint(lambda: layers.linear(bias, weight, X), tm.ShapeError)
    # Where they fit neither way, or a transpose does, nothing is exchanged.
    assert "hint: transpose weight" in complaint(lambda: layers.linear(weight.T, bias, X), tm.ShapeError)
    assert "hint" not in complaint(lambda: layers.linear(weight, bias, X[:, :2]), tm.ShapeError)


def test_integers_in_a_layer_are_converted_to_its_dtype() -> None:
    for dtype in (np.float32, np.float64):
        layer = Linear(3, 2, dtype=dtype)
        x = np.ones((4, 3), np.int64)
        text = complaint(lambda layer=layer, x=x: layer.apply(layer.init(KEY), x), tm.DTypeError)
        assert text.endswith(f"hint: use x.astype(np.{np.dtype(dtype)})")
    assert complaint(lambda: losses.mse(LABELS, LABELS), tm.DTypeError).endswith("use prediction.astype(np.float64)")


LEVEL: list[Callable[[Any, Any], Any]] = [
    lambda model, loss: tm.model.value_and_grad(model, loss, PARAMS, X, X[:, :2]),
    lambda model, loss: tm.model.grad_x(model, loss, PARAMS, X, X[:, :2]),
    lambda model, loss: tm.model.jvp(model, loss, PARAMS, X, X[:, :2], PARAMS),
    lambda model, loss: tm.model.hvp(model, loss, PARAMS, X, X[:, :2], PARAMS),
    lambda model, loss: tm.fit(
        model, loss, tm.optim.sgd(0.1), (X, X[:, :2]), params=PARAMS, key=KEY, epochs=1, progress=False
    ),
]


@pytest.mark.parametrize("call", LEVEL)
def test_what_a_loss_returns(call: Callable[[Any, Any], Any]) -> None:
    def in_a_list(prediction: Any, target: Any) -> Any:
        return [losses.mse(prediction, target)]

    def with_more(prediction: Any, target: Any) -> Any:
        return losses.mse(prediction, target), prediction

    def forgets(prediction: Any, target: Any) -> None:
        losses.mse(prediction, target)

    text = complaint(lambda: call(MODEL, in_a_list), tm.NotScalarError)
    assert text.startswith("loss in_a_list must return a scalar, but returned [")
    assert text.endswith(", a list of 1. Return the loss itself, value and not [value].")
    assert complaint(lambda: call(MODEL, with_more), tm.NotScalarError).endswith(
        ", a tuple of 2. Return the loss itself, or the sum of its terms."
    )
    assert complaint(lambda: call(MODEL, forgets), tm.NotScalarError) == (
        "loss forgets must return a scalar, but returned None: no `return`?"
    )


@pytest.mark.parametrize(
    "call",
    [
        *LEVEL,
        lambda model, _: tm.model.jacrev(model, PARAMS, X),
        lambda model, _: tm.model.jacrev_input(model, PARAMS, X),
        lambda model, _: tm.model.vjp_params(model, PARAMS, X, X[:, :2]),
        lambda model, _: tm.model.vjp_input(model, PARAMS, X, X[:, :2]),
    ],
)
def test_a_model_that_forgets_to_return(call: Callable[[Any, Any], Any]) -> None:
    def forgets(params: Any, x: Any) -> None:
        MODEL.apply(params, x)

    assert complaint(lambda: call(forgets, losses.mse), tm.ArgumentError) == (
        "model forgets must return a prediction, but returned None: no `return`?"
    )


# Control flow ---------------------------------------------------------------------------------------------------------


def returns(value: Any) -> Callable[..., Any]:
    def step(*_: Any) -> Any:
        return value

    return step


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda x: tm.scan(returns(None), x, X), tm.ArgumentError, "scan: step must return a pair (carry, y), but"),
        (lambda x: tm.scan(returns(1.0), x, X), tm.ArgumentError, "returned 1.0. Where there is no y, return carry, N"),
        (
            lambda x: tm.scan(returns((x, x, x)), x, X),
            tm.ArgumentError,
            "must return a pair (carry, y), but returned (",
        ),
        (lambda x: tm.scan(returns(X[:2]), x, X), tm.ArgumentError, "must return a pair (carry, y), but returned arr"),
        (lambda x: tm.scan(returns(None), x, X[:0]), tm.ArgumentError, "returned None: no `return`?"),
        (lambda x: tm.scan(returns((None, x)), x, X), tm.TreeError, "scan: the carry that f is given and the one that"),
        (lambda x: tm.scan(2.0, x, X), tm.ArgumentError, "scan needs a function, not 2.0"),
        (lambda x: tm.cond(x > 0, 1.0, 2.0), tm.ArgumentError, "cond needs a function, not 1.0"),
        (lambda x: tm.cond(x > 0, np.sin, 2.0, x), tm.ArgumentError, "cond needs a function, not 2.0"),
        (
            lambda x: tm.cond(np.isfinite, np.sin, np.cos, x),
            tm.ArgumentError,
            "cond: the predicate must be a bool, but",
        ),
        (
            lambda x: tm.cond(None, np.sin, np.cos, x),
            tm.ArgumentError,
            "cond: the predicate must be a bool, but is None",
        ),
        (
            lambda x: tm.cond("a", np.sin, np.cos, x),
            tm.ArgumentError,
            "cond: the predicate must be a bool, but is 'a'.",
        ),
        (lambda x: tm.cond([x], np.sin, np.cos, x), tm.ArgumentError, "cond: the predicate must be a bool, but is ["),
        (
            lambda x: tm.while_loop(returns(None), np.sin, x),
            tm.ArgumentError,
            "what cond_fun returned must be a bool, but",
        ),
        (
            lambda x: tm.while_loop(returns(X > 0), np.sin, x),
            tm.ShapeError,
            "must return one bool, not shape (4, 3); use",
        ),
        (lambda x: tm.while_loop(True, np.sin, x), tm.ArgumentError, "while_loop needs a function, not True"),
        (lambda x: tm.while_loop(lambda x: x < 9, 3.0, x), tm.ArgumentError, "while_loop needs a function, not 3.0"),
        (lambda x: tm.while_loop(lambda x: x < 9, returns(None), x), tm.TreeError, "while_loop: the "),
        (
            lambda x: tm.fori_loop(0, 2, returns(None), x),
            tm.ArgumentError,
            "fori_loop: body must return the next state",
        ),
        (
            lambda x: tm.fori_loop(0, 2.5, np.add, x),
            tm.ArgumentError,
            "fori_loop: upper is 2.5, but must be an integer",
        ),
        (
            lambda x: tm.fori_loop(None, 2, np.add, x),
            tm.ArgumentError,
            "fori_loop: lower is None, but must be an integer",
        ),
        (lambda x: tm.fori_loop(0, 2, 3, x), tm.ArgumentError, "fori_loop needs a function, not 3"),
    ],
)
def test_control_flow_of_the_wrong_kind(mapped: bool, call: Any, kind: type[Exception], text: str) -> None:
    run = (lambda: tm.vmap(call)(np.ones(2))) if mapped else (lambda: call(1.0))
    assert text in complaint(run, kind)
