"""Schedules: the learning rate as a function of the number of updates already made, which is 0 for the first.

A schedule is any function of an int. These are immutable objects, so they print, compare and pickle.
"""

# The names are in lower case, because users call these classes like functions that return schedules.

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tapem.errors import ArgumentError
from tapem.optim.numbers import chosen, cosine_of, lesser

Schedule: TypeAlias = Callable[[int], float]


def require(condition: bool, argument: str, value: object, must: str) -> None:
    """Raise ArgumentError, which says what the argument must be, if the condition is false."""
    if not condition:
        raise ArgumentError(f"{argument} is {value!r}, but must be {must}.")


@dataclass(frozen=True)
class constant:
    """The same rate at every step.

    >>> constant(0.1)(1000)
    0.1
    """

    lr: float

    def __call__(self, step: int) -> float:
        """The rate for the update number `step`."""
        return self.lr


@dataclass(frozen=True)
class exponential:
    """A rate that is smoothly multiplied by `factor` every `every` steps: `lr factor^(step / every)`.

    >>> exponential(1.0, 0.5, every=10)(20)
    0.25
    """

    lr: float
    factor: float
    every: int = 1

    def __post_init__(self) -> None:
        """Check the numbers."""
        require(self.every >= 1, "exponential: every", self.every, "at least 1")

    def __call__(self, step: int) -> float:
        """The rate for the update number `step`."""
        return self.lr * self.factor ** (step / self.every)


@dataclass(frozen=True)
class step:
    """A rate that is multiplied by `factor` at once, every `every` steps: `lr factor^floor(step / every)`.

    >>> drops = step(1.0, every=10)
    >>> drops(9), drops(10)
    (1.0, 0.1)
    """

    lr: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        """Check the numbers."""
        require(self.every >= 1, "step: every", self.every, "at least 1")

    def __call__(self, step: int) -> float:
        """The rate for the update number `step`."""
        return self.lr * self.factor ** (step // self.every)


@dataclass(frozen=True)
class cosine:
    """A rate that falls from `lr` to `final` along half a cosine in `steps` steps, and stays there.

    Source: Loshchilov and Hutter 2017, equation 5, without restarts.

    >>> falling = cosine(1.0, 100)
    >>> falling(0), round(falling(50), 12), falling(100), falling(200)
    (1.0, 0.5, 0.0, 0.0)
    """

    lr: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        require(self.steps >= 1, "cosine: steps", self.steps, "at least 1")

    def __call__(self, step: int) -> float:
        """The rate for the update number `step`."""
        progress = lesser(step / self.steps, 1.0)
        return self.final + (self.lr - self.final) * (1 + cosine_of(math.pi * progress)) / 2


@dataclass(frozen=True)
class warmup_cosine:
    """A rate that rises linearly from 0 to `lr` in `warmup` steps, then falls as `cosine` does until `steps`.

    >>> rate = warmup_cosine(1.0, warmup=10, steps=110)
    >>> rate(0), rate(5), rate(10), round(rate(60), 12), rate(110)
    (0.0, 0.5, 1.0, 0.5, 0.0)
    """

    lr: float
    warmup: int
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        require(self.warmup >= 0, "warmup_cosine: warmup", self.warmup, "at least 0")
        require(self.steps > self.warmup, "warmup_cosine: steps", self.steps, f"more than warmup, {self.warmup}")

    def __call__(self, step: int) -> float:
        """The rate for the update number `step`."""
        falling = cosine(self.lr, self.steps - self.warmup, self.final)(step - self.warmup)
        return chosen(step < self.warmup, self.lr * step / max(self.warmup, 1), falling)


__all__ = ["Schedule", "constant", "cosine", "exponential", "require", "step", "warmup_cosine"]
