"""Rows of the ops that arrange, repeat and pad."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops import padding, shaping
from tapem.types import NUMPY
from tests.tables import Row


def draw(*shape: int) -> Any:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape)


def rows(op: Any, reference: Any, *cases: tuple[tuple[int, ...], dict[str, Any]]) -> list[Row]:
    return [Row(op, (draw(*shape),), static, reference) for shape, static in cases]


def segment_sum(x: Any, lengths: Any, axis: int) -> Any:
    pieces = np.split(x, np.cumsum(lengths)[:-1], axis)
    return np.stack([np.sum(piece, axis=axis) for piece in pieces], axis)


def unpad(x: Any, widths: Any, mode: str = "constant") -> Any:
    """The transpose of np.pad, by its definition: each element of the padded array goes back where it came from."""
    inner = tuple(n - before - after for n, (before, after) in zip(x.shape, widths, strict=True))
    source = np.arange(np.prod(inner)).reshape(inner)
    fill = {"constant_values": -1} if mode == "constant" else {}
    out = np.zeros(inner)
    for place, value in zip(np.pad(source, widths, mode=mode, **fill).flat, x.flat, strict=True):  # type: ignore[call-overload]
        if place >= 0:
            out.flat[place] += value
    return out


# Before 2.1 the argument has another name in NumPy.
reshaped = np.reshape if NUMPY >= (2, 1) else lambda x, shape: np.reshape(x, shape)
WHOLE = np.arange(6).reshape(2, 3)

ROWS: list[Row] = [
    *rows(
        shaping.reshape,
        reshaped,
        ((2, 3), {"shape": (3, 2)}),
        ((2, 3), {"shape": (-1,)}),
        ((2, 3), {"shape": 6}),
        ((2, 3, 4), {"shape": (4, -1, 2)}),
        ((), {"shape": (1, 1)}),
        ((1,), {"shape": ()}),
        ((0, 3), {"shape": (3, 0)}),
        ((0, 3), {"shape": (5, -1)}),
    ),
    *rows(shaping.flatten, np.ravel, ((2, 3), {}), ((), {}), ((0, 3), {}), ((4,), {})),
    *rows(
        shaping.squeeze,
        np.squeeze,
        ((1, 3, 1), {}),
        ((1, 3, 1), {"axis": 0}),
        ((1, 3, 1), {"axis": (-1, 0)}),
        ((2, 3), {}),
        ((2, 3), {"axis": ()}),
        ((), {}),
        ((1, 0), {"axis": 0}),
    ),
    *rows(
        shaping.expand_dims,
        np.expand_dims,
        ((2, 3), {"axis": 0}),
        ((2, 3), {"axis": -1}),
        ((2, 3), {"axis": (0, -1)}),
        ((2, 3), {"axis": (3, 1)}),
        ((), {"axis": 0}),
        ((0,), {"axis": 1}),
    ),
    *rows(
        shaping.transpose,
        np.transpose,
        ((2, 3, 4), {}),
        ((2, 3, 4), {"axes": (1, 2, 0)}),
        ((2, 3, 4), {"axes": (-1, 0, -2)}),
        ((2, 1), {"axes": (1, 0)}),
        ((), {}),
        ((3, 0), {}),
        ((3,), {}),
    ),
    *rows(shaping.swapaxes, np.swapaxes, ((2, 3, 4), {"axis1": 0, "axis2": -1}), ((2, 3), {"axis1": 1, "axis2": 1})),
    *rows(
        shaping.moveaxis,
        np.moveaxis,
        ((2, 3, 4), {"source": 0, "destination": -1}),
        ((2, 3, 4), {"source": (0, -1), "destination": (1, 0)}),
        ((0, 3), {"source": 0, "destination": 1}),
    ),
    *rows(
        shaping.flip,
        np.flip,
        ((2, 3), {}),
        ((2, 3), {"axis": -1}),
        ((2, 3, 4), {"axis": (0, -1)}),
        ((), {}),
        ((0, 2), {}),
    ),
    *rows(
        shaping.roll,
        np.roll,
        ((5,), {"shift": 2}),
        ((2, 3), {"shift": -1}),
        ((2, 3), {"shift": 4, "axis": -1}),
        ((2, 3), {"shift": (1, 2), "axis": (0, 1)}),
        ((2, 3), {"shift": 1, "axis": (0, 1)}),
        ((2, 3), {"shift": (1, 1), "axis": 1}),
        ((2, 3), {"shift": (1, 2)}),
        ((0, 3), {"shift": 1, "axis": 0}),
        ((), {"shift": 1}),
    ),
    *rows(
        shaping.broadcast_to,
        np.broadcast_to,
        ((3,), {"shape": (2, 3)}),
        ((2, 1), {"shape": (2, 3)}),
        ((2, 1), {"shape": (4, 2, 3)}),
        ((1, 1), {"shape": (1, 1)}),
        ((), {"shape": (2, 2)}),
        ((), {"shape": ()}),
        ((), {"shape": 3}),
        ((1,), {"shape": (0,)}),
    ),
    *rows(
        shaping.tile,
        np.tile,
        ((3,), {"reps": 2}),
        ((2, 3), {"reps": 2}),
        ((2, 3), {"reps": (2, 1)}),
        ((3,), {"reps": (2, 2)}),
        ((2, 1, 2), {"reps": (3, 2)}),
        ((), {"reps": (2,)}),
        ((2,), {"reps": ()}),
        ((2,), {"reps": 0}),
        ((0, 2), {"reps": (2, 2)}),
    ),
    *rows(
        shaping.repeat,
        np.repeat,
        ((3,), {"repeats": 2}),
        ((2, 3), {"repeats": 2}),
        ((2, 3), {"repeats": 2, "axis": -1}),
        ((2, 3), {"repeats": (1, 0, 2), "axis": 1}),
        ((2, 3), {"repeats": (2,), "axis": 0}),
        ((2, 2), {"repeats": (1, 0, 2, 1)}),
        ((), {"repeats": 3}),
        ((3,), {"repeats": 0}),
        ((0, 2), {"repeats": 2, "axis": 0}),
    ),
    *rows(
        shaping.segment_sum,
        segment_sum,
        ((3,), {"lengths": (1, 0, 2), "axis": 0}),
        ((2, 4), {"lengths": (0, 4, 0), "axis": -1}),
        ((0, 2), {"lengths": (0, 0), "axis": 0}),
    ),
    *rows(
        padding.pad,
        np.pad,
        ((3,), {"pad_width": 1}),
        ((3,), {"pad_width": (1, 2), "constant_values": 5.0}),
        ((2, 3), {"pad_width": ((1, 0), (0, 2)), "constant_values": ((1.0, 2.0), (3.0, 4.0))}),
        ((2, 3), {"pad_width": ((1,), (2,)), "constant_values": (1.0, 2.0)}),
        ((2, 3), {"pad_width": 0}),
        ((0, 2), {"pad_width": 1}),
        *(((3, 4), {"pad_width": ((1, 2), (2, 0)), "mode": m}) for m in ("edge", "reflect", "symmetric", "wrap")),
        *(((2,), {"pad_width": (5, 4), "mode": m}) for m in ("edge", "reflect", "symmetric", "wrap")),
        ((1, 2), {"pad_width": 2, "mode": "edge"}),
    ),
    *rows(
        padding.unpad,
        unpad,
        ((4,), {"widths": ((1, 2),)}),
        ((4, 5), {"widths": ((0, 1), (2, 1))}),
        *(((6, 5), {"widths": ((1, 2), (2, 0)), "mode": m}) for m in ("edge", "reflect", "symmetric", "wrap")),
        *(((9,), {"widths": ((4, 3),), "mode": m}) for m in ("edge", "reflect", "symmetric", "wrap")),
    ),
    # integers and numbers
    Row(shaping.reshape, (WHOLE,), {"shape": (3, 2)}, reshaped),
    Row(shaping.transpose, (WHOLE,), {}, np.transpose),
    Row(shaping.tile, (WHOLE,), {"reps": 2}, np.tile),
    Row(padding.pad, (WHOLE,), {"pad_width": 1}, np.pad),
    Row(shaping.broadcast_to, (2.5,), {"shape": (2, 2)}, np.broadcast_to),
    Row(shaping.flatten, (2.5,), {}, np.ravel),
]
