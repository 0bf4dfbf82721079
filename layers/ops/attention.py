"""Attention: scaled dot-product attention, the weights it is made of, and the multi-head attention around it.

The three are closed under differentiation. What a rule needs of the forward pass, above all the weights, is kept; where
the rules themselves are differentiated, it is computed anew from `attention_weights`, which has rules of its own.
"""

# Rules run on arrays and on tracers alike, so their operands have no type that a checker could follow.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

from layers.ops.arguments import check_count
from layers.ops.linear import ones_vector, rows, times
from tapem import ArgumentError, ShapeError, Tensor, Thunk, primitive

Queries: TypeAlias = Float[Tensor, "*batch heads n d"]
Keys: TypeAlias = Float[Tensor, "*batch heads m d"]
Values: TypeAlias = Float[Tensor, "*batch heads m e"]
Weights: TypeAlias = Float[Tensor, "*batch heads n m"]
Mask: TypeAlias = Bool[Tensor, "..."]


def causal_mask(n: int, m: int | None = None) -> npt.NDArray[np.bool_]:
    """The mask by which position i attends to the positions up to i: Bool "n m", True where j <= i; m is n by default.

    >>> causal_mask(3).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]])
    """
    for name, value in (("n", n), ("m", m)):
        if value is not None:
            check_count("causal_mask(n, m)", name, value, least=0)
    return np.tri(n, m, dtype=np.bool_)


# Softmax needs no help from its greatest element where no score is further from 0 than this; that saves two passes.
MODEST = 16.0


def _arrays(*values: Any) -> bool:
    """Whether these are arrays, in which case what was made here may be changed in place."""
    for value in values:
        if type(value) is not np.ndarray:
            return False
    return True


def _turned(x: Any) -> Any:
    return x.swapaxes(-1, -2)


def _scale(x: Any) -> float:
    return 1 / math.sqrt(max(x.shape[-1], 1))


def _row_sums(x: Any) -> Any:
    """The sums over the last axis, which stays: as a product, which is several times as fast as np.sum."""
    return np.matmul(x, ones_vector(x.shape[-1], x.dtype))[..., None]


# The weights ----------------------------------------------------------------------------------------------------------


def _check_mask(mask: Any, shape: tuple[int, ...], op: str) -> None:
    """ShapeError for a mask that does not broadcast to the shape of the scores."""
    given = np.shape(mask)
    fits = len(given) <= len(shape) and all(
        own in (1, size) for own, size in zip(reversed(given), reversed(shape), strict=False)
    )
    if not fits:
        raise ShapeError(
            f"{op}: mask has shape {given}, which does not broadcast to {shape}, the scores of every query (last "
            "axis but one) with every key (last axis)."
        )


def _softmax(scores: Any, mask: Any, op: str) -> Any:
    """The softmax of scores that nobody else holds, in place; a row with nothing to attend to becomes zeros."""
    modest = scores.dtype.itemsize >= 4 and (
        scores.size == 0
        or -MODEST <= np.minimum.reduce(scores, axis=None) <= np.maximum.reduce(scores, axis=None) <= MODEST
    )
    if mask is not None:
        _check_mask(mask, scores.shape, op)
        np.copyto(scores, -np.inf, where=np.logical_not(mask))
    if not modest:
        # A row of -inf has no greatest element to take out: what is left of it after exp is 0 whatever is taken.
        least = np.finfo(scores.dtype).min
        scores -= np.maximum.reduce(scores, axis=-1, keepdims=True, initial=least)
    np.exp(scores, out=scores)
    totals = _row_sums(scores)
    if mask is not None or scores.size == 0:
        np.copyto(totals, 1, where=np.equal(totals, 0))
    scores *= 1 / totals
    return scores


def _weights(q: Any, k: Any, mask: Any, op: str) -> Any:
    if not _arrays(q, k):
        return attention_weights(q, k, mask)
    return _softmax(np.matmul(q, _turned(k)), mask, op)


