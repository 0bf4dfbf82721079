"""Rows of the parts of floating-point numbers, of integers and their bits, and of the Bessel function of `np.i0`."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from tapem.ops import bessel, floating, integers
from tests.tables import Row
from tests.tables.elementwise import PAIRS, SHAPES, constant, one, spread, two


def whole(*shape: int) -> Any:
    return np.arange(1, 1 + int(np.prod(shape))).reshape(shape)


def derivative_of_i0(x: Any, n: int) -> Any:
    """By SciPy's functions of higher orders: each derivative is the mean of the orders above and below."""
    return sum(scipy.special.comb(n, k) * scipy.special.iv(abs(n - 2 * k), x) for k in range(n + 1)) / 2**n


EDGES = np.array([0.0, -0.0, 1.0, -2.0, 0.5, 1e-300, 1e38, np.inf, -np.inf, np.nan])
BITS = np.array([[5, 6, 3], [-4, 1, 12]])

ROWS: list[Row] = [
    *[Row(floating.ldexp, (spread(-2, 2, a), whole(*b)), {}, np.ldexp) for a, b in PAIRS],
    Row(floating.ldexp, (spread(-2, 2, (2, 3)), 3), {}, np.ldexp, "number right"),
    Row(floating.ldexp, (0.7, BITS), {}, np.ldexp, "number left"),
    *[constant(floating.exponent, spread(0.6, 40, shape), reference=lambda x: np.frexp(x)[1]) for shape in SHAPES],
    constant(floating.exponent, EDGES, reference=lambda x: np.frexp(x)[1]),
    *one(floating.fraction, 0.1, 0.9, lambda x: np.modf(x)[0]),
    *one(floating.fraction, -2.9, -2.1, lambda x: np.modf(x)[0]),
    *two(floating.nextafter, -2, 2),
    *[constant(floating.spacing, spread(1.1, 1.9, shape)) for shape in SHAPES],
    *[row for n in range(4) for row in one(bessel.i0_derivative, -4, 4, derivative_of_i0, n=n)],
    Row(bessel.i0_derivative, (np.array([0.0, 1e-9, 30.0, 700.0]),), {"n": 1}, derivative_of_i0, "far", order=0),
    *[
        constant(op, whole(*a), whole(*b))
        for op in (integers.gcd, integers.lcm, integers.left_shift, integers.right_shift)
        for a, b in [*PAIRS, ((1,), (0,))]
    ],
    *[constant(op, BITS, 3) for op in (integers.gcd, integers.lcm, integers.left_shift, integers.right_shift)],
    *[constant(integers.bitwise_count, whole(*shape)) for shape in SHAPES],
    constant(integers.bitwise_count, BITS),
]
