"""What an engine is: passes that prepare a program, and a way to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from tapem.compiler.passes import (
    batches,
    common,
    dead,
    everywhere,
    expand,
    fission,
    fold,
    foreign,
    hoist,
    joined,
    roll,
    simplify,
    slices,
)  # fmt: skip
from tapem.core import Primitive
from tapem.transforms import Program


class Runner(Protocol):
    """A program that runs: from the values of the inputs to those of the outputs."""

    @property
    def fallbacks(self) -> Sequence[Primitive]:
        """The ops that are called as their implementations."""
        ...

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The values of the outputs."""
        ...


class Engine(ABC):
    """Turns programs into something that runs."""

    name: ClassVar[str]
    exact: ClassVar[Sequence[Callable[[Program], Program]]] = (hoist, common, joined, dead)
    quick: ClassVar[Sequence[Callable[[Program], Program]]] = (
        hoist, common, joined, dead, expand, fold, batches, simplify, common, roll, slices, fission, dead,
        common,
    )  # fmt: skip

    def improved(self, program: Program, fast: bool) -> Program:
        """The program after the passes; without `fast`, only those that do not change a bit of the values."""
        program = everywhere(foreign, program)
        for improve in self.quick if fast else self.exact:
            program = everywhere(improve, program)
        return program

    @abstractmethod
    def build(self, program: Program, fast: bool) -> Runner:
        """The program as something that runs; without `fast`, to the bit as the ops say."""


__all__ = ["Engine", "Runner"]
