"""Rows of the convolution and the correlation of two lines: every mode, either line the longer one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops import convolving
from tests.tables import Row


def real(*shape: int) -> Any:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape)


def plane(*shape: int) -> Any:
    return real(*shape) + 1j * real(*shape, 1)[..., 0]


SIZES = [(4, 3), (3, 4), (5, 2), (2, 5), (3, 3), (1, 4), (2, 2), (1, 1)]
OPS = [(convolving.convolve, np.convolve), (convolving.correlate, np.correlate)]

ROWS: list[Row] = [
    Row(op, (draw(n), other(m)), {"mode": mode}, reference, note)
    for op, reference in OPS
    for mode in ("full", "same", "valid")
    for n, m in SIZES
    for draw, other, note in (
        (real, real, ""),
        (plane, plane, "complex"),
        (real, plane, "the second complex"),
        (plane, real, "the first complex"),
    )
] + [Row(op, (np.array([3, 1, 2]), real(2)), {}, reference, "integers") for op, reference in OPS]
