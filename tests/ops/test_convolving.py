"""Convolution and correlation of lines: by way of Fourier transforms, and what they refuse. tests/tables has more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapem as tm

RNG = np.random.default_rng(5)
A = RNG.normal(size=5) + 1j * RNG.normal(size=5)
V = RNG.normal(size=3) + 1j * RNG.normal(size=3)


def by_fourier(a: Any, v: Any) -> Any:
    """The theorem of convolution: the product of the spectra, padded so that nothing wraps around."""
    return np.fft.ifft(np.fft.fft(a, 7) * np.fft.fft(v, 7))


def test_both_ways_have_one_derivative() -> None:
    g = RNG.normal(size=7) + 1j * RNG.normal(size=7)
    ways = [by_fourier, np.convolve, lambda a, v: np.correlate(a, v.conj()[::-1], "full")]
    results = [(y, *pullback(g)) for y, pullback in (tm.vjp(way, A, V) for way in ways)]
    for direct in results[1:]:
        for one, other in zip(direct, results[0], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-14)


def test_batches() -> None:
    lines, kernels = RNG.normal(size=(4, 5)), RNG.normal(size=(4, 3))
    for f in (np.convolve, lambda a, v: np.correlate(a, v, "same"), lambda a, v: np.correlate(v, a, "same")):
        expected = np.stack([f(a, v) for a, v in zip(lines, kernels, strict=True)])
        np.testing.assert_allclose(tm.vmap(f)(lines, kernels), expected)
        first = np.stack([f(a, kernels[0]) for a in lines])
        np.testing.assert_allclose(tm.vmap(lambda a, f=f: f(a, kernels[0]))(lines), first)
        other = np.stack([f(lines[0], v) for v in kernels])
        np.testing.assert_allclose(tm.vmap(lambda v, f=f: f(lines[0], v))(kernels), other)


WHOLE: Any = "whole"
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a line without elements": (lambda x: np.convolve(x, x[:0]), tm.ShapeError, "v cannot be empty"),
    "the same of a correlation": (lambda x: np.correlate(x[:0], x), tm.ShapeError, "cannot be empty"),
    "a matrix": (lambda x: np.convolve(np.outer(x, x), x), tm.ShapeError, r"convolve\(a, v\)"),
    "another mode": (lambda x, m=WHOLE: np.correlate(x, x, m), tm.ArgumentError, "mode='whole' is not known.*same"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    f, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        tm.vjp(f, A)
