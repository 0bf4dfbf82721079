"""Annotated functions of every kind, and the message of a call that does not fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pytest
from jaxtyping import Bool, Float

from tapem.errors import TapeError
from tapem.types import Signature, Tensor

Function: TypeAlias = Callable[..., object]
Vector: TypeAlias = Float[Tensor, "n"]
F32, F64, I64 = np.dtype("float32"), np.dtype("float64"), np.dtype("int64")


@dataclass
class ShapeDtype:
    """All that verification may look at; a value that is never there cannot be read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] = F32


def f32(*shape: int) -> ShapeDtype:
    return ShapeDtype(shape)


def linear(
    weight: Float[Tensor, "out in"], bias: Float[Tensor, "out"], x: Float[Tensor, "*batch in"]
) -> Float[Tensor, "*batch out"]:
    return x @ weight.T + bias


def heads(
    scale: Float[Tensor, "d"], x: Float[Tensor, "n {num_heads}*d"], *, num_heads: int = 2
) -> Float[Tensor, "{num_heads} n d"]:
    return x.reshape(len(x), num_heads, -1).swapaxes(0, 1) * scale


def masked(x: Float[Tensor, "n"], mask: Bool[Tensor, "n"] | None = None) -> Float[Tensor, "n"]:
    return x if mask is None else np.where(mask, x, 0)


def stack(*xs: Float[Tensor, "*s"], axis: int = 0) -> Float[Tensor, "..."]:
    return np.stack(xs, axis)


def halves(x: Float[Tensor, "m"]) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    return x[: len(x) // 2], x[len(x) // 2 :]


def chunks(x: Float[Tensor, "m"]) -> tuple[Float[Tensor, "k"], ...]:
    return tuple(np.split(x, 2))


class Eigen(NamedTuple):
    values: Float[Tensor, "n"]
    vectors: Float[Tensor, "n n"]


def eigen(x: Float[Tensor, "n n"]) -> Eigen:
    return Eigen(*np.linalg.eigh(x))


def message(function: Function, inputs: Sequence[object], result: object | None = None, **options: Any) -> str:
    """The kind of the error and its whole text."""
    signature = Signature.of(function)
    with pytest.raises(TapeError) as caught:
        signature.verify(inputs, result, **options)
    assert not signature.accepted
    assert not getattr(caught.value, "__notes__", [])
    return f"{type(caught.value).__name__}: {caught.value}"
