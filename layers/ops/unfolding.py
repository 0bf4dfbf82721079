"""Convolutions of arrays as products of matrices: where the work is done.

Arrays are laid out as (groups, rows, channels, *columns, examples): the first spatial axis is the rows, the others are
the columns. What is gained:

- The examples stand last, so the elements that one tap meets lie in long runs, which are copied at the speed of memory.
- The input is unfolded along its columns only, once for every tap there. The windows of consecutive taps along the rows
  then follow each other in memory, and overlap from one row of the result to the next: a view shows, for every row of
  the result, the matrix (taps and channels, columns and examples) that it is a product with. So an image is copied 5
  times for a kernel of 5 x 5, not 25 times.
- A matrix for one row of the result fits into the nearest caches, where BLAS is two to three times as fast as on one
  matrix for all rows.
"""

# What NumPy makes of arrays of any dtype has no type that a checker could know.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from layers.ops.windows import Geometry, Sizes

# A row of the result with fewer elements than this is not worth a product of its own.
_SHORT = 64
# How many elements the shares that rows have in the gradient of a kernel may take before they are summed.
_SHARES = 1 << 20


def correlate(kernel: Any, bias: Any, x: Any, at: Geometry, groups: int) -> Any:
    """The convolution: kernel (out, channels / groups, *taps), x (*batch, channels, *size) -> (*batch, out, *out).

    >>> from layers.ops.windows import geometry
    >>> at = geometry("conv", (4,), (2,), 1, 0, 1)
    >>> correlate(np.array([[[1.0, 10.0]]]), None, np.array([[1.0, 2.0, 3.0, 4.0]]), at, 1)
    array([[21., 32., 43.]])
    """
    dtype, (kernel, x) = _computed_in(kernel, x)
    axes = len(at.size)
    x, at, batch = _in_rows(x, at.size, at, groups)
    own = len(kernel) // groups
    matrix = _by_rows(kernel, at, groups).transpose(0, 1, 3, 2, 4)
    y = np.matmul(matrix.reshape(groups, 1, own, math.prod(kernel.shape[1:])), _windows(x, at))
    if bias is not None:
        column = bias.reshape(groups, 1, own, 1)
        y = np.add(y, column, out=y if np.result_type(y, column) == y.dtype else None)
        dtype = np.result_type(dtype, bias)
    return _out_of_rows(y.reshape(groups, at.out[0], own, *at.out[1:], x.shape[-1]), axes, batch, dtype)


def correlate_transposed(kernel: Any, bias: Any, x: Any, at: Geometry, groups: int) -> Any:
    """The transposed convolution: kernel (in, out / groups, *taps), x (*batch, in, *at.out) -> (*batch, out, *size).

    >>> from layers.ops.windows import geometry
    >>> at = geometry("conv", (4,), (2,), 1, 0, 1)
    >>> correlate_transposed(np.array([[[1.0, 10.0]]]), None, np.array([[1.0, 2.0, 3.0]]), at, 1)
    array([[ 1., 12., 23., 30.]])
    """
    dtype, (kernel, x) = _computed_in(kernel, x)
    axes = len(at.size)
    x, at, batch = _in_rows(x, at.out, at, groups)
    (_, rows, into, *_), examples = x.shape, x.shape[-1]
    out = kernel.shape[1]
    x = x.reshape(groups, rows, into, math.prod(at.out[1:]) * examples)
    kernel = _by_rows(kernel, at, groups)
    windows = _spread(kernel, x, at) if at.stride[0] == at.dilation[0] == 1 else _scattered(kernel, x, at)
    y = _folded(windows.reshape(groups, at.size[0], out, *at.kernel[1:], *at.out[1:], examples), at)
    if bias is not None:
        column = bias.reshape(groups, 1, out, *(1,) * (y.ndim - 3))
        y = np.add(y, column, out=y if np.result_type(y, column) == y.dtype else None)
        dtype = np.result_type(dtype, bias)
    return _out_of_rows(y, axes, batch, dtype)


