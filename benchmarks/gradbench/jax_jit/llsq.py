"""Linear least squares: a polynomial that approximates the sign, and the gradient by its coefficients."""

from typing import Any

from ..evals import llsq
from ..evaluation import Eval
from .loaded import jax, jnp


def cost(x: Any, first: Any, last: Any, n: int) -> Any:
    """Compute half the sum of the squared errors at n points from the first to the last."""
    t = first + (last - first) / (n - 1) * jnp.arange(n)
    factors = jnp.broadcast_to(t[:, None], (n, len(x) - 1))
    powers = jnp.cumprod(jnp.concatenate([jnp.ones((n, 1)), factors], axis=1), axis=1)
    errors = jnp.sign(t) - powers @ x
    return 0.5 * errors @ errors


EVAL = Eval("llsq", llsq.arguments, cost, jax.grad(cost), llsq.EVAL.static)
