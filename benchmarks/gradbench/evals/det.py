"""The determinant by expansion along the first row, all minors of one order at once, and its gradient."""

from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs


def determinant(flat: Array, ell: int) -> Any:
    """Expand a matrix, given row by row: every minor becomes its own minors, down to order 1."""
    matrix = flat.reshape(ell, ell)
    products: Any = np.ones(1)  # for every minor, the product of the entries that it is multiplied by
    signs, columns = np.ones(1), np.arange(ell)[None]  # its sign, and the columns that are left in it
    for row in range(ell):
        order = ell - row
        others = np.array([[column for column in range(order) if column != left] for left in range(order)], int)
        products = (products[:, None] * matrix[row, columns]).reshape(-1)
        signs = (signs[:, None] * (-1.0) ** np.arange(order)).reshape(-1)
        columns = columns[:, others].reshape(len(signs), order - 1)
    return np.sum(products * signs)


def arguments(inputs: Inputs) -> tuple[Array, int]:
    """Take the matrix, flat, and its order."""
    return inputs["A"], inputs["ell"]


EVAL = Eval("det", arguments, determinant, tm.grad(determinant), static=(1,))
