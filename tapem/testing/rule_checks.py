"""Every check that one op can have, run on one set of operands: `check_rule`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tapem.errors import TapeError
from tapem.node import NOTHING, Abstract
from tapem.primitive import Primitive
from tapem.testing.batch_checks import batching
from tapem.testing.comparison import NAMES, Tolerance, all_orders, forward_map, like, raised, reverse_map
from tapem.testing.door_checks import same, three_doors
from tapem.testing.findings import Finding, GradientMismatch
from tapem.testing.flattening import Flat, argument_names, first_line, is_list, is_real, packed
from tapem.testing.purity import adjointness, linearity, purity
from tapem.testing.raw_rules import raw_rules
from tapem.transforms import jvp, vjp


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


@dataclass
class Case:
    """One op, with one set of operands and static arguments."""

    op: Callable[..., Any]
    operands: tuple[Any, ...]
    static: Mapping[str, Any]
    order: int
    rng: np.random.Generator
    modes: tuple[str, ...]
    rtol: float | None = None
    atol: float | None = None
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    wrong_derivatives: bool = False

    def __post_init__(self) -> None:
        self.operands = tuple(np.asarray(x) if is_list(x) else x for x in self.operands)
        self.names = operand_names(self.op, len(self.operands))
        self.flat = self.flatten(self.operands)

    def call(self, *operands: Any) -> Any:
        """The op, with its static arguments."""
        return self.op(*operands, **self.static)

    def flatten(self, operands: tuple[Any, ...]) -> Flat:
        """The op as a function of its real operands."""
        return Flat(self.call, operands, self.names)


def check_rule(op: Callable[..., Any], /, *primals: Any, **static: Any) -> RuleReport:
    """Run every check that one op can have, at these operands; AssertionError if one fails.

    `op` is an op, or any function of arrays; `primals` are its operands, away from kinks, in float64 where they are
    real; `static` its other arguments. Checked are

    - the value: deterministic, the same bits through all three doors, its shape and dtype as abstract evaluation says;
    - the Jacobian in both modes against finite differences, whole or by random probes, and likewise the derivatives of
      the derivatives, in every nesting of the modes;
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
    order: int = 2,
    rtol: float | None = None,
    atol: float | None = None,
    seed: int | None = None,
    brief: bool = False,
) -> RuleReport:
    """What `check_rule` finds, as a report: nothing is raised.

    `order` is the highest order of derivatives to check; with 0 (for ops that are no derivative's business, such as
    detach) none is. `rtol` and `atol` are those of `check_grads`; `seed` makes the random directions reproducible.
    `brief` stops at the first kind of check that finds something.

    >>> import tapem as tm
    >>> rule_report(tm.sin, [np.array([0.1, 0.2])], order=1).findings
    ()
    """
    modes, skipped = modes_of(op)
    rng = np.random.default_rng(seed)
    case = Case(op, tuple(primals), dict(static), order, rng, modes, rtol, atol, skipped)
    checked: list[str] = []
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        if order == 0 and name not in WITHOUT_DERIVATIVES:
            continue
        try:
            found = list(check(case))
        except Exception as error:  # whatever an op or a rule may raise is a finding
            found = [Finding(name, detail=raised(error))]
        checked.append(name)
        findings += found
        if found and (brief or name == "values"):  # a value that is not one makes every other check fail too
            break
    what = f"{op_name(op)}({', '.join(case.names)})"
    return RuleReport(what, tuple(checked), case.skipped, tuple(findings))


def insist(report: RuleReport) -> RuleReport:
    """The report, if it is clean; GradientMismatch if it has findings."""
    if report.findings:
        raise GradientMismatch(report.name, report.findings)
    return report


