"""The findings of a check, each with argument, index, expected and actual value, and the error that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from tapem.core import Array
from tapem.errors import DTypeError, ShapeError, TapeError
from tapem.testing.flattening import Layout

Kind: TypeAlias = Literal["number", "dtype", "shape", "memory", "error"]

KINDS: Mapping[Kind, str] = {
    "number": "wrong numbers",
    "dtype": "wrong dtypes",
    "shape": "wrong shapes",
    "memory": "memory that is shared or changed",
    "error": "errors",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    `check` is the check that found it, `argument` and `index` the place, `expected` and `actual` the numbers. `detail`
    explains the numbers, or the mistake if there are no numbers. `output` names the output if there are several or if
    it is not a scalar. `kind` tells what is wrong: a number (such as a derivative), a dtype, a shape, memory that is
    shared or changed, or an error that was raised. `judge` tells where an expected derivative comes from.

    >>> print(Finding("reverse mode", "x", (1,), 2.0, -2.0, "the sign is wrong"))
    reverse mode: argument x[1]: expected 2, got -2 (the sign is wrong)
    """

    check: str
    argument: str | None = None
    index: tuple[int, ...] = ()
    expected: Any = None
    actual: Any = None
    detail: str = ""
    output: str | None = None
    kind: Kind = "number"
    judge: str = ""

    @staticmethod
    def raised(check: str, error: Exception) -> Finding:
        """Make a finding from an error; the engine's DTypeError and ShapeError are findings of kind dtype and shape."""
        kind: Kind = "dtype" if isinstance(error, DTypeError) else "shape" if isinstance(error, ShapeError) else "error"
        text = str(error) if isinstance(error, TapeError) else f"{type(error).__name__}: {error}"
        return Finding(check, detail=text, kind=kind)

    def __str__(self) -> str:
        parts: list[str] = []
        if self.argument is not None:
            parts.append(f"argument {self.argument}{list(self.index) if self.index else ''}")
        if self.output is not None:
            parts.append(self.output)
        text = f"{self.check}: {', '.join(parts)}" if parts else self.check
        if self.expected is None and self.actual is None:
            return f"{text}: {self.detail}"
        return f"{text}: expected {number(self.expected)}, got {number(self.actual)}" + (
            f" ({self.detail})" if self.detail else ""
        )


class GradientMismatch(TapeError, AssertionError):
    """A derivative, or another thing that a check compares, is wrong; `findings` holds the details.

    The first line names the kinds of the findings, unless all are wrong numbers.

    >>> raise GradientMismatch("cube(x)", [Finding("reverse mode", "x", (), 12.0, 4.0)])
    Traceback (most recent call last):
    tapem.testing.findings.GradientMismatch: cube(x): 1 check failed
      reverse mode: argument x: expected 12, got 4
    """

    def __init__(self, what: str, findings: Sequence[Finding], note: str = "") -> None:
        """Gather the findings about one function."""
        self.what = what
        self.findings = tuple(findings)
        self.note = note
        shown = [f"  {finding}" for finding in self.findings[:20]]
        if len(self.findings) > len(shown):
            shown.append(f"  ... and {len(self.findings) - len(shown)} more")
        names = dict.fromkeys(finding.check for finding in self.findings)
        count = f"{len(names)} check{'s' * (len(names) != 1)} failed"
        kinds = {finding.kind for finding in self.findings}
        if kinds - {"number"}:  # a wrong dtype must not look like a wrong derivative
            count += f" ({', '.join(text for kind, text in KINDS.items() if kind in kinds)})"
        super().__init__("\n".join([f"{what}: {count}", *shown, *([note] if note else [])]))

    def __reduce__(self) -> tuple[Any, ...]:
        return GradientMismatch, (self.what, self.findings, self.note)


def kind_of_difference(one: Any, other: Any) -> Kind:
    """Whether two arrays differ in shape or only in dtype."""
    return "dtype" if one.shape == other.shape else "shape"


FLOATS = (float, np.float64, np.float32, np.float16)


def number(value: Any) -> str:
    """A value as text: a number in at most ten digits, anything else by `str`."""
    return f"{float(value):.10g}" if type(value) in FLOATS else str(value)


def worst_elements(
    check: str,
    actual: Array,
    expected: Array,
    wrong: Array,
    inputs: Layout,
    outputs: Layout,
    *,
    limit: int = 3,
) -> list[Finding]:
    """Report the worst wrong elements of a Jacobian per argument, the worst first; arrays are outputs by inputs."""
    findings: list[Finding] = []
    scalar = outputs.shapes == [()]
    for position, name in enumerate(inputs.names):
        block = inputs.block(position)
        bad = wrong[:, block]
        if not bad.any():
            continue
        found, right = actual[:, block], expected[:, block]
        with np.errstate(all="ignore"):
            error = np.abs(found - right)
        error[~np.isfinite(error)] = np.inf
        error[~bad] = -1.0
        order = np.argsort(-error, axis=None, kind="stable")[: min(limit, int(bad.sum()))]
        hint = diagnosis(found, right, bad)
        for rank, flat in enumerate(order):
            row, column = divmod(int(flat), bad.shape[1])
            index = inputs.locate(inputs.starts[position] + column)[1]
            out_name, out_index = outputs.locate(row)
            detail = f"{int(bad.sum())} of {bad.size} elements are wrong{hint}" if rank == 0 else ""
            findings.append(
                Finding(
                    check,
                    name,
                    index,
                    float(right[row, column]),
                    float(found[row, column]),
                    detail,
                    None if scalar else f"{out_name}{list(out_index) if out_index else ''}",
                )
            )
    return findings


def diagnosis(actual: Array, expected: Array, wrong: Array) -> str:
    """Guess the mistake that turns the right elements into these wrong ones; empty if none is known.

    >>> a = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> diagnosis(-a, a, a > 0), diagnosis(a / 2, a, a > 0), diagnosis(a.T, a, a > 0)
    ('; the sign is wrong', '; off by a factor of 0.5', '; it looks transposed')
    """
    if not np.isfinite(expected).all():
        return "; what is expected is not finite: is the function defined around this point?"
    if not np.isfinite(actual).all():
        return "; some are not finite"
    close = 1e-4 * float(np.max(np.abs(expected), initial=0.0))
    square = actual.shape[0] == actual.shape[1]
    if square and actual.size > 1 and np.allclose(actual.T, expected, rtol=1e-4, atol=close):
        return "; it looks transposed"
    there = wrong & (np.abs(expected) > close)
    if not there.any():
        return ""
    ratios = actual[there] / expected[there]
    factor = float(np.median(ratios))
    if not np.allclose(ratios, factor, rtol=1e-4, atol=1e-6):
        return ""
    if abs(factor + 1) < 1e-4:
        return "; the sign is wrong"
    return "; nothing arrives" if factor == 0 else f"; off by a factor of {factor:.5g}"


__all__ = ["Finding", "GradientMismatch", "kind_of_difference", "worst_elements"]
