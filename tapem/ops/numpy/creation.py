"""NumPy's functions that make arrays, asked with `like=x`: so NumPy hands lists of traced values to tapem.

`np.array([x, y])` has no hook, but `np.array([x, y], like=x)` has, and gives the values stacked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.core import FUNCTIONS
from tapem.doors.direct import Tracer
from tapem.errors import ArgumentError
from tapem.ops import joining


def array(
    object: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", subok: bool = False, ndmin: int = 0
) -> Any:
    """Nested lists and tuples of traced values, numbers and arrays, stacked; the memory order means nothing here."""
    if not holds_traced(object):
        return np.array(object, dtype, copy=copy, order=order, subok=subok, ndmin=ndmin)
    stacked = _stacked(object)
    if dtype is not None and stacked.dtype != dtype:
        if copy is False:
            raise ArgumentError(f"np.array(x, {np.dtype(dtype)}, copy=False): x is {stacked.dtype}, so it is copied.")
        stacked = stacked.astype(dtype)
    elif copy and stacked is object:
        stacked = np.copy(stacked)
    return np.reshape(stacked, (1,) * (ndmin - stacked.ndim) + stacked.shape) if ndmin > stacked.ndim else stacked


def asarray(a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: Any = None) -> Any:
    """What `array` gives; traced values that need no change are given back themselves."""
    return _on(device, array(a, dtype, copy=copy, order=order))


def _with_an_axis(a: Any, dtype: Any = None) -> Any:
    return array(a, dtype, copy=None, ndmin=1)


def full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", *, device: Any = None) -> Any:
    """An array of one value, which may be differentiated."""
    if not isinstance(fill_value, Tracer):
        return np.full(shape, fill_value, dtype, order, device=device)
    filled = np.broadcast_to(fill_value, shape)
    return _on(device, filled if dtype is None else filled.astype(dtype))


def holds_traced(value: Any) -> bool:
    """Whether a value is traced, or a list or tuple in which one is."""
    return any(map(holds_traced, value)) if type(value) in (list, tuple) else isinstance(value, Tracer)


def _stacked(value: Any) -> Any:
    return joining.stack([_stacked(part) for part in value]) if type(value) in (list, tuple) and value else value


def _on(device: Any, x: Any) -> Any:
    return x if device is None else x.to_device(device)


def _unasked(make: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function without `like=`, which makes constants, or calls a function that makes what it likes."""
    return lambda *arguments, **options: make(*arguments, **options)


FUNCTIONS.update(
    {
        np.array: array,
        **dict.fromkeys((np.asarray, np.asanyarray), asarray),
        **dict.fromkeys((np.ascontiguousarray, np.asfortranarray), _with_an_axis),
        np.full: full,
        **{make: _unasked(make) for make in (np.arange, np.empty, np.eye, np.fromfunction, np.identity)},
        **{make: _unasked(make) for make in (np.ones, np.tri, np.zeros)},
    }
)
