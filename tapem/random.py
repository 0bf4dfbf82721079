"""Random numbers as pure functions of a key: the same key gives the same numbers on every machine.

A key is an array of two uint64, so it can be saved, be part of a tree, and be mapped over by `vmap`. Use each key only
once: `split` makes new keys from it. The generator is NumPy's counter-based Philox 4x64 (Salmon et al. 2011), in which
every key starts its own stream.

    key = tm.random.key(0)
    params_key, data_key = tm.random.split(key)
    noise = tm.random.normal(data_key, (32, 64), dtype=np.float32)

All functions work through all three doors. None of them has a derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int64, UInt64

from tapem.core import ShapeDtype
from tapem.errors import ArgumentError, DTypeError
from tapem.ops import Declaration, primitive
from tapem.types import Tensor

Key: TypeAlias = Annotated[
    UInt64[Tensor, "2"], "a key is made from an integer, tm.random.key(0), or from another key, tm.random.split(key)"
]
ShapeLike: TypeAlias = int | Sequence[int]

# Philox's counter has four words. Numbers are drawn at counters below 2^192; keys are split off at counters above.
_SPLIT = (0, 0, 0, 1)
_ANY_KEY = np.zeros(2, np.uint64)


def _generator(key: Any) -> Any:
    return np.random.Generator(np.random.Philox(key=key))


def _one_by_one(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    return np.stack([op(inputs[0][index], **static) for index in range(size)])


# NumPy's generators take one key, so a batch of keys is a loop.
_drawing = primitive(differentiable=False, batch=_one_by_one)


def _drawing_shapes(function: Callable[..., Any]) -> Any:
    """Declare an op that draws an array of a given shape; its abstract rule draws only one number, for the dtype."""

    def abstract(key: Any, *, shape: ShapeLike = (), **static: Any) -> ShapeDtype:
        return ShapeDtype(_shape(shape), np.asarray(function(_ANY_KEY, **static)).dtype)

    return primitive(differentiable=False, batch=_one_by_one, abstract=abstract)(function)


def _shape(shape: ShapeLike) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    if any(size < 0 for size in sizes):
        raise ArgumentError(f"shape is {shape}, but sizes cannot be negative.")
    return sizes


def _float(dtype: npt.DTypeLike) -> Any:
    found = np.dtype(dtype)
    if found.name not in ("float32", "float64"):
        raise DTypeError(f"dtype is {found}, but random floats are drawn as float32 or float64. Use x.astype(dtype).")
    return found.type


def key(seed: int) -> npt.NDArray[Any]:
    """Make a key from a seed, a non-negative integer of any size. Similar seeds give unrelated keys.

    Raises ArgumentError if the seed is negative or not an integer.

    >>> key(0)
    array([15793235383387715774, 12390638538380655177], dtype=uint64)
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:  # pyright: ignore
        raise ArgumentError(f"random.key: the seed is {seed!r}, but must be a non-negative integer.")
    return np.random.SeedSequence(int(seed)).generate_state(2, np.uint64)


@_drawing
def split(key: Key, num: int = 2) -> UInt64[Tensor, "{num} 2"]:
    """Make `num` new keys from one, as the rows of an array: UInt64 "2" -> UInt64 "num 2".

    Do not use the old key again.

    >>> first, second = split(key(0))
    >>> float(uniform(first)) == float(uniform(second))
    False
    """
    if num < 0:
        raise ArgumentError(f"random.split: num is {num}, but cannot be negative.")
    return np.random.Philox(key=key, counter=_SPLIT).random_raw(2 * num).reshape(num, 2)


@_drawing
def fold_in(key: Key, data: int) -> UInt64[Tensor, "2"]:
    """Make a new key from a key and a non-negative integer below 2^63, such as the number of a step.

    UInt64 "2" -> UInt64 "2".

    >>> keys = [fold_in(key(0), step) for step in range(3)]
    >>> len({tuple(k.tolist()) for k in keys})
    3
    """
    if not 0 <= data < 2**63:
        raise ArgumentError(f"random.fold_in: data is {data}, but must be at least 0 and below 2^63.")
    return np.random.Philox(key=key, counter=(0, int(data), 0, 2)).random_raw(2)


