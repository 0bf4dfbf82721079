"""The inputs of every case: ``inputs("gmm", "large")``. Every random number comes from a named seed."""

from typing import Any

import numpy as np

from ..workload import Array
from .hand import hand, measurements

NAMES = ("hello", "gmm", "ba", "ht", "lstm", "kmeans", "llsq", "lse", "ode", "det", "particle", "saddle")
SIZES = ("tiny", "middle", "large")
MODES = ("ff", "fr", "rf", "rr")
"""How particle and saddle take the derivatives of their outer and inner problem, forward or reverse."""

# About these values all cameras, points, weights and features of bundle adjustment lie.
CAMERA = [0.4, -0.3, 0.2, 0.5, -0.4, -6.0, 500.0, 12.0, -9.0, 0.06, -0.004]
POINT, WEIGHT, FEATURE = [0.8, 0.9, 1.1], 0.6, [40.0, 150.0]

OF_SIZE: dict[str, tuple[Any, Any, Any]] = {
    "hello": (3.0, 128.0, 16384.0),
    "gmm": ((3, 2, 8, 1, 0.7), (10, 25, 1000, 0, 1.0), (64, 100, 1000, 0, 1.0)),
    "ba": ((3, 4, 7), (21, 300, 1000), (49, 7776, 31843)),
    "ht": ((544, 10, False), (544, 100, True), (10_000, 800, True)),
    "lstm": ((2, 5, 3), (2, 1024, 14), (4, 4096, 14)),
    "kmeans": ((3, 20, 2), (10, 1000, 8), (100, 10_000, 16)),
    "llsq": ((9, 3), (1024, 128), (16_392, 128)),
    "lse": (5, 10_000, 1_280_000),
    "ode": ((4, 5, 1.0, 2.0), (30, 100, 5.0, 10.0), (10_000, 100, 0.0, 1.0)),
    "det": (3, 6, 8),
    "particle": ((0.1, 0.5, 1e-2), (0.1, 0.1, 1e-2), (0.0, 0.1, 1e-5)),
    "saddle": (((0.5, -0.25), 0.1), ((1.0, 1.0), 0.02), ((1.0, 1.0), 1e-5)),
}


def inputs(name: str, size: str) -> dict[str, Any]:
    """Make the inputs of one case. The derivatives of particle and saddle get a further one, "mode"."""
    given = OF_SIZE[name][SIZES.index(size)]
    return MAKERS[name](*(given if isinstance(given, tuple) else (given,)))


def hello(x: float) -> dict[str, Any]:
    """Make a number."""
    return {"x": x}


def gmm(d: int, k: int, n: int, m: int, gamma: float) -> dict[str, Any]:
    """Make n points of dimension d, and the parameters of k components; these are GradBench's draws for its seed."""
    rng = np.random.default_rng(31337)
    drawn = {"x": rng.normal(size=(n, d)), "alpha": rng.normal(size=k), "mu": rng.uniform(size=(k, d))}
    factors = {"q": rng.normal(size=(k, d)), "l": rng.normal(size=(k, d * (d - 1) // 2))}
    return {"d": d, "k": k, "n": n, "m": m, "gamma": gamma, **drawn, **factors}


def ba(n: int, m: int, p: int) -> dict[str, Array]:
    """Make n cameras, the last of which is not turned, m points, and p observations."""
    rng = np.random.default_rng(1)

    def around(base: Any, *shape: int) -> Array:
        return np.asarray(base) * (1 + 0.1 * rng.uniform(-1, 1, size=shape))

    cams, points, w, feats = around(CAMERA, n, 11), around(POINT, m, 3), around(WEIGHT, p), around(FEATURE, p, 2)
    cams[-1, :3] = 0
    return {"cams": cams, "X": points, "w": w, "feats": feats, "obs": np.arange(p)[:, None] % [n, m]}


def ht(vertices: int, measured: int, complicated: bool) -> dict[str, Any]:
    """Make a hand of so many vertices, and so many measured points, in the middle of triangles if complicated."""
    rng = np.random.default_rng(8)
    return {**hand(rng, vertices), **measurements(rng, vertices, measured, complicated)}


def lstm(layers: int, c: int, b: int) -> dict[str, Array]:
    """Make the weights of the layers for characters of b bits, and c random characters."""
    rng = np.random.default_rng(2)
    weights = {"main_params": rng.random((2 * layers, 4 * b)), "extra_params": rng.random((3, b))}
    return {**weights, "state": rng.random((2 * layers, b)), "sequence": rng.integers(0, 2, (c, b)).astype(float)}


def kmeans(k: int, n: int, d: int) -> dict[str, Array]:
    """Make n points of dimension d; the last k are the centroids, so that no cluster is empty."""
    points = np.random.default_rng(3).random((n, d))
    return {"points": points, "centroids": points[-k:].copy()}


def llsq(n: int, m: int) -> dict[str, Any]:
    """Make m coefficients."""
    return {"x": np.random.default_rng(4).random(m), "n": n}


def lse(n: int) -> dict[str, Array]:
    """Make n numbers; five of them overflow unless the largest is taken out first."""
    return {"x": np.array([1000.0, 1000.5, 999.0, -1000.0, 3.0]) if n == 5 else np.random.default_rng(5).random(n)}


def ode(n: int, s: int, low: float, high: float) -> dict[str, Any]:
    """Make n coefficients."""
    return {"x": np.random.default_rng(6).uniform(low, high, n), "s": s}


def det(ell: int) -> dict[str, Any]:
    """Make a matrix, flat."""
    return {"A": np.random.default_rng(7).random(ell * ell), "ell": ell}


def particle(w: float, dt: float, eta: float) -> dict[str, float]:
    """Name three numbers."""
    return {"w": w, "dt": dt, "eta": eta}


def saddle(start: tuple[float, float], eta: float) -> dict[str, Any]:
    """Name a place and a number."""
    return {"start": np.array(start), "eta": eta}


MAKERS = {
    "hello": hello,
    "gmm": gmm,
    "ba": ba,
    "ht": ht,
    "lstm": lstm,
    "kmeans": kmeans,
    "llsq": llsq,
    "lse": lse,
    "ode": ode,
    "det": det,
    "particle": particle,
    "saddle": saddle,
}
