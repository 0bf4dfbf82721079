"""Gradient descent that adapts its rate: the optimizer inside particle and saddle, itself to be differentiated."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tapem as tm

from ...workload import Array

Objective = Callable[[Any], Any]


class Descent(NamedTuple):
    """Where a descent stands; ``count`` is the number of steps since the rate has changed."""

    x: Array
    value: Any
    slope: Array
    rate: Any
    count: Any
    ended: Any


def with_slope(f: Objective, mode: str) -> Callable[[Any], tuple[Any, Any]]:
    """Compute the value and the gradient of f, in forward mode ("f") or in reverse mode ("r")."""
    if mode == "r":
        return tm.value_and_grad(f)

    def twice(x: Any) -> tuple[Any, Any]:
        value = f(x)
        return value, value

    forward = tm.jacfwd(twice, has_aux=True)

    def value_and_slope(x: Any) -> tuple[Any, Any]:
        slope, value = forward(x)
        return value, slope

    return value_and_slope


def argmin(f: Objective, start: Any, rate: Any, mode: str) -> Any:
    """Find where f is least: double the rate after ten steps that succeed, halve it after one that does not."""
    value_and_slope = with_slope(f, mode)

    def step(state: Descent) -> Descent:
        changes = state.count == 10
        rate = np.where(changes, 2 * state.rate, state.rate)
        count = np.where(changes, 0, state.count)
        x = state.x - rate * state.slope

        def moved() -> Descent:
            value, slope = value_and_slope(x)
            return tm.cond(
                value < state.value,
                lambda: Descent(x, value, slope, rate, count + 1, False),
                lambda: Descent(state.x, state.value, state.slope, rate / 2, 0, False),
            )

        ends = (length(state.slope) <= 1e-5) | (length(state.x - x) <= 1e-5)
        return tm.cond(ends, lambda: state._replace(ended=True), moved)

    first = Descent(start, *value_and_slope(start), rate, 0, False)
    return tm.while_loop(lambda state: np.logical_not(state.ended), step, first).x


def length(v: Array) -> Any:
    """Compute the length of a vector, for a decision: it is not differentiated."""
    return np.sqrt(np.sum(np.square(tm.detach(v))))
