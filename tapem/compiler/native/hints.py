"""Hints: what LLVM has to be told so that it finds vectors in loops."""

from __future__ import annotations

from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_types: Any = types
_intrinsic: Any = cast("Any", intrinsic)


@_intrinsic
def unknown(typing: Any, number: Any) -> Any:
    """The number, as if it was known only when the program runs.

    LLVM writes a short loop out, step by step, if its length is known, and then finds no vectors in it.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _ir: Any = ir
        integer = _ir.IntType(64)
        return builder.asm(_ir.FunctionType(integer, [integer]), "", "=r,0", arguments, False)

    return _types.int64(_types.int64), generate


def _extreme(predicate: str) -> Any:
    """The native function that chooses one of two numbers; what it returns for NaN has no meaning.

    A loop with a choice that respects NaN has no vectors.
    """

    @_intrinsic
    def native(typing: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            flags = ["nnan", "nsz"]
            first = builder.fcmp_ordered(predicate, *arguments, flags=flags)
            return builder.select(first, *arguments, flags=flags)

        return x(x, x), generate

    return native


larger, smaller = _extreme(">"), _extreme("<")


__all__ = ["larger", "smaller", "unknown"]
