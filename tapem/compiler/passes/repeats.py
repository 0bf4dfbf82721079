"""Repeats: where a sequence goes on as it went before, over and over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LONGEST = 512
"""The largest number of entries in a step; the time to search is this times the length of the sequence."""

FEWEST = 8
"""The smallest number of steps, and of repeats that make a rolled loop worth its while."""

SHORTEST = 64
"""The smallest number of entries that repeat earlier ones."""


class Repeat(NamedTuple):
    """From `start` on, a number of `steps` of `period` entries are equal."""

    start: int
    period: int
    steps: int


def longest_repeat(keys: Sequence[int]) -> Repeat | None:
    """The repeat with the most entries in all steps but the first, of the shortest period; None if all are short.

    A sequence repeats with a period of p as long as it equals itself shifted by p.
    """
    found, most = None, SHORTEST - 1
    if len(keys) - len(set(keys)) <= most:
        return None
    entries = np.asarray(keys)
    for period in range(1, min(LONGEST, len(entries) // FEWEST) + 1):
        start, length = longest_run(entries[period:] == entries[:-period])
        count = (length + period) // period
        if count >= FEWEST and (count - 1) * period > most:
            found, most = Repeat(start, period, count), (count - 1) * period
    return found


def longest_run(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[int, int]:
    """Where the longest run of True begins, and how long it is."""
    ends = np.concatenate(([-1], np.flatnonzero(~flags), [len(flags)]))
    lengths = np.diff(ends) - 1
    best = int(np.argmax(lengths))
    return int(ends[best]) + 1, int(lengths[best])


__all__ = ["FEWEST", "LONGEST", "Repeat", "longest_repeat", "longest_run"]
