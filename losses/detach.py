"""Losses as metrics: a value, but no gradient with respect to the prediction."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import tapem as tm

P = ParamSpec("P")
R = TypeVar("R")


def detach(loss: Callable[P, R]) -> Callable[P, R]:
    """Wrap a loss so that its prediction is a constant: the value is the same, but no gradient reaches the model.

    Only the prediction is constant; the target keeps its gradient.

    >>> import numpy as np, losses
    >>> metric = detach(losses.mse)
    >>> tm.value_and_grad(lambda p, t: metric(p, t), argnums=(0, 1))(np.array([1.0]), np.array([3.0]))
    (np.float64(4.0), (array([0.]), array([4.])))
    """

    @functools.wraps(loss)
    def metric(*arguments: Any, **options: Any) -> Any:
        if arguments:
            arguments = (tm.detach(arguments[0]), *arguments[1:])
        elif "prediction" in options:
            options = {**options, "prediction": tm.detach(options["prediction"])}
        return loss(*arguments, **options)

    return metric


__all__ = ["detach"]
