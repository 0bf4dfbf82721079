"""The methods and attributes of NumPy's arrays, with every option that NumPy has for them.

A method is the function of NumPy of the same name, which comes back to the tracer by its hook; only the usual calls of
the most usual methods go to their ops directly. What would write into the array is refused, and says what to write.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from tapem.core import ATTRIBUTES, FUNCTIONS, OPS, UFUNCS
from tapem.doors.operators import Operators
from tapem.errors import ArgumentError, DTypeError, MutationError

R = TypeVar("R")

_IN_PLACE: Mapping[str, str] = {
    "sort": "Write y = np.sort(x).",
    "partition": "Write y = np.partition(x, kth).",
    "resize": "Write y = np.resize(x, shape), or np.reshape, or np.pad.",
    "fill": "Write y = np.full_like(x, value).",
    "put": "Write y = tm.scatter_set(x, indices, values, axis).",
    "itemset": "Write y = tm.scatter_set(x, indices, values, axis).",
    "setfield": "Build a new value.",
    "setflags": "A tracer's value can never be written to.",
    "byteswap": "Bytes have no derivative: write tm.detach(x).byteswap().",
}


class ArrayMethods(Operators[R]):
    """What an array has beside operators; R is a tracer."""

    __slots__ = ()

    # -- attributes ---------------------------------------------------------------------------------------------------

    @property
    def itemsize(self) -> int:
        """The size of one element in bytes."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The size of the value in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def device(self) -> str:
        """Where the value lies: "cpu", as for NumPy's arrays."""
        return "cpu"

    @property
    def real(self) -> R:
        """The real part; of real values the tracer itself."""
        return FUNCTIONS[np.real](self)

    @property
    def imag(self) -> Any:
        """The imaginary part; zeros of real values."""
        return FUNCTIONS[np.imag](self)

    @property
    def mT(self) -> R:
        """The last two axes exchanged."""
        return FUNCTIONS[np.matrix_transpose](self)

    @property
    def flat(self) -> R:
        """The elements in one line, to be iterated over and indexed."""
        return FUNCTIONS[np.ravel](self)

    # -- methods that are not functions of NumPy, or have other arguments ---------------------------------------------

    def to_device(self, device: str, /, *, stream: object = None) -> Any:
        """The tracer itself; ArgumentError for a device other than "cpu"."""
        if device != "cpu" or stream is not None:
            raise ArgumentError(f'x.to_device({device!r}): tapem computes on the "cpu" only, without streams.')
        return self

    def astype(self, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True) -> R:
        """The same values in another dtype; DTypeError if `casting` forbids it."""
        if casting != "unsafe" and not np.can_cast(self.dtype, dtype, casting):
            raise DTypeError(f"x.astype({dtype!r}, casting={casting!r}): {self.dtype} cannot be cast to it.")
        return FUNCTIONS[np.astype](self, dtype)

    def copy(self, order: str = "C") -> R:
        """The same value; under no_grad it is detached, as all results there."""
        return FUNCTIONS[np.copy](self)

    def compress(self, condition: Any, axis: int | None = None, out: Any = None) -> Any:
        """The elements, or slices along an axis, at which the condition holds."""
        return np.compress(condition, self, axis, out=out)  # type: ignore[call-overload]

    def clip(self, min: Any = None, max: Any = None, out: Any = None, **options: Any) -> Any:
        """The same values, but no less than `min` and no more than `max`; None is no bound."""
        return np.clip(self, min, max, out, **options)  # type: ignore[call-overload]

    def flatten(self, order: Any = "C") -> R:
        """All elements along one axis."""
        return OPS[np.ravel](self) if order == "C" else np.ravel(self, order)  # type: ignore[call-overload]

    def reshape(self, *shape: Any, order: Any = "C", copy: bool | None = None) -> R:
        """The same elements in another shape."""
        whole = shape[0] if len(shape) == 1 else shape
        return OPS[np.reshape](self, whole) if order == "C" else np.reshape(self, whole, order)  # type: ignore

    # -- reductions, which are called most ----------------------------------------------------------------------------

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, **options: Any) -> R:
        """The sum over one, several or all axes."""
        if dtype is None and out is None and not options:
            return OPS[np.sum](self, axis=axis, keepdims=keepdims)
        return np.sum(self, axis, dtype, out=out, keepdims=keepdims, **options)  # type: ignore[call-overload]

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, **options: Any) -> R:
        """The mean over one, several or all axes."""
        if dtype is None and out is None and not options:
            return OPS[np.mean](self, axis=axis, keepdims=keepdims)
        return np.mean(self, axis, dtype, out=out, keepdims=keepdims, **options)  # type: ignore[call-overload]

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False, **options: Any) -> R:
        """The greatest element over one, several or all axes."""
        if out is None and not options:
            return OPS[np.max](self, axis=axis, keepdims=keepdims)
        return np.max(self, axis, out=out, keepdims=keepdims, **options)  # type: ignore[call-overload]

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False, **options: Any) -> R:
        """The least element over one, several or all axes."""
        if out is None and not options:
            return OPS[np.min](self, axis=axis, keepdims=keepdims)
        return np.min(self, axis, out=out, keepdims=keepdims, **options)  # type: ignore[call-overload]

    def __getattr__(self, name: str) -> Any:
        if name in _IN_PLACE:
            raise MutationError(f"x.{name}(...) would change a tracer in place. {_IN_PLACE[name]}")
        known = hasattr(np.ndarray, name) and not name.startswith("_")
        function: Any = getattr(np, name, None) if known else None
        if function not in FUNCTIONS and function not in UFUNCS:
            hint = ": it has no rule in tapem; call it on tm.detach(x)" if known else ""
            if name in ATTRIBUTES:
                hint = f". {ATTRIBUTES[name]}"
            raise AttributeError(f"a tracer has no attribute {name!r}{hint}")
        return functools.partial(function, self)
