"""Dropout sets a random part of the elements to zero, so that a network cannot rely on a single element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from layers.ops.arguments import is_number
from tapem import ArgumentError, Deferred, Numeric, Operand, ShapeDtype, Step, Tensor, primitive, random
from tapem.random import Key


def check_rate(op: str, rate: Any) -> None:
    """Raise ArgumentError unless the rate is a number within [0, 1)."""
    if not (is_number(rate) and 0 <= rate < 1):
        raise ArgumentError(
            f"{op}: rate is {rate!r}, but must be at least 0 and below 1: it is the probability with which an element "
            "is set to zero, and the others are divided by 1 - rate."
        )


def _masked(x: Any, keep: Any, rate: float) -> Any:
    return np.where(keep, x / (1 - float(rate)), 0)


def _batch(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    x, key = inputs
    rate, shape = static["rate"], np.shape(x)[1:] if mapped[0] else np.shape(x)
    if not mapped[1]:  # all examples share the key, so they share the mask
        return _masked(x, random.bernoulli(key, 1 - float(rate), shape), rate)
    keep = np.stack([random.bernoulli(key[index], 1 - float(rate), shape) for index in range(size)])
    return _masked(x, keep, rate)


def _abstract(x: Any, key: Any, rate: Any) -> ShapeDtype:
    check_rate("dropout(x, rate, key)", rate)
    return ShapeDtype.of(x)


@primitive(
    residuals=True,
    rrule=(lambda g, y, keep, x, key, rate: _masked(g, keep, rate), None),
    frule=(lambda t, y, keep, x, key, rate: _masked(t, keep, rate), None),
    batch=_batch,
    abstract=_abstract,
    name="dropout",
)
def masked(x: Float[Tensor, "*shape"], key: Key, *, rate: float) -> Float[Tensor, "*shape"]:
    """The op behind `dropout`: Float "*shape", UInt64 "2" -> Float "*shape"; the residual is the mask.

    >>> import tapem as tm
    >>> masked(np.ones(2), tm.random.key(0), rate=0.0)
    array([1., 1.])
    """
    check_rate("dropout(x, rate, key)", rate)
    keep = random.bernoulli(key, 1 - float(rate), np.shape(x))
    return _masked(x, keep, rate), keep  # pyright: ignore[reportReturnType]  # the value and its residual


@overload
def dropout(x: Numeric, rate: float, key: Numeric) -> npt.NDArray[Any]: ...
@overload
def dropout(x: Deferred, rate: float, key: Operand) -> Step: ...
@overload
def dropout(x: Operand, rate: float, key: Deferred) -> Step: ...
def dropout(x: Any, rate: float, key: Any) -> Any:
    """Set each element to zero with probability `rate`, else divide it by `1 - rate`; so its mean does not change.

    Float "*shape", a number in [0, 1), UInt64 "2" -> Float "*shape". The mask of the elements that stay is
    `tm.random.bernoulli(key, 1 - rate, x.shape)`: one key is one mask, so give every call its own key. Under `vmap`,
    examples that share the key share the mask; mapped keys (`tm.random.split(key, n)`) give each example its own.

    Raises ArgumentError for a rate outside [0, 1), DTypeError for integers. Source: Srivastava et al., "Dropout: a
    simple way to prevent neural networks from overfitting", 2014, section 10 (scaled in training, not in inference).

    >>> import tapem as tm
    >>> dropout(np.ones(6), 0.5, tm.random.key(0))
    array([2., 2., 2., 2., 0., 2.])
    """
    return masked(x, key, rate=rate)


__all__ = ["check_rate", "dropout", "masked"]
