"""The reductions of all losses, and the declaration of losses that are a sum over elements.

A loss computes in the dtype of its prediction and converts its target to that dtype, so a float32 model with labels
from `np.eye` stays a float32 model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from tapem import ArgumentError, Declaration, all_mapped, primitive

Reduction: TypeAlias = Literal["mean", "sum", "none"]

# A rule or a slope is called with arrays and with tracers alike.
Slope: TypeAlias = Callable[..., Any]


def check_reduction(reduction: str) -> None:
    """Raise ArgumentError for any reduction but "mean", "sum" and "none"."""
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f'reduction is {reduction!r}, but must be "mean", "sum" or "none".')


def reduced(terms: Any, reduction: str, count: Any = None) -> Any:
    """The mean or the sum of all terms, or the terms themselves; the mean over no terms is 0, not NaN.

    The mean divides the sum by `count`, by default the number of terms.

    >>> float(reduced(np.array([1.0, 2.0]), "mean")), float(reduced(np.zeros(0), "mean"))
    (1.5, 0.0)
    """
    if reduction == "none":
        return terms
    check_reduction(reduction)
    total = np.add.reduce(_wide(terms), axis=None)
    if reduction == "mean":
        total = total / (counted(terms) if count is None else count)
    return like(total, terms)


def spread(g: Any, reduction: str, count: Any) -> Any:
    """The cotangent of each term from that of the reduced loss; it broadcasts against the terms."""
    return g / count if reduction == "mean" else g


def _wide(terms: Any) -> Any:
    """Convert terms for their sum: float16 becomes float32, since its sum may overflow even if the mean does not."""
    return terms.astype(np.float32) if getattr(terms, "dtype", None) == np.float16 else terms


def counted(terms: Any) -> int:
    """The number of terms, at least 1."""
    return max(getattr(terms, "size", 1), 1)


def like(target: Any, prediction: Any) -> Any:
    """The target in the dtype of the prediction; Python numbers need no conversion, since their dtype is weak.

    A complex target stays, and loses nothing: the signature of the loss refuses it.
    """
    dtype = getattr(prediction, "dtype", None)
    own = getattr(target, "dtype", None)
    return target if dtype is None or own is None or own == dtype or own.kind == "c" else target.astype(dtype)


def reduced_per_example(terms: Any, reduction: str, count: Any = None) -> Any:
    """Reduce the terms of a batch of losses, whose batch axis is first, over all axes but that one."""
    axes = tuple(range(1, len(terms.shape)))
    if reduction == "none" or not axes:
        return terms
    totals = np.sum(_wide(terms), axis=axes)
    if reduction == "mean":
        totals = totals / (max(math.prod(terms.shape[1:]), 1) if count is None else count)
    return like(totals, terms)


def _batch_pointwise(
    op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    terms = op(*all_mapped(size, inputs, mapped), **{**static, "reduction": "none"})
    return reduced_per_example(terms, static["reduction"])


def pointwise(prediction_slope: Slope, target_slope: Slope, *, narrow: bool = False) -> Declaration:
    """Declare a loss that has one term per element, by the derivatives of a term with respect to its two operands.

    Both slopes are called as `(prediction, target, **static)`, with arrays or tracers of the same dtype; float16 is
    converted to float32 first, unless `narrow` is True.
    """

    def pull(slope: Slope) -> Slope:
        def rule(g: Any, _: Any, prediction: Any, target: Any, *, reduction: str, **static: Any) -> Any:
            share = spread(g, reduction, counted(prediction))
            return slope(prediction, like(target, prediction), **static) * share

        return rule

    def push(slope: Slope) -> Slope:
        def rule(t: Any, _: Any, prediction: Any, target: Any, *, reduction: str, **static: Any) -> Any:
            slopes = slope(prediction, like(target, prediction), **static)
            return reduced(slopes * like(t, prediction), reduction)

        return rule

    slopes = (prediction_slope, target_slope)
    return primitive(
        rrule=tuple(map(pull, slopes)), frule=tuple(map(push, slopes)), batch=_batch_pointwise, wide=not narrow
    )


__all__ = [
    "Reduction",
    "check_reduction",
    "counted",
    "like",
    "pointwise",
    "reduced",
    "reduced_per_example",
    "spread",
]