@cast(Declaration, _drawing_shapes)
def uniform(
    key: Key, shape: ShapeLike = (), low: float = 0.0, high: float = 1.0, dtype: npt.DTypeLike = np.float64
) -> Float[Tensor, "..."]:
    """Draw numbers evenly from [low, high): UInt64 "2" -> Float "*shape", of float32 or float64.

    Raises ArgumentError if `low` is above `high`.

    >>> uniform(key(0), (2, 2), dtype=np.float32).dtype
    dtype('float32')
    """
    kind = _float(dtype)
    if not low <= high:
        raise ArgumentError(f"random.uniform: low is {low} and high is {high}, but low must not be above high.")
    drawn = _generator(key).random(_shape(shape), dtype=kind)
    if low == 0 and high == 1:
        return drawn
    # Rounding could reach `high` itself.
    below = np.nextafter(kind(high), kind(low))
    return np.minimum(drawn * (high - low) + low, below)


@cast(Declaration, _drawing_shapes)
def normal(
    key: Key, shape: ShapeLike = (), mean: float = 0.0, scale: float = 1.0, dtype: npt.DTypeLike = np.float64
) -> Float[Tensor, "..."]:
    """Draw numbers from the normal distribution with this mean and this standard deviation, `scale`.

    UInt64 "2" -> Float "*shape", of float32 or float64. Raises ArgumentError for a negative scale.

    >>> normal(key(0), 3).shape
    (3,)
    """
    if scale < 0:
        raise ArgumentError(f"random.normal: scale is {scale}, but a standard deviation cannot be negative.")
    drawn = _generator(key).standard_normal(_shape(shape), dtype=_float(dtype))
    return drawn if mean == 0 and scale == 1 else drawn * scale + mean


@cast(Declaration, _drawing_shapes)
def bernoulli(key: Key, p: float = 0.5, shape: ShapeLike = ()) -> Bool[Tensor, "..."]:
    """Draw bools that are True with probability p: UInt64 "2" -> Bool "*shape".

    Raises ArgumentError if p is outside [0, 1].

    >>> bernoulli(key(0), 0.0, 3), bernoulli(key(0), 1.0, 3)
    (array([False, False, False]), array([ True,  True,  True]))
    """
    if not 0 <= p <= 1:
        raise ArgumentError(f"random.bernoulli: p is {p}, but a probability is within [0, 1].")
    return np.less(_generator(key).random(_shape(shape)), p)


@cast(Declaration, _drawing_shapes)
def integers(key: Key, shape: ShapeLike = (), low: int = 0, high: int = 2) -> Int64[Tensor, "..."]:
    """Draw integers evenly from low, low + 1, ..., high - 1: UInt64 "2" -> Int64 "*shape".

    Raises ArgumentError if there are no such integers.

    >>> bool((integers(key(0), 100, 0, 3) < 3).all())
    True
    """
    if not low < high:
        raise ArgumentError(f"random.integers: low is {low} and high is {high}, but low must be below high.")
    return _generator(key).integers(low, high, _shape(shape))


@primitive(differentiable=False, batch=_one_by_one, name="permutation")
def _permutation(key: Key, n: int) -> Int64[Tensor, "{n}"]:
    """The numbers 0 to n - 1 in random order: UInt64 "2" -> Int64 "n"."""
    if n < 0:
        raise ArgumentError(f"random.permutation: x is {n}, but cannot be negative.")
    return _generator(key).permutation(n)


def permutation(key: Any, x: Any) -> Any:
    """Put the integers 0 to x - 1 in random order, if x is an int; if x is an array, its rows (along its first axis).

    UInt64 "2", int n -> Int64 "n"; UInt64 "2", Num "n ..." -> Num "n ...".

    >>> sorted(permutation(key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    >>> sorted(permutation(key(0), np.array([3.0, 1.0])).tolist())
    [1.0, 3.0]
    """
    order: Any = _permutation
    if isinstance(x, int | np.integer):
        return order(key, int(cast(int, x)))
    if not np.shape(x):
        raise ArgumentError("random.permutation: x is a scalar array, so it has no rows. Pass an int or an array.")
    return np.take(x, order(key, np.shape(x)[0]), axis=0)


__all__ = ["bernoulli", "fold_in", "integers", "key", "normal", "permutation", "split", "uniform"]
