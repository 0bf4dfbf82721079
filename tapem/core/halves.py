"""float16 computed in float32: how an op that is declared as `wide` works.

Sums, squares and exponentials overflow float16 even where the final result does not, and 1 - y is 0 for most y near 1.
So the op and its rules get float32 in place of float16, and their results are rounded to float16.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tapem.tangents import Thunk
from tapem.types import is_inexact

# A rule or an implementation, called with arrays or with tracers.
Function = Callable[..., Any]

_HALF = np.dtype(np.float16)


def wide(x: Any) -> Any:
    """Convert float16 to float32, also inside a tuple; return everything else unchanged.

    >>> wide(np.ones(2, np.float16)).dtype, wide(3)
    (dtype('float32'), 3)
    """
    if type(x) is tuple:
        return tuple(map(wide, x))
    return x.astype(np.float32) if getattr(x, "dtype", None) == _HALF else x


def narrow(x: Any) -> Any:
    """Convert float32 to float16, also inside a tuple and in the result of a thunk; return everything else unchanged.

    >>> narrow((np.ones(2, np.float32), None))[0].dtype
    dtype('float16')
    """
    if type(x) is tuple:
        return tuple(map(narrow, x))
    if type(x) is Thunk:
        return Thunk(lambda: narrow(x()))
    return x.astype(_HALF) if getattr(x, "dtype", None) == np.float32 else x


def all_half(operands: Sequence[Any]) -> bool:
    """Whether float16 is the only float or complex dtype among the operands, so that the result is float16 too."""
    found = False
    for x in operands:
        dtype = getattr(x, "dtype", None)
        if dtype is not None and is_inexact(dtype):
            if dtype != _HALF:
                return False
            found = True
    return found


def _implementation(function: Function, residuals: bool) -> Function:
    @functools.wraps(function)
    def in_float32(*operands: Any, **static: Any) -> Any:
        if not all_half(operands):
            return function(*operands, **static)
        found = function(*map(wide, operands), **static)
        return (narrow(found[0]), found[1]) if residuals else narrow(found)

    return in_float32


def _rule(rule: Function, given: int) -> Function:
    """Make a rule wide; `given` arguments precede its operands: the change, the value and perhaps the residuals."""

    @functools.wraps(rule)
    def in_float32(*arguments: Any, **static: Any) -> Any:
        if not all_half(arguments[given:]):
            return rule(*arguments, **static)
        return narrow(rule(*map(wide, arguments), **static))

    return in_float32


def _batch(rule: Function) -> Function:
    @functools.wraps(rule)
    def in_float32(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
        if not all_half(inputs):
            return rule(op, size, inputs, mapped, static)
        return narrow(rule(op, size, tuple(map(wide, inputs)), mapped, static))

    return in_float32


def in_float32(implementation: Function, fields: Mapping[str, Any]) -> tuple[Function, dict[str, Any]]:
    """Make an op wide: return its implementation and fields, with every rule (one per operand, or joint) wrapped."""
    residuals: bool = fields["residuals"]
    given = 2 + residuals

    def widened(rules: Any) -> Any:
        if isinstance(rules, tuple | list):
            return tuple(rule if rule is None else _rule(rule, given) for rule in rules)
        return rules if rules is None else _rule(rules, given)

    batch = fields["batch"]
    return _implementation(implementation, residuals), {
        **fields,
        "rrule": widened(fields["rrule"]),
        "frule": widened(fields["frule"]),
        "batch": batch if batch is None else _batch(batch),
    }


__all__ = ["all_half", "in_float32", "narrow", "wide"]
