"""scalar_rule: the rules of both modes, made from partial derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

import tapem as tm
from tapem.testing import check_grads, check_op, check_rule

Vector = Float[tm.Tensor, "n"]
NO_FIELDS = tm.NO_FIELDS
X = np.array([0.5, -1.5, 2.0])


def test_setup_runs_once_per_call() -> None:
    calls: list[tuple[Any, ...]] = []

    def setup(y: Any, *operands: Any) -> Any:
        calls.append((y, *operands))
        return np.exp(operands[0])

    op = tm.scalar_rule(lambda a, b: np.exp(a) * b, lambda e, y, a, b: e * b, lambda e, y, a, b: e, setup=setup)
    assert op(0.0, 3.0) == 3.0 and not calls
    assert tm.grad(op, (0, 1))(0.0, 3.0) == (3.0, 1.0)
    assert calls == [(3.0, 0.0, 3.0)]
    calls.clear()
    assert tm.jvp(op, (0.0, 3.0), (1.0, 10.0))[1] == 13.0
    assert calls == [(3.0, 0.0, 3.0)]
    check_grads(op, (0.5, 1.5))


def test_setup_with_several_results_runs_once_per_call() -> None:
    calls: list[Any] = []

    def polar(x: Float[tm.Tensor, "*s"], y: Float[tm.Tensor, "*s"]) -> Any:
        return np.hypot(x, y), np.arctan2(y, x)

    op = tm.scalar_rule(
        polar,
        (lambda c, r, x, y: x / r[0], lambda c, r, x, y: y / r[0]),
        (lambda c, r, x, y: -y / c, lambda c, r, x, y: x / c),
        setup=lambda r, x, y: calls.append(None) or x**2 + y**2,
    )
    tm.grad(lambda x, y: np.sum(op(x, y)[0] * op.name.count("p") + op(x, y)[1]), (0, 1))(X, X[::-1].copy())
    assert len(calls) == 2
    check_grads(op, (X, X + 0.7))
    check_op(op, max_examples=5, elements=None)


def test_numbers_one_and_zero_are_partial_derivatives() -> None:
    def f(a: Float[tm.Tensor, "..."], b: Float[tm.Tensor, "..."], c: Float[tm.Tensor, "..."]) -> Any:
        return 2 * a + b + 0 * c

    op = tm.scalar_rule(f, 2, tm.One(), tm.Zero())
    for dtype in (np.float64, np.float32):
        a, b, c = (np.array([1.0, 2.0], dtype),) * 3
        gradients = tm.grad(lambda a, b, c: np.sum(op(a, b, c)), (0, 1, 2))(a, b, c)
        np.testing.assert_array_equal(gradients, [[2, 2], [1, 1], [0, 0]])
        assert {g.dtype for g in gradients} == {np.dtype(dtype)}
        assert tm.jvp(op, (a, b, c), (a, a, a))[1].dtype == dtype
    assert tm.hessian(lambda x: op(x, x, x) ** 2)(1.0) == 18.0
    np.testing.assert_array_equal(tm.vmap(tm.grad(tm.grad(lambda x: op(x, x, x) ** 2)))(np.ones(2)), [18.0, 18.0])
    with pytest.raises(tm.MissingGradientError, match="not reached"):
        c, tape = tm.Tape().leaf(1.0)
        y, tape = tape.record(op, 1.0, 1.0, c)
        tape.backward_scalar(y)[c]
    check_op(op, max_examples=5)


def test_scalar_rule_of_several_results_with_a_column_of_zeros() -> None:
    def f(a: Float[tm.Tensor, "*s"], b: Float[tm.Tensor, "*s"]) -> Any:
        return a + 0 * b, a * b

    op = tm.scalar_rule(f, (tm.One(), tm.Zero()), (lambda y, a, b: b, lambda y, a, b: a))
    check_op(op, max_examples=5)
    y, dy = tm.frule((NO_FIELDS, tm.Zero(), 1.0), op, 2.0, 3.0)
    assert y == (2.0, 6.0) and dy == (0.0, 2.0)
    assert tm.rrule(op, 2.0, 3.0)[1]((1.0, 0.0)) == (NO_FIELDS, 1.0, 0.0)


def test_scalar_rule_broadcasts_and_has_static_arguments() -> None:
    @tm.primitive
    def powered(x: Float[tm.Tensor, "*#s"], c: Float[tm.Tensor, "*#s"], *, k: int = 2) -> Float[tm.Tensor, "*s"]:
        return c * x**k

    tm.scalar_rule(powered, lambda y, x, c, k: c * k * x ** (k - 1), lambda y, x, c, k: x**k)
    gradients = tm.grad(lambda x, c: np.sum(powered(x, c, k=3)), (0, 1))(X, np.array([[2.0], [1.0]]))
    np.testing.assert_allclose(gradients[0], 9 * X**2)
    np.testing.assert_allclose(gradients[1], np.full((2, 1), np.sum(X**3)))
    check_rule(powered, X, np.ones((2, 1)), k=3)


@pytest.mark.parametrize(
    ("partials", "message"),
    [
        ((), r"scalar_rule: f\(a, b\) needs 2 partial derivatives per result, not 0."),
        ((1.0,), r"scalar_rule: f\(a, b\) needs 2 partial derivatives per result, not 1."),
        (((1.0, 1.0), (1.0,)), r"scalar_rule: f\(a, b\) needs 2 partial derivatives per result, not 1."),
        (
            ((1.0, 1.0), 2.0),
            r"scalar_rule: f\(a, b\) needs 2 partial derivatives per result, not a value that is not a tuple.",
        ),
    ],
)
def test_a_wrong_number_of_partial_derivatives(partials: tuple[Any, ...], message: str) -> None:
    def f(a: Vector, b: Vector) -> Vector:
        return a + b

    with pytest.raises(tm.ArgumentError, match=message):
        tm.scalar_rule(f, *partials)


def test_partial_derivatives_of_a_wrong_number_of_results() -> None:
    def f(a: Vector) -> Vector:
        return a + 1

    op = tm.scalar_rule(f, (1.0,), (1.0,))
    message = r"scalar_rule: f\(a\) has 1 result, but partial derivatives of 2; give one tuple of them per result."
    with pytest.raises(tm.ArgumentError, match=message):
        tm.grad(lambda a: np.sum(op(a)))(X)
    with pytest.raises(tm.ArgumentError, match=message):
        tm.jvp(op, (X,), (X,))


def test_scalar_rule_refuses_what_it_cannot_serve() -> None:
    kept = tm.primitive(residuals=True, name="kept")(lambda x: (x, x))
    with pytest.raises(tm.ArgumentError, match=r"scalar_rule: kept\(x\) keeps residuals; give it rules with tm.def"):
        tm.scalar_rule(kept, 1.0)
