"""Integers and their bits, elementwise: no derivative passes through an integer, so all results are constant."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Integer

from tapem.ops.declare import elementwise
from tapem.types import Tensor

__all__ = [
    "bitwise_and", "bitwise_count", "bitwise_not", "bitwise_or", "bitwise_xor", "gcd", "lcm", "left_shift",
    "right_shift",
]  # fmt: skip

WholeOut = Integer[Tensor, "*shape"]
Bits = Integer[Tensor, "*#shape"] | Bool[Tensor, "*#shape"]
BitsOut = Integer[Tensor, "*shape"] | Bool[Tensor, "*shape"]


@elementwise(numpy=[np.bitwise_and])
def bitwise_and(a: Bits, b: Bits) -> BitsOut:
    """The bits that both have; of bools, whether both are true.

    Integer or Bool "*#shape" each -> Integer or Bool "*shape".

    >>> bitwise_and(np.array([1, 3]), 2)
    array([0, 2])
    """
    return np.bitwise_and(a, b)


@elementwise(numpy=[np.bitwise_or])
def bitwise_or(a: Bits, b: Bits) -> BitsOut:
    """The bits that one or both have; of bools, whether one is true.

    Integer or Bool "*#shape" each -> Integer or Bool "*shape".

    >>> bitwise_or(np.array([1, 3]), 2)
    array([3, 3])
    """
    return np.bitwise_or(a, b)


@elementwise(numpy=[np.bitwise_xor])
def bitwise_xor(a: Bits, b: Bits) -> BitsOut:
    """The bits that exactly one has; of bools, whether they differ.

    Integer or Bool "*#shape" each -> Integer or Bool "*shape".

    >>> bitwise_xor(np.array([1, 3]), 2)
    array([3, 1])
    """
    return np.bitwise_xor(a, b)


@elementwise(numpy=[np.bitwise_not])
def bitwise_not(x: Bits) -> BitsOut:
    """All bits inverted; of bools, the negation: Integer or Bool "*shape" -> Integer or Bool "*shape".

    >>> bitwise_not(np.array([0, 1]))
    array([-1, -2])
    """
    return np.bitwise_not(x)


@elementwise(numpy=[np.left_shift])
def left_shift(a: Bits, b: Bits) -> WholeOut:
    """The bits of `a` moved up by `b` places: Integer or Bool "*#shape" each -> Integer "*shape".

    >>> left_shift(np.array([1, 3]), 2)
    array([ 4, 12])
    """
    return np.left_shift(a, b)


@elementwise(numpy=[np.right_shift])
def right_shift(a: Bits, b: Bits) -> WholeOut:
    """The bits of `a` moved down by `b` places: Integer or Bool "*#shape" each -> Integer "*shape".

    >>> right_shift(np.array([8, 13]), 2)
    array([2, 3])
    """
    return np.right_shift(a, b)


@elementwise(numpy=[np.bitwise_count])
def bitwise_count(x: Bits) -> WholeOut:
    """How many bits of the size of `x` are 1: Integer or Bool "*shape" -> Integer "*shape".

    >>> bitwise_count(np.array([7, 8]))
    array([3, 1], dtype=uint8)
    """
    return np.bitwise_count(x)


@elementwise(numpy=[np.gcd])
def gcd(a: Bits, b: Bits) -> WholeOut:
    """The greatest common divisor: Integer or Bool "*#shape" each -> Integer "*shape".

    >>> gcd(np.array([12, 20]), 18)
    array([6, 2])
    """
    return np.gcd(a, b)


@elementwise(numpy=[np.lcm])
def lcm(a: Bits, b: Bits) -> WholeOut:
    """The least common multiple: Integer or Bool "*#shape" each -> Integer "*shape".

    >>> lcm(np.array([12, 20]), 18)
    array([ 36, 180])
    """
    return np.lcm(a, b)
