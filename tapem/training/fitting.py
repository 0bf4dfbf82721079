"""Training: `fit`, a simple loop over a state that can be saved at any moment.

Every turn of the loop is a pure step from one `FitState` to the next. So a training that stops, by Ctrl-C or by a power
cut after its state was saved, can continue with exactly the same numbers. A training that fails leaves the last finite
state.
"""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import numpy as np

from tapem.core import renamed_parameters
from tapem.errors import ArgumentError
from tapem.model import Loss, Model, Setting, runner
from tapem.optim import Optimizer
from tapem.training.fit_data import Data, checked, rows_of
from tapem.training.fit_log import Log
from tapem.training.fit_state import FitState, Fitted, Tree, check_state, first_state
from tapem.training.fit_steps import Judge, Trainer, planned, split


@renamed_parameters(optimiser="optimizer")
def fit(
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    data: Data,
    *,
    key: Any,
    epochs: int,
    batch: int = 32,
    params: Tree = None,
    model_state: Tree = None,
    validation: Data | None = None,
    metric: Loss | None = None,
    higher_is_better: bool = False,
    patience: int | None = None,
    resume: FitState | None = None,
    on_nonfinite: Literal["stop", "continue"] = "stop",
    progress: bool = True,
    compile: bool | str = False,
) -> Fitted:
    """Train a model: go through the data `epochs` times, shuffled, and update the parameters after every mini-batch.

    `model` and `loss` are as for `tm.model.value_and_grad`. A loss averages over examples, and so do the gradients,
    also over the last, smaller batch. `data` is a pair `(x, target)` of arrays, of values that tapem accepts as arrays
    (a DataFrame), or of trees of them, with one row per example. The first parameters are `params`, or drawn by
    `model.init`. An object with `apply` gets `key` and `train=True`; a function gets those that it has parameters for.
    The model gets state if it has `init_state`, or if `model_state` is given.

    After every epoch the `metric`, a function `(prediction, target) -> scalar` that averages over examples (by default
    the loss), is computed on `validation` with `train=False`. `patience` stops the training after this many epochs in a
    row that are not better than the best one, which the result holds as `best`.

    With `compile`, or the name of an engine, the whole step (loss, gradients and update) runs as a program of
    `tm.compile`; the numbers agree to rounding. The first step takes as long as compiling takes.

    All random numbers come from `key`, so a call can be repeated. With `resume`, the state of an earlier result, and
    otherwise the same arguments, the training continues, up to `epochs` in all, with the same numbers as if it had not
    stopped; `fit(..., epochs=0).state` is a tree for `tm.load(path, like=...)`. Ctrl-C ends the training between two
    steps; the result is then marked `interrupted`.

    Raises NonFiniteError if the loss is NaN or infinite, or if parameters are at the end of an epoch; its `result`
    belongs to the last finite loss. With `on_nonfinite="continue"` the training goes on. Raises ArgumentError for
    numbers out of range or a model without parameters, ShapeError for data with different numbers of rows, ShapeError
    or TreeError for params and states that do not belong to the model and the optimizer. Errors in model or loss are
    raised by the first step.

    >>> x = np.linspace(-1.0, 1.0, 40)
    >>> line = lambda params, x: params["slope"] * x + params["shift"]
    >>> mean_square = lambda prediction, target: np.mean((prediction - target) ** 2)
    >>> result = fit(
    ...     line, mean_square, tm.optim.sgd(0.3), (x, 3 * x + 1), params={"slope": 0.0, "shift": 0.0},
    ...     key=tm.random.key(0), epochs=30, batch=10, progress=False,
    ... )
    >>> round(float(result.params["slope"]), 3), round(float(result.params["shift"]), 3), len(result.history["loss"])
    (3.0, 1.0, 30)

    Without its options, `fit` is this loop; the numbers are the same to the bit:

    >>> def plain_fit(model, loss, optimizer, x, target, params, key, epochs, batch):
    ...     state = optimizer.init(params)
    ...     _, run_key = tm.random.split(key)
    ...     for epoch in range(epochs):
    ...         order_key, _ = tm.random.split(tm.random.fold_in(run_key, epoch))
    ...         order = tm.random.permutation(order_key, len(x))
    ...         for start in range(0, len(x), batch):
    ...             rows = order[start : start + batch]
    ...             value, gradients = tm.model.value_and_grad_params(model, loss, params, x[rows], target[rows])
    ...             params, state = optimizer.update(gradients, state, params)
    ...     return params
    >>> first = {"slope": 0.0, "shift": 0.0}
    >>> plain = plain_fit(line, mean_square, tm.optim.sgd(0.3), x, 3 * x + 1, first, tm.random.key(0), 30, 10)
    >>> plain == result.params
    True

    Where the training goes wrong, the last good state is in the error, and the training can go on from there:

    >>> rash = tm.optim.sgd(10.0)
    >>> options = {"key": tm.random.key(0), "epochs": 900, "batch": 10, "progress": False}
    >>> with np.errstate(over="ignore", invalid="ignore"):
    ...     try:
    ...         result = fit(line, mean_square, rash, (x, 3 * x + 1), params={"slope": 0.0, "shift": 0.0}, **options)
    ...     except tm.NonFiniteError as error:
    ...         result = error.result
    ...         print(str(error).splitlines()[0])
    fit: the loss is inf in epoch ...
    >>> bool(np.isfinite(result.params["slope"])), bool(np.isfinite(result.history["step_loss"]).all())
    (True, True)
    >>> careful = tm.optim.sgd(0.3)
    >>> result = fit(line, mean_square, careful, (x, 3 * x + 1), resume=result.state, **options)
    >>> round(float(result.params["slope"]), 3)
    3.0
    """
    check_arguments(model, optimizer, epochs, batch, validation, metric, patience, resume, on_nonfinite)
    data = checked(data, "data")
    if validation is not None:
        validation = checked(validation, "validation")
    params_key, run_key = split(key)
    state = resume
    if state is None:
        state = first_state(model, optimizer, params, model_state, params_key, validation, higher_is_better)
    if resume is not None or params is not None or model_state is not None:
        check_state(model, optimizer, state, params_key, "" if resume is None else "resume.")

    size = rows_of(data)
    trainer = Trainer(model, loss, optimizer, data, batch, planned(run_key, size), compile)
    judge = Judge(model, metric or loss, validation, batch, higher_is_better)
    log = Log(state, validated=validation is not None, strict=on_nonfinite == "stop")
    with progress_bar(state, epochs, math.ceil(size / batch), batch, progress) as bar:
        if compile is not False:
            bar.set_postfix_str("compiling")
        try:
            while state.epoch < epochs and not out_of_patience(state, patience):
                step = math.ceil(state.seen / batch)
                if state.seen < size:
                    value, following = trainer.step(state)
                    log.check_loss(value, state, step + 1)
                    state = following()
                    log.end_step(value)
                    bar.update()
                else:
                    log.check_params(state, step)
                    mean = state.total / size
                    state, score = judge.judged(state)
                    log.end_epoch(mean, score, state)
                    shown = {"epoch": state.epoch, "loss": f"{mean:.4g}"}
                    bar.set_postfix(shown if score is None else {**shown, "validation": f"{score:.4g}"})
        except KeyboardInterrupt:
            return Fitted(state, log.history, True)
    return Fitted(state, log.history, False)


