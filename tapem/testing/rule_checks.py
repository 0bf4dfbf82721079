"""Every check that one op can have, run on one set of operands: `check_rule`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tapem.core import NOTHING, Primitive
from tapem.errors import ArgumentError
from tapem.testing.batch_checks import batching
from tapem.testing.case import Case, op_name
from tapem.testing.comparison import NAMES, Tolerance, all_orders, forward_map, known_modes, like, reverse_map
from tapem.testing.constant_operands import constant_operands
from tapem.testing.door_checks import same, three_doors
from tapem.testing.findings import Finding, GradientMismatch
from tapem.testing.flattening import packed
from tapem.testing.precision_checks import half_precision, single_precision
from tapem.testing.purity import adjointness, linearity, purity
from tapem.testing.raw_rules import raw_rules


@dataclass(frozen=True)
class RuleReport:
    """What `check_rule` looked at: the checks that ran, those that could not (with the reason), and what they found.

    >>> import tapem as tm
    >>> check_rule(tm.sin, np.array([0.1, 0.2])).checked[:3]
    ('values', 'three doors', 'rules')
    """

    name: str
    checked: tuple[str, ...]
    skipped: Mapping[str, str]
    findings: tuple[Finding, ...] = field(default=())

    def __repr__(self) -> str:
        lines = [f"RuleReport of {self.name}: {len(self.checked)} kinds of checks, {len(self.findings)} findings"]
        lines += [f"  {finding}" for finding in self.findings]
        lines += [f"  not checked: {check} ({reason})" for check, reason in self.skipped.items()]
        return "\n".join(lines)


def check_rule(op: Callable[..., Any], /, *primals: Any, **static: Any) -> RuleReport:
    """Run every check that one op can have, at these operands; AssertionError if one fails.

    `op` is an op, or any function of arrays; `primals` are its operands, away from kinks, in float64 where they are
    real; `static` its other arguments. Checked are

    - the value: deterministic, the same bits through all three doors, its shape and dtype as abstract evaluation says;
    - the Jacobian in both modes against finite differences, whole or by random probes, and likewise the derivatives of
      the derivatives, in every nesting of the modes;
    - the same with every subset of the operands held constant;
    - linearity of both modes, and `<w, J v> = <J^T w, v>`;
    - the rules themselves: nothing for operands that cannot be perturbed, nothing changed in place;
    - every cotangent: its shape, its dtype (also in float32; float16 is kept or refused), memory of its own;
    - the batch rule against a loop, for every subset of the operands, alone and within derivatives.

    A mode for which the op has no rule is left out. Returns a RuleReport that tells what was checked.

    Raises GradientMismatch with every finding: argument, index, expected and actual value.

    >>> import tapem as tm
    >>> from jaxtyping import Float
    >>> Vector = Float[tm.Tensor, "n"]
    >>> @tm.primitive(rrule=(lambda g, y, x: 3 * x * x * g,), frule=(lambda t, y, x: 3 * x * t,))
    ... def cube(x: Vector) -> Vector:
    ...     return x**3
    >>> check_rule(cube, np.array([1.0, 2.0]))
    Traceback (most recent call last):
    tapem.testing.findings.GradientMismatch: cube(x): 1 check failed
      forward mode: argument x[1], output[1]: expected 12, got 6 (1 of 4 elements are wrong; off by a factor of 0.5)
    """
    return insist(rule_report(op, primals, static))


def rule_report(
    op: Callable[..., Any],
    primals: Sequence[Any],
    static: Mapping[str, Any] = NOTHING,
    *,
    dtypes: Sequence[Any] | None = None,
    modes: Sequence[str] = ("fwd", "rev"),
    order: int = 2,
    batch: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int | None = None,
    brief: bool = False,
) -> RuleReport:
    """What `check_rule` finds, as a report: nothing that the op or its rules do is raised.

    `primals` are the operands, in a list or a tuple. `order` is the highest order of derivatives to check; with 0 (for
    ops that are no derivative's business, such as detach) none is. `modes` are those to check; `batch=False` leaves
    the batch rule out. `dtypes` are the dtypes of reals in which the op is tried besides that of its operands, by
    default float32 and float16 where its annotations allow them; what the op itself refuses is no finding. `rtol` and
    `atol` are those of `check_grads`; `seed` makes the random directions reproducible. `brief` stops at the first kind
    of check that finds something.

    Raises ArgumentError for operands outside of a list, and for a mode that there is not.

    >>> import tapem as tm
    >>> rule_report(tm.sin, [np.array([0.1, 0.2])], order=1).findings
    ()
    """
    name = op_name(op)
    if not isinstance(primals, list | tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(
            f"rule_report: the operands of {name} must stand in a list or a tuple, and {primals!r} is none. Write "
            f"rule_report({name}, [x]), or check_rule({name}, x), which raises what it finds."
        )
    kinds = None if dtypes is None else [np.dtype(dtype) for dtype in dtypes]
    rng = np.random.default_rng(seed)
    case = Case(op, tuple(primals), dict(static), order, rng, known_modes("rule_report", modes), kinds, rtol, atol)
    checked: list[str] = []
    findings: list[Finding] = []
    for kind, check in CHECKS.items():
        if (order == 0 and kind not in WITHOUT_DERIVATIVES) or (kind == "batch rule" and not batch):
            continue
        try:
            found = list(check(case))
        except Exception as error:  # whatever an op or a rule may raise is a finding
            found = [Finding.raised(kind, error)]
        checked.append(kind)
        findings += found
        if found and (brief or kind == "values"):  # a value that is not one makes every other check fail too
            break
    what = f"{name}({', '.join(case.names)})"
    return RuleReport(what, tuple(checked), case.skipped, tuple(findings))


def insist(report: RuleReport) -> RuleReport:
    """The report, if it is clean; GradientMismatch if it has findings."""
    if report.findings:
        raise GradientMismatch(report.name, report.findings)
    return report


def values(case: Case) -> Iterator[Finding]:
    """The op gives the same value twice, and leaves its operands as they are."""
    first = case.call(*case.operands)
    second = case.call(*case.operands)
    yield from same("values", first, second, "a second call gave something else")
    changed = case.flat.mutated()
    if changed is not None:
        yield Finding("values", changed, detail="the op changed its operand in place", kind="memory")


def doors(case: Case) -> Iterator[Finding]:
    """The three doors give the same bits."""
    yield from three_doors(case.op, case.operands, case.static, case.skipped)


def derivatives(case: Case) -> Iterator[Finding]:
    """Both modes, and their nestings up to the case's order, against finite differences."""
    if isinstance(case.op, Primitive) and not case.op.differentiable:
        yield from vanishing(case)
        return
    tolerance = Tolerance.of(case.flat, case.rtol, case.atol, None)
    findings = all_orders(case.flat, case.order, case.modes, case.rng, tolerance, full=(100, 24))
    case.wrong_derivatives = bool(findings)
    yield from findings


def vanishing(case: Case) -> Iterator[Finding]:
    """An op that says it is not differentiable (sign, detach) hands on nothing, whatever its values do."""
    for mode in case.modes:
        linear = {"fwd": forward_map, "rev": reverse_map}[mode](case.flat)
        given, layout = (case.flat.leaves, case.flat.outputs) if mode == "fwd" else (case.flat.values, case.flat.inputs)
        found = packed(linear(like(given, np.ones(sum(map(np.size, given))))))
        if found.any():
            name, index = layout.locate(int(np.flatnonzero(found)[0]))
            yield Finding(f"{NAMES[mode]} mode", name, index, 0.0, float(found[found != 0][0]), "not differentiable")


def held_constant(case: Case) -> Iterator[Finding]:
    """The same derivatives where some operands are constants, unless the derivatives are known to be wrong."""
    if not case.wrong_derivatives:
        yield from constant_operands(case.flat, case.modes, case.order, case.rng)


def linear_algebra(case: Case) -> Iterator[Finding]:
    """Linearity of both modes, and that one is the adjoint of the other, unless one is known to be wrong."""
    yield from linearity(case.flat, case.modes, case.rng)
    if len(case.modes) == 2 and not case.wrong_derivatives:
        yield from adjointness(case.flat, case.rng)


def side_effects(case: Case) -> Iterator[Finding]:
    """Nothing is changed in place, nothing shares memory; seen from outside, then rule by rule."""
    yield from purity(case.flat, case.modes, case.rng)


def rules(case: Case) -> Iterator[Finding]:
    """The rules as they are, without the engine around them."""
    if not isinstance(case.op, Primitive):
        return
    found = list(raw_rules(case.op, case.operands, case.static, case.modes, case.rng))
    yield from found
    single = None if found else case.in_dtype(np.dtype(np.float32))
    if single is not None:
        yield from raw_rules(case.op, single, case.static, case.modes, case.rng)


def batches(case: Case) -> Iterator[Finding]:
    """The batch rule against a loop over the examples."""
    modes = case.modes if case.order else ()
    yield from batching(case.call, case.operands, case.names, modes, case.rng, case.skipped)


# In order: each relies on those before it.
CHECKS: Mapping[str, Callable[[Case], Iterator[Finding]]] = {
    "values": values,
    "three doors": doors,
    "rules": rules,
    "derivatives": derivatives,
    "operands held constant": held_constant,
    "linearity and adjointness": linear_algebra,
    "side effects": side_effects,
    "float32": single_precision,
    "float16": half_precision,
    "batch rule": batches,
}
WITHOUT_DERIVATIVES = {"values", "three doors", "float32", "float16", "batch rule"}

__all__ = ["RuleReport", "check_rule", "insist", "rule_report"]
