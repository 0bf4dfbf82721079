"""Scaling for norms and the standard deviation, whose powers may overflow even though their values do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.ops.softmax import as_float


def at_scale(f: Callable[[Any], Any], x: Any, power: float, axis: Any) -> Any:
    """Compute `f(x)` for an f with f(c x) = c f(x) that is the root of a sum of these powers over the axes.

    If the powers are normal numbers, the result is that of f itself, bit for bit. If they over- or underflow, x is
    first divided by about its greatest absolute value.

    >>> root = lambda x: np.sqrt(np.sum(x * x))
    >>> bool(at_scale(root, np.array([3.0, 4.0]) * 2.0**1000, 2, None) == 5 * 2.0**1000)
    True
    """
    with np.errstate(all="ignore"):  # a wrong value is computed again below, with its warnings
        y = f(x)
    limits = np.finfo(y.dtype)
    normal = np.logical_and(y > (limits.tiny / limits.eps) ** (1 / abs(power)), y < np.inf)
    if np.all(normal):
        return y
    x = as_float(x)
    greatest = np.max(np.abs(x), axis=axis, keepdims=True, initial=0)
    greatest = np.where(np.logical_and(greatest > 0, greatest < np.inf), greatest, 1)
    scale = np.ldexp(np.ones_like(y, shape=()), np.frexp(greatest)[1] - 1)  # a power of two, so that division is exact
    scaled = f(x / scale)
    return np.where(normal, y, scaled * np.reshape(scale, np.shape(scaled)))[()]


__all__ = ["at_scale"]
