"""Workload: one piece of work, and one function per library that does it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""Any NumPy array; the check of a candidate compares dtypes."""

Step: TypeAlias = Callable[[], Any]
"""A function that does the whole work once, waits until it is done, and returns the library's own objects."""


def read_arrays(outcome: Any) -> list[Array]:
    """Flatten the result of a step (nested tuples and lists of any library's arrays) into NumPy arrays, in order."""
    if isinstance(outcome, tuple | list):
        parts = cast("Sequence[Any]", outcome)
        return [array for part in parts for array in read_arrays(part)]
    # NumPy refuses to convert a torch tensor that requires a gradient.
    return [np.asarray(outcome.detach() if hasattr(outcome, "detach") else outcome)]


class Candidate(NamedTuple):
    """One library's version of a workload.

    ``step`` is timed. ``read`` converts its result to ``[loss, array, array, ...]``, in the order and layout of
    hand-written NumPy's; only the check calls it, so that conversions cost the library nothing.
    """

    step: Step
    read: Callable[[Any], list[Array]] = read_arrays


@dataclass(frozen=True)
class Workload:
    """One row of the ratio table.

    ``libraries`` maps the names of ``libraries.py`` to the functions that make a fresh candidate; "numpy" must be among
    them, since it is both the truth and the unit. ``start`` returns the arrays before the first step, for work that
    changes them: the check then compares the changes, because a wrong gradient is hard to see in a parameter that is a
    thousand times larger. ``tolerance`` is relative to the largest element of each array.
    """

    name: str
    title: str
    libraries: Mapping[str, Callable[[], Candidate]]
    tolerance: float
    start: Callable[[], Sequence[Array]] | None = None
