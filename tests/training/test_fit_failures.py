"""Training that goes wrong, is interrupted, or is given a state that does not belong to it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import layers
import losses
import tapem as tm
from layers import Linear, Relu

from .trainings import ADAM, DATA, KEY, MODEL, STATEFUL, VALIDATION, X, accuracy, assert_same, fit

# Where it goes wrong --------------------------------------------------------------------------------------------------


def failing(model: Any, at: int, value: float = math.nan) -> Any:
    """A loss that is no finite number at one of the steps of a training, counted from 0."""
    calls = iter(range(10**6))

    def loss(prediction: Any, target: Any) -> Any:
        found = losses.cross_entropy(prediction, target)
        return found * np.float32(value) if next(calls) == at else found

    return loss


@pytest.mark.parametrize("at", [0, 1, 4, 5, 6, 9, 10, 19])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_the_training(at: int, value: float, tmp_path: Path) -> None:
    with pytest.raises(tm.NonFiniteError) as error:
        fit(STATEFUL, failing(MODEL, at, value))
    assert str(error.value).startswith(f"fit: the loss is {value} in epoch {at // 5 + 1}, step {at % 5 + 1}.\n")
    assert isinstance(error.value, ArithmeticError) and isinstance(error.value, tm.TapeError)
    result, path, done = error.value.result, tmp_path / "good.safetensors", max(at - 1, 0)
    # What is left is the state at which the last finite loss was measured, as if one had stopped there.
    judge = fit(STATEFUL, interrupted_at(done))
    assert result.interrupted and judge.interrupted
    assert_same(result.state, judge.state)
    assert result.history == judge.history
    tm.save(path, result.state)
    whole = fit(STATEFUL)
    rest = fit(STATEFUL, resume=tm.load(path, like=result.state))
    assert_same(rest.state, whole.state)
    assert result.history["step_loss"] + rest.history["step_loss"] == whole.history["step_loss"]


def interrupted_at(step: int) -> Any:
    """A loss that is interrupted at one of the steps of a training, counted from 0."""
    left = iter(range(step))

    def loss(prediction: Any, target: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return losses.cross_entropy(prediction, target)

    return loss


def test_a_validated_epoch_is_a_good_state() -> None:
    for validation in (None, VALIDATION):
        with pytest.raises(tm.NonFiniteError, match="epoch 2, step 1") as error:
            fit(loss=failing(MODEL, 5), validation=validation, metric=validation and accuracy)
        state, history = error.value.result.state, error.value.result.history
        assert (state.epoch, state.seen) == ((0, 32) if validation is None else (1, 0))
        assert [len(values) for values in history.values()] == ([4, 0] if validation is None else [5, 1, 1])
        assert validation is None or error.value.result.best.epoch == 1


@pytest.mark.parametrize("epochs", [1, 2])
def test_parameters_that_became_nan_in_the_last_step(epochs: int) -> None:
    calls = iter(range(100))

    class Breaking(type(ADAM)):
        def update(self, grads: Any, state: Any, params: Any) -> Any:
            new, after = super().update(grads, state, params)
            return (tm.tree_map(lambda leaf: leaf * np.float32(np.nan), new) if next(calls) == 4 else new), after

    with pytest.raises(tm.NonFiniteError) as error:
        fit(optimizer=Breaking(0.05), epochs=epochs, validation=VALIDATION)
    assert str(error.value).startswith("fit: the parameters became NaN or infinite in epoch 1, step 5.\n")
    assert_same(error.value.result.params, fit(loss=interrupted_at(4)).params)
    assert error.value.result.best is None


def test_what_was_infinite_from_the_beginning_may_stay_so() -> None:
    params = {"w": np.ones(4), "mask": np.array([0.0, -np.inf, 0.0, 0.0])}

    def model(params: Any, x: Any) -> Any:
        return np.exp(tm.detach(params["mask"])) * params["w"] * x

    result = fit(model, losses.mse, tm.optim.sgd(0.1), data=(np.ones((8, 4)), np.zeros((8, 4))), params=params)
    assert len(result.history["loss"]) == 4 and result.params["mask"][1] == -np.inf


def test_a_training_may_go_on_all_the_same() -> None:
    result = fit(loss=failing(MODEL, 6), on_nonfinite="continue", validation=VALIDATION, metric=accuracy)
    assert [math.isnan(value) for value in result.history["step_loss"]] == [False] * 6 + [True] + [True] * 13
    assert result.state.epoch == 4 and not result.interrupted
    assert all(map(np.all, map(np.isnan, tm.tree_flatten(result.params)[0])))


def drawn_from(*scores: float) -> Any:
    """A metric that gives these, one after another."""
    left = iter(scores)
    return lambda prediction, target: next(left)


def test_best_is_a_state_that_was_measured() -> None:
    for epochs, metric in ((0, accuracy), (3, lambda prediction, target: math.nan)):
        result = fit(validation=VALIDATION, metric=metric, epochs=epochs)
        assert result.best is None and result.state.best.epoch == 0
    started = fit(epochs=0).state
    assert started.best is None  # a training that goes on with validation, and began without
    result = fit(validation=VALIDATION, metric=drawn_from(math.nan, 3.0, 4.0), epochs=3, batch=50, resume=started)
    assert result.best is not None and (result.best.score, result.best.epoch) == (3.0, 2)
    for higher in (False, True):
        result = fit(
            validation=VALIDATION,
            metric=drawn_from(math.nan, math.inf, -math.inf),
            epochs=3,
            batch=50,
            higher_is_better=higher,
        )
        assert result.best is not None
        assert (result.best.score, result.best.epoch) == ((math.inf, 2) if higher else (-math.inf, 3))
        worst = -math.inf if higher else math.inf
        scores = drawn_from(math.nan, worst, math.nan)
        result = fit(validation=VALIDATION, metric=scores, epochs=3, batch=50, higher_is_better=higher)
        assert result.best is not None and (result.best.score, result.best.epoch) == (worst, 2)


# Models and states that do not belong together ------------------------------------------------------------------------


class Affine:
    """A model that is no layer."""

    def __init__(self, size: int, state: int = 1) -> None:
        self.size = size
        self.state = state

    def init(self, key: Any) -> Any:
        return {"w": np.ones((4, self.size)), "b": np.zeros(self.size)}

    def init_state(self) -> Any:
        return {"seen": np.zeros(self.state)}

    def apply(self, params: Any, x: Any, *, key: Any = None, train: bool = False, state: Any = None) -> Any:
        return x @ params["w"] + params["b"], state

    def __repr__(self) -> str:
        return f"Affine({self.size})"


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_state_of_another_training_is_refused(epochs: int) -> None:
    small, options = Linear(4, 3), {"validation": VALIDATION, "epochs": epochs}
    state = fit(small, **options).state
    with pytest.raises(tm.ShapeError) as error:
        fit(Linear(4, 5), resume=state)
    assert str(error.value) == (
        "fit: resume.params is not like the initial params of Linear(4, 5)\n"
        "  bias: is (3,), but must be (5,)\n"
        "  weight: is (3, 4), but must be (5, 4)"
    )
    for wrong, kind, text in (
        ({"model": Linear(4, 3, bias=False)}, tm.TreeError, "resume.params is not like .*unexpected: bias"),
        ({"model": small >> Relu()}, tm.TreeError, "resume.params is not like .*missing: 0.bias"),
        ({"optimizer": tm.optim.sgd(0.1)}, tm.TreeError, "resume.optimizer_state is not like .*unexpected: mean.bias"),
        ({"optimizer": tm.optim.rmsprop(0.1)}, tm.TreeError, "resume.optimizer_state is not like .*unexpected: mean"),
    ):
        with pytest.raises(kind, match=f"(?s)fit: {text}"):
            fit(**{"model": small, "resume": state} | wrong)


def test_every_leaf_of_a_state_is_compared_with_what_it_must_be() -> None:
    for model in (STATEFUL, Affine(3)):
        state = fit(model, validation=VALIDATION, epochs=1).state
        names, (leaves, structure) = list(tm.tree_shapes(state)), tm.tree_flatten(state)
        for at, (name, leaf) in enumerate(zip(names, leaves, strict=True)):
            if name in ("epoch", "seen", "total", "best.score", "best.epoch"):
                continue
            wrong = structure.unflatten([*leaves[:at], np.ones((2, *np.shape(leaf))), *leaves[at + 1 :]])
            with pytest.raises(tm.ShapeError) as error:
                fit(model, validation=VALIDATION, resume=wrong)
            entry, _, own = name.removeprefix("best.").partition(".")
            first, second = str(error.value).splitlines()[:2]
            assert first.startswith(f"fit: resume.{'best.' * name.startswith('best.')}{entry} is not like")
            assert second.strip().startswith(f"{own}: is (2")


@pytest.mark.parametrize("model", [Linear(4, 3), Affine(3)])
def test_params_of_another_model_are_refused(model: Any) -> None:
    for params, kind in (
        (Affine(2).init(KEY), tm.TapeError),
        (Linear(4, 2).init(KEY), tm.TapeError),
        (1.0, tm.TreeError),
    ):
        with pytest.raises(kind, match=r"fit: params is not like the initial params of"):
            fit(model, params=params, epochs=0)
    with pytest.raises(tm.TapeError, match="fit: model_state is not like the initial model_state of"):
        fit(model, model_state={"seen": np.zeros(5)}, epochs=0)


def test_an_init_that_wants_more_than_a_key_is_left_to_the_first_step() -> None:
    class Lazy(layers.Layer):
        def init(self, key: Any, input_shape: Any) -> Any:
            return {"w": np.ones(input_shape[-1], np.float32)}

        def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
            return x * params["w"]

    data = X[:8], X[:8]
    assert fit(Lazy(), losses.mse, data=data, params={"w": np.zeros(4, np.float32)}).history["loss"][-1] < 1
    with pytest.raises(tm.ShapeError, match=r"w: is \(3,\), but must be \(4,\)"):
        fit(Lazy(), losses.mse, data=data, params={"w": np.zeros(3, np.float32)})


def test_more_epochs_later() -> None:
    assert_same(fit(epochs=5, resume=fit(epochs=2).state).state, fit(epochs=5).state)
    done = fit(epochs=2)
    assert_same(fit(epochs=1, resume=done.state).state, done.state)


def test_a_function_that_insists_on_key_and_train_is_told_when_it_is_judged() -> None:
    told: list[Any] = []

    def noisy(w: Any, x: Any, key: Any, train: bool) -> Any:
        told.append((key is None, train))
        return x @ w

    @tm.do
    def steps(w: Any, x: Any, key: Any, train: bool) -> Any:
        told.append((key is None, train))
        return (yield from tm.matmul(x, w))

    for model in (noisy, steps):
        fit(model, params=np.ones((4, 3)), epochs=1, batch=50, validation=VALIDATION)
        assert told == [(False, True), (True, False)]
        told.clear()


def test_data_may_be_tables() -> None:
    rows = range(len(DATA[0]), 0, -1)  # an index that is not the position
    tables = fit(
        data=(pd.DataFrame(DATA[0], rows), pd.Series(DATA[1], rows)),
        validation=(pd.DataFrame(VALIDATION[0]), VALIDATION[1]),
    )
    assert_same(tables.state, fit(validation=VALIDATION).state)
