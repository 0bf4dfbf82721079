"""Sinusoidal and rotary positions: they tell a network where in a sequence an element stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from layers.ops.arguments import check_count, is_number
from layers.ops.arrays import broadcasts_to
from tapem import ArgumentError, DTypeError, Real, ShapeError, Tensor, primitive, unbroadcast


def check_base(op: str, base: Any) -> None:
    """Raise ArgumentError unless the base is a finite number of at least 1."""
    if not (is_number(base) and 1 <= base < math.inf):
        raise ArgumentError(f"{op}: base is {base!r}, but must be a finite number of at least 1.")


def _frequencies(dim: int, base: float) -> Any:
    """The angle in radians by which each pair of elements turns per position; the angles fall from 1."""
    return float(base) ** (-np.arange(0, dim, 2) / max(dim, 1))


def sinusoidal_positions(
    n: int, dim: int, *, base: float = 10000.0, dtype: npt.DTypeLike = np.float32
) -> npt.NDArray[Any]:
    """A vector for each position 0, ..., n - 1, to add to the value at that position: Float "n dim".

    Column 2i is `sin(position / base^(2i / dim))`, column 2i + 1 the cosine of the same angle.

    Raises ArgumentError for a negative n or dim, or a base below 1, DTypeError for a dtype that is not a float dtype.
    Source: Vaswani et al., "Attention is all you need", 2017, section 3.5.

    >>> sinusoidal_positions(2, 4).round(2)
    array([[0.  , 1.  , 0.  , 1.  ],
           [0.84, 0.54, 0.01, 1.  ]], dtype=float32)
    """
    for name, size in (("n", n), ("dim", dim)):
        check_count("sinusoidal_positions(n, dim)", name, size, least=0)
    check_base("sinusoidal_positions(n, dim)", base)
    if np.dtype(dtype).kind != "f":
        raise DTypeError(
            f"sinusoidal_positions(n, dim): dtype is {np.dtype(dtype)}, but positions are floats between -1 and 1."
        )
    angles = np.arange(n)[:, None] * _frequencies(dim, base)
    pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return np.reshape(pairs, (n, 2 * angles.shape[1]))[:, :dim].astype(dtype)


# Rotary ---------------------------------------------------------------------------------------------------------------


def _pairs(x: Any) -> Any:
    """The elements of the last axis, in pairs of neighbors."""
    return np.reshape(x, (*x.shape[:-1], x.shape[-1] // 2, 2))


def _places(x: Any, positions: Any) -> Any:
    return np.arange(x.shape[-2]) if positions is None else positions


def _back(g: Any, positions: Any, base: float) -> Any:
    """The rotation in the other direction, which is the transpose."""
    # The int8 makes unsigned positions signed, and leaves all other dtypes unchanged.
    return rotary_embedding(g, _places(g, positions) * np.int8(-1), base=base)


def _slope(y: Any, base: float) -> Any:
    """The derivative of rotated vectors by position: each pair, rotated by 90 degrees, times its frequency."""
    pairs = _pairs(y)
    turned = np.stack([-pairs[..., 1], pairs[..., 0]], axis=-1)
    frequencies = _frequencies(y.shape[-1], base).astype(y.dtype)[:, None]
    return np.reshape(turned * frequencies, y.shape)


def _pull_positions(g: Any, y: Any, x: Any, positions: Any, base: float) -> Any:
    each = np.sum(g * _slope(y, base), axis=-1)
    return unbroadcast(each, each.shape, np.shape(positions))


def _batch(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    x, positions = inputs
    if mapped[1]:
        x = x if mapped[0] else np.broadcast_to(x, (size, *x.shape))
        positions = np.reshape(positions, (size, *(1,) * (x.ndim - 1 - positions.ndim), *positions.shape[1:]))
    return op(x, positions, **static)


@primitive(
    rrule=(lambda g, y, x, positions, base: _back(g, positions, base), _pull_positions),
    frule=(
        lambda t, y, x, positions, base: rotary_embedding(t, positions, base=base),
        lambda t, y, x, positions, base: _slope(y, base) * np.broadcast_to(t, y.shape[:-1])[..., None],
    ),
    batch=_batch,
)
def rotary_embedding(
    x: Float[Tensor, "*batch n d"], positions: Real[Tensor, "..."] | None = None, *, base: float = 10000.0
) -> Float[Tensor, "*batch n d"]:
    """Rotate every vector according to its position, so that the product of two depends on their distance.

    Float "*batch n d", where d is even, and Real that broadcasts to "*batch n" (0, ..., n - 1 by default) ->
    Float "*batch n d". Neighbors are pairs: elements 2i and 2i + 1 turn by `position / base^(2i / d)` radians. Lengths
    do not change, and `rotary_embedding(q)[m] @ rotary_embedding(k)[n]` depends on m and n only by m - n. Float
    positions have a derivative.

    Raises ShapeError for an odd d or positions that do not fit, ArgumentError for a base below 1. Source: Su et al.,
    "RoFormer: enhanced transformer with rotary position embedding", 2021, section 3.4.2.

    >>> rotary_embedding(np.array([[1.0, 0.0], [1.0, 0.0]])).round(2)
    array([[1.  , 0.  ],
           [0.54, 0.84]])
    """
    check_base("rotary_embedding(x, positions)", base)
    if x.shape[-1] % 2:
        raise ShapeError(
            f"rotary_embedding(x, positions): the last axis of x has size {x.shape[-1]}, but must be even: elements "
            "are rotated in pairs."
        )
    places = np.asarray(_places(x, positions))
    if not broadcasts_to(places.shape, x.shape[:-1]):
        raise ShapeError(
            f"rotary_embedding(x, positions): positions has shape {places.shape}, which does not broadcast to "
            f"{x.shape[:-1]}, the axes of x without the last."
        )
    angles = places[..., None] * _frequencies(x.shape[-1], base)  # in float64: positions may be large
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    y = np.empty_like(x)
    y[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    y[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
    return y


__all__ = ["check_base", "rotary_embedding", "sinusoidal_positions"]
