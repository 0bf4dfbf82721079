"""Bits: the bits of a float as an integer, and back, for native functions."""

from __future__ import annotations

from typing import Any, cast

from numba import types
from numba.extending import intrinsic

_types: Any = types
_intrinsic: Any = cast("Any", intrinsic)


def _reinterpreted(source: Any, target: Any) -> Any:
    """The native function that reads the bits of a number of one type as another."""

    @_intrinsic
    def read(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), generate

    return read


bits32 = _reinterpreted(_types.float32, _types.int32)
bits64 = _reinterpreted(_types.float64, _types.int64)
float32_of = _reinterpreted(_types.int32, _types.float32)
float64_of = _reinterpreted(_types.int64, _types.float64)


__all__ = ["bits32", "bits64", "float32_of", "float64_of"]
