"""Scalars: what a native loop writes for an elementwise op, one line per op.

`{0}` stands for the first operand, already cast to the dtype in which the op computes; `{T}` for that dtype, `{B}` for
its bits. A name such as `exp32` is a function of `tapem.compiler.native.functions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core import ShapeDtype, UnknownNumber
from tapem.types import NUMBERS

SCALARS: Mapping[str, str] = {
    "identity": "{0}",
    "cast": "{0}",
    # arithmetic
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "scale": "{0} * {1}",
    "floor_divide": "{0} // {1}",
    "remainder": "{0} % {1}",
    "neg": "-{0}",
    "square": "{0} * {0}",
    "reciprocal": "{T}(1) / {0}",
    "abs": "abs({0})",
    "fabs": "abs({0})",
    "sign": "{T}(1) if {0} > 0 else ({T}(-1) if {0} < 0 else ({T}(0) if {0} == 0 else {0}))",
    "sqrt": "math.sqrt({0})",
    "floor": "np.floor({0})",
    "ceil": "np.ceil({0})",
    # functions
    "exp": "exp{B}({0})",
    "log": "log{B}({0})",
    "expm1": "expm1_{B}({0})",
    "log1p": "log1p{B}({0})",
    "sin": "sin{B}({0})",
    "cos": "cos{B}({0})",
    "tanh": "tanh{B}({0})",
    "sigmoid": "sigmoid{B}({0})",
    "erf": "erf{B}({0})",
    "power": "power({0}, {1})",
    "power_of_all": "power_of_all({0}, {1})",
    "tan": "math.tan({0})",
    "sinh": "math.sinh({0})",
    "cosh": "math.cosh({0})",
    "arcsin": "math.asin({0})",
    "arccos": "math.acos({0})",
    "arctan": "math.atan({0})",
    "arctan2": "math.atan2({0}, {1})",
    "arcsinh": "math.asinh({0})",
    "arccosh": "math.acosh({0})",
    "arctanh": "math.atanh({0})",
    "hypot": "math.hypot({0}, {1})",
    "exp2": "{T}(np.exp2(np.float64({0})))",  # numba has neither of float32
    "log2": "{T}(np.log2(np.float64({0})))",
    "log10": "math.log10({0})",
    # rounding
    "trunc": "np.trunc({0})",
    "rint": "np.rint({0})",
    "fmod": "np.fmod({0}, {1})",
    "copysign": "math.copysign({0}, {1})",
    # choices
    "relu": "{0} if {0} > 0 or {0} != {0} else {T}(0)",
    "maximum": "{0} if {0} >= {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} <= {1} or {0} != {0} else {1}",
    "where": "{1} if {0} else {2}",
    # comparisons
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "isnan": "{0} != {0}",
    "isfinite": "abs({0}) < {T}(np.inf)",
    "bitwise_and": "{0} & {1}",
    "isinf": "abs({0}) == {T}(np.inf)",
    "bitwise_or": "{0} | {1}",
    "bitwise_xor": "{0} ^ {1}",
    "logical_and": "{0} and {1}",
    "logical_or": "{0} or {1}",
    "logical_xor": "{0} != {1}",
    "logical_not": "not {0}",
}
"""From the name of an elementwise op to the expression for one element."""

ONLY_IN_LOOPS = frozenset(
    """
    tan sinh cosh arcsin arccos arctan arctan2 arcsinh arccosh arctanh hypot exp2 log2 log10 fmod
    """.split()
)
"""Functions of C, one number at a time: outside of loops NumPy's are faster."""

_FLOAT_ONLY = ONLY_IN_LOOPS.union(
    """
    div sqrt floor ceil exp log expm1 log1p sin cos tanh sigmoid erf power reciprocal isfinite isinf isnan fabs sign
    trunc rint copysign
    """.split()
)
_NOT_OF_BOOLS = frozenset({"floor_divide", "remainder"})
_LOGICAL = frozenset({"logical_and", "logical_or", "logical_xor", "logical_not"})

DTYPES = frozenset(map(np.dtype, (np.float32, np.float64, np.int32, np.int64, np.bool_)))
"""The dtypes that native loops know."""


def computed_in(name: str, inputs: Sequence[Any], output: np.dtype[Any]) -> list[np.dtype[Any]] | None:
    """The dtypes to which the operands of an op are cast; None if native loops cannot compute it.

    NumPy's promotion decides, in which Python numbers are weak.
    """
    kinds = [None if x is None else x if type(x) in NUMBERS else ShapeDtype.of(x) for x in inputs]
    if name not in SCALARS or None in kinds or output not in DTYPES:
        return None
    if any(isinstance(kind, ShapeDtype) and kind.dtype not in DTYPES for kind in kinds):
        return None
    narrow = any(isinstance(kind, ShapeDtype) and kind.dtype == np.int32 for kind in kinds)
    if narrow and any(map(may_be_wide, inputs)):
        return None  # NumPy refuses an integer that int32 cannot hold, or compares it as it is
    if name == "where":
        return [np.dtype(np.bool_), output, output]
    if name in _LOGICAL:
        return [np.dtype(np.bool_)] * len(kinds)
    if name == "cast":
        return [output]
    together = np.result_type(*(promoting(x, kind) for x, kind in zip(inputs, kinds, strict=True)))
    if name in _FLOAT_ONLY and together.kind != "f" and output.kind == "f":
        together = output
    if together not in DTYPES or (name in _FLOAT_ONLY and together.kind != "f"):
        return None
    if together.kind == "b" and (output.kind != "b" or name in _NOT_OF_BOOLS):
        return None
    return [together] * len(kinds)


def may_be_wide(value: Any) -> bool:
    """Whether a value may be a Python integer that int32 cannot hold."""
    if type(value) is UnknownNumber:
        return value.kind is int
    return type(value) is int and not -(2**31) <= value < 2**31


def promoting(value: Any, kind: Any) -> Any:
    """What stands for an operand in NumPy's promotion."""
    if type(value) is UnknownNumber:
        return value.kind(1)
    return kind.dtype if isinstance(kind, ShapeDtype) else kind


def literal(value: Any, dtype: np.dtype[Any]) -> str:
    """A number in a dtype, as text."""
    number = dtype.type(value if type(value) in NUMBERS else np.asarray(value)[()]).item()
    text = {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(repr(number), repr(number))
    return f"np.{dtype.name}({text})"


__all__ = ["DTYPES", "ONLY_IN_LOOPS", "SCALARS", "computed_in", "literal"]
