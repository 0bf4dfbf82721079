"""Operands of the algebra: one of every kind of tangent, and primals."""

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tapem.tangents import (
    Composite,
    DoesNotExist,
    One,
    Thunk,
    Zero,
    not_implemented,
)

# Whatever the algebra takes or gives: the point of these tests is to find out what.
Operand: TypeAlias = Any
Binary: TypeAlias = Callable[[Operand, Operand], Operand]


class Point(NamedTuple):
    """A NamedTuple primal."""

    x: Operand
    y: Operand


@dataclasses.dataclass(frozen=True)
class Affine:
    """A dataclass primal, with a field that cannot be perturbed and one that is computed."""

    weight: Operand
    bias: Operand = 0.0
    units: int = 1
    size: int = dataclasses.field(init=False, default=7)


class Counting:
    """A function of no arguments that counts its calls."""

    def __init__(self, value: Operand) -> None:
        self.value, self.calls = value, 0

    def __call__(self) -> Operand:
        self.calls += 1
        return self.value


Z, D, I = Zero(), DoesNotExist(), One()  # noqa: E741
T = Thunk(lambda: 3.0)
C = Composite(tuple, 1.0, 2.0)
A = np.array([1.0, 2.0])
N = not_implemented("nobody wrote it")
OPERANDS: tuple[Operand, ...] = (Z, D, I, T, C, 2.0, A, N)
NAMES = ("Zero", "DoesNotExist", "One", "Thunk", "Composite", "scalar", "array", "not_implemented")


def ordered(**items: float) -> OrderedDict[str, float]:
    return OrderedDict(items)


def c(*elements: float) -> Composite:
    return Composite(tuple, *elements)


def v(*elements: float) -> np.ndarray[Any, Any]:
    return np.array(elements, float)


# Misuse that a type checker would catch too goes through names it knows nothing of.
three: Operand = 3
instance: Operand = Affine(1.0)
pair: Operand = (1.0, 2.0)
array: Operand = A
