"""Losses of class scores: cross_entropy, which takes logits, and nll, which takes log-probabilities."""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Integer

import tapem as tm
from losses.reduction import Reduction, counted, like, reduced
from losses.rows import Logits, PerExample, Probabilities, abstract_rows, batch_rows, examples, per_row
from tapem import ArgumentError, DTypeError, ShapeError, Tensor, primitive

Labels: TypeAlias = Integer[Tensor, "*batch"]

# Labels ---------------------------------------------------------------------------------------------------------------


def _is_labels(prediction: Any, target: Any) -> bool:
    return getattr(target, "ndim", 0) < prediction.ndim


@functools.lru_cache(maxsize=64)
def _classes(count: int) -> Any:
    numbers = np.arange(count)
    numbers.flags.writeable = False
    return numbers


def _check_order(name: str, prediction: Any, target: Any) -> None:
    """Raise DTypeError if prediction and target seem to be exchanged."""
    if prediction.dtype.kind in "biu" and target.shape[:-1] == prediction.shape:
        raise DTypeError(
            f"{name}: the first argument, {prediction.dtype} of shape {prediction.shape}, looks like labels, and the "
            f"second, {target.dtype} of shape {target.shape}, like scores: exchange them, {name}(prediction, target)."
        )


def _hot(prediction: Any, labels: Any, keep: Any, name: str) -> Any:
    """One row of bools per example, True at its label; raises ArgumentError for a label that is not a class."""
    classes = prediction.shape[-1]
    if labels.dtype.kind not in "iu":
        _check_order(name, prediction, labels)
        raise DTypeError(
            f"{name}: target has dtype {labels.dtype} and one axis less than the prediction, so it holds labels, which "
            "must be integers. Give probabilities the shape of the prediction."
        )
    if labels.shape != prediction.shape[:-1]:
        raise ShapeError(
            f"{name}: target has shape {labels.shape}, but a prediction of shape {prediction.shape} needs labels of "
            f"shape {prediction.shape[:-1]} or probabilities of its own shape."
        )
    known = labels if keep is None else np.where(keep, labels, 0)
    hot = np.equal(known[..., None], _classes(classes))
    if type(hot) is np.ndarray and np.count_nonzero(hot) != known.size:
        at = tuple(int(i) for i in np.argwhere((known < 0) | (known >= classes))[0])
        raise ArgumentError(
            f"{name}: label {int(known[at])} at position {at} of target is out of range: there are {classes} classes, "
            f"so labels are 0 to {classes - 1}" + (" (or ignore_index)." if keep is not None else ".")
        )
    return hot


def _kept(prediction: Any, labels: Any, ignore_index: int | None) -> tuple[Any, Any]:
    """Which examples count (None for all), and the number of them, at least 1."""
    if ignore_index is None:
        return None, counted(labels)
    keep = np.not_equal(labels, ignore_index)
    return keep, np.maximum(np.sum(keep), 1).astype(prediction.dtype)


def _as_labels(target: Any) -> Any:
    return np.asarray(target) if type(target) is int else target


def _pick(scores: Any, hot: Any) -> Any:
    """The score at each example's label; a masked score of -inf at another class has no effect."""
    if type(scores) is np.ndarray and type(hot) is np.ndarray:
        return scores[hot].reshape(scores.shape[:-1])
    return np.sum(np.where(hot, scores, 0), axis=-1)


# The losses -----------------------------------------------------------------------------------------------------------


def _smooth(distribution: Any, smoothing: float, classes: int) -> Any:
    return (1 - smoothing) * distribution + smoothing / classes


def _cross_entropy_target(
    g: Any, y: Any, residuals: Any, logits: Any, target: Any, reduction: str, label_smoothing: float, **_: Any
) -> Any:
    return per_row(g, reduction, residuals[1]) * ((label_smoothing - 1) * tm.log_softmax(logits))


