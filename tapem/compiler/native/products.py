"""Products of matrices of moderate size, as native functions; BLAS multiplies large ones.

The result is computed in panels, of two vectors of columns or of one. The columns of `b` that a panel needs are copied
beside each other, transposed if need be, so that operands may be views whose axes lie in memory in any order.

This is one function for each dtype, compiled once for all programs, which call it by its name: a symbol.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from typing import Any, cast

import numba
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from tapem.compiler.cache import module_of
from tapem.compiler.native import growing
from tapem.compiler.native import tiles as tiles_module
from tapem.compiler.native.growing import part
from tapem.compiler.native.tiles import REGISTER, after, moved, tile, turned

_types: Any = types
_intrinsic: Any = cast("Any", intrinsic)
_carray: Any = cast("Any", numba).carray

_TALL = 6 if REGISTER == 32 else 8
"""The rows of a tile: the sums of two vectors for so many rows are in registers, of which AVX has 16 and others 32."""

_tall_wide, _four_wide, _one_wide = (tile(rows, 2) for rows in (_TALL, 4, 1))
_tall, _four, _one = (tile(rows, 1) for rows in (_TALL, 4, 1))

_VERSIONS = (
    sys.version, cast("Any", numba).__version__,
    *map(inspect.getsource, (growing, tiles_module, sys.modules[__name__])),
)  # fmt: skip


def room(m: int, k: int, itemsize: int) -> int:
    """The number of elements that a product needs to work in: a row of zeros, a panel, and the columns at the edge."""
    return (1 + k + m) * 2 * (REGISTER // itemsize)


def workspaces(room: Mapping[str, int]) -> list[str]:
    """Lines that make the arrays in which products work: w32 and w64, of so many elements."""
    return [f"{name} = np.empty({size}, np.float{name[1:]})" for name, size in room.items()]


@part
def multiplied(a: Any, b: Any, first: Any, factor: Any, c: Any, m: Any, k: Any, n: Any, work: Any, size: Any) -> None:
    """`c = first + factor * (a @ b)`, of elements of `size` bytes: pointers with the steps of rows and columns.

    The columns of `c` follow each other, and it shares no memory with `a` and `b`. What `work` holds does not matter.
    """
    x, x_rows, x_columns = first
    y, y_rows = c
    register = REGISTER // size
    panel, scratch = after(work, 2 * register), after(work, (k + 1) * 2 * register)
    zeros, left = _carray(work, 1), _carray(scratch, 1)
    for q in range(2 * register):
        zeros[q] = 0
    j = 0
    while j < n:
        width = register if n - j <= register else 2 * register
        count = min(width, n - j)
        packed(b, j, k, count, panel, width, register)
        whole = count == width
        begin = (after(x, j * x_columns), x_rows) if whole else (work, 0)
        end = (after(y, j), y_rows) if whole else (scratch, width)
        tiles(a, panel, begin, factor, end, m, k, width == register)
        if not whole:
            for i in range(m):
                above = _carray(after(x, i * x_rows + j * x_columns), 1)
                row = _carray(after(y, i * y_rows + j), 1)
                for q in range(count):
                    row[q] = above[q * x_columns] + left[i * width + q]
        j += width


@part
def packed(b: Any, j: Any, k: Any, count: Any, panel: Any, width: Any, register: Any) -> None:
    """Copy some columns of a matrix of k rows into a panel of this width; the rest of the panel has no meaning."""
    x, rows, columns = b
    x = after(x, j * columns)
    target = _carray(panel, 1)
    done = 0
    if columns == 1:
        last = max(0, (k - 1) * rows) + count  # a vector may reach into other rows, but not beyond the matrix
        while done < k and done * rows + (count - 1) // register * register + register <= last:
            for q in range(0, count, register):
                moved(after(x, done * rows + q), after(panel, done * width + q))
            done += 1
    elif rows == 1:
        while done + register <= k:
            for q in range(0, count, register):
                turned(after(x, done + q * columns), columns, count - q, after(panel, done * width + q), width)
            done += register
    for i in range(done, k):
        for q in range(count):
            target[i * width + q] = _carray(after(x, i * rows + q * columns), 1)[0]


@part
def tiles(a: Any, panel: Any, first: Any, factor: Any, c: Any, m: Any, k: Any, narrow: Any) -> None:
    """All rows of the columns that belong to a panel; the last tile may compute rows again."""
    x, rows, columns = a
    height = _TALL if m >= _TALL else 4 if m >= 4 else 1
    for above in range(0, m, height):
        i = min(above, m - height)
        left = after(x, i * rows)
        begin, apart = after(first[0], i * first[1]), first[1]
        end, below = after(c[0], i * c[1]), c[1]
        if narrow:
            if height == _TALL:
                _tall(left, rows, columns, panel, begin, apart, factor, end, below, k)
            elif height == 4:
                _four(left, rows, columns, panel, begin, apart, factor, end, below, k)
            else:
                _one(left, rows, columns, panel, begin, apart, factor, end, below, k)
        elif height == _TALL:
            _tall_wide(left, rows, columns, panel, begin, apart, factor, end, below, k)
        elif height == 4:
            _four_wide(left, rows, columns, panel, begin, apart, factor, end, below, k)
        else:
            _one_wide(left, rows, columns, panel, begin, apart, factor, end, below, k)


_TEXT = """
from tapem.compiler.native.products import multiplied


