"""Checks: what ops refuse by their values, as expressions that say whether all is fine.

Where an op is taken apart, its check becomes a guard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tapem.core import ShapeDtype


def labels(scores: Any, labels: Any, ignore_index: Any, **_: Any) -> Any:
    """Every label is a class, or is ignored."""
    kind, classes = ShapeDtype.of(labels), np.shape(scores)[-1]
    if kind.dtype.kind not in "iu" or kind.ndim == np.ndim(scores) or not kind.size:
        return None
    known = (labels >= 0) & (labels < classes)
    return np.all(known if ignore_index is None else known | (labels == ignore_index))


CHECKS: Mapping[str, Callable[..., Any]] = {
    "cross_entropy": labels,
    "nll": labels,
}
"""From the name of an op to its check, a function of operands and static arguments; it returns None for no check."""


__all__ = ["CHECKS"]
