"""Hand tracking: the errors of a posed hand's vertices, and their Jacobian, which is tall and has few columns."""

from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs

FINGERS = 4 * np.arange(5)
# theta's places of each bone's angles about z and x; place 26 holds the angle 0 of a bone that is no joint.
Z_PLACES = np.full(22, 26)
Z_PLACES[2 + FINGERS] = 7 + FINGERS
X_PLACES = np.full(22, 26)
X_PLACES[2 + FINGERS], X_PLACES[3 + FINGERS], X_PLACES[4 + FINGERS] = 6 + FINGERS, 8 + FINGERS, 9 + FINGERS

# A rotation about an axis is a sum: what it keeps, what it scales by the cosine, and what it scales by the sine.
KEPT_BY_Z, COSINE_OF_Z, SINE_OF_Z = np.diag([0.0, 0, 1, 1]), np.diag([1.0, 1, 0, 0]), np.zeros((4, 4))
SINE_OF_Z[1, 0], SINE_OF_Z[0, 1] = 1, -1
KEPT_BY_X, COSINE_OF_X, SINE_OF_X = np.diag([1.0, 0, 0, 1]), np.diag([0.0, 1, 1, 0]), np.zeros((4, 4))
SINE_OF_X[2, 1], SINE_OF_X[1, 2] = 1, -1

# CROSS @ v is the matrix of the cross product with v.
CROSS = np.zeros((3, 3, 3))
CROSS[1, 2, 0] = CROSS[2, 0, 1] = CROSS[0, 1, 2] = -1
CROSS[2, 1, 0] = CROSS[0, 2, 1] = CROSS[1, 0, 2] = 1

Model = dict[str, Array]
Parents = tuple[int, ...]


def levels(parents: Parents) -> list[list[int]]:
    """Group the bones by their distance from a root."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return [[bone for bone, found in enumerate(depth) if found == level] for level in range(max(depth) + 1)]


def rotation(v: Array) -> Array:
    """Make the matrix of the rotation about a vector by its length; the identity for a length below 1e-4."""
    squared = v @ v
    small = squared < 1e-8
    angle = np.sqrt(np.where(small, 1.0, squared))
    axis = v / angle
    cosine = np.cos(angle)
    matrix = cosine * np.eye(3) + np.sin(angle) * (CROSS @ axis) + (1 - cosine) * np.outer(axis, axis)
    return np.where(small, np.eye(3), matrix)


def transforms(theta: Array, model: Model, parents: Parents) -> Array:
    """Compute where each bone takes the points of the hand at rest: one homogeneous matrix per bone."""
    angles = np.concatenate([theta, np.zeros(1)])
    z, x = angles[Z_PLACES][:, None, None], angles[X_PLACES][:, None, None]
    about_z = KEPT_BY_Z + np.cos(z) * COSINE_OF_Z + np.sin(z) * SINE_OF_Z
    about_x = KEPT_BY_X + np.cos(x) * COSINE_OF_X + np.sin(x) * SINE_OF_X
    relative = model["base_relatives"] @ (about_z @ about_x)
    first, *further = levels(parents)
    absolute = [relative[first]]
    above = first
    for level in further:
        places = [above.index(parents[bone]) for bone in level]
        absolute.append(absolute[-1][places] @ relative[level])
        above = level
    order = np.argsort([bone for level in [first, *further] for bone in level])
    return np.concatenate(absolute)[order] @ model["inverse_base_absolutes"]


def vertices(theta: Array, model: Model, parents: Parents, is_mirrored: bool) -> Array:
    """Compute all vertices of the posed hand."""
    # The rotation of the whole hand turns the few matrices, not the many vertices.
    global_rotation = rotation(theta[:3]) * (np.array([-1.0, 1.0, 1.0]) if is_mirrored else 1.0)
    matrices = global_rotation @ transforms(theta, model, parents)[:, :3]
    # One product with all bones: weighted[v, (b, j)] times matrices[(b, j), i]
    weighted = (model["weights"][:, :, None] * model["base_positions"][:, None]).reshape(-1, 4 * len(parents))
    return weighted @ matrices.transpose(0, 2, 1).reshape(-1, 3) + theta[3:6]


def corners(theta: Array, model: Model, correspondences: Array, parents: Parents, is_mirrored: bool) -> Array:
    """Take the vertices that the measured points lie at, or the three around each of them."""
    found = model["triangles"][correspondences] if model["triangles"].size else correspondences
    return vertices(theta, model, parents, is_mirrored)[found]


def residuals(us: Array, around: Array, points: Array) -> Array:
    """Compute how far the points are from their places on the hand, which `us` says within each triangle."""
    if len(us) == 0:
        return (points - around).reshape(-1)
    u, v = us[:, :1], us[:, 1:]
    return (points - (u * around[:, 0] + v * around[:, 1] + (1 - u - v) * around[:, 2])).reshape(-1)


def errors(
    theta: Array, us: Array, model: Model, correspondences: Array, points: Array, parents: Parents, is_mirrored: bool
) -> Array:
    """Compute the errors of all measured points."""
    return residuals(us, corners(theta, model, correspondences, parents, is_mirrored), points)


def jacobian(
    theta: Array, us: Array, model: Model, correspondences: Array, points: Array, parents: Parents, is_mirrored: bool
) -> Array:
    """Compute the Jacobian by theta, and before it, if there are `us`, the two columns by each row's own."""

    def by_theta(theta: Array) -> tuple[Array, Array]:
        around = corners(theta, model, correspondences, parents, is_mirrored)
        return residuals(us, around, points), around

    columns, around = tm.jacfwd(by_theta, has_aux=True)(theta)
    if len(us) == 0:
        return columns

    def along(direction: list[float]) -> Any:
        tangent = np.broadcast_to(np.array(direction), us.shape)
        return tm.jvp(lambda us: residuals(us, around, points), (us,), (tangent,))[1][:, None]

    return np.concatenate([along([1.0, 0.0]), along([0.0, 1.0]), columns], axis=1)


def arguments(inputs: Inputs) -> tuple[Any, ...]:
    """Take the pose, the model as a dict, the measurements, and as static values the skeleton and the side."""
    names = ("base_relatives", "inverse_base_absolutes", "base_positions", "weights", "triangles")
    model = {name: inputs[name] for name in names}
    if not inputs["us"].size:
        model["triangles"] = model["triangles"][:0]
    parents = tuple(int(parent) for parent in inputs["parents"])
    measured = inputs["correspondences"], inputs["points"]
    return inputs["theta"], inputs["us"], model, *measured, parents, bool(inputs["is_mirrored"])


EVAL = Eval("ht", arguments, errors, jacobian, static=(5, 6))
