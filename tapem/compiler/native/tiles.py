"""Tiles: the innermost part of a product of matrices, in vector registers.

A tile is a few rows and columns of the result. Its sums stay in registers while a loop runs over the axis that is
summed over: each step multiplies a row of one operand, some vectors, by a number of the other for every row of the
tile. LLVM would find these loops, but not keep the sums in registers, so they are written in its language.

Source: K. Goto and R. van de Geijn, "Anatomy of high-performance matrix multiplication", 2008.
"""

from __future__ import annotations

from typing import Any, cast

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

_types: Any = types
_intrinsic: Any = cast("Any", intrinsic)
_ir: Any = ir
_INTEGER = _ir.IntType(64)
_features: Any = cast("Any", binding).get_host_cpu_features()

REGISTER = 64 if _features.get("avx512f") else 32 if _features.get("avx") else 16
"""The bytes of a vector register."""


def _vector(builder: Any, data: Any, at: Any, width: int) -> tuple[Any, int]:
    """The pointer to a vector at an element, and how that element is aligned."""
    scalar = data.type.pointee
    size = 4 if isinstance(scalar, _ir.FloatType) else 8
    return builder.bitcast(builder.gep(data, [at]), _ir.VectorType(scalar, width).as_pointer()), size


def _load(builder: Any, data: Any, at: Any, width: int) -> Any:
    pointer, align = _vector(builder, data, at, width)
    return builder.load(pointer, align=align)


def _store(builder: Any, vector: Any, data: Any, at: Any) -> None:
    pointer, align = _vector(builder, data, at, vector.type.count)
    builder.store(vector, pointer, align=align)


def _mask(lanes: list[int]) -> Any:
    integer = _ir.IntType(32)
    return _ir.Constant(_ir.VectorType(integer, len(lanes)), [integer(lane) for lane in lanes])


def _repeated(builder: Any, number: Any, width: int) -> Any:
    """A vector of equal numbers."""
    nothing = _ir.Constant(_ir.VectorType(number.type, width), _ir.Undefined)
    one = builder.insert_element(nothing, number, _ir.IntType(32)(0))
    return builder.shuffle_vector(one, nothing, _mask([0] * width))


def width_of(pointer: Any) -> int:
    """The number of elements in a vector register, of those that a pointer points to."""
    return REGISTER // (pointer.dtype.bitwidth // 8)


def tile(rows: int, vectors: int) -> Any:
    """The native function of one tile: `c = first + factor * sum over k of a * b`.

    All are pointers. Rows and columns of `a` are so many elements apart, the rows of `first` and `c` as well; the rows
    of `b` are vectors that follow each other.
    """

    @_intrinsic
    def native(
        typing: Any, a: Any, a_rows: Any, a_columns: Any, b: Any, first: Any, first_rows: Any, factor: Any, c: Any,
        c_rows: Any, k: Any,
    ) -> Any:  # fmt: skip
        width, integer = width_of(a), _types.int64
        places = [(row, column) for row in range(rows) for column in range(vectors)]

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, a_rows, a_columns, b, first, first_rows, factor, c, c_rows, k = arguments
            zero = _ir.Constant(_ir.VectorType(a.type.pointee, width), [a.type.pointee(0.0)] * width)
            before, loop, end = builder.block, *(builder.append_basic_block(name) for name in ("sum", "summed"))
            starts = [builder.mul(a_rows, _INTEGER(row)) for row in range(rows)]
            builder.branch(loop)
            builder.position_at_end(loop)
            step = builder.phi(_INTEGER)
            sums = {place: builder.phi(zero.type) for place in places}
            b_at, shift = builder.mul(step, _INTEGER(vectors * width)), builder.mul(step, a_columns)
            row_of_b = [
                _load(builder, b, builder.add(b_at, _INTEGER(column * width)), width) for column in range(vectors)
            ]
            numbers = [
                _repeated(builder, builder.load(builder.gep(a, [builder.add(start, shift)])), width) for start in starts
            ]
            following = builder.add(step, _INTEGER(1))
            step.add_incoming(_INTEGER(0), before)
            step.add_incoming(following, loop)
            totals: dict[tuple[int, int], Any] = {}
            for (row, column), total in sums.items():
                product = builder.fmul(numbers[row], row_of_b[column], flags=["contract"])
                totals[row, column] = builder.fadd(total, product, flags=["contract"])
                total.add_incoming(zero, before)
                total.add_incoming(totals[row, column], loop)
            builder.cbranch(builder.icmp_signed("<", following, k), loop, end)
            builder.position_at_end(end)
            factors = _repeated(builder, factor, width)
            for (row, column), total in totals.items():
                at, own = (
                    builder.add(builder.mul(apart, _INTEGER(row)), _INTEGER(column * width))
                    for apart in (first_rows, c_rows)
                )
                product = builder.fmul(factors, total, flags=["contract"])
                value = builder.fadd(_load(builder, first, at, width), product, flags=["contract"])
                _store(builder, value, c, own)
            return context.get_dummy_value()

        return _types.void(a, integer, integer, b, first, integer, factor, c, integer, integer), generate

    return native


@_intrinsic
def after(typing: Any, pointer: Any, count: Any) -> Any:
    """The pointer to the element that comes so many elements later."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, _types.int64), generate


@_intrinsic
def moved(typing: Any, x: Any, y: Any) -> Any:
    """Copy a vector from one pointer to another."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store(builder, _load(builder, arguments[0], _INTEGER(0), width_of(x)), arguments[1], _INTEGER(0))
        return context.get_dummy_value()

    return _types.void(x, y), generate


@_intrinsic
def turned(typing: Any, x: Any, x_rows: Any, count: Any, y: Any, y_rows: Any) -> Any:
    """Write a square transposed: as many rows of `x` as a vector has elements, or `count` if they are fewer.

    Rows are so many elements apart. Of the result the columns from `count` on have no meaning.
    """
    width, integer = width_of(x), _types.int64

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, x_rows, count, y, y_rows = arguments
        last = builder.sub(count, _INTEGER(1))
        lines: list[Any] = []
        for number in range(width):
            row = builder.select(builder.icmp_signed("<", last, _INTEGER(number)), last, _INTEGER(number))
            lines.append(_load(builder, x, builder.mul(x_rows, row), width))
        apart = 1
        while apart < width:  # exchange blocks of this size beside the diagonal, in pairs of rows
            low = [lane if not lane & apart else width + lane - apart for lane in range(width)]
            high = [lane + apart if not lane & apart else width + lane for lane in range(width)]
            for row in range(width):
                if not row & apart:
                    pair = lines[row], lines[row + apart]
                    lines[row], lines[row + apart] = (builder.shuffle_vector(*pair, _mask(m)) for m in (low, high))
            apart *= 2
        for row, line in enumerate(lines):
            _store(builder, line, y, builder.mul(y_rows, _INTEGER(row)))
        return context.get_dummy_value()

    return _types.void(x, integer, integer, y, integer), generate


__all__ = ["REGISTER", "after", "moved", "tile", "turned"]
