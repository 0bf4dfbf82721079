"""GradientCheck and check_grads: fields, tolerances, printing, arguments of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float, Inexact

import tapem as tm
from tapem.testing import GradientCheck, GradientMismatch, check_gradient, check_gradients, check_grads

X = np.array([[1.0, 2.0], [3.0, 0.0]])


@tm.primitive(rrule=(lambda g, y, x: 2 * x * g + 0.5 * g * (x == 3.0),), frule=(lambda t, y, x: 2 * x * t,))
def crooked(x: Inexact[tm.Tensor, "..."]) -> Inexact[tm.Tensor, "..."]:
    """The square, with a derivative that is wrong by 0.5 where x is 3."""
    return x**2


def total(x: Any) -> Any:
    return np.sum(crooked(x))


def test_every_field() -> None:
    result = check_gradient(total, X)
    assert isinstance(result, GradientCheck)
    assert (result.passed, bool(result), result.num_checked, result.num_failed) == (False, False, 4, 1)
    [(index, autodiff, finite, error)] = result.failed_indices
    assert index == (1, 0) and autodiff == 6.5
    assert finite == pytest.approx(6.0) and error == pytest.approx(0.5)
    assert result.max_abs_error == pytest.approx(0.5) and result.mean_abs_error == pytest.approx(0.125)
    assert result.max_rel_error == pytest.approx(0.5 / 6.5) and result.mean_rel_error == pytest.approx(0.5 / 26)


def test_an_element_passes_by_absolute_or_relative_error() -> None:
    assert check_gradient(total, X, atol=0.6, rtol=0.0)
    assert check_gradient(total, X, atol=0.0, rtol=0.08)
    assert not check_gradient(total, X, atol=0.4, rtol=0.07)


def test_check_indices_are_flat() -> None:
    assert check_gradient(total, X, check_indices=[0, 1, 3]).num_checked == 3
    assert check_gradient(total, X, check_indices=[2]).num_failed == 1
    assert check_gradient(total, X, check_indices=[]).num_checked == 0
    with pytest.raises(tm.ArgumentError, match=r"check_indices has 4, but x has 4 elements \(0 to 3\)"):
        check_gradient(total, X, check_indices=[4])
    for wrong in (1, [1.5], ["a"]):
        with pytest.raises(tm.ArgumentError, match="must be a list of integers, which count the elements of x"):
            check_gradient(total, X, check_indices=wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("method", ["central", "forward", "backward", "extrapolated", "complex"])
def test_methods(method: str) -> None:
    result = check_gradient(total, X, method=method)
    assert [index for index, *_ in result.failed_indices] == [(1, 0)]


def test_verbose_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    result = check_gradient(total, X, verbose=True)
    printed = capsys.readouterr().out
    assert printed == f"{result}\n"
    assert "GradientCheck of x: FAILED at 1 of 4 elements" in printed
    assert "[1, 0]  6.5" in printed
    check_gradient(total, X)
    assert capsys.readouterr().out == ""
    assert "passed, 4 elements" in repr(check_gradient(lambda x: np.sum(x), X))


def test_a_gradient_that_is_not_a_number_fails() -> None:
    @tm.primitive(rrule=(lambda g, y, x: g * np.float64(np.nan),))
    def shift(x: Float[tm.Tensor, ""]) -> Float[tm.Tensor, ""]:
        return x + 1.0

    result = check_gradient(shift, np.ones(()))
    assert not result and result.max_abs_error == np.inf
    with np.errstate(all="ignore"):
        assert not check_gradient(np.sqrt, -1.0)


def test_several_outputs_of_any_shape() -> None:
    result = check_gradient(lambda x: (crooked(x), np.sum(x)), X)
    assert result.num_checked == 20
    assert [index for index, *_ in result.failed_indices] == [("output[0]", 1, 0, 1, 0)]
    result = check_gradient(crooked, X)
    assert [index for index, *_ in result.failed_indices] == [(1, 0, 1, 0)]


@dataclass(frozen=True)
class Params:
    w: Any
    b: Any


def test_trees_name_their_leaves() -> None:
    result = check_gradient(lambda params: total(params.w) + params.b, Params(X, 1.0))
    assert [index for index, *_ in result.failed_indices] == [("params.w", 1, 0)]
    with pytest.raises(tm.DTypeError, match=r"p\['n'\] holds integers"):
        check_gradient(lambda p: p["x"] ** p["n"], {"x": 2.0, "n": 2})


def test_check_gradients_gives_one_result_per_argument() -> None:
    results = check_gradients(lambda a, b: np.sum(a) * total(b), [np.ones(2), X])
    assert [bool(result) for result in results] == [True, False]
    assert [result.name for result in results] == ["a", "b"]
    assert results[1].failed_indices[0][0] == (1, 0)


def test_a_function_that_changes_its_argument() -> None:
    def f(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            x[0] += 1.0
        return np.sum(x)

    with pytest.raises(GradientMismatch, match=r"argument x.*the function changed its argument in place"):
        check_gradient(f, np.zeros(2))


@pytest.mark.parametrize("modes", [("fwd",), ("rev",), ("fwd", "rev"), ["rev"]])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_check_grads_passes_what_is_right(order: int, modes: Any) -> None:
    check_grads(lambda x, y: {"a": np.sin(x) * y, "b": (np.sum(x),)}, (X, 2.0), order, modes)


def test_check_grads_leaves_integers_alone() -> None:
    check_grads(lambda x, ids, flag: (x[ids] if flag else x, ids), (X, np.array([1, 1]), True))


def test_check_grads_takes_a_single_array_and_large_ones() -> None:
    check_grads(np.sin, X)
    check_grads(lambda x: np.sum(np.tanh(x) ** 2), (np.linspace(-1, 1, 1000),))
    check_grads(lambda x: x @ x.T, (np.linspace(-1, 1, 600).reshape(20, 30),))
    check_grads(np.sin, (np.zeros((0, 3)),))


@pytest.mark.parametrize(("dtype", "order"), [(np.float32, 2), (np.float16, 1)])
def test_check_grads_in_other_precisions(dtype: Any, order: int) -> None:
    check_grads(lambda x: np.sin(x) * x, (X.astype(dtype),), order)
    with pytest.raises(GradientMismatch, match=r"reverse mode: argument x\[1, 0\]: expected [56]\S*, got 6.5"):
        check_grads(total, (X.astype(dtype),), 1, rtol=0.01)


def test_tolerances_can_be_given() -> None:
    check_grads(crooked, (np.full(2, 3.0),), order=1, modes=("rev",), rtol=0.1)
    check_grads(crooked, (np.full(2, 3.0),), order=1, modes=("rev",), atol=0.6)
    with pytest.raises(GradientMismatch):
        check_grads(crooked, (np.full(2, 3.0),), order=1, modes=("rev",), atol=0.4, rtol=1e-3)


def test_a_random_function_is_no_function() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(GradientMismatch):
        check_grads(lambda x: x * rng.normal(), (X,))


def test_the_message() -> None:
    with pytest.raises(GradientMismatch) as caught:
        check_grads(total, (X,), seed=1)
    assert str(caught.value).splitlines() == [
        "total(x): 1 check failed",
        "  reverse mode: argument x[1, 0]: expected 6, got 6.5 (1 of 4 elements are wrong; off by a factor of 1.0833)",
        "  the same again: check_grads(total, ..., seed=1)",
    ]
    [finding] = caught.value.findings
    assert (finding.argument, finding.index, finding.actual) == ("x", (1, 0), 6.5)


def test_the_numbers_of_a_finding_are_those_of_its_argument() -> None:
    """Of whichever argument: the first is right here, and its derivatives are other numbers."""
    with pytest.raises(GradientMismatch) as caught:
        check_grads(lambda a, b, c: np.sum(7 * a) + total(b) + np.sum(9 * c), (X, X, X), modes=("rev",), order=1)
    [finding] = caught.value.findings
    assert (finding.argument, finding.index, finding.actual) == ("b", (1, 0), 6.5)
    assert finding.expected == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, "order=0 must be an integer, at least 1"),
        ({"order": 1.5}, "order=1.5 must be an integer, at least 1"),
        ({"modes": ("back",)}, "must hold 'fwd' and 'rev'"),
        ({"modes": ()}, r"modes=\(\) must hold 'fwd' and 'rev', or one of them"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(tm.ArgumentError, match=message):
        check_grads(np.sin, (X,), **options)


def test_a_point_outside_the_domain_is_asked_about() -> None:
    said = r"x\[0\].*not finite: is the function defined around this point\?"
    with np.errstate(all="ignore"), pytest.raises(GradientMismatch, match=said):
        check_grads(lambda x: np.sum(np.sqrt(x)), (np.array([-1.0, 2.0]),))
