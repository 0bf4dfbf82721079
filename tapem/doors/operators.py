"""Python's operators and NumPy's array methods, each by its op.

`Ref`, `TapeM` and `Tracer` share these. The op's door decides whether the result is a step or a tracer.
"""

from __future__ import annotations

from operator import getitem
from typing import Any, Generic, NoReturn, TypeVar

import numpy as np

from tapem.core import OPS, UFUNCS
from tapem.errors import MutationError

R = TypeVar("R")


class Operators(Generic[R]):
    """Operators, indexing and methods of an array; R is the result of the operand's door."""

    __slots__ = ()

    # With this priority ndarray + self comes here, instead of to each element of the array.
    __array_priority__ = 1000.0
    # So does a pandas Series or DataFrame, which would convert self to an array; pandas' priorities go up to 4000.
    __pandas_priority__ = 5000

    def __add__(self, other: Any) -> R:
        return UFUNCS[np.add](self, other)

    def __radd__(self, other: Any) -> R:
        return UFUNCS[np.add](other, self)

    def __sub__(self, other: Any) -> R:
        return UFUNCS[np.subtract](self, other)

    def __rsub__(self, other: Any) -> R:
        return UFUNCS[np.subtract](other, self)

    def __mul__(self, other: Any) -> R:
        return UFUNCS[np.multiply](self, other)

    def __rmul__(self, other: Any) -> R:
        return UFUNCS[np.multiply](other, self)

    def __truediv__(self, other: Any) -> R:
        return UFUNCS[np.divide](self, other)

    def __rtruediv__(self, other: Any) -> R:
        return UFUNCS[np.divide](other, self)

    def __pow__(self, other: Any) -> R:
        return UFUNCS[np.power](self, other)

    def __rpow__(self, other: Any) -> R:
        return UFUNCS[np.power](other, self)

    def __mod__(self, other: Any) -> R:
        return UFUNCS[np.remainder](self, other)

    def __rmod__(self, other: Any) -> R:
        return UFUNCS[np.remainder](other, self)

    def __floordiv__(self, other: Any) -> R:
        return UFUNCS[np.floor_divide](self, other)

    def __rfloordiv__(self, other: Any) -> R:
        return UFUNCS[np.floor_divide](other, self)

    def __divmod__(self, other: Any) -> tuple[R, R]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[R, R]:
        return other // self, other % self

    def __matmul__(self, other: Any) -> R:
        return UFUNCS[np.matmul](self, other)

    def __rmatmul__(self, other: Any) -> R:
        return UFUNCS[np.matmul](other, self)

    def __neg__(self) -> R:
        return UFUNCS[np.negative](self)

    def __pos__(self) -> R:
        return UFUNCS[np.positive](self)

    def __abs__(self) -> R:
        return UFUNCS[np.absolute](self)

    def __and__(self, other: Any) -> R:
        return UFUNCS[np.bitwise_and](self, other)

    def __rand__(self, other: Any) -> R:
        return UFUNCS[np.bitwise_and](other, self)

    def __or__(self, other: Any) -> R:
        return UFUNCS[np.bitwise_or](self, other)

    def __ror__(self, other: Any) -> R:
        return UFUNCS[np.bitwise_or](other, self)

    def __xor__(self, other: Any) -> R:
        return UFUNCS[np.bitwise_xor](self, other)

    def __rxor__(self, other: Any) -> R:
        return UFUNCS[np.bitwise_xor](other, self)

    def __lshift__(self, other: Any) -> R:
        return UFUNCS[np.left_shift](self, other)

    def __rlshift__(self, other: Any) -> R:
        return UFUNCS[np.left_shift](other, self)

    def __rshift__(self, other: Any) -> R:
        return UFUNCS[np.right_shift](self, other)

    def __rrshift__(self, other: Any) -> R:
        return UFUNCS[np.right_shift](other, self)

    def __invert__(self) -> R:
        return UFUNCS[np.invert](self)

    def __lt__(self, other: Any) -> R:
        return UFUNCS[np.less](self, other)

    def __le__(self, other: Any) -> R:
        return UFUNCS[np.less_equal](self, other)

    def __gt__(self, other: Any) -> R:
        return UFUNCS[np.greater](self, other)

    def __ge__(self, other: Any) -> R:
        return UFUNCS[np.greater_equal](self, other)

    def __getitem__(self, index: Any) -> R:
        return OPS[getitem](self, index)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise MutationError(
            f"x[{index!r}] = ... would change a {type(self).__name__} in place. Build a new value instead: "
            "tm.scatter_set(x, indices, updates, axis), np.where(mask, new, x), or np.concatenate."
        )

    @property
    def T(self) -> R:
        """All axes in reverse order."""
        return OPS[np.transpose](self)

    def reshape(self, *shape: Any) -> R:
        """The same elements in another shape."""
        return OPS[np.reshape](self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> R:
        """The axes in another order; all reversed by default."""
        return OPS[np.transpose](self, (axes[0] if len(axes) == 1 else axes) if axes else None)

    def flatten(self) -> R:
        """All elements along one axis."""
        return OPS[np.ravel](self)

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> R:
        """The sum over one, several or all axes."""
        return OPS[np.sum](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> R:
        """The mean over one, several or all axes."""
        return OPS[np.mean](self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, *, keepdims: bool = False) -> R:
        """The greatest element over one, several or all axes."""
        return OPS[np.max](self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> R:
        """The least element over one, several or all axes."""
        return OPS[np.min](self, axis=axis, keepdims=keepdims)
