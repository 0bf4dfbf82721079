"""check_rule: what it looks at, what it leaves out and says so, and ops of every shape."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from jaxtyping import Float, Float32, Float64, Inexact, Int, Num, Real, Shaped

import tapem as tm
from tapem.testing import GradientMismatch, RuleReport, check_rule, rule_report

Vector = Float[tm.Tensor, "n"]
Any_ = Shaped[tm.Tensor, "..."]
X = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]])


def test_it_tells_what_it_looked_at() -> None:
    report = check_rule(tm.mul, X, X[0])
    assert isinstance(report, RuleReport) and report.name == "mul(a, b)"
    assert report.checked == (
        "values",
        "three doors",
        "rules",
        "derivatives",
        "operands held constant",
        "linearity and adjointness",
        "side effects",
        "float32",
        "float16",
        "batch rule",
    )
    assert not report.findings and not report.skipped
    assert repr(report).splitlines() == [
        "RuleReport of mul(a, b): 10 kinds of checks, 0 findings",
        "  judge of all derivatives: complex step",
    ]


@pytest.mark.parametrize(
    ("op", "operands", "static"),
    [
        (tm.matmul, (X, X.T), {}),
        (tm.sum, (X,), {"axis": -1, "keepdims": True}),
        (tm.mul, (2.0, X), {}),
        (tm.mul, (X, np.arange(3)), {}),
        (tm.sum, (np.zeros((0, 3)),), {"axis": 1}),
        (tm.square, (3.0,), {}),
        (tm.sign, (X,), {}),
        (tm.slogdet, (X @ X.T,), {}),
        (lambda a, b: np.concatenate([a, b], axis=1), (X, X), {}),
        (tm.take, (X, np.array([1, 0, 1])), {"axis": 0}),
        (np.sin, (X,), {}),
        (lambda x, w: np.tanh(x @ w), (X, X[0]), {}),
    ],
)
def test_ops_of_every_shape(op: Any, operands: tuple[Any, ...], static: dict[str, Any]) -> None:
    check_rule(op, *operands, **static)


ANNOTATIONS: list[Any] = [
    np.ndarray,
    np.ndarray | None,
    npt.NDArray[np.float64],
    npt.NDArray[Any],
    Float[np.ndarray, "n"] | np.ndarray,
    Float64[tm.Tensor, "n"],
    Float64[tm.Tensor, "n"] | float,
    Float64[tm.Tensor, "n"] | Int[tm.Tensor, "n"],
    *(kind[tm.Tensor, "..."] for kind in (Float, Inexact, Real, Num, Shaped)),
]


def annotated(annotation: Any, factor: float = 1.0) -> Any:
    """A square whose operand and result are annotated so; its reverse rule is off by a factor."""

    def my_square(x: Any) -> Any:
        return x * x

    my_square.__annotations__ = {"x": annotation, "return": annotation}
    return tm.primitive(rrule=(lambda g, y, x: 2 * x * g * factor,), frule=(lambda t, y, x: 2 * x * t,))(my_square)


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=str)
def test_annotations_of_every_kind(annotation: Any) -> None:
    """Each is read: a right rule passes, and a rule that is wrong is found out."""
    check_rule(annotated(annotation), X[0])
    wrong = rule_report(annotated(annotation, 1.01), [X[0]]).findings
    assert "x" in {finding.argument for finding in wrong if finding.check == "reverse mode"}


def test_a_dtype_of_reals_is_no_index() -> None:
    """The annotation allows float32 alone, and yet its operand may have a gradient."""
    report = rule_report(annotated(Float32[tm.Tensor, "n"]), [X[0].astype(np.float32)])
    assert not [finding for finding in report.findings if finding.check == "rules"]


def test_static_arguments_may_have_any_name() -> None:
    @tm.primitive(
        rrule=(lambda g, y, x, order, seed, op: g * order * seed,),
        frule=(lambda t, y, x, order, seed, op: t * order * seed,),
    )
    def scaled(x: Vector, order: float, seed: float, op: float) -> Vector:
        return x * order * seed

    check_rule(scaled, X[0], order=2.0, seed=3.0, op=1.0)


def test_a_mode_without_a_rule_is_left_out_and_told() -> None:
    @tm.primitive(rrule=(lambda g, y, x: 2 * x * g,))
    def backward_only(x: Vector) -> Vector:
        return x**2

    report = check_rule(backward_only, X[0])
    assert report.skipped["forward mode"] == "the op has no frule"
    assert "not checked: forward mode (the op has no frule)" in repr(report)

    @tm.primitive()
    def no_rules(x: Vector) -> Vector:
        return x**2

    assert {"forward mode", "reverse mode"} <= set(rule_report(no_rules, [X[0]]).skipped)


def test_a_refusal_of_float16_is_told() -> None:
    report = check_rule(tm.linalg_inv, X @ X.T)
    assert "refused" in report.skipped.get("float16", "refused")


def test_order_zero_looks_at_values_only() -> None:
    @tm.primitive(rrule=(lambda g, y, x: g,), frule=(lambda t, y, x: t,))
    def straight_through(x: Vector) -> Vector:
        return np.round(x)

    assert rule_report(straight_through, [X[0]]).findings
    report = rule_report(straight_through, [X[0]], order=0)
    assert not report.findings and "derivatives" not in report.checked


def test_an_op_that_claims_not_to_be_differentiable_hands_on_nothing() -> None:
    report = rule_report(tm.sign, [X])
    assert not report.findings and "derivatives" in report.checked


def test_a_value_whose_dtype_grows() -> None:
    @tm.primitive(rrule=(lambda g, y, x: 2 * g,), frule=(lambda t, y, x: 2 * t,))
    def double(x: Vector) -> Vector:
        return x * np.float64(2)

    with pytest.raises(GradientMismatch, match="float32: argument output: expected float32, got float64"):
        check_rule(double, X[0])


def test_a_wrong_abstract_rule() -> None:
    @tm.primitive(
        rrule=(lambda g, y, x: g[..., None] + np.zeros_like(x),),
        frule=(lambda t, y, x: np.sum(t, axis=-1),),
        abstract=lambda x: tm.ShapeDtype(x.shape[1:], np.dtype(np.float32)),
    )
    def last_sum(x: Any_) -> Any_:
        return np.sum(x, axis=-1)

    findings = rule_report(last_sum, [X]).findings
    assert [str(finding) for finding in findings if finding.check == "abstract evaluation"] == [
        "abstract evaluation: expected (2,), got (3,) (the shape of output)",
        "abstract evaluation: expected float64, got float32 (the dtype of output)",
    ]


def test_the_doors_must_give_the_same_bits() -> None:
    def by_door(x: Any) -> Any:
        return x * 1.0 if isinstance(x, np.ndarray) else x * (1.0 + 1e-15)

    findings = rule_report(by_door, [X]).findings
    assert findings[0].check == "three doors"
    assert findings[0].detail == "a tracer, where arrays give the other; at [0, 0]"


def test_a_function_that_raises_is_reported() -> None:
    def fails(x: Any) -> Any:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        check_rule(fails, X)


def test_the_seed_makes_it_reproducible() -> None:
    @tm.primitive(rrule=(lambda g, y, x: g * x,), frule=(lambda t, y, x: t * x,))
    def my_square(x: Vector) -> Vector:
        return x**2

    x = np.linspace(1, 2, 150)
    one, other = (rule_report(my_square, [x], seed=3).findings for _ in range(2))
    assert one == other != rule_report(my_square, [x], seed=4).findings


def test_a_failure_of_probes_names_the_seed_that_repeats_it() -> None:
    my_square = tm.primitive(rrule=(lambda g, y, x: g * x,), frule=(lambda t, y, x: t * x,), name="my_square")(
        lambda x: x**2
    )
    x = np.linspace(1, 2, 150)
    with pytest.raises(GradientMismatch) as caught:
        check_rule(my_square, x)
    again = re.search(r"the same again: rule_report\(my_square, \.\.\., seed=(\d+)\)$", str(caught.value))
    assert again and rule_report(my_square, [x], seed=int(again[1])).findings == caught.value.findings
    report = rule_report(my_square, [x])
    assert rule_report(my_square, [x], seed=report.seed).findings == report.findings != caught.value.findings


def test_a_rule_that_is_wrong_in_float16_alone_is_no_refusal() -> None:
    def rule(g: Any, y: Any, x: Any) -> Any:
        return 2 * g.astype(np.float32) if g.dtype == np.float16 else 2 * g

    @tm.primitive(rrule=(rule,), frule=(lambda t, y, x: 2 * t,))
    def double(x: Vector) -> Vector:
        return x * 2

    [finding] = rule_report(double, [X[0]]).findings
    assert finding.check == "float16" and "a cotangent of dtype float32 for argument 'x'" in finding.detail


def test_a_batch_of_no_examples() -> None:
    def batch(op: Any, size: int, inputs: Any, mapped: Any, static: Any) -> Any:
        return np.stack([op(x) for x in inputs[0]])

    @tm.primitive(rrule=(lambda g, y, x: 2 * g,), frule=(lambda t, y, x: 2 * t,), batch=batch)
    def double(x: Vector) -> Vector:
        return x * 2

    assert {finding.check for finding in rule_report(double, [X[0]]).findings} == {"batch rule, of no examples"}

    @tm.primitive(rrule=(lambda g, y, x: 2 * g,), frule=(lambda t, y, x: 2 * t,))
    def double_by_loop(x: Vector) -> Vector:
        return x * 2

    assert "refused" in rule_report(double_by_loop, [X[0]]).skipped["batch rule, of no examples"]


@pytest.mark.parametrize("operands", [0.3, np.array([0.3, 0.2]), "ab"], ids=["number", "array", "text"])
def test_operands_stand_in_a_list(operands: Any) -> None:
    with pytest.raises(tm.ArgumentError, match=r"must be in a list or a tuple.*Write rule_report\(sin, \[x\]\)"):
        rule_report(tm.sin, operands)


@pytest.mark.parametrize("modes", ["fwd", ("back",), ["fwd", "both"]])
def test_a_mode_that_there_is_not(modes: Any) -> None:
    with pytest.raises(tm.ArgumentError, match="must hold 'fwd' and 'rev'"):
        rule_report(tm.sin, [X], modes=modes)


def test_modes_and_batch_rule_can_be_left_out() -> None:
    wrong = tm.primitive(rrule=(lambda g, y, x: 2 * g,), frule=(lambda t, y, x: t,))(lambda x: x * 1.0)
    assert rule_report(wrong, [X]).findings
    report = rule_report(wrong, [X], modes=["fwd"], batch=False)
    assert not report.findings and "batch rule" not in report.checked
    assert {finding.check for finding in rule_report(wrong, [X], modes=["rev"], order=1).findings} == {"reverse mode"}


def test_trees_as_operands_of_a_function() -> None:
    """Every check works on them, in every precision; a list of arrays is a tree, a list of numbers an array."""

    def model(params: Any, x: Any) -> Any:
        return np.tanh(x @ params["w"]) + params["b"][0]

    params = {"w": X.T, "b": [X[0, :2]]}
    report = check_rule(model, params, X)
    assert not report.findings and not report.skipped.keys() & {"float32", "float16"}
    check_rule(lambda xs: xs[0] * xs[1], [X, X[0]])
    check_rule(tm.sin, [0.1, 0.2])

    wrong = tm.primitive(rrule=(lambda g, y, x: 1.01 * g,), frule=(lambda t, y, x: t,))(lambda x: x * 1.0)
    [finding] = [
        f for f in rule_report(lambda p: wrong(p["w"][0]), [{"w": [1.0]}]).findings if f.check == "reverse mode"
    ]
    assert finding.argument == "p['w'][0]"


REFUSED: dict[str, Any] = {
    "solve": lambda a: np.linalg.solve(a, a[0]),
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "cholesky": lambda a: np.linalg.cholesky(a @ a.T),
    "eigh": lambda a: np.linalg.eigh(a + a.T)[0],
    "svd": lambda a: np.linalg.svd(a, compute_uv=False),
    "qr": lambda a: np.linalg.qr(a)[1],
    "of ops": lambda a: tm.linalg_inv(a) @ a[0],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_an_op_refuses_in_float16_is_no_finding(name: str) -> None:
    a = np.array([[2.0, 0.3, 0.1], [0.2, 3.0, 0.5], [0.4, 0.1, 5.0]])
    report = check_rule(REFUSED[name], a)
    assert report.skipped["float16"].startswith("refused: ")


@pytest.mark.parametrize("annotation", [Float64[tm.Tensor, "n"], npt.NDArray[np.float64]], ids=str)
def test_an_op_of_doubles_is_tried_in_no_other_dtype(annotation: Any) -> None:
    tried: set[Any] = set()

    def spy(x: Any) -> Any:
        tried.add(getattr(x, "dtype", None))
        return np.sin(x)

    spy.__annotations__ = {"x": annotation}
    assert not rule_report(spy, [X[0]]).findings and tried == {np.dtype(np.float64)}
    tried.clear()
    spy.__annotations__ = {"x": Float[tm.Tensor, "n"]}
    assert not rule_report(spy, [X[0]], dtypes=[np.float64, np.float16]).findings
    assert tried == {np.dtype(np.float64), np.dtype(np.float16)}