def modes_of(op: Callable[..., Any]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The modes in which an op can be checked, and why the others cannot."""
    if not isinstance(op, Primitive) or not op.differentiable:
        return ("fwd", "rev"), {}
    skipped: dict[str, str] = {}
    if op.frule is None:
        skipped["forward mode"] = "the op has no frule"
    if op.rrule is None:
        skipped["reverse mode"] = "the op has no rrule"
    return tuple(mode for mode, rule in (("fwd", op.frule), ("rev", op.rrule)) if rule is not None), skipped


def op_name(op: Callable[..., Any]) -> str:
    """What an op or a function is called."""
    return str(getattr(op, "name", None) or getattr(op, "__name__", type(op).__name__))


def operand_names(op: Callable[..., Any], count: int) -> list[str]:
    """The names of the operands, variadic ones numbered."""
    if not isinstance(op, Primitive):
        return argument_names(op, count)
    fixed = op.operand_names[:-1] if op.variadic else op.operand_names
    names = list(fixed)[:count]
    last = op.operand_names[-1] if op.operand_names else "x"
    return [*names, *(f"{last}[{position}]" for position in range(count - len(names)))]


def values(case: Case) -> Iterator[Finding]:
    """The op gives the same value twice, and leaves its operands as they are."""
    first = case.call(*case.operands)
    second = case.call(*case.operands)
    yield from same("values", first, second, "a second call gave something else")
    changed = case.flat.mutated()
    if changed is not None:
        yield Finding("values", changed, detail="the op changed its operand in place")


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
    found = list(raw_rules(case.op, case.operands, case.static, case.rng))
    yield from found
    if not found and not names_dtype(case.static):
        yield from raw_rules(case.op, in_dtype(case, np.float32), case.static, case.rng)


def in_dtype(case: Case, dtype: Any) -> tuple[Any, ...]:
    """The operands with their real arrays in another dtype; Python numbers stay as they are."""
    return tuple(
        x if (isinstance(x, float) and not isinstance(x, np.generic)) or not is_real(x) else np.asarray(x).astype(dtype)
        for x in case.operands
    )


def single_precision(case: Case) -> Iterator[Finding]:
    """float32 operands give float32 values, tangents and cotangents, close to those of float64."""
    yield from other_precision(case, np.dtype(np.float32), 1e-2)


def half_precision(case: Case) -> Iterator[Finding]:
    """float16 operands give float16 throughout, or are refused in words."""
    try:
        case.flatten(in_dtype(case, np.float16))
    except TapeError as error:
        case.skipped["float16"] = f"refused: {first_line(error)}"
        return
    with np.errstate(all="ignore"):
        yield from list(other_precision(case, np.dtype(np.float16), 2e-1))


def other_precision(case: Case, dtype: np.dtype[Any], loose: float) -> Iterator[Finding]:
    """Dtypes of value, tangents and cotangents in another precision, and that the numbers agree roughly."""
    check = str(dtype)
    operands = in_dtype(case, dtype)
    leaves = [leaf for leaf in case.flat.leaves if type(leaf) is not float]
    if not leaves or any(np.asarray(leaf).dtype != np.float64 for leaf in leaves) or names_dtype(case.static):
        return
    flat, exact = case.flatten(operands), case.flatten(in_dtype(replace(case, operands=operands), np.float64))
    # Integers promote, as NumPy has it; so do Python's floats where they are put into an array, as np.stack does.
    weak = isinstance(case.op, Primitive) and case.op.elementwise
    strong = [np.asarray(x).dtype for x in operands if x is not None and not (weak and type(x) in (int, float, bool))]
    allowed = {dtype, np.result_type(dtype, *strong), *numpys(case, operands)}
    for name, value, right in zip(flat.outputs.names, flat.values, exact.values, strict=True):
        own = Abstract.of(value).dtype
        if own not in allowed and Abstract.of(right).dtype == np.float64:
            yield Finding(check, name, (), dtype, own, "the dtype of the value")
        yield from roughly(check, f"the value of {name}", value, right, loose)
    if not case.order:
        return
    w = case.rng.normal(size=flat.outputs.size)
    v = case.rng.normal(size=flat.inputs.size)
    if "rev" in case.modes:
        pulled = vjp(flat, *flat.leaves)[1](like(flat.values, w))
        right = vjp(exact, *exact.leaves)[1](like(exact.values, w))
        yield from dtypes(check, "cotangent", flat.inputs.names, pulled, flat.leaves, right, loose)
        if "fwd" in case.modes and case.order > 1:

            def pull(*inner: Any) -> Any:
                return vjp(flat, *inner)[1](like(flat.values, w))

            again = jvp(pull, tuple(flat.leaves), tuple(like(flat.leaves, v)))[1]
            yield from dtypes(check, "second derivative", flat.inputs.names, again, flat.leaves, again, np.inf)
    if "fwd" in case.modes:
        pushed = jvp(flat, tuple(flat.leaves), tuple(like(flat.leaves, v)))[1]
        right = jvp(exact, tuple(exact.leaves), tuple(like(exact.leaves, v)))[1]
        yield from dtypes(check, "tangent", flat.outputs.names, pushed, flat.values, right, loose)


def numpys(case: Case, operands: tuple[Any, ...]) -> Iterator[np.dtype[Any]]:
    """The dtype that NumPy's own function gives, where the op stands for one: np.float_power is always of float64."""
    for function in case.op.numpy if isinstance(case.op, Primitive) else ():
        with suppress(TypeError, ValueError), np.errstate(all="ignore"):
            yield np.asarray(function(*operands, **case.static)).dtype


def dtypes(
    check: str, what: str, names: Sequence[str], found: Any, references: Any, exact: Any, loose: float
) -> Iterator[Finding]:
    """Every array has the dtype of the value that it belongs to, and roughly the right numbers."""
    for name, one, reference, right in zip(names, found, references, exact, strict=True):
        own, expected = Abstract.of(one).dtype, Abstract.of(reference).dtype
        if own != expected:
            yield Finding(check, name, (), expected, own, f"the dtype of its {what}")
        yield from roughly(check, f"the {what} of {name}", one, right, loose)


def roughly(check: str, what: str, found: Any, exact: Any, loose: float) -> Iterator[Finding]:
    """Whether two arrays agree as far as the lower precision allows; overflow counts as agreement."""
    one, other = np.atleast_1d(np.asarray(found, np.float64)), np.atleast_1d(np.asarray(exact, np.float64))
    if not one.size or not np.isfinite(loose) or not np.isfinite(one).all():
        return
    scale = float(np.max(np.abs(other), initial=0.0, where=np.isfinite(other)))
    # A sum that cancels is only as good as its terms, which are of order one.
    wrong = np.abs(one - other) > loose * scale + 64 * float(np.finfo(check).eps)
    if wrong.any():
        index = tuple(map(int, np.argwhere(wrong)[0]))
        yield Finding(check, None, (), float(other[index]), float(one[index]), f"{what} at {list(index)}, from float64")


def names_dtype(static: Mapping[str, Any]) -> bool:
    """Whether a static argument asks for a dtype."""
    for value in static.values():
        if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic | float | int)):
            return True
        if isinstance(value, str) and value in np.sctypeDict:
            return True
    return False


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
    "linearity and adjointness": linear_algebra,
    "side effects": side_effects,
    "float32": single_precision,
    "float16": half_precision,
    "batch rule": batches,
}
WITHOUT_DERIVATIVES = {"values", "three doors", "float32", "float16", "batch rule"}

__all__ = ["RuleReport", "check_rule", "insist", "rule_report"]
