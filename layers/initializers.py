"""Initializers: functions `(key, shape, dtype) -> array` that draw the first values of parameters.

The shapes of weights are those of this package: `(out, in, *kernel)`. So `fan_in`, the number of inputs of one output,
is the product of all axes but the first; `fan_out` is the product of all axes but the second.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

import tapem as tm
from tapem import ArgumentError

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Key: TypeAlias = npt.NDArray[Any]


class Initializer(Protocol):
    """A function that draws the first value of a parameter: `(key, shape, dtype) -> array`.

    >>> def halves(key, shape, dtype=np.float32):
    ...     return np.full(shape, 0.5, dtype)
    >>> initializer: Initializer = halves
    """

    def __call__(self, key: Key, shape: Shape, dtype: npt.DTypeLike = ..., /) -> Array:
        """Draw an array of this shape and dtype."""
        ...


def fans(shape: Shape) -> tuple[int, int]:
    """The number of inputs of each output, and of outputs of each input, of a weight `(out, in, *kernel)`.

    Raises ArgumentError for fewer than two axes.

    >>> fans((128, 64)), fans((16, 8, 5, 5))
    ((64, 128), (200, 400))
    """
    if len(shape) < 2:
        raise ArgumentError(f"a weight of shape {shape} has no inputs and outputs: it needs the axes (out, in, ...).")
    kernel = math.prod(shape[2:])
    return max(shape[1] * kernel, 1), max(shape[0] * kernel, 1)


def zeros(key: Key | None, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
    """All zeros; the usual start of biases. The key is not used.

    >>> zeros(None, (2,))
    array([0., 0.], dtype=float32)
    """
    return np.zeros(shape, dtype)


def ones(key: Key | None, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
    """All ones; the usual start of the scales of normalization. The key is not used.

    >>> ones(None, (2,))
    array([1., 1.], dtype=float32)
    """
    return np.ones(shape, dtype)


def bias_initializer(bias: Initializer | bool) -> Initializer | None:
    """The initializer of a layer's bias from its argument `bias`: zeros for True, None (no bias) for False.

    >>> bias_initializer(True) is zeros, bias_initializer(ones) is ones, bias_initializer(False)
    (True, True, None)
    """
    if isinstance(bias, bool):
        return zeros if bias else None
    return bias


def uniform(key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32, *, scale: float = 0.05) -> Array:
    """Draw evenly from [-scale, scale).

    >>> bool(np.all(np.abs(uniform(tm.random.key(0), (100,))) <= 0.05))
    True
    """
    return tm.random.uniform(key, shape, low=-scale, high=scale, dtype=dtype)


def normal(key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32, *, scale: float = 0.05) -> Array:
    """Draw from the normal distribution with mean 0 and standard deviation `scale`.

    >>> 0.04 < float(normal(tm.random.key(0), (1000,)).std()) < 0.06
    True
    """
    return tm.random.normal(key, shape, scale=scale, dtype=dtype)


def glorot_uniform(key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
    """Draw evenly with variance `2 / (fan_in + fan_out)`, which keeps the variance of values and cotangents (for tanh).

    Source: Glorot and Bengio 2010, equation 16.

    >>> bool(np.all(np.abs(glorot_uniform(tm.random.key(0), (4, 2))) <= 1.0))
    True
    """
    return uniform(key, shape, dtype, scale=math.sqrt(6 / sum(fans(shape))))


def glorot_normal(key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
    """Draw normally with variance `2 / (fan_in + fan_out)`. Source: Glorot and Bengio 2010, equation 12.

    >>> glorot_normal(tm.random.key(0), (4, 2)).dtype
    dtype('float32')
    """
    return normal(key, shape, dtype, scale=math.sqrt(2 / sum(fans(shape))))


def he_uniform(key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
    """Draw evenly with variance `2 / fan_in`, which keeps the variance of values through relu. Source: He et al. 2015.

    >>> bool(np.all(np.abs(he_uniform(tm.random.key(0), (4, 6))) <= 1.0))
    True
    """
    return uniform(key, shape, dtype, scale=math.sqrt(6 / fans(shape)[0]))


def he_normal(key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
    """Draw normally with variance `2 / fan_in`. Source: He et al. 2015, equation 10.

    >>> he_normal(tm.random.key(0), (4, 2)).shape
    (4, 2)
    """
    return normal(key, shape, dtype, scale=math.sqrt(2 / fans(shape)[0]))


def lecun_normal(key: Key, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
    """Draw normally with variance `1 / fan_in`. Source: LeCun et al. 1998, equation 16.

    >>> lecun_normal(tm.random.key(0), (4, 2)).shape
    (4, 2)
    """
    return normal(key, shape, dtype, scale=math.sqrt(1 / fans(shape)[0]))


__all__ = [
    "Initializer",
    "bias_initializer",
    "fans",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "normal",
    "ones",
    "uniform",
    "zeros",
]
