"""Hand tracking: the errors of a posed hand's vertices, and their Jacobian."""

from typing import Any

import numpy as np

from ..evals import ht
from ..evaluation import Eval
from .loaded import jax, jnp


def rotation_of_joint(x: Any, z: Any) -> Any:
    """Make the matrix of the rotation about x, then z."""
    one, zero = jnp.ones(()), jnp.zeros(())
    about_x = jnp.array([[one, zero, zero], [zero, jnp.cos(x), -jnp.sin(x)], [zero, jnp.sin(x), jnp.cos(x)]])
    about_z = jnp.array([[jnp.cos(z), -jnp.sin(z), zero], [jnp.sin(z), jnp.cos(z), zero], [zero, zero, one]])
    return about_z @ about_x


def rotation(v: Any) -> Any:
    """Make the matrix of the rotation about a vector by its length; the identity for a length below 1e-4."""
    squared = v @ v
    small = squared < 1e-8
    angle = jnp.sqrt(jnp.where(small, 1.0, squared))
    axis = v / angle
    cosine = jnp.cos(angle)
    matrix = cosine * jnp.eye(3) + jnp.sin(angle) * (ht.CROSS @ axis) + (1 - cosine) * jnp.outer(axis, axis)
    return jnp.where(small, jnp.eye(3), matrix)


def vertices(theta: Any, model: dict[str, Any], parents: ht.Parents, is_mirrored: bool) -> Any:
    """Compute all vertices of the posed hand."""
    bones = len(parents)
    angles = jnp.concatenate([theta, jnp.zeros(1)])
    joints = jax.vmap(rotation_of_joint)(angles[ht.X_PLACES], angles[ht.Z_PLACES])
    local = jnp.zeros((bones, 4, 4)).at[:, 3, 3].set(1).at[:, :3, :3].set(joints)
    relative = model["base_relatives"] @ local
    absolute: list[Any] = []
    for bone, parent in enumerate(parents):
        absolute.append(relative[bone] if parent < 0 else absolute[parent] @ relative[bone])
    transforms = (jnp.stack(absolute) @ model["inverse_base_absolutes"])[:, :3]
    posed = jnp.einsum("bij,vj,vb->vi", transforms, model["base_positions"], model["weights"])
    if is_mirrored:
        posed = posed * np.array([-1.0, 1.0, 1.0])
    return posed @ rotation(theta[:3]).T + theta[3:6]


def errors(
    theta: Any, us: Any, model: dict[str, Any], correspondences: Any, points: Any, parents: ht.Parents, mirrored: bool
) -> Any:
    """Compute the errors of all measured points."""
    found = vertices(theta, model, parents, mirrored)
    if len(us) == 0:
        return (points - found[correspondences]).reshape(-1)
    corners = found[model["triangles"][correspondences]]
    shares = jnp.concatenate([us, 1 - us.sum(1, keepdims=True)], axis=1)
    return (points - jnp.einsum("pc,pci->pi", shares, corners)).reshape(-1)


def jacobian(theta: Any, us: Any, *others: Any) -> Any:
    """Compute the Jacobian by theta, and before it, if there are `us`, the two columns by each row's own."""
    by_theta = jax.jacfwd(errors)(theta, us, *others)
    if len(us) == 0:
        return by_theta

    def along(column: int) -> Any:
        tangent = jnp.zeros_like(us).at[:, column].set(1)
        return jax.jvp(lambda us: errors(theta, us, *others), (us,), (tangent,))[1][:, None]

    return jnp.concatenate([along(0), along(1), by_theta], axis=1)


EVAL = Eval("ht", ht.arguments, errors, jacobian, ht.EVAL.static)
