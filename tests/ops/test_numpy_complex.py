"""NumPy's functions of complex values: each gives what NumPy gives, with its derivatives, or is refused in words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.core.tree import tree_flatten
from tapem.testing import check_grads
from tests.ops.test_numpy_api import FLAT, NAMES
from tests.tables.complex_numbers import moved

UNORDERED = {np.unique_values}
"""Functions whose result NumPy gives in no order that it promises."""

REAL_HERE = {np.histogram_bin_edges}
"""Functions that NumPy lets compute with complex numbers, and tapem refuses: between complex numbers are no bins."""

WORDS = re.compile("complex|c128|not supported for the input types")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("function", "f", "x"), FLAT, ids=NAMES)
def test_a_function_is_numpys_or_refuses(function: Any, f: Any, x: Any) -> None:
    z = moved(x)
    with np.errstate(all="ignore"):
        try:
            expected = tree_flatten(f(z))[0]
        except (TypeError, ValueError, tm.TapeError):  # NumPy's own functions of real numbers
            with pytest.raises((tm.TapeError, TypeError), match=WORDS):
                tm.vjp(f, z)
            return
        try:
            found = tree_flatten(tm.vjp(f, z)[0])[0]
        except tm.TapeError as error:
            assert WORDS.search(str(error))
            assert function in REAL_HERE
            return
        if function in UNORDERED:
            return
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
        if np.isfinite(z).all():
            check_grads(f, (z,), order=1)


RNG = np.random.default_rng(8)
A, B = (RNG.normal(size=(2, 3)) + 1j * RNG.normal(size=(2, 3)) for _ in range(2))
POINTS, AT = np.array([0.0, 1.0, 2.0, 4.0]), np.array([-1.3, 0.5, 1.7, 3.0, 5.3])
HEIGHTS = RNG.normal(size=4) + 1j * RNG.normal(size=4)

MEETING: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "maximum": (np.maximum, (A, B)),
    "fmin of real and complex": (np.fmin, (A.real, B)),
    "clip": (np.clip, (A, B - 1, B + 1)),
    "clip of real to complex": (np.clip, (A.real, B, None)),
    "greatest": (lambda a, b: np.max(a * b, axis=1), (A, B)),
    "in order": (lambda a, b: np.sort(a * b, axis=None), (A, B)),
    "interp in complex heights": (lambda f: np.interp(AT, POINTS, f, left=1j), (HEIGHTS,)),
    "interp in all": (np.interp, (AT, POINTS, HEIGHTS)),
    "interp with a period": (lambda x, f: np.interp(x, POINTS, f, period=5.0), (AT, HEIGHTS)),
    "corrcoef of both": (np.corrcoef, (A, B.real)),
    "nanmedian": (lambda a: np.nanmedian(np.where(a.real > 0.5, np.nan, a)), (A,)),
}


@pytest.mark.parametrize("name", MEETING)
def test_several_operands(name: str) -> None:
    """NumPy orders complex numbers by their real parts, then by the imaginary ones, and so do the derivatives."""
    f, operands = MEETING[name]
    np.testing.assert_allclose(tm.vjp(f, *operands)[0], f(*operands), rtol=1e-12)
    check_grads(f, operands)


def test_each_of_two_equal_complex_numbers_gets_half() -> None:
    y, pullback = tm.vjp(np.maximum, A, A)
    np.testing.assert_array_equal(y, A)
    np.testing.assert_array_equal(pullback(B), [B / 2, B / 2])


REFUSED: dict[str, tuple[Any, str]] = {
    "interp at complex points": (lambda z: np.interp(z, POINTS, HEIGHTS), "np.interp: x is complex128, where NumPy"),
    "interp between complex points": (lambda z: np.interp(AT, z, z.real), "np.interp: xp is complex128"),
    "quantile": (lambda z: np.quantile(z, 0.5), "np.quantile: a is complex128.* use its .real or np.abs"),
    "nanpercentile": (lambda z: np.nanpercentile(z, 50), "np.nanpercentile: a is complex128"),
    "digitize": (lambda z: np.digitize(z, POINTS), "np.digitize: x is complex128"),
    "isposinf": (np.isposinf, "np.isposinf: x is complex128"),
    "isneginf": (np.isneginf, "np.isneginf: x is complex128"),
    "bincount": (lambda z: np.bincount([0, 1, 1, 0], z), "np.bincount: weights is complex128"),
    "histogram": (lambda z: np.histogram(z, [0.0, 1.0]), "np.histogram: the array of elements is complex128"),
    **{
        name: (getattr(tm, name), rf"{name}\(x\): x is complex128, where Real is required")
        for name in ("relu", "leaky_relu", "elu", "silu", "softplus")
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_in_words(name: str) -> None:
    f, words = REFUSED[name]
    with pytest.raises(tm.DTypeError, match=words):
        tm.vjp(f, HEIGHTS)
