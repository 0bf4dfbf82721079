"""The part that losses of rows share: their terms are one per row of the last axis, not one per element.

An example is one row of the prediction: all other axes are axes of examples, and "mean" is the mean over examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from losses.reduction import check_reduction, counted, reduced_per_example, spread
from tapem import Real, ShapeDtype, Tensor, all_mapped

Logits: TypeAlias = Float[Tensor, "*batch classes"]
Probabilities: TypeAlias = Real[Tensor, "*batch classes"]
PerExample: TypeAlias = Float[Tensor, ""] | Float[Tensor, "*batch"]


def abstract_rows(prediction: Any, target: Any, *, reduction: str, **_: Any) -> ShapeDtype:
    """Shape and dtype of the loss. They cannot come from a call with ones, since a label 1 may be out of range."""
    check_reduction(reduction)
    kind = ShapeDtype.of(prediction)
    return ShapeDtype(kind.shape[:-1] if reduction == "none" else (), kind.dtype)


def examples(prediction: Any) -> int:
    """The number of rows, at least 1."""
    return counted(prediction) // max(prediction.shape[-1], 1) or 1


def per_row(g: Any, reduction: str, count: Any) -> Any:
    """The cotangent of each example, given that of the reduced loss, in a shape that broadcasts to its row."""
    return spread(g, reduction, count)[..., None] if reduction == "none" else spread(g, reduction, count)


def batch_rows(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    """The batch rule: the rows of all losses form one batch of rows, and the terms are then reduced loss by loss."""
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


__all__ = ["Logits", "PerExample", "Probabilities", "abstract_rows", "batch_rows", "examples", "per_row"]
