"""Normalisation of each example by itself: layer_norm and rms_norm over the last axis.

Both keep from the forward pass what their closed-form derivatives need: the normalised values, and by how much every
row was scaled. Statistics of float16 are taken in float32, which neither overflows nor loses small variances.
"""

# Rules run on arrays and on tracers alike, so their operands have no type that a checker could follow.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from layers.ops.linear import rows
from tapem import ArgumentError, Tensor, Thunk, primitive


def check_eps(op: str, eps: Any) -> float:
    """The number that is added to a variance; ArgumentError unless it is positive."""
    known = type(eps) is float or (isinstance(eps, int | float | np.floating) and not isinstance(eps, bool))
    if not (known and 0 < eps < math.inf):
        raise ArgumentError(
            f"{op}: eps is {eps!r}, but must be a positive number: it keeps values and derivatives finite where all "
            "elements are equal."
        )
    return float(eps)


def all_arrays(*values: Any) -> bool:
    """Whether these are arrays, in which case what was made here may be changed in place."""
    return all(type(value) is np.ndarray for value in values)


def wide(x: Any) -> Any:
    """The values in a dtype in which sums of squares are safe: float32 in place of float16."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def as_dtype(x: Any, dtype: Any) -> Any:
    """The values in this dtype."""
    return x if x.dtype == dtype else x.astype(dtype)


@functools.lru_cache(maxsize=64)
def ones(count: int, dtype: Any) -> Any:
    """A vector of ones, which nobody may change: a sum as a product with it is one call to BLAS."""
    vector = np.ones(count, dtype)
    vector.flags.writeable = False
    return vector


def affine(normal: Any, gamma: Any, beta: Any) -> Any:
    """`gamma * normal + beta`."""
    y = normal * gamma
    if all_arrays(y, beta) and y.dtype == beta.dtype:
        y += beta
        return y
    return y + beta


# Rows -----------------------------------------------------------------------------------------------------------------


def row_means(x: Any) -> Any:
    """The mean of every row, as a column."""
    return np.dot(x, ones(x.shape[1], x.dtype))[:, None] / max(x.shape[1], 1)


def row_means_of_products(x: Any, y: Any) -> Any:
    """The mean of the products of two matrices, row by row, as a column."""
    return np.einsum("rd,rd->r", x, y)[:, None] / max(x.shape[1], 1)


def standard_rows(x: Any, eps: float) -> tuple[Any, Any]:
    """The rows of a matrix with mean 0 and variance 1, and the factors by which they were scaled, as a column."""
    centred = x - row_means(x)
    # The mean itself was rounded: of rows far from 0 that would be a good part of their variance.
    if all_arrays(centred):
        centred -= row_means(centred)
        scale = 1 / np.sqrt(row_means_of_products(centred, centred) + eps)
        centred *= scale
        return centred, scale
    centred = centred - row_means(centred)
    scale = 1 / np.sqrt(row_means_of_products(centred, centred) + eps)
    return centred * scale, scale


def standard_rows_slope(change: Any, normal: Any, scale: Any) -> Any:
    """The Jacobian of `standard_rows`, which is symmetric, times a change of its input or output."""
    along = normal * row_means_of_products(change, normal)
    if all_arrays(change, along, scale):
        along += row_means(change)
        np.subtract(change, along, out=along)
        along *= scale
        return along
    return (change - along - row_means(change)) * scale


# layer_norm -----------------------------------------------------------------------------------------------------------


def _pull_layer_norm(g: Any, y: Any, kept: Any, x: Any, gamma: Any, beta: Any, eps: float) -> tuple[Any, ...]:
    normal, scale = kept
    g = as_dtype(rows(g), normal.dtype)
    total = ones(g.shape[0], g.dtype)
    return (
        Thunk(lambda: np.reshape(as_dtype(standard_rows_slope(g * gamma, normal, scale), y.dtype), x.shape)),
        as_dtype(np.dot(total, g * normal), y.dtype),
        as_dtype(np.dot(total, g), y.dtype),
    )


def _push_layer_norm(t: Any, y: Any, kept: Any, x: Any, gamma: Any, beta: Any, eps: float) -> Any:
    normal, scale = kept
    t = as_dtype(rows(t), normal.dtype)
    return np.reshape(as_dtype(standard_rows_slope(t, normal, scale) * gamma, y.dtype), x.shape)


def _batch_layer_norm(
    op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    x, gamma, *beta = inputs
    if not any(mapped[1:]):
        return op(x, gamma, *beta, **static)
    # Parameters of each example: the rows are normalised together, and scaled apart.
    rank = x.ndim - mapped[0]
    kinds = [np.ones, np.zeros]
    normal = op(x, *(kind(x.shape[-1], one.dtype) for kind, one in zip(kinds, inputs[1:], strict=False)), **static)

    def apart(one: Any, is_mapped: bool) -> Any:
        return np.reshape(one, (size, *(1,) * (rank - 1), one.shape[-1])) if is_mapped else one

    y = normal * apart(gamma, mapped[1])
    return y + apart(beta[0], mapped[2]) if beta else y


@primitive(
    residuals=True,
    rrule=_pull_layer_norm,
    frule=(
        _push_layer_norm,
        lambda t, y, kept, x, gamma, beta, eps: np.reshape(as_dtype(kept[0] * t, y.dtype), y.shape),
        lambda t, y, kept, x, gamma, beta, eps: np.broadcast_to(as_dtype(t, y.dtype), y.shape),
    ),
    batch=_batch_layer_norm,
)
def layer_norm(
    x: Float[Tensor, "*batch dim"], gamma: Float[Tensor, "dim"], beta: Float[Tensor, "dim"], *, eps: float = 1e-6
) -> Float[Tensor, "*batch dim"]:
    """Every row with mean 0 and variance 1, then scaled and shifted: `gamma (x - mean) / sqrt(var + eps) + beta`.

    Float "*batch dim", Float "dim", Float "dim" -> Float "*batch dim". Mean and (biased) variance are those of the last
    axis. A row of equal elements becomes beta. float16 is computed in float32.

    Raises ShapeError where the sizes disagree, ArgumentError unless eps is positive, DTypeError for integers. Source:
    Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> layer_norm(np.array([[1.0, 3.0], [5.0, 5.0]]), np.ones(2), np.zeros(2)).round(3)
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    eps = check_eps("layer_norm", eps)
    kept = standard_rows(wide(rows(x)), eps)
    y = as_dtype(affine(kept[0], gamma, beta), np.result_type(x.dtype, gamma.dtype, beta.dtype))
    return np.reshape(y, x.shape), kept  # pyright: ignore[reportReturnType]  # the value and its residuals


__all__ = ["layer_norm"]
