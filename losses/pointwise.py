"""Losses with one term per element: mse, mae, huber, smooth_l1, log_cosh, bce, bce_with_logits, hinge, poisson_nll.

Each is its formula and, above it, the derivatives of a term with respect to prediction and target.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

import tapem as tm
from losses.reduction import Reduction, like, pointwise, reduced
from tapem import ArgumentError, Real, Tensor

Prediction: TypeAlias = Float[Tensor, "*shape"]
Target: TypeAlias = Real[Tensor, "*shape"]
Reduced: TypeAlias = Float[Tensor, ""] | Float[Tensor, "*shape"]


@pointwise(lambda p, t: 2 * (p - t), lambda p, t: 2 * (t - p))
def mse(prediction: Prediction, target: Target, *, reduction: Reduction = "mean") -> Reduced:
    """The mean squared error: the mean of `(prediction - target)^2` over all elements.

    Float "*shape", Real "*shape" -> Float "", or Float "*shape" with `reduction="none"`. The shapes must be equal:
    there is no broadcasting, since it would hide the error of a prediction "n 1" and a target "n".

    >>> float(mse(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    return reduced(np.square(prediction - like(target, prediction)), reduction)


@pointwise(lambda p, t: np.sign(p - t), lambda p, t: np.sign(t - p))
def mae(prediction: Prediction, target: Target, *, reduction: Reduction = "mean") -> Reduced:
    """The mean absolute error: the mean of `|prediction - target|`.

    Float "*shape", Real "*shape" -> Float "", or Float "*shape" with `reduction="none"`.

    Kink: where they are equal, the derivative is 0.

    >>> float(mae(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    1.0
    """
    return reduced(np.abs(prediction - like(target, prediction)), reduction)


def _check_positive(name: str, parameter: str, value: float) -> None:
    if not value > 0:
        raise ArgumentError(f"{name}: {parameter} is {value}, but must be positive.")


def _huber(difference: Any, delta: float) -> Any:
    distance = np.abs(difference)
    near = np.minimum(distance, delta)
    return near * (distance - 0.5 * near)


@pointwise(lambda p, t, delta: np.clip(p - t, -delta, delta), lambda p, t, delta: np.clip(t - p, -delta, delta))
def huber(prediction: Prediction, target: Target, *, delta: float = 1.0, reduction: Reduction = "mean") -> Reduced:
    """Huber's loss of the difference d: `d^2 / 2` where `|d| <= delta`, and `delta (|d| - delta / 2)` beyond.

    Float "*shape", Real "*shape" -> Float "", or Float "*shape" with `reduction="none"`. Raises ArgumentError if
    delta is not positive. Source: Huber 1964.

    >>> huber(np.array([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    _check_positive("huber", "delta", delta)
    return reduced(_huber(prediction - like(target, prediction), delta), reduction)


@pointwise(lambda p, t, beta: np.clip((p - t) / beta, -1, 1), lambda p, t, beta: np.clip((t - p) / beta, -1, 1))
def smooth_l1(prediction: Prediction, target: Target, *, beta: float = 1.0, reduction: Reduction = "mean") -> Reduced:
    """The absolute error, smoothed at its kink: `d^2 / (2 beta)` where `|d| <= beta`, and `|d| - beta / 2` beyond.

    Float "*shape", Real "*shape" -> Float "", or Float "*shape" with `reduction="none"`. It is `huber / beta`.
    Raises ArgumentError if beta is not positive. Source: Girshick 2015, with beta as in PyTorch.

    >>> smooth_l1(np.array([0.5, 3.0]), np.zeros(2), beta=0.5, reduction="none")
    array([0.25, 2.75])
    """
    _check_positive("smooth_l1", "beta", beta)
    return reduced(_huber(prediction - like(target, prediction), beta) / beta, reduction)


@pointwise(lambda p, t: np.tanh(p - t), lambda p, t: np.tanh(t - p))
def log_cosh(prediction: Prediction, target: Target, *, reduction: Reduction = "mean") -> Reduced:
    """The logarithm of the hyperbolic cosine of the difference: like `d^2 / 2` near 0 and `|d| - log 2` far from it.

    Float "*shape", Real "*shape" -> Float "", or Float "*shape" with `reduction="none"`. Stable for any finite
    difference, and accurate for the smallest: near 0 the formula is `log1p(2 sinh^2(d / 2))`.

    >>> log_cosh(np.array([0.0, 1e4]), np.zeros(2), reduction="none")
    array([   0.        , 9999.30685282])
    """
    distance = np.abs(prediction - like(target, prediction))
    near = np.log1p(2 * np.square(np.sinh(0.5 * np.minimum(distance, 1))))
    far = distance + np.log1p(np.exp(-2 * distance)) - math.log(2)
    return reduced(np.where(distance < 1, near, far), reduction)


# PyTorch's bounds of a logarithm and of a reciprocal, for predictions of exactly 0 or 1 that are wrong.
_LEAST_LOG, _LEAST = -100.0, 1e-12


def _inside(probability: Any) -> Any:
    """The probability, moved off 0 and 1 so that its reciprocals have a bound: 1e12, or less in a coarse dtype."""
    limits = np.finfo(getattr(probability, "dtype", np.float64))
    return np.clip(probability, max(limits.tiny, _LEAST), 1 - max(limits.epsneg, _LEAST))


def _logs(p: Any) -> tuple[Any, Any]:
    """The logarithms of p and 1 - p, each at least -100; at that bound, the logarithm is a constant."""
    some, rest = p > 0, p < 1
    return (
        np.where(some, np.maximum(np.log(np.where(some, p, 1)), _LEAST_LOG), _LEAST_LOG),
        np.where(rest, np.log1p(-np.where(rest, p, 0)), _LEAST_LOG),
    )


def _log_odds(p: Any) -> Any:
    log_p, log_rest = _logs(p)
    return log_p - log_rest


@pointwise(
    lambda p, t: (_inside(p) - t) / (_inside(p) * (1 - _inside(p))),
    lambda p, t: -_log_odds(p),
    narrow=True,
)
def bce(prediction: Prediction, target: Target, *, reduction: Reduction = "mean") -> Reduced:
    """The binary cross-entropy of probabilities, in nats: `-(t log p + (1 - t) log(1 - p))`.

    Float "*shape" within [0, 1], Real "*shape" (0, 1, bools, or anything between) -> Float "", or Float "*shape" with
    `reduction="none"`. As in PyTorch, a wrong prediction of exactly 0 or 1 gives a finite loss and gradient: the
    logarithms are at least -100, and 1 / p and 1 / (1 - p) in the derivative at most 1e12, or at most the reciprocals
    of the numbers next to 0 and 1 in the dtype (1.7e7 for that before 1 in float32; 16384 and 2048 in float16). For
    logits use `bce_with_logits`, which loses no precision.

    Raises ArgumentError for a prediction outside [0, 1].

    >>> float(bce(np.array([0.5, 0.5]), np.array([0.0, 1.0])))
    0.6931471805599453
    """
    outside = np.logical_or(np.less(prediction, 0), np.greater(prediction, 1))
    if np.count_nonzero(outside):
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ArgumentError(
            f"bce: prediction is {float(np.asarray(prediction)[at])} at position {at}, but a probability must be "
            "within [0, 1]. For logits use bce_with_logits."
        )
    t = like(target, prediction)
    log_p, log_rest = _logs(prediction)
    return reduced(-(t * log_p + (1 - t) * log_rest), reduction)


@pointwise(lambda x, t: tm.sigmoid(x) - t, lambda x, t: -x)
def bce_with_logits(prediction: Prediction, target: Target, *, reduction: Reduction = "mean") -> Reduced:
    """The binary cross-entropy of sigmoid(prediction), in nats: `max(x, 0) - x t + log(1 + exp(-|x|))`.

    Float "*shape", Real "*shape" -> Float "", or Float "*shape" with `reduction="none"`. Stable for any finite x.

    >>> bce_with_logits(np.array([0.0, -1e4, 1e4]), np.array([1, 0, 0]), reduction="none")
    array([6.93147181e-01, 0.00000000e+00, 1.00000000e+04])
    """
    x, t = prediction, like(target, prediction)
    return reduced(np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x))), reduction)


@pointwise(lambda p, t: -like(t, p) * like(p * t < 1, p), lambda p, t: np.where(p * t < 1, -p, 0))
def hinge(prediction: Prediction, target: Target, *, reduction: Reduction = "mean") -> Reduced:
    """The hinge loss of support-vector machines, `max(0, 1 - t p)`, for targets -1 and 1.

    Float "*shape", Real "*shape" -> Float "", or Float "*shape" with `reduction="none"`.

    Kink: where `t p = 1`, the derivative is 0.

    >>> hinge(np.array([0.5, 2.0, -1.0]), np.array([1, 1, 1]), reduction="none")
    array([0.5, 0. , 2. ])
    """
    return reduced(np.maximum(1 - prediction * like(target, prediction), 0), reduction)


@pointwise(lambda p, t: np.exp(p) - t, lambda p, t: -p)
def poisson_nll(prediction: Prediction, target: Target, *, reduction: Reduction = "mean") -> Reduced:
    """The negative log-likelihood of Poisson counts, `exp(prediction) - target * prediction`, in nats.

    Prediction is the logarithm of the rate. The loss omits the term `log(target!)`, which does not depend on it.
    Float "*shape", Real "*shape" -> Float "", or Float "*shape" with `reduction="none"`.

    >>> float(poisson_nll(np.log(np.array([2.0])), np.array([3])))
    -0.07944154167983575
    """
    return reduced(np.exp(prediction) - like(target, prediction) * prediction, reduction)


__all__ = ["bce", "bce_with_logits", "hinge", "huber", "log_cosh", "mae", "mse", "poisson_nll", "smooth_l1"]
