"""The dtypes in which ops compute: ops sum float16 in float32, and results have the dtype of the operands."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_dtype(x: Any, dtype: Any) -> Any:
    """The values in this dtype; complex ones stay as they are, and lose nothing: the op's signature refuses them."""
    return x if x.dtype == dtype or x.dtype.kind == "c" else x.astype(dtype)


def wide(x: Any) -> Any:
    """The values in a dtype in which sums of squares do not overflow: float32 in place of float16."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def promoted(x: Any, *others: Any) -> Any:
    """The dtype of a result that is computed from these values."""
    dtype = x.dtype
    for other in others:
        if other.dtype != dtype:
            dtype = np.promote_types(dtype, other.dtype)
    return dtype


__all__ = ["as_dtype", "promoted", "wide"]
