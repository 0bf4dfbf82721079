"""Tests of operands: whether they are plain arrays, and whether a shape broadcasts to another."""

from __future__ import annotations

from typing import Any

import numpy as np


def are_arrays(*values: Any) -> bool:
    """Whether all values are arrays; if so, a rule may compute directly, and change in place the arrays that it made.

    >>> are_arrays(np.ones(2), np.ones(3)), are_arrays(np.ones(2), 1.0)
    (True, False)
    """
    for value in values:
        if type(value) is not np.ndarray:
            return False
    return True


def broadcasts_to(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether NumPy broadcasting can turn the small shape into the large one.

    >>> broadcasts_to((3, 1), (2, 3, 4)), broadcasts_to((2,), (3,))
    (True, False)
    """
    return len(small) <= len(large) and all(a in (1, b) for a, b in zip(small[::-1], large[::-1], strict=False))


__all__ = ["are_arrays", "broadcasts_to"]
