"""Rows of the rotary positions."""

from __future__ import annotations

from typing import Any

import numpy as np

import layers
from tests.tables import Row


def _values(*shape: int) -> Any:
    return np.random.default_rng(shape).normal(size=shape)


def _rotary(x: Any, positions: Any = None, *, base: float = 10000.0) -> Any:
    """Each pair as a complex number, multiplied by the number on the unit circle that stands for its angle."""
    positions = np.broadcast_to(np.arange(x.shape[-2]) if positions is None else positions, x.shape[:-1])
    y = np.zeros_like(x)
    for at in np.ndindex(x.shape[:-1]):
        for i in range(x.shape[-1] // 2):
            turned = complex(*x[at][2 * i : 2 * i + 2]) * np.exp(1j * positions[at] / base ** (2 * i / x.shape[-1]))
            y[at][2 * i : 2 * i + 2] = turned.real, turned.imag
    return y


def _row(*operands: Any, note: str = "", **static: Any) -> Row:
    return Row(layers.rotary_embedding, operands, static, reference=_rotary, note=note)


ROWS: list[Row] = [
    _row(_values(3, 4)),
    _row(_values(2, 3, 2), np.array([4, 0, -7]), base=10.0),
    _row(_values(2, 2, 2), np.array([[0.3, 1.2], [2.5, -0.7]]), note="positions that can be perturbed"),
    _row(_values(2, 2, 4), np.array([[1.5], [0.2]]), base=100.0, note="positions that broadcast"),
    _row(_values(2, 3, 2), np.array(1.5), note="one position for all"),
    _row(_values(2, 0, 4), note="no time"),
    _row(_values(2, 1, 0), note="vectors of nothing"),
]
