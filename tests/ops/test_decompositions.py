"""Inverses, determinants and factorizations: every row against every judge, then what a table cannot say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.errors import ArgumentError, DTypeError, ShapeError, TapeError
from tapem.ops.solving import cofactors
from tapem.testing.rule_checks import insist, rule_report
from tests.tables import Row
from tests.tables.decompositions import ROWS

EYE = np.eye(3)
ALL = [tm.linalg_inv, tm.det, tm.slogdet, tm.cholesky, tm.eigh, tm.eigvalsh, tm.qr, tm.svd, tm.svdvals]
SQUARE = [tm.linalg_inv, tm.det, tm.slogdet, tm.cholesky, tm.eigh, tm.eigvalsh]


def values(*shape: int) -> Any:
    return np.random.default_rng(list(shape)).normal(size=shape)


def parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def gradient(f: Any, x: Any) -> Any:
    return tm.grad(lambda a: sum(np.sum(np.cos(part)) for part in parts(f(a))))(x)


DEFINED = (cofactors, tm.solve_triangular, tm.expm)


@pytest.mark.parametrize("row", ROWS, ids=str)
class TestRows:
    def test_value(self, row: Row) -> None:
        if row.reference is None:
            return
        value, expected = (parts(f(*row.operands, **row.static)) for f in (row.op, row.reference))
        for one, other in zip(value, expected, strict=True):
            if row.op in DEFINED:  # the reference is their definition, not the function that computes them
                np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
            else:
                np.testing.assert_array_equal(one, other)

    def test_rules(self, row: Row) -> None:
        insist(rule_report(row.op, row.operands, row.static, order=row.order, seed=0))

    def test_abstract(self, row: Row) -> None:
        value = parts(row.op(*row.operands, **row.static))
        kinds = parts(tm.eval_shape(lambda *xs: row.op(*xs, **row.static), *row.operands))
        assert [(k.shape, k.dtype) for k in kinds] == [(np.shape(one), one.dtype) for one in value]


class TestBadInput:
    @pytest.mark.parametrize("op", SQUARE, ids=str)
    def test_not_square(self, op: Any) -> None:
        for f in (op, lambda x: tm.eval_shape(op, x)):
            with pytest.raises(ShapeError, match=r"axis 'n' is both 2 and 3 in a \(2, 3\)"):
                f(np.ones((2, 3)))

    @pytest.mark.parametrize("op", ALL, ids=str)
    def test_too_few_axes(self, op: Any) -> None:
        for f in (op, lambda x: tm.eval_shape(op, x)):
            with pytest.raises(ShapeError, match="a must have at least 2 axes but has 1"):
                f(np.ones(3))

    @pytest.mark.parametrize("op", ALL, ids=str)
    def test_half_precision(self, op: Any) -> None:
        for f in (op, lambda x: tm.eval_shape(op, x)):
            with pytest.raises(DTypeError, match="float16 is unsupported"):
                f(np.eye(2, dtype=np.float16))

    def test_singular(self) -> None:
        stack = np.stack([EYE, np.ones((3, 3))])
        with pytest.raises(ArgumentError, match=r"a\[1\] is singular: its rank is 1, but it has 3 rows"):
            tm.linalg_inv(stack)
        with pytest.raises(ArgumentError, match="a is singular: its rank is 1"):
            tm.solve(np.ones((3, 3)), np.ones(3))
        with pytest.raises(ArgumentError, match="a is singular: its rank is 1"):
            tm.grad(lambda a: tm.slogdet(a)[1])(np.ones((3, 3)))

    def test_not_positive_definite(self) -> None:
        with pytest.raises(ArgumentError, match="a is not positive definite: its least eigenvalue is -2"):
            tm.cholesky(np.diag([1.0, -2.0]))
        with pytest.raises(ArgumentError, match=r"a\[1\] is not positive definite: its least eigenvalue is -1"):
            tm.cholesky(np.stack([EYE, -EYE]), upper=True)

    def test_solve_names_what_does_not_fit(self) -> None:
        with pytest.raises(ShapeError, match=r"axis 'n' is 3 in a .* but 4 in b"):
            tm.solve(EYE, np.ones(4))
        with pytest.raises(ShapeError, match=r"axes '\*batch' are \(2,\) in a .* which do not broadcast"):
            tm.solve(np.stack([EYE, EYE]), np.ones((3, 3, 2)))

    def test_modes(self) -> None:
        for f in (lambda g, x: g(x), tm.eval_shape):
            with pytest.raises(ArgumentError, match="mode='r', but it must be 'reduced' or 'complete'"):
                f(lambda a: tm.qr(a, mode="r"), EYE)
            for op in (tm.eigh, tm.eigvalsh):
                with pytest.raises(ArgumentError, match="UPLO='X', but it must be 'L'"):
                    f(lambda a, op=op: op(a, UPLO="X"), EYE)

    def test_what_does_not_converge(self) -> None:
        with pytest.raises(ArgumentError, match="did not converge"):
            tm.svd(np.full((2, 2), np.nan))


NO_DERIVATIVE: list[tuple[Any, Any, str]] = [
    (lambda a: tm.eigh(a), EYE, "eigenvalues 0 and 1 of a are both 1, to within rounding"),
    (lambda a: tm.eigh(a)[1], np.diag([1.0, 2.0, 2.0]), "eigenvalues 1 and 2 of a are both 2"),
    (lambda a: tm.eigh(a)[1], np.stack([np.diag([1.0, 2.0]), np.eye(2)]), r"eigenvalues 0 and 1 of a\[1\]"),
    (lambda a: tm.svd(a), EYE, "singular values 0 and 1 of a are both 1"),
    (lambda a: tm.svd(a), np.diag([2.0, 0.0]), "singular value 1 of a is 0, zero to within rounding"),
    (lambda a: tm.svd(a, full_matrices=False), np.ones((3, 2)), "singular value 1 of a is .*zero to within"),
    (lambda a: tm.svd(a), values(3, 2), "full_matrices=True, the last 1 singular vectors are not determined"),
    (lambda a: tm.qr(a), np.ones((3, 2)), "qr: column 1 of a is a combination of the columns before it"),
    (lambda a: tm.qr(a), np.ones((2, 3)), "qr: column 1 of a is a combination of the columns before it"),
    (lambda a: tm.qr(a, mode="complete"), values(3, 2), "the last 1 columns of Q are not determined"),
]


class TestNoDerivative:
    """Where there is no derivative both modes say so, first thing, and never answer NaN."""

    @pytest.mark.parametrize(("f", "x", "text"), NO_DERIVATIVE)
    def test_both_modes(self, f: Any, x: Any, text: str) -> None:
        with pytest.raises(ArgumentError, match=text):
            gradient(f, x)
        with pytest.raises(ArgumentError, match=text):
            tm.jvp(f, (x,), (np.ones_like(x),))
        with pytest.raises(ArgumentError):
            tm.vmap(lambda a: gradient(f, a))(np.stack([x, x]))

    def test_values_close_to_each_other_are_equal_to_within_rounding(self) -> None:
        q, _ = np.linalg.qr(values(3, 3))
        a = q @ np.diag([1.0, 1.0, 2.0]) @ q.T
        with pytest.raises(ArgumentError, match="eigenvalues 0 and 1 of a are both 1"):
            gradient(tm.eigh, a)

    def test_the_logarithm_of_the_identity(self) -> None:
        # The cotangent of v is zero here, yet to leave v out would give a wrong derivative: 0 off the diagonal.
        def log(a: Any) -> Any:
            w, v = tm.eigh(a)
            return np.sum((v * np.log(w)) @ v.T * np.arange(9.0).reshape(3, 3))

        with pytest.raises(ArgumentError, match="eigenvalues 0 and 1"):
            tm.grad(log)(EYE)


DEGENERATE = [
    EYE,
    np.diag([1.0, 2.0, 2.0]),
    np.zeros((3, 3)),
    np.stack([EYE, np.diag([1.0, 2.0, 3.0])]),
    np.ones((3, 2)),
]
VALUES_ALONE: dict[str, tuple[Any, Any]] = {
    "eigh": (lambda a: tm.eigh(a)[0], tm.eigvalsh),
    "np eigh": (lambda a: np.linalg.eigh(a, "U").eigenvalues, lambda a: np.linalg.eigvalsh(a, "U")),
    "svd": (lambda a: tm.svd(a)[1], tm.svdvals),
    "np svd": (lambda a: np.linalg.svd(a, full_matrices=False).S, np.linalg.svdvals),
    "np svd, full": (lambda a: np.linalg.svd(a)[1], np.linalg.svdvals),
}


class TestDegenerate:
    """Where a derivative exists although a formula divides by zero, it is right."""

    def test_symmetric_functions_of_equal_eigenvalues(self) -> None:
        q, _ = np.linalg.qr(values(3, 3))
        for a in (EYE, 2 * EYE, q @ np.diag([1.0, 1.0, 3.0]) @ q.T):
            found = tm.grad(lambda a: np.sum(tm.eigvalsh(a) ** 2))(a)
            np.testing.assert_allclose(found, np.tril(4 * a) - np.diag(2 * np.diag(a)), atol=1e-12)

    @pytest.mark.parametrize("name", VALUES_ALONE)
    @pytest.mark.parametrize("a", DEGENERATE, ids=lambda a: str(np.shape(a)))
    def test_values_alone_of_a_decomposition_with_vectors(self, name: str, a: Any) -> None:
        """They are differentiated as the op that gives nothing else, in both modes, under vmap and in a do program."""
        op, alone = VALUES_ALONE[name]
        if "eig" in name and a.shape[-1] != a.shape[-2]:
            return

        def f(a: Any) -> Any:
            return np.sum(np.sin(op(a)) ** 2)

        def g(a: Any) -> Any:
            return np.sum(np.sin(alone(a)) ** 2)

        direction = values(*a.shape[-2:])
        expected, pushed = tm.grad(g)(a), tm.jvp(g, (a,), (direction + 0 * a,))[1]
        np.testing.assert_allclose(tm.grad(f)(a), expected, atol=1e-12)
        np.testing.assert_allclose(tm.jvp(f, (a,), (direction + 0 * a,))[1], pushed, atol=1e-12)
        np.testing.assert_allclose(tm.vmap(tm.grad(f))(np.stack([a, a])), np.stack([expected] * 2), atol=1e-12)
        np.testing.assert_allclose(tm.jacfwd(f)(a), expected, atol=1e-12)
        with tm.debug_mode():
            np.testing.assert_allclose(tm.jvp(f, (a,), (direction + 0 * a,))[1], pushed, atol=1e-12)
        x, tape = tm.Tape().leaf(a)
        out, tape = tm.lift(f)(x).run(tape)
        np.testing.assert_allclose(tape.backward_scalar(out)[x], expected, atol=1e-12)

    def test_zeros_that_arrive_at_the_vectors_are_refused_however_they_are_stored(self) -> None:
        a = np.eye(110)  # beyond 10,000 elements a cotangent is a view of one number
        with pytest.raises(ArgumentError, match="eigenvalues 0 and 1"):
            tm.grad(lambda a: (lambda w, v: np.sum(v) * np.log(w[0]))(*tm.eigh(a)))(a)

    def test_nuclear_norm(self) -> None:
        nuclear = tm.grad(lambda a: np.sum(tm.svdvals(a)))
        np.testing.assert_allclose(nuclear(EYE), EYE, atol=1e-14)
        # A singular value of zero has the kink of an absolute value, where the derivative is 0.
        np.testing.assert_allclose(nuclear(np.diag([2.0, 0.0])), np.diag([1.0, 0.0]), atol=1e-14)
        np.testing.assert_array_equal(nuclear(np.zeros((2, 3))), np.zeros((2, 3)))
        _, pushed = tm.jvp(tm.svdvals, (np.diag([2.0, 0.0]),), (np.ones((2, 2)),))
        np.testing.assert_allclose(pushed, [1.0, 0.0], atol=1e-14)

    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
    @pytest.mark.parametrize("rank", [0, 1, 2, 3])
    def test_determinant_of_singular_matrices(self, n: int, rank: int) -> None:
        left, right = values(n, rank + 5)[:, :rank], values(rank + 6, n)[:rank]
        a, direction = left @ right, values(n, n)
        # A polynomial of degree n in t is known from n + 1 of its values, so its derivatives are too.
        at = np.linspace(-1.0, 1.0, n + 1)
        first, second = (
            np.polynomial.Polynomial.fit(at, [np.linalg.det(a + t * direction) for t in at], n).deriv(k)(0.0)
            for k in (1, 2)
        )
        slope = tm.grad(tm.det)(a)
        np.testing.assert_allclose(np.sum(slope * direction), first, atol=1e-10)
        _, turned = tm.jvp(tm.grad(tm.det), (a,), (direction,))
        np.testing.assert_allclose(np.sum(turned * direction), second, atol=1e-9)
        hessian = tm.vmap(lambda x: tm.jvp(tm.grad(tm.det), (x,), (direction,))[1])(np.stack([a, a]))
        np.testing.assert_allclose(hessian[1], turned, atol=1e-12)

    def test_third_derivative_of_the_determinant(self) -> None:
        a, direction = np.eye(3), values(3, 3)  # of the identity, whose singular values are all equal

        def along(t: Any) -> Any:
            return tm.det(a + t * direction)

        third = tm.grad(tm.grad(tm.grad(along)))(0.0)
        np.testing.assert_allclose(third, 6 * np.linalg.det(direction), rtol=1e-9)
        with pytest.raises(TapeError, match="is singular"):
            tm.grad(tm.grad(tm.grad(lambda t: tm.det(t * direction))))(0.0)

    def test_determinants_that_overflow(self) -> None:
        a = 1e200 * np.diag([1.0, 2.0])
        assert tm.slogdet(a)[1] == np.linalg.slogdet(a)[1]
        np.testing.assert_allclose(tm.grad(lambda a: tm.slogdet(a)[1])(a), np.linalg.inv(a).T)


class TestConventions:
    def test_only_the_triangle_that_is_read_has_a_cotangent(self) -> None:
        x = values(3, 3)
        a = x @ x.T + 3 * EYE
        for op, upper in [(tm.cholesky, {"upper": True}), (tm.eigvalsh, {"UPLO": "U"}), (tm.eigh, {"UPLO": "U"})]:
            lower = gradient(op, a)
            assert np.all(np.triu(lower, 1) == 0) and np.any(np.tril(lower, -1))
            other = gradient(lambda a: op(a, **upper), a)  # noqa: B023
            assert np.all(np.tril(other, -1) == 0) and np.any(np.triu(other, 1))

    def test_symmetric_perturbations_see_the_symmetric_gradient(self) -> None:
        x = values(3, 3)
        a = x @ x.T + 3 * EYE
        # log det a = 2 sum log diag L has the gradient a^-1.
        found = tm.grad(lambda a: 2 * np.sum(np.log(np.diagonal(tm.cholesky(a)))))(a)
        np.testing.assert_allclose((found + found.T) / 2, np.linalg.inv(a), rtol=1e-10)

    def test_results_that_nobody_uses(self) -> None:
        a = values(3, 3) + 3 * EYE
        np.testing.assert_allclose(tm.grad(lambda a: tm.slogdet(a)[0])(a), 0 * a)
        np.testing.assert_allclose(tm.grad(lambda a: tm.slogdet(a)[1])(a), np.linalg.inv(a).T)

    def test_integers_become_float64(self) -> None:
        for op in ALL:
            for part in parts(op(np.array([[2, 1], [1, 3]]))):
                assert part.dtype == np.float64

    def test_one_matrix_for_many_right_hand_sides_is_factorized_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        a, b = values(3, 3), values(5, 3)
        seen: list[Any] = []
        implementation = tm.solve.implementation
        monkeypatch.setattr(tm.solve, "implementation", lambda a, b: seen.append(a.shape) or implementation(a, b))
        found = tm.vmap(lambda b: tm.solve(a, b))(b)
        np.testing.assert_allclose(found, np.linalg.solve(a, b.T).T)
        assert seen == [(3, 3)]

    def test_numpys_names_reach_them(self) -> None:
        a = values(3, 3) + 3 * EYE
        s = a @ a.T
        pairs = [
            (np.linalg.inv, tm.linalg_inv, a),
            (np.linalg.det, tm.det, a),
            (lambda a: np.linalg.solve(a, a[0]), lambda a: tm.solve(a, a[0]), a),
            (lambda a: np.linalg.slogdet(a)[1], lambda a: tm.slogdet(a)[1], a),
            (np.linalg.cholesky, tm.cholesky, s),
            (np.linalg.eigvalsh, tm.eigvalsh, s),
            (lambda a: tuple(np.linalg.eigh(a)), tm.eigh, s),
            (lambda a: tuple(np.linalg.qr(a)), tm.qr, a),
            (lambda a: tuple(np.linalg.svd(a)), tm.svd, a),
            (np.linalg.svdvals, tm.svdvals, a),
        ]
        for by_numpy, own, x in pairs:
            np.testing.assert_array_equal(gradient(by_numpy, x), gradient(own, x))

    def test_through_the_pure_door(self) -> None:
        a, tape = tm.Tape().leaf(np.diag([2.0, 1.0]))

        @tm.do
        def program() -> Any:
            w, v = yield tm.eigh(a)
            return (yield tm.sum(w * w + v[0]))

        out, tape = program().run(tape)
        assert tape.backward_scalar(out)[a].shape == (2, 2)
