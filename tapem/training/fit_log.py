"""The history of a training, and its last finite state, which an error returns."""

from __future__ import annotations

import math

import numpy as np

from tapem.core import tree_flatten
from tapem.errors import NonFiniteError
from tapem.training.fit_state import FitState, Fitted, History, Tree


class Log:
    """The history of a training, and the state of the last finite loss or metric.

    If it is `strict`, a loss or parameters that are not finite raise NonFiniteError.
    """

    def __init__(self, state: FitState, *, validated: bool, strict: bool) -> None:
        """Begin with empty lists."""
        self.history: History = {"step_loss": [], "loss": []} | ({"validation": []} if validated else {})
        self.strict = strict
        self.remember(state)

    def remember(self, state: FitState) -> None:
        """Remember this state, and the history up to now, as correct."""
        self.good = state, {name: len(values) for name, values in self.history.items()}

    def check_loss(self, value: float, state: FitState, step: int) -> None:
        """Remember the state of a finite loss; raise NonFiniteError for another loss."""
        if math.isfinite(value):
            self.remember(state)
        elif self.strict:
            raise self.error(f"the loss is {value}", state.epoch, step)

    def check_params(self, state: FitState, step: int) -> None:
        """Raise NonFiniteError if more parameters are NaN or infinite than at first."""
        if self.strict and count_nonfinite(state.params) > count_nonfinite(self.good[0].params):
            raise self.error("the parameters became NaN or infinite", state.epoch, step)

    def end_step(self, value: float) -> None:
        """Note the loss of a step."""
        self.history["step_loss"].append(value)

    def end_epoch(self, mean: float, score: float | None, state: FitState) -> None:
        """Note the mean loss of an epoch, and its metric; the state is the one after it."""
        self.history["loss"].append(mean)
        if score is not None:
            self.history["validation"].append(score)
            if math.isfinite(score):
                self.remember(state)

    def error(self, problem: str, epoch: int, step: int) -> NonFiniteError:
        """The error that ends the training, with the remembered state."""
        reached, counts = self.good
        return NonFiniteError(
            f"fit: {problem} in epoch {epoch + 1}, step {step}.\n"
            "  The `result` of this error is the result up to the last finite loss. Go on from its state with\n"
            "  tm.fit(..., resume=error.result.state), more careful (a lower learning rate), find the op that makes\n"
            '  the first NaN with tm.debug_mode, or let the training run with on_nonfinite="continue".',
            Fitted(reached, {name: values[: counts[name]] for name, values in self.history.items()}, True),
        )


def count_nonfinite(tree: Tree) -> int:
    """The number of NaN and infinite elements of a tree."""
    return sum(int(np.count_nonzero(~np.isfinite(leaf))) for leaf in tree_flatten(tree)[0])


__all__ = ["Log"]
