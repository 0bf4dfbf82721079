"""Rows of the convolutions, with references by sliding windows and by loops over positions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import layers
from layers.ops.convolution import conv_kernel_gradient
from tests.tables import Row


def _values(*shape: int) -> Any:
    return np.random.default_rng(sum(shape) + 7 * len(shape)).normal(size=shape)


def _each(value: Any, axes: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * axes


def _widths(padding: Any, size: tuple[int, ...], taps: tuple[int, ...], stride: Any, dilation: Any) -> Any:
    """The padding as pairs; "same" as TensorFlow describes it."""
    axes = len(size)
    if padding == "valid":
        return ((0, 0),) * axes
    if padding == "same":
        pairs: list[tuple[int, int]] = []
        for n, k, s, d in zip(size, taps, _each(stride, axes), _each(dilation, axes), strict=True):
            total = max((int(np.ceil(n / s)) - 1) * s + d * (k - 1) + 1 - n, 0)
            pairs.append((total // 2, total - total // 2))
        return tuple(pairs)
    return tuple(entry if isinstance(entry, tuple) else (entry, entry) for entry in _each(padding, axes))


def windows_of(x: Any, taps: tuple[int, ...], stride: Any, padding: Any, dilation: Any) -> Any:
    """(*batch, channels, *spatial) -> (*batch, channels, *positions, *taps)."""
    axes = len(taps)
    widths = _widths(padding, x.shape[-axes:], taps, stride, dilation)
    x = np.pad(x, ((0, 0),) * (x.ndim - axes) + widths)
    spans = tuple(d * (k - 1) + 1 for k, d in zip(taps, _each(dilation, axes), strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, spans, axis=tuple(range(-axes, 0)))
    steps = [slice(None, None, s) for s in _each(stride, axes)] + [slice(None, None, d) for d in _each(dilation, axes)]
    return view[(..., *steps)]


def conv(kernel: Any, bias: Any, x: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
    """The convolution, group by group, as a contraction over channels and taps."""
    axes = kernel.ndim - 2
    windows = windows_of(x, kernel.shape[2:], stride, padding, dilation)
    spatial, taps = "defgh"[:axes], "uvwz"[:axes]
    channel = x.ndim - axes - 1
    parts = [
        np.einsum(f"oc{taps},...c{spatial}{taps}->...o{spatial}", own, part)
        for own, part in zip(np.split(kernel, groups), np.split(windows, groups, axis=channel), strict=True)
    ]
    y = np.concatenate(parts, axis=channel)
    return y if bias is None else y + np.reshape(bias, (-1, *(1,) * axes))


def conv_transpose(
    kernel: Any,
    bias: Any,
    x: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Every element of x adds a copy of the kernel, at its place in the result."""
    axes, taps = kernel.ndim - 2, kernel.shape[2:]
    strides, dilations = _each(stride, axes), _each(dilation, axes)
    widths = _widths(padding, (0,) * axes, taps, 1, 1)
    extra = _each(output_padding, axes)
    into, out = kernel.shape[0] // groups, kernel.shape[1]
    batch, spatial = x.shape[: -axes - 1], x.shape[-axes:]
    along = zip(spatial, strides, taps, dilations, extra, strict=True)
    full = [(n - 1) * s + d * (k - 1) + 1 + e for n, s, k, d, e in along]
    y = np.zeros((*batch, groups, out, *full))
    for group, channel, at, tap in itertools.product(
        range(groups), range(into), np.ndindex(*spatial), np.ndindex(*taps)
    ):
        place = tuple(p * s + t * d for p, s, t, d in zip(at, strides, tap, dilations, strict=True))
        weights = kernel[(group * into + channel, slice(None), *tap)]
        y[(..., group, slice(None), *place)] += x[(..., group * into + channel, *at)][..., None] * weights
    y = y.reshape(*batch, groups * out, *full)
    y = y[(..., *(slice(before, n - after) for n, (before, after) in zip(full, widths, strict=True)))]
    return y if bias is None else y + np.reshape(bias, (-1, *(1,) * axes))


