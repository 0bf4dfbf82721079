"""What derivatives are compared with: complex steps where they are exact, stencils of every order, their own errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jaxtyping import Float, Inexact

import tapem as tm
from tapem.testing import GradientMismatch, check_gradient, check_grads, finite_diff, finite_diff_jacobian, rule_report
from tapem.testing.flattening import Flat
from tapem.testing.judges import judgment
from tapem.testing.stencils import ACCURACIES, along, difference, element

X = np.array([0.3, -1.2, 2.0])


def smooth(x: Any) -> Any:
    return np.sum(np.sin(x) * x**2)


def slope_of_smooth(x: Any) -> Any:
    return np.cos(x) * x**2 + 2 * x * np.sin(x)


@pytest.mark.parametrize(("method", "accuracy"), [(m, a) for m, every in ACCURACIES.items() for a in every])
def test_the_order_of_the_error(method: str, accuracy: int) -> None:
    """Halving the step divides the error by two to the order."""
    if method == "extrapolated":
        assert finite_diff(np.exp, 0.5, None, method, accuracy) == pytest.approx(np.exp(0.5), rel=1e-10)
        return
    step = {1: 1e-3, 2: 1e-2, 3: 2e-2, 4: 5e-2}.get(accuracy, 0.3)
    errors = [abs(finite_diff(np.exp, 0.5, h, method, accuracy) - np.exp(0.5)) for h in (step, step / 2)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(accuracy, abs=0.2)


@pytest.mark.parametrize(("accuracy", "close"), [(2, 1e-9), (4, 1e-11), (6, 1e-12), (8, 1e-12)])
def test_each_accuracy_has_the_step_that_suits_it(accuracy: int, close: float) -> None:
    found = finite_diff(smooth, X, accuracy=accuracy)
    np.testing.assert_allclose(found, slope_of_smooth(X), atol=10 * close)
    jacobian = finite_diff_jacobian(np.sin, X, accuracy=accuracy)
    np.testing.assert_allclose(jacobian, np.diag(np.cos(X)), atol=10 * close)


def test_a_step_for_each_coordinate() -> None:
    x = np.array([1e-9, 1e-3, 1.0, 1e6, 1e12])
    np.testing.assert_allclose(finite_diff(lambda x: np.sum(np.log(x)), x, method="extrapolated") * x, 1, rtol=1e-6)
    np.testing.assert_allclose(finite_diff(lambda x: np.sum(np.log(x)), x) * x, 1, rtol=1e-2)
    real_log = lambda x: np.sum(np.log(np.real(x)))  # noqa: E731
    assert check_gradient(real_log, x, gradient=lambda x: 1 / x, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("method", "accuracy", "message"),
    [
        ("central", 3, "accuracy=3 is not one of 2, 4, 6, 8"),
        ("forward", 5, "accuracy=5 is not one of 1, 2, 3, 4"),
        ("extrapolated", 2, "accuracy=2 is not one of 4, 6, 8"),
        ("complex", 2, "method='complex' chooses its own accuracy"),
    ],
)
def test_accuracies_that_there_are_not(method: str, accuracy: int, message: str) -> None:
    with pytest.raises(tm.ArgumentError, match=message):
        finite_diff(np.sin, 1.0, method=method, accuracy=accuracy)


@pytest.mark.parametrize("method", ACCURACIES)
def test_a_difference_knows_its_own_error(method: str) -> None:
    """The estimate is no smaller than the error, and not much larger, for functions of every scale."""
    for scale in (0.1, 1.0, 10.0, 100.0):
        for accuracy in ACCURACIES[method]:
            flat = Flat(lambda x, scale=scale: np.sin(scale * x), (0.7,))
            found = difference(flat, element(flat, 0), None, method, accuracy)
            error = abs(found.value[0] - scale * np.cos(0.7 * scale))
            cap = 1.01e-2 * abs(found.value[0])
            assert error <= 1.1 * found.noise[0] or found.noise[0] > 0.9 * cap, (scale, accuracy, error, found)
            assert found.noise[0] <= max(cap, 1e-6)


def judge_of(f: Any, x: Any) -> str:
    flat = Flat(f, (x,))
    return judgment(flat, range(flat.inputs.size)).judge


def test_who_judges() -> None:
    assert judge_of(smooth, X) == "complex step"
    assert judge_of(lambda x: x @ x, X) == "complex step"
    assert judge_of(lambda x: np.sum(np.abs(x)), X).startswith("extrapolated differences (no complex step: differ")
    assert "complex numbers are refused: relu(x)" in judge_of(tm.relu, X)
    assert "the function is float32" in judge_of(np.sin, X.astype(np.float32))
    assert "the function itself is complex" in judge_of(np.sin, X + 1j)
    mixed = judge_of(lambda x: np.stack([np.sin(x), np.abs(x), np.exp(x)]), X)
    assert mixed == "complex step, and extrapolated differences for 3 of 9 outputs"
    assert check_gradient(smooth, X).judge == "complex step" and "judge: complex step" in repr(
        check_gradient(smooth, X)
    )
    assert check_gradient(smooth, X, eps=1e-4).judge == "central differences"
    assert check_gradient(smooth, X, method="forward").judge == "forward differences"


def test_the_value_of_a_complex_call_must_be_the_real_one() -> None:
    """Where a real value is NaN, an analytic continuation is no derivative."""
    with np.errstate(all="ignore"):
        assert not check_gradient(np.log, -1.0)


def test_the_report_tells_the_judge_of_every_order() -> None:
    analytic, real = rule_report(tm.sin, [X]), rule_report(tm.relu, [X])
    assert set(analytic.judges.values()) == {"complex step"} and len(analytic.judges) == 3
    assert "judge of all derivatives: complex step" in repr(analytic)
    assert all(judge.startswith("extrapolated differences") for judge in real.judges.values())


def nearly(error: float, second: float = 0.0) -> Any:
    """The cube, whose derivative has a small relative error, or whose derivative's derivative has one."""

    def slope(x: Any) -> Any:
        right = 3 * (1 + error) * x * x
        return right + second * (right - tm.detach(right))

    @tm.primitive(rrule=(lambda g, y, x: g * slope(x),), frule=(lambda t, y, x: t * slope(x),))
    def cube(x: Inexact[tm.Tensor, "n"]) -> Inexact[tm.Tensor, "n"]:
        return x**3

    return cube


