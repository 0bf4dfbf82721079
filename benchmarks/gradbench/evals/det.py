"""The determinant by expansion along the first row, all minors of one order at once, and its gradient."""

from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs


def determinant(flat: Array, ell: int) -> Any:
    """Expand a matrix, given row by row: every minor becomes its own minors, down to order 1."""
    minors, factors = flat.reshape(1, ell, ell), np.ones(1)
    for order in range(ell, 1, -1):
        signs = (-1.0) ** np.arange(order)
        others = np.array([[column for column in range(order) if column != left] for left in range(order)])
        factors = (factors[:, None] * (minors[:, 0] * signs)).reshape(-1)
        minors = minors[:, 1:][:, :, others].transpose(0, 2, 1, 3).reshape(-1, order - 1, order - 1)
    return np.sum(factors * minors[:, 0, 0])


def arguments(inputs: Inputs) -> tuple[Array, int]:
    """Take the matrix, flat, and its order."""
    return inputs["A"], inputs["ell"]


EVAL = Eval("det", arguments, determinant, tm.grad(determinant), static=(1,))
