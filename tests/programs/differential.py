"""Random programs against other libraries: JAX and torch where they are installed, and tapem's own compiled programs.

Two that do not agree ask the judge: complex steps and differences, which know neither. If it says what tapem says, the
other one is alone, as where it rounds to another dtype; else the program is a finding.
"""

from __future__ import annotations

import functools
import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from typing import Any

import numpy as np

import tapem as tm

from .generate import REFUSALS
from .judging import Judge
from .language import Program
from .running import DIRECT, source
from .shrink import smallest

Answers = Callable[[Sequence[Program], int], list[Any]]
TOLERANCE = 1e-9


class NotWritten(Exception):
    """A program that an engine refuses with a sentence, on purpose."""


def derivatives(program: Program, order: int, made: Callable[[Any], Any] = lambda f: f) -> Any:
    """The values and gradients at all points, and at the first one the second derivatives along a vector; by tapem."""
    f = DIRECT.run(program)

    def g(x: Any) -> Any:
        return (lambda y: y[0] + 0.3 * y[1])(f(x))

    def first(x: Any) -> Any:
        return f(x), tm.grad(g)(x)

    batch = np.array(program.points)
    v = np.cos(1.0 + np.arange(float(batch.shape[1])))
    run = made(first)
    values, gradients = zip(*map(run, batch), strict=True)
    second = [made(lambda x: tm.hvp(g, (x,), (v,)))(batch[0])] if order > 1 else []
    return tuple(map(np.asarray, (np.stack(values), np.stack(gradients), *second)))


def by_tapem(programs: Sequence[Program], order: int, made: Callable[[Any], Any] = lambda f: f) -> list[Any]:
    """What tapem gives for each program, or the error that it raises."""
    found: list[Any] = []
    for program in programs:
        try:
            found.append(derivatives(program, order, made))
        except tm.DTypeError as error:  # a loop that stays whole keeps the dtypes of its state
            whole = "recorded once for all steps" in str(error)
            found.append(NotWritten(str(error)) if whole else error)
        except Exception as error:  # it is told of
            found.append(error)
    return found


ENGINES = {
    "numpy": functools.partial(by_tapem, made=functools.partial(tm.compile, engine="numpy")),
    "numpy, exact": functools.partial(by_tapem, made=functools.partial(tm.compile, engine="numpy", fast=False)),
    "numba": functools.partial(by_tapem, made=functools.partial(tm.compile, engine="numba")),
}
"""tapem's compiled programs."""

LIBRARIES = tuple(name for name in ("jax", "torch") if find_spec(name) is not None)
"""The other libraries that are installed."""


def others() -> tuple[str, ...]:
    """All that programs can be run against here."""
    return *(name for name in ENGINES if name != "numba" or find_spec("numba") is not None), *LIBRARIES


def answers_of(name: str) -> Answers:
    """What gives the answers of this library or engine."""
    return ENGINES.get(name) or importlib.import_module(f"tests.programs.in_{name}").answers


@dataclass
class Tally:
    """What became of programs: how many were compared, refused by the other (and why), or known to it alone."""

    name: str
    compared: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    alone: list[object] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.compared} programs compared, {len(self.findings)} findings; {self.refused.total()} "
            f"not taken, {len(self.alone)} where it contradicts the judge too"
        ]
        lines += [f"  not taken {count}: {reason}" for reason, count in self.refused.most_common(8)]
        return "\n".join(lines + ([f"  contradicts the judge in {self.alone[:8]}"] if self.alone else []))


def close(found: Any, expected: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether all numbers agree, relative to the largest of their kind."""
    return all(
        np.shape(one) == np.shape(other)
        and np.allclose(one, other, tolerance, tolerance * max(1.0, float(np.max(np.abs(other), initial=0.0))))
        for one, other in zip(found, expected, strict=True)
    )


def judged(program: Program, order: int, scale: float = 1.0) -> Any:
    """What the judge says."""
    judge = Judge(program, scale)
    second = [judge.products[0]] if order > 1 else []
    return judge.values, np.array([1.0, 0.3]) @ judge.jacobians, *second


def supported(program: Program, own: Any, order: int) -> bool:
    """Whether the judge says what tapem says."""
    judge = Judge(program)
    try:
        expected = judged(program, order)
    except REFUSALS:
        return False
    return all(
        close([one], [other], judge.tolerance(max(1, derivative)))
        for derivative, (one, other) in enumerate(zip(own, expected, strict=True))
    )


def verdict(name: str, program: Program, own: Any, other: Any, order: int) -> str:
    """What two answers say: `same`, `refused` (by the other), `alone` (the judge sides with tapem), or `finding`.

    An engine must say what the eager program says, whatever the judge says, and refuse on purpose alone.
    """
    if isinstance(other, NotWritten) or (isinstance(other, Exception) and name not in ENGINES):
        return "refused"
    if isinstance(own, Exception) or isinstance(other, Exception):
        return "finding"
    if close(other, own):
        return "same"
    return "alone" if name not in ENGINES and supported(program, own, order) else "finding"


def finding(program: Program, name: str, order: int) -> str:
    """The smallest program in which tapem and the other still differ, as a program that runs by itself."""
    answers = answers_of(name)

    def both(candidate: Program) -> tuple[Any, Any]:
        return by_tapem([candidate], order)[0], answers([candidate], order)[0]

    def differs(candidate: Program) -> Any:
        Judge(candidate).insist()
        return True if verdict(name, candidate, *both(candidate), order) == "finding" else None

    program = smallest(program, differs)
    own, other = both(program)
    check = "f(X), tm.grad(g)(X)" + (", tm.hvp(g, (X,), (V,))" if order > 1 else "")
    if name in ENGINES:
        engine = name.removesuffix(", exact")
        fast = "" if engine == name else ", fast=False"
        check = f'tm.compile(lambda X: ({check}), engine="{engine}"{fast})(X)'
        own, other = other, own  # the eager program is what is expected of the compiled one
    told = f"the program gave\n{own!r}\nexpected, at all points\n{other!r}".replace("\n", "\n# ")
    return f"# {name} and eager tapem differ; {told}\n{source(program, check)}"


def run(
    name: str, programs: Iterable[Program], order: int = 2, chunk: int = 25, show: int = 5
) -> Iterator[tuple[int, Tally]]:
    """Run programs against a library or an engine; after each chunk, how many are done and the tally so far."""
    tally, done, answers = Tally(name), 0, answers_of(name)
    queue = iter(programs)
    while together := list(islice(queue, chunk)):
        with np.errstate(all="ignore"):
            for program, own, other in zip(together, by_tapem(together, order), answers(together, order), strict=True):
                said = verdict(name, program, own, other, order)
                if said == "refused":
                    tally.refused[f"{type(other).__name__}: {str(other).splitlines()[0][:90]}"] += 1
                    continue
                tally.compared += 1
                if said == "alone":
                    tally.alone.append(program.seed)
                elif said == "finding":
                    few = len(tally.findings) < show
                    tally.findings.append(finding(program, name, order) if few else f"program {program.seed}")
        done += len(together)
        yield done, tally
