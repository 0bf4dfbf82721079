"""What only newer versions of NumPy have, asked for by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

NUMPY = tuple(map(int, np.__version__.split(".")[:2]))
"""The installed NumPy, such as (2, 4)."""


SINCE: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("unstack", "cumulative_sum", "cumulative_prod"), (2, 1)),
    **dict.fromkeys(("matvec", "vecmat"), (2, 2)),
}
"""The functions with a rule that are newer than NumPy 2.0, each with its first NumPy; docs/limits.md tells them too."""


def present(*names: str) -> tuple[Any, ...]:
    """Those functions of SINCE by these names that the installed NumPy has.

    >>> len(present("unstack", "matvec")) == (NUMPY >= (2, 1)) + (NUMPY >= (2, 2))
    True
    """
    return tuple(getattr(np, name) for name in names if NUMPY >= SINCE[name])


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function as NumPy 2.4 tells it, in older versions too.

    Before 2.4 ufuncs and NumPy's other functions in C tell none, and before 2.1 `np.reshape` calls its argument
    `newshape`.

    Raises ValueError for other functions that tell none.

    >>> list(signature_of(np.dot).parameters)
    ['a', 'b', 'out']
    """
    try:
        signature = inspect.signature(function)
    except ValueError:
        if isinstance(function, np.ufunc):
            return _signature_of_ufunc(function)
        if function not in _UNTOLD:
            raise
        return inspect.signature(_UNTOLD[function])
    if "newshape" in signature.parameters and "shape" not in signature.parameters:
        renamed = [p.replace(name="shape") if p.name == "newshape" else p for p in signature.parameters.values()]
        return signature.replace(parameters=renamed)
    return signature


def _signature_of_ufunc(ufunc: np.ufunc) -> inspect.Signature:
    operands = ["x"] if ufunc.nin == 1 else [f"x{i + 1}" for i in range(ufunc.nin)]
    own = ["where"] if ufunc.signature is None else ["axes", "axis", "keepdims"]
    parameter, options = inspect.Parameter, [*own, "casting", "order", "dtype", "subok", "signature"]
    return inspect.Signature(
        [
            *(parameter(name, parameter.POSITIONAL_ONLY) for name in operands),
            parameter("out", parameter.POSITIONAL_OR_KEYWORD, default=None),
            *(parameter(name, parameter.KEYWORD_ONLY, default=None) for name in options),
        ]
    )


# Functions of these parameters, and nothing to do.
def _dot(a: Any, b: Any, out: Any = None) -> None: ...
def _product(a: Any, b: Any, /) -> None: ...
def _bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> None: ...
def _lexsort(keys: Any, axis: Any = -1) -> None: ...
def _where(condition: Any, x: Any = None, y: Any = None, /) -> None: ...
def _concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = "same_kind"
) -> None: ...
def _can_cast(from_: Any, to: Any, casting: Any = "safe") -> None: ...
def _min_scalar_type(a: Any, /) -> None: ...
def _result_type(*arrays_and_dtypes: Any) -> None: ...
def _share(a: Any, b: Any, /, max_work: Any = None) -> None: ...
def _empty_like(
    prototype: Any, /, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None, *, device: Any = None
) -> None: ...


_UNTOLD: dict[Callable[..., Any], Callable[..., Any]] = {
    np.dot: _dot,
    np.inner: _product,
    np.vdot: _product,
    np.bincount: _bincount,
    np.lexsort: _lexsort,
    np.where: _where,
    np.concatenate: _concatenate,
    np.can_cast: _can_cast,
    np.min_scalar_type: _min_scalar_type,
    np.result_type: _result_type,
    np.may_share_memory: _share,
    np.shares_memory: _share,
    np.empty_like: _empty_like,
}
