"""Which dtypes an annotation allows, and so which are drawn, which are tried, and which can be perturbed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.types import Operand, allows_dtype

FLOATS = tuple(np.dtype(name) for name in ("float64", "float32", "float16"))
"""The dtypes of real numbers, the most precise first."""
COMPLEX = tuple(np.dtype(name) for name in ("complex128", "complex64"))
"""The dtypes of complex numbers, the most precise first."""


def allows(leaf: Any, dtype: np.dtype[Any]) -> bool:
    """Whether one array type of an annotation allows a dtype; None allows all.

    >>> from jaxtyping import Float
    >>> allows(Float[np.ndarray, "n"], FLOATS[1]), allows(np.ndarray, np.dtype(bool))
    (True, True)
    """
    return leaf is None or allows_dtype(leaf, dtype)


def operand_allows(operand: Operand, dtype: np.dtype[Any]) -> bool:
    """Whether the annotation of an operand, which may be a union, allows a dtype."""
    return not operand.leaves or any(allows(leaf, dtype) for leaf in operand.leaves)


def only_discrete(operand: Operand) -> bool:
    """Whether the annotation of an operand allows nothing that can be perturbed, so that a gradient has no meaning."""
    return not any(operand_allows(operand, dtype) for dtype in (*FLOATS, *COMPLEX))


__all__ = ["COMPLEX", "FLOATS", "allows", "only_discrete", "operand_allows"]
