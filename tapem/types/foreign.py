"""Which values tapem accepts as arrays, and which it refuses: one definition for all doors.

NumPy would turn anything with an `__array__` into numbers, and silently lose the rest: the mask of a masked array, the
product of a matrix, the bounds of an interval. So tapem accepts, in this order,

1. an ndarray (not a subclass), a NumPy scalar, a Python number;
2. a memmap, but no other subclass of ndarray;
3. a list or tuple of accepted values, a range;
4. an array with a `__dlpack__` on the CPU, as torch's and JAX's have;
5. a pandas Series or DataFrame whose dtypes are NumPy's own, by value;

and refuses everything else with an error that names it and says what to pass instead.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt

from tapem.errors import DTypeError
from tapem.types.location import users_line
from tapem.types.tensor import short_text

NUMBERS = frozenset(
    {bool, int, float, complex, np.float64, np.float32, np.float16, np.complex128, np.complex64, np.int64, np.int32}
    | {np.bool_}
)

NUMERIC = "fiubc"
"""The kinds of NumPy's dtypes of numbers."""

_PLAIN = NUMBERS | {np.ndarray, str, slice, type(None)}  # never foreign
_NUMBER_CLASSES = (bool, int, float, complex, np.generic)
# As tuples of any types, they leave what they test Any; a test for a generic class would make it Unknown.
_ARRAYS: tuple[type[Any], ...] = (np.ndarray,)
_LISTS: tuple[type[Any], ...] = (list, tuple)
_SEQUENCES: tuple[type[Any], ...] = (list, tuple, range)
_DLPACK_CPU = 1  # kDLCPU in dlpack.h


class NoArray:
    """The base of tapem's classes that are not arrays: their `__array__` raises, or (a Thunk's) gives the value."""

    __slots__ = ()


def as_tensor(value: Any, *, op: str, argument: str) -> npt.NDArray[Any]:
    """Convert a value that stands for an array of numbers to an ndarray, without a copy.

    Raises DTypeError, which names `op` and `argument`, for every other value.

    >>> as_tensor(np.float32(2), op="f(x)", argument="argument 'x'")
    array(2., dtype=float32)
    >>> as_tensor(np.ma.masked_equal([1, 2], 2), op="f(x)", argument="argument 'x'")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tapem.errors.DTypeError: f(x): argument 'x' is a numpy.ma.MaskedArray, whose mask would be lost. Pass x.filled(0)...
    """
    subject = f"{op}: {argument}"
    if type(value) is np.ndarray:
        array = value
    elif isinstance(value, _NUMBER_CLASSES) or type(value) is np.memmap:
        array = np.asarray(value)
    elif value is None or isinstance(value, str | bytes):
        raise DTypeError(
            f"{subject} is {short_text(value)}, which is not a tensor. Pass a NumPy array, a number, or a Ref."
        )
    elif isinstance(value, _SEQUENCES):
        array = _of_sequence(value, op, argument)
    elif isinstance(value, NoArray):
        array = np.asarray(value)
    else:
        array = _by_value(value, subject)
    if array.dtype.kind in NUMERIC:
        return array
    raise DTypeError(
        f"{subject} is {short_text(value)}, an array of dtype {array.dtype}, which is not a tensor of numbers. "
        "Pass a NumPy array of floats, complex numbers, integers or bools."
    )


def _of_sequence(value: Sequence[Any], op: str, argument: str) -> npt.NDArray[Any]:
    """Convert a list item by item, so that a list of masked arrays is refused too."""
    items = value
    if not NUMBERS.issuperset(map(type, value)):
        items = [as_tensor(item, op=op, argument=f"{argument}[{i}]") for i, item in enumerate(value)]
    try:
        return np.asarray(items)
    except ValueError as error:
        raise DTypeError(
            f"{op}: {argument} is {short_text(value)}, which is not a tensor ({error}). All rows must have the same "
            "length."
        ) from error


def _by_value(value: Any, subject: str) -> npt.NDArray[Any]:
    """Convert an array of another library, or raise DTypeError."""
    if not isinstance(value, _ARRAYS):
        if _offers(value, "__dlpack__"):
            return _from_dlpack(value, subject)
        if _is_pandas(value):
            return _from_pandas(value, subject)
    raise DTypeError(f"{subject} is {_refused(value)}")


