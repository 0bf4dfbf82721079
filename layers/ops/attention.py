"""Attention: scaled dot-product attention, and the weights that it uses; multi_head_attention.py builds on both.

They are closed under differentiation. The residuals hold what a rule needs of the forward pass, above all the weights.
Where the rules themselves are differentiated, `attention_weights` computes the weights again and has its own rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

from layers.ops.arguments import check_count
from layers.ops.arrays import are_arrays, broadcasts_to
from layers.ops.linear import ones_vector
from tapem import ShapeError, Tensor, Thunk, primitive

Queries: TypeAlias = Float[Tensor, "*batch heads n d"]
Keys: TypeAlias = Float[Tensor, "*batch heads m d"]
Values: TypeAlias = Float[Tensor, "*batch heads m e"]
Weights: TypeAlias = Float[Tensor, "*batch heads n m"]
Mask: TypeAlias = Bool[Tensor, "..."]


def causal_mask(n: int, m: int | None = None) -> npt.NDArray[np.bool_]:
    """The mask that lets position i attend to the positions up to i: Bool "n m", True where j <= i; m is n by default.

    >>> causal_mask(3).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]])
    """
    for name, value in (("n", n), ("m", m)):
        if value is not None:
            check_count("causal_mask(n, m)", name, value, least=0)
    return np.tri(n, m, dtype=np.bool_)


# Softmax need not subtract the greatest element if no score is further from 0 than this; that saves two passes.
MODEST = 16.0


def transposed(x: Any) -> Any:
    """The transpose of every matrix."""
    return x.swapaxes(-1, -2)


def scale_of(x: Any) -> float:
    """The factor of the scores of queries or keys of this width d: 1 / sqrt(d)."""
    return 1 / math.sqrt(max(x.shape[-1], 1))


def _row_sums(x: Any) -> Any:
    """The sums over the last axis, which stays. A product computes them several times as fast as np.sum."""
    return np.matmul(x, ones_vector(x.shape[-1], x.dtype))[..., None]


# The weights ----------------------------------------------------------------------------------------------------------


def _check_mask(mask: Any, shape: tuple[int, ...], op: str) -> None:
    """Raise ShapeError for a mask that does not broadcast to the shape of the scores."""
    given = np.shape(mask)
    if not broadcasts_to(given, shape):
        raise ShapeError(
            f"{op}: mask has shape {given}, which does not broadcast to {shape}, the scores of every query (last "
            "axis but one) with every key (last axis)."
        )


def _softmax(scores: Any, mask: Any, op: str) -> Any:
    """The softmax of scores that nobody else holds, in place; a row that masks every key becomes zeros."""
    modest = scores.dtype.itemsize >= 4 and (
        scores.size == 0
        or -MODEST <= np.minimum.reduce(scores, axis=None) <= np.maximum.reduce(scores, axis=None) <= MODEST
    )
    if mask is not None:
        _check_mask(mask, scores.shape, op)
        np.copyto(scores, -np.inf, where=np.logical_not(mask))
    if not modest:
        # A row of -inf has no finite greatest element; its exp is 0 whatever is subtracted.
        least = np.finfo(scores.dtype).min
        scores -= np.maximum.reduce(scores, axis=-1, keepdims=True, initial=least)
    np.exp(scores, out=scores)
    totals = _row_sums(scores)
    if mask is not None or scores.size == 0:
        np.copyto(totals, 1, where=np.equal(totals, 0))
    scores *= 1 / totals
    return scores


def weights_of(q: Any, k: Any, mask: Any, op: str) -> Any:
    """The weights for queries that are already scaled: computed directly for arrays, by the op for tracers."""
    if not are_arrays(q, k) and not all(isinstance(x, np.ndarray | np.generic | int | float) for x in (q, k)):
        return attention_weights(q, k, mask)
    return _softmax(np.matmul(q, transposed(k)), mask, op)


def _through_softmax(change: Any, weights: Any, mean: Any) -> Any:
    """The Jacobian of the softmax, which is symmetric, times `change`, an array that the caller made."""
    if are_arrays(change, weights, mean) and change.dtype == weights.dtype:
        change -= mean
        change *= weights
        return change
    return weights * (change - mean)


# For float16 the value is rounded but the residuals are not: where the softmax saturates, small differences matter.


def _pull_weights(g: Any, y: Any, weights: Any, q: Any, k: Any, mask: Any) -> tuple[Any, ...]:
    change = weights * (g - _row_sums(g * weights))
    return Thunk(lambda: np.matmul(change, k)), Thunk(lambda: np.matmul(transposed(change), q)), None


def push_weights(weights: Any, q: Any, k: Any) -> Any:
    """The tangent of the weights, given the tangent of either the queries or the keys in their place."""
    change = np.matmul(q, transposed(k))
    return _through_softmax(change, weights, _row_sums(change * weights))


def _batch(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    *tensors, mask = inputs
    tensors = [
        x if is_mapped else np.broadcast_to(x, (size, *x.shape)) for x, is_mapped in zip(tensors, mapped, strict=False)
    ]
    return op(*tensors, batched_mask(mask, mapped[-1], tensors[0].ndim), **static)


def batched_mask(mask: Any, mapped: bool, ndim: int) -> Any:
    """A mask that broadcasts to `ndim` axes, of which the first is the batch axis."""
    if not mapped:
        return mask
    return np.reshape(mask, (mask.shape[0], *(1,) * (ndim - mask.ndim), *mask.shape[1:]))


@primitive(
    wide=True,
    residuals=True,
    opaque=True,
    rrule=_pull_weights,
    frule=(
        lambda t, y, weights, q, k, mask: push_weights(weights, t, k),
        lambda t, y, weights, q, k, mask: push_weights(weights, q, t),
        None,
    ),
    batch=_batch,
)
def attention_weights(q: Queries, k: Keys, mask: Mask | None = None) -> Weights:
    """How much every query attends to every key: softmax(q k^T); each row sums to 1.

    Float "*batch heads n d", Float "*batch heads m d", and Bool that broadcasts to "*batch heads n m" (True where a
    query may attend) -> Float "*batch heads n m". The caller divides the queries by sqrt(d). A query that may attend to
    no key gets a row of zeros. Scores may have any finite size; float16 is computed in float32.

    Raises ShapeError where shapes disagree, DTypeError for a mask that is not bool.

    >>> q, k = np.zeros((1, 2, 1)), np.zeros((1, 3, 1))
    >>> attention_weights(q, k, np.array([[True, True, False], [False, False, False]]))
    array([[[0.5, 0.5, 0. ],
            [0. , 0. , 0. ]]])
    """
    weights = weights_of(q, k, mask, "attention_weights(q, k, mask)")
    return weights, weights  # pyright: ignore[reportReturnType]  # the value and its residual


# Scaled dot-product attention -----------------------------------------------------------------------------------------


def pull_scores(d_mixed: Any, mixed: Any, weights: Any, v: Any) -> Any:
    """The cotangent of the scores, given the mixed values and their cotangent."""
    # The weighted mean of a row of g v^T, the weights' cotangent, is the row's g y^T, which takes e products, not m.
    return _through_softmax(np.matmul(d_mixed, transposed(v)), weights, _row_sums(d_mixed * mixed))


def _pull_attention(g: Any, y: Any, kept: Any, q: Any, k: Any, v: Any, mask: Any) -> tuple[Any, ...]:
    weights, mixed = kept
    change = pull_scores(g, mixed, weights, v)
    return (
        Thunk(lambda: np.matmul(change, k * scale_of(k))),
        Thunk(lambda: np.matmul(transposed(change), q * scale_of(q))),
        Thunk(lambda: np.matmul(transposed(weights), g)),
        None,
    )


@primitive(
    wide=True,
    residuals=True,
    opaque=True,
    rrule=_pull_attention,
    frule=(
        lambda t, y, kept, q, k, v, mask: np.matmul(push_weights(kept[0], t * scale_of(t), k), v),
        lambda t, y, kept, q, k, v, mask: np.matmul(push_weights(kept[0], q * scale_of(q), t), v),
        lambda t, y, kept, q, k, v, mask: np.matmul(kept[0], t),
        None,
    ),
    batch=_batch,
)
def scaled_dot_product_attention(
    q: Queries, k: Keys, v: Values, mask: Mask | None = None
) -> Float[Tensor, "*batch heads n e"]:
    """For every query, the mean of the values, weighted by how well it fits their keys: softmax(q k^T / sqrt(d)) v.

    Float "*batch heads n d", Float "*batch heads m d", Float "*batch heads m e", and Bool that broadcasts to
    "*batch heads n m" (True where a query may attend) -> Float "*batch heads n e". A query that may attend to no key
    gets zeros, and zero gradients. Scores may have any finite size; float16 is computed in float32.

    Raises ShapeError where shapes disagree, DTypeError for a mask that is not bool. Source: Vaswani et al., "Attention
    is all you need", 2017, section 3.2.1.

    >>> q, k = np.zeros((1, 2, 1)), np.zeros((1, 2, 1))
    >>> v = np.array([[[1.0], [3.0]]])
    >>> scaled_dot_product_attention(q, k, v, causal_mask(2))
    array([[[1.],
            [2.]]])
    """
    weights = weights_of(q * scale_of(q), k, mask, "scaled_dot_product_attention(q, k, v, mask)")
    mixed = np.matmul(weights, v)
    return mixed, (weights, mixed)  # pyright: ignore[reportReturnType]  # the value and its residuals


__all__ = [
    "Mask", "attention_weights", "batched_mask", "causal_mask", "pull_scores", "push_weights", "scale_of",
    "scaled_dot_product_attention", "transposed", "weights_of",
]  # fmt: skip
