"""Linear least squares: a polynomial that approximates the sign, and the gradient by its coefficients."""

from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs


def cost(x: Array, first: float, last: float, n: int) -> Any:
    """Compute half the sum of the squared errors at n points from the first to the last."""
    # The ends are arguments, so that a compiled program makes the points and their powers itself at each call.
    t = first + (last - first) / (n - 1) * np.arange(n)
    errors = np.sign(t) - np.vander(t, len(x), increasing=True) @ x
    return 0.5 * np.sum(np.square(errors))


def arguments(inputs: Inputs) -> tuple[Array, float, float, int]:
    """Take the coefficients, the interval from -1 to 1, and the number of points."""
    return inputs["x"], -1.0, 1.0, inputs["n"]


EVAL = Eval("llsq", arguments, cost, tm.grad(cost), static=(3,))
