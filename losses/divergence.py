"""The Kullback-Leibler divergence of a predicted distribution from the true one."""

from __future__ import annotations

from typing import Any

import numpy as np

from losses.reduction import Reduction, like, reduced
from losses.rows import Logits, PerExample, Probabilities, abstract_rows, batch_rows, examples, per_row
from tapem import primitive


def _log(probability: Any) -> Any:
    # 0 log 0 is 0, and its derivative is taken as finite: the logarithm of the least normal number.
    return np.log(np.maximum(probability, np.finfo(probability.dtype).tiny))


@primitive(
    wide=True,
    rrule=(
        lambda g, y, prediction, target, reduction: (
            -like(target, prediction) * per_row(g, reduction, examples(prediction))
        ),
        lambda g, y, prediction, target, reduction: (
            (_log(like(target, prediction)) + 1 - prediction) * per_row(g, reduction, examples(prediction))
        ),
    ),
    frule=(
        lambda t, y, prediction, target, reduction: reduced(np.sum(-like(target, prediction) * t, axis=-1), reduction),
        lambda t, y, prediction, target, reduction: reduced(
            np.sum((_log(like(target, prediction)) + 1 - prediction) * like(t, prediction), axis=-1), reduction
        ),
    ),
    batch=batch_rows,
    abstract=abstract_rows,
)
def kl_divergence(prediction: Logits, target: Probabilities, *, reduction: Reduction = "mean") -> PerExample:
    """The Kullback-Leibler divergence of prediction from target: `sum_c target_c (log target_c - prediction_c)`.

    Prediction holds log-probabilities, target probabilities; the result is in nats. Float "*batch classes",
    Real "*batch classes" -> Float "", or Float "*batch" with `reduction="none"`. Classes of probability 0 in the
    target add nothing.

    As in all losses here, the mean is over examples; PyTorch calls this "batchmean".

    >>> target = np.array([[0.5, 0.5], [1.0, 0.0]])
    >>> kl_divergence(np.log(np.array([[0.5, 0.5], [0.5, 0.5]])), target, reduction="none")
    array([0.        , 0.69314718])
    """
    target = like(target, prediction)
    return reduced(np.sum(target * (_log(target) - prediction), axis=-1), reduction)


__all__ = ["kl_divergence"]
