"""Growing: stacks whose length is known only when a loop has run, for native functions."""

from __future__ import annotations

from typing import Any, cast

import numba
import numpy as np

part: Any = cast("Any", numba).njit(fastmath={"reassoc", "contract"}, error_model="numpy")
"""Compiles a part of a native function as a function of its own."""


@part
def grown(rows: Any) -> Any:
    """The rows at the front of twice as many."""
    more = np.empty((2 * rows.shape[0],) + rows.shape[1:], rows.dtype)  # noqa: RUF005  # numba knows tuples' sums
    more[: rows.shape[0]] = rows
    return more


@part
def with_room(rows: Any, length: Any) -> Any:
    """An array with at least so many rows, whose values do not matter."""
    return rows if rows.shape[0] >= length else np.empty((length,) + rows.shape[1:], rows.dtype)  # noqa: RUF005


__all__ = ["grown", "part", "with_room"]
