"""Rows with an empty axis or an axis of size 1, for layer ops whose other rows have none."""

from __future__ import annotations

from typing import Any

import numpy as np

import layers
import tapem as tm
from layers.ops.attention import attention_weights
from layers.ops.avg_pool import share_out
from layers.ops.convolution import conv_kernel_gradient
from layers.ops.dropout import masked
from layers.ops.embedding import checked_ids
from layers.ops.max_pool import from_winners, pool_winners, to_winners
from layers.ops.pool_windows import windows_on
from layers.ops.smooth_max_pool import sum_of_windows, windows_of
from tests.tables import Row

# Windows of 2 side by side on a signal of 4, for a batch of no examples.
AT = windows_on("pool", (0, 4), (2,), 2, 0, 1)

CONVOLUTIONS = (layers.conv1d, layers.conv2d, layers.conv3d)
TRANSPOSED = (layers.conv_transpose1d, layers.conv_transpose2d, layers.conv_transpose3d)
POOLS = (
    (layers.max_pool1d, layers.avg_pool1d, layers.smooth_max_pool1d),
    (layers.max_pool2d, layers.avg_pool2d, layers.smooth_max_pool2d),
    (layers.max_pool3d, layers.avg_pool3d, layers.smooth_max_pool3d),
)


def ones(*shape: int) -> Any:
    return np.ones(shape)


def of_one(kernel: Any, bias: Any, x: Any) -> Any:
    """A convolution by a kernel of one tap, of one channel to one channel."""
    return kernel.ravel()[0] * x + bias


ROWS: list[Row] = [
    *(
        Row(op, (ones(1, 2, *(2,) * rank), ones(1), ones(0, 2, *(3,) * rank)), order=1, note="an empty batch")
        for rank, op in enumerate(CONVOLUTIONS, 1)
    ),
    *(
        Row(op, (ones(2, 1, *(2,) * rank), ones(1), ones(0, 2, *(3,) * rank)), order=1, note="an empty batch")
        for rank, op in enumerate(TRANSPOSED, 1)
    ),
    *(
        Row(
            op,
            (np.full((1,) * (rank + 2), 3.0), np.array([0.5]), np.full((1,) * (rank + 2), 2.0)),
            reference=of_one,
            note="size-1 axes",
        )
        for ops in (CONVOLUTIONS, TRANSPOSED)
        for rank, op in enumerate(ops, 1)
    ),
    *(
        Row(op, (ones(0, 2, *(4,) * rank),), {"kernel_size": 2}, note="an empty batch")
        for rank, ops in enumerate(POOLS, 1)
        for op in ops
    ),
    Row(layers.global_avg_pool, (ones(0, 2, 3, 3),), note="an empty batch"),
    Row(layers.global_avg_pool, (np.full((2, 1, 1, 1), 3.0),), reference=lambda x: x[..., 0, 0], note="size-1 axes"),
    Row(layers.group_norm, (ones(1, 1, 1), ones(1), ones(1)), {"num_groups": 1}, reference=lambda x, *_, **__: x),
    Row(layers.instance_norm, (ones(1, 1, 1), ones(1), ones(1)), reference=lambda x, *_: x, note="size-1 axes"),
    Row(attention_weights, (ones(0, 1, 2, 2), ones(0, 1, 3, 2)), note="an empty batch"),
    Row(masked, (ones(1, 3), tm.random.key(0)), {"rate": 0.0}, reference=lambda x, key, rate: x, note="size-1 axis"),
    *(
        Row(checked_ids, (np.zeros(shape, int),), {"vocabulary": 1}, reference=lambda ids, vocabulary: ids)
        for shape in ((0,), (1,))
    ),
    Row(conv_kernel_gradient, (ones(0, 1, 3), ones(0, 2, 2)), {"kernel_size": (2,)}),
    Row(pool_winners, (ones(0, 1, 4), ones(0, 1, 2)), {"at": AT}),
    Row(to_winners, (ones(0, 1, 2), np.zeros((0, 1, 2), np.uint8)), {"at": AT}),
    Row(from_winners, (ones(0, 1, 4), np.zeros((0, 1, 2), np.uint8)), {"at": AT}),
    Row(share_out, (ones(0, 1, 2),), {"at": AT}),
    Row(windows_of, (ones(0, 1, 4),), {"at": AT, "fill": 0.0}),
    Row(sum_of_windows, (ones(0, 1, 2, 2),), {"at": AT}),
]