def native(a, a_rows, a_columns, b, b_rows, b_columns, x, x_rows, x_columns, factor, c, c_rows, m, k, n, work):
    first = x, x_rows, x_columns
    multiplied((a, a_rows, a_columns), (b, b_rows, b_columns), first, factor, (c, c_rows), m, k, n, work, {size})
"""


@functools.cache
def known(bits: int) -> Any:
    """Make the symbol known for a size of floats; what is compiled for it stays in the cache on disk."""
    scalar = {32: _types.float32, 64: _types.float64}[bits]
    module, lasting = module_of(_TEXT.format(size=bits // 8), _VERSIONS)
    options: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy", "cache": lasting}
    function = cast("Any", numba).cfunc(signature(scalar), **options)(module.native)
    cast("Any", binding).add_symbol(symbol(scalar), function.address)
    return function


def signature(scalar: Any) -> Any:
    """The types of the arguments of the symbol."""
    pointer, integer = _types.CPointer(scalar), _types.int64
    operand = (pointer, integer, integer)
    return _types.void(*operand, *operand, *operand, scalar, pointer, integer, integer, integer, integer, pointer)


def symbol(scalar: Any) -> str:
    """The name by which native functions call the product for a type of numbers."""
    return f"tapem_product_{scalar.name}"


@_intrinsic
def product(typing: Any, a: Any, b: Any, c: Any, m: Any, k: Any, n: Any, work: Any) -> Any:
    """`c = a @ b` for a matrix of m rows and k columns, and one of n columns.

    An operand is an array, the place of its first element in memory, and how far rows and columns are apart there; so
    is the result, without the columns.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *operands, m, k, n, work = arguments
        scalar = signature.args[-1].dtype
        one, zero = context.get_constant(scalar, 1), context.get_constant(_types.int64, 0)
        pairs = zip(signature.args, operands, strict=False)
        a, b, c = (operand(context, builder, *pair) for pair in pairs)
        work = pointer(context, builder, signature.args[-1], work)
        call(context, builder, scalar, [*a, *b, work, zero, zero, one, *c, m, k, n, work])
        return context.get_dummy_value()

    integer = _types.int64
    return _types.void(a, b, c, integer, integer, integer, work), generate


@_intrinsic
def product_and_sum(
    typing: Any, a: Any, b: Any, first: Any, factor: Any, c: Any, m: Any, k: Any, n: Any, work: Any
) -> Any:  # fmt: skip
    """`c = first + factor * (a @ b)`, in the same way; the columns of `first` follow each other."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *operands, factor, c, m, k, n, work = arguments
        pairs = zip(signature.args, operands, strict=False)
        a, b, first = (operand(context, builder, *pair) for pair in pairs)
        c = operand(context, builder, signature.args[4], c)
        work = pointer(context, builder, signature.args[-1], work)
        call(context, builder, signature.args[-1].dtype, [*a, *b, *first, factor, *c, m, k, n, work])
        return context.get_dummy_value()

    integer = _types.int64
    return _types.void(a, b, first, work.dtype, c, integer, integer, integer, work), generate


def pointer(context: Any, builder: Any, type: Any, array: Any) -> Any:
    """The pointer to the elements of an array."""
    return context.make_array(type)(context, builder, array).data


def operand(context: Any, builder: Any, type: Any, value: Any) -> list[Any]:
    """The pointer to the first element of an operand, and its steps."""
    array, at, *steps = (builder.extract_value(value, number) for number in range(len(type)))
    return [builder.gep(pointer(context, builder, type[0], array), [at]), *steps]


def call(context: Any, builder: Any, scalar: Any, arguments: list[Any]) -> None:
    """A call of the symbol."""
    _ir: Any = ir
    function = _ir.FunctionType(_ir.VoidType(), [context.get_value_type(x) for x in signature(scalar).args])
    known = builder.module.globals.get(symbol(scalar))
    builder.call(known or _ir.Function(builder.module, function, symbol(scalar)), arguments)


__all__ = ["known", "multiplied", "product", "product_and_sum", "room", "workspaces"]
