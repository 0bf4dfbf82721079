"""float16 computed in float32: what the ops do that are declared as `wide`.

Sums, squares and exponentials leave the range of float16 long before what is made of them does, and 1 - y is 0 for
most y near 1. So such an op is given float32 in place of float16, its rules are too, and their results are rounded.
"""

# Rules run on arrays and on tracers alike, so their operands have no type that a checker could follow.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tapem.tangents import Thunk

# A rule or an implementation, called with arrays and with tracers alike.
Function = Callable[..., Any]

_HALF = np.dtype(np.float16)


def wide(x: Any) -> Any:
    """float32 in place of float16, also in a tuple; all else as it is.

    >>> wide(np.ones(2, np.float16)).dtype, wide(3)
    (dtype('float32'), 3)
    """
    if type(x) is tuple:
        return tuple(map(wide, x))
    return x.astype(np.float32) if getattr(x, "dtype", None) == _HALF else x


def narrow(x: Any) -> Any:
    """float16 in place of float32, also in a tuple and once a thunk is called; all else as it is.

    >>> narrow((np.ones(2, np.float32), None))[0].dtype
    dtype('float16')
    """
    if type(x) is tuple:
        return tuple(map(narrow, x))
    if type(x) is Thunk:
        return Thunk(lambda: narrow(x()))
    return x.astype(_HALF) if getattr(x, "dtype", None) == np.float32 else x


def all_half(operands: Sequence[Any]) -> bool:
    """Whether there is float16 among the operands, and no other float: then the result is float16 as well."""
    found = False
    for x in operands:
        dtype = getattr(x, "dtype", None)
        if dtype is not None and dtype.kind == "f":
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
    """The rule, before whose operands stand so many arguments: the change, the value and perhaps the residuals."""

    def in_float32(*arguments: Any, **static: Any) -> Any:
        if not all_half(arguments[given:]):
            return rule(*arguments, **static)
        return narrow(rule(*map(wide, arguments), **static))

    return in_float32


def _batch(rule: Function) -> Function:
    def in_float32(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
        if not all_half(inputs):
            return rule(op, size, inputs, mapped, static)
        return narrow(rule(op, size, tuple(map(wide, inputs)), mapped, static))

    return in_float32


def in_float32(implementation: Function, fields: Mapping[str, Any]) -> tuple[Function, dict[str, Any]]:
    """An implementation and the fields of its op, whose rules are one per operand or joint, made wide."""
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