def test_complex_steps_find_errors_that_differences_forgive() -> None:
    check_grads(nearly(0), (X,))
    with pytest.raises(GradientMismatch) as caught:
        check_grads(nearly(2e-6), (X,))
    assert caught.value.findings[0].judge == "complex step"
    with pytest.raises(GradientMismatch, match="over reverse"):
        check_grads(nearly(0, 2e-6), (X,))
    check_grads(lambda x: nearly(2e-6)(x) + 0 * np.abs(x) * np.sign(x), (X,), rtol=1e-5)


def test_large_jacobians_are_judged_by_complex_steps_too() -> None:
    x = np.linspace(0.5, 1.5, 300)
    check_grads(nearly(0), (x,))
    report = rule_report(lambda x: nearly(0)(x), [x])
    assert not report.findings and set(report.judges.values()) == {"complex step, random directions"}
    with pytest.raises(GradientMismatch, match=r"argument x\[\d+\]"):
        check_grads(nearly(2e-6), (x,))
    check_grads(lambda x: np.sin(x) + 1e-6 * np.abs(x - 1.0001), (x,))
    judges = rule_report(lambda x: np.abs(x) * x, [-x]).judges
    assert judges["derivatives"] == "extrapolated differences, random directions"


@pytest.mark.parametrize("small", [1e-12, 1e-8, 1e-6, 1e-4, 1e-2])
def test_a_small_part_that_is_not_analytic_is_no_false_alarm(small: float) -> None:
    for seed in range(5):
        check_grads(lambda x: np.sin(x) + small * np.abs(x), (X,), seed=seed)


def test_annotations_keep_complex_numbers_out() -> None:
    kinds: set[str] = set()

    def real(x: Float[tm.Tensor, "n"]) -> Any:
        kinds.add(x.dtype.kind)
        return np.sin(x)

    report = rule_report(real, [X])
    assert not report.findings and kinds == {"f"}
    assert "its annotations allow real numbers only" in report.judges["derivatives"]


def test_directions_leave_no_domain_for_small_numbers() -> None:
    x = np.array([1e-8, 1.0])
    flat = Flat(lambda x: np.sum(np.log(x)), (x,))
    found = difference(flat, along(flat, np.array([1e-8, 1.0])))
    assert found.value == pytest.approx([2.0], rel=1e-6)
