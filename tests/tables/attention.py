"""Rows of attention."""

from __future__ import annotations

from typing import Any

import numpy as np

import layers
from layers.ops.attention import attention_weights
from tests.tables import Row


def _values(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def _weights(q: Any, k: Any, mask: Any = None) -> Any:
    """Row by row, as the formula is read."""
    scores = np.einsum("...nd,...md->...nm", q, k)
    allowed = np.broadcast_to(True if mask is None else mask, scores.shape)
    weights = np.zeros(scores.shape)
    for at in np.ndindex(scores.shape[:-1]):
        chosen = scores[at][allowed[at]]
        if chosen.size:
            weights[at][allowed[at]] = np.exp(chosen - chosen.max()) / np.exp(chosen - chosen.max()).sum()
    return weights


def _attention(q: Any, k: Any, v: Any, mask: Any = None) -> Any:
    return np.einsum("...nm,...me->...ne", _weights(q / np.sqrt(max(q.shape[-1], 1)), k, mask), v)


def _multi_head(wq: Any, wk: Any, wv: Any, wo: Any, x: Any, mask: Any = None, *, num_heads: int) -> Any:
    """Head by head, each with its columns of the projections."""
    size = wq.shape[1] // num_heads
    y = np.zeros((*x.shape[:-1], wo.shape[1]))
    for head in range(num_heads):
        part = slice(head * size, (head + 1) * size)
        own = mask
        if mask is not None and mask.ndim >= 3:
            own = mask[..., min(head, mask.shape[-3] - 1), :, :]
        y += _attention(x @ wq[:, part], x @ wk[:, part], x @ wv[:, part], own) @ wo[part]
    return y


def _sdpa(
    *batch: int, heads: int = 1, n: int = 3, m: int = 3, d: int = 2, e: int = 2, mask: Any = None, note: str = ""
) -> Row:
    q, k, v = (_values(i, *batch, heads, *shape) for i, shape in enumerate([(n, d), (m, d), (m, e)]))
    return Row(
        layers.scaled_dot_product_attention,
        (q, k, v) if mask is None else (q, k, v, mask),
        reference=_attention,
        note=note,
    )


def _heads(
    *batch: int, n: int = 3, dim: int = 2, width: int = 4, num_heads: int = 2, mask: Any = None, note: str = ""
) -> Row:
    weights = [_values(i, *shape) for i, shape in enumerate([(dim, width)] * 3 + [(width, dim)])]
    operands = (*weights, _values(4, *batch, n, dim))
    return Row(
        layers.multi_head_attention,
        operands if mask is None else (*operands, mask),
        static={"num_heads": num_heads},
        reference=_multi_head,
        note=note,
    )


SOME = np.array([[True, False, True], [False, False, False], [False, True, False]])

ROWS: list[Row] = [
    Row(attention_weights, (_values(0, 2, 2, 2), _values(1, 2, 3, 2)), reference=_weights),
    Row(attention_weights, (_values(0, 1, 3, 2), _values(1, 1, 3, 2), SOME), reference=_weights, note="masked"),
    _sdpa(),
    Row(attention_weights, (20 * _values(0, 1, 2, 2), _values(1, 1, 3, 2)), reference=_weights, note="larger scores"),
    _sdpa(2, heads=2, n=2, m=3, d=2, e=1, note="another length and width"),
    _sdpa(mask=layers.causal_mask(3), note="causal"),
    _sdpa(heads=2, mask=SOME, note="a row with nothing to attend to"),
    _sdpa(mask=np.zeros((3, 3), np.bool_), note="nothing to attend to at all"),
    _sdpa(2, mask=np.array([[[True, False, True]]]), note="a mask of keys"),
    _sdpa(
        2, heads=2, n=2, m=2, mask=np.arange(16).reshape(2, 2, 2, 2) % 3 > 0, note="a mask of its own for every head"
    ),
    _sdpa(2, heads=2, n=2, m=2, mask=np.array([True, False]), note="a mask of one axis"),
    _sdpa(2, heads=2, n=2, m=2, mask=np.array([[[[True], [False]]], [[[True], [True]]]]), note="a mask of queries"),
    _sdpa(heads=2, n=1, m=1, d=1, e=1, note="one query and one key"),
    _sdpa(0, n=2, m=2, note="an empty batch"),
    _sdpa(n=0, note="no queries"),
    _sdpa(m=0, note="no keys"),
    _sdpa(d=0, n=2, note="keys of no width"),
    _heads(),
    _heads(2, n=2, mask=layers.causal_mask(2), note="causal"),
    _heads(mask=SOME, note="a row with nothing to attend to"),
    _heads(1, n=2, mask=np.arange(8).reshape(2, 2, 2) % 3 > 0, note="a mask for every head"),
    _heads(2, 1, n=2, num_heads=1, width=3, note="two batch axes, one head"),
    _heads(0, n=2, note="an empty batch"),
]
