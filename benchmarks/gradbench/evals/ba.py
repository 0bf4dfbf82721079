"""Bundle adjustment: the errors of the projections, and their sparse Jacobian in compressed rows.

An observation's errors depend on its own camera, point and weight alone. So the Jacobian has 15 columns per row that
need computing, and one pullback per coordinate of the image gives them for all observations at once.
"""

from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs


def rotated(r: Array, x: Array) -> Array:
    """Rotate each column of x about the vector in the same column of r, by its length."""
    squared = np.sum(np.square(r), axis=0)
    zero = squared == 0
    angle = np.sqrt(np.where(zero, 1.0, squared))
    cosine = np.cos(angle)
    across = np.cross(r, x, axis=0)
    along = r * (np.sum(r * x, axis=0) * (1 - cosine) / np.square(angle))
    return np.where(zero, x + across, x * cosine + across * (np.sin(angle) / angle) + along)


def projection_errors(cams: Array, points: Array, w: Array, feats: Array) -> Array:
    """Compute the errors of all observations; the last axis of every array counts them."""
    seen = rotated(cams[:3], points - cams[3:6])
    image = seen[:2] / seen[2]
    s = np.sum(np.square(image), axis=0)
    distorted = image * (1 + cams[9] * s + cams[10] * np.square(s))
    return w * (cams[6] * distorted + cams[7:9] - feats)


def weight_errors(w: Array) -> Array:
    """Compute the errors of the weights."""
    return 1 - np.square(w)


def observed(cams: Array, points: Array, w: Array, feats: Array, obs: Array) -> tuple[Array, Array, Array, Array]:
    """Give each observation its camera and its point."""
    return cams.T[:, obs[:, 0]], points.T[:, obs[:, 1]], w, feats.T


def errors(cams: Array, points: Array, w: Array, feats: Array, obs: Array) -> dict[str, Array]:
    """Compute all errors, an observation's two side by side."""
    projected = projection_errors(*observed(cams, points, w, feats, obs))
    return {"reproj_err": projected.T.reshape(-1), "w_err": weight_errors(w)}


def jacobian(cams: Array, points: Array, w: Array, feats: Array, obs: Array) -> dict[str, Array]:
    """Compute the Jacobian of all errors by cameras, points and weights, in compressed rows."""
    cameras, places, w, features = observed(cams, points, w, feats, obs)
    _, pullback = tm.vjp(lambda *inputs: projection_errors(*inputs, feats=features), cameras, places, w)
    rows: list[Any] = []
    for coordinate in np.eye(2):
        by_cams, by_points, by_w = pullback(np.repeat(coordinate[:, None], len(w), axis=1))
        rows.append(np.concatenate([by_cams, by_points, by_w[None]]).T)
    _, pullback = tm.vjp(weight_errors, w)
    values = np.concatenate([np.stack(rows, axis=1).reshape(-1), *pullback(np.ones(len(w)))])
    return compressed_rows(values, len(cams), len(points), obs)


def compressed_rows(values: Array, n: int, m: int, obs: Array) -> dict[str, Array]:
    """Say where the values stand: columns 0 to 11n are the cameras', then 3m the points', then one per weight."""
    p = len(obs)
    weights = 11 * n + 3 * m + np.arange(p)
    places = [11 * obs[:, :1] + np.arange(11), 11 * n + 3 * obs[:, 1:] + np.arange(3), weights[:, None]]
    columns = np.concatenate(places, axis=1)
    return {
        "rows": np.concatenate([15 * np.arange(2 * p + 1), 30 * p + 1 + np.arange(p)]),
        "cols": np.concatenate([np.repeat(columns, 2, axis=0).reshape(-1), weights]),
        "vals": values,
    }


def arguments(inputs: Inputs) -> tuple[Array, ...]:
    """Take the cameras, points, weights, features, and who observes what."""
    return tuple(inputs[name] for name in ("cams", "X", "w", "feats", "obs"))


EVAL = Eval("ba", arguments, errors, jacobian)