def _through_softmax(change: Any, weights: Any, mean: Any) -> Any:
    """The Jacobian of the softmax, which is symmetric, times a change of its input or output that was made here."""
    if _arrays(change, weights, mean) and change.dtype == weights.dtype:
        change -= mean
        change *= weights
        return change
    return weights * (change - mean)


def _pull_weights(g: Any, weights: Any, q: Any, k: Any, mask: Any) -> tuple[Any, ...]:
    change = weights * (g - _row_sums(g * weights))
    return Thunk(lambda: np.matmul(change, k)), Thunk(lambda: np.matmul(_turned(change), q)), None


def _push_weights(weights: Any, q: Any, k: Any) -> Any:
    """The tangent of the weights where either the queries or the keys are tangents."""
    change = np.matmul(q, _turned(k))
    return _through_softmax(change, weights, _row_sums(change * weights))


def _batch(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    *tensors, mask = inputs
    tensors = [
        x if is_mapped else np.broadcast_to(x, (size, *x.shape)) for x, is_mapped in zip(tensors, mapped, strict=False)
    ]
    return op(*tensors, _batched_mask(mask, mapped[-1], tensors[0].ndim), **static)


def _batched_mask(mask: Any, mapped: bool, ndim: int) -> Any:
    """A mask that broadcasts to `ndim` axes, of which the first is the batch axis."""
    if not mapped:
        return mask
    return np.reshape(mask, (mask.shape[0], *(1,) * (ndim - mask.ndim), *mask.shape[1:]))


@primitive(
    rrule=_pull_weights,
    frule=(
        lambda t, weights, q, k, mask: _push_weights(weights, t, k),
        lambda t, weights, q, k, mask: _push_weights(weights, q, t),
        None,
    ),
    batch=_batch,
)
def attention_weights(q: Queries, k: Keys, mask: Mask | None = None) -> Weights:
    """How much every query attends to every key: softmax(q k^T), where a row sums to 1.

    Float "*batch heads n d", Float "*batch heads m d", and Bool that broadcasts to "*batch heads n m" (True where a
    query may attend) -> Float "*batch heads n m". The queries are expected to be divided by sqrt(d) already. A row with
    nothing to attend to is zeros. Finite scores of any size are fine.

    Raises ShapeError where shapes disagree, DTypeError for a mask that is not bool.

    >>> q, k = np.zeros((1, 2, 1)), np.zeros((1, 3, 1))
    >>> attention_weights(q, k, np.array([[True, True, False], [False, False, False]]))
    array([[[0.5, 0.5, 0. ],
            [0. , 0. , 0. ]]])
    """
    return _softmax(np.matmul(q, _turned(k)), mask, "attention_weights(q, k, mask)")


# Scaled dot-product attention -----------------------------------------------------------------------------------------


def _pull_scores(d_mixed: Any, mixed: Any, weights: Any, v: Any) -> Any:
    """The cotangent of the scores, given the mixed values and their cotangent."""
    # The mean of each row of the weights' cotangent, g v^T, is that row of g y^T: that takes e, not m, products.
    return _through_softmax(np.matmul(d_mixed, _turned(v)), weights, _row_sums(d_mixed * mixed))


def _pull_attention(g: Any, y: Any, weights: Any, q: Any, k: Any, v: Any, mask: Any) -> tuple[Any, ...]:
    change = _pull_scores(g, y, weights, v)
    return (
        Thunk(lambda: np.matmul(change, k * _scale(k))),
        Thunk(lambda: np.matmul(_turned(change), q * _scale(q))),
        Thunk(lambda: np.matmul(_turned(weights), g)),
        None,
    )


@primitive(
    residuals=True,
    rrule=_pull_attention,
    frule=(
        lambda t, y, weights, q, k, v, mask: np.matmul(_push_weights(weights, t * _scale(t), k), v),
        lambda t, y, weights, q, k, v, mask: np.matmul(_push_weights(weights, q * _scale(q), t), v),
        lambda t, y, weights, q, k, v, mask: np.matmul(weights, t),
        None,
    ),
    batch=_batch,
)
def scaled_dot_product_attention(
    q: Queries, k: Keys, v: Values, mask: Mask | None = None
) -> Float[Tensor, "*batch heads n e"]:
    """For every query the mean of the values, weighted by how well it fits their keys: softmax(q k^T / sqrt(d)) v.

    Float "*batch heads n d", Float "*batch heads m d", Float "*batch heads m e", and Bool that broadcasts to
    "*batch heads n m" (True where a query may attend) -> Float "*batch heads n e". A row with nothing to attend to
    gives zeros, and zero gradients. Finite scores of any size are fine.

    Raises ShapeError where shapes disagree, DTypeError for a mask that is not bool. Source: Vaswani et al., "Attention
    is all you need", 2017, section 3.2.1.

    >>> q, k = np.zeros((1, 2, 1)), np.zeros((1, 2, 1))
    >>> v = np.array([[[1.0], [3.0]]])
    >>> scaled_dot_product_attention(q, k, v, causal_mask(2))
    array([[[1.],
            [2.]]])
    """
    weights = _weights(q * _scale(q), k, mask, "scaled_dot_product_attention(q, k, v, mask)")
    return np.matmul(weights, v), weights  # pyright: ignore[reportReturnType]  # the value and its residual


# Multi-head attention -------------------------------------------------------------------------------------------------


def split_heads(x: Any, num_heads: int) -> Any:
    """The last axis divided among the heads: "*batch n heads*d" -> "*batch heads n d"."""
    return x.reshape(*x.shape[:-1], num_heads, x.shape[-1] // num_heads).swapaxes(-2, -3)


def merge_heads(x: Any) -> Any:
    """The heads side by side on the last axis: "*batch heads n d" -> "*batch n heads*d"."""
    x = x.swapaxes(-2, -3)
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def check_heads(op: str, width: int, num_heads: int) -> None:
    """ArgumentError for a number of heads among which the width cannot be divided."""
    check_count(op, "num_heads", num_heads)
    if width % num_heads:
        raise ArgumentError(
            f"{op}: {num_heads} heads do not divide the width {width}; num_heads must be a divisor of it."
        )


def _merged_product(x: Any, y: Any) -> Any:
    """The product of every head's matrices, with the heads side by side on the last axis."""
    if not (_arrays(x, y) and x.dtype == y.dtype):
        return merge_heads(np.matmul(x, y))
    *batch, heads, n, _ = x.shape
    size = y.shape[-1]
    product = np.empty((*batch, n, heads, size), x.dtype)
    np.matmul(x, y, out=product.swapaxes(-2, -3))
    return product.reshape(*batch, n, heads * size)


def _pull_multi_head(
    g: Any, y: Any, kept: Any, wq: Any, wk: Any, wv: Any, wo: Any, x: Any, mask: Any, num_heads: int
) -> tuple[Any, ...]:
    q, k, v, weights, merged, scaled_wq = kept
    d_mixed = split_heads(times(g, wo.T), num_heads)
    change = _pull_scores(d_mixed, split_heads(merged, num_heads), weights, v)
    dq = _merged_product(change, k)
    dk = _merged_product(_turned(change), q)
    dv = _merged_product(_turned(weights), d_mixed)
    across = rows(x).T
    return (
        Thunk(lambda: np.dot(across, rows(dq)) * _scale(k)),
        Thunk(lambda: np.dot(across, rows(dk))),
        Thunk(lambda: np.dot(across, rows(dv))),
        Thunk(lambda: np.dot(rows(merged).T, rows(g))),
        Thunk(lambda: times(dq, scaled_wq.T) + times(dk, wk.T) + times(dv, wv.T)),
        None,
    )


def _push_multi_head(kept: Any, wo: Any, num_heads: int, tq: Any = None, tk: Any = None, tv: Any = None) -> Any:
    """The tangent of the result, given those of some of the projections: queries (scaled), keys and values."""
    q, k, v, weights, *_ = kept
    parts: list[Any] = []
    if tq is not None:
        parts.append(_merged_product(_push_weights(weights, split_heads(tq, num_heads), k), v))
    if tk is not None:
        parts.append(_merged_product(_push_weights(weights, q, split_heads(tk, num_heads)), v))
    if tv is not None:
        parts.append(_merged_product(weights, split_heads(tv, num_heads)))
    return times(sum(parts[1:], start=parts[0]), wo)


def _batch_multi_head(
    op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    *weights, x, mask = inputs
    if not mapped[4]:
        x = np.broadcast_to(x, (size, *x.shape))
    num_heads = static["num_heads"]
    mask = _batched_mask(mask, mapped[5], x.ndim + 1)
    if not any(mapped[:4]):
        return op(*weights, x, mask, **static)

    def each(x: Any, weight: Any) -> Any:
        """The product of every example with a weight of its own, or with that of all."""
        examples = np.reshape(x, (size, math.prod(x.shape[1:-1]), x.shape[-1]))
        return np.reshape(np.matmul(examples, weight), (*x.shape[:-1], weight.shape[-1]))

    q, k, v = (split_heads(each(x, weight), num_heads) for weight in weights[:3])
    return each(merge_heads(scaled_dot_product_attention(q, k, v, mask)), weights[3])


@primitive(
    residuals=True,
    rrule=_pull_multi_head,
    frule=(
        lambda t, y, kept, wq, wk, wv, wo, x, mask, num_heads: _push_multi_head(
            kept, wo, num_heads, tq=times(x, t * _scale(kept[0]))
        ),
        lambda t, y, kept, wq, wk, wv, wo, x, mask, num_heads: _push_multi_head(kept, wo, num_heads, tk=times(x, t)),
        lambda t, y, kept, wq, wk, wv, wo, x, mask, num_heads: _push_multi_head(kept, wo, num_heads, tv=times(x, t)),
        lambda t, y, kept, wq, wk, wv, wo, x, mask, num_heads: times(kept[4], t),
        lambda t, y, kept, wq, wk, wv, wo, x, mask, num_heads: _push_multi_head(
            kept, wo, num_heads, times(t, kept[5]), times(t, wk), times(t, wv)
        ),
        None,
    ),
    batch=_batch_multi_head,
)
def multi_head_attention(
    wq: Float[Tensor, "dim inner"],
    wk: Float[Tensor, "dim inner"],
    wv: Float[Tensor, "dim inner"],
    wo: Float[Tensor, "inner dim"],
    x: Float[Tensor, "*batch n dim"],
    mask: Mask | None = None,
    *,
    num_heads: int,
) -> Float[Tensor, "*batch n dim"]:
    """Self-attention by several heads at once, each with its own part of the projections of x.

    Three Float "dim heads*d", one Float "heads*d dim", Float "*batch n dim", and Bool that broadcasts to
    "*batch heads n n" (True where a query may attend) -> Float "*batch n dim". Head h uses the columns h*d to (h+1)*d
    of `wq`, `wk` and `wv`, and those rows of `wo`; weights are multiplied from the right, `x @ wq`.

    Raises ArgumentError if `num_heads` does not divide the width of the projections, ShapeError where shapes disagree,
    DTypeError for a mask that is not bool. Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.2.

    >>> eye = np.eye(2)
    >>> multi_head_attention(eye, eye, eye, eye, np.array([[1.0, 0.0], [0.0, 1.0]]), causal_mask(2), num_heads=2)
    array([[1.        , 0.        ],
           [0.5       , 0.73105858]])
    """
    op = "multi_head_attention(wq, wk, wv, wo, x, mask)"
    check_heads(op, wq.shape[-1], num_heads)
    # Scaling the projection's weight scales all queries.
    scaled_wq = wq / math.sqrt(max(wq.shape[-1] // num_heads, 1))
    q, k, v = (split_heads(times(x, weight), num_heads) for weight in (scaled_wq, wk, wv))
    weights = _weights(q, k, mask, op)
    merged = _merged_product(weights, v)
    kept = q, k, v, weights, merged, scaled_wq
    return times(merged, wo), kept  # pyright: ignore[reportReturnType]  # the value and its residuals


__all__ = [
    "attention_weights",
    "causal_mask",
    "check_heads",
    "merge_heads",
    "multi_head_attention",
    "scaled_dot_product_attention",
    "split_heads",
]
