"""`mutation_score` says which wrong versions of an op's rules a test notices."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapem.core import Primitive
from tapem.errors import ArgumentError
from tapem.testing.mutation.mutants import Mutant, mutants


@dataclass(frozen=True)
class MutationScore:
    """What a test says of the wrong versions of rules: which it noticed, and which survived.

    `score` is the share that was noticed, 1.0 if there are none. Scores add up: `sum(scores, MutationScore())`.

    >>> MutationScore().score
    1.0
    """

    noticed: tuple[Mutant, ...] = ()
    survivors: tuple[Mutant, ...] = ()

    @property
    def score(self) -> float:
        """The share of the mutants that the test noticed."""
        total = len(self.noticed) + len(self.survivors)
        return len(self.noticed) / total if total else 1.0

    def __add__(self, other: MutationScore) -> MutationScore:
        return MutationScore(self.noticed + other.noticed, self.survivors + other.survivors)

    def __repr__(self) -> str:
        total = len(self.noticed) + len(self.survivors)
        head = f"MutationScore: {len(self.noticed)} of {total} noticed, {self.score:.1%}"
        return "\n".join([head, *(f"  survived: {mutant!r}" for mutant in self.survivors)])


def mutation_score(op: Primitive, test: Callable[[], Any], of: Iterable[Mutant] | None = None) -> MutationScore:
    """The share of an op's `mutants` that a test notices, and those that it does not.

    `test` takes no arguments. It notices a wrong rule if it raises an error, or returns something false that is not
    None, such as a failed `check_gradient`. Warnings do not count. `of` are the mutants to try, by default all.

    Raises ArgumentError if the test fails with the right rules.

    >>> import tapem as tm
    >>> x = np.array([0.5, 2.0])
    >>> mutation_score(tm.square, lambda: tm.testing.check_gradient(lambda x: np.sum(tm.square(x)), x)).score < 1
    True
    >>> mutation_score(tm.square, lambda: tm.testing.check_rule(tm.square, x))
    MutationScore: 9 of 9 noticed, 100.0%
    """
    error = complaint(test)
    if error is not None:
        raise ArgumentError(f"mutation_score: the test fails with the right rules of {op.usage()}: {error}")
    noticed: list[Mutant] = []
    survivors: list[Mutant] = []
    for mutant in mutants(op) if of is None else of:
        (survivors if survives(mutant, test) else noticed).append(mutant)
    return MutationScore(tuple(noticed), tuple(survivors))


def survives(mutant: Mutant, test: Callable[[], Any]) -> bool:
    """Whether a test passes although the op has wrong rules."""
    with mutant.installed():
        return complaint(test) is None


def complaint(test: Callable[[], Any]) -> str | None:
    """What a test says against the rules that the op has now; None if it passes."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            verdict = test()
            return None if verdict is None or verdict else f"it returned {verdict!r}"
        except Exception as error:  # whatever a test raises is its way to fail
            return f"it raised {type(error).__name__}: {error}"


__all__ = ["MutationScore", "mutation_score", "survives"]
