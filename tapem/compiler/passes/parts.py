"""Parts: what ops are made of, written as NumPy.

An op without a function here is made of what its own implementation does, which tracers can run. Values are those of
the implementation to rounding; infinities, NaN and ties are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core import ShapeDtype


def linear(weight: Any, bias: Any, x: Any) -> Any:
    """A product of matrices, with all axes of examples as one, and a sum."""
    *batch, width = np.shape(x)
    rows = x if len(batch) <= 1 else np.reshape(x, (math.prod(batch), width))
    product = np.dot(rows, np.transpose(weight))
    return (product if len(batch) <= 1 else np.reshape(product, (*batch, np.shape(weight)[0]))) + bias


def clamp(x: Any, lo: Any, hi: Any) -> Any:
    """The lower bound first: of two that cross, the upper one counts."""
    x = x if lo is None else np.maximum(x, lo)
    return x if hi is None else np.minimum(x, hi)


# -- exponentials over their sum ---------------------------------------------------------------------------------------


def softmax(x: Any, axis: Any) -> Any:
    """Exponentials over their sum."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def softmax_or_zero(x: Any, axis: Any) -> Any:
    """The same; zeros if all is -inf, and equal shares for elements inf."""
    greatest = np.max(x, axis=axis, keepdims=True)
    e = np.where(x == greatest, np.where(greatest > -np.inf, 1.0, 0.0), np.exp(x - greatest))
    total = np.sum(e, axis=axis, keepdims=True)
    return e / np.where(total == 0, 1.0, total)


def log_softmax(x: Any, axis: Any) -> Any:
    """Logarithms of the exponentials over their sum."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    """The logarithm of a sum of exponentials, from which the greatest is taken out."""
    greatest = np.max(x, axis=axis, keepdims=True)
    greatest = np.where(np.isfinite(greatest), greatest, 0.0)
    value = np.log(np.sum(np.exp(x - greatest), axis=axis, keepdims=True)) + greatest
    return value if keepdims else np.reshape(value, without(np.shape(x), axis))


def attention_weights(q: Any, k: Any, mask: Any) -> Any:
    """The softmax of all products of queries and keys; a row in which every key is masked is zeros."""
    scores = np.matmul(q, np.swapaxes(k, -1, -2))
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    greatest = np.max(scores, axis=-1, keepdims=True)
    if mask is not None:
        greatest = np.maximum(greatest, np.finfo(scores.dtype).min)
    e = np.exp(scores - greatest)
    total = np.sum(e, axis=-1, keepdims=True)
    if mask is not None:
        total = np.where(total == 0, 1.0, total)
    weights = e * (1 / total)
    return weights, weights


def cross_entropy(logits: Any, target: Any, *, reduction: str, **_: Any) -> Any:
    """The loss for labels, and its slopes; the score of a label is found by its place."""
    count, classes = np.size(target), np.shape(logits)[-1]
    shifted = logits - np.max(logits, axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = np.sum(exponentials, axis=-1, keepdims=True)
    places = np.reshape(target, (count,)).astype(np.intp) + np.arange(count) * classes
    scores = np.take(np.reshape(shifted, (count * classes,)), places)
    terms = np.reshape(np.log(totals), np.shape(target)) - np.reshape(scores, np.shape(target))
    hot = (np.expand_dims(target, -1) == np.arange(classes)).astype(logits.dtype)
    total = terms if reduction == "none" else np.sum(terms)
    return (total / count if reduction == "mean" else total), (exponentials / totals - hot, float(count))


# -- statistics --------------------------------------------------------------------------------------------------------


def mean(x: Any, axis: Any, keepdims: bool) -> Any:
    """A sum over the number of elements."""
    total = np.sum(x, axis=axis, keepdims=keepdims)
    return total / (np.size(x) // max(np.size(total), 1))


def var(x: Any, axis: Any, ddof: float, keepdims: bool) -> Any:
    """The mean of the squared distances from the mean."""
    distance = x - mean(x, axis, True)
    total = np.sum(distance * distance, axis=axis, keepdims=keepdims)
    return total / (np.size(x) // max(np.size(total), 1) - ddof)


def norm(x: Any, axis: Any, keepdims: bool, ord: float) -> Any:
    """The square root of the sum of squares of x over its greatest element, so that squares do not overflow."""
    size = np.abs(x)
    if ord == 1:
        return np.sum(size, axis=axis, keepdims=keepdims)
    greatest = np.max(size, axis=axis, keepdims=True)
    if ord == np.inf:
        return greatest if keepdims else np.reshape(greatest, without(np.shape(x), axis))
    scale = np.where((greatest > 0) & (greatest < np.inf), greatest, 1.0)
    ratio = x / scale
    value = np.sqrt(np.sum(ratio * ratio, axis=axis, keepdims=True)) * scale
    return value if keepdims else np.reshape(value, without(np.shape(x), axis))


def ties(x: Any, extreme: Any, axis: Any) -> Any:
    """The share of each element in the extreme."""
    equal = ((x == extreme) | (np.isnan(x) & np.isnan(extreme))).astype(x.dtype)
    return equal / np.sum(equal, axis=axis, keepdims=True)


def without(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """A shape without some axes."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    gone = {number % len(shape) for number in axes}
    return tuple(size for number, size in enumerate(shape) if number not in gone)


def can_be_taken_apart(name: str, part: Any, static: Mapping[str, Any], kinds: Sequence[ShapeDtype]) -> bool:
    """Whether the parts compute what the op does for these static arguments, and for operands of these kinds."""
    if part is cross_entropy:
        scores, target = kinds
        labels = target.dtype.kind in "iu" and 0 < target.ndim < scores.ndim
        return labels and static["ignore_index"] is None and static["label_smoothing"] == 0
    if name == "norm":
        return static["ord"] in (1, 2, np.inf)
    return name != "var" or static["ddof"] == 0


AFFINE: Mapping[str, Callable[..., Any] | None] = {"linear": linear}

LABELED: Mapping[str, Callable[..., Any] | None] = {"cross_entropy": cross_entropy}
"""Ops of labels; where these are constants, much of the work is done once."""

PARTS: Mapping[str, Callable[..., Any] | None] = {
    "attention_weights": attention_weights,
    "clamp": clamp,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "mean": mean,
    "norm": norm,
    "softmax": softmax,
    "softmax_or_zero": softmax_or_zero,
    "ties": ties,
    "var": var,
    **dict.fromkeys(
        """
        softplus silu elu leaky_relu gelu odd_power even_power
        layer_norm rms_norm group_norm instance_norm batch_norm_training global_avg_pool
        scaled_dot_product_attention multi_head_attention gru_cell lstm_cell
        mse mae huber smooth_l1 log_cosh bce_with_logits hinge poisson_nll
        cross_entropy nll kl_divergence cosine_similarity
        """.split()
    ),
}
"""From the name of an op to what it is made of; None stands for its implementation."""


__all__ = ["AFFINE", "LABELED", "PARTS", "can_be_taken_apart"]
