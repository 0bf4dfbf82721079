"""The pure steps of a training from one state to the next: a mini-batch, or the end of an epoch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from tapem import random
from tapem.compiler import compile
from tapem.core import tree_flatten
from tapem.doors.monadic import lift
from tapem.doors.pure import Ref
from tapem.model import Loss, Model, Setting, objective, refused_options, runner, value_and_grad_params
from tapem.optim import Optimizer
from tapem.training.fit_data import Data, rows_of, taken_rows
from tapem.training.fit_state import Best, FitState, Tree

# Keys are arrays or values that stand for arrays, so a type checker cannot infer the results of draws.
split, fold_in, permutation = (cast(Any, draw) for draw in (random.split, random.fold_in, random.permutation))

# Draws, for an epoch, the order of the examples and the key of the steps.
Plan: TypeAlias = Callable[[int], tuple[Any, Any]]


def planned(key: Any, size: int) -> Plan:
    """The plan of every epoch, drawn once per epoch and used by every step."""

    @functools.lru_cache(maxsize=1)
    def plan(epoch: int) -> tuple[Any, Any]:
        order_key, steps_key = split(fold_in(key, epoch))
        return permutation(order_key, size), steps_key

    return plan


@dataclass(frozen=True)
class Trainer:
    """A model that learns from mini-batches: the steps from one state to the next within an epoch."""

    model: Model
    loss: Loss
    optimizer: Optimizer
    data: Data
    batch: int
    plan: Plan
    engine: str | bool | None = False

    def step(self, state: FitState) -> tuple[float, Callable[[], FitState]]:
        """The loss of the current mini-batch, and what gives the state after it."""
        if self.engine is False:
            value, gradients, after = self.measured(state)
            return value, functools.partial(self.updated, state, value, gradients, after)
        x, target, key = self.given(state)
        trees = (state.params, state.model_state, state.optimizer_state)
        found, *trees = self.program(*trees, x, target, key)
        value = float(found)
        return value, functools.partial(self.after, state, value, *trees)

    @functools.cached_property
    def program(self) -> Callable[..., Any]:
        """The compiled step: loss, gradients and update."""

        def fit_step(
            params: Tree, model_state: Tree, optimizer_state: Tree, x: Any, target: Any, key: Any
        ) -> tuple[Any, Tree, Tree, Tree]:
            value, gradients, after = self.gradients(params, model_state, x, target, key)
            params, optimizer_state = self.optimizer.update(gradients, optimizer_state, params)
            return value, params, after, optimizer_state

        return compile(fit_step, engine=None if self.engine is True else cast("str | None", self.engine))

    def given(self, state: FitState) -> tuple[Any, Any, Any]:
        """The current mini-batch, and the key of its step."""
        order, steps_key = self.plan(state.epoch)
        x, target = taken_rows(self.data, order[state.seen : state.seen + self.batch])
        return x, target, fold_in(steps_key, state.seen)

    def gradients(self, params: Tree, model_state: Tree, x: Any, target: Any, key: Any) -> tuple[Any, Tree, Tree]:
        """The loss of a mini-batch, its gradients, and the state of the model after it."""
        options = setting(self.model, key, True, model_state)
        found = value_and_grad_params(self.model, self.loss, params, x, target, **options)
        (value, gradients), after = found if "state" in options else (found, model_state)
        return value, gradients, after

    def measured(self, state: FitState) -> tuple[float, Tree, Tree]:
        """The loss of the current mini-batch, its gradients, and the state of the model after it."""
        value, gradients, after = self.gradients(state.params, state.model_state, *self.given(state))
        return float(value), gradients, after

    def updated(self, state: FitState, value: float, gradients: Tree, model_state: Tree) -> FitState:
        """The state after the measured mini-batch."""
        params, optimizer_state = self.optimizer.update(gradients, state.optimizer_state, state.params)
        return self.after(state, value, params, model_state, optimizer_state)

    def after(self, state: FitState, value: float, params: Tree, model_state: Tree, optimizer_state: Tree) -> FitState:
        """The state with what a mini-batch changed."""
        count = min(self.batch, rows_of(self.data) - state.seen)
        seen, total = state.seen + count, state.total + value * count
        return FitState(params, model_state, optimizer_state, state.epoch, seen, total, state.best)


@dataclass(frozen=True)
class Judge:
    """The end of an epoch, which computes the metric on validation data, if there is any."""

    model: Model
    metric: Loss
    validation: Data | None
    batch: int
    higher_is_better: bool
    engine: str | bool | None = False

    def judged(self, state: FitState) -> tuple[FitState, float | None]:
        """The state at the beginning of the next epoch, and the metric."""
        epoch, best, score = state.epoch + 1, state.best, None
        if self.validation is not None:
            score = evaluate(self.model, self.metric, state, self.validation, self.batch)
            if self.is_better(score, best):
                best = Best(score, epoch, state.params, state.model_state)
        return state._replace(epoch=epoch, seen=0, total=0.0, best=best), score

    def is_better(self, score: float, best: Best | None) -> bool:
        """Whether a score is a number and better than the best epoch's."""
        if best is None or best.epoch == 0:
            return not math.isnan(score)
        return score > best.score if self.higher_is_better else score < best.score


def setting(model: Model, key: Any, train: bool, state: Tree) -> dict[str, Any]:
    """The options for the model: an object gets all of them, a function those that it has parameters for.

    The state is always passed if there is one, so that a model cannot silently ignore it.
    """
    options: dict[str, Any] = {"key": key, "train": train}
    if not hasattr(model, "apply"):
        run, _ = runner(model, Setting())
        for name in refused_options(run, options):
            del options[name]
    return options | ({"state": state} if tree_flatten(state)[0] else {})


def evaluate(model: Model, metric: Loss, state: FitState, data: Data, batch: int) -> float:
    """The mean of a metric over examples, computed batch by batch with `train=False`."""
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


__all__ = ["Judge", "Trainer", "planned", "split"]
