"""The log posterior of a Gaussian mixture with a Wishart prior, and its gradient."""

import math
from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs


def log_posterior(params: dict[str, Array], x: Array, gamma: float, m: int) -> Any:
    """Compute the log posterior of the parameters, given the points x and the prior's gamma and m."""
    alpha, mu, q, below = (params[name] for name in ("alpha", "mu", "q", "l"))
    (n, d), k = x.shape, len(alpha)
    # The components come last, so that NumPy's inner loops are long: factors[r, c, k], z[r, i, k].
    factors = lower_triangular(np.exp(q), below)
    z = x @ factors - np.sum(factors * mu.T, axis=1)[:, None]
    beta = alpha + np.sum(q, axis=1) - 0.5 * np.sum(np.square(z), axis=0)
    normalizer = n * (d / 2 * math.log(2 * math.pi) + tm.logsumexp(alpha))
    likelihood = np.sum(tm.logsumexp(beta, axis=1)) - normalizer
    freedom = d + m + 1
    constant = k * (freedom * d * np.log(gamma / math.sqrt(2)) - log_gamma(freedom / 2, d))
    return likelihood + constant - gamma**2 / 2 * np.sum(np.square(factors)) + m * np.sum(q)


def lower_triangular(diagonal: Array, below: Array) -> Array:
    """Make one lower triangular matrix per row; the entries below the diagonal are given column by column."""
    k, d = diagonal.shape
    columns, rows = np.triu_indices(d, 1)
    place = np.full((d, d), d + len(rows))
    place[np.arange(d), np.arange(d)] = np.arange(d)
    place[rows, columns] = d + np.arange(len(rows))
    return np.concatenate([diagonal, below, np.zeros((k, 1))], axis=1).T[place]


def log_gamma(a: float, d: int) -> float:
    """Compute the logarithm of the multivariate gamma function."""
    return d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma(a - j / 2) for j in range(d))


def arguments(inputs: Inputs) -> tuple[dict[str, Array], Array, float, int]:
    """Take the parameters as a dict, the points, and the prior."""
    return {name: inputs[name] for name in ("alpha", "mu", "q", "l")}, inputs["x"], inputs["gamma"], inputs["m"]


EVAL = Eval("gmm", arguments, log_posterior, tm.grad(log_posterior), static=(3,))
