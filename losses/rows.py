"""Losses of rows, which stand on the last axis: cross_entropy, nll, kl_divergence; and cosine_similarity.

An example is one row of the prediction: every other axis counts examples, and "mean" is the mean over examples.
"""

# Rules run on arrays and on tracers alike, so their operands have no type that a checker could follow.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Integer, Shaped

import tapem as tm
from losses.reduction import (
    Reduction,
    check_reduction,
    counted,
    like,
    reduced,
    reduced_per_example,
    spread,
)
from tapem import Abstract, ArgumentError, DTypeError, ShapeError, Tensor, all_mapped, primitive

Logits: TypeAlias = Float[Tensor, "*batch classes"]
Labels: TypeAlias = Integer[Tensor, "*batch"]
Probabilities: TypeAlias = Shaped[Tensor, "*batch classes"]
Vectors: TypeAlias = Float[Tensor, "*batch n"]
VectorTargets: TypeAlias = Shaped[Tensor, "*batch n"]
PerExample: TypeAlias = Float[Tensor, ""] | Float[Tensor, "*batch"]


def _abstract(prediction: Any, target: Any, *, reduction: str, **_: Any) -> Abstract:
    # The implementation cannot be tried on ones: a label 1 may be out of range.
    check_reduction(reduction)
    kind = Abstract.of(prediction)
    return Abstract(kind.shape[:-1] if reduction == "none" else (), kind.dtype)


def _is_labels(prediction: Any, target: Any) -> bool:
    return getattr(target, "ndim", 0) < prediction.ndim


@functools.lru_cache(maxsize=64)
def _classes(count: int) -> Any:
    numbers = np.arange(count)
    numbers.flags.writeable = False
    return numbers


def _hot(prediction: Any, labels: Any, keep: Any, name: str) -> Any:
    """One row of bools per example, True at its label; ArgumentError for a label that is no class."""
    classes = prediction.shape[-1]
    if labels.dtype.kind not in "iu":
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
    """Which examples count (None for all), and how many, which is at least 1."""
    if ignore_index is None:
        return None, counted(labels)
    keep = np.not_equal(labels, ignore_index)
    return keep, np.maximum(np.sum(keep), 1).astype(prediction.dtype)


def _as_labels(target: Any) -> Any:
    return np.asarray(target) if type(target) is int else target


def _pick(scores: Any, hot: Any) -> Any:
    """The score at each example's label; a masked score of -inf elsewhere does no harm."""
    if type(scores) is np.ndarray and type(hot) is np.ndarray:
        return scores[hot].reshape(scores.shape[:-1])
    return np.sum(np.where(hot, scores, 0), axis=-1)


def _rows(g: Any, reduction: str, count: Any) -> Any:
    """The cotangent of each example, given that of the reduced loss, ready to be multiplied with its row."""
    return spread(g, reduction, count)[..., None] if reduction == "none" else spread(g, reduction, count)


