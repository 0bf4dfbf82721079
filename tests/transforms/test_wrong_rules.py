"""What is said of rules that raise, or that return what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

import tapem as tm

Vector = Float[tm.Tensor, "n"]
X = np.array([0.5, -1.5, 2.0])


def times_op(rrule: Any = None, frule: Any = None) -> Any:
    @tm.primitive(rrule=rrule, frule=frule)
    def times(a: Vector, b: Vector) -> Vector:
        return a * b

    return times


def pulled(rrule: Any) -> None:
    op = times_op(rrule=rrule)
    tm.grad(lambda a, b: np.sum(op(a, b)), (0, 1))(X, X)


def pushed(frule: Any) -> None:
    tm.jvp(times_op(frule=frule), (X, X), (X, X))


def fine(g: Any, y: Any, a: Any, b: Any) -> Any:
    return g * b


def fails(g: Any, y: Any, a: Any, b: Any) -> Any:
    raise KeyError("weights")


COUNT = "must return a tuple of 2 cotangents, one per operand, not"
WRONG_RRULES = {
    "too few": (lambda g, y, a, b: (g,), tm.ShapeError, f"the rrule of times(a, b) {COUNT} a tuple of 1 (node 2)."),
    "too many": (
        lambda g, y, a, b: (g,) * 3,
        tm.ShapeError,
        f"the rrule of times(a, b) {COUNT} a tuple of 3 (node 2).",
    ),
    "list": (lambda g, y, a, b: [g, g], tm.ShapeError, f"the rrule of times(a, b) {COUNT} a list of 2 (node 2)."),
    "array": (lambda g, y, a, b: g, tm.ShapeError, f"the rrule of times(a, b) {COUNT} ndarray (node 2)."),
    "None": (lambda g, y, a, b: None, tm.ShapeError, f"the rrule of times(a, b) {COUNT} NoneType (node 2)."),
    "shape": (
        (fine, lambda g, y, a, b: np.ones((3, 3))),
        tm.ShapeError,
        "the rrule of times(a, b) returned a cotangent of shape (3, 3) for argument 'b' of shape (3,) (node 2).",
    ),
    "joint shape": (
        lambda g, y, a, b: (g, tm.Thunk(lambda: g[:2])),
        tm.ShapeError,
        "the rrule of times(a, b) returned a cotangent of shape (2,) for argument 'b' of shape (3,) (node 2).",
    ),
    "int": (
        (lambda g, y, a, b: np.ones(3, np.int64), fine),
        tm.DTypeError,
        "the rrule of times(a, b) returned a cotangent of dtype int64 for argument 'a' (f64[3], node 2); "
        "a cotangent is a float array of its operand's dtype.",
    ),
    "float32": (
        (lambda g, y, a, b: g.astype(np.float32), fine),
        tm.DTypeError,
        "the rrule of times(a, b) returned a cotangent of dtype float32 for argument 'a' of dtype float64 (node 2); "
        "rules keep the dtype of their arguments.",
    ),
    "no array": (
        (fine, lambda g, y, a, b: [1.0, 1.0, 1.0]),
        tm.DTypeError,
        "the rrule of times(a, b) for argument 'b' returned list instead of a float array (f64[3], node 2).",
    ),
    "composite": (
        (fine, lambda g, y, a, b: tm.Composite(tuple, g)),
        tm.DTypeError,
        "the rrule of times(a, b) for argument 'b' returned Composite instead of a float array (f64[3], node 2).",
    ),
    "raises": (
        (fails, fine),
        tm.TapeError,
        "the rrule of times(a, b) for argument 'a' raised KeyError: 'weights' (node 2)",
    ),
    "joint raises": (fails, tm.TapeError, "the rrule of times(a, b) raised KeyError: 'weights' (node 2)"),
    "thunk raises": (
        lambda g, y, a, b: (g, tm.Thunk(lambda: 1 / 0)),
        tm.TapeError,
        "the rrule of times(a, b) for argument 'b' raised ZeroDivisionError: division by zero (node 2)",
    ),
}
WRONG_FRULES = {
    "shape": (
        (fine, lambda t, y, a, b: t[:2]),
        tm.ShapeError,
        "the frule of times(a, b) for argument 'b' returned a tangent of shape (2,) for a value of "
        "shape (3,) (node 2).",
    ),
    "joint shape": (
        lambda t, y, a, b: t[0][:2],
        tm.ShapeError,
        "the frule of times(a, b) returned a tangent of shape (2,) for a value of shape (3,) (node 2).",
    ),
    "int": (
        (lambda t, y, a, b: np.ones(3, np.int64), fine),
        tm.DTypeError,
        "the frule of times(a, b) for argument 'a' returned a tangent of dtype int64 for a value of "
        "dtype float64 (node 2).",
    ),
    "float32": (
        (lambda t, y, a, b: t.astype(np.float32), fine),
        tm.DTypeError,
        "the frule of times(a, b) for argument 'a' returned a tangent of dtype float32 for a value of dtype float64 "
        "(node 2); rules keep the dtype of their arguments.",
    ),
    "no array": (
        lambda t, y, a, b: list(t),
        tm.DTypeError,
        "the frule of times(a, b) returned list instead of a float array (f64[3], node 2).",
    ),
    "raises": (
        (fine, fails),
        tm.TapeError,
        "the frule of times(a, b) for argument 'b' raised KeyError: 'weights' (node 2)",
    ),
    "joint raises": (fails, tm.TapeError, "the frule of times(a, b) raised KeyError: 'weights' (node 2)"),
    "thunk raises": (
        lambda t, y, a, b: tm.Thunk(lambda: 1 / 0),
        tm.TapeError,
        "the frule of times(a, b) raised ZeroDivisionError: division by zero (node 2)",
    ),
}


@pytest.mark.parametrize(("rule", "error", "text"), WRONG_RRULES.values(), ids=WRONG_RRULES)
def test_a_wrong_rrule(rule: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        pulled(rule)
    assert type(caught.value) is error and str(caught.value) == text
    if "raised" in text:
        assert isinstance(caught.value.__cause__, KeyError | ZeroDivisionError)


@pytest.mark.parametrize(("rule", "error", "text"), WRONG_FRULES.values(), ids=WRONG_FRULES)
def test_a_wrong_frule(rule: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        pushed(rule)
    assert type(caught.value) is error and str(caught.value) == text


@pytest.mark.parametrize("nested", [lambda f: tm.grad(lambda x: np.sum(tm.grad(f)(x))), lambda f: tm.vmap(tm.grad(f))])
def test_a_wrong_rule_is_told_inside_other_transforms_too(nested: Any) -> None:
    op = times_op(rrule=(fine, lambda g, y, a, b: g[:2] * a[:2]))
    with pytest.raises(tm.ShapeError, match=r"the rrule of times\(a, b\) returned .* for argument 'b' of shape \(3,\)"):
        nested(lambda x: np.sum(op(x, x)))(np.stack([X, X]) if "vmap" in nested.__code__.co_names else X)


def test_an_error_of_an_op_inside_a_rule_keeps_its_type_and_notes_the_rule() -> None:
    with pytest.raises(tm.ShapeError, match="matmul") as caught:
        pulled((fine, lambda g, y, a, b: tm.matmul(g, np.ones((7, 3)))))
    assert caught.value.__notes__ == ["in the rrule of times(a, b) for argument 'b' (node 2)"]
    with np.errstate(over="raise"), pytest.raises(FloatingPointError) as raised:  # as NumPy was asked to
        pushed((fine, lambda t, y, a, b: t * 1e300 * 1e300))
    assert raised.value.__notes__ == ["in the frule of times(a, b) for argument 'b' (node 2)"]


def test_wrong_tuples_of_results() -> None:
    def halves(x: Vector) -> tuple[Vector, Vector]:
        return x * 0.5, x * 0.25

    for frule in (lambda t, y, x: t, lambda t, y, x: (t, t, t)):
        op = tm.primitive(frule=(frule,))(halves)
        with pytest.raises(tm.ShapeError) as caught:
            tm.jvp(op, (X,), (X,))
        assert str(caught.value) == (
            "the frule of halves(x) for argument 'x' must return a tuple of 2 tangents, one per result (node 1)."
        )
    with pytest.raises(tm.ShapeError, match=r"returned a tangent of shape \(2,\) for a value of shape \(3,\)"):
        tm.jvp(tm.primitive(frule=(lambda t, y, x: (t, t[:2]),))(halves), (X,), (X,))


@pytest.mark.parametrize("define", [tm.defrrule, tm.deffrule])
def test_a_wrong_number_of_rules(define: Any) -> None:
    name = define.__name__
    cases: list[tuple[Callable[[], Any], str]] = [
        (
            lambda: define(times_op(), fine),
            f"{name}: times(a, b) has 2 operands, but 1 rules were given; give one per operand (None for what cannot "
            "be perturbed), or joint=...",
        ),
        (
            lambda: define(times_op(), fine, fine, fine),
            f"{name}: times(a, b) has 2 operands, but 3 rules were given; give one per operand (None for what cannot "
            "be perturbed), or joint=...",
        ),
        (
            lambda: define(times_op(), fine, fine, joint=fine),
            f"{name}: give times either one rule per operand or a joint one, not both.",
        ),
        (lambda: define(np.sin, fine), f"{name}: <ufunc 'sin'> is not an op; declare it with @tm.primitive first."),
    ]
    for case, text in cases:
        with pytest.raises(tm.ArgumentError) as caught:
            case()
        assert str(caught.value) == text
    with pytest.raises(tm.ArgumentError, match=r"times\(a, b\) has 2 operands, but 3 rules were given"):
        times_op(**{name.removeprefix("def"): (fine, fine, fine)})
