"""The layers of a transformer: MultiHeadAttention, and TransformerBlock, which contains it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import tapem as tm
from layers.activations import Gelu
from layers.dense import Linear
from layers.dropout import Dropout
from layers.initializers import Initializer, bias_initializer, glorot_uniform
from layers.module import Array, Layer, Part, Sequential
from layers.norms import LayerNorm
from layers.ops.arguments import check_count, check_real
from layers.ops.attention import causal_mask, scaled_dot_product_attention
from layers.ops.dropout import check_rate
from layers.ops.linear import times
from layers.ops.multi_head_attention import check_heads, merge_heads, multi_head_attention, split_heads
from layers.residual import Residual
from layers.shapes import Pattern

PROJECTIONS = ("q", "k", "v", "o")


@dataclass(frozen=True, repr=False)
class MultiHeadAttention(Layer):
    """Self-attention by several heads: every position attends to all positions, or with `causal` to those up to itself.

    (*batch, n, dim) -> (*batch, n, dim). Its parameters are `{"wq": (dim, dim), "wk": ..., "wv": ..., "wo": ...}`,
    which multiply from the right, `x @ wq`; with a bias also `{"bq": (dim,), "bk": ..., "bv": ..., "bo": ...}`. `bias`
    is True, False or an initializer. For masks other than the causal one, call `layers.multi_head_attention` with
    these parameters.

    Raises ArgumentError for sizes below 1, and for a number of heads that does not divide `dim`.

    >>> layer = MultiHeadAttention(8, 2, causal=True)
    >>> params = layer.init(tm.random.key(0))
    >>> sorted(params), layer.apply(params, np.ones((5, 3, 8), np.float32)).shape
    (['wk', 'wo', 'wq', 'wv'], (5, 3, 8))
    """

    dim: int
    num_heads: int
    causal: bool = False
    weight: Initializer = glorot_uniform
    bias: Initializer | bool = False
    dtype: npt.DTypeLike = np.float32

    def __post_init__(self) -> None:
        """Check the sizes."""
        check_count("MultiHeadAttention", "dim", self.dim)
        check_heads("MultiHeadAttention", self.dim, self.num_heads)

    def __repr__(self) -> str:
        options = ", causal=True" * bool(self.causal) + ", bias=True" * bool(self.bias)
        return f"MultiHeadAttention({self.dim}, {self.num_heads}{options})"

    @property
    def takes(self) -> Pattern:
        """Any leading axes, the positions, and `dim`."""
        return (..., None, self.dim)

    def init(self, key: Array, input_shape: Pattern | None = None) -> dict[str, Array]:
        """The first weights, and the first biases if there are any."""
        super().init(key, input_shape)
        keys = tm.random.split(key, 2 * len(PROJECTIONS))
        params = {
            f"w{name}": self.weight(own, (self.dim, self.dim), self.dtype)
            for name, own in zip(PROJECTIONS, keys, strict=False)
        }
        if draw := bias_initializer(self.bias):
            for name, own in zip(PROJECTIONS, keys[len(PROJECTIONS) :], strict=True):
                params[f"b{name}"] = draw(own, (self.dim,), self.dtype)
        return params

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """Call the op; with biases, call the projections that it consists of."""
        mask = causal_mask(x.shape[-2]) if self.causal else None
        if not self.bias:
            wq, wk, wv, wo = (params[f"w{name}"] for name in PROJECTIONS)
            return multi_head_attention(wq, wk, wv, wo, x, mask, num_heads=self.num_heads)
        check_real(repr(self), x=x, **params)
        q, k, v = (
            split_heads(times(x, params[f"w{name}"]) + params[f"b{name}"], self.num_heads) for name in PROJECTIONS[:3]
        )
        return times(merge_heads(scaled_dot_product_attention(q, k, v, mask)), params["wo"]) + params["bo"]


@dataclass(frozen=True, repr=False)
class TransformerBlock(Layer):
    """Self-attention, then two linear layers with gelu between; each part normalizes its input and adds its result.

    (*batch, n, dim) -> (*batch, n, dim): `x + attention(norm(x))`, then `x + contract(gelu(expand(norm(x))))`, which is
    called pre-norm. `hidden` is the width between the linear layers, by default `4 * dim`; `causal` and `bias` are
    those of the attention. With a `dropout` rate above 0, dropout applies to the result of each part in training.

    Its parameters are a pair, one for each part: `((norm, attention), (norm, expand, (), contract))`, and with dropout
    another `()` at the end of each.

    Raises ArgumentError for sizes below 1, a number of heads that does not divide `dim`, or a rate outside [0, 1).
    Sources: Vaswani et al., "Attention is all you need", 2017; Xiong et al., "On layer normalization in the transformer
    architecture", 2020.

    >>> block = TransformerBlock(8, 2, causal=True)
    >>> params = block.init(tm.random.key(0))
    >>> block.apply(params, np.ones((5, 3, 8), np.float32)).shape
    (5, 3, 8)
    >>> block >> block
    Sequential(TransformerBlock(8, 2, causal=True), TransformerBlock(8, 2, causal=True))
    """

    dim: int
    num_heads: int
    hidden: int | None = None
    causal: bool = False
    dropout: float = 0.0
    bias: Initializer | bool = False
    approximate: str = "none"
    dtype: npt.DTypeLike = np.float32

    def __post_init__(self) -> None:
        """Check the arguments, and compose the block."""
        check_count("TransformerBlock", "dim", self.dim)
        if self.hidden is not None:
            check_count("TransformerBlock", "hidden", self.hidden)
        check_heads("TransformerBlock", self.dim, self.num_heads)
        check_rate("TransformerBlock", self.dropout)
        self.block  # noqa: B018  # the layers check the remaining arguments now, not at the first use

    @functools.cached_property
    def block(self) -> Sequential:
        """The layers that the block is made of."""
        hidden, dtype = self.hidden or 4 * self.dim, self.dtype
        attention = MultiHeadAttention(self.dim, self.num_heads, self.causal, bias=self.bias, dtype=dtype)
        network = (
            Linear(self.dim, hidden, dtype=dtype) >> Gelu(self.approximate) >> Linear(hidden, self.dim, dtype=dtype)
        )
        parts = (LayerNorm(self.dim, dtype=dtype) >> part for part in (attention, network))
        return Sequential(*(Residual(part >> Dropout(self.dropout) if self.dropout else part) for part in parts))

    def __repr__(self) -> str:
        options = f", {self.hidden}" if self.hidden is not None else ""
        options += ", causal=True" * bool(self.causal)
        options += f", dropout={self.dropout}" if self.dropout else ""
        options += ", bias=True" * bool(self.bias)
        options += f", approximate={self.approximate!r}" if self.approximate != "none" else ""
        return f"TransformerBlock({self.dim}, {self.num_heads}{options})"

    @property
    def takes(self) -> Pattern:
        """Any leading axes, the positions, and `dim`."""
        return (..., None, self.dim)

    def init(self, key: Array, input_shape: Pattern | None = None) -> Any:
        """The first parameters of the two parts."""
        super().init(key, input_shape)
        return self.block.init(key)

    def parts(self, params: Any, input_shape: Pattern) -> Sequence[Part]:
        """The two parts, each with its residual connection."""
        return self.block.parts(params, input_shape)

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """Apply the two parts, one after the other."""
        return self.block.forward(params, x, key=key, train=train)


__all__ = ["MultiHeadAttention", "TransformerBlock"]
