"""What only newer versions of NumPy have, asked for by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np


def present(*names: str) -> tuple[Any, ...]:
    """The functions of NumPy by these names, without those that the installed NumPy does not have.

    `unstack`, `cumulative_sum` and `cumulative_prod` came with NumPy 2.1, `matvec` and `vecmat` with 2.2.

    >>> present("sin", "a_function_of_numpy_9") == (np.sin,)
    True
    """
    return tuple(getattr(np, name) for name in names if hasattr(np, name))


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function as NumPy 2.4 tells it, in older versions too.

    Before 2.4 NumPy's functions in C tell none, and before 2.1 `np.reshape` calls its argument `newshape`.

    >>> str(signature_of(np.dot))
    '(a, b, out=None)'
    """
    try:
        signature = inspect.signature(function)
    except ValueError:
        return inspect.signature(_UNTOLD[function])
    if "newshape" in signature.parameters and "shape" not in signature.parameters:
        renamed = [p.replace(name="shape") if p.name == "newshape" else p for p in signature.parameters.values()]
        return signature.replace(parameters=renamed)
    return signature


# Functions of these parameters, and nothing to do.
def _dot(a: Any, b: Any, out: Any = None) -> None: ...
def _product(a: Any, b: Any, /) -> None: ...
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
    np.where: _where,
    np.concatenate: _concatenate,
    np.can_cast: _can_cast,
    np.min_scalar_type: _min_scalar_type,
    np.result_type: _result_type,
    np.may_share_memory: _share,
    np.shares_memory: _share,
    np.empty_like: _empty_like,
}
