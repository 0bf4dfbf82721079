"""Tensors seen by shape and dtype, and the short texts of these and of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import jaxtyping
import numpy as np
import numpy.typing as npt

__all__ = [
    "HUGE", "NUMBER_DTYPES", "Complex", "Float", "Inexact", "Num", "Real", "Tensor", "is_inexact", "shape_and_dtype",
    "short_text", "stand_in", "type_text", "with_lengths",
]  # fmt: skip

HUGE = 2**40 + 15
"""Stands for a length that is not known; no array is as long."""

if TYPE_CHECKING:
    from typing import Annotated as Complex
    from typing import Annotated as Float
    from typing import Annotated as Inexact
    from typing import Annotated as Num
    from typing import Annotated as Real

    Tensor: TypeAlias = npt.NDArray[Any]
else:
    Tensor = np.ndarray
    _LONG = np.longdouble.__name__, np.clongdouble.__name__

    class Complex(jaxtyping.AbstractDtype):
        """Complex numbers of any precision: those of jaxtyping's own `Complex`, and NumPy's long double."""

        dtypes = (*jaxtyping.Complex.dtypes, _LONG[1])

    class Float(jaxtyping.AbstractDtype):
        """Floats of any precision: those of jaxtyping's own `Float`, and NumPy's long double."""

        dtypes = (*jaxtyping.Float.dtypes, _LONG[0])

    class Inexact(jaxtyping.AbstractDtype):
        """Floats and complex numbers of any precision: those of jaxtyping's own `Inexact`, and NumPy's long doubles."""

        dtypes = (*jaxtyping.Inexact.dtypes, *_LONG)

    class Num(jaxtyping.AbstractDtype):
        """All of NumPy's numbers: bools, which NumPy counts as 0 and 1, integers, floats and complex numbers.

        jaxtyping's own `Num` leaves out bools. What NumPy does not define for some of them, NumPy refuses.

        >>> isinstance(np.zeros(3, bool), Num[Tensor, "n"]), isinstance(np.zeros(3, "O"), Num[Tensor, "n"])
        (True, False)
        """

        dtypes = (*jaxtyping.Bool.dtypes, *jaxtyping.Num.dtypes, *_LONG)

    class Real(jaxtyping.AbstractDtype):
        """The real numbers among `Num`: bools, integers and floats, for what has no meaning in the complex plane.

        jaxtyping's own `Real` leaves out bools.

        >>> isinstance(np.zeros(3, bool), Real[Tensor, "n"]), isinstance(np.zeros(3, complex), Real[Tensor, "n"])
        (True, False)
        """

        dtypes = (*jaxtyping.Bool.dtypes, *jaxtyping.Real.dtypes, _LONG[0])


# Python numbers are 0-d tensors, both as values and in annotations; bool comes first because it is also an int.
NUMBER_DTYPES: dict[Any, np.dtype[Any]] = {t: np.dtype(t) for t in (bool, int, float, complex)} | {
    int: np.dtype(np.int64)
}


def is_inexact(dtype: np.dtype[Any]) -> bool:
    """Whether values of this dtype can be perturbed: floats and complex numbers, but not integers and bools.

    >>> is_inexact(np.dtype(complex)), is_inexact(np.dtype(np.float32)), is_inexact(np.dtype(int))
    (True, True, False)
    """
    return dtype.kind in "fc"


def type_text(shape: Sequence[int], dtype: npt.DTypeLike) -> str:
    """Write a tensor's type in the short form that tapem prints everywhere.

    >>> type_text((32, 128), np.float32), type_text((), bool)
    ('f32[32,128]', 'bool[]')
    """
    dtype = np.dtype(dtype)
    short = f"{dtype.kind}{dtype.itemsize * 8}" if dtype.kind in "iufc" else dtype.name
    return f"{short}[{','.join(map(str, shape))}]"


def short_text(value: Any, most: int = 60) -> str:
    """The repr of a value in one line, cut to `most` characters.

    >>> short_text("a long text", most=9)
    "'a lon..."
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def shape_and_dtype(x: Any) -> tuple[Any, Any]:
    """The shape and dtype of a tensor or a number; (None, None) for anything else."""
    dtype = NUMBER_DTYPES.get(x.__class__)
    if dtype is not None or x is None:
        return (None if x is None else ()), dtype
    try:
        return x.shape, x.dtype
    except AttributeError:
        dtype = next((dtype for number, dtype in NUMBER_DTYPES.items() if isinstance(x, number)), None)
        return (None if dtype is None else ()), dtype


def with_lengths(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape in which a length that is not known, written as -1, is one that no array has."""
    return tuple([HUGE if length == -1 else length for length in shape]) if -1 in shape else shape


def stand_in(x: object) -> Tensor | None:
    """Make an array with the shape and dtype of x and no memory; None if x is not a tensor of numbers."""
    shape, dtype = shape_and_dtype(x)
    try:
        numeric = isinstance(shape, tuple) and np.dtype(dtype).kind not in "OSUmM"
        return np.broadcast_to(np.zeros((), dtype), with_lengths(cast("tuple[int, ...]", shape))) if numeric else None
    except TypeError:  # a dtype of some other library
        return None
