"""Fourier transforms: their matrices, closed forms, dtypes, and what they refuse. tests/tables has every option."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapem as tm

RNG = np.random.default_rng(12)
X = RNG.normal(size=6)
Z = X + 1j * RNG.normal(size=6)
LINES = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
OF_REAL = {"rfft", "rfft2", "rfftn", "ihfft"}
ALL = [*LINES, *(f"{name}{kind}" for kind in "2n" for name in ("fft", "ifft", "rfft", "irfft"))]


@pytest.mark.parametrize("n", [None, 4, 5, 9])
@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("name", LINES)
def test_the_derivatives_are_the_matrix_and_its_transpose(name: str, norm: Any, n: int | None) -> None:
    """NumPy itself gives the matrix: the transforms of unit vectors, in both real directions."""
    transform = getattr(np.fft, name)
    f = lambda x: transform(x, n, norm=norm)  # noqa: E731
    matrix = np.stack([f(unit) for unit in np.eye(6)], axis=1)
    g = RNG.normal(size=len(matrix)) * (1 if matrix.dtype == float else 1 + 2j)
    y, pullback = tm.vjp(f, X)
    np.testing.assert_allclose(y, f(X), rtol=1e-14)
    np.testing.assert_allclose(tm.jvp(f, (X,), (X[::-1],))[1], matrix @ X[::-1], rtol=1e-12)
    np.testing.assert_allclose(pullback(g)[0], (matrix.T @ g).real, rtol=1e-12, atol=1e-14)
    if name in OF_REAL:
        return
    turned = np.stack([f(1j * unit) for unit in np.eye(6)], axis=1)
    expected = matrix.T @ g if matrix.dtype == complex else matrix.T @ g - 1j * (turned.T @ g)
    np.testing.assert_allclose(tm.vjp(f, Z)[1](g)[0], expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(tm.jvp(f, (Z,), (1j * X,))[1], turned @ X, rtol=1e-12, atol=1e-14)


def test_closed_forms() -> None:
    """Parseval's theorem, the theorem of convolution, and a filter that keeps some frequencies only."""
    np.testing.assert_allclose(tm.grad(lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2))(X), 2 * 6 * X)
    np.testing.assert_allclose(tm.grad(lambda z: np.sum(np.abs(np.fft.fft(z, norm="ortho")) ** 2))(Z), 2 * Z.conj())
    circulant = np.stack([np.roll(X, k) for k in range(6)], axis=1)
    convolved = lambda y: np.fft.irfft(np.fft.rfft(X) * np.fft.rfft(y), 6)  # noqa: E731
    np.testing.assert_allclose(tm.jacrev(convolved)(Z.imag), circulant, atol=1e-15)
    np.testing.assert_allclose(tm.jacfwd(convolved)(Z.imag), circulant, atol=1e-15)
    energy = lambda x: np.sum(np.abs(np.fft.rfftn(x)[:2]) ** 2)  # noqa: E731
    hessian = tm.hessian(energy)(X)
    low = np.cos(2 * np.pi / 6 * np.subtract.outer(np.arange(6), np.arange(6)))
    np.testing.assert_allclose(hessian, 2 + 2 * low, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_single_precision_is_kept(name: str) -> None:
    transform = getattr(np.fft, name)
    z = RNG.normal(size=(4, 4)).astype(np.float32) * (np.float32(1) if name in OF_REAL else np.complex64(1 + 2j))
    y, pullback = tm.vjp(transform, z)
    assert y.dtype == transform(z).dtype and y.dtype.itemsize in (4, 8)
    assert pullback(y)[0].dtype == z.dtype
    assert tm.jvp(transform, (z,), (z,))[1].dtype == y.dtype
    x = z.real.copy()
    assert tm.vjp(transform, x)[1](transform(x))[0].dtype == np.float32


@pytest.mark.parametrize("name", ALL)
def test_batches_are_not_transformed(name: str) -> None:
    transform = getattr(np.fft, name)
    xs = RNG.normal(size=(3, 2, 4, 5))
    np.testing.assert_allclose(tm.vmap(transform)(xs), np.stack([transform(x) for x in xs]), rtol=1e-12, atol=1e-14)
    along: dict[str, Any] = {"axis": 0} if name in LINES else {"axes": (-1, 0)}
    moved = tm.vmap(lambda x: transform(x, **along), in_axes=2)(xs)
    expected = np.stack([transform(x, **along) for x in np.moveaxis(xs, 2, 0)])
    np.testing.assert_allclose(moved, expected, rtol=1e-12, atol=1e-14)


REFUSED: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "no axis": (np.fft.fft, np.float64(1.0), tm.ArgumentError, r"fft_fft\(x\).*axis -1 is out of bounds"),
    "no axes": (np.fft.fftn, np.float64(1.0), tm.ArgumentError, r"fft_fftn\(x\).*no axis to transform along"),
    "an axis out of range": (lambda x: np.fft.rfft(x, axis=2), X, tm.ArgumentError, "axis 2 is out of bounds"),
    "an axis twice": (lambda x: np.fft.fftn(x, axes=(0, -1)), X, tm.ArgumentError, "repeated axis"),
    "another norm": (lambda x, unit="unit": np.fft.irfft(x, norm=unit), X, tm.ArgumentError, "Invalid norm value unit"),
    "no elements": (lambda x: np.fft.fft(x[:0]), X, tm.ArgumentError, "Invalid number of FFT data points"),
    "sizes without axes": (
        lambda x: np.fft.ifft2(x, (2, 2, 2)),
        np.eye(2),
        tm.ArgumentError,
        "s has 3 sizes, but axes has 2",
    ),
    "complex input": (np.fft.rfft, Z, tm.DTypeError, r"fft_rfft\(x\): x is complex128, where Real"),
    "a traced size": (lambda x: np.fft.fft(x, x[0]), X, tm.NoRuleError, "'n' decides the shape"),
    "out=": (lambda x: np.fft.fft(x, out=np.zeros(6, complex)), X, tm.MutationError, "out="),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    f, x, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        tm.vjp(f, x)


def test_frequencies_are_constants() -> None:
    f = lambda x: np.sum(np.fft.fftfreq(len(x), 0.5) * x + np.fft.rfftfreq(10)[:6] * x)  # noqa: E731
    np.testing.assert_array_equal(tm.grad(f)(X), np.fft.fftfreq(6, 0.5) + np.fft.rfftfreq(10))
