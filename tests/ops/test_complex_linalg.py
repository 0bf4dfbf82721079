"""NumPy's linear algebra of complex matrices: NumPy's values, and derivatives by differences in both real directions.

tests/tables/complex_numbers.py has rows of the ops; here are the functions that are made of them, and what no row says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.core.tree import tree_flatten
from tapem.ops.eigen import as_real
from tapem.testing import check_grads

RNG = np.random.default_rng(1)


def values(*shape: int) -> Any:
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


Z = values(3, 3) + 2 * np.eye(3)
B = values(3, 2)
TALL, WIDE = values(4, 3), values(3, 4)
HERMITIAN = Z @ Z.conj().T + np.eye(3)
AXES = values(2, 3, 6)


def products(v: Any) -> Any:
    """What of vectors does not depend on their phases."""
    return np.einsum("...ij,...kj->...jik", v, np.conj(v))


FUNCTIONS: dict[str, tuple[Any, Any]] = {
    **{f"matrix_power {n}": (lambda z, n=n: np.linalg.matrix_power(z, n), Z) for n in (-2, 0, 3)},
    "multi_dot": (lambda z: np.linalg.multi_dot([z, TALL.T, TALL, z]), Z),
    **{f"norm {o}": (lambda z, o=o: np.linalg.norm(z, o), Z) for o in (None, "fro", "nuc", 1, -1, 2, -2, np.inf)},
    "norm nuc of wide ones": (lambda z: np.linalg.matrix_norm(z, ord="nuc"), np.stack([WIDE, 1j * WIDE])),
    # Before NumPy 2.3 the condition numbers of complex matrices were complex.
    **{f"cond {p}": (lambda z, p=p: np.real(np.linalg.cond(z, p)), Z) for p in (None, -2, "fro", 1)},
    "lstsq of a tall one": (lambda z: np.linalg.lstsq(z, np.ones((4, 2)) * 1j)[:2], TALL),
    "lstsq of a wide one": (lambda z: np.linalg.lstsq(z, B)[0], WIDE),
    "lstsq of a real one": (lambda b: np.linalg.lstsq(TALL.real, b)[:2], TALL),
    "tensorinv": (lambda z: np.linalg.tensorinv(z, ind=2), AXES),
    "tensorsolve": (lambda z: np.linalg.tensorsolve(z, np.ones((2, 3)) + 1j), AXES),
    "solve for real columns": (lambda z: np.linalg.solve(z, B.real), Z),
    "solve with a real matrix": (lambda b: np.linalg.solve(Z.real, b), B),
    "cho_solve": (lambda z: tm.cho_solve(np.linalg.cholesky(z), B), HERMITIAN),
    "cho_solve, upper": (lambda z: tm.cho_solve(np.linalg.cholesky(z, upper=True), B, lower=False), HERMITIAN),
    "logarithm of the determinant": (lambda z: np.log(np.linalg.slogdet(z)[0]) + np.linalg.slogdet(z)[1], Z),
    "cov": (lambda z: np.cov(z), TALL),
    "cov of two": (lambda z: np.cov(z, WIDE, ddof=0), WIDE),
    "corrcoef": (lambda z: np.corrcoef(z), WIDE),
    "polyfit": (lambda z: np.polyfit(z, np.arange(4.0), 2), TALL[:, 0]),
    "expm": (lambda z: tm.expm(z), 0.3 * Z),
    "eig": (lambda z: np.linalg.eig(z), Z),
    "projectors of eig": (lambda z: products(np.linalg.eig(z)[1]), Z),
    **{f"pinv {z.shape}": (lambda z: np.linalg.pinv(z), z) for z in (TALL, WIDE, Z)},
    "pinv of hermitian ones": (lambda z: np.linalg.pinv(z, hermitian=True), HERMITIAN),
    "pinv of a lower rank": (lambda z: np.linalg.pinv(z @ WIDE[:2], 1e-6), TALL[:, :2]),
    "eigvals": (lambda z: np.linalg.eigvals(z), Z),
    "root by eig": (lambda z: (lambda w, v: v * np.sqrt(w) @ np.linalg.inv(v))(*np.linalg.eig(z)), Z),
    "roots": (lambda z: np.roots(z), Z[0]),
    "poly": (lambda z: np.poly(z), TALL[:, 0]),
    "poly of a matrix": (lambda z: np.poly(z), Z),
    "projectors of eigh": (lambda z: products(np.linalg.eigh(z, "U")[1]), HERMITIAN),
    "logarithm by eigh": (lambda z: (lambda w, v: (v * np.log(w)) @ np.conj(v).T)(*np.linalg.eigh(z)), HERMITIAN),
    "svd of hermitian ones": (
        lambda z: (lambda u, s, vh: (products(u), s, (u * s**2) @ vh))(
            *np.linalg.svd(z - 3 * np.eye(3), hermitian=True)
        ),
        HERMITIAN,
    ),
    "polar by svd": (lambda z: (lambda u, s, vh: u @ vh)(*np.linalg.svd(z, full_matrices=False)), TALL),
}


@pytest.mark.parametrize("name", FUNCTIONS)
class TestFunctions:
    def test_value_and_derivatives(self, name: str) -> None:
        f, z = FUNCTIONS[name]
        expected, found = tree_flatten(f(z))[0], tree_flatten(tm.vjp(f, z)[0])[0]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
            assert one.dtype == other.dtype and np.shape(one) == np.shape(other)
        check_grads(f, (z,), order=2)

    def test_single_precision(self, name: str) -> None:
        f, z = FUNCTIONS[name]
        z = z.astype(np.complex64)
        value, pull = tm.vjp(f, z)
        assert [one.dtype for one in tree_flatten(value)[0]] == [one.dtype for one in tree_flatten(f(z))[0]]
        (gradient,) = pull(tm.tree_map(np.ones_like, value))
        assert gradient.dtype == np.complex64

    def test_vmap(self, name: str) -> None:
        f, z = FUNCTIONS[name]
        if name.startswith("lstsq"):  # it looks at the rank
            return
        zs = np.stack([z, z * np.exp(0.3j) if z is not HERMITIAN else 2 * z])

        def slopes(z: Any) -> Any:
            return tm.vjp(f, z)[1](tm.tree_map(np.ones_like, f(z)))[0]

        one_by_one = np.stack([slopes(z) for z in zs])
        np.testing.assert_allclose(tm.vmap(slopes)(zs), one_by_one, rtol=1e-9, atol=1e-10)


def test_gradients_known_in_closed_form() -> None:
    """The gradient of a real f at z is df/dx - i df/dy, so that df is the real part of the sum of gradient * dz."""
    np.testing.assert_allclose(tm.grad(lambda z: np.linalg.slogdet(z)[1])(Z), np.linalg.inv(Z).T, rtol=1e-10)
    np.testing.assert_allclose(tm.grad(np.linalg.det, holomorphic=True)(Z), np.linalg.det(Z) * np.linalg.inv(Z).T)
    u, _, vh = np.linalg.svd(Z)
    np.testing.assert_allclose(tm.grad(lambda z: np.linalg.norm(z, "nuc"))(Z), (u @ vh).conj(), rtol=1e-10)
    # log det a = 2 sum log diag L, of the lower triangle alone: each element off the diagonal stands for two.
    slope = tm.grad(lambda a: 2 * np.sum(np.log(np.real(np.diagonal(np.linalg.cholesky(a))))))(HERMITIAN)
    inverse = np.linalg.inv(HERMITIAN)
    np.testing.assert_allclose(slope, np.tril(2 * inverse.T, -1) + np.diag(np.diag(inverse).real), atol=1e-12)


def test_determinants_of_singular_matrices() -> None:
    left, right, direction = values(4, 2), values(2, 4), values(4, 4)
    for rank in (0, 1, 2):
        a = left[:, :rank] @ right[:rank]
        at = np.linspace(-1.0, 1.0, 5)
        polynomial = np.polynomial.Polynomial(
            np.linalg.solve(np.vander(at, increasing=True), [np.linalg.det(a + t * direction) for t in at])
        )
        slope = tm.grad(tm.det, holomorphic=True)(a)
        np.testing.assert_allclose(np.sum(slope * direction), polynomial.deriv(1)(0.0), atol=1e-9)
        turned = tm.jvp(tm.grad(tm.det, holomorphic=True), (a,), (direction,))[1]
        np.testing.assert_allclose(np.sum(turned * direction), polynomial.deriv(2)(0.0), atol=1e-8)


def test_what_has_no_derivative_says_so() -> None:
    eye = np.eye(2, dtype=complex)
    for f, words in [
        (lambda z: np.linalg.eigh(z)[1], "eigenvalues 0 and 1 of a are both 1"),
        (lambda z: np.linalg.svd(z)[0], "singular values 0 and 1 of a are both 1"),
    ]:
        with pytest.raises(tm.ArgumentError, match=words):
            tm.grad(lambda z: np.sum(np.abs(f(z))))(eye)  # noqa: B023
    for f, words in [
        (np.linalg.inv, "a is singular: its rank is 1"),
        (lambda z: np.linalg.slogdet(z)[1], "slogdet has no derivative at a singular matrix"),
        (np.linalg.cholesky, "a is not positive definite: its least eigenvalue is"),
        (lambda z: np.linalg.qr(z)[1], "column 1 of a is a combination"),
    ]:
        with pytest.raises(tm.ArgumentError, match=words):
            tm.jvp(f, (eye[:1] + 0 * eye - (f is np.linalg.cholesky) * 2,), (eye,))
    # Values alone have a derivative: symmetric functions of equal ones, and singular values at zero.
    np.testing.assert_allclose(tm.grad(lambda z: np.sum(np.linalg.eigh(z)[0] ** 2))(eye), 2 * eye, atol=1e-12)
    np.testing.assert_array_equal(tm.grad(lambda z: np.linalg.norm(z, "nuc"))(0 * eye), 0 * eye)


def test_a_pseudo_inverse_that_leaves_something_out_has_no_derivative() -> None:
    a = np.diag([3.0, 1.0])
    for find in (tm.grad, lambda f: lambda a: tm.jvp(f, (a,), (a,))):
        with pytest.raises(
            tm.ArgumentError, match=r"pinv: rcond=0.5 leaves out singular value 1 of a, 1, which is not"
        ):
            find(lambda a: np.sum(np.linalg.pinv(a, 0.5)))(a)
    with pytest.raises(ValueError, match="can't be both set"):
        tm.grad(lambda a: np.sum(np.linalg.pinv(a, 0.5, rtol=0.1)))(a)


class TestRoots:
    def test_zeros_among_the_coefficients(self) -> None:
        """A root at 0 moves with the last coefficient, and a leading one of 0 moves the roots that there are."""
        value, pull = tm.vjp(np.roots, np.array([0.0, 1.0, -1.0, 0.0]))
        np.testing.assert_allclose(value, [1.0, 0.0])
        # Of p(x) = a x^3 + b x^2 + c x + d at its roots 1 and 0, where its slope is 1 and -1.
        np.testing.assert_allclose(pull(np.array([1.0, 0.0]))[0], [-1, -1, -1, -1], atol=1e-12)
        np.testing.assert_allclose(pull(np.array([0.0, 1.0]))[0], [0, 0, 0, 1], atol=1e-12)

    def test_double_roots(self) -> None:
        for p in ([1.0, -2.0, 1.0], [1.0, 1.0, 0.0, 0.0], np.poly([3.0, 0.5, 3.0])):
            for find in (tm.grad(lambda p: np.sum(np.abs(np.roots(p)))), lambda p: tm.jvp(np.roots, (p,), (p,))):
                with pytest.raises(tm.ArgumentError, match=r"np\.roots: roots \d and \d are both .*a double root"):
                    find(np.array(p))

    def test_shapes(self) -> None:
        with pytest.raises(tm.ArgumentError, match=r"np\.roots takes the coefficients of one polynomial, not shape"):
            tm.vjp(np.roots, np.ones((2, 2)))
        with pytest.raises(tm.ArgumentError, match=r"np\.poly takes zeros in a vector, or a square matrix"):
            tm.vjp(np.poly, np.ones((2, 3)))
        with pytest.raises(tm.ArgumentError, match=r"np\.roots: the polynomials of a stack have 1 or 2 roots"):
            tm.vmap(lambda p: np.abs(np.roots(p)))(np.array([[1.0, 2.0, 3.0], [0.0, 1.0, 2.0]]))
        assert tm.vmap(np.roots)(np.array([[1.0, -3.0, 2.0]])).dtype == complex

    def test_the_polynomial_of_its_own_roots(self) -> None:
        p = np.array([1.0, 0.5, 3.0, 2.0])
        jacobian = tm.jacfwd(lambda p: np.poly(np.roots(p)))(p)
        expected = np.eye(4) - np.outer(p, [1, 0, 0, 0])
        np.testing.assert_allclose(jacobian, expected, atol=1e-12)


class TestEigenvaluesOfAnyMatrix:
    TURN = np.array([[0.5, 2.0, 0.3], [-1.0, 0.1, 0.2], [0.4, -0.3, 3.0]])

    def test_real_where_numpys_are(self) -> None:
        symmetric = self.TURN + self.TURN.T
        for f in (np.linalg.eigvals, lambda a: np.linalg.eig(a).eigenvalues, lambda a: np.linalg.eig(a).eigenvectors):
            for a in (symmetric, self.TURN, symmetric.astype(complex), np.stack([symmetric, self.TURN])):
                value = tm.vjp(f, a)[0]
                assert value.dtype == f(a).dtype
                np.testing.assert_array_equal(value, f(a))
            # Inside vmap the values are not known.
            assert tm.vmap(f)(symmetric[None]).dtype == complex
        assert tm.eig(symmetric)[0].dtype == tm.eigvals(symmetric).dtype == complex
        assert tm.eigvals(symmetric.astype(np.float32)).dtype == np.complex64
        np.testing.assert_allclose(
            tm.grad(lambda a: np.sum(np.linalg.eigvals(a) ** 2))(symmetric), 2 * symmetric, rtol=1e-10
        )

    def test_a_program_that_met_real_eigenvalues_does_not_lose_complex_ones(self) -> None:
        with pytest.raises(tm.DTypeError, match=r"now some are complex\. Use tm\.eig or tm\.eigvals"):
            as_real(tm.eigvals(self.TURN))

    def test_equal_eigenvalues(self) -> None:
        eye, defective = np.eye(3), np.array([[1.0, 1.0], [0.0, 1.0]])
        # The trace and the determinant.
        np.testing.assert_allclose(tm.grad(lambda a: np.sum(np.linalg.eigvals(a)))(2 * eye), eye, atol=1e-12)
        np.testing.assert_allclose(tm.grad(lambda a: np.prod(np.linalg.eig(a)[0]))(2 * eye), 4 * eye, atol=1e-12)
        for f in (lambda a: np.sum(np.linalg.eigvals(a)), lambda a: np.sum(np.linalg.eig(a)[0])):
            for find in (tm.grad(f), lambda a: tm.jvp(f, (a,), (a,))):  # noqa: B023
                with pytest.raises(tm.ArgumentError, match="eig: a is defective, to within rounding"):
                    find(defective)
        vectors = lambda a: np.sum(np.abs(np.linalg.eig(a)[1]))  # noqa: E731
        for find in (tm.grad(vectors), lambda a: tm.jvp(vectors, (a,), (a,))):
            with pytest.raises(tm.ArgumentError, match=r"eig: eigenvalues 0 and 1 of a are both 1\+0j.* use eigvals"):
                find(eye)

    @pytest.mark.parametrize("n", [3, 200])
    def test_the_order_of_lapack_without_vectors(self, n: int) -> None:
        """For large matrices it is not that of the eigenvalues with vectors."""
        rng = np.random.default_rng(n)
        a, t = rng.normal(size=(2, n, n))
        w, pushed = tm.jvp(tm.eigvals, (a,), (t,))
        np.testing.assert_array_equal(w, np.linalg.eigvals(a))
        near = [np.linalg.eigvals(a + h * t) for h in (1e-6, -1e-6)]
        ahead, behind = (each[np.argmin(np.abs(w[:, None] - each), axis=1)] for each in near)
        np.testing.assert_allclose(pushed, (ahead - behind) / 2e-6, rtol=1e-4, atol=1e-4)
        g = rng.normal(size=n) + 1j * rng.normal(size=n)
        pulled = tm.vjp(tm.eigvals, a)[1](g)[0]
        np.testing.assert_allclose(np.sum(pulled * t), np.sum(g * pushed).real, rtol=1e-8)


def test_only_the_triangle_that_is_read_has_a_cotangent() -> None:
    for f in (np.linalg.cholesky, np.linalg.eigvalsh):
        slope = tm.grad(lambda z: np.sum(np.abs(f(z)) ** 2))(HERMITIAN)  # noqa: B023
        assert np.all(np.triu(slope, 1) == 0) and np.all(np.diag(slope).imag == 0) and np.any(slope.imag)


def test_through_the_pure_door() -> None:
    a, tape = tm.Tape().leaf(HERMITIAN)

    @tm.do
    def program() -> Any:
        w, v = yield tm.eigh(a)
        sign, logarithm = yield tm.slogdet(a)
        x = yield tm.cho_solve(tm.cholesky(a), B)
        return (yield tm.sum(tm.abs(v) * w + logarithm * tm.real(sign)) + tm.sum(tm.abs(x)))

    def f(a: Any) -> Any:
        w, v = np.linalg.eigh(a)
        sign, logarithm = np.linalg.slogdet(a)
        x = tm.cho_solve(np.linalg.cholesky(a), B)
        return np.sum(np.abs(v) * w + logarithm * np.real(sign)) + np.sum(np.abs(x))

    out, tape = program().run(tape)
    np.testing.assert_allclose(tape.backward_scalar(out)[a], tm.grad(f)(HERMITIAN), rtol=1e-12)
    check_grads(f, (HERMITIAN,), order=1)
