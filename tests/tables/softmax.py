"""Rows of softmax and its logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from tapem.ops.softmax import log_softmax, softmax, softmax_or_zero
from tests.tables import Row


def draw(*shape: int) -> Any:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape)


def rows(op: Any, reference: Any) -> list[Row]:
    def expected(x: Any, axis: Any = -1) -> Any:
        return reference(x, axis=axis) if np.size(x) else np.zeros(np.shape(x))

    return [
        Row(op, (draw(5),), {}, expected),
        Row(op, (draw(3, 4),), {}, expected),
        Row(op, (draw(3, 4),), {"axis": 0}, expected),
        Row(op, (draw(2, 3, 4),), {"axis": (0, -1)}, expected),
        Row(op, (draw(2, 3),), {"axis": None}, expected),
        Row(op, (draw(3, 1),), {}, expected, note="one element"),
        Row(op, (draw(3, 0),), {}, expected, note="no element"),
        Row(op, (draw(0, 3),), {}, expected, note="no row"),
        Row(op, (np.float64(0.5),), {"axis": None}, expected),
        Row(op, (np.array([10000.0, 10000.0, 9992.0, -10000.0]),), {}, expected, note="large"),
        Row(op, (np.array([[1, 2, 3], [0, 0, 5]]),), {}, expected, note="integers"),
    ]


ROWS: list[Row] = [
    *rows(softmax, scipy.special.softmax),
    *rows(log_softmax, scipy.special.log_softmax),
    *(
        Row(softmax_or_zero, (x,), static, scipy.special.softmax)
        for x, static in ((draw(5), {}), (draw(3, 4), {"axis": 1}), (draw(2, 3, 2), {"axis": (0, -1)}))
    ),
]
