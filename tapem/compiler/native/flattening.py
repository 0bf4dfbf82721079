"""Flattening: an array with all its axes as one, for native functions.

`reshape` does the same, but numba compiles it three times as long, for it can copy, and refuse.
"""

from __future__ import annotations

from typing import Any, cast

from numba.core import extending, imputils  # pyright: ignore[reportAttributeAccessIssue]
from numba.np import arrayobj


def _flat(typing: Any, array: Any) -> Any:
    """The type of the same memory in row-major order, as one axis, and the code that makes it."""
    result = array.copy(ndim=1, layout="C")

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source = arrayobj.make_array(array)(context, builder, values[0])
        view = arrayobj.make_array(result)(context, builder)
        arrayobj.populate_array(
            view,
            data=source.data,
            shape=[source.nitems],
            strides=[source.itemsize],
            itemsize=source.itemsize,
            meminfo=source.meminfo,
            parent=source.parent,
        )
        return imputils.impl_ret_borrowed(context, builder, result, view._getvalue())

    return result(array), code


flat: Any = cast("Any", extending).intrinsic(_flat)
"""A contiguous array with all its axes as one."""


__all__ = ["flat"]