def kernel_gradient(x: Any, cotangent: Any, at: Geometry, groups: int) -> Any:
    """The gradient of `correlate` by the kernel: x (*batch, channels, *size), cotangent (*batch, out, *at.out).

    >>> from layers.ops.windows import geometry
    >>> at = geometry("conv", (3,), (2,), 1, 0, 1)
    >>> kernel_gradient(np.array([[1.0, 2.0, 4.0]]), np.array([[1.0, 10.0]]), at, 1)
    array([[[21., 42.]]])
    """
    dtype, (x, cotangent) = _computed_in(x, cotangent)
    taps = at.kernel
    cotangent, _, _ = _in_rows(cotangent, at.out, at, groups)
    x, at, _ = _in_rows(x, at.size, at, groups)
    rows, out, channels = cotangent.shape[1], cotangent.shape[2], x.shape[2]
    windows = _windows(x, at)
    cotangent = cotangent.reshape(groups, rows, out, windows.shape[-1]).swapaxes(2, 3)
    step = max(_SHARES // max(groups * windows.shape[2] * out, 1), 1)
    shares = (
        np.add.reduce(np.matmul(windows[:, start : start + step], cotangent[:, start : start + step]), axis=1)
        for start in range(0, rows, step)
    )
    total = functools.reduce(lambda sums, share: np.add(sums, share, out=sums), shares)
    kernel = total.reshape(groups, at.kernel[0], channels, math.prod(at.kernel[1:]), out).transpose(0, 4, 2, 1, 3)
    return kernel.reshape(groups * out, channels, *taps).astype(dtype, copy=False)


# The layout -----------------------------------------------------------------------------------------------------------


def _computed_in(a: Any, b: Any) -> tuple[Any, tuple[Any, Any]]:
    """The dtype of the result, and the operands in the dtype of the work: BLAS does not know float16."""
    dtype = np.result_type(a, b)
    work = np.float32 if dtype == np.float16 else dtype
    return dtype, (a.astype(work, copy=False), b.astype(work, copy=False))


def _in_rows(x: Any, spatial: Sizes, at: Geometry, groups: int) -> tuple[Any, Geometry, Sizes]:
    """(*batch, channels, *spatial) as (groups, rows, channels, *columns, examples); the geometry; and the batch axes.

    Where rows are short, all spatial axes become columns, of a single row.
    """
    axes = len(spatial)
    *batch, channels = x.shape[:-axes]
    examples = math.prod(batch)
    if at.out[0] > 1 and math.prod(at.out[1:]) * examples < _SHORT:
        at, spatial = _single_row(at), (1, *spatial)
    x = x.reshape(examples, groups, channels // groups, *spatial)
    return np.ascontiguousarray(x.transpose(1, 3, 2, *range(4, x.ndim), 0)), at, tuple(batch)


@functools.lru_cache(maxsize=1024)
def _single_row(at: Geometry) -> Geometry:
    one = (1,)
    sizes = (one + at.size, one + at.kernel, one + at.stride)
    return Geometry(*sizes, ((0, 0), *at.padding), one + at.dilation, one + at.out, (0, *at.rest))


def _out_of_rows(y: Any, axes: int, batch: Sizes, dtype: Any) -> Any:
    """The inverse of `_in_rows`: a view, of memory laid out (rows, channels, *columns, examples)."""
    groups, rows, channels, *columns, _ = y.shape
    y = y.astype(dtype, copy=False)
    if groups > 1:
        y = np.ascontiguousarray(y.swapaxes(0, 1))
    if len(columns) == axes:  # there was a single row, which is none of the spatial axes
        y = y.reshape(groups * channels, *columns, *batch)
        return y.transpose(*range(axes + 1, y.ndim), *range(axes + 1))
    y = y.reshape(rows, groups * channels, *columns, *batch)
    return y.transpose(*range(axes + 1, y.ndim), 1, 0, *range(2, axes + 1))


def _by_rows(kernel: Any, at: Geometry, groups: int) -> Any:
    """A kernel (first, second, *taps) as (groups, first, second, taps along the rows, taps along the columns)."""
    first, second = kernel.shape[:2]
    return kernel.reshape(groups, first // groups, second, at.kernel[0], math.prod(at.kernel[1:]))


# Windows --------------------------------------------------------------------------------------------------------------


def _windows(x: Any, at: Geometry) -> Any:
    """For every row of the result its matrix (taps along the rows, channels, taps along the columns; positions)."""
    groups, _, channels, *_, examples = x.shape
    x = _padded(x, at)
    if math.prod(at.kernel[1:]) > 1 or max(at.stride[1:], default=1) > 1:
        unfolded = np.empty((*x.shape[:3], *at.kernel[1:], *at.out[1:], examples), x.dtype)
        for tap, elements in _taps(at.kernel[1:], at.stride[1:], at.dilation[1:], at.out[1:]):
            unfolded[tap] = x[elements]
        x = unfolded
    height, width = channels * math.prod(at.kernel[1:]), math.prod(at.out[1:]) * examples
    return _stacked(x.reshape(groups, x.shape[1], height, width), at.kernel[0], at.stride[0], at.dilation[0], at.out[0])


def _stacked(x: Any, taps: int, stride: int, dilation: int, out: int) -> Any:
    """(groups, rows, height, width) as (groups, out, taps * height, width): a view, unless taps are dilated."""
    groups, _, height, width = x.shape
    group, row, *inner = x.strides
    shape, strides = (groups, out, taps, height, width), (group, stride * row, dilation * row, *inner)
    return np.ndarray(shape, x.dtype, x, 0, strides).reshape(groups, out, taps * height, width)


def _padded(x: Any, at: Geometry) -> Any:
    """The input with zeros around it; itself where there is no padding."""
    if at.padded == at.size:
        return x
    rows, *columns = at.padded
    larger = np.zeros((x.shape[0], rows, x.shape[2], *columns, x.shape[-1]), x.dtype)
    interior, *others = at.interior
    larger[(slice(None), interior, slice(None), *others)] = x
    return larger


@functools.lru_cache(maxsize=1024)
def _taps(kernel: Sizes, stride: Sizes, dilation: Sizes, out: Sizes) -> tuple[tuple[Any, Any], ...]:
    """For each tap along the columns: its index among the windows, and the elements of the padded input it meets."""
    leading = (slice(None),) * 3
    along = [
        [(tap, slice(tap * d, tap * d + s * (n - 1) + 1, s)) for tap in range(taps)]
        for taps, s, d, n in zip(kernel, stride, dilation, out, strict=True)
    ]
    return tuple(
        ((*leading, *(tap for tap, _ in taps)), (*leading, *(elements for _, elements in taps)))
        for taps in itertools.product(*along)
    )


# And back -------------------------------------------------------------------------------------------------------------


def _spread(kernel: Any, x: Any, at: Geometry) -> Any:
    """The sums over the taps along the rows, for a stride of 1: a convolution along the rows, with the kernel turned.

    (groups, at.out[0], in, width) -> (groups, at.size[0], out * taps along the columns, width).
    """
    groups, rows, into, width = x.shape
    _, _, out, taps, others = kernel.shape
    first = taps - 1 - at.padding[0][0]  # where x begins among the rows that are met; before them if negative
    if taps == 1 and rows == at.size[0] and first == 0:
        return np.matmul(kernel.transpose(0, 2, 4, 3, 1).reshape(groups, 1, out * others, into), x)
    met = np.zeros((groups, at.size[0] + taps - 1, into, width), x.dtype)
    begin, end = max(first, 0), min(first + rows, met.shape[1])
    met[:, begin:end] = x[:, begin - first : end - first]
    matrix = kernel[:, :, :, ::-1].transpose(0, 2, 4, 3, 1).reshape(groups, 1, out * others, taps * into)
    return np.matmul(matrix, _stacked(met, taps, 1, 1, at.size[0]))


def _scattered(kernel: Any, x: Any, at: Geometry) -> Any:
    """Likewise for any stride and dilation: one product for each tap along the rows."""
    groups, rows, into, width = x.shape
    _, _, out, taps, others = kernel.shape
    sums = np.zeros((groups, at.padded[0], out * others, width), x.dtype)
    for tap in range(taps):
        start = tap * at.dilation[0]
        matrix = kernel[:, :, :, tap].transpose(0, 2, 3, 1).reshape(groups, 1, out * others, into)
        sums[:, start : start + at.stride[0] * (rows - 1) + 1 : at.stride[0]] += np.matmul(matrix, x)
    return sums[:, at.interior[0]]


def _folded(windows: Any, at: Geometry) -> Any:
    """The transpose of the unfolding along the columns: every element receives the sum of what windows hold of it."""
    groups, rows, channels, *_, examples = windows.shape
    if at.padded[1:] == at.size[1:] == at.out[1:]:  # a single tap along the columns
        return windows.reshape(groups, rows, channels, *at.size[1:], examples)
    sums = np.zeros((groups, rows, channels, *at.padded[1:], examples), windows.dtype)
    for tap, elements in _taps(at.kernel[1:], at.stride[1:], at.dilation[1:], at.out[1:]):
        sums[elements] += windows[tap]
    return sums[(slice(None),) * 3 + at.interior[1:]]


__all__ = ["correlate", "correlate_transposed", "kernel_gradient"]
