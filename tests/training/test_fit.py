"""Training: what the loop computes, with which keys and states; that it stops, is stopped, and goes on, to the bit."""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import layers
import losses
import tapem as tm
from layers import Linear, Relu

KEY = tm.random.key(3)
MODEL = Linear(4, 8) >> Relu() >> Linear(8, 3)
X = tm.random.normal(tm.random.key(0), (50, 4), dtype=np.float32)
LABELS = np.argmax(X @ np.float32([[1, 0, -1], [0, 1, 0], [1, -1, 0], [0, 0, 1]]), axis=1)
DATA, VALIDATION = (X[:37], LABELS[:37]), (X[37:], LABELS[37:])
ADAM = tm.optim.adam(0.05)


def fit(model: Any = MODEL, loss: Any = losses.cross_entropy, optimizer: Any = ADAM, data: Any = DATA, **options: Any):
    return tm.fit(model, loss, optimizer, data, **{"key": KEY, "epochs": 4, "batch": 8, "progress": False} | options)


def accuracy(logits: Any, labels: Any) -> Any:
    return np.mean(np.argmax(logits, axis=-1) == labels)


def assert_same(a: Any, b: Any) -> None:
    """Trees of the same structure whose leaves are equal to the bit."""
    (ours, structure), (theirs, other) = tm.tree_flatten(a), tm.tree_flatten(b)
    assert structure == other
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, y, strict=isinstance(x, np.ndarray))


# What it computes -----------------------------------------------------------------------------------------------------


def test_it_is_the_loop_that_one_would_write() -> None:
    result = fit()
    params_key, run_key = tm.random.split(KEY)
    params = MODEL.init(params_key)
    state, step_losses, epoch_losses = ADAM.init(params), [], []
    for epoch in range(4):
        order_key, _ = tm.random.split(tm.random.fold_in(run_key, epoch))
        order = tm.random.permutation(order_key, 37)
        total = 0.0
        for rows in (order[:8], order[8:16], order[16:24], order[24:32], order[32:]):
            x, labels = X[rows], LABELS[rows]
            value, gradients = tm.value_and_grad(lambda p, x=x, y=labels: losses.cross_entropy(MODEL.apply(p, x), y))(
                params
            )
            params, state = ADAM.update(gradients, state, params)
            step_losses.append(float(value))
            total += float(value) * len(rows)
        epoch_losses.append(total / 37)
    assert_same(result.params, params)
    assert_same(result.state.optimizer_state, state)
    assert result.history == {"step_loss": step_losses, "loss": epoch_losses}
    assert not result.interrupted and result.best is None and result.model_state == ()
    assert (result.state.epoch, result.state.seen, result.state.total) == (4, 0, 0.0)


def test_it_learns() -> None:
    result = fit(epochs=30, validation=VALIDATION, metric=accuracy, higher_is_better=True)
    assert result.history["loss"][-1] < 0.1 < 0.8 < result.history["loss"][0]
    assert result.history["validation"][-1] > 0.8
    assert result.best is not None and result.best.score == max(result.history["validation"])


def test_every_example_is_seen_once_an_epoch() -> None:
    seen: list[Any] = []

    def model(params: Any, x: Any) -> Any:
        seen.append(np.array(x["row"]))
        return params * x["row"]

    rows = np.arange(10)
    fit(model, lambda p, t: np.mean(p * t), data=({"row": rows}, rows * 1.0), params=1.0, epochs=2, batch=4)
    assert [len(part) for part in seen] == [4, 4, 2, 4, 4, 2]
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert sorted(first) == sorted(second) == list(rows)
    assert list(first) != list(second)


def test_the_key_decides() -> None:
    assert_same(fit().params, fit().params)
    assert fit().history != fit(key=tm.random.key(4)).history


def test_data_and_first_params_are_not_changed() -> None:
    params = MODEL.init(KEY)
    kept = tm.tree_map(np.copy, params)
    for array in (*DATA, *tm.tree_flatten(params)[0]):
        array.flags.writeable = False
    try:
        fit(params=params)
    finally:
        for array in DATA:
            array.flags.writeable = True
    assert_same(params, kept)


def test_programs_are_models_too() -> None:
    def direct(params: Any, x: Any) -> Any:
        return x @ params["w"]

    @tm.do
    def program(params: Any, x: Any) -> Any:
        y = yield tm.matmul(x, params["w"])
        return y

    params = {"w": np.zeros((4, 3), np.float32)}
    results = [fit(model, params=params, validation=VALIDATION) for model in (direct, program)]
    assert_same(results[0].state, results[1].state)
    assert results[0].history == results[1].history
    assert results[0].history["loss"][-1] < math.log(3)


