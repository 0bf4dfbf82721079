"""The ufuncs that reduce or accumulate as a function of NumPy does, with the function's rules and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tapem.core import enter_method, in_loop, name_of, number_in
from tapem.ops import arithmetic, comparison, selection
from tapem.ops.numpy.functions import MISSING
from tapem.types import is_inexact

# The ops of these families enter their ufuncs first, with methods of their own, which are replaced here.
_FAMILIES = arithmetic, comparison, selection

_REDUCTIONS: Mapping[np.ufunc, Callable[..., Any]] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}


def _reduce(ufunc: np.ufunc, function: Callable[..., Any]) -> Callable[..., Any]:
    """Make `ufunc.reduce`, which by default reduces the first axis, not all axes as the function does."""
    logical = function in (np.all, np.any)

    def reduce(
        array: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, initial: Any = MISSING, where: Any = True
    ) -> Any:
        array = in_loop(ufunc, f"{name_of(ufunc)}.reduce", array, dtype)
        options: dict[str, Any] = {} if where is True else {"where": where}
        if function in (np.sum, np.prod) and not is_inexact(array.dtype):
            options["dtype"] = array.dtype
        if initial is not MISSING and initial is not None and not logical:
            options["initial"] = number_in(initial, array.dtype)
        found = function(array, axis=axis, keepdims=keepdims, **options)
        return ufunc(found, initial) if logical and initial is not MISSING else found

    return reduce


for _ufunc, _function in _REDUCTIONS.items():
    enter_method(_ufunc, "reduce", _reduce(_ufunc, _function))
enter_method(np.add, "accumulate", lambda array, axis=0, dtype=None: np.cumsum(array, axis=axis, dtype=dtype))
enter_method(np.multiply, "accumulate", lambda array, axis=0, dtype=None: np.cumprod(array, axis=axis, dtype=dtype))
