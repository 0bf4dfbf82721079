"""Products of matrices and what is computed from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Shaped

from tapem.declare import primitive
from tapem.signature import Tensor

T = Shaped[Tensor, "..."]


def _swap(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


@primitive(
    rrule=(lambda g, y, a, b: np.matmul(g, b.T), lambda g, y, a, b: np.matmul(a.T, g)),
    frule=(lambda t, y, a, b: np.matmul(t, b), lambda t, y, a, b: np.matmul(a, t)),
    numpy=[np.matmul],
)
def matmul(a: T, b: T) -> T:
    """Matmul."""
    return np.matmul(a, b)
