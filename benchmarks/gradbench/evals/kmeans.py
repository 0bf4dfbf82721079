"""The cost of k-means, and its Newton step: the gradient by the centroids over the diagonal of the Hessian."""

from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs


def cost(centroids: Array, points: Array) -> Any:
    """Sum the squares of the distances of the points to their nearest centroids."""
    # |p - c|^2 = |p|^2 + (|c|^2 - 2 p c), of which the nearest centroid decides the second term alone.
    nearest = np.min(np.sum(np.square(centroids), axis=1) + points @ (-2 * centroids).T, axis=1)
    return np.sum(np.square(points)) + np.sum(nearest)


def newton_step(centroids: Array, points: Array) -> Array:
    """Divide the gradient by the Hessian, which is diagonal, so that its product with ones is all of it."""

    def gradient(c: Array) -> Array:
        return tm.grad(cost)(c, points)

    by_centroids, diagonal = tm.jvp(gradient, (centroids,), (np.ones_like(centroids),))
    return by_centroids / diagonal


def arguments(inputs: Inputs) -> tuple[Array, Array]:
    """Take the centroids and the points."""
    return inputs["centroids"], inputs["points"]


EVAL = Eval("kmeans", arguments, cost, newton_step)
