"""Training: `fit`, a loop that one could write oneself, over a state that can be saved at any moment.

Every turn of the loop is a pure step from one `FitState` to the next. So a training that is stopped, by Ctrl-C or by a
power cut after its state was saved, goes on from there with the very numbers that it would have had. And a training
that goes wrong leaves the last state that was right.
"""

from __future__ import annotations

import functools
import math
from contextlib import suppress
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np

from tapem import random
from tapem.core import renamed_parameters, tree_differences, tree_flatten, tree_map, tree_shapes
from tapem.doors.monadic import lift
from tapem.doors.pure import Ref
from tapem.errors import ArgumentError, NonFiniteError, ShapeError, TreeError
from tapem.model import Loss, Model, Setting, named, objective, refused_options, runner, value_and_grad_params
from tapem.optim import Optimizer
from tapem.types import as_tensor

# Keys are arrays, or whatever stands for them, so a checker cannot follow what is drawn.
split, fold_in, permutation = (cast(Any, draw) for draw in (random.split, random.fold_in, random.permutation))

Tree: TypeAlias = Any
History: TypeAlias = dict[str, list[float]]


class Best(NamedTuple):
    """The best epoch so far, by the validation metric: its score, its number from 1, and what had been learned by then.

    >>> Best(0.25, 3, {"w": np.zeros(2)}, ()).score
    0.25
    """

    score: float
    epoch: int
    params: Tree
    model_state: Tree


class FitState(NamedTuple):
    """All of a training between two of its steps: a tree, for `tm.save` and `tm.load`.

    `model_state` is that of the model (running statistics), `optimizer_state` that of the optimizer. `epoch` counts the
    epochs that are done; of the one at hand, `seen` counts the examples, and `total` is the sum of their losses. `best`
    is None without validation; with it, the trees of all states of a training have the same structure, so until an
    epoch has been measured `best` holds the first parameters, and the number of no epoch, 0.

    >>> FitState(3.0, (), {"step": 0}, 0, 0, 0.0, None).epoch
    0
    """

    params: Tree
    model_state: Tree
    optimizer_state: Tree
    epoch: int
    seen: int
    total: float
    best: Best | None


class Fitted(NamedTuple):
    """What `fit` gives back: where the training stands, how it went, and whether it was interrupted.

    `history` holds lists of floats to be plotted, for the part of the training that this call did: `step_loss`, the
    loss of every step, and for every epoch `loss`, its mean, and `validation`, the metric, if there is one.

    >>> Fitted(FitState(3.0, (), {"step": 0}, 0, 0, 0.0, None), {"loss": []}, False).params
    3.0
    """

    state: FitState
    history: History
    interrupted: bool

    @property
    def params(self) -> Tree:
        """The parameters as they are now."""
        return self.state.params

    @property
    def model_state(self) -> Tree:
        """The state of the model as it is now; an empty tree if it has none."""
        return self.state.model_state

    @property
    def best(self) -> Best | None:
        """The best epoch; None without validation, and as long as no epoch had a metric that is a number."""
        return self.state.best if self.state.best and self.state.best.epoch else None


