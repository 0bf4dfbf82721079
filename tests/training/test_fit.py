"""Training: what the loop computes, with which keys and states; that it stops, is stopped, and goes on, to the bit."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import losses
import tapem as tm
from layers import Linear

from .trainings import ADAM, DATA, KEY, LABELS, MODEL, STATEFUL, VALIDATION, X, accuracy, assert_same, fit

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
