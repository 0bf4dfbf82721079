"""Bundle adjustment: the errors of the projections, and their sparse Jacobian in compressed rows."""

from typing import Any

import numpy as np

from ..evals import ba
from ..evaluation import Eval, Function
from .loaded import jax, jnp


def rotated(r: Any, x: Any) -> Any:
    """Rotate x about r by its length."""
    squared = r @ r
    zero = squared == 0
    angle = jnp.sqrt(jnp.where(zero, 1.0, squared))
    axis = r / angle
    turned = x * jnp.cos(angle) + jnp.cross(axis, x) * jnp.sin(angle) + axis * (axis @ x) * (1 - jnp.cos(angle))
    return jnp.where(zero, x + jnp.cross(r, x), turned)


def projection_error(cam: Any, point: Any, w: Any, feat: Any) -> Any:
    """Compute the two errors of one observation."""
    seen = rotated(cam[:3], point - cam[3:6])
    image = seen[:2] / seen[2]
    s = image @ image
    image = image * (1 + cam[9] * s + cam[10] * s**2)
    return w * (image * cam[6] + cam[7:9] - feat)


def weight_error(w: Any) -> Any:
    """Compute the error of one weight."""
    return 1 - w**2


def errors(cams: Any, points: Any, w: Any, feats: Any, obs: Any) -> dict[str, Any]:
    """Compute all errors, an observation's two side by side."""
    projected = jax.vmap(projection_error)(cams[obs[:, 0]], points[obs[:, 1]], w, feats)
    return {"reproj_err": projected.reshape(-1), "w_err": weight_error(w)}


def values_of_jacobian(cams: Any, points: Any, w: Any, feats: Any, obs: Any) -> Any:
    """Compute the entries of the Jacobian of all errors by cameras, points and weights, row by row."""
    blocks = jax.vmap(jax.jacrev(projection_error, argnums=(0, 1, 2)))
    by_cam, by_point, by_w = blocks(cams[obs[:, 0]], points[obs[:, 1]], w, feats)
    rows = jnp.concatenate([by_cam, by_point, by_w[:, :, None]], axis=2)
    return jnp.concatenate([rows.reshape(-1), jax.vmap(jax.grad(weight_error))(w)])


def with_places(values_of: Function) -> Function:
    """Add the places of the entries, which NumPy computes faster than XLA."""

    def jacobian(prepared: Any) -> dict[str, Any]:
        cams, points, _, _, obs = prepared
        return ba.compressed_rows(values_of(prepared), len(cams), len(points), np.asarray(obs))

    return jacobian


EVAL = Eval("ba", ba.arguments, errors, values_of_jacobian)
