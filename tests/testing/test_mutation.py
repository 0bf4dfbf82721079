"""Wrong versions of rules: what is changed, that nothing else is, and what tests say of them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.testing import Mutant, MutationScore, mutants, mutation_score

X = np.array([0.3, 1.7, -0.8])
W = np.arange(6.0).reshape(2, 3) - 2.4
Vector = tm.Num[tm.Tensor, "..."]


def helper(x: Any) -> Any:
    return 3 * x * x


def own(x: Any, times: int) -> Any:
    return x if times == 0 else own(x, times - 1)


@tm.primitive(rrule=(lambda g, y, x: g * own(helper(x), 2),), frule=(lambda t, y, x: t * helper(x),))
def cube(x: Vector) -> Vector:
    return helper(x) * x / 3


def product(name: str) -> Any:
    """An op whose rules are closures, a partial among them, and joint in reverse mode."""

    def scaled(by: float, g: Any, y: Any, a: Any, b: Any) -> Any:
        return by * g * b

    first = functools.partial(scaled, 2.0)

    def pull(g: Any, y: Any, a: Any, b: Any) -> Any:
        def for_b() -> Any:
            return 2.0 * a * g

        return first(g, None, a, b), tm.Thunk(for_b)

    @tm.primitive(rrule=pull, frule=(first, lambda t, y, a, b: 2.0 * a * t), name=name)
    def op(a: Vector, b: Vector) -> Vector:
        return 2.0 * a * b

    return op


def one(op: Any, kind: str, before: str, after: str | None = None) -> Mutant:
    found = [m for m in mutants(op) if (m.kind, m.before) == (kind, before) and after in (None, m.after)]
    assert found, [repr(m) for m in mutants(op)]
    return found[0]


def gradient(op: Any, *operands: Any) -> Any:
    return tm.grad(lambda *xs: tm.sum(op(*xs)), argnums=tuple(range(len(operands))))(*operands)


def test_a_wrong_helper_is_wrong_in_the_rules_and_not_in_the_value() -> None:
    mutant = one(cube, "dropped factor", "3 * x", "x")
    before = cube.rrule, cube.frule
    with mutant.installed():
        assert cube(X) == pytest.approx(X**3) and helper(2.0) == 12.0
        assert gradient(cube, X)[0] == pytest.approx(X**2)
        assert tm.jvp(cube, (X,), (np.ones(3),))[1] == pytest.approx(X**2)
    assert (cube.rrule, cube.frule) == before and gradient(cube, X)[0] == pytest.approx(3 * X**2)
    assert mutant.where == "helper helper" and "dropped factor, `3 * x` -> `x`" in repr(mutant)


def test_the_rules_are_right_again_after_an_error() -> None:
    before = cube.rrule
    with pytest.raises(KeyError), mutants(cube)[0].installed():
        raise KeyError
    assert cube.rrule is before


def test_a_helper_that_calls_itself_is_made_wrong_as_a_whole() -> None:
    calls = [m for m in mutants(cube) if m.where == "helper own"]
    assert {m.before for m in calls} == {"times - 1"}
    with one(cube, "sign", "times - 1").installed(), pytest.raises(RecursionError):
        gradient(cube, X)


def test_closures_partials_and_thunks() -> None:
    op = product("op")
    a, b = X, X + 1
    with one(op, "dropped factor", "2.0 * a", "a").installed():
        assert gradient(op, a, b)[0] == pytest.approx(2 * b) and gradient(op, a, b)[1] == pytest.approx(a)
    with one(op, "dropped factor", "by * g", "g").installed():
        assert gradient(op, a, b)[0] == pytest.approx(b) and gradient(op, a, b)[1] == pytest.approx(2 * a)
        assert tm.jvp(op, (a, b), (np.ones(3), np.zeros(3)))[1] == pytest.approx(b)


def test_one_rule_for_both_modes_is_one_mistake() -> None:
    with one(tm.mul, "dropped factor", "g * b", "g").installed():
        assert gradient(tm.mul, X, X)[0] == pytest.approx(np.ones(3))
        assert tm.jvp(tm.mul, (X, X), (np.ones(3), np.zeros(3)))[1] == pytest.approx(np.ones(3))
    assert all(m.where == "rrule and frule" for m in mutants(tm.mul))


def test_second_order_only() -> None:
    with one(tm.mul, "second order only", "b").installed():
        assert gradient(tm.mul, X, X + 1)[0] == pytest.approx(X + 1)
        mixed = tm.jacfwd(tm.grad(lambda a, b: tm.sum(tm.mul(a, b))), argnums=1)(X, X + 1)
        assert not mixed.any()


def test_a_parameter_whose_shape_or_sign_alone_is_used_is_not_detached() -> None:
    def detached(op: Any) -> set[str]:
        return {m.before for m in mutants(op) if m.kind == "second order only"}

    assert detached(tm.relu) == set() and detached(tm.sum) == set() and detached(tm.exp) == {"y"}
    assert detached(tm.take) == set() and detached(tm.matmul) == {"a", "b"}


@pytest.mark.parametrize(
    ("op", "kind", "before", "after"),
    [
        (tm.sub, "sign", "-g", "g"),
        (tm.div, "swapped operands", "g / b", "b / g"),
        (tm.sum, "missing unbroadcast", "restore(g, x, axis, keepdims)", "g"),
        (tm.mean, "wrong axis", "axis", "mutated_other_axis(axis)"),
        (tm.tanh, "dropped term", "1 - y * y", "1"),
        (tm.sin, "dropped function", "np.cos(x)", "x"),
        (tm.exp, "wrong dtype", "g * y", "mutated_in_double(g * y)"),
        (tm.exp, "detach", "g * y", "mutated_detach(g * y)"),
    ],
)
def test_kinds(op: Any, kind: str, before: str, after: str) -> None:
    if (op, kind) == (tm.mean, "wrong axis"):
        op = tm.var
    assert one(op, kind, before, after)


@pytest.mark.parametrize("op", [tm.square, tm.mul, tm.tanh, tm.div, cube, product("op")], ids=lambda op: op.name)
def test_a_good_test_notices_all(op: Any) -> None:
    operands = (W, W + 1.3)[: op.arity]
    score = mutation_score(op, lambda: tm.testing.check_rule(op, *operands))
    assert score.survivors == () and score.score == 1.0 and len(score.noticed) >= 8


def test_a_weak_test_is_told_what_it_misses() -> None:
    score = mutation_score(tm.mul, lambda: tm.testing.check_gradient(lambda a: np.sum(a * (X + 1)), X))
    kinds = {m.kind for m in score.survivors}
    assert "second order only" in kinds and "wrong dtype" in kinds and 0 < score.score < 1
    assert repr(score).startswith(f"MutationScore: {len(score.noticed)} of {len(mutants(tm.mul))} noticed")
    assert "survived: Mutant(mul, " in repr(score)


def test_a_test_may_assert_return_or_raise() -> None:
    def asserts() -> None:
        assert gradient(tm.mul, X, X)[0] == pytest.approx(X)

    def returns() -> bool:
        return gradient(tm.mul, X, X)[0].tolist() == X.tolist()

    some = [m for m in mutants(tm.mul) if m.kind == "dropped factor"]
    first = [m for m in some if (m.before, m.after) == ("g * b", "g")]
    assert mutation_score(tm.mul, asserts, of=first).score == mutation_score(tm.mul, returns, of=first).score == 1.0
    assert mutation_score(tm.mul, lambda: None, of=some) == MutationScore((), tuple(some))


def test_scores_add_up() -> None:
    some = mutants(tm.mul)
    total = sum([MutationScore(tuple(some), ()), MutationScore((), (some[0],))], MutationScore())
    assert total.score == len(some) / (len(some) + 1)


def test_misuse() -> None:
    with pytest.raises(tm.ArgumentError, match=r"the test fails with the right rules of mul.*it returned False"):
        mutation_score(tm.mul, lambda: False)
    with pytest.raises(tm.ArgumentError, match="mutants takes an op, not <function helper"):
        mutants(helper)
    assert mutants(tm.sign) == []
    np.testing.assert_allclose(X, X)
