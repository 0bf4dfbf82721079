"""Rows of the ops on diagonals and triangles: offsets on both sides, other axes, empty matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops.diagonals import diag, diagonal, from_diagonal, trace, tril, triu
from tests.tables import Row


def _values(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def _from_diagonal(x: Any, offset: int, axis1: int, axis2: int, shape: Any) -> Any:
    """Element by element: every position whose two coordinates differ by the offset."""
    out = np.zeros(shape)
    axis1, axis2 = axis1 % len(shape), axis2 % len(shape)
    for place in np.ndindex(*shape):
        if place[axis2] - place[axis1] == offset:
            others = tuple(p for axis, p in enumerate(place) if axis not in (axis1, axis2))
            out[place] = x[(*others, min(place[axis1], place[axis2]))]
    return out


_PLANES: list[tuple[tuple[int, ...], dict[str, int]]] = [
    ((3, 3), {}),
    ((3, 4), {"offset": 1}),
    ((3, 4), {"offset": -2}),
    ((3, 4), {"offset": 7}),
    ((0, 3), {}),
    ((1, 1), {}),
    ((2, 3, 4), {"axis1": -1, "axis2": 0}),
    ((2, 3, 4), {"axis1": 1, "axis2": 2, "offset": 1}),
]

_OPS: dict[Any, Any] = {diagonal: np.diagonal, trace: np.trace}

ROWS: list[Row] = [
    *(
        Row(op, (_values(*shape),), static, reference=lambda x, op=op, **static: _OPS[op](x, **static))
        for op in _OPS
        for shape, static in _PLANES
    ),
    *(
        Row(
            from_diagonal,
            (_values(*np.diagonal(np.zeros(shape), **static).shape),),
            {"offset": 0, "axis1": 0, "axis2": 1, **static, "shape": shape},
            reference=_from_diagonal,
        )
        for shape, static in _PLANES
    ),
    *(
        Row(diag, (_values(*shape),), {"k": k}, reference=np.diag)
        for shape in [(3,), (3, 3), (2, 4), (0,), (1,)]
        for k in (0, 1, -2)
    ),
    *(
        Row(op, (_values(*shape),), {"k": k}, reference=reference)
        for op, reference in ((triu, np.triu), (tril, np.tril))
        for shape in [(3, 3), (2, 4), (2, 3, 3), (0, 2)]
        for k in (0, 1, -1)
    ),
]
