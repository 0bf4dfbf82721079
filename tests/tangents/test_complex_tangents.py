"""The algebra over complex numbers: it is that of the values, whichever kind of tangent holds them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.tangents import Composite, DoesNotExist, One, Thunk, Zero, conj, extern

W = 2 - 1j
A = np.array([1 + 2j, -3j])
VALUES: dict[str, tuple[Any, Any]] = {
    "Zero": (Zero(), 0),
    "DoesNotExist": (DoesNotExist(), 0),
    "One": (One(), 1),
    "number": (W, W),
    "scalar": (np.complex64(W), np.complex64(W)),
    "array": (A, A),
    "thunk of a number": (Thunk(lambda: W), W),
    "thunk of an array": (Thunk(lambda: A), A),
    "thunk of a thunk": (Thunk(lambda: Thunk(lambda: A)), A),
    "thunk of a zero": (Thunk(lambda: Zero()), 0),
    "thunk of a real number": (Thunk(lambda: 2.5), 2.5),
}


def plain(x: Any) -> Any:
    """A tangent as the number or array that it stands for."""
    while isinstance(x, Thunk):
        x = x()
    return 0 if isinstance(x, Zero | DoesNotExist) else extern(x)


@pytest.mark.parametrize("one", VALUES)
@pytest.mark.parametrize("other", VALUES)
def test_sums_and_products_of_every_pair(one: str, other: str) -> None:
    (a, x), (b, y) = VALUES[one], VALUES[other]
    for work in (operator.add, operator.mul, operator.sub):
        np.testing.assert_allclose(plain(work(a, b)), work(x, y), rtol=1e-6)
    # The conjugate, the parts and their sum are those of the values; the conjugate goes through both operations.
    np.testing.assert_allclose(plain(conj(a * b)), np.conj(x * y), rtol=1e-6)
    np.testing.assert_allclose(plain(conj(a) * conj(b)), np.conj(x * y), rtol=1e-6)
    np.testing.assert_allclose(plain(conj(a + b)), np.conj(x + y), rtol=1e-6)
    np.testing.assert_allclose(plain(np.real(a * b)), np.real(x * y), rtol=1e-6, atol=1e-6)
    if not isinstance(a * b, One):  # the imaginary part of the number 1 would be a zero of a shape
        np.testing.assert_allclose(plain(np.imag(a * b)), np.imag(x * y), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", VALUES)
def test_conjugates_and_parts(name: str) -> None:
    a, x = VALUES[name]
    for conjugate in (conj(a), np.conj(a), np.conjugate(a)):
        np.testing.assert_allclose(plain(conjugate), np.conj(x))
    np.testing.assert_allclose(plain(np.real(a)), np.real(x))
    if isinstance(a, Zero | DoesNotExist):
        assert np.real(a) is np.imag(a) is np.conj(a) is conj(a) is a.real is a.imag is a.conj() is a
    if isinstance(a, One):
        assert np.real(a) is np.conj(a) is a.real is a.conj() is a
        with pytest.raises(tm.TangentError, match=r"imag.*One"):
            np.imag(a)
    else:
        np.testing.assert_allclose(plain(np.imag(a)), np.imag(x))
    if isinstance(a, Thunk):
        assert isinstance(conj(a), Thunk)
        for method in (a.conj, a.conjugate):
            np.testing.assert_allclose(plain(method()), np.conj(x))
        np.testing.assert_allclose([plain(a.real), plain(a.imag)], [np.real(x), np.imag(x)])


def test_composites_field_by_field() -> None:
    c = Composite(dict, z=W, t=Thunk(lambda: A), none=Zero(), one=One())
    turned = conj(c)
    assert turned["z"] == W.conjugate() and turned["none"] == Zero() and turned["one"] is One()
    np.testing.assert_array_equal(extern(turned["t"]), A.conj())
    scaled = c * 1j
    np.testing.assert_array_equal(extern(scaled["t"]), A * 1j)
    assert scaled["z"] == W * 1j and scaled["one"] == 1j and scaled["none"] == Zero()
    double = Composite(tuple, W, 1j) + Composite(tuple, 1j, Zero())
    assert double == Composite(tuple, W + 1j, 1j)
    assert np.real(Composite(tuple, W, Composite(tuple, 1j))) == Composite(tuple, 2.0, Composite(tuple, 0.0))


POINTS = {"z": (0.7 + 1.2j,), "zx": (0.7 + 1.2j, -0.4), "xz": (1.7, 0.3 - 0.8j), "zw": (0.7 + 1.2j, 0.3 - 0.8j)}
OPS: list[tuple[Any, str]] = [
    *((op, "z") for op in (tm.abs, tm.angle, tm.real, tm.imag, tm.conj, tm.exp, tm.log, tm.sqrt, tm.square, tm.tanh)),
    *((op, points) for op in (tm.mul, tm.div, tm.power, tm.sub) for points in ("zx", "xz", "zw")),
]  # fmt: skip


@pytest.mark.parametrize(("op", "points"), OPS, ids=[f"{op.name} {points}" for op, points in OPS])
def test_frule_and_rrule_of_complex_operands(op: Any, points: str) -> None:
    """Against differences in both directions of every operand, and against each other: <w, J v> = <J^T w, v>."""
    given, h = POINTS[points], 1e-6
    y, pullback = tm.rrule(op, *given)
    np.testing.assert_allclose(y, op(*given))
    w = 0.6 - 1.1j if np.iscomplexobj(y) else 0.6
    fields, *cotangents = pullback(w)
    assert fields is tm.NO_FIELDS
    for at, z in enumerate(given):
        for direction in (1, 1j) if isinstance(z, complex) else (1,):
            there, back = (op(*(u + s * h * direction if i == at else u for i, u in enumerate(given))) for s in (1, -1))
            difference = (there - back) / (2 * h)
            tangents = [direction if i == at else Zero() for i in range(len(given))]
            pushed = tm.frule((tm.NO_FIELDS, *tangents), op, *given)[1]
            np.testing.assert_allclose(plain(pushed), difference, rtol=1e-7, atol=1e-8)
            assert np.iscomplexobj(plain(pushed)) <= np.iscomplexobj(y)
            pairing = (plain(cotangents[at]) * direction).real  # of a real-linear map
            np.testing.assert_allclose(pairing, (w * difference).real, rtol=1e-7, atol=1e-8)
        assert isinstance(z, complex) or not np.iscomplexobj(plain(cotangents[at]))


def test_scalar_rule_with_complex_partials() -> None:
    @tm.primitive
    def turned(z, x):
        return (2 + 1j) * z**2 * x

    tm.scalar_rule(turned, lambda y, z, x: (2 + 1j) * 2 * z * x, lambda y, z, x: (2 + 1j) * z**2)
    z, x = 0.7 + 1.2j, -0.4
    tm.testing.check_rule(turned, z, x)
    dz, dx = tm.grad(lambda z, x: np.real(turned(z, x)), argnums=(0, 1))(z, x)
    np.testing.assert_allclose(dz, (2 + 1j) * 2 * z * x)
    np.testing.assert_allclose(dx, ((2 + 1j) * z**2).real)
    assert not np.iscomplexobj(dx)
    np.testing.assert_allclose(tm.jvp(turned, (z, x), (1j, 2.0))[1], (2 + 1j) * (2 * z * x * 1j + z**2 * 2))

    @tm.primitive
    def wrong(z, x):
        return (2 + 1j) * z**2 * x

    tm.scalar_rule(wrong, lambda y, z, x: (2 - 1j) * 2 * z * x, lambda y, z, x: (2 + 1j) * z**2)
    with pytest.raises(tm.testing.GradientMismatch):
        tm.testing.check_rule(wrong, z, x)
