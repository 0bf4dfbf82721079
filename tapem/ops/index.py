"""Index: the index in `x[...]`, split into its arrays and the rest.

Arrays are operands of the op, so they can be tracers, Refs, or mapped by `vmap`. The rest (integers, slices, None,
Ellipsis, and the places of the arrays) is one static value, which can be compared, hashed and printed.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from types import EllipsisType
from typing import Any, NamedTuple, TypeAlias, cast, final

import numpy as np

from tapem.errors import DTypeError
from tapem.types import as_tensor


class Slot(enum.Enum):
    """The place of an array in an index: `ARRAY` stands for the operands in order.

    `NEW` is the place of an array that indexes a new axis. `take_apart` puts it for a single bool, and `new_axes` takes
    it away.
    """

    ARRAY = "array"
    NEW = "new"


ARRAY, NEW = Slot.ARRAY, Slot.NEW
ALL = slice(None)

Part: TypeAlias = int | slice | EllipsisType | Slot | None


@final
class Index:
    """An index without its arrays: a tuple of integers, slices, None, Ellipsis and `ARRAY`.

    >>> Index((0, slice(1, None), None, ..., ARRAY))
    [0, 1:, None, ..., array]
    >>> Index((slice(1, 3),)) == Index((slice(1, 3),)) and len({Index((slice(1, 3),)), Index((slice(1, 3),))}) == 1
    True
    """

    __slots__ = ("parts",)

    parts: tuple[Part, ...]

    def __init__(self, parts: tuple[Part, ...]) -> None:
        """Make an index from its parts."""
        self.parts = parts

    def fill(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """The index for NumPy, with the arrays in their places."""
        if not arrays:
            return self.parts
        rest = iter(arrays)
        return tuple(next(rest) if part is ARRAY else part for part in self.parts)

    def __eq__(self, other: object) -> bool:
        return type(other) is Index and other.parts == self.parts

    def __hash__(self) -> int:
        # A slice cannot be hashed before Python 3.12.
        parts = ((part.start, part.stop, part.step) if isinstance(part, slice) else part for part in self.parts)
        return hash(tuple(parts))

    def __repr__(self) -> str:
        return f"[{', '.join(map(_text, self.parts))}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return Index, (self.parts,)


def _text(part: Part) -> str:
    if isinstance(part, slice):
        ends = ["" if end is None else str(end) for end in (part.start, part.stop)]
        return ":".join(ends if part.step is None else [*ends, str(part.step)])
    return "..." if part is Ellipsis else part.value if isinstance(part, Slot) else str(part)


def take_apart(index: Any) -> tuple[Index, list[Any]]:
    """Split a user's index into an `Index` and its arrays.

    >>> take_apart((slice(1, None), [2, 0], None))
    ([1:, array, None], [array([2, 0])])
    """
    parts: list[Part] = []
    arrays: list[Any] = []
    for item in cast("tuple[Any, ...]", index) if isinstance(index, tuple) else (index,):
        part, array = _part_of(item)
        parts.append(part)
        if part is ARRAY or part is NEW:
            arrays.append(array)
    return Index(tuple(parts)), arrays


def _part_of(item: Any) -> tuple[Part, Any]:
    if item is None or item is Ellipsis or type(item) is int or type(item) is slice:
        return item, None
    if isinstance(item, list | tuple):
        item = as_tensor(item, op="getitem(x, index)", argument="the index")
        if not item.size:  # as in NumPy, although an empty array has a float dtype
            item = item.astype(np.intp)
    if isinstance(item, int | np.generic) or (isinstance(item, np.ndarray) and not item.ndim):
        number: Any = np.asarray(item)
        if number.dtype == bool:  # a mask without axes: a new axis with its element, or without it
            return NEW, np.zeros(int(number), np.intp)
        if number.dtype.kind in "iu":
            return int(number), None
    kind: Any = getattr(cast("object", item), "dtype", None)
    if isinstance(item, str | float) or (isinstance(kind, np.dtype) and kind.kind not in "iub"):
        what = f"a {type(item).__name__}" if isinstance(item, str | float) else f"an array of {kind}"
        advice = "x is an array, not a dict" if isinstance(item, str) else "round it: int(i), i.astype(int), or i > 0"
        raise DTypeError(
            f"getitem(x, index): the index {item!r} is {what}, but an index is an integer, a slice, or an array of "
            f"integers or bools; {advice}."
        )
    return ARRAY, item


def new_axes(at: Index, arrays: Sequence[Any]) -> tuple[Index, Index]:
    """The index that gives an array the new axes of an index with single bools, and the index to use then.

    >>> new_axes(*take_apart((True, slice(1, None), 0)))
    ([None, :, :], [array, 1:, 0])
    """
    rest = iter(arrays)
    around: list[Part] = []
    for part in at.parts:
        array = next(rest) if part is ARRAY or part is NEW else None
        if part is NEW:
            around.append(None)
        elif part is Ellipsis:
            around.append(part)
        elif part is not None:
            around += [ALL] * (np.ndim(array) if array is not None and _is_mask(array) else 1)
    return Index(tuple(around)), Index(tuple(ARRAY if part is NEW else part for part in at.parts))


class Layout(NamedTuple):
    """An index that does for a batch what another index does for each example.

    Its result has the axes `source`, which must move to `target`, with the batch axis first.
    """

    at: Index
    arrays: tuple[Any, ...]
    source: tuple[int, ...]
    target: tuple[int, ...]


def batched(at: Index, arrays: Sequence[Any], mapped: Sequence[bool], *, rank: int, size: int, own: bool) -> Layout:
    """The layout of `x[index]` in a batch: x has `rank` axes besides the batch axis, which it has, in front, if `own`.

    NumPy puts the axes of the arrays at the arrays' place in the index if the arrays (and integers) are adjacent, and
    first otherwise. With a batch axis every example must get the same result as without.
    """
    # A mask stands for the positions where it is True: adjacent arrays, one for each of its axes.
    if any(mapped):
        at, arrays, mapped = _without_masks(at, arrays, mapped)
    ranks = [1 if _is_mask(x) else np.ndim(x) - is_mapped for x, is_mapped in zip(arrays, mapped, strict=True)]
    width = max(ranks, default=0)
    start, together = _arrays_axis(at, arrays, rank)
    if not any(mapped):
        moved = 0 if together or not width else width
        return Layout(Index((ALL, *at.parts)), tuple(arrays), (moved,), (0,))
    aligned = tuple(
        np.reshape(array, (size, *(1,) * (width - own_rank), *np.shape(array)[1:])) if is_mapped else array
        for array, own_rank, is_mapped in zip(arrays, ranks, mapped, strict=True)
    )
    if not own:
        return Layout(at, aligned, (start if together else 0,), (0,))
    examples = np.arange(size).reshape(size, *(1,) * width)
    target = start if together else 0
    axes = range(1, 1 + width)
    return Layout(Index((ARRAY, *at.parts)), (examples, *aligned), (*axes,), (*(axis + target for axis in axes),))


def _is_mask(array: Any) -> bool:
    return np.dtype(getattr(array, "dtype", int)) == bool  # a number is an integer


def _without_masks(
    at: Index, arrays: Sequence[Any], mapped: Sequence[bool]
) -> tuple[Index, Sequence[Any], Sequence[bool]]:
    if not any(map(_is_mask, arrays)):
        return at, arrays, mapped
    parts: list[Part] = []
    found: list[tuple[Any, bool]] = []
    rest = iter(zip(arrays, mapped, strict=True))
    for part in at.parts:
        new = [(part, False)]
        if part is ARRAY:
            array, is_mapped = next(rest)
            new = [(axis, False) for axis in np.nonzero(array)] if _is_mask(array) else [(array, is_mapped)]
            found += new
        parts += [part] * len(new)
    return Index(tuple(parts)), [array for array, _ in found], [is_mapped for _, is_mapped in found]


def _arrays_axis(at: Index, arrays: Sequence[Any], rank: int) -> tuple[int, bool]:
    """The axis of the result at which the axes of the arrays begin, and whether the arrays are adjacent."""
    places = [place for place, part in enumerate(at.parts) if part is ARRAY or isinstance(part, int)]
    if not places:
        return 0, True
    together = places[-1] - places[0] == len(places) - 1
    masks = sum(np.ndim(array) - 1 for array in arrays if _is_mask(array))
    used = masks + sum(part is not None and part is not Ellipsis for part in at.parts)
    before = at.parts[: places[0]]
    return sum(rank - used if part is Ellipsis else 1 for part in before), together