def out_of_patience(state: FitState, patience: int | None) -> bool:
    """Whether the last `patience` epochs were not better than the best one."""
    return bool(patience and state.best and state.epoch - state.best.epoch >= patience)


def progress_bar(state: FitState, epochs: int, steps: int, batch: int, progress: bool) -> Any:
    """A bar over all steps of a training, `steps` in each epoch."""
    # Here, since only a training needs it. The bar of notebooks warns if ipywidgets is missing: only if one is shown.
    if progress:
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm

    done = min(state.epoch, epochs) * steps + math.ceil(state.seen / batch)
    return cast(Any, tqdm)(total=epochs * steps, initial=done, desc="fit", unit="step", disable=not progress)


def check_arguments(
    model: Any, optimizer: Any, epochs: Any, batch: Any, validation: Any, metric: Any, patience: Any, resume: Any,
    on_nonfinite: Any,
) -> None:  # fmt: skip
    """Raise ArgumentError for an argument of the wrong kind or out of range."""
    runner(model, Setting())  # raises ArgumentError if it is not a model
    if isinstance(optimizer, type) or not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise ArgumentError(f"fit: optimizer is {optimizer!r}, but must be an optimizer, such as tm.optim.adam(1e-3).")
    check_count("epochs", epochs, 0)
    check_count("batch", batch, 1)
    if patience is not None:
        check_count("patience", patience, 1)
    if resume is not None and not isinstance(resume, FitState):
        raise ArgumentError(
            f"fit: resume is a {type(resume).__name__}, but must be the state of an earlier result. From a file it "
            "comes with tm.load(path, like=tm.fit(..., epochs=0).state)."
        )
    if on_nonfinite not in ("stop", "continue"):
        raise ArgumentError(f'fit: on_nonfinite is {on_nonfinite!r}, but must be "stop" or "continue".')
    if validation is None and (metric is not None or patience is not None):
        raise ArgumentError("fit: metric and patience need validation data, a pair (x, target).")


def check_count(name: str, number: Any, least: int) -> None:
    """Raise ArgumentError unless the number is an integer that is at least `least`."""
    if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < least:
        raise ArgumentError(f"fit: {name} is {number!r}, but must be an integer, at least {least}.")


__all__ = ["fit"]
