"""One property test with its figures, as pytest and the command line run it: examples, worst error, seconds, seed."""

from __future__ import annotations

import inspect
import time
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapem.core import NOTHING, Primitive
from tapem.errors import ArgumentError, MissingExtraError, TapeError
from tapem.testing.case import op_name
from tapem.testing.checks import check_gradient
from tapem.testing.comparison import FULL
from tapem.testing.findings import GradientMismatch
from tapem.testing.flattening import REFUSALS, Flat
from tapem.testing.properties import check_op, fresh_seed
from tapem.testing.replay import call_text
from tapem.types import Operand, Signature


@dataclass(frozen=True)
class Profile:
    """How thorough a run is: options of `check_op`, and whether the seed follows from the function's name.

    >>> Profile({"max_examples": 5}).derandomize
    False
    """

    options: Mapping[str, Any]
    derandomize: bool = False


PROFILES: Mapping[str, Profile] = {
    "default": Profile(NOTHING),
    "ci": Profile({"max_examples": 200}, derandomize=True),
    "quick": Profile({"max_examples": 10, "order": 1, "batch": False}),
}
"""By default Hypothesis' own profile says how many examples; `ci` repeats itself; `quick` is a first look."""


@dataclass(frozen=True)
class CheckRun:
    """A property test that has run: its figures, and the error with which it ended, if it failed.

    `worst_error` is the largest difference between a Jacobian and finite differences over all examples, as
    `jacobian_error` measures it; None where no Jacobian was compared. `replay` is the call that runs the same again.

    >>> print(CheckRun("sin", 20, 3e-9, 0.25, 1, "check_op(sin, max_examples=20, seed=1)"))
    ok     sin: 20 examples, worst error 3.0e-09, 0.2 s, seed 1
    """

    name: str
    examples: int
    worst_error: float | None
    seconds: float
    seed: int
    replay: str
    error: Exception | None = None

    def __bool__(self) -> bool:
        return self.error is None

    @property
    def brief(self) -> bool:
        """Whether the error says all by itself, so that no traceback helps: a finding or a refusal."""
        return isinstance(self.error, GradientMismatch | ArgumentError | MissingExtraError)

    @property
    def finding(self) -> str:
        """What was found, without a traceback, and the call that finds it again; empty if nothing was."""
        if self.error is None:
            return ""
        if self.brief:
            return str(self.error)
        return f"{self.name} raised {type(self.error).__name__}: {self.error}\n  the same again: {self.replay}"

    def traceback_from(self, fn: Callable[..., Any]) -> types.TracebackType | None:
        """The part of the error's traceback that begins in a function; all of it if the function is not in it."""
        code = getattr(inspect.unwrap(fn), "__code__", None)
        whole = found = None if self.error is None else self.error.__traceback__
        while found is not None and found.tb_frame.f_code is not code:
            found = found.tb_next
        return found or whole

    @property
    def figures(self) -> dict[str, Any]:
        """The figures as plain values, for reports."""
        names = ("name", "examples", "worst_error", "seconds", "seed", "replay")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        """One line: the verdict and the figures."""
        verdict = "ok    " if self else "FAILED"
        worst = "-" if self.worst_error is None else f"{self.worst_error:.1e}"
        return f"{verdict} {self.name}: {self.examples} examples, worst error {worst}, " + (
            f"{self.seconds:.1f} s, seed {self.seed}"
        )


FOREIGN = {"gradient", "jvp", "vjp"}
"""Options of `check_op` that bring another derivative than tapem's."""


def run_check(
    fn: Callable[..., Any], /, *, profile: str = "default", examples: int | None = None, **options: Any
) -> CheckRun:
    """Run `check_op` with these options on top of a profile's, and return its figures instead of raising what it finds.

    `examples` says how many examples to draw, whatever the profile and `max_examples` say.

    Raises ArgumentError for an unknown profile.

    >>> import tapem as tm
    >>> run = run_check(tm.sin, profile="quick", examples=3, seed=0)
    >>> bool(run), run.examples, run.worst_error < 1e-6, run.replay
    (True, 3, True, 'check_op(sin, max_examples=3, order=1, batch=False, seed=0)')
    """
    if profile not in PROFILES:
        raise ArgumentError(f"profile={profile!r} must be one of {', '.join(PROFILES)}.")
    name = op_name(fn)
    given = {**PROFILES[profile].options, **options}
    if examples is not None:
        given["max_examples"] = examples
    if given.get("seed") is None:
        given["seed"] = fresh_seed(name, PROFILES[profile].derandomize)
    errors: list[float] = []
    count = 0

    def watch(values: tuple[Any, ...], static: Mapping[str, Any]) -> None:
        nonlocal count
        count += 1
        if not FOREIGN.isdisjoint(given):
            return  # the function is not to be traced
        error = jacobian_error(lambda *operands: fn(*operands, **static), values)
        errors.extend([] if error is None else [error])

    start = time.perf_counter()
    caught: Exception | None = None
    try:
        check_op(fn, watch=watch, **given)
    except Exception as error:  # what the function itself raises is reported too
        caught = error
    seconds = time.perf_counter() - start
    replay = call_text(check_op, name, given)
    return CheckRun(name, count, max(errors, default=None), seconds, int(given["seed"]), replay, caught)


def jacobian_error(f: Callable[..., Any], values: tuple[Any, ...]) -> float | None:
    """How far the Jacobian in reverse mode is from finite differences: the largest absolute or relative error.

    The smaller of the two counts, as everywhere in the checks. None if there is nothing to compare, if it is too large
    to be compared as a whole, or if the mode has no rule.

    >>> error = jacobian_error(np.sin, (np.array([0.5, 1.0]),))
    >>> error is not None and error < 1e-6
    True
    """
    flat = Flat(f, values)
    if not (0 < flat.inputs.size <= FULL and 0 < flat.outputs.size <= FULL):
        return None

    def of_leaves(leaves: list[Any]) -> list[Any]:
        return flat(*leaves)

    try:
        with np.errstate(all="ignore"):
            found = check_gradient(of_leaves, flat.leaves)
    except REFUSALS:
        return None
    return min(found.max_abs_error, found.max_rel_error)


def tensor_operands(fn: Callable[..., Any]) -> tuple[Operand, ...]:
    """The operands of an op, or the parameters of a function that are annotated as tensors; empty if there are none.

    >>> from jaxtyping import Float
    >>> def scaled(x: Float[np.ndarray, "n"], factor: float): return x * factor
    >>> [operand.name for operand in tensor_operands(scaled)]
    ['x']
    """
    try:
        signature = fn.signature if isinstance(fn, Primitive) else Signature.of(fn)
    except TapeError:
        return ()
    return signature.operands if isinstance(fn, Primitive) else tuple(o for o in signature.operands if o.leaves)


__all__ = ["PROFILES", "CheckRun", "Profile", "run_check", "tensor_operands"]
