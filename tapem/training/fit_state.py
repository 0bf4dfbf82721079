"""The state of a training between two steps, the result of `fit`, and the check that a state belongs to a training."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from tapem.core import tree_differences, tree_shapes
from tapem.display import html_of, rich_of
from tapem.errors import ArgumentError, ShapeError, TreeError
from tapem.model import named
from tapem.optim import Optimizer

Tree: TypeAlias = Any
History: TypeAlias = dict[str, list[float]]


class Best(NamedTuple):
    """The best epoch so far by the validation metric: its score, its number from 1, and the parameters after it.

    >>> Best(0.25, 3, {"w": np.zeros(2)}, ()).score
    0.25
    """

    score: float
    epoch: int
    params: Tree
    model_state: Tree


class FitState(NamedTuple):
    """The whole training between two steps: a tree, for `tm.save` and `tm.load`.

    `model_state` is that of the model (running statistics), `optimizer_state` that of the optimizer. `epoch` counts the
    finished epochs; `seen` counts the examples of the current epoch, and `total` is the sum of their losses. `best` is
    None without validation. With validation, the states of a training all have the same structure: before the first
    metric, `best` holds the first parameters and the epoch 0.

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

    _repr_html_ = html_of
    __rich__ = rich_of


class Fitted(NamedTuple):
    """The result of `fit`: the state of the training, its history, and whether it was interrupted.

    `history` holds lists of floats to plot, for the part of the training in this call: `step_loss`, the loss of every
    step, and for every epoch `loss`, the mean loss, and `validation`, the metric, if there is one.

    >>> Fitted(FitState(3.0, (), {"step": 0}, 0, 0, 0.0, None), {"loss": []}, False).params
    3.0
    """

    state: FitState
    history: History
    interrupted: bool

    _repr_html_ = html_of
    __rich__ = rich_of

    def __repr__(self) -> str:
        epoch, steps = self.state.epoch, len(self.history.get("step_loss", ()))
        said = [f"{epoch} epoch{'s' * (epoch != 1)}, {steps} step{'s' * (steps != 1)} in this call"]
        for name in ("loss", "validation"):
            if values := self.history.get(name):
                said.append(f"{name} {values[0]:.4g} -> {values[-1]:.4g}")
        if self.best is not None:
            said.append(f"best {self.best.score:.4g} after epoch {self.best.epoch}")
        shapes = tree_shapes(self.params).values()
        said.append(f"{sum(map(math.prod, shapes)):,} parameters in {len(shapes)} arrays")
        said += ["interrupted"] * self.interrupted
        return f"<Fitted: {'; '.join(said)}>"

    @property
    def params(self) -> Tree:
        """The current parameters."""
        return self.state.params

    @property
    def model_state(self) -> Tree:
        """The current state of the model; an empty tree if it has none."""
        return self.state.model_state

    @property
    def best(self) -> Best | None:
        """The best epoch; None without validation, or if no epoch had a metric that is a number."""
        return self.state.best if self.state.best and self.state.best.epoch else None


def first_state(
    model: Any,
    optimizer: Optimizer,
    params: Tree,
    model_state: Tree,
    key: Any,
    validation: Any,
    higher_is_better: bool,
) -> FitState:
    """The state before the first step. Raises ArgumentError if there are no first parameters."""
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


def check_state(model: Any, optimizer: Optimizer, state: FitState, key: Any, prefix: str) -> None:
    """Raise ShapeError or TreeError for a state that does not belong to this model and this optimizer.

    `prefix` stands before the names of the state's fields in errors.
    """
    first: dict[str, Tree] = {}
    if hasattr(model, "init"):
        with suppress(TypeError):  # an init that needs more than a key; then the first step raises
            first["params"] = model.init(key)
    if hasattr(model, "init_state"):
        first["model_state"] = model.init_state()
    for name, tree in first.items():
        check_like(f"{prefix}{name}", getattr(state, name), tree, f"the initial {name} of {named(model)}")
    begun = f"the initial state of {optimizer!r}"
    check_like(f"{prefix}optimizer_state", state.optimizer_state, optimizer.init(state.params), begun)
    if state.best is not None:
        for name in ("params", "model_state"):
            check_like(f"{prefix}best.{name}", getattr(state.best, name), getattr(state, name), f"{prefix}{name}")


def check_like(name: str, given: Tree, wanted: Tree, source: str) -> None:
    """Raise ShapeError or TreeError for a tree that differs from the wanted one."""
    if problems := tree_differences(given, wanted):
        kind = ShapeError if tree_shapes(given).keys() == tree_shapes(wanted).keys() else TreeError
        raise kind("\n  ".join([f"fit: {name} is not like {source}", *problems]))


__all__ = ["Best", "FitState", "Fitted", "History", "Tree", "check_state", "first_state"]
