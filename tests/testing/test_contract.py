"""The contract of a rule beside its numbers: purity, repeating itself, adding in place, precision; a fault for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jaxtyping import Int

import tapem as tm
from tapem.testing import Finding, rule_report

X = np.array([0.4, -1.3, 2.2])
Vector = tm.Num[tm.Tensor, "n"]
Rule = Callable[..., Any]


def double(rrule: Rule | None = None, frule: Rule | None = None, *, joint: bool = False) -> Any:
    """Twice x plus an integer, with these rules in place of the right ones."""
    right: tuple[Rule, None] = (lambda g, y, x, n: 2.0 * g, None)
    both: Any = rrule if joint else (rrule, None)

    @tm.primitive(rrule=both if rrule else right, frule=(frule, None) if frule else right)
    def op(x: Vector, n: Int[tm.Tensor, ""]) -> Vector:
        return 2.0 * x + n

    return op


def findings(op: Any) -> tuple[Finding, ...]:
    return tuple(
        found
        for found in rule_report(op, [X, np.array(3, np.int8)], order=1, seed=0).findings
        if found.check == "rules"
    )


def test_the_right_rules_pass() -> None:
    def thunk(g: Any, y: Any, x: Any, n: Any) -> Any:
        def add_into(total: Any) -> Any:
            total += 2.0 * g
            return total

        return tm.InplaceableThunk(tm.Thunk(lambda: 2.0 * g), add_into)

    assert not findings(double()) and not findings(double(thunk))
    assert not findings(double(lambda *given: (thunk(*given), None), joint=True))


@pytest.mark.parametrize("mode", ["rrule", "frule"])
@pytest.mark.parametrize("deferred", [False, True])
def test_a_rule_that_is_random_is_found(mode: str, deferred: bool) -> None:
    rng = np.random.default_rng(0)

    def rule(g: Any, y: Any, x: Any, n: Any) -> Any:
        def value() -> Any:
            return 2.0 * g * (1 + 1e-12 * rng.normal())  # too little for any comparison with differences

        return tm.Thunk(value) if deferred else value()

    (found,) = findings(double(**{mode: rule}))
    assert found.detail == f"the {mode}, called twice, does not give the same" and found.argument == "x"


def test_a_rule_with_a_memory_is_found() -> None:
    kept: list[Any] = []

    def rule(g: Any, y: Any, x: Any, n: Any) -> Any:
        kept.append(g)
        return 2.0 * g if len(kept) % 2 else 2.0 * kept[-2] + 0.5

    assert any("called twice" in found.detail for found in findings(double(rule)))


def sets(total: Any, g: Any) -> Any:
    total[...] = 2.0 * g
    return total


def twice(total: Any, g: Any) -> Any:
    total += 4.0 * g
    return total


def elsewhere(total: Any, g: Any) -> Any:
    return total + 2.0 * g


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize(
    ("add", "text"),
    [
        (sets, "something else than adding the value"),
        (twice, "something else than adding the value"),
        (elsewhere, "does not return the array that it was given"),
    ],
)
def test_what_adds_in_place_adds_to_what_is_there(add: Callable[[Any, Any], Any], text: str, joint: bool) -> None:
    def thunk(g: Any, y: Any, x: Any, n: Any) -> Any:
        return tm.InplaceableThunk(tm.Thunk(lambda: 2.0 * g), lambda total: add(total, g))

    rule: Rule = (lambda *given: (thunk(*given), None)) if joint else thunk
    found = findings(double(rule, joint=joint))
    assert found and all(text in one.detail and one.argument == "x" for one in found)


def test_what_is_kept_is_not_written_even_by_a_thunk() -> None:
    def rule(g: Any, y: Any, x: Any, n: Any) -> Any:
        def value() -> Any:
            g[...] = 2.0 * g
            return g

        return tm.Thunk(value)

    assert any("changed it in place" in found.detail for found in findings(double(rule)))


@pytest.mark.parametrize("mode", ["rrule", "frule"])
def test_double_precision_in_a_rule_of_single_precision_is_found(mode: str) -> None:
    """Beside an integer operand the sweep rounds a tangent to the value's dtype, so only the rule itself shows it."""
    (found,) = findings(double(**{mode: lambda g, y, x, n: 2.0 * np.asarray(g, np.float64)}))
    assert found.kind == "dtype" and str(found.actual) == "float64" and str(found.expected) == "float32"


@pytest.mark.parametrize("mode", ["rrule", "frule"])
def test_and_of_a_complex_operand_with_a_real_value(mode: str) -> None:
    def wide(g: Any, z: Any) -> Any:
        return g if g.dtype == np.float64 else np.asarray(g, np.complex128 if g.dtype.kind == "c" else np.float64)

    right: Rule = lambda g, y, z: g * 1.0  # noqa: E731
    rules: dict[str, Any] = {"rrule": (right,), "frule": (right,), mode: (lambda g, y, z: wide(g, z) * 1.0,)}

    @tm.primitive(**rules)
    def real_part(z: Vector) -> Vector:
        return np.real(z) * 1.0

    z = X + 1j * X[::-1]
    (found,) = (found for found in rule_report(real_part, [z], order=1, seed=0).findings if found.check == "rules")
    assert found.kind == "dtype" and "more precise than what it was made from" in found.detail