def _batch(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    prediction, target = all_mapped(size, inputs, mapped)
    reduction, ignored = static["reduction"], static.get("ignore_index")
    count = None
    if ignored is not None and reduction == "mean":
        keep = np.not_equal(target, ignored)
        count = np.maximum(np.sum(keep, axis=tuple(range(1, target.ndim))), 1).astype(prediction.dtype)
    terms = op(prediction, target, **{**static, "reduction": "none"})
    if count is not None and terms.ndim == 1:
        return terms / count
    return reduced_per_example(terms, reduction, count)


def _smooth(distribution: Any, smoothing: float, classes: int) -> Any:
    return (1 - smoothing) * distribution + smoothing / classes


def _cross_entropy_target(
    g: Any, y: Any, residuals: Any, logits: Any, target: Any, reduction: str, label_smoothing: float, **_: Any
) -> Any:
    return _rows(g, reduction, residuals[1]) * ((label_smoothing - 1) * tm.log_softmax(logits))


@primitive(
    residuals=True,
    rrule=(
        lambda g, y, kept, logits, target, reduction, **_: kept[0] * _rows(g, reduction, kept[1]),
        _cross_entropy_target,
    ),
    frule=(
        lambda t, y, kept, logits, target, reduction, **_: reduced(np.sum(kept[0] * t, axis=-1), reduction, kept[1]),
        lambda t, y, kept, logits, target, reduction, label_smoothing, **_: reduced(
            np.sum((label_smoothing - 1) * tm.log_softmax(logits) * like(t, logits), axis=-1), reduction, kept[1]
        ),
    ),
    batch=_batch,
    abstract=_abstract,
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

    Float "*batch classes", and as target either Integer "*batch" (labels) or "*batch classes" (one-hot or soft; rows
    need not sum to 1) -> Float "", or Float "*batch" with `reduction="none"`. It is stable for any finite logits; with
    labels, logits of -inf (masked classes) are fine too.

    Examples whose label is `ignore_index` count for nothing, neither in the mean; the mean over no examples is 0.
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
        raise ArgumentError("cross_entropy: ignore_index is a label, but target holds probabilities.")
    else:
        count = _examples(logits)
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
    """The derivative of each example's term by its row, and the number of examples."""
    labels = _as_labels(target)
    keep, count = _kept(prediction, labels, ignore_index)
    hot = _hot(prediction, labels, keep, "nll")
    chosen = hot if keep is None else np.logical_and(hot, keep[..., None])
    return -chosen.astype(prediction.dtype), count


def _nll_pull(g: Any, y: Any, prediction: Any, target: Any, ignore_index: int | None, reduction: str) -> Any:
    slopes, count = _nll_slopes(prediction, target, ignore_index)
    return slopes * _rows(g, reduction, count)


def _nll_push(t: Any, y: Any, prediction: Any, target: Any, ignore_index: int | None, reduction: str) -> Any:
    slopes, count = _nll_slopes(prediction, target, ignore_index)
    return reduced(np.sum(slopes * t, axis=-1), reduction, count)


@primitive(rrule=(_nll_pull, None), frule=(_nll_push, None), batch=_batch, abstract=_abstract)
def nll(
    prediction: Logits, target: Labels, *, ignore_index: int | None = None, reduction: Reduction = "mean"
) -> PerExample:
    """The negative log-likelihood of labels, `-prediction[label]`, where prediction holds log-probabilities, in nats.

    Float "*batch classes", Integer "*batch" -> Float "", or Float "*batch" with `reduction="none"`. Examples whose
    label is `ignore_index` count for nothing. `nll(log_softmax(x), labels)` is `cross_entropy(x, labels)`.

    Raises ArgumentError for a label out of range.

    >>> nll(np.log(np.array([[0.5, 0.5], [0.25, 0.75]])), np.array([0, 1]), reduction="none")
    array([0.69314718, 0.28768207])
    """
    labels = _as_labels(target)
    keep, count = _kept(prediction, labels, ignore_index)
    terms = -_pick(prediction, _hot(prediction, labels, keep, "nll"))
    return reduced(terms if keep is None else np.where(keep, terms, 0), reduction, count)


def _log(probability: Any) -> Any:
    # 0 log 0 is 0, and the derivative there is finite: the logarithm of the least normal number.
    return np.log(np.maximum(probability, np.finfo(probability.dtype).tiny))


def _examples(prediction: Any) -> int:
    """The number of rows, at least 1."""
    return counted(prediction) // max(prediction.shape[-1], 1) or 1


@primitive(
    rrule=(
        lambda g, y, prediction, target, reduction: (
            -like(target, prediction) * _rows(g, reduction, _examples(prediction))
        ),
        lambda g, y, prediction, target, reduction: (
            (_log(like(target, prediction)) + 1 - prediction) * _rows(g, reduction, _examples(prediction))
        ),
    ),
    frule=(
        lambda t, y, prediction, target, reduction: reduced(np.sum(-like(target, prediction) * t, axis=-1), reduction),
        lambda t, y, prediction, target, reduction: reduced(
            np.sum((_log(like(target, prediction)) + 1 - prediction) * like(t, prediction), axis=-1), reduction
        ),
    ),
    batch=_batch,
    abstract=_abstract,
)
def kl_divergence(prediction: Logits, target: Probabilities, *, reduction: Reduction = "mean") -> PerExample:
    """The Kullback-Leibler divergence of prediction from target: `sum_c target_c (log target_c - prediction_c)`.

    Prediction holds log-probabilities, target probabilities; the result is in nats. Float "*batch classes",
    Float "*batch classes" -> Float "", or Float "*batch" with `reduction="none"`. Classes of probability 0 in the
    target add nothing.

    As everywhere in this package the mean is over examples, which PyTorch calls "batchmean".

    >>> target = np.array([[0.5, 0.5], [1.0, 0.0]])
    >>> kl_divergence(np.log(np.array([[0.5, 0.5], [0.5, 0.5]])), target, reduction="none")
    array([0.        , 0.69314718])
    """
    target = like(target, prediction)
    return reduced(np.sum(target * (_log(target) - prediction), axis=-1), reduction)


def _reciprocal(norm: Any) -> Any:
    # Vectors of norm 0 have no direction: similar to nothing, with derivative 0.
    return np.where(norm > 0, 1 / np.where(norm > 0, norm, 1), 0)


def _unit(x: Any) -> tuple[Any, Any]:
    """The vectors of length 1 along the last axis, and the reciprocals of the norms."""
    inverse = _reciprocal(np.sqrt(np.sum(np.square(x), axis=-1, keepdims=True)))
    return x * inverse, inverse


def _cosine_slopes(x: Any, other: Any) -> Any:
    """The derivative of `1 - cos(x, other)` by x, row by row."""
    direction, inverse = _unit(x)
    towards = _unit(other)[0]
    return (np.sum(direction * towards, axis=-1, keepdims=True) * direction - towards) * inverse


@primitive(
    rrule=(
        lambda g, y, prediction, target, reduction: (
            _cosine_slopes(prediction, like(target, prediction)) * _rows(g, reduction, _examples(prediction))
        ),
        lambda g, y, prediction, target, reduction: (
            _cosine_slopes(like(target, prediction), prediction) * _rows(g, reduction, _examples(prediction))
        ),
    ),
    frule=(
        lambda t, y, prediction, target, reduction: reduced(
            np.sum(_cosine_slopes(prediction, like(target, prediction)) * t, axis=-1), reduction
        ),
        lambda t, y, prediction, target, reduction: reduced(
            np.sum(_cosine_slopes(like(target, prediction), prediction) * like(t, prediction), axis=-1), reduction
        ),
    ),
    batch=_batch,
    abstract=_abstract,
)
def cosine_similarity(prediction: Vectors, target: VectorTargets, *, reduction: Reduction = "mean") -> PerExample:
    """How much the directions of two vectors differ: `1 - cos(prediction, target)`, 0 where they agree, 2 at most.

    Vectors stand on the last axis. Float "*batch n", Shaped "*batch n" -> Float "", or Float "*batch" with
    `reduction="none"`. It is one minus the cosine similarity, since a loss is made small. A vector of zeros is similar
    to nothing: the loss is 1, and its derivative 0.

    >>> cosine_similarity(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[2.0, 0.0], [-1.0, 1.0]]), reduction="none")
    array([0., 1.])
    """
    cosine = np.sum(_unit(prediction)[0] * _unit(like(target, prediction))[0], axis=-1)
    return reduced(1 - cosine, reduction)


__all__ = ["cosine_similarity", "cross_entropy", "kl_divergence", "nll"]
