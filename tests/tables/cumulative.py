"""Rows of the cumulative and sorting ops, and of the ops that their rules are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops import cumulative as ops
from tests.tables import Row


def draw(*shape: int) -> Any:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape)


def lines(op: Any, reference: Any) -> list[Row]:
    return [
        Row(op, (draw(5),), {}, reference),
        Row(op, (np.float64(0.5),), {"axis": None}, reference),
        Row(op, (draw(3, 4),), {"axis": None}, reference),
        Row(op, (draw(3, 4),), {"axis": 0}, reference),
        Row(op, (draw(3, 4),), {"axis": -1}, reference),
        Row(op, (draw(2, 3, 4),), {"axis": -2}, reference),
        Row(op, (draw(3, 1),), {"axis": 1}, reference, note="one element"),
        Row(op, (draw(3, 0),), {"axis": 1}, reference, note="no element"),
        Row(op, (draw(0, 3),), {"axis": 1}, reference, note="no line"),
        Row(op, (draw(0, 3),), {"axis": None}, reference, note="no element at all"),
        Row(op, (np.array([[3, 1, 2], [5, -4, 0]]),), {"axis": 1}, reference, note="integers"),
    ]


def recurrence(decay: Any, drive: Any, axis: int, reverse: bool = False) -> Any:
    decay, drive = np.moveaxis(decay, axis, -1), np.moveaxis(drive, axis, -1)
    states = np.zeros(drive.shape)
    for line in np.ndindex(*drive.shape[:-1]):
        order = range(drive.shape[-1])
        state = 0.0
        for k in reversed(order) if reverse else order:
            state = decay[line][k] * state + drive[line][k]
            states[line][k] = state
    return np.moveaxis(states, -1, axis)


def shifted(x: Any, axis: int, step: int = 1, fill: float = 0.0) -> Any:
    moved = np.roll(x, step, axis)
    if moved.shape[axis]:
        np.moveaxis(moved, axis, 0)[0 if step == 1 else -1] = fill
    return moved


ZEROS = np.array([[2.0, 0.0, 3.0, 0.5], [0.0, 1.5, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
ORDER = np.array([[2, 0, 1], [1, 0, 2]])

ROWS: list[Row] = [
    *lines(ops.cumsum, np.cumsum),
    *lines(ops.cumprod, np.cumprod),
    Row(ops.cumprod, (ZEROS,), {"axis": 1}, np.cumprod, note="one, two and four zeros"),
    Row(ops.cumprod, (ZEROS,), {"axis": 0}, np.cumprod, note="with zeros"),
    Row(ops.cumprod, (ZEROS[:2],), {}, np.cumprod, note="with zeros in a line"),
    *lines(ops.sort, np.sort),
    *(
        Row(ops.shift, (draw(*shape),), static, shifted)
        for shape in ((4,), (1,), (0,))
        for static in ({"axis": 0}, {"axis": -1, "step": -1, "fill": 2.0})
    ),
    Row(ops.shift, (draw(2, 3, 4),), {"axis": 1, "fill": 1.0}, shifted),
    Row(ops.shift, (draw(2, 3, 4),), {"axis": -1, "step": -1}, shifted),
    *(
        Row(ops.recurrence, (draw(*shape), draw(*shape) + 1.0), {"axis": axis, "reverse": reverse}, recurrence)
        for shape, axis in (((4,), 0), ((1,), 0), ((0,), 0), ((2, 3), 1), ((3, 2, 2), -3))
        for reverse in (False, True)
    ),
    Row(ops.permute, (draw(3), ORDER[0]), {"axis": 0}, np.take_along_axis),
    Row(ops.permute, (draw(2, 3), ORDER), {"axis": -1}, np.take_along_axis),
    Row(ops.permute, (draw(3, 2), ORDER.T), {"axis": 0}, np.take_along_axis),
    Row(ops.permute, (draw(2, 0), np.zeros((2, 0), int)), {"axis": 1}, np.take_along_axis),
]
