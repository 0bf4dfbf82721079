"""The log posterior of a Gaussian mixture with a Wishart prior, and its gradient."""

import math
from typing import Any

import numpy as np

from ..evals import gmm
from ..evaluation import Eval
from .loaded import jax, jnp


def log_posterior(params: dict[str, Any], x: Any, gamma: Any, m: int) -> Any:
    """Compute the log posterior of the parameters, given the points x and the prior's gamma and m."""
    alpha, mu, q, below = (params[name] for name in ("alpha", "mu", "q", "l"))
    (n, d), k = x.shape, len(alpha)
    columns, rows = np.triu_indices(d, 1)
    factors = jnp.zeros((k, d, d)).at[:, rows, columns].set(below) + jnp.exp(q)[:, :, None] * jnp.eye(d)
    z = (x @ factors.reshape(k * d, d).T).reshape(n, k, d) - jnp.einsum("kij,kj->ki", factors, mu)
    beta = alpha + q.sum(1) - 0.5 * (z * z).sum(2)
    normalizer = n * (d / 2 * math.log(2 * math.pi) + jax.nn.logsumexp(alpha))
    likelihood = jax.nn.logsumexp(beta, axis=1).sum() - normalizer
    freedom = d + m + 1
    constant = k * (freedom * d * jnp.log(gamma / math.sqrt(2)) - gmm.log_gamma(freedom / 2, d))
    return likelihood + constant - gamma**2 / 2 * (factors * factors).sum() + m * q.sum()


EVAL = Eval("gmm", gmm.arguments, log_posterior, jax.grad(log_posterior), gmm.EVAL.static)
