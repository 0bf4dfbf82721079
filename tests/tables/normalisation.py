"""Rows of the normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

import layers
from tests.tables import Row


def _values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def _standard(x: Any, axes: Any, eps: float) -> Any:
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


def _layer_norm(*shape: int, note: str = "", eps: float = 1e-6) -> Row:
    return Row(
        layers.layer_norm,
        (_values(*shape), _values(shape[-1], seed=1), _values(shape[-1], seed=2)),
        {"eps": eps},
        reference=lambda x, gamma, beta, eps: _standard(x, -1, eps) * gamma + beta,
        note=note,
    )


ROWS: list[Row] = [
    _layer_norm(3, 4),
    _layer_norm(4, note="a single example", eps=0.1),
    _layer_norm(2, 1, 3, note="two batch axes"),
    _layer_norm(0, 3, note="an empty batch"),
    _layer_norm(3, 1, note="rows of one element"),
    Row(
        layers.layer_norm,
        (np.array([[2.0, 2.0, 2.0], [0.0, 1.0, 2.0]]), _values(3, seed=1), _values(3, seed=2)),
        {"eps": 0.01},
        reference=lambda x, gamma, beta, eps: _standard(x, -1, eps) * gamma + beta,
        note="a row of equal elements",
    ),
]
