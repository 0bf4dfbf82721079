"""Random numbers as pure functions of a key: the same key gives the same numbers, on every machine.

A key is an array of two uint64, so it can be saved, be part of a tree and be mapped over by `vmap`. Use each key once:
`split` makes as many new ones as are needed. The generator is NumPy's counter-based Philox 4x64 (Salmon et al. 2011),
whose every key starts a stream of its own.

    key = tm.random.key(0)
    params_key, data_key = tm.random.split(key)
    noise = tm.random.normal(data_key, (32, 64), dtype=np.float32)

All functions go through all three doors, and nothing passes through them to be differentiated.
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

# Philox counts in four words. What is drawn from a key lies at counters below 2^192, what is split off from it above.
_SPLIT = (0, 0, 0, 1)
_ANY_KEY = np.zeros(2, np.uint64)


def _generator(key: Any) -> Any:
    return np.random.Generator(np.random.Philox(key=key))


def _one_by_one(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    return np.stack([op(inputs[0][index], **static) for index in range(size)])


# NumPy's own streams take no tracers, so a batch of keys is drawn from one key at a time.
_drawing = primitive(differentiable=False, batch=_one_by_one)


def _drawing_shapes(function: Callable[..., Any]) -> Any:
    """Declare an op that draws an array of a given shape; where only its shape is asked for, it draws one number."""

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
    """The key of a seed, a non-negative integer of any size. Seeds that differ little give keys that differ altogether.

    Raises ArgumentError for a negative seed or one that is not an integer.

    >>> key(0)
    array([15793235383387715774, 12390638538380655177], dtype=uint64)
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:  # pyright: ignore
        raise ArgumentError(f"random.key: the seed is {seed!r}, but must be a non-negative integer.")
    return np.random.SeedSequence(int(seed)).generate_state(2, np.uint64)


@_drawing
def split(key: Key, num: int = 2) -> UInt64[Tensor, "{num} 2"]:
    """New keys made from one, `num` of them as the rows of an array: UInt64 "2" -> UInt64 "num 2".

    The key that was split should not be used again.

    >>> first, second = split(key(0))
    >>> float(uniform(first)) == float(uniform(second))
    False
    """
    if num < 0:
        raise ArgumentError(f"random.split: num is {num}, but cannot be negative.")
    return np.random.Philox(key=key, counter=_SPLIT).random_raw(2 * num).reshape(num, 2)


@_drawing
def fold_in(key: Key, data: int) -> UInt64[Tensor, "2"]:
    """A new key made from a key and a non-negative integer below 2^63, such as the number of a step.

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
    """Numbers drawn evenly from [low, high): UInt64 "2" -> Float "*shape", of float32 or float64.

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
    """Numbers drawn from the normal distribution with this mean and standard deviation, `scale`.

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
    """Bools that are True with probability p: UInt64 "2" -> Bool "*shape".

    Raises ArgumentError for p outside [0, 1].

    >>> bernoulli(key(0), 0.0, 3), bernoulli(key(0), 1.0, 3)
    (array([False, False, False]), array([ True,  True,  True]))
    """
    if not 0 <= p <= 1:
        raise ArgumentError(f"random.bernoulli: p is {p}, but a probability is within [0, 1].")
    return np.less(_generator(key).random(_shape(shape)), p)


@cast(Declaration, _drawing_shapes)
def integers(key: Key, shape: ShapeLike = (), low: int = 0, high: int = 2) -> Int64[Tensor, "..."]:
    """Integers drawn evenly from low, low + 1, ..., high - 1: UInt64 "2" -> Int64 "*shape".

    Raises ArgumentError if there are none.

    >>> bool((integers(key(0), 100, 0, 3) < 3).all())
    True
    """
    if not low < high:
        raise ArgumentError(f"random.integers: there is no integer from {low} up to, but without, {high}.")
    return _generator(key).integers(low, high, _shape(shape))


@primitive(differentiable=False, batch=_one_by_one, name="permutation")
def _permutation(key: Key, n: int) -> Int64[Tensor, "{n}"]:
    """The numbers 0 to n - 1 in random order."""
    if n < 0:
        raise ArgumentError(f"random.permutation: there are no permutations of {n} things.")
    return _generator(key).permutation(n)


def permutation(key: Any, x: Any) -> Any:
    """A random order of the integers below x, if x is an int; or of the rows of x, its first axis, if x is an array.

    UInt64 "2", int n -> Int64 "n"; UInt64 "2", Shaped "n ..." -> Shaped "n ...".

    >>> sorted(permutation(key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    >>> sorted(permutation(key(0), np.array([3.0, 1.0])).tolist())
    [1.0, 3.0]
    """
    order: Any = _permutation
    if isinstance(x, int | np.integer):
        return order(key, int(cast(int, x)))
    if not np.shape(x):
        raise ArgumentError("random.permutation: x is a scalar, so it has no rows to be put in another order.")
    return np.take(x, order(key, np.shape(x)[0]), axis=0)


__all__ = ["bernoulli", "fold_in", "integers", "key", "normal", "permutation", "split", "uniform"]
