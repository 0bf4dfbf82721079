"""Functions of the array API that make arrays, of traced values too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tapem.doors.direct import Tracer
from tapem.types import NUMPY


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    """A number, an array, or nested lists and tuples of them, as one array; traced values are stacked.

    Raises ShapeError if the parts differ in shape, and ArgumentError for copy=False with another dtype than theirs.

    >>> import tapem as tm
    >>> float(tm.grad(lambda x: np.sum(asarray([[x, 1.0], [0.0, x]]) * 3))(2.0))
    6.0
    """
    like = next(_traced(obj), None)
    if like is None:
        return np.asarray(obj, dtype, device=device, copy=copy)
    return np.asarray(obj, dtype, device=device, copy=copy, like=like)


def full(shape: int | tuple[int, ...], fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of one value, which may be traced.

    >>> full((2, 2), 3.0)
    array([[3., 3.],
           [3., 3.]])
    """
    like = next(_traced(fill_value), None)
    if like is None:
        return np.full(shape, fill_value, dtype, device=device)
    return np.full(shape, fill_value, dtype, device=device, like=like)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """The array of another library that speaks DLPack, without a copy where that is possible.

    NumPy 2.0 takes no options, so there an array must lie on the CPU already.

    >>> from_dlpack(np.arange(3), copy=True)
    array([0, 1, 2])
    """
    if NUMPY < (2, 1):
        return np.asarray(np.from_dlpack(x), device=device, copy=copy)
    return np.from_dlpack(x, device=device, copy=copy)


def _traced(value: Any) -> Iterator[Any]:
    """The traced values in nested lists and tuples."""
    if type(value) in (list, tuple):
        for part in value:
            yield from _traced(part)
    elif isinstance(value, Tracer):
        yield value


__all__ = ["asarray", "from_dlpack", "full"]
