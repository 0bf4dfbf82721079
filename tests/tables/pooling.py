"""Rows of the pools, and of the ops that their rules are made of."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import layers
from layers.ops.avg_pool import share_out
from layers.ops.max_pool import from_winners, pool_winners, to_winners
from layers.ops.pool_windows import windows_on
from layers.ops.smooth_max_pool import sum_of_windows, windows_of
from tests.tables import Row


def _values(*shape: int) -> Any:
    """Numbers in random order, far enough from each other that no finite difference changes their order."""
    size = int(np.prod(shape))
    return np.random.default_rng(size + len(shape)).permutation(size).reshape(shape) * 0.25 - size / 8


def _windows(x: Any, kernel: Any, stride: Any, padding: Any, fill: float) -> Any:
    """Every window as one row, (*batch, C, *out, taps): by one slice of the padded input for each window."""
    kernel = (kernel,) * (x.ndim - 2) if isinstance(kernel, int) else kernel
    axes = len(kernel)
    stride = kernel if stride is None else (stride,) * axes if isinstance(stride, int) else stride
    padding = (padding,) * axes if isinstance(padding, int) else padding
    pairs = [p if isinstance(p, tuple) else (p, p) for p in padding]
    x = np.pad(x, [(0, 0)] * (x.ndim - axes) + pairs, constant_values=fill)
    out = [(n - k) // s + 1 for n, k, s in zip(x.shape[-axes:], kernel, stride, strict=True)]
    result = np.empty((*x.shape[:-axes], *out, int(np.prod(kernel))))
    for position in itertools.product(*map(range, out)):
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(position, stride, kernel, strict=True))
        result[(..., *position, slice(None))] = x[(..., *window)].reshape(*x.shape[:-axes], result.shape[-1])
    return result


def _max(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Any:
    return np.max(_windows(x, kernel_size, stride, padding, -np.inf), axis=-1)


def _mean(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Any:
    return np.mean(_windows(x, kernel_size, stride, padding, 0), axis=-1)


def _smooth(x: Any, kernel_size: Any, beta: float = 1.0, stride: Any = None, padding: Any = 0) -> Any:
    taps = _windows(x, kernel_size, stride, padding, -np.inf if beta > 0 else np.inf)
    return np.log(np.sum(np.exp(beta * taps), axis=-1)) / beta


# Of each kind of pool: the windows that stand apart, overlap, leave gaps, reach into the padding.
_CASES: list[tuple[tuple[int, ...], dict[str, Any], str]] = [
    ((2, 1, 4, 4), {"kernel_size": 2}, "an int"),
    ((2, 5, 4), {"kernel_size": (2, 2)}, "a single example; a row is left over"),
    ((1, 2, 1, 3, 4), {"kernel_size": (2, 3), "stride": 1}, "two batch axes, overlapping"),
    ((1, 4, 5), {"kernel_size": (1, 2), "stride": (2, 3)}, "gaps"),
    ((1, 3, 4), {"kernel_size": (3, 2), "stride": (1, 2), "padding": 1}, "padding"),
    ((1, 3, 3), {"kernel_size": (2, 2), "padding": ((1, 0), (0, 1))}, "padding of one side"),
    ((0, 2, 4, 4), {"kernel_size": 2}, "an empty batch"),
    ((1, 1, 1), {"kernel_size": (1,)}, "size-1 axes"),
]

_POOLS = ((layers.max_pool, _max), (layers.avg_pool, _mean), (layers.smooth_max_pool, _smooth))
_OF_RANK = (
    ((layers.max_pool1d, _max), (layers.avg_pool1d, _mean), (layers.smooth_max_pool1d, _smooth)),
    ((layers.max_pool2d, _max), (layers.avg_pool2d, _mean), (layers.smooth_max_pool2d, _smooth)),
    ((layers.max_pool3d, _max), (layers.avg_pool3d, _mean), (layers.smooth_max_pool3d, _smooth)),
)
_SHAPES = ((1, 2, 5), (1, 1, 3, 4), (1, 1, 2, 3, 2))

# How windows of 2 with stride 1 stand on a padded signal of 3; a geometry is what the inner ops are given.
_AT = windows_on("pool", (1, 3), (2,), 1, 1, 1)
_APART = windows_on("pool", (1, 5), (2,), 2, 0, 1)
_WINNERS = np.array([[[0, 1, 0, 0]]], np.uint8)

ROWS: list[Row] = [
    *(
        Row(op, (_values(*shape),), static, reference=by, note=note)
        for op, by in _POOLS
        for shape, static, note in _CASES
    ),
    *(
        Row(op, (_values(*shape),), {"kernel_size": 2, "stride": 1}, reference=by)
        for ops, shape in zip(_OF_RANK, _SHAPES, strict=True)
        for op, by in ops
    ),
    Row(layers.smooth_max_pool, (_values(1, 4) / 4,), {"kernel_size": (2,), "beta": -3.0}, reference=_smooth),
    Row(layers.smooth_max_pool, (_values(1, 3),), {"kernel_size": (2,), "beta": -1.0, "padding": 1}, reference=_smooth),
    Row(layers.global_avg_pool, (_values(2, 3, 2, 4),), reference=lambda x: np.mean(x, axis=(2, 3))),
    Row(
        layers.global_avg_pool,
        (_values(3, 4),),
        {"spatial_axes": 1},
        reference=lambda x, spatial_axes: np.mean(x, axis=1),
    ),
    Row(pool_winners, (np.array([[3.0, 1.0, 2.0]]), np.array([[3.0, 3.0, 2.0, 2.0]])), {"at": _AT}),
    Row(to_winners, (_values(1, 1, 4), _WINNERS), {"at": _AT}, note="overlapping"),
    Row(to_winners, (_values(1, 1, 2), _WINNERS[..., :2]), {"at": _APART}, note="apart"),
    Row(from_winners, (_values(1, 1, 3), _WINNERS), {"at": _AT}),
    Row(share_out, (_values(1, 1, 4),), {"at": _AT}, note="overlapping"),
    Row(share_out, (_values(1, 1, 2),), {"at": _APART}, note="apart"),
    Row(windows_of, (_values(1, 1, 3),), {"at": _AT, "fill": 2.0}),
    Row(sum_of_windows, (_values(1, 1, 4, 2),), {"at": _AT}),
]
