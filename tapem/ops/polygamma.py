"""The derivatives of psi, which is the logarithmic derivative of the gamma function.

SciPy computes them for real numbers. For complex ones it has psi alone; its derivatives are computed here, by their
asymptotic expansion. Sources: the NIST Digital Library of Mathematical Functions, dlmf.nist.gov, 5.15 and 25.11.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Complex, Float, Real
from numpy.polynomial import Polynomial

from tapem.errors import ArgumentError, MissingExtraError
from tapem.ops.declare import elementwise
from tapem.types import Tensor

__all__ = ["polygamma"]

# Not NumPy's long doubles, of which SciPy knows nothing.
T = Real[Tensor, "*shape"] | Bool[Tensor, "*shape"] | Complex[Tensor, "*shape"]
Out = Float[Tensor, "*shape"] | Complex[Tensor, "*shape"]
Plane = npt.NDArray[np.complex128]

FAR = 20
"""The real part from which the expansion is right to the last digits."""
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)
"""The Bernoulli numbers of even order, from the second on."""


def _special() -> Any:
    try:
        return importlib.import_module("scipy.special")
    except ImportError as error:
        raise MissingExtraError(
            'tm.polygamma needs SciPy, which is not installed: pip install "tapem[scipy]".'
        ) from error


@elementwise(lambda g, y, x, n: g * polygamma(x, n=n + 1))
def polygamma(x: T, n: int) -> Out:
    """The n-th derivative of psi at `x`, as `scipy.special.polygamma(n, x)`.

    Real or Bool or Complex "*shape" -> Float or Complex "*shape". SciPy's function of this name converts its arguments
    to arrays, so it does not reach traced values; and it takes real numbers only. Raises ArgumentError unless `n` is an
    integer of at least 0, MissingExtraError without SciPy.

    >>> round(float(polygamma(1.0, n=1)), 6) == round(np.pi**2 / 6, 6)
    True
    >>> bool(np.isclose(tm.grad(polygamma)(2.5, 0), polygamma(2.5, 1)))
    True
    """
    if n < 0 or int(n) != n:
        raise ArgumentError(f"polygamma: n is {n!r}, but must be an integer of at least 0.")
    special = _special()
    if np.iscomplexobj(x):
        value: Any = special.psi(x) if n == 0 else _in_the_plane(np.asarray(x, complex), int(n))
        return value.astype(np.result_type(x))[()]
    value = special.polygamma(n, x)  # which SciPy computes in float64
    return value.astype(np.result_type(x, np.float16)) if hasattr(x, "dtype") else value


def _in_the_plane(z: Plane, n: int) -> Plane:
    """The n-th derivative of psi at complex numbers, n at least 1; left of 0 by reflection (DLMF 5.15.6)."""
    left = z.real < 0
    mirrored = np.where(left, 1 - z, z)
    right = (-1) ** (n + 1) * math.factorial(n) * _zeta(n + 1, mirrored)
    if not left.any():
        return right
    # The derivatives of a cotangent are polynomials in it, each with the factor 1 + its square, which would cancel far
    # from the real line. There both are nearly those of q = 0.
    factor = Polynomial([0, 1])
    for _ in range(n - 1):
        factor = -math.pi * Polynomial([1, 0, 1]) * factor.deriv()
    within: Plane = np.where(left, z - np.round(z.real), 0.5 + 0j)
    side = np.where(within.imag < 0, -1, 1)
    turned = 2j * math.pi * side * within
    q, less_one = np.exp(turned), np.expm1(turned)
    cotangent = side * 1j * (q + 1) / less_one
    one_and_square = -4 * q / less_one**2
    slope: Any = -math.pi * factor.deriv()(cotangent) * one_and_square
    return np.where(left, (-1) ** n * right - math.pi * slope, right)


def _zeta(s: int, z: Plane) -> Plane:
    """The sum of (z + k)^-s over all k, right of 0: the first terms, and the formula of Euler and Maclaurin."""
    steps = np.maximum(np.ceil(FAR - z.real), 0)
    total = np.zeros_like(z)
    for k in range(int(steps.max(initial=0))):
        near = k < steps
        total += np.where(near, np.where(near, z + k, 1) ** -s, 0)
    w = z + steps
    total += w ** (1 - s) / (s - 1) + w**-s / 2
    factor = s * w ** (-s - 1) / 2
    for j, bernoulli in enumerate(BERNOULLI, start=1):
        total += bernoulli * factor
        factor = factor * ((s + 2 * j - 1) * (s + 2 * j)) / ((2 * j + 1) * (2 * j + 2)) / w**2
    return total
