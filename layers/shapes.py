"""Shape patterns, for composing layers: some sizes may be unknown, and so may the number of leading axes.

A pattern is a tuple of sizes, where None is an unknown size, and a leading `...` stands for any number of axes:
`Linear(64, 128)` takes `(..., 64)` and gives `(..., 128)`. An ordinary shape is a pattern too.
"""

from __future__ import annotations

from types import EllipsisType
from typing import TypeAlias

from layers.ops.arguments import is_integer
from tapem import ArgumentError

Pattern: TypeAlias = tuple[int | EllipsisType | None, ...]
Sizes: TypeAlias = tuple[int | None, ...]

ANY: Pattern = (...,)
"""The pattern of every shape."""


def check_pattern(shape: Pattern) -> Pattern:
    """Raise ArgumentError unless sizes are None or integers of at least 0, and `...` stands only in front."""
    is_sequence = isinstance(shape, tuple | list)
    if not is_sequence or not all(
        position == 0 if size is ... else size is None or (is_integer(size) and size >= 0)
        for position, size in enumerate(shape)
    ):
        raise ArgumentError(f"{shape!r} is not a shape: it has sizes, None for unknown ones, and ... only in front.")
    return shape


def is_known(pattern: Pattern) -> bool:
    """Whether a pattern is an ordinary shape, in which every size is known.

    >>> is_known((32, 64)), is_known((None, 64)), is_known((..., 64))
    (True, False, False)
    """
    return None not in pattern and ... not in pattern


def split_pattern(pattern: Pattern) -> tuple[bool, Sizes]:
    """Whether leading axes are free, and the sizes of the others."""
    free = bool(pattern) and pattern[0] is ...
    return free, tuple(size for size in pattern if size is not ...)


def misfit(given: Pattern, taken: Pattern) -> str | None:
    """Why a value of shape `given` does not fit a layer that takes `taken`; None if it fits.

    >>> misfit((..., 128), (..., 64))
    '128 is not 64'
    >>> misfit((32, None), (..., 64)) is None
    True
    """
    given_free, has = split_pattern(given)
    taken_free, needs = split_pattern(taken)
    for size, needed in zip(reversed(has), reversed(needs), strict=False):
        if size is not None and needed is not None and size != needed:
            return f"{size} is not {needed}"
    if (len(has) < len(needs) and not given_free) or (len(has) > len(needs) and not taken_free):
        return f"it has {len(has)} axes, not {len(needs)}" + (" or more" if taken_free else "")
    return None


def with_last(given: Pattern, taken: Sizes, result: Sizes) -> Pattern:
    """The shape of the result of a layer that maps the last axes, `taken`, to `result` and keeps all others.

    >>> with_last((32, 64), (64,), (128,)), with_last((...,), (64,), (128,))
    ((32, 128), (Ellipsis, 128))
    """
    free, sizes = split_pattern(given)
    kept = sizes[: max(len(sizes) - len(taken), 0)]
    return (*((...,) if free else ()), *kept, *result)


def shown(pattern: Pattern) -> str:
    """The text of a pattern.

    >>> shown((..., None, 3)), shown((3,))
    ('(..., ?, 3)', '(3,)')
    """
    texts = ["..." if size is ... else "?" if size is None else str(size) for size in pattern]
    return f"({', '.join(texts)}{',' * (len(texts) == 1)})"


__all__ = ["ANY", "Pattern", "Sizes", "check_pattern", "is_known", "misfit", "shown", "split_pattern", "with_last"]
