"""The logarithm of a sum of exponentials, written out, and its gradient."""

from typing import Any

from ..evals import lse
from ..evaluation import Eval
from .loaded import jax, jnp


def log_sum_exp(x: Any) -> Any:
    """Compute log sum exp x; the largest is taken out, so that nothing overflows."""
    largest = jnp.max(x)
    return largest + jnp.log(jnp.sum(jnp.exp(x - largest)))


EVAL = Eval("lse", lse.arguments, log_sum_exp, jax.grad(log_sum_exp))
