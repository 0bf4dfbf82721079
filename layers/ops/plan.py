"""Plans: the checked arguments of a convolution, and every shape of its computation, found once."""

from __future__ import annotations

import itertools
import math
from typing import Any

from layers.ops.arguments import check_count, is_integer
from layers.ops.windows import Geometry, Sizes, geometry, remembered, transposed_geometry
from tapem import ArgumentError, ShapeError

# A row of the result with fewer elements than this is not worth its own product.
_SHORT = 64
# The residuals hold unfolded inputs of at most this many elements: they fit into the caches, where reading them again
# takes less time than unfolding again. Larger ones would only take memory.
_KEPT = 1 << 20
# Larger inputs are unfolded a few rows at a time, with at most this many elements.
_BLOCK = 1 << 18
# The rows' contributions to the gradient of a kernel are summed once they take this many elements.
_SHARES = 1 << 20


class Plan:
    """All shapes of one convolution, found once: from x (*batch, channels, *at.size) to y (*batch, out, *at.out).

    The arguments `channels` and `out` count all groups. Where rows are short, all spatial axes are columns of a single
    row.
    """

    def __init__(self, at: Geometry, batch: Sizes, groups: int, channels: int, out: int) -> None:
        """Find the shapes; see `conv_plan`."""
        self.given, self.batch = at, batch
        examples = math.prod(batch)
        if at.out[0] > 1 and math.prod(at.out[1:]) * examples < _SHORT:
            at = _in_single_row(at)
        self.at, self.groups, self.examples = at, groups, examples
        self.channels, self.out = channels // groups, out // groups
        self.taps, self.others = at.kernel[0], math.prod(at.kernel[1:])
        self.width = math.prod(at.out[1:]) * examples
        axes = len(at.size)
        single = axes > len(self.given.size)

        # From (*batch, channels, *spatial) to the layout of the computation, and back.
        self.x_split = (examples, groups, self.channels, *at.size)
        self.y_split = (examples, groups, self.out, *at.out)
        self.to_rows = (1, 3, 2, *range(4, axes + 3), 0)
        self.x_merged = (*(() if single else at.size[:1]), channels, *at.size[1:], *batch)
        self.y_merged = (*(() if single else at.out[:1]), out, *at.out[1:], *batch)
        inner = len(self.given.size) + 1
        self.from_rows = (*range(inner, inner + len(batch)), *((0, 1) if single else (1, 0)), *range(2, inner))

        # The windows along the columns, and those along the rows as a view of them.
        rows, *columns = at.padded
        every = slice(None)
        self.is_padded = at.padded != at.size
        self.padded = (groups, rows, self.channels, *columns, examples)
        self.interior = (every, at.interior[0], every, *at.interior[1:])
        self.columns_unfold = self.others > 1 or max(at.stride[1:], default=1) > 1
        self.unfolded = (groups, rows, self.channels, *at.kernel[1:], *at.out[1:], examples)
        self.meetings = _meetings(at)
        self.height = self.channels * self.others
        self.keeps_windows = at.dilation[0] == 1 and math.prod(self.unfolded) <= _KEPT
        self.block = min(max(_BLOCK // max(math.prod(self.unfolded[2:]), 1), 2 * self.taps), at.out[0])
        self.shares = max(_SHARES // max(channels * math.prod(at.kernel) * self.out, 1), 1)
        self.stacked = (groups, at.out[0], self.taps * self.height, self.width)

        # The result, and the cotangent of the input.
        self.y_rows = (groups, at.out[0], self.out, self.width)
        self.x_windows = (groups, at.size[0], self.channels, *at.kernel[1:], *at.out[1:], examples)
        self.x_sums = (groups, at.size[0], self.channels, *columns, examples)
        self.x_columns = (every, every, every, *at.interior[1:])


def _in_single_row(at: Geometry) -> Geometry:
    one = (1,)
    sizes = (one + at.size, one + at.kernel, one + at.stride)
    return Geometry(*sizes, ((0, 0), *at.padding), one + at.dilation, one + at.out, (0, *at.rest))


def _meetings(at: Geometry) -> tuple[tuple[Any, Any], ...]:
    """For each tap along the columns: its index in the windows, and the elements of the padded input that it meets."""
    leading = (slice(None),) * 3
    along = [
        [(tap, slice(tap * d, tap * d + s * (n - 1) + 1, s)) for tap in range(taps)]
        for taps, s, d, n in zip(at.kernel[1:], at.stride[1:], at.dilation[1:], at.out[1:], strict=True)
    ]
    return tuple(
        ((*leading, *(tap for tap, _ in taps)), (*leading, *(elements for _, elements in taps)))
        for taps in itertools.product(*along)
    )


def _check_channels(caller: str, kernel: Sizes, x: Sizes, groups: Any, transposed: bool) -> None:
    """Raise ShapeError or ArgumentError for axes, channels and groups that do not fit."""
    axes = len(kernel) - 2
    if axes < 1:
        raise ShapeError(
            f"{caller}: kernel {kernel} has {len(kernel)} axes, but needs (out, in, *spatial) with at least one "
            "spatial axis; for a kernel without spatial axes use linear."
        )
    if len(x) < axes + 1:
        raise ShapeError(
            f"{caller}: x {x} has {len(x)} axes, but a kernel {kernel} with {axes} spatial axes needs "
            f"(*batch, channels, *spatial), at least {axes + 1}."
        )
    check_count(caller, "groups", groups)
    name, takes = ("in", kernel[0]) if transposed else ("out", kernel[1] * groups)
    if kernel[0] % groups:
        raise ArgumentError(
            f"{caller}: groups={groups} does not divide the {kernel[0]} '{name}' channels of the kernel."
        )
    if x[-axes - 1] != takes:
        grouped = f" with groups={groups}" if groups != 1 else ""
        raise ShapeError(f"{caller}: x {x} has {x[-axes - 1]} channels, but kernel {kernel}{grouped} takes {takes}.")


@remembered
def conv_plan(caller: str, kernel: Sizes, x: Sizes, stride: Any, padding: Any, dilation: Any, groups: Any) -> Plan:
    """The plan of `conv`, from the shapes of its kernel and x; `caller` is the name shown in errors."""
    _check_channels(caller, kernel, x, groups, transposed=False)
    batch, spatial = x[: 1 - len(kernel)], x[2 - len(kernel) :]
    at = geometry(caller, spatial, kernel[2:], stride, padding, dilation)
    return Plan(at, batch, int(groups), kernel[1] * groups, kernel[0])


@remembered
def conv_transpose_plan(
    caller: str, kernel: Sizes, x: Sizes, stride: Any, padding: Any, output_padding: Any, dilation: Any, groups: Any
) -> Plan:
    """The plan of the convolution whose transpose is `conv_transpose`; its result has the shape of x."""
    _check_channels(caller, kernel, x, groups, transposed=True)
    batch, spatial = x[: 1 - len(kernel)], x[2 - len(kernel) :]
    at = transposed_geometry(caller, spatial, kernel[2:], stride, padding, output_padding, dilation)
    return Plan(at, batch, int(groups), kernel[1] * groups, kernel[0])


@remembered
def gradient_plan(
    caller: str, x: Sizes, cotangent: Sizes, taps: Sizes, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Plan:
    """The plan of the convolution of x whose result has this cotangent."""
    axes = len(taps)
    if min(len(x), len(cotangent)) < axes + 1 or x[: -axes - 1] != cotangent[: -axes - 1]:
        raise ShapeError(
            f"{caller}: x {x} and cotangent {cotangent} need (*batch, channels, *spatial) with equal batch."
        )
    channels, out = x[-axes - 1], cotangent[-axes - 1]
    if not is_integer(groups) or groups < 1 or channels % groups or out % groups:
        raise ArgumentError(f"{caller}: groups={groups!r} does not divide the {channels} and {out} channels.")
    at = geometry(caller, x[-axes:], taps, stride, padding, dilation)
    if cotangent[-axes:] != at.out:
        raise ShapeError(
            f"{caller}: cotangent {cotangent} has the size {cotangent[-axes:]}, but the result has {at.out}."
        )
    return Plan(at, x[: -axes - 1], int(groups), channels, out)


__all__ = ["Plan", "conv_plan", "conv_transpose_plan", "gradient_plan"]
