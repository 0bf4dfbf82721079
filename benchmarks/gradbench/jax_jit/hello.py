"""The square of a number, and its derivative."""

from typing import Any

from ..evals import hello
from ..evaluation import Eval
from .loaded import jax


def square(x: Any) -> Any:
    """Compute x^2."""
    return x * x


EVAL = Eval("hello", hello.arguments, square, jax.grad(square))
