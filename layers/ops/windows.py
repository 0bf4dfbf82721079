"""Windows: where a kernel stands on its input, and the checks of the arguments that place it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np

from layers.ops.arguments import is_integer
from tapem import ArgumentError, ShapeError

P = ParamSpec("P")
R = TypeVar("R")
Sizes: TypeAlias = tuple[int, ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]
# One number for all spatial axes, or one for each.
PerAxis: TypeAlias = int | Sequence[int]
# One number for all spatial axes, or for each axis one number or one pair (before, after); or a name.
Padding: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]


class Geometry(NamedTuple):
    """A kernel of `kernel` taps on an input of `size`, with one entry for each spatial axis.

    `padding` has pairs (before, after), `out` the number of positions, and `rest` the number of elements at the end
    that no window reaches, which a transposed convolution adds to restore `size`.
    """

    size: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Pairs
    dilation: Sizes
    out: Sizes
    rest: Sizes

    @property
    def padded(self) -> Sizes:
        """The size of the input with its padding."""
        return tuple(n + before + after for n, (before, after) in zip(self.size, self.padding, strict=True))

    @property
    def interior(self) -> tuple[slice, ...]:
        """Where the input lies in its padded form."""
        return tuple(slice(before, before + n) for n, (before, _) in zip(self.size, self.padding, strict=True))


def per_axis(caller: str, name: str, value: Any, axes: int, least: int) -> Sizes:
    """One integer for each spatial axis; raises ArgumentError for any other value, or one below `least`."""
    entries = _several(value, axes)
    if len(entries) != axes or not all(map(is_integer, entries)) or min(entries) < least:
        raise ArgumentError(
            f"{caller}: {name} is {value!r}, but must be an integer of at least {least}"
            + (f", or {axes} of them, one for each spatial axis." if axes > 1 else ".")
        )
    return tuple(map(int, entries))


def _several(value: Any, count: int) -> tuple[Any, ...]:
    return tuple(cast("Sequence[Any]", value)) if isinstance(value, tuple | list) else (value,) * count


def as_pairs(caller: str, padding: Any, axes: int) -> Pairs:
    """One pair (before, after) for each spatial axis; raises ArgumentError for any other or a negative padding."""
    pairs = [_several(entry, 2) for entry in _several(padding, axes)]
    right = len(pairs) == axes and all(
        len(pair) == 2 and all(map(is_integer, pair)) and min(pair) >= 0 for pair in pairs
    )
    if not right:
        raise ArgumentError(
            f"{caller}: padding is {padding!r}, but must be an integer of at least 0"
            + (f", or {axes} of them, one for each spatial axis" if axes > 1 else "")
            + ", or a pair (before, after) for each spatial axis."
        )
    return tuple((int(before), int(after)) for before, after in pairs)


def frozen(value: Any) -> Any:
    """A value with tuples for lists and arrays, so that it can be compared and hashed."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    return tuple(map(frozen, cast("Sequence[Any]", value))) if isinstance(value, list | tuple) else value


def remembered(f: Callable[P, R]) -> Callable[P, R]:
    """Cache the last results of a function; it receives lists among its arguments as tuples."""
    kept: Any = functools.lru_cache(maxsize=1024, typed=True)(f)

    @functools.wraps(f)
    def call(*arguments: P.args, **_: P.kwargs) -> R:
        try:
            return kept(*arguments)
        except TypeError:  # an argument cannot be hashed
            return kept(*map(frozen, arguments))

    return call


@remembered
def geometry(caller: str, size: Sizes, kernel: Sizes, stride: Any, padding: Any, dilation: Any) -> Geometry:
    """Where a kernel stands on an input; `caller` is the name shown in errors.

    Raises ArgumentError for an invalid stride, padding or dilation, ShapeError for a kernel that is larger than the
    padded input.
    """
    axes = len(size)
    strides = per_axis(caller, "stride", stride, axes, 1)
    dilations = per_axis(caller, "dilation", dilation, axes, 1)
    if min(kernel) < 1:
        raise ShapeError(f"{caller}: the kernel has {kernel} taps, but needs at least one along each spatial axis.")
    spans = spans_of(kernel, dilations)
    if isinstance(padding, str):
        pairs = _named_padding(caller, padding, size, spans, strides)
    else:
        pairs = as_pairs(caller, padding, axes)
    room = [n + before + after - span for n, (before, after), span in zip(size, pairs, spans, strict=True)]
    for axis in range(axes):
        if room[axis] < 0:
            n, (before, after) = size[axis], pairs[axis]
            padded = f", {n + before + after} with its padding" if before + after else ""
            raise ShapeError(
                f"{caller}: the kernel spans {spans[axis]} elements along spatial axis {axis}"
                + (f" ({kernel[axis]} taps with dilation {dilations[axis]})" if dilations[axis] > 1 else "")
                + f", but x has only {n} there{padded}."
            )
    out = tuple(r // s + 1 for r, s in zip(room, strides, strict=True))
    rest = tuple(r % s for r, s in zip(room, strides, strict=True))
    return Geometry(size, kernel, strides, pairs, dilations, out, rest)


def transposed_geometry(
    caller: str, given: Sizes, taps: Sizes, stride: Any, padding: Any, output_padding: Any, dilation: Any
) -> Geometry:
    """The geometry of the convolution whose transpose is applied: its `out` is `given`, its `size` the result's size.

    Raises ArgumentError for invalid arguments, ShapeError where the result would be empty.
    """
    axes = len(given)
    if isinstance(padding, str):
        raise ArgumentError(f"{caller}: padding is {padding!r}, but a transposed convolution has no named padding.")
    strides, dilations = per_axis(caller, "stride", stride, axes, 1), per_axis(caller, "dilation", dilation, axes, 1)
    pairs, added = as_pairs(caller, padding, axes), per_axis(caller, "output_padding", output_padding, axes, 0)
    if any(extra >= s for extra, s in zip(added, strides, strict=True)):
        raise ArgumentError(
            f"{caller}: output_padding is {output_padding!r}, but must be smaller than the stride, {stride!r}: it "
            "chooses one of the sizes that a convolution with this stride would shrink to that of x."
        )
    if min(given) < 1 or min(taps) < 1:
        raise ShapeError(f"{caller}: a spatial axis is empty: x has the size {given}, the kernel {taps}.")
    size = tuple(
        (m - 1) * s + span - before - after + extra
        for m, s, span, (before, after), extra in zip(
            given, strides, spans_of(taps, dilations), pairs, added, strict=True
        )
    )
    if min(size) < 0:
        raise ShapeError(f"{caller}: padding={padding!r} is too large: the result would have the size {size}.")
    return geometry(caller, size, taps, strides, pairs, dilations)


def spans_of(kernel: Sizes, dilation: Sizes) -> Sizes:
    """The number of elements from the first tap to the last, both included."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def _named_padding(caller: str, padding: str, size: Sizes, spans: Sizes, stride: Sizes) -> Pairs:
    if padding == "valid":
        return ((0, 0),) * len(size)
    if padding != "same":
        raise ArgumentError(f'{caller}: padding is {padding!r}, but its names are "same" and "valid".')
    totals = [max((-(-n // s) - 1) * s + span - n, 0) for n, s, span in zip(size, stride, spans, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


__all__ = [
    "Geometry", "Padding", "Pairs", "PerAxis", "Sizes", "as_pairs", "frozen", "geometry", "per_axis", "remembered",
    "transposed_geometry",
]  # fmt: skip