def kernel_gradient(
    x: Any,
    cotangent: Any,
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The contraction of windows and cotangent over examples and positions, group by group."""
    axes = len(kernel_size)
    windows = windows_of(x, kernel_size, stride, padding, dilation)
    windows = windows.reshape(-1, *windows.shape[x.ndim - axes - 1 :])
    cotangent = cotangent.reshape(-1, *cotangent.shape[-axes - 1 :])
    spatial, taps = "defgh"[:axes], "uvwz"[:axes]
    pairs = zip(np.split(cotangent, groups, axis=1), np.split(windows, groups, axis=1), strict=True)
    return np.concatenate([np.einsum(f"no{spatial},nc{spatial}{taps}->oc{taps}", g, w) for g, w in pairs])


def _row(
    op: Any,
    reference: Callable[..., Any],
    kernel: tuple[int, ...],
    x: tuple[int, ...],
    *,
    bias: bool = True,
    note: str = "",
    order: int = 1,
    **static: Any,
) -> Row:
    groups = static.get("groups", 1)
    channels = kernel[1] * groups if reference is conv_transpose else kernel[0]
    operands = (_values(*kernel), _values(channels) if bias else None, _values(*x))
    return Row(op, operands, static, reference=reference, note=note, order=order)


def _conv(kernel: tuple[int, ...], x: tuple[int, ...], op: Any = layers.conv, **options: Any) -> Row:
    return _row(op, conv, kernel, x, **options)


def _transposed(kernel: tuple[int, ...], x: tuple[int, ...], op: Any = layers.conv_transpose, **options: Any) -> Row:
    return _row(op, conv_transpose, kernel, x, **options)


def _gradient(x: tuple[int, ...], cotangent: tuple[int, ...], **static: Any) -> Row:
    return Row(conv_kernel_gradient, (_values(*x), _values(*cotangent)), static, reference=kernel_gradient, order=2)


ROWS: list[Row] = [
    _conv((2, 1, 2), (1, 3), note="no batch axis", order=2),
    _conv((2, 2, 2, 1), (2, 2, 3, 2), note="one batch axis", order=2),
    _conv((2, 1, 2), (2, 2, 1, 3), bias=False, note="two batch axes, no bias", order=2),
    _conv((1, 2, 2), (0, 2, 3), note="an empty batch"),
    _conv((2, 0, 2), (2, 0, 3), note="no input channels"),
    _conv((0, 1, 2), (2, 1, 3), note="no output channels"),
    _conv((1, 1, 1, 1), (1, 1, 1, 1), note="size-1 axes"),
    _conv((2, 1, 1, 1), (1, 2, 2), note="a kernel of one tap"),
    _conv((1, 1, 3), (1, 4), stride=2, note="an element that no window reaches"),
    _conv((1, 1, 2, 3), (1, 4, 4), stride=(2, 1), padding=(1, 2)),
    _conv((1, 1, 2, 3), (1, 3, 3), padding=((1, 0), (0, 2)), stride=(1, 2), note="pairs"),
    _conv((1, 1, 3), (2, 1, 2), padding=3, note="windows of nothing but padding"),
    _conv((1, 2, 2, 2), (2, 4, 4), dilation=(2, 3)),
    _conv((2, 1, 3), (1, 5), padding="same", note="same"),
    _conv((1, 1, 2, 4), (1, 5, 6), padding="same", stride=(2, 3), dilation=(2, 1), note="same, strided, uneven"),
    _conv((1, 1, 2), (1, 3), padding="valid"),
    _conv((4, 1, 2), (2, 4), groups=2, stride=2, padding=1, order=2),
    _conv((2, 1, 2), (2, 2, 3), groups=2, note="depthwise"),
    _conv((6, 2, 2, 1), (1, 6, 2, 2), groups=3),
    _conv((2, 1, 2, 2), (40, 1, 3, 2), note="many examples: a product for each row"),
    _conv((2, 1, 2, 2), (40, 2, 3, 2), groups=2, dilation=(2, 1), note="many examples, groups, dilated rows"),
    _conv((1, 1, 2, 1, 2, 1), (1, 2, 1, 2, 2), note="four spatial axes"),
    _conv((2, 2, 2), (2, 2, 3), layers.conv1d, padding=1, order=2),
    _conv((2, 1, 2, 2), (1, 3, 3), layers.conv2d, stride=2, padding="same", order=2),
    _conv((1, 1, 2, 1, 2), (1, 2, 2, 3), layers.conv3d, padding=(0, 0, 1), order=2),
    _transposed((1, 2, 2), (1, 3), note="no batch axis", order=2),
    _transposed((2, 1, 2), (2, 1, 2, 2), bias=False, note="two batch axes, no bias", order=2),
    _transposed((2, 1, 2), (0, 2, 2), note="an empty batch"),
    _transposed((0, 1, 2), (2, 0, 2), note="no input channels"),
    _transposed((1, 1, 1, 1), (1, 1, 1, 1), note="size-1 axes"),
    _transposed((1, 1, 2, 3), (1, 2, 2), stride=(2, 3), padding=(1, 0), output_padding=(1, 2)),
    _transposed((1, 1, 3), (1, 2), padding=((2, 0),), note="pairs"),
    _transposed((1, 1, 2), (1, 4), padding=2, note="padding beyond the kernel"),
    _transposed((1, 2, 2, 2), (1, 2, 1), dilation=(2, 3), padding=1),
    _transposed((4, 1, 2), (4, 2), groups=2, stride=2, order=2),
    _transposed((4, 2, 1, 2), (2, 4, 2, 2), groups=2, padding=(0, 1)),
    _transposed((1, 2, 2, 2), (40, 1, 2, 2), padding=(1, 0), note="many examples: a product for each row"),
    _transposed((2, 1, 2, 2), (40, 2, 2, 2), groups=2, stride=(2, 1), note="many examples, groups, strided rows"),
    _transposed((2, 2, 2), (2, 2, 2), layers.conv_transpose1d, stride=2, output_padding=1, order=2),
    _transposed((1, 2, 2, 2), (1, 2, 2), layers.conv_transpose2d, padding=1, order=2),
    _transposed((1, 1, 2, 1, 2), (1, 2, 1, 1), layers.conv_transpose3d, stride=(1, 2, 1), order=2),
    _gradient((2, 1, 3), (2, 2, 2), kernel_size=(2,)),
    _gradient((2, 3, 2), (1, 2, 2), kernel_size=(2, 1), stride=(2, 1), padding=(1, 0)),
    _gradient((2, 4, 3), (2, 2, 3), kernel_size=(2,), groups=2, padding=1, dilation=2),
    _gradient((40, 1, 3, 2), (40, 1, 2, 2), kernel_size=(2, 1)),
]
