"""Rows of the affine map."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import layers
from tests.tables import Row


def _values(*shape: int) -> Any:
    return np.random.default_rng(sum(shape) + 7 * len(shape)).normal(size=shape)


def _linear(out: int, into: int, *batch: int, note: str = "") -> Row:
    return Row(
        layers.linear,
        (_values(out, into), _values(out), _values(*batch, into)),
        reference=lambda weight, bias, x: np.einsum("oi,...i->...o", weight, x) + bias,
        note=note,
    )


ROWS: list[Row] = [
    _linear(3, 2, 4),
    _linear(3, 2, note="a single example"),
    _linear(2, 3, 4, 5, note="two batch axes"),
    _linear(2, 3, 2, 1, 2, note="three batch axes"),
    _linear(3, 2, 0, note="an empty batch"),
    _linear(3, 2, 2, 0, note="an empty batch of two axes"),
    _linear(1, 1, 1, note="size-1 axes"),
    dataclasses.replace(_linear(2, 1, 4100, note="a large batch"), order=1),
    _linear(2, 0, 3, note="no inputs"),
    _linear(0, 2, 3, note="no outputs"),
]
