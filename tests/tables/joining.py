"""Rows of the ops that join and split; the variadic ops stand for `concat` and `stack`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops.joining import concat_arrays, concat_vectors, split_array, stack_arrays
from tests.tables import Row


def draw(*shape: int) -> Any:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape)


def concatenate(*xs: Any, axis: int = 0) -> Any:
    return np.concatenate(xs, axis=axis)


def stack(*xs: Any, axis: int = 0) -> Any:
    return np.stack(xs, axis=axis)


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    return tuple(np.split(x, indices_or_sections, axis))


ROWS: list[Row] = [
    Row(concat_arrays, (draw(2), draw(3)), {}, concatenate),
    Row(concat_arrays, (draw(2, 3), draw(2, 1), draw(2, 2)), {"axis": 1}, concatenate),
    Row(concat_arrays, (draw(2, 1, 3), draw(2, 2, 3)), {"axis": -2}, concatenate),
    Row(concat_arrays, (draw(2, 3), draw(0, 3)), {}, concatenate, note="an empty one"),
    Row(concat_arrays, (draw(3),), {}, concatenate, note="only one"),
    Row(concat_arrays, (draw(2), np.array([1, 2])), {}, concatenate, note="integers are promoted"),
    Row(concat_arrays, (np.array([1, 2]), np.array([3])), {}, concatenate, note="integers"),
    Row(concat_vectors, (draw(2), draw(3)), {}, lambda a, b: concatenate(a, b)),
    Row(concat_vectors, (draw(0), draw(1)), {}, lambda a, b: concatenate(a, b)),
    Row(concat_vectors, (draw(2), np.array([1, 2])), {}, lambda a, b: concatenate(a, b)),
    Row(stack_arrays, (draw(3), draw(3) + 1.0), {}, stack),
    Row(stack_arrays, (draw(2, 3), draw(2, 3) + 1.0), {"axis": 1}, stack),
    Row(stack_arrays, (draw(2, 3), draw(2, 3) + 1.0), {"axis": -1}, stack),
    Row(stack_arrays, (np.float64(1.0), np.float64(2.0), 3.0), {}, stack, note="numbers"),
    Row(stack_arrays, (draw(0, 2),), {"axis": 2}, stack, note="only one, empty"),
    Row(stack_arrays, (draw(2), np.array([1, 2])), {}, stack, note="integers are promoted"),
    Row(split_array, (draw(6),), {"indices_or_sections": 3}, split),
    Row(split_array, (draw(2, 4),), {"indices_or_sections": 2, "axis": -1}, split),
    Row(split_array, (draw(5, 2),), {"indices_or_sections": (1, 1, 3)}, split, note="an empty piece"),
    Row(split_array, (draw(2, 5),), {"indices_or_sections": (-2,), "axis": 1}, split),
    Row(split_array, (draw(3),), {"indices_or_sections": (2, 7)}, split, note="beyond the end"),
    Row(split_array, (draw(3),), {"indices_or_sections": ()}, split, note="one piece"),
    Row(split_array, (draw(0, 2),), {"indices_or_sections": 2}, split, note="empty"),
    Row(split_array, (np.arange(4),), {"indices_or_sections": 2}, split, note="integers"),
]
