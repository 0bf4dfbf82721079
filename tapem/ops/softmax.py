"""Softmax and its logarithm: stable for any finite input, since the greatest element is subtracted first."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.ops.axes import Axis, batch_reduction, refuse_axis_of_scalar
from tapem.ops.declare import primitive
from tapem.types import Float, Real, Tensor, is_inexact

# The ufunc methods that np.sum and np.max call, with (x, axis, dtype, out, keepdims, initial).
_add: Any = np.add.reduce
_maximum: Any = np.maximum.reduce


def as_float(x: Any) -> Any:
    """Convert integers and bools to float64, as np.mean does; return floats unchanged."""
    x = np.asarray(x)
    return x if is_inexact(x.dtype) else x.astype(np.float64)


def _softmax_rule(g: Any, y: Any, x: Any, axis: Any) -> Any:
    """The rule of both modes, since the Jacobian diag(y) - y y^T is symmetric."""
    weighted = g * y
    return weighted - y * np.sum(weighted, axis=axis, keepdims=True)


@primitive(rrule=(_softmax_rule,), frule=(_softmax_rule,), batch=batch_reduction)
def softmax(x: Real[Tensor, "*shape"], axis: Axis = -1) -> Float[Tensor, "*shape"]:
    """exp(x) / sum(exp(x)) along the axis, so that it sums to 1: Real "*shape" -> Float "*shape".

    `axis` may be several axes, or None for all. An element -inf gives exactly 0. If all are -inf, the result is NaN;
    for masks see `layers.scaled_dot_product_attention`.

    >>> softmax(np.array([1e4, 1e4, -np.inf]))
    array([0.5, 0.5, 0. ])
    """
    refuse_axis_of_scalar(x, axis)
    x = as_float(x)
    e = np.exp(x - _maximum(x, axis, None, None, True, -np.inf))
    return e / _add(e, axis, None, None, True)


@primitive(rrule=(_softmax_rule,), frule=(_softmax_rule,), batch=batch_reduction)
def softmax_or_zero(x: Real[Tensor, "*shape"], axis: Axis = None) -> Float[Tensor, "*shape"]:
    """The derivative of logsumexp: softmax, but 0 if all elements are -inf; elements inf share 1 equally.

    Real "*shape" -> Float "*shape".

    >>> softmax_or_zero(np.array([[0.0, 0.0], [-np.inf, -np.inf]]), axis=1)
    array([[0.5, 0.5],
           [0. , 0. ]])
    """
    x = as_float(x)
    greatest = _maximum(x, axis, None, None, True, -np.inf)
    with np.errstate(invalid="ignore"):  # inf - inf
        e = np.where(np.equal(x, greatest), np.greater(greatest, -np.inf), np.exp(x - greatest)).astype(x.dtype)
    total = _add(e, axis, None, None, True)
    return e / (total + np.equal(total, 0))


@primitive(
    rrule=(lambda g, y, x, axis: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True),),
    frule=(lambda t, y, x, axis: t - np.sum(t * np.exp(y), axis=axis, keepdims=True),),
    batch=batch_reduction,
)
def log_softmax(x: Real[Tensor, "*shape"], axis: Axis = -1) -> Float[Tensor, "*shape"]:
    """The logarithm of softmax, x - logsumexp(x), along the axis: Real "*shape" -> Float "*shape".

    `axis` may be several axes, or None for all. Unlike np.log(softmax(x)) it is exact even if the softmax underflows.

    >>> log_softmax(np.array([0.0, 1e4]))
    array([-10000.,      0.])
    """
    refuse_axis_of_scalar(x, axis)
    x = as_float(x)
    shifted = x - _maximum(x, axis, None, None, True, -np.inf)
    with np.errstate(divide="ignore"):  # the logarithm of an empty sum
        return shifted - np.log(_add(np.exp(shifted), axis, None, None, True))


__all__ = ["log_softmax", "softmax"]
