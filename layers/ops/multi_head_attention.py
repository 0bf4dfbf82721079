"""Multi-head attention: the projections of one input, attention by several heads, and the projection of their results.

The residuals hold what the rules need of the forward pass; attention.py computes the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from layers.ops.arguments import check_count
from layers.ops.arrays import are_arrays
from layers.ops.attention import (
    Mask,
    batched_mask,
    pull_scores,
    push_weights,
    scale_of,
    scaled_dot_product_attention,
    transposed,
    weights_of,
)
from layers.ops.linear import rows, times
from tapem import ArgumentError, Tensor, Thunk, primitive


def split_heads(x: Any, num_heads: int) -> Any:
    """Divide the last axis among the heads: "*batch n heads*d" -> "*batch heads n d"."""
    return x.reshape(*x.shape[:-1], num_heads, x.shape[-1] // num_heads).swapaxes(-2, -3)


def merge_heads(x: Any) -> Any:
    """Put the heads side by side on the last axis: "*batch heads n d" -> "*batch n heads*d"."""
    x = x.swapaxes(-2, -3)
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def check_heads(op: str, width: int, num_heads: int) -> None:
    """Raise ArgumentError for a number of heads that does not divide the width."""
    check_count(op, "num_heads", num_heads)
    if width % num_heads:
        raise ArgumentError(
            f"{op}: {num_heads} heads do not divide the width {width}; num_heads must be a divisor of it."
        )


def _merged_product(x: Any, y: Any) -> Any:
    """The product of every head's matrices, with the heads side by side on the last axis."""
    if not (are_arrays(x, y) and x.dtype == y.dtype):
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
    change = pull_scores(d_mixed, split_heads(merged, num_heads), weights, v)
    dq = _merged_product(change, k)
    dk = _merged_product(transposed(change), q)
    dv = _merged_product(transposed(weights), d_mixed)
    across = rows(x).T
    return (
        Thunk(lambda: np.dot(across, rows(dq)) * scale_of(k)),
        Thunk(lambda: np.dot(across, rows(dk))),
        Thunk(lambda: np.dot(across, rows(dv))),
        Thunk(lambda: np.dot(rows(merged).T, rows(g))),
        Thunk(lambda: times(dq, scaled_wq.T) + times(dk, wk.T) + times(dv, wv.T)),
        None,
    )


def _push_multi_head(kept: Any, wo: Any, num_heads: int, tq: Any = None, tk: Any = None, tv: Any = None) -> Any:
    """The tangent of the result, given the tangents of some projections: queries (scaled), keys and values."""
    q, k, v, weights, *_ = kept
    parts: list[Any] = []
    if tq is not None:
        parts.append(_merged_product(push_weights(weights, split_heads(tq, num_heads), k), v))
    if tk is not None:
        parts.append(_merged_product(push_weights(weights, q, split_heads(tk, num_heads)), v))
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
    mask = batched_mask(mask, mapped[5], x.ndim + 1)
    if not any(mapped[:4]):
        return op(*weights, x, mask, **static)

    def each(x: Any, weight: Any) -> Any:
        """The product of every example with its own weight, or with the shared weight."""
        examples = np.reshape(x, (size, math.prod(x.shape[1:-1]), x.shape[-1]))
        return np.reshape(np.matmul(examples, weight), (*x.shape[:-1], weight.shape[-1]))

    q, k, v = (split_heads(each(x, weight), num_heads) for weight in weights[:3])
    return each(merge_heads(scaled_dot_product_attention(q, k, v, mask)), weights[3])


@primitive(
    wide=True,
    residuals=True,
    opaque=True,
    rrule=_pull_multi_head,
    frule=(
        lambda t, y, kept, wq, wk, wv, wo, x, mask, num_heads: _push_multi_head(
            kept, wo, num_heads, tq=times(x, t * scale_of(kept[0]))
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
    """Self-attention by several heads at once; each head has its own part of the projections of x.

    Float "dim heads*d", Float "dim heads*d", Float "dim heads*d", Float "heads*d dim", Float "*batch n dim", and Bool
    that broadcasts to "*batch heads n n" (True where a query may attend) -> Float "*batch n dim". Head h uses the
    columns h*d to (h+1)*d of `wq`, `wk` and `wv`, and the same rows of `wo`; weights multiply from the right, `x @ wq`.
    float16 is computed in float32.

    Raises ArgumentError if `num_heads` does not divide the width of the projections, ShapeError where shapes disagree,
    DTypeError for a mask that is not bool. Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.2.

    >>> eye, causal = np.eye(2), np.tri(2, dtype=bool)
    >>> multi_head_attention(eye, eye, eye, eye, np.array([[1.0, 0.0], [0.0, 1.0]]), causal, num_heads=2)
    array([[1.        , 0.        ],
           [0.5       , 0.73105858]])
    """
    op = "multi_head_attention(wq, wk, wv, wo, x, mask)"
    check_heads(op, wq.shape[-1], num_heads)
    # Scaling the projection's weight scales all queries.
    scaled_wq = wq / math.sqrt(max(wq.shape[-1] // num_heads, 1))
    q, k, v = (split_heads(times(x, weight), num_heads) for weight in (scaled_wq, wk, wv))
    weights = weights_of(q, k, mask, op)
    merged = _merged_product(weights, v)
    kept = q, k, v, weights, merged, scaled_wq
    return times(merged, wo), kept  # pyright: ignore[reportReturnType]  # the value and its residuals


__all__ = ["check_heads", "merge_heads", "multi_head_attention", "split_heads"]