# Keys, train mode, state ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Center(layers.Layer):
    """Subtracts the mean of the batch in training, a running mean otherwise."""

    def init_state(self) -> Any:
        return {"mean": np.zeros(4, np.float32)}

    def step(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        if not train:
            return x - state["mean"], state
        mean = np.mean(x, axis=0)
        return x - mean, {"mean": 0.5 * state["mean"] + 0.5 * tm.detach(mean)}


@dataclass(frozen=True)
class Noise(layers.Layer):
    """Adds noise in training."""

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return x + tm.random.normal(key, x.shape, dtype=np.float32) if train else x


STATEFUL = Noise() >> Center() >> MODEL


def test_state_is_threaded_through() -> None:
    x = X[:8] + 3
    result = fit(STATEFUL, data=(x, LABELS[:8]), epochs=1, validation=(x, LABELS[:8]))
    mean = result.model_state[1]["mean"]
    assert np.allclose(mean, x.mean(axis=0) / 2, atol=0.6) and not np.allclose(mean, x.mean(axis=0) / 2, atol=1e-3)
    y, _ = STATEFUL.apply(result.params, x, state=result.model_state)
    assert result.history["validation"] == [float(losses.cross_entropy(y, LABELS[:8]))]
    assert_same(result.best.model_state, result.model_state)


def test_a_function_is_given_what_it_takes() -> None:
    given: list[Any] = []

    def takes_all(w: Any, x: Any, *, key: Any = None, train: bool = False, state: Any) -> Any:
        given.append((key is not None, train, state))
        return w * x, state + 1

    def takes_train(w: Any, x: Any, train: bool = False) -> Any:
        given.append(train)
        return w * x

    data = np.ones(4), np.ones(4)
    options = {"data": data, "params": 1.0, "epochs": 1, "batch": 2, "validation": data}
    result = fit(takes_all, losses.mse, model_state=0, **options)
    assert given == [(True, True, 0), (True, True, 1), (False, False, 2), (False, False, 2)]
    assert result.model_state == 2
    given.clear()
    fit(takes_train, losses.mse, **options)
    assert given == [True, True, False, False]


def test_every_step_has_a_key_of_its_own() -> None:
    keys: list[tuple[int, ...]] = []

    def model(w: Any, x: Any, key: Any) -> Any:
        keys.append(tuple(key.tolist()))
        return w * x

    fit(model, losses.mse, data=(np.ones(4), np.ones(4)), params=1.0, epochs=3, batch=1)
    assert len(set(keys)) == len(keys) == 12


# Validation and early stopping ----------------------------------------------------------------------------------------


def test_the_metric_is_a_mean_over_examples() -> None:
    result = fit(validation=VALIDATION, metric=accuracy, higher_is_better=True)
    assert result.history["validation"][-1] == pytest.approx(accuracy(MODEL.apply(result.params, X[37:]), LABELS[37:]))


@pytest.mark.parametrize("higher", [False, True])
def test_patience(higher: bool) -> None:
    scores = iter([3.0, 2.0, 2.5, math.nan, 2.0, 1.0])

    def metric(*_: Any) -> float:
        return -next(scores) if higher else next(scores)

    options = {"validation": VALIDATION, "metric": metric, "higher_is_better": higher, "batch": 50}
    result = fit(epochs=6, patience=3, **options)
    assert len(result.history["validation"]) == len(result.history["loss"]) == result.state.epoch == 5
    assert result.best is not None and (abs(result.best.score), result.best.epoch) == (2.0, 2)
    # Stopped is stopped.
    again = fit(epochs=6, patience=3, resume=result.state, **options)
    assert_same(again.state, result.state)
    assert again.history == {"step_loss": [], "loss": [], "validation": []}


def test_the_best_epoch_is_kept() -> None:
    result = fit(validation=VALIDATION, epochs=25)
    best = result.best
    assert best is not None and best.score == min(result.history["validation"])
    assert best.epoch == 1 + int(np.argmin(result.history["validation"]))
    assert_same(best.params, fit(validation=VALIDATION, epochs=best.epoch).params)


# Stopping and going on ------------------------------------------------------------------------------------------------

WHOLE = {"model": STATEFUL, "validation": VALIDATION, "epochs": 6}


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_saved_training_goes_on_with_the_same_numbers(epochs: int, tmp_path: Path) -> None:
    whole, path = fit(**WHOLE), tmp_path / "training.safetensors"
    first = fit(**WHOLE | {"epochs": epochs})
    tm.save(path, first.state)
    like = fit(**WHOLE | {"epochs": 0, "key": tm.random.key(99)}).state
    second = fit(**WHOLE, resume=tm.load(path, like=like))
    assert_same(second.state, whole.state)
    for name, values in whole.history.items():
        assert first.history[name] + second.history[name] == values


@pytest.mark.parametrize("calls", [0, 1, 4, 5, 6, 7, 13, 40])
def test_interrupted_at_any_moment(calls: int, tmp_path: Path) -> None:
    whole, left, path = fit(**WHOLE), iter(range(calls)), tmp_path / "training.safetensors"

    def interrupting(prediction: Any, target: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return losses.cross_entropy(prediction, target)

    first = fit(**WHOLE, loss=interrupting)
    assert first.interrupted
    STATEFUL.apply(first.params, X, state=first.model_state)
    tm.save(path, first.state)
    second = fit(**WHOLE, resume=tm.load(path, like=first.state))
    assert not second.interrupted
    assert_same(second.state, whole.state)
    for name, values in whole.history.items():
        assert first.history[name] + second.history[name] == values


def test_ctrl_c() -> None:
    calls = iter(range(7))

    def model(params: Any, x: Any) -> Any:
        if next(calls, None) is None:
            signal.raise_signal(signal.SIGINT)
        return MODEL.apply(params, x)

    result = fit(model, params=MODEL.init(KEY))
    assert result.interrupted and len(result.history["step_loss"]) == 7 and result.state.seen == 16


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


# What is shown, and what is refused -----------------------------------------------------------------------------------


def test_the_progress_bar(capsys: Any) -> None:
    fit(progress=True, validation=VALIDATION)
    shown = capsys.readouterr().err
    assert "fit: 100%" in shown and "20/20" in shown and "epoch=4, loss=" in shown and "validation=" in shown
    fit(progress=True, resume=fit(epochs=2).state)
    assert "20/20" in capsys.readouterr().err
    fit()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"epochs": -1}, tm.ArgumentError, "fit: epochs is -1, but must be an integer, at least 0."),
        ({"epochs": None}, tm.ArgumentError, "fit: epochs is None, but must be an integer, at least 0."),
        ({"batch": 0}, tm.ArgumentError, "fit: batch is 0, but must be an integer, at least 1."),
        ({"batch": 8.0}, tm.ArgumentError, "fit: batch is 8.0, but must be an integer, at least 1."),
        ({"patience": 0, "validation": VALIDATION}, tm.ArgumentError, "fit: patience is 0, but must be an integer, at"),
        (
            {"model": Linear},
            tm.ArgumentError,
            "model is <class 'layers.dense.Linear'>, but must be an object with apply",
        ),
        (
            {"optimizer": tm.optim.adam},
            tm.ArgumentError,
            "optimizer is <class 'tapem.optim.optimizers.adam'>, but must be",
        ),
        (
            {"optimizer": "adam"},
            tm.ArgumentError,
            "optimizer is 'adam', but must be an optimizer, such as tm.optim.adam",
        ),
        (
            {"on_nonfinite": "raise"},
            tm.ArgumentError,
            'fit: on_nonfinite is \'raise\', but must be "stop" or "continue".',
        ),
        ({"patience": 2}, tm.ArgumentError, "fit: metric and patience need validation data, a pair (x, target)."),
        ({"metric": accuracy}, tm.ArgumentError, "fit: metric and patience need validation data"),
        ({"model": lambda w, x: w * x}, tm.ArgumentError, "has no init(key), so it must be given its first params."),
        ({"resume": {"params": 1.0}}, tm.ArgumentError, "fit: resume is a dict, but must be the state of an earlier"),
        ({"data": X}, tm.ArgumentError, "fit: data must be a pair (x, target) of arrays"),
        ({"data": (X, LABELS[:3])}, tm.ShapeError, "one or more examples, but has the shapes (50, 4), (3,)."),
        ({"data": (X[:0], LABELS[:0])}, tm.ShapeError, "but has the shapes (0, 4), (0,)."),
        (
            {"data": (X.tolist(), LABELS)},
            tm.ShapeError,
            "the shapes (), (50,). A list is a tree: make one array of it.",
        ),
        ({"validation": (1.0, 2.0)}, tm.ShapeError, "fit: validation must hold arrays with one row for each"),
        ({"loss": lambda p, t: p}, tm.NotScalarError, "loss <lambda> must return a scalar"),
        (
            {"metric": lambda p, t: p, "validation": VALIDATION},
            tm.NotScalarError,
            "metric <lambda> must return a scalar",
        ),
        ({"metric": 3, "validation": VALIDATION}, tm.ArgumentError, "metric is 3, but must be a function"),
    ],
)
def test_what_is_refused(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as error:
        fit(**options)
    assert text in str(error.value)
