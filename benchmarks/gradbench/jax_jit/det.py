"""The determinant by expansion along the first row, all minors of one order at once, and its gradient."""

from typing import Any

import numpy as np

from ..evals import det
from ..evaluation import Eval
from .loaded import jax, jnp


def determinant(flat: Any, ell: int) -> Any:
    """Expand a matrix, given row by row: every minor becomes its own minors, down to order 1."""
    minors, factors = flat.reshape(1, ell, ell), jnp.ones(1)
    for order in range(ell, 1, -1):
        others = np.array([[column for column in range(order) if column != left] for left in range(order)])
        factors = (factors[:, None] * minors[:, 0, :] * (-1.0) ** np.arange(order)).reshape(-1)
        minors = minors[:, 1:, :][:, :, others].transpose(0, 2, 1, 3).reshape(-1, order - 1, order - 1)
    return (factors * minors[:, 0, 0]).sum()


EVAL = Eval("det", det.arguments, determinant, jax.grad(determinant), det.EVAL.static)
