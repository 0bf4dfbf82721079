"""The square of a number, and its derivative."""

import tapem as tm

from ..evaluation import Eval, Inputs


def square(x: float) -> float:
    """Compute x^2."""
    return x * x


def arguments(inputs: Inputs) -> tuple[float]:
    """Take the number."""
    return (inputs["x"],)


EVAL = Eval("hello", arguments, square, tm.grad(square))
