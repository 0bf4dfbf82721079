"""`check_rule` runs every check of one op on one set of operands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tapem.core import NOTHING, Primitive
from tapem.errors import ArgumentError
from tapem.testing.batch_checks import batching
from tapem.testing.case import Case, op_name
from tapem.testing.comparison import FULL, Tolerance, all_orders
from tapem.testing.constant_operands import constant_operands
from tapem.testing.door_checks import same, three_doors
from tapem.testing.findings import Finding, GradientMismatch
from tapem.testing.flattening import packed
from tapem.testing.given_derivatives import given_derivatives
from tapem.testing.linear_maps import NAMES, ends, known_modes, like, linear_map
from tapem.testing.precision_checks import half_precision, single_precision
from tapem.testing.purity import adjointness, linear_again, linearity, purity, steadiness
from tapem.testing.raw_rules import raw_rules


@dataclass(frozen=True)
class RuleReport:
    """The report of `check_rule`: the checks that ran, the checks that could not run (with the reason), the findings.

    `judges` tells for each order of derivatives what they were compared with: complex steps, which are exact, where
    the op is analytic, else differences.

    `seed` is that of the random directions: `rule_report` with it finds the same again. `again` says so in a message,
    where the Jacobian was too large to be compared as a whole.

    >>> import tapem as tm
    >>> check_rule(tm.sin, np.array([0.1, 0.2])).checked[:3]
    ('values', 'three doors', 'rules')
    """

    name: str
    checked: tuple[str, ...]
    skipped: Mapping[str, str]
    findings: tuple[Finding, ...] = field(default=())
    seed: int = 0
    again: str = field(default="", repr=False)
    judges: Mapping[str, str] = field(default_factory=dict[str, str])

    def __repr__(self) -> str:
        lines = [f"RuleReport of {self.name}: {len(self.checked)} kinds of checks, {len(self.findings)} findings"]
        lines += [f"  {finding}" for finding in self.findings]
        for judge in dict.fromkeys(self.judges.values()):
            judged = [what for what, one in self.judges.items() if one == judge]
            which = "all derivatives" if len(judged) == len(self.judges) else ", ".join(judged)
            lines.append(f"  judge of {which}: {judge}")
        lines += [f"  not checked: {check} ({reason})" for check, reason in self.skipped.items()]
        return "\n".join(lines)


def check_rule(op: Callable[..., Any], /, *primals: Any, **static: Any) -> RuleReport:
    """Run every check of one op at these operands.

    `op` is an op, or any function of arrays; `primals` are its operands, away from kinks, real ones in float64;
    `static` are its other arguments. The checks are

    - the value: deterministic, the same bits through all three doors, with the shape and dtype of abstract evaluation;
    - the Jacobian in both modes against finite differences, whole or by random probes, and likewise the derivatives of
      the derivatives, in every nesting of the modes;
    - the same with every subset of the operands held constant;
    - linearity of both modes, also where they are differentiated in their tangents, and `<w, J v> = <J^T w, v>`;
    - the rules themselves: no cotangent for operands that cannot be perturbed, nothing changed in place;
    - every cotangent: its shape, its dtype (also in float32; float16 is kept or refused), its own memory;
    - the batch rule against a loop, for every subset of the operands, alone and within derivatives.

    A mode for which the op has no rule is left out. Returns a RuleReport, which lists the checks.

    Raises GradientMismatch, an AssertionError, with every finding: argument, index, expected and actual value.

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
    gradient: Callable[..., Any] | None = None,
    jvp: Callable[[Any, Any], Any] | None = None,
    vjp: Callable[[Any, Any], Any] | None = None,
) -> RuleReport:
    """Run the checks of `check_rule` and return the report; errors of the op or its rules become findings.

    `primals` are the operands, in a list or a tuple. `order` is the highest order of derivatives to check; 0 checks
    none (for ops such as detach). `modes` are the modes to check; `batch=False` leaves the batch rule out. `dtypes` are
    the real dtypes to try besides that of the operands, by default float32 and float16 if the annotations allow them; a
    dtype that the op itself refuses is not a finding. `rtol` and `atol` are those of `check_grads`; `seed` makes the
    random directions reproducible. `brief` stops after the first check with findings. `gradient`, `jvp` and `vjp` are
    derivatives to check in place of tapem's, as for `check_grads`; what needs a trace is then left out.

    Raises ArgumentError if the operands are not in a list or a tuple, and for an unknown mode.

    >>> import tapem as tm
    >>> rule_report(tm.sin, [np.array([0.1, 0.2])], order=1).findings
    ()
    """
    name = op_name(op)
    if not isinstance(primals, list | tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(
            f"rule_report: the operands of {name} must be in a list or a tuple, but {primals!r} is neither. Write "
            f"rule_report({name}, [x]), or check_rule({name}, x), which raises what it finds."
        )
    kinds = None if dtypes is None else [np.dtype(dtype) for dtype in dtypes]
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    rng = np.random.default_rng(seed)
    given = given_derivatives("rule_report", gradient, jvp, vjp, alone=False, static=static)
    chosen = known_modes("rule_report", modes, given)
    if given is not None:
        order = min(order, 1)
    case = Case(op, tuple(primals), dict(static), order, rng, chosen, kinds, rtol, atol, given)
    checked: list[str] = []
    findings: list[Finding] = []
    for kind, check in CHECKS.items():
        if (order == 0 and kind not in WITHOUT_DERIVATIVES) or (kind == "batch rule" and not batch):
            continue
        if given is not None and kind not in WITHOUT_TRACING:
            continue
        try:
            found = list(check(case))
        except Exception as error:  # whatever an op or a rule may raise is a finding
            found = [Finding.raised(kind, error)]
        checked.append(kind)
        findings += found
        if found and (brief or kind == "values"):  # after a wrong value every other check fails too
            break
    what = f"{name}({', '.join(case.names)})"
    probed = max(case.flat.inputs.size, case.flat.outputs.size) > FULL
    again = f"  the same again: rule_report({name}, ..., seed={seed})" if probed else ""
    return RuleReport(what, tuple(checked), case.skipped, tuple(findings), seed, again, case.judges)


def insist(report: RuleReport) -> RuleReport:
    """Return the report, or raise GradientMismatch if it has findings."""
    if report.findings:
        raise GradientMismatch(report.name, report.findings, report.again)
    return report


def values(case: Case) -> Iterator[Finding]:
    """Check that the op gives the same value twice and does not change its operands."""
    if case.given is not None:
        yield from steadiness(case.flat)
        return
    first = case.call(*case.operands)
    second = case.call(*case.operands)
    yield from same("values", first, second, "a second call gave something else")
    changed = case.flat.mutated()
    if changed is not None:
        yield Finding("values", changed, detail="the op changed its operand in place", kind="memory")


def doors(case: Case) -> Iterator[Finding]:
    """Check that the three doors give the same bits."""
    yield from three_doors(case.op, case.operands, case.static, case.skipped)


def derivatives(case: Case) -> Iterator[Finding]:
    """Compare both modes, and their nestings up to the case's order, with finite differences."""
    if isinstance(case.op, Primitive) and not case.op.differentiable and case.given is None:
        yield from vanishing(case)
        return
    tolerance = Tolerance.of(case.flat, case.rtol, case.atol, None)
    findings = all_orders(case.flat, case.order, case.modes, case.rng, tolerance, (FULL, 24), judges=case.judges)
    case.wrong_derivatives = bool(findings)
    yield from findings


def vanishing(case: Case) -> Iterator[Finding]:
    """Check that an op declared as not differentiable (sign, detach) has zero derivatives."""
    for mode in case.modes:
        start, end = ends(case.flat, mode)
        found = packed(linear_map(case.flat, mode)(like(start.values, np.ones(start.layout.size))))
        if found.any():
            name, index = end.layout.locate(int(np.flatnonzero(found)[0]))
            yield Finding(f"{NAMES[mode]} mode", name, index, 0.0, float(found[found != 0][0]), "not differentiable")


def held_constant(case: Case) -> Iterator[Finding]:
    """Check the derivatives with constant operands, unless the derivatives are known to be wrong."""
    if not case.wrong_derivatives:
        yield from constant_operands(case.flat, case.modes, case.order, case.rng)


def linear_algebra(case: Case) -> Iterator[Finding]:
    """Check that both modes are linear, also to derivatives of them, and adjoint unless one is known to be wrong."""
    yield from linearity(case.flat, case.modes, case.rng)
    if case.order > 1 and not case.wrong_derivatives:
        yield from linear_again(case.flat, case.modes, case.rng)
    if len(case.modes) == 2 and not case.wrong_derivatives:
        yield from adjointness(case.flat, case.rng)


def side_effects(case: Case) -> Iterator[Finding]:
    """Check that nothing changes in place and that results do not share memory."""
    yield from purity(case.flat, case.modes, case.rng)


def rules(case: Case) -> Iterator[Finding]:
    """Check the rules directly, without the engine."""
    if not isinstance(case.op, Primitive):
        return
    found = list(raw_rules(case.op, case.operands, case.static, case.modes, case.rng))
    yield from found
    single = None if found else case.in_dtype(np.dtype(np.float32))
    if single is not None:
        yield from raw_rules(case.op, single, case.static, case.modes, case.rng)


def batches(case: Case) -> Iterator[Finding]:
    """Compare the batch rule with a loop over the examples."""
    modes = case.modes if case.order else ()
    yield from batching(case.call, case.operands, case.names, modes, case.rng, case.skipped)


# The checks in order: each relies on those before it.
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
WITHOUT_TRACING = {"values", "derivatives", "linearity and adjointness", "side effects"}
"""The checks of a derivative that was given; a batch rule, doors and dtypes are not its business."""
WITHOUT_DERIVATIVES = {"values", "three doors", "float32", "float16", "batch rule"}

__all__ = ["RuleReport", "check_rule", "insist", "rule_report"]
