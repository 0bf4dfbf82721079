"""The Kronecker product: a product of two tensors whose axes are interleaved."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.core import Primitive, Rule
from tapem.ops.declare import primitive
from tapem.sweeps import unbroadcast
from tapem.types import Num, Tensor

T = Num[Tensor, "..."]


def _interleaved(shape: tuple[int, ...], rank: int, first: bool) -> tuple[int, ...]:
    """The shape, padded with ones to this rank, with an axis of size 1 after (or before) every axis."""
    padded = (*(1,) * (rank - len(shape)), *shape)
    return tuple(size for n in padded for size in ((n, 1) if first else (1, n)))


def _kron_factor(x: Any, rank: int, first: bool, batch: int = 0) -> Any:
    shape = np.shape(x)
    return np.reshape(x, (*shape[:batch], *_interleaved(shape[batch:], rank, first)))


def _pull_kron(position: int) -> Rule:
    def pull(g: Any, y: Any, *operands: Any) -> Any:
        rank = np.ndim(y)
        factors = [_kron_factor(x, rank, first) for x, first in zip(operands, (True, False), strict=True)]
        shape = np.broadcast_shapes(*map(np.shape, factors))
        products = np.reshape(g, shape) * factors[1 - position]
        return np.reshape(unbroadcast(products, shape, np.shape(factors[position])), np.shape(operands[position]))

    return pull


def _batch_kron(op: Primitive, size: int, inputs: Any, mapped: Any, static: Any) -> Any:
    rank = max(np.ndim(x) - own for x, own in zip(inputs, mapped, strict=True))
    a, b = (_kron_factor(x, rank, first, own) for x, own, first in zip(inputs, mapped, (True, False), strict=True))
    products = a * b
    sizes = np.shape(products)[1:]
    return np.reshape(products, (size, *(n * m for n, m in zip(sizes[::2], sizes[1::2], strict=True))))


@primitive(
    rrule=(_pull_kron(0), _pull_kron(1)),
    frule=(lambda t, y, a, b: kron(t, b), lambda t, y, a, b: kron(a, t)),
    batch=_batch_kron,
    numpy=[np.kron],
)
def kron(a: T, b: T) -> T:
    """The Kronecker product: every element of `a` times the whole of `b`, as blocks.

    Num "n m", Num "p q" -> Num "n*p m*q", and likewise for any number of axes; the operand with fewer axes gets axes of
    size 1 in front.

    >>> kron(np.eye(2), np.array([[1.0, 2.0]]))
    array([[1., 2., 0., 0.],
           [0., 0., 1., 2.]])
    """
    return np.kron(a, b)


__all__ = ["kron"]
