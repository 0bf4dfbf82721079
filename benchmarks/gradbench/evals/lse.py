"""The logarithm of a sum of exponentials, written out, and its gradient."""

from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs


def log_sum_exp(x: Array) -> Any:
    """Compute log sum exp x; the largest is taken out, so that nothing overflows."""
    largest = np.max(x)
    return largest + np.log(np.sum(np.exp(x - largest)))


def arguments(inputs: Inputs) -> tuple[Array]:
    """Take the vector."""
    return (inputs["x"],)


EVAL = Eval("lse", arguments, log_sum_exp, tm.grad(log_sum_exp))
