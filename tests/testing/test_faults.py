"""Faults planted on purpose: each must be reported with argument, index, expected and actual value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float, Int, Shaped

import tapem as tm
from tapem.tangents import DoesNotExist
from tapem.testing import Finding, GradientMismatch, check_gradient, check_grads, check_rule, rule_report

Vector = Float[tm.Tensor, "n"]
Matrix = Float[tm.Tensor, "n m"]
Numbers = Shaped[tm.Tensor, "*shape"]
X = np.array([0.4, -1.3, 2.2])


def found(check: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Finding, ...]:
    with pytest.raises(GradientMismatch) as caught:
        check(*arguments, **options)
    assert isinstance(caught.value, AssertionError)
    return caught.value.findings


def first(findings: tuple[Finding, ...], check: str) -> Finding:
    return next(finding for finding in findings if finding.check.startswith(check))


def cube_with(rrule: Callable[..., Any], frule: Callable[..., Any] | None = None) -> Any:
    right = lambda g, y, x: 3 * x**2 * g  # noqa: E731

    @tm.primitive(rrule=(rrule,), frule=(frule or right,))
    def cube(x: Vector) -> Vector:
        return x**3

    return cube


def test_the_right_rules_pass() -> None:
    cube = cube_with(lambda g, y, x: 3 * x**2 * g)
    check_rule(cube, X)
    check_grads(cube, (X,), order=3)
    assert check_gradient(lambda x: np.sum(cube(x)), X)


def test_a_wrong_sign() -> None:
    cube = cube_with(lambda g, y, x: -3 * x**2 * g)
    for findings in (found(check_rule, cube, X), found(check_grads, cube, X)):
        worst = first(findings, "reverse mode")
        assert (worst.argument, worst.index, worst.output) == ("x", (2,), "output[2]")
        assert worst.expected == pytest.approx(14.52) and worst.actual == pytest.approx(-14.52)
        assert "3 of 9 elements are wrong; the sign is wrong" in worst.detail
    result = check_gradient(lambda x: np.sum(cube(x)), X)
    assert not result and result.num_failed == 3
    assert result.failed_indices[0][0] == (2,)
    np.testing.assert_allclose(result.failed_indices[0][1:], (-14.52, 14.52, 29.04), rtol=1e-6)


def test_a_missing_factor() -> None:
    cube = cube_with(lambda g, y, x: x**2 * g)
    worst = first(found(check_rule, cube, X), "reverse mode")
    assert (worst.argument, worst.index) == ("x", (2,))
    assert worst.actual == pytest.approx(worst.expected / 3)
    assert "off by a factor of 0.33333" in worst.detail


def matvec_with(rrule: Callable[..., Any]) -> Any:
    @tm.primitive(rrule=(rrule,), frule=(lambda t, y, x, matrix: np.array(matrix, t.dtype) @ t,))
    def matvec(x: Vector, *, matrix: tuple[tuple[float, ...], ...]) -> Vector:
        return np.array(matrix, x.dtype) @ x

    return matvec


MATRIX = ((1.0, 2.0, 0.0), (0.0, 1.0, 5.0), (3.0, 0.0, 1.0))


def test_a_transposed_jacobian() -> None:
    check_rule(matvec_with(lambda g, y, x, matrix: np.array(matrix, g.dtype).T @ g), X, matrix=MATRIX)
    transposed = matvec_with(lambda g, y, x, matrix: np.array(matrix, g.dtype) @ g)
    worst = first(found(check_rule, transposed, X, matrix=MATRIX), "reverse mode")
    assert worst.argument == "x" and worst.output is not None
    assert sorted([worst.expected, worst.actual]) == pytest.approx([0.0, 5.0])
    assert "it looks transposed" in worst.detail


@pytest.mark.parametrize("size", [5, 400])
def test_an_error_in_one_element_only(size: int) -> None:
    def rule(g: Any, y: Any, x: Any) -> Any:
        return 2 * x * g * np.where(np.arange(size) == 3, 1.01, 1.0)

    @tm.primitive(rrule=(rule,), frule=(lambda t, y, x: 2 * x * t,))
    def my_square(x: Vector) -> Vector:
        return x**2

    x = np.linspace(1, 2, size)
    for findings in (found(check_rule, my_square, x), found(check_grads, my_square, (x,), order=1)):
        worst = first(findings, "reverse mode")
        assert (worst.argument, worst.index) == ("x", (3,))
        assert worst.actual == pytest.approx(1.01 * worst.expected)
    result = check_gradient(lambda x: np.sum(my_square(x)), x, check_indices=[2, 3, 4])
    assert [index for index, *_ in result.failed_indices] == [(3,)]


@pytest.mark.parametrize("size", [6, 300])
def test_an_error_orthogonal_to_fixed_probe_directions(size: int) -> None:
    """The error of the Jacobian vanishes along constant and alternating directions, and outside of its corner."""
    error = np.zeros((size, size))
    error[:4, :4] = np.outer([1, 1, -1, -1], [1, 1, -1, -1])
    ones, signs = np.ones(size), (-1.0) ** np.arange(size)
    for probe in (ones, signs, np.eye(size)[-1]):
        assert not (error @ probe).any() and not (probe @ error).any()

    @tm.primitive(rrule=(lambda g, y, x: np.cos(x) * g + error.T @ g,), frule=(lambda t, y, x: np.cos(x) * t,))
    def my_sin(x: Vector) -> Vector:
        return np.sin(x)

    findings = found(check_grads, my_sin, (np.linspace(0, 1, size),), order=1)
    assert {finding.check for finding in findings} == {"reverse mode"}
    assert findings[0].argument == "x" and findings[0].index[0] < 4
    assert abs(findings[0].expected - findings[0].actual) > 1e-3


def test_the_probes_are_fresh_at_every_call_and_can_be_had_again() -> None:
    cube = cube_with(lambda g, y, x: -3 * x**2 * g)
    x = np.linspace(1, 2, 200)
    notes = []
    for seed in (None, None, 7, 7):
        with pytest.raises(GradientMismatch, match=r"the same again: check_grads\(cube, \.\.\., seed=") as caught:
            check_grads(cube, (x,), seed=seed)
        notes.append(str(caught.value))
    assert notes[0] != notes[1] and notes[2] == notes[3]


def test_right_in_reverse_and_wrong_in_forward_mode() -> None:
    cube = cube_with(lambda g, y, x: 3 * x**2 * g, lambda t, y, x: 2 * x**2 * t)
    for findings in (found(check_rule, cube, X), found(check_grads, cube, X)):
        worst = first(findings, "forward mode")
        assert (worst.argument, worst.index) == ("x", (2,))
        assert worst.actual == pytest.approx(worst.expected * 2 / 3)
        assert not [finding for finding in findings if finding.check == "reverse mode"]
    known = cube_with(lambda g, y, x: 3 * x**2 * g, lambda t, y, x: 3 * x**2 * t * (1 + 2e-6))
    contradiction = first(found(check_rule, known, X), "<w, Jv> = <J^T w, v>")  # too small for finite differences
    assert 0 < abs(contradiction.actual - contradiction.expected) < 1e-3
    check_grads(cube, (X,), order=1, modes=("rev",))


def test_right_at_first_and_wrong_at_second_order() -> None:
    cube = cube_with(lambda g, y, x: 3 * tm.detach(x) ** 2 * g)
    check_grads(cube, (X,), order=1)
    for findings in (found(check_rule, cube, X), found(check_grads, cube, X)):
        worst = first(findings, "forward over reverse")
        assert worst.argument == "x" and worst.actual == 0 and abs(worst.expected) > 0.01
        assert first(findings, "reverse over reverse").argument == "x"


def test_a_wrong_dtype() -> None:
    cube = cube_with(lambda g, y, x: np.float64(3) * x.astype(np.float64) ** 2 * g)
    worst = first(found(check_rule, cube, X), "rules")
    assert (worst.argument, worst.expected, worst.actual) == ("x", np.float32, np.float64)
    assert "dtype of its cotangent" in worst.detail


def test_a_wrong_shape() -> None:
    @tm.primitive(
        rrule=(lambda g, y, x, w: np.outer(g, g), lambda g, y, x, w: g * x),
        frule=(lambda t, y, x, w: t * w, lambda t, y, x, w: x * t),
    )
    def times(x: Vector, w: Vector) -> Vector:
        return x * w

    findings = found(check_rule, times, X, X)
    worst = first(findings, "rules")
    assert (worst.argument, worst.expected, worst.actual) == ("x", (3,), (3, 3))
    assert "cotangent of shape (3, 3) for argument 'x' of shape (3,)" in first(findings, "reverse mode").detail


def test_a_cotangent_of_integers_and_one_too_few() -> None:
    cube = cube_with(lambda g, y, x: np.ones(3, np.int64))
    assert first(found(check_rule, cube, X), "rules").actual == np.int64

    @tm.primitive(rrule=lambda g, y, a, b: (g,), frule=(lambda t, y, a, b: t, lambda t, y, a, b: t))
    def plus(a: Vector, b: Vector) -> Vector:
        return a + b

    assert "must return a tuple of 2 cotangents" in str(found(check_rule, plus, X, X))


def test_an_aliased_cotangent_that_is_mutated() -> None:
    def rule(g: Any, y: Any, x: Any) -> Any:
        g *= np.cos(x)
        return g

    @tm.primitive(rrule=(rule,), frule=(lambda t, y, x: np.cos(x) * t,))
    def my_sin(x: Vector) -> Vector:
        return np.sin(x)

    worst = first(found(check_rule, my_sin, X), "rules")
    assert (worst.argument, worst.output, len(worst.index)) == ("x", "the cotangent", 1)
    assert worst.actual == pytest.approx(worst.expected * np.cos(X[worst.index]))
    assert "changed it in place" in worst.detail


@pytest.mark.parametrize("role", ["value", "x"])
def test_a_rule_that_changes_what_the_tape_holds(role: str) -> None:
    def rule(g: Any, y: Any, x: Any) -> Any:
        held = {"value": y, "x": x}[role]
        if isinstance(held, np.ndarray) and held.flags.writeable:
            held += 1.0
        return 2 * x * g

    @tm.primitive(rrule=(rule,), frule=(lambda t, y, x: 2 * x * t,))
    def my_square(x: Vector) -> Vector:
        return x**2

    worst = first(found(check_rule, my_square, X), "rules")
    assert (worst.argument, worst.output, worst.index) == ("x", {"value": "the value", "x": None}[role], (0,))
    assert worst.actual == pytest.approx(worst.expected + 1)


def test_a_cotangent_that_is_the_residual_itself() -> None:
    """Whoever changes the gradient would change the tape: the engine copies, and a second pullback says so if not."""

    @tm.primitive(rrule=(lambda g, y, kept, x: kept,), frule=(lambda t, y, kept, x: np.sum(kept * t),), residuals=True)
    def total(x: Vector) -> Float[tm.Tensor, ""]:
        return np.sum(x), np.ones_like(x)  # type: ignore[return-value]

    # As a rule it is wrong besides: it ignores its cotangent, which linearity shows.
    assert first(found(check_rule, total, X), "linearity of reverse mode").argument == "x"


@pytest.mark.parametrize("joint", [False, True])
def test_an_integer_input_that_is_given_a_gradient(joint: bool) -> None:
    def of_table(g: Any, y: Any, table: Any, ids: Any) -> Any:
        return tm.scatter_add(np.zeros_like(table), ids, g, 0)

    def of_ids(g: Any, y: Any, table: Any, ids: Any) -> Any:
        return np.ones(3)

    rrule = (lambda *a: (of_table(*a), of_ids(*a))) if joint else (of_table, of_ids)

    def implementation(table: Vector, ids: Int[tm.Tensor, "k"]) -> Float[tm.Tensor, "k"]:
        return table[ids]

    look_up = tm.primitive(rrule=rrule, frule=(lambda t, y, table, ids: t[ids], None), name="look_up")(implementation)
    ids = np.array([0, 2, 2])
    worst = first(found(check_rule, look_up, X, ids), "rules")
    assert (worst.argument, worst.index, worst.expected, worst.actual) == ("ids", (0,), "DoesNotExist()", 1.0)
    assert "an operand of dtype int64" in worst.detail
    for nothing in (lambda *arguments: DoesNotExist(), lambda *arguments: None, None):
        right = tm.primitive(rrule=(of_table, nothing), frule=(lambda t, y, table, ids: t[ids], None), name="look_up")
        check_rule(right(implementation), X, ids)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize(
    "zero",
    [lambda *_: tm.Zero(), lambda *_: np.zeros(2), lambda *_: 0.0, lambda *_: tm.thunk(tm.Zero())],
    ids=["Zero", "zeros", "0.0", "thunk"],
)
def test_an_index_has_no_derivative_and_that_is_not_zero(zero: Callable[..., Any], joint: bool) -> None:
    def of_table(g: Any, y: Any, table: Any, ids: Any) -> Any:
        return tm.scatter_add(np.zeros_like(table), ids, g, 0)

    rrule = (lambda *a: (of_table(*a), zero(*a))) if joint else (of_table, zero)

    @tm.primitive(rrule=rrule, frule=(lambda t, y, table, ids: t[ids], None))
    def look_up(table: Vector, ids: Int[tm.Tensor, "k"]) -> Float[tm.Tensor, "k"]:
        return table[ids]

    worst = first(found(check_rule, look_up, X, np.array([0, 2])), "rules")
    assert (worst.argument, worst.expected) == ("ids", "DoesNotExist()")
    assert "an operand of dtype int64, which cannot be perturbed" in worst.detail


def test_a_wrong_batch_rule() -> None:
    def batch(op: Any, size: int, inputs: Any, mapped: Any, static: Any) -> Any:
        return np.cumsum(inputs[0])[: inputs[0].size].reshape(inputs[0].shape)  # along all axes, not the last

    @tm.primitive(
        rrule=(lambda g, y, x: np.flip(running(np.flip(g))),), frule=(lambda t, y, x: running(t),), batch=batch
    )
    def running(x: Vector) -> Vector:
        return np.cumsum(x)

    worst = first(found(check_rule, running, X), "batch rule, mapped over x")
    assert worst.output == "output" and "from a loop; at [1, 0]" in worst.detail
    assert worst.expected == pytest.approx(0.396) and worst.actual != pytest.approx(0.396)


def test_an_op_that_changes_its_operand() -> None:
    @tm.primitive(rrule=(lambda g, y, x: g,), frule=(lambda t, y, x: t,))
    def shift(x: Vector) -> Vector:
        x += 1.0
        return x * 1.0

    with pytest.raises(GradientMismatch, match=r"values:.*a second call gave something else|changed its operand"):
        check_rule(shift, X.copy())


def test_a_rule_that_raises_and_one_that_reads_values() -> None:
    broken = cube_with(lambda g, y, x: g @ np.ones(7))
    assert (
        "the rrule of cube(x) for argument 'x' raised ValueError"
        in first(found(check_rule, broken, X), "reverse mode").detail
    )

    branching = cube_with(lambda g, y, x: 3 * x**2 * g if x[0] > 0 else 3 * x * x * g)
    assert "only its shape is known" in first(found(check_rule, branching, X), "vmap of vjp").detail


def test_findings_name_the_leaf_of_a_tree_and_the_output() -> None:
    cube = cube_with(lambda g, y, x: -3 * x**2 * g)

    def model(params: Any, x: Any) -> Any:
        return {"a": cube(params["w"]) * x, "b": [np.sum(x)]}

    worst = first(found(check_grads, model, ({"w": X, "u": X}, X)), "reverse mode")
    assert (worst.argument, worst.index, worst.output) == ("params['w']", (2,), "output['a'][2]")


def test_shaped_operands_that_stand_for_integers_may_have_a_rule() -> None:
    @tm.primitive(
        rrule=(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
        frule=(lambda t, y, a, b: t * b, lambda t, y, a, b: a * t),
    )
    def times(a: Numbers, b: Numbers) -> Numbers:
        return a * b

    check_rule(times, X, np.array([1, 2, 3]))


def weighted(frule: Callable[..., Any]) -> Any:
    """Three operands, and a joint frule, to which constants come as `Zero()`."""

    @tm.primitive(rrule=lambda g, y, a, b, c: (g * b + 0 * c, g * a, 2 * c * g), frule=frule)
    def weigh(a: Vector, b: Vector, c: Vector) -> Vector:
        return a * b + c**2

    return weigh


def right_joint(t: Any, y: Any, a: Any, b: Any, c: Any) -> Any:
    return t[0] * b + a * t[1] + 2 * c * t[2]


def test_a_right_joint_rule_passes() -> None:
    check_rule(weighted(right_joint), X, X[::-1].copy(), X + 1)


@pytest.mark.parametrize("constant", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)])
def test_wrong_where_some_operands_are_constants(constant: tuple[int, ...]) -> None:
    """The rule is wrong for one set of constants only: whichever that is, it is found."""
    names = ", ".join("abc"[at] for at in constant)

    def wrong(t: Any, y: Any, *operands: Any) -> Any:
        zeros = tuple(at for at in range(3) if type(t[at]) is tm.Zero)
        return right_joint(t, y, *operands) * (999.0 if zeros == constant else 1.0)

    findings = found(check_rule, weighted(wrong), X, X[::-1].copy(), X + 1)
    worst = first(findings, f"forward mode, {names} held constant")
    assert worst.actual == pytest.approx(999 * worst.expected)
    assert {finding.check.split("mode")[1] for finding in findings} == {f", {names} held constant"}


def test_a_joint_rule_that_crashes_or_is_refused_where_an_operand_is_constant() -> None:
    def crash(t: Any, y: Any, *operands: Any) -> Any:
        if type(t[1]) is tm.Zero:
            raise RuntimeError("what is this?")
        return right_joint(t, y, *operands)

    findings = found(check_rule, weighted(crash), X, X[::-1].copy(), X + 1)
    assert "raised RuntimeError: what is this?" in first(findings, "forward mode, b held constant").detail


def test_wrong_at_second_order_where_an_operand_is_constant() -> None:
    def wrong(t: Any, y: Any, a: Any, b: Any, c: Any) -> Any:
        b = tm.detach(b) if type(t[1]) is tm.Zero else b
        return right_joint(t, y, a, b, c)

    findings = found(check_rule, weighted(wrong), X, X[::-1].copy(), X + 1)
    assert {finding.check.split(" mode")[0] for finding in findings} == {"reverse over forward"}
    worst = first(findings, "reverse over forward mode, b held constant")
    assert worst.argument == "b" and worst.actual == 0
    assert not rule_report(weighted(wrong), [X, X[::-1].copy(), X + 1], order=1).findings


def times_one(rrule: Callable[..., Any]) -> Any:
    return tm.primitive(rrule=(rrule,), frule=(lambda t, y, x: 1.0 * t,), name="times_one")(lambda x: x * 1.0)


@pytest.mark.parametrize(
    ("rule", "kinds", "text"),
    [
        (lambda g, y, x: 1.01 * g, {"number"}, r"times_one\(x\): 1 check failed$"),
        (lambda g, y, x: g.astype(np.float64), {"dtype"}, r"failed \(wrong dtypes\)$"),
        (lambda g, y, x: np.concatenate([g, g]), {"shape"}, r"failed \(wrong shapes\)$"),
        (lambda g, y, x: g[7], {"error"}, r"failed \(errors\)$"),
        (lambda g, y, x: 1.01 * g.astype(np.float64), {"number", "dtype"}, r"failed \(wrong numbers, wrong dtypes\)$"),
    ],
    ids=["number", "dtype", "shape", "error", "both"],
)
def test_findings_of_each_kind_are_told_apart(rule: Callable[..., Any], kinds: set[str], text: str) -> None:
    """A wrong derivative is never reported as a dtype, nor the other way round; the first line says which it is."""
    with pytest.raises(GradientMismatch) as caught:
        check_rule(times_one(rule), X)
    assert {finding.kind for finding in caught.value.findings} == kinds
    assert re.search(text, str(caught.value).splitlines()[0])
