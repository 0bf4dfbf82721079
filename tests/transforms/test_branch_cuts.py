"""On a branch cut the sign of a zero says which side is meant; the derivative is that of the side of NumPy's value.

The judges are differences along the cut, which keep that sign, and the limit from that side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.ops.scipy import special
from tapem.testing import check_gradient

H = 1e-3
REAL_CUTS: dict[str, tuple[Callable[[Any], Any], tuple[float, ...]]] = {
    "log": (np.log, (-4.0, -0.25)),
    "log2": (np.log2, (-4.0,)),
    "log10": (np.log10, (-4.0,)),
    "log1p": (np.log1p, (-4.0,)),
    "sqrt": (np.sqrt, (-4.0, -0.25)),
    "power 0.3": (lambda z: z**0.3, (-4.0,)),
    "power 1 - 2j": (lambda z: z ** (1 - 2j), (-4.0,)),
    "exponent": (lambda z: np.power(z, z), (-1.5,)),
    "arcsin": (np.arcsin, (-2.0, 2.0)),
    "arccos": (np.arccos, (-2.0, 2.0)),
    "arccosh": (np.arccosh, (-2.0, 0.5, -0.5)),
    "arctanh": (np.arctanh, (-2.0, 2.0)),
    "loggamma": (special.loggamma, (-0.5, -2.5)),
    "exp1": (special.exp1, (-1.5,)),
}
IMAGINARY_CUTS: dict[str, tuple[Callable[[Any], Any], tuple[float, ...]]] = {
    "arcsinh": (np.arcsinh, (-2.0, 2.0)),
    "arctan": (np.arctan, (-2.0, 2.0)),
}
CUTS = [
    *((name, f, x, False) for name, (f, places) in REAL_CUTS.items() for x in places),
    *((name, f, y, True) for name, (f, places) in IMAGINARY_CUTS.items() for y in places),
]


@pytest.mark.parametrize("zero", [0.0, -0.0], ids=["+0", "-0"])
@pytest.mark.parametrize(("name", "f", "at", "upright"), CUTS, ids=[f"{name} at {at}" for name, _, at, _ in CUTS])
def test_both_sides(name: str, f: Callable[[Any], Any], at: float, upright: bool, zero: float) -> None:
    def point(t: float, across: float = zero) -> complex:
        return complex(across, at + t) if upright else complex(at + t, across)

    rows = [(f(point(h)) - f(point(-h))) / (2 * h) / (1j if upright else 1) for h in (2 * H, H)]
    expected = (4 * rows[1] - rows[0]) / 3
    z = point(0.0)
    found = [
        tm.grad(f, holomorphic=True)(z),
        tm.jvp(f, (z,), (1 + 0j,))[1],
        tm.vmap(tm.grad(f, holomorphic=True))(np.array([z]))[0],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    near = tm.grad(f, holomorphic=True)(point(0.0, math.copysign(1e-12, zero)))
    np.testing.assert_allclose(found, near, rtol=1e-7)
    np.testing.assert_allclose(tm.grad(lambda z: f(z).imag)(z), -1j * expected, rtol=1e-7, atol=1e-12)
    second = tm.grad(tm.grad(f, holomorphic=True), holomorphic=True)
    np.testing.assert_allclose(second(z), second(point(0.0, math.copysign(1e-12, zero))), rtol=1e-6)


def test_the_sides_differ_where_the_derivative_jumps() -> None:
    """So the test above tells them apart."""
    for f, z in ((np.sqrt, -4), (np.arcsin, 2), (np.arccosh, 0.5), (lambda z: z**0.3, -4)):
        above, below = (tm.grad(f, holomorphic=True)(complex(z, zero)) for zero in (0.0, -0.0))
        assert abs(above - below) > 0.1
    above, below = (tm.grad(np.arcsinh, holomorphic=True)(complex(zero, 2)) for zero in (0.0, -0.0))
    np.testing.assert_allclose([above, below], [-1j / math.sqrt(3), 1j / math.sqrt(3)])


def test_what_has_no_direction_at_zero() -> None:
    """The angle of 0 and the derivatives of log, sqrt and abs there, from wherever zeros have their signs."""
    for z in (complex(0.0, 0.0), complex(-0.0, 0.0), complex(0.0, -0.0), complex(-0.0, -0.0)):
        with np.errstate(all="ignore"):
            assert tm.grad(np.abs)(z) == 0 and tm.jvp(np.abs, (z,), (1 + 1j,))[1] == 0
            assert tm.grad(lambda z: np.abs(z) ** 2)(z) == 0
            assert np.isnan(tm.grad(np.angle)(z)) and np.isnan(tm.jvp(np.angle, (z,), (1 + 0j,))[1])
            assert not np.isfinite(tm.grad(np.log, holomorphic=True)(z))
            assert not np.isfinite(tm.grad(np.sqrt, holomorphic=True)(z))
    rows = tm.grad(lambda z: np.sum(np.abs(z)))(np.array([0j, 3 + 4j, -0.0 + 0j]))
    np.testing.assert_allclose(rows, [0, 0.6 - 0.8j, 0])


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_angles_on_the_cut(zero: float) -> None:
    """The angle jumps by a turn, and its derivative does not."""
    z = complex(-4.0, zero)
    assert tm.grad(np.angle)(z) == 0.25j
    assert tm.grad(lambda z: np.angle(z, deg=True))(z) == pytest.approx(0.25j * 180 / math.pi)
    assert tm.jvp(np.angle, (z,), (1j,))[1] == -0.25


def test_real_functions_of_both_sides_have_no_cut() -> None:
    """abs(sqrt(z)) is smooth across the cut, and checkers that step over it agree."""
    f = lambda z: np.abs(np.sqrt(z)) + np.abs(z**0.3)  # noqa: E731
    for zero in (0.0, -0.0):
        assert check_gradient(f, np.array(complex(-4.0, zero)))
