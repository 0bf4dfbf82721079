"""Convolutions of arrays as products of matrices: the computation of all convolution ops.

The layout of arrays is (groups, rows, channels, *columns, examples): the first spatial axis is the rows, the others are
the columns. It has these advantages:

- The examples are last, so the elements that one tap meets lie in long runs, which are copied at the speed of memory.
- The input is unfolded only along its columns, once for every tap there. The windows of consecutive taps along the rows
  then follow each other in memory, and overlap from one row of the result to the next: a view gives, for every row of
  the result, the matrix (taps and channels, columns and examples) that the kernel is multiplied by. So a kernel of
  5 x 5 copies an image 5 times, not 25 times.
- The matrix for one row of the result fits into the nearest caches, where BLAS is two to three times as fast as on one
  matrix for all rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from layers.ops.plan import Plan
from layers.ops.windows import Sizes

# The three products ---------------------------------------------------------------------------------------------------


def correlate(kernel: Any, bias: Any, x: Any, plan: Plan) -> tuple[Any, Any]:
    """The convolution, and the windows, or None if they are too large to keep for the gradient of the kernel.

    kernel (out, channels / groups, *taps), bias (out,) or None, x (*batch, channels, *size).
    """
    dtype, kernel, x = _computed_in(kernel, x)
    matrix = kernel.reshape(plan.groups, 1, plan.out, plan.channels, plan.taps, plan.others)
    if plan.taps > 1 and plan.channels > 1:
        matrix = matrix.swapaxes(3, 4)
    matrix = matrix.reshape(plan.groups, 1, plan.out, plan.taps * plan.height)
    y, windows = np.empty(plan.y_rows, x.dtype), None
    for rows, windows in _windows(_in_rows(x, plan.x_split, plan), plan):
        np.matmul(matrix, windows, out=y[:, rows])
    if bias is not None:
        y, dtype = _with_bias(y, bias.reshape(plan.groups, 1, plan.out, 1), dtype, plan)
    return _out_of_rows(y, plan.y_merged, plan, dtype), windows if plan.keeps_windows else None


def correlate_transposed(kernel: Any, bias: Any, y: Any, plan: Plan) -> Any:
    """The transposed convolution: kernel (out, channels / groups, *taps), bias (channels,) or None, y (*batch, out, *).

    Its operand has the shape of the convolution's result, and its result that of the convolution's operand.
    """
    dtype, kernel, y = _computed_in(kernel, y)
    y = _in_rows(y, plan.y_split, plan).reshape(plan.y_rows)
    kernel = kernel.reshape(plan.groups, plan.out, plan.channels, plan.taps, plan.others)
    spread = _spread if plan.at.stride[0] == plan.at.dilation[0] == 1 else _scattered
    x = _folded(spread(kernel, y, plan), plan)
    if bias is not None:
        x, dtype = _with_bias(x, bias.reshape(plan.groups, 1, plan.channels, *(1,) * (x.ndim - 3)), dtype)
    return _out_of_rows(x, plan.x_merged, plan, dtype)


def kernel_gradient(x: Any, cotangent: Any, plan: Plan, windows: Any = None) -> Any:
    """The gradient with respect to the kernel: x (*batch, channels, *size), cotangent (*batch, out, *at.out).

    `windows` are the windows of x that `correlate` returned.
    """
    dtype, x, cotangent = _computed_in(x, cotangent)
    pulled = _in_rows(cotangent, plan.y_split, plan).reshape(plan.y_rows).swapaxes(2, 3)
    if windows is None or windows.dtype != cotangent.dtype:
        blocks = _windows(_in_rows(x, plan.x_split, plan), plan)
    else:
        blocks = iter([(slice(0, plan.y_rows[1]), windows)])
    total = np.zeros((plan.groups, plan.stacked[2], plan.out), cotangent.dtype)
    for rows, some in blocks:
        for start in range(0, some.shape[1], plan.shares):
            end = start + plan.shares
            total += np.add.reduce(np.matmul(some[:, start:end], pulled[:, rows][:, start:end]), axis=1)
    total = total.reshape(plan.groups, plan.taps, plan.channels, plan.others, plan.out).transpose(0, 4, 2, 1, 3)
    kernel = total.reshape(plan.groups * plan.out, plan.channels, *plan.given.kernel)
    return kernel if kernel.dtype == dtype else kernel.astype(dtype)


def bias_gradient(cotangent: Any, plan: Plan) -> Any:
    """The gradient with respect to the bias: the sums over examples and positions, as a product with ones."""
    dtype, cotangent, _ = _computed_in(cotangent, cotangent)
    rows = _in_rows(cotangent, plan.y_split, plan).reshape(plan.y_rows)
    sums = np.add.reduce(np.matmul(rows, np.ones(plan.width, cotangent.dtype)), axis=1)
    return sums.reshape(plan.groups * plan.out).astype(dtype, copy=False)


# The layout -----------------------------------------------------------------------------------------------------------


def _computed_in(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """The dtype of the result, and the operands in the dtype of the computation: BLAS does not support float16."""
    dtype = a.dtype
    if dtype == b.dtype and dtype != np.float16:
        return dtype, a, b
    dtype = np.result_type(a, b)
    work = np.float32 if dtype == np.float16 else dtype
    return dtype, a.astype(work), b.astype(work)


def _with_bias(y: Any, bias: Any, dtype: Any, plan: Plan | None = None) -> tuple[Any, Any]:
    """The sum, in place if y has the dtype of the bias, and the dtype of the result.

    With a plan y has its rows, and a row of biases is made first: to add two long runs takes half the time of adding a
    number to each shorter one.
    """
    if y.dtype == bias.dtype:
        if plan is not None and plan.at.out[0] > 1:
            row = np.empty((plan.groups, 1, plan.out, plan.width), y.dtype)
            row[...] = bias
            y = y.reshape(*y.shape[:2], plan.out * plan.width)
            y += row.reshape(plan.groups, 1, plan.out * plan.width)
            return y.reshape(plan.y_rows), dtype
        y += bias  # the product is new, so no other code holds it
        return y, dtype
    return y + bias, np.result_type(dtype, bias)


def _in_rows(x: Any, split: Sizes, plan: Plan) -> Any:
    """(*batch, channels, *spatial) as (groups, rows, channels, *columns, examples)."""
    return np.ascontiguousarray(x.reshape(split).transpose(plan.to_rows))


def _out_of_rows(y: Any, merged: Sizes, plan: Plan, dtype: Any) -> Any:
    """The inverse: a view, of memory laid out as (rows, channels, *columns, examples)."""
    if plan.groups > 1:
        y = np.ascontiguousarray(y.swapaxes(0, 1))
    if y.dtype != dtype:
        y = y.astype(dtype)
    return y.reshape(merged).transpose(plan.from_rows)


# Windows --------------------------------------------------------------------------------------------------------------


def _windows(x: Any, plan: Plan) -> Iterator[tuple[slice, Any]]:
    """Rows of the result, and for each of them its matrix (taps along the rows, channels, taps of columns; positions).

    All rows at once, if the windows will be kept. Otherwise a few at a time, in the same memory, which stays in the
    caches: to allocate a large array costs more than to fill it.
    """
    at, out = plan.at, plan.at.out[0]
    if plan.is_padded:
        padded = np.zeros(plan.padded, x.dtype)
        padded[plan.interior] = x
        x = padded
    if not plan.columns_unfold:
        yield slice(0, out), _stacked(x, plan.stacked, plan.taps, plan.height, at.stride[0], at.dilation[0])
        return
    span = (plan.taps - 1) * at.dilation[0] + 1
    step = out if plan.keeps_windows else plan.block
    unfolded = np.empty((plan.groups, (step - 1) * at.stride[0] + span, *plan.unfolded[2:]), x.dtype)
    for start in range(0, out, step):
        end = min(start + step, out)
        met = x[:, start * at.stride[0] : (end - 1) * at.stride[0] + span]
        target = unfolded[:, : met.shape[1]]
        for tap, elements in plan.meetings:
            target[tap] = met[elements]
        shape = (plan.groups, end - start, *plan.stacked[2:])
        yield slice(start, end), _stacked(unfolded, shape, plan.taps, plan.height, at.stride[0], at.dilation[0])


def _stacked(x: Any, shape: Sizes, taps: int, height: int, stride: int, dilation: int, skipped: int = 0) -> Any:
    """Contiguous (groups, rows, height, width) as (groups, out, taps * height, width): a view, unless dilated."""
    groups, out, _, width = shape
    line = width * x.itemsize
    row = height * line
    strides = (x.shape[1] * row, stride * row, dilation * row, line, x.itemsize)
    return np.ndarray((groups, out, taps, height, width), x.dtype, x, skipped * row, strides).reshape(shape)


# And back -------------------------------------------------------------------------------------------------------------


def _spread(kernel: Any, y: Any, plan: Plan) -> Any:
    """The sums over the taps along the rows, for a stride of 1: a convolution along the rows with the flipped kernel.

    (groups, at.out[0], out, width) -> (groups, at.size[0], channels * taps along the columns, width). Rows near the
    edges meet fewer taps, so each of them is its own product.
    """
    groups, rows, out, width = y.shape
    taps, size = plan.taps, plan.at.size[0]
    matrix = kernel[:, :, :, ::-1].transpose(0, 2, 4, 3, 1).reshape(groups, plan.height, taps * out)
    sums = np.empty((groups, size, plan.height, width), y.dtype)
    # Row r of the result is the sum over the rows r - ahead ... r - ahead + taps - 1 of y, where they exist.
    ahead = taps - 1 - plan.at.padding[0][0]
    start, stop = max(ahead, 0), min(rows - taps + 1 + ahead, size)
    if start < stop:
        shape = (groups, stop - start, taps * out, width)
        np.matmul(matrix[:, None], _stacked(y, shape, taps, out, 1, 1, start - ahead), out=sums[:, start:stop])
    y = y.reshape(groups, rows * out, width)
    for row in itertools.chain(range(min(start, size)), range(max(start, stop), size)):
        first, last = max(row - ahead, 0), min(row - ahead + taps, rows)
        met = slice((first - row + ahead) * out, (last - row + ahead) * out)
        if first < last:
            np.matmul(matrix[:, :, met], y[:, first * out : last * out], out=sums[:, row])
        else:
            sums[:, row] = 0
    return sums


def _scattered(kernel: Any, y: Any, plan: Plan) -> Any:
    """The same sums for any stride and dilation: one product for each tap along the rows."""
    at = plan.at
    groups, rows, out, width = y.shape
    sums = np.zeros((groups, at.padded[0], plan.height, width), y.dtype)
    for tap in range(plan.taps):
        start = tap * at.dilation[0]
        matrix = kernel[:, :, :, tap].transpose(0, 2, 3, 1).reshape(groups, 1, plan.height, out)
        sums[:, start : start + at.stride[0] * (rows - 1) + 1 : at.stride[0]] += np.matmul(matrix, y)
    return sums[:, at.interior[0]]


def _folded(windows: Any, plan: Plan) -> Any:
    """The transpose of the unfolding along the columns: the sum over the windows that contain an element."""
    windows = windows.reshape(plan.x_windows)
    if not plan.columns_unfold:
        sums = windows.reshape(plan.x_sums)
    else:
        sums = np.zeros(plan.x_sums, windows.dtype)
        (tap, elements), *others = plan.meetings
        sums[elements] = windows[tap]
        for tap, elements in others:
            sums[elements] += windows[tap]
    return sums[plan.x_columns] if plan.at.padded[1:] != plan.at.size[1:] else sums


__all__ = ["bias_gradient", "correlate", "correlate_transposed", "kernel_gradient"]