@primitive(
    wide=True,
    residuals=True,
    rrule=(
        lambda g, y, kept, logits, target, reduction, **_: kept[0] * per_row(g, reduction, kept[1]),
        _cross_entropy_target,
    ),
    frule=(
        lambda t, y, kept, logits, target, reduction, **_: reduced(np.sum(kept[0] * t, axis=-1), reduction, kept[1]),
        lambda t, y, residuals, logits, target, reduction, label_smoothing, **_: reduced(
            np.sum((label_smoothing - 1) * tm.log_softmax(logits) * like(t, logits), axis=-1), reduction, residuals[1]
        ),
    ),
    batch=batch_rows,
    abstract=abstract_rows,
)
def cross_entropy(
    logits: Logits,
    target: Labels | Probabilities,
    *,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> PerExample:
    """The cross-entropy of softmax(logits) with the target, in nats: `-sum_c target_c log softmax(logits)_c`.

    Float "*batch classes", and as target either Integer "*batch" (labels) or Real "*batch classes" (one-hot or soft;
    rows need not sum to 1) -> Float "", or Float "*batch" with `reduction="none"`. It is stable for any finite logits;
    with labels, logits may also be -inf (masked classes).

    Examples whose label is `ignore_index` count neither in the sum nor in the mean; the mean over no examples is 0.
    `label_smoothing` s mixes the target with the uniform distribution: `(1 - s) target + s / classes`
    (Szegedy et al. 2016, section 7).

    Raises ArgumentError for a label out of range, a smoothing outside [0, 1], or `ignore_index` with probabilities;
    ShapeError where the shapes do not fit; DTypeError for labels that are not integers.

    >>> logits = np.array([[2.0, 0.0], [0.0, 0.0]])
    >>> cross_entropy(logits, np.array([0, 1]), reduction="none")
    array([0.12692801, 0.69314718])
    >>> float(cross_entropy(logits, np.eye(2))) == float(cross_entropy(logits, np.array([0, 1])))
    True
    """
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"cross_entropy: label_smoothing is {label_smoothing}, but must be within [0, 1].")
    classes, keep = logits.shape[-1], None
    hot: Any = None
    if _is_labels(logits, target):
        labels = _as_labels(target)
        keep, count = _kept(logits, labels, ignore_index)
        hot = _hot(logits, labels, keep, "cross_entropy")
    elif ignore_index is not None:
        _check_order("cross_entropy", logits, target)
        raise ArgumentError("cross_entropy: ignore_index is a label, but target holds probabilities.")
    else:
        count = examples(logits)
    shifted = logits - np.maximum.reduce(logits, axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = np.add.reduce(exponentials, axis=-1, keepdims=True)
    if hot is not None and label_smoothing == 0:
        terms = np.log(totals[..., 0]) - _pick(shifted, hot)
        slopes = exponentials / totals - hot
    else:
        distribution = like(target if hot is None else hot, logits)
        if label_smoothing:
            distribution = _smooth(distribution, label_smoothing, classes)
        weight = np.sum(distribution, axis=-1, keepdims=True)
        terms = (weight * np.log(totals))[..., 0] - np.sum(distribution * shifted, axis=-1)
        slopes = exponentials * (weight / totals) - distribution
    if keep is not None:
        terms, slopes = np.where(keep, terms, 0), np.where(keep[..., None], slopes, 0)
    return reduced(terms, reduction, count), (slopes, count)  # pyright: ignore  # a value and its residuals


def _nll_slopes(prediction: Any, target: Any, ignore_index: int | None) -> tuple[Any, Any]:
    """The derivative of each example's term with respect to its row, and the number of examples."""
    labels = _as_labels(target)
    keep, count = _kept(prediction, labels, ignore_index)
    hot = _hot(prediction, labels, keep, "nll")
    chosen = hot if keep is None else np.logical_and(hot, keep[..., None])
    return -chosen.astype(prediction.dtype), count


def _nll_pull(g: Any, y: Any, prediction: Any, target: Any, ignore_index: int | None, reduction: str) -> Any:
    slopes, count = _nll_slopes(prediction, target, ignore_index)
    return slopes * per_row(g, reduction, count)


def _nll_push(t: Any, y: Any, prediction: Any, target: Any, ignore_index: int | None, reduction: str) -> Any:
    slopes, count = _nll_slopes(prediction, target, ignore_index)
    return reduced(np.sum(slopes * t, axis=-1), reduction, count)


@primitive(wide=True, rrule=(_nll_pull, None), frule=(_nll_push, None), batch=batch_rows, abstract=abstract_rows)
def nll(
    prediction: Logits, target: Labels, *, ignore_index: int | None = None, reduction: Reduction = "mean"
) -> PerExample:
    """The negative log-likelihood of labels, `-prediction[label]`, where prediction holds log-probabilities, in nats.

    Float "*batch classes", Integer "*batch" -> Float "", or Float "*batch" with `reduction="none"`. Examples whose
    label is `ignore_index` do not count. `nll(log_softmax(x), labels)` is `cross_entropy(x, labels)`.

    Raises ArgumentError for a label out of range.

    >>> nll(np.log(np.array([[0.5, 0.5], [0.25, 0.75]])), np.array([0, 1]), reduction="none")
    array([0.69314718, 0.28768207])
    """
    labels = _as_labels(target)
    keep, count = _kept(prediction, labels, ignore_index)
    terms = -_pick(prediction, _hot(prediction, labels, keep, "nll"))
    return reduced(terms if keep is None else np.where(keep, terms, 0), reduction, count)


__all__ = ["cross_entropy", "nll"]
