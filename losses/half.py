"""How a loss is declared: as an op that computes float16 in float32, rules and all.

A loss is made of squares, exponentials and sums, which leave the range of float16 long before their mean does: of
300**2 and three zeros it is 22500.
"""

# Rules run on arrays and on tracers alike, so their operands have no type that a checker could follow.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tapem import Declaration, primitive

# A rule or an implementation, called with arrays and with tracers alike.
Function = Callable[..., Any]


def is_half(x: Any) -> bool:
    """Whether these are numbers of 16 bits."""
    return getattr(x, "dtype", None) == np.float16


def _wide(x: Any) -> Any:
    return x.astype(np.float32) if is_half(x) else x


def _narrow(x: Any) -> Any:
    return x.astype(np.float16) if hasattr(x, "dtype") else x


def _rule(rule: Function | None) -> Function | None:
    """The rule, which is given (change, value, *residuals, prediction, target)."""
    if rule is None:
        return None

    def in_float32(change: Any, y: Any, *rest: Any, **static: Any) -> Any:
        *kept, prediction, target = rest
        if not is_half(prediction):
            return rule(change, y, *rest, **static)
        return _narrow(rule(_wide(change), y, *kept, _wide(prediction), target, **static))

    return in_float32


def _batch(rule: Function) -> Function:
    def in_float32(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
        prediction, target = inputs
        if not is_half(prediction):
            return rule(op, size, inputs, mapped, static)
        return _narrow(rule(op, size, (_wide(prediction), target), mapped, static))

    return in_float32


def loss(
    *, rrule: Sequence[Function | None], frule: Sequence[Function | None], batch: Function, residuals: bool = False,
    abstract: Function | None = None, narrow: bool = False,
) -> Declaration:  # fmt: skip
    """Declare a loss of (prediction, target) by its formula and rules, as `primitive` does.

    Rules that are `narrow` are given float16 as it is: they look at the limits of the dtype.
    """
    widened: Callable[[Function | None], Function | None] = (lambda rule: rule) if narrow else _rule

    def decorate(implementation: Function) -> Any:
        @functools.wraps(implementation)
        def in_float32(prediction: Any, target: Any, **static: Any) -> Any:
            if not is_half(prediction):
                return implementation(prediction, target, **static)
            found = implementation(_wide(prediction), target, **static)
            return (_narrow(found[0]), found[1]) if residuals else _narrow(found)

        return primitive(
            rrule=tuple(map(widened, rrule)),
            frule=tuple(map(widened, frule)),
            batch=_batch(batch),
            abstract=abstract,
            residuals=residuals,
        )(in_float32)

    return decorate


__all__ = ["loss"]
