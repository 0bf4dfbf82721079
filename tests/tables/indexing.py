"""Rows of the indexing ops: every kind of index, alone and mixed, and repeated, negative and empty ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops.index import ARRAY, Index, take_apart
from tapem.ops.indexing import gather, scatter, scatter_add, scatter_set, take, take_along_axis
from tests.tables import Row


def _values(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape)


class At:
    """`At(shape)[index]`: the rows of `x[index]` and of its transpose, for x of that shape."""

    def __init__(self, *shape: int, note: str = "") -> None:
        self.shape, self.note = shape, note

    def __getitem__(self, index: Any) -> list[Row]:
        at, arrays = take_apart(index)
        shape = self.shape

        def put(values: Any, *_: Any, **__: Any) -> Any:
            # The transpose by its definition: element by element, what was read from a place goes back there.
            out = np.zeros(shape)
            positions = np.arange(out.size).reshape(shape)[index]
            for position, value in zip(np.ravel(positions), np.ravel(values), strict=True):
                out.flat[position] += value
            return out

        x = _values(*shape)
        taken = x[index]
        return [
            Row(gather, (x, *arrays), {"at": at}, reference=lambda x, *_, **__: x[index], note=self.note),
            Row(
                scatter,
                (_values(*np.shape(taken)), *arrays),
                {"at": at, "shape": shape},
                reference=put,
                note=self.note,
            ),
        ]


_MASK = np.array([True, False, True])

_INDEX: list[list[Row]] = [
    At(5)[2],
    At(5)[-1],
    At(5)[1:4],
    At(5)[::-1],
    At(5)[4:0:-2],
    At(5, note="nothing")[3:1],
    At(0, note="empty")[:],
    At(3, 4)[1],
    At(3, 4)[:, 2],
    At(3, 4)[..., None],
    At(3, 4)[None, 1:, None, ::-2],
    At(3, 4)[...],
    At(3, 4)[()],
    At(note="0-d")[None, ...],
    At(1, 4, note="size 1")[0, -2:],
    At(2, 3, 4)[1, ..., 0],
    At(2, 3, 4)[-1, 2, -3],
    At(5)[np.array([3, 3, 0])],
    At(5)[[4, -1, -5]],
    At(5)[np.array([[0, 1], [1, 1]])],
    At(5, note="no index")[[]],
    At(3, 4)[np.array([2, 0, 2])],
    At(3, 4)[:, np.array([1, 1, 3, 0, 1])],
    At(3, 4)[np.array([0, 2, 2]), np.array([1, 3, 3])],
    At(3, 4)[np.array([[0], [2]]), np.array([1, 3, 3])],
    At(3, 4, note="integer joins arrays")[1, np.array([1, 1])],
    At(2, 3, 4, note="arrays apart")[np.array([0, 1, 1]), :, np.array([3, 3, 0])],
    At(2, 3, 4, note="integer apart")[1, :, np.array([3, 3, 0])],
    At(2, 3, 4, note="apart by None")[:, np.array([0, 1]), None, np.array([3, 3])],
    At(2, 3, 4, note="apart by an empty ellipsis")[:, np.array([0, 1, 1]), ..., np.array([3, 3, 0])],
    At(2, 3, 4)[:, np.array([0, 1, 1]), np.array([3, 3, 0])],
    At(2, 3, 4, 2)[..., np.array([[0, 1, 1]]), 1:, 0],
    At(2, 3, 4, 2)[..., np.array([0, 1, 1]), np.array([[1], [0]])],
    At(3)[_MASK],
    At(3, 4)[_MASK],
    At(4, 3)[:, _MASK],
    At(4, 3)[1, _MASK],
    At(3, 4)[_values(3, 4) > 0],
    At(2, 3, 4)[:, _values(3, 4) > 0],
    At(3, 4)[_MASK, np.array([1, 1])],
    At(3, 2, 4, note="mask apart")[_MASK, :, np.array([1, 1])],
    At(3, note="nothing selected")[np.zeros(3, bool)],
]

_IDS = np.array([[0, 2, 2], [-1, 0, 0]])
_MANY = np.array([[1, 1, 0, -1], [0, 0, 0, 2], [2, 1, 2, 1]])


def _put_each(x: Any, indices: Any, updates: Any, axis: int | None, add: bool) -> Any:
    """One update after the other, in the order of the indices."""
    flat = axis is None
    out = np.array(x, float).reshape(-1) if flat else np.array(x, float)
    axis = 0 if axis is None else axis
    for place in np.ndindex(*indices.shape):
        value = np.broadcast_to(updates, indices.shape)[place]
        target = list(place)
        target[axis] = indices[place]
        out[tuple(target)] = value + (out[tuple(target)] if add else 0.0)
    return out.reshape(np.shape(x))


def _puts(x: Any, indices: Any, updates: Any, axis: int | None, note: str = "") -> list[Row]:
    return [
        Row(
            op,
            (x, indices, updates),
            {"axis": axis},
            reference=lambda x, i, u, axis, add=op is scatter_add: _put_each(x, i, u, axis, add),
            note=note,
        )
        for op in (scatter_add, scatter_set)
    ]


ROWS: list[Row] = [
    *(row for rows in _INDEX for row in rows),
    Row(gather, (_values(3), np.array(1)), {"at": Index((ARRAY,))}, reference=lambda x, *_, **__: x[1], note="0-d"),
    *(
        Row(take, (_values(*shape), indices), {"axis": axis}, reference=lambda x, i, axis: np.take(x, i, axis=axis))
        for shape, indices, axis in [
            ((5,), _IDS, 0),
            ((5,), np.array(-1), 0),
            ((3, 4), _IDS, 0),
            ((3, 4), _IDS, -1),
            ((3, 4), np.array([3, 3]), 1),
            ((2, 3, 4), np.array([2, 0, 2]), -2),
            ((3, 4), np.array([[11, -1], [0, 0]]), None),
            ((3, 4), np.zeros((0,), int), 1),
            ((3, 0), np.array([1, 1]), 0),
            ((1, 2), np.array([0, 0, 0]), 0),
        ]
    ),
    *(
        Row(
            take_along_axis,
            (_values(*shape), indices),
            {"axis": axis},
            reference=lambda x, i, axis: np.take_along_axis(x, i, axis=axis),
            note=note,
        )
        for shape, indices, axis, note in [
            ((3,), np.array([2, 2, 0, -1]), 0, "repeated"),
            ((3, 4), _MANY, 0, ""),
            ((3, 4), np.argsort(_values(3, 4), axis=1), -1, "sorted"),
            ((3, 4), np.array([[0], [3], [3]]), 1, "keepdims"),
            ((3, 4), np.array([[0, 1, 1]]), 1, "indices broadcast"),
            ((1, 4), _MANY[:, :2], 1, "x broadcast"),
            ((3, 4), np.array([11, 0, 0]), None, "flat"),
            ((3, 4), np.zeros((3, 0), int), 1, "nothing"),
        ]
    ),
    *_puts(_values(3), np.array([2, 2, 0, -1]), _values(4), 0, "repeated"),
    *_puts(_values(3, 4), _MANY, _values(3, 4), 0),
    *_puts(_values(3, 4), _MANY, _values(3, 4), -1),
    *_puts(_values(3, 4), _MANY, 2.0, 1, "one update"),
    *_puts(_values(3, 4), _MANY, _values(3, 1), 1, "updates broadcast"),
    *_puts(_values(3, 4), _MANY, _values(4), 0, "fewer axes"),
    *_puts(_values(3, 4), np.array([11, 0, 0]), _values(3), None, "flat"),
    *_puts(_values(2, 3), np.zeros((2, 0), int), _values(2, 0), 1, "nothing"),
]