def _from_dlpack(value: Any, subject: str) -> npt.NDArray[Any]:
    device = value.__dlpack_device__()
    if device[0] != _DLPACK_CPU:
        raise DTypeError(
            f"{subject} is a {_kind(value)} that lies on the device {tuple(map(int, device))} and not on the CPU. "
            "Bring it there first: x.cpu() in torch, jax.device_get(x) in JAX."
        )
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise DTypeError(
            f"{subject} is a {_kind(value)} that does not hand out its numbers: {error}. "
            "Convert it to a NumPy array first, after x.detach() in torch."
        ) from error


def _is_pandas(value: Any) -> bool:
    pandas: Any = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, (pandas.Series, pandas.DataFrame))


def _from_pandas(value: Any, subject: str) -> npt.NDArray[Any]:
    """The values of a Series or a DataFrame, without its index."""
    columns = {"its values": value.dtype} if value.ndim == 1 else dict(zip(value.columns, value.dtypes, strict=True))
    for name, dtype in columns.items():
        if not (isinstance(dtype, np.dtype) and dtype.kind in NUMERIC):
            where = name if value.ndim == 1 else f"its column {name!r}"
            raise DTypeError(
                f"{subject} is a {_kind(value)}, and {where} have dtype {dtype}, which is not one of NumPy's numbers. "
                "Pass x.to_numpy(np.float64, na_value=np.nan)."
            )
    array = value.to_numpy()
    if array.dtype.kind in NUMERIC:
        return array
    dtypes = ", ".join(dict.fromkeys(map(str, columns.values())))
    raise DTypeError(
        f"{subject} is a {_kind(value)} with columns of {dtypes}, which have no common dtype. "
        "Pass x.to_numpy(np.float64)."
    )


def own(value: Any, *, op: str, argument: str) -> Any:
    """Convert the foreign arrays in an argument of a NumPy function by `as_tensor`; return all else unchanged."""
    if type(value) in _PLAIN:
        return value
    if type(value) in _LISTS:
        items = [own(item, op=op, argument=f"{argument}[{i}]") for i, item in enumerate(value)]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
    return as_tensor(value, op=op, argument=argument) if _is_foreign(value) else value


def refuse_meeting(one: object) -> None:
    """Raise DTypeError if an operator of a foreign array is converting `one`, a value of tapem's, to an array.

    NumPy's masked arrays and matrices do so in their own operators, before Python calls an operator of tapem's.
    """
    frame: FrameType | None = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    for _ in range(8):
        if frame is None:
            return
        code = frame.f_code
        owner: Any = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if _is_foreign(owner) and _offers(owner, code.co_name):
            raise DTypeError(f"{users_line()}: {one!r} meets {_refused(owner)}")
        frame = frame.f_back


def _offers(value: object, name: str) -> bool:
    """Whether the class of a value has an attribute of this name."""
    return hasattr(type(value), name)


def _is_foreign(value: object) -> bool:
    """Whether a value is an array, or can become one, and belongs neither to NumPy nor to tapem."""
    if isinstance(value, (NoArray, type, *_NUMBER_CLASSES)) or type(value) in (np.ndarray, np.memmap):
        return False
    return isinstance(value, _ARRAYS) or any(_offers(value, name) for name in ("__array__", "__dlpack__"))


def _refused(value: Any) -> str:
    """Say what a foreign value is, why it is refused, and what to pass instead."""
    kind = _kind(value)
    if isinstance(value, np.ma.MaskedArray):
        remedy = "x.filled(0), or x.data, and choose with np.where(x.mask, ...)"
        return f"a {kind}, whose mask would be lost. Pass {remedy}."
    if isinstance(value, np.matrix):
        return f"a {kind}, whose * is another product than NumPy's. Pass np.asarray(x), and write @ for its product."
    if isinstance(value, _ARRAYS) and value.dtype.names:
        field = value.dtype.names[0]
        return f"a {kind}, which holds several fields. Pass one of them: np.asarray(x[{field!r}])."
    if isinstance(value, _ARRAYS):
        return (
            f"a {kind}, a subclass of ndarray: what it adds to an array would be lost. Pass np.asarray(x) for its "
            "numbers alone."
        )
    if _offers(value, "to_numpy") or _is_foreign(value):
        remedy = "x.to_numpy()" if _offers(value, "to_numpy") else "np.asarray(x)"
        return f"a {kind}, which is more than its numbers, and the rest would be lost. Pass {remedy} for its numbers."
    return f"a {kind} ({short_text(value)}), which is not a tensor. Pass a NumPy array, a number, or a Ref."


def _kind(value: object) -> str:
    """The name of a value's class, with its module."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


__all__ = ["NUMBERS", "NUMERIC", "NoArray", "as_tensor", "own", "refuse_meeting"]
