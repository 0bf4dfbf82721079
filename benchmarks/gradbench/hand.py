"""A random hand: a skeleton of the sizes of a hand's, vertices about its bones, and measured points."""

from typing import Any

import numpy as np

from ..workload import Array

PARENTS = np.array([-1, *(0 if bone % 4 == 1 else bone - 1 for bone in range(1, 22))])
"""The wrist; five fingers of a root and three joints; and the forearm, which hangs on the wrist too."""

SURFACE = 544
"""Triangles use vertices up to this one only."""

TRIANGLES = 1084


def hand(rng: np.random.Generator, vertices: int) -> dict[str, Any]:
    """Make the model at rest: matrices of the bones, and vertices that follow up to three bones each."""
    bones = len(PARENTS)
    relatives = np.tile(np.eye(4), (bones, 1, 1))
    # Any matrix has a QR decomposition, and Q is a rotation or a reflection.
    turns = np.linalg.qr(rng.normal(size=(bones, 3, 3)))[0]
    relatives[:, :3, :3] = turns * np.sign(np.linalg.det(turns))[:, None, None]
    relatives[:, :3, 3] = rng.normal(scale=0.4, size=(bones, 3))
    absolutes: list[Array] = []
    for bone, parent in enumerate(PARENTS):
        absolutes.append(relatives[bone] if parent < 0 else absolutes[parent] @ relatives[bone])
    followed = rng.integers(0, bones, (vertices, 3))
    weights = np.zeros((vertices, bones))
    np.add.at(weights, (np.arange(vertices)[:, None], followed), rng.dirichlet(np.ones(3), vertices))
    places = np.stack(absolutes)[followed[:, 0], :3, 3] + rng.normal(scale=0.1, size=(vertices, 3))
    return {
        "parents": PARENTS,
        "base_relatives": relatives,
        "inverse_base_absolutes": np.linalg.inv(np.stack(absolutes)),
        "base_positions": np.concatenate([places, np.ones((vertices, 1))], axis=1),
        "weights": weights,
        "triangles": rng.integers(0, SURFACE, (TRIANGLES, 3)),
    }


def measurements(rng: np.random.Generator, vertices: int, measured: int, complicated: bool) -> dict[str, Any]:
    """Make a pose, and points that belong to vertices, or to places within triangles."""
    inside = rng.dirichlet(np.ones(3), measured)[:, :2]
    return {
        "theta": rng.normal(scale=0.3, size=26),
        "points": rng.normal(size=(measured, 3)),
        "us": inside if complicated else np.zeros((0, 2)),
        "correspondences": rng.integers(0, TRIANGLES if complicated else vertices, measured),
        "is_mirrored": complicated,
    }