@renamed_parameters(optimiser="optimizer")
def fit(
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    data: tuple[Tree, Tree],
    *,
    key: Any,
    epochs: int,
    batch: int = 32,
    params: Tree = None,
    model_state: Tree = None,
    validation: tuple[Tree, Tree] | None = None,
    metric: Loss | None = None,
    higher_is_better: bool = False,
    patience: int | None = None,
    resume: FitState | None = None,
    on_nonfinite: Literal["stop", "continue"] = "stop",
    progress: bool = True,
) -> Fitted:
    """Train a model: go through the data `epochs` times, shuffled, and update the parameters after every mini-batch.

    `model` and `loss` are as for `tm.model.value_and_grad`; a loss averages over examples, and so do the gradients,
    over the last, smaller batch too. `data` is a pair `(x, target)` of arrays, of what tapem takes for arrays
    (a DataFrame), or of trees of them, with one row per example. The first parameters are `params`, or drawn by
    `model.init`. Of `key` and `train=True`, a function is given what it has parameters for, an object with `apply`
    both. State is threaded through if the model has `init_state`, or `model_state` is given.

    After every epoch the `metric`, a function `(prediction, target) -> scalar` that averages over examples (by default
    the loss), is taken on `validation`, as outside of training. `patience` stops the training when so many epochs in a
    row were no better than the best one, which the result holds as `best`.

    All random numbers are made from `key`, so a call can be repeated. Given `resume`, the state of an earlier result,
    and otherwise the same arguments, the training goes on, up to `epochs` in all, with the same numbers as if it had
    not stopped; `fit(..., epochs=0).state` is a tree for `tm.load(path, like=...)`. Ctrl-C ends the training between
    two steps, and what was reached is returned, marked `interrupted`.

    Raises NonFiniteError for a loss that is NaN or infinite, or parameters that have become so at the end of an epoch;
    its `result` is what was reached with the last loss that was finite. With `on_nonfinite="continue"` the training
    goes on. Raises ArgumentError for numbers out of range or a model without parameters, ShapeError for data whose rows
    differ in number, ShapeError or TreeError for params and states that are not those of the model and the optimizer;
    what is wrong with model or loss is told by the first step.

    >>> x = np.linspace(-1.0, 1.0, 40)
    >>> line = lambda params, x: params["slope"] * x + params["shift"]
    >>> mean_square = lambda prediction, target: np.mean((prediction - target) ** 2)
    >>> result = fit(
    ...     line, mean_square, tm.optim.sgd(0.3), (x, 3 * x + 1), params={"slope": 0.0, "shift": 0.0},
    ...     key=tm.random.key(0), epochs=30, batch=10, progress=False,
    ... )
    >>> round(float(result.params["slope"]), 3), round(float(result.params["shift"]), 3), len(result.history["loss"])
    (3.0, 1.0, 30)

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
    data = checked(data, "data")
    size = rows_of(data)
    if validation is not None:
        validation = checked(validation, "validation")
    runner(model, Setting())  # refuses what is no model
    if isinstance(optimizer, type) or not (hasattr(optimizer, "init") and hasattr(optimizer, "update")):
        raise ArgumentError(f"fit: optimizer is {optimizer!r}, but must be an optimizer, such as tm.optim.adam(1e-3).")
    for name, number, least in (
        ("epochs", epochs, 0),
        ("batch", batch, 1),
        ("patience", 1 if patience is None else patience, 1),
    ):
        check_count(name, number, least)
    if resume is not None and not isinstance(resume, FitState):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(
            f"fit: resume is a {type(resume).__name__}, but must be the state of an earlier result. From a file it "
            "comes with tm.load(path, like=tm.fit(..., epochs=0).state)."
        )
    if on_nonfinite not in ("stop", "continue"):  # pyright: ignore[reportUnnecessaryContains]
        raise ArgumentError(f'fit: on_nonfinite is {on_nonfinite!r}, but must be "stop" or "continue".')
    if validation is None and (metric is not None or patience is not None):
        raise ArgumentError("fit: metric and patience need validation data, a pair (x, target).")

    stops = on_nonfinite == "stop"
    params_key, run_key = split(key)
    state = resume
    if state is None:
        state = first_state(model, optimizer, params, model_state, params_key, validation, higher_is_better)
    if resume is not None or params is not None or model_state is not None:
        check_state(model, optimizer, state, params_key, "" if resume is None else "resume.")

    @functools.lru_cache(maxsize=1)  # asked for at every step, it is made once an epoch
    def plan(epoch: int) -> tuple[Any, Any]:
        """The order of the examples in an epoch, and the key of its steps."""
        order_key, steps_key = split(fold_in(run_key, epoch))
        return permutation(order_key, size), steps_key

    def learned(state: FitState) -> tuple[FitState, float]:
        """The state after one mini-batch, and its loss; if that must end the training, the state as it was."""
        order, steps_key = plan(state.epoch)
        rows = order[state.seen : state.seen + batch]
        x, target = taken_rows(data, rows)
        options = setting(model, fold_in(steps_key, state.seen), True, state.model_state)
        found = value_and_grad_params(model, loss, state.params, x, target, **options)
        (value, gradients), after = found if "state" in options else (found, state.model_state)
        value = float(value)
        if stops and not math.isfinite(value):
            return state, value
        new, optimizer_state = optimizer.update(gradients, state.optimizer_state, state.params)
        seen, total = state.seen + len(rows), state.total + value * len(rows)
        return FitState(new, after, optimizer_state, state.epoch, seen, total, state.best), value

    def judged(state: FitState) -> tuple[FitState, float | None]:
        """The state after the end of an epoch, and the validation metric."""
        epoch, best, score = state.epoch + 1, state.best, None
        if validation is not None:
            score = evaluate(model, metric or loss, state, validation, batch)
            if not math.isnan(score) and (
                best is None or best.epoch == 0 or (score > best.score if higher_is_better else score < best.score)
            ):
                best = Best(score, epoch, state.params, state.model_state)
        return state._replace(epoch=epoch, seen=0, total=0.0, best=best), score

    history: History = {"step_loss": [], "loss": []} | ({} if validation is None else {"validation": []})
    # What was reached with the last loss or metric that was finite: the state, and how long the history was.
    good = state, lengths(history)

    def stopped(what: str, epoch: int, step: int) -> NonFiniteError:
        """The error that ends a training which has gone wrong."""
        reached, counts = good
        return NonFiniteError(
            f"fit: {what} in epoch {epoch + 1}, step {step}.\n"
            "  The `result` of this error is what was reached with the last finite loss. Go on from its state with\n"
            "  tm.fit(..., resume=error.result.state), more careful (a lower learning rate), find the op that makes\n"
            '  the first NaN with tm.debug_mode, or let the training run with on_nonfinite="continue".',
            Fitted(reached, {name: values[: counts[name]] for name, values in history.items()}, True),
        )

    from tqdm import tqdm  # here, since whoever does not train needs no bar

    steps = math.ceil(size / batch)
    done = min(state.epoch, epochs) * steps + math.ceil(state.seen / batch)
    with tqdm(total=epochs * steps, initial=done, desc="fit", unit="step", disable=not progress) as bar:
        try:
            while state.epoch < epochs and not (patience and state.best and state.epoch - state.best.epoch >= patience):
                step = math.ceil(state.seen / batch)
                if state.seen < size:
                    after, value = learned(state)
                    if math.isfinite(value):
                        good = state, lengths(history)
                    elif stops:
                        raise stopped(f"the loss is {value}", state.epoch, step + 1)
                    state = after
                    history["step_loss"].append(value)
                    bar.update()
                else:
                    if stops and count_nonfinite(state.params) > count_nonfinite(good[0].params):
                        raise stopped("the parameters became NaN or infinite", state.epoch, step)
                    mean = state.total / size
                    state, score = judged(state)
                    history["loss"].append(mean)
                    if score is not None:
                        history["validation"].append(score)
                        if math.isfinite(score):
                            good = state, lengths(history)
                    shown = {"epoch": state.epoch, "loss": f"{mean:.4g}"}
                    cast(Any, bar).set_postfix(shown if score is None else {**shown, "validation": f"{score:.4g}"})
        except KeyboardInterrupt:
            return Fitted(state, history, True)
    return Fitted(state, history, False)


def lengths(history: History) -> dict[str, int]:
    """How many numbers there are of each kind."""
    return {name: len(values) for name, values in history.items()}


def count_nonfinite(tree: Tree) -> int:
    """How many numbers of a tree are NaN or infinite."""
    return sum(int(np.count_nonzero(~np.isfinite(leaf))) for leaf in tree_flatten(tree)[0])


def check_state(model: Any, optimizer: Optimizer, state: FitState, key: Any, what: str) -> None:
    """ShapeError or TreeError for a state that is not one of training this model with this optimizer."""
    first: dict[str, Tree] = {}
    if hasattr(model, "init"):
        with suppress(TypeError):  # an init that wants more than a key; then the first step tells
            first["params"] = model.init(key)
    if hasattr(model, "init_state"):
        first["model_state"] = model.init_state()
    for name, tree in first.items():
        check_like(f"{what}{name}", getattr(state, name), tree, f"what {named(model)} begins with")
    begun = f"what {optimizer!r} makes of the parameters"
    check_like(f"{what}optimizer_state", state.optimizer_state, optimizer.init(state.params), begun)
    if state.best is not None:
        for name in ("params", "model_state"):
            check_like(f"{what}best.{name}", getattr(state.best, name), getattr(state, name), f"{what}{name}")


def check_like(what: str, given: Tree, wanted: Tree, source: str) -> None:
    """ShapeError or TreeError for a tree with other leaves than are wanted."""
    if problems := tree_differences(given, wanted):
        kind = ShapeError if tree_shapes(given).keys() == tree_shapes(wanted).keys() else TreeError
        raise kind("\n  ".join([f"fit: {what} is not like {source}", *problems]))


def check_count(name: str, number: Any, least: int) -> None:
    """ArgumentError for what is no integer, or too small a one."""
    if not isinstance(number, int | np.integer) or isinstance(number, bool) or number < least:
        raise ArgumentError(f"fit: {name} is {number!r}, but must be an integer, at least {least}.")


def first_state(
    model: Any,
    optimizer: Optimizer,
    params: Tree,
    model_state: Tree,
    key: Any,
    validation: Any,
    higher_is_better: bool,
) -> FitState:
    """The state before any step; ArgumentError if there is nothing to begin with."""
    if params is None:
        if not hasattr(model, "init"):
            raise ArgumentError(
                f"fit: the model {named(model)} has no init(key), so it must be given its first params."
            )
        params = model.init(key)
    if model_state is None:
        model_state = model.init_state() if hasattr(model, "init_state") else ()
    worst = -math.inf if higher_is_better else math.inf
    best = None if validation is None else Best(worst, 0, params, model_state)
    return FitState(params, model_state, optimizer.init(params), 0, 0, 0.0, best)


def setting(model: Model, key: Any, train: bool, state: Tree) -> dict[str, Any]:
    """The options that the model is given: an object all of them, a function those that it has parameters for.

    The state is always passed on where there is one: a model must not forget it unnoticed.
    """
    options: dict[str, Any] = {"key": key, "train": train}
    if not hasattr(model, "apply"):
        run, _ = runner(model, Setting())
        for name in refused_options(run, options):
            del options[name]
    return options | ({"state": state} if tree_flatten(state)[0] else {})


def evaluate(model: Model, metric: Loss, state: FitState, data: tuple[Tree, Tree], batch: int) -> float:
    """The mean of a metric over examples, taken batch by batch, with the model as it is outside of training."""
    options = setting(model, None, False, state.model_state)
    if not hasattr(model, "apply"):  # a function may have parameters for them that it cannot do without
        told = {name: value for name, value in options.items() if name != "state"}
        model = functools.wraps(cast(Any, model))(functools.partial(cast(Any, model), **told))
    # Lifted, it has a tape to run on, which a model that is a `do` program needs.
    measure: Any = lift(objective(model, metric, Setting(**options), "metric"))
    size, total = rows_of(data), 0.0
    for start in range(0, size, batch):
        rows = np.arange(start, min(start + batch, size))
        (value, _), tape = measure(state.params, *taken_rows(data, rows)).run()
        total += len(rows) * float(tape.value(value) if isinstance(value, Ref) else value)
    return total / size


def taken_rows(data: tuple[Tree, Tree], rows: Any) -> Any:
    """These rows of all arrays of x and target."""
    return tree_map(lambda array: array[rows], data)


def checked(data: Any, what: str) -> tuple[Tree, Tree]:
    """The data as arrays; ArgumentError for what is no pair, ShapeError for arrays that differ in their rows."""
    if not isinstance(data, tuple) or len(cast(tuple[Any, ...], data)) != 2:
        raise ArgumentError(f"fit: {what} must be a pair (x, target) of arrays, with one row per example.")
    arrays: tuple[Tree, Tree] = tree_map(lambda leaf: as_tensor(leaf, op="fit", argument=what), data)
    shapes = dict.fromkeys(array.shape for array in tree_flatten(arrays)[0])
    sizes = {shape[:1] for shape in shapes}
    if len(sizes) != 1 or sizes <= {(), (0,)}:
        raise ShapeError(
            f"fit: {what} must hold arrays with one row for each of one or more examples, but has the shapes "
            f"{', '.join(map(str, shapes))}." + " A list is a tree: make one array of it." * (list in map(type, arrays))
        )
    return arrays


def rows_of(data: tuple[Tree, Tree]) -> int:
    """The number of examples."""
    return len(tree_flatten(data)[0][0])


__all__ = ["Best", "FitState", "Fitted", "History", "fit"]
