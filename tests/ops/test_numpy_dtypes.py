"""NumPy's functions of values with few bits: results have NumPy's dtype, and lose no more on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.types import NUMPY
from tests.ops.test_numpy_api import FLAT, NAMES
from tests.tables.complex_numbers import moved

EXEMPT = {np.unique_values, np.polydiv} | ({np.linalg.cond} if NUMPY < (2, 3) else set())
"""The order of one is not promised; of the other NumPy trims a remainder, more of it the less it is rounded; the
condition numbers of complex matrices were complex."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex64, np.int64], ids=lambda d: d.__name__)
@pytest.mark.parametrize(("function", "f", "x"), FLAT, ids=NAMES)
def test_the_dtype_is_numpys(function: Any, f: Any, x: Any, dtype: Any) -> None:
    if np.asarray(x).dtype.kind != "f" or function in EXEMPT:
        return
    few = np.asarray(moved(x) if dtype is np.complex64 else x * 4 if dtype is np.int64 else x).astype(dtype)
    with np.errstate(all="ignore"):
        try:
            expected = tm.tree_leaves(f(few))
            found = tm.tree_leaves(tm.vjp(f, few)[0])
        except (TypeError, ValueError, tm.TapeError, np.linalg.LinAlgError):  # the other files say who refuses what
            return
    for one, other in zip(map(np.asarray, found), map(np.asarray, expected), strict=True):
        assert one.dtype == other.dtype
        if dtype in (np.float32, np.complex64):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


P = np.array([0.0, 1.0, 2.0], np.float32)
MIXED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "interp": (np.interp, (P + np.float32(0.25), P, P * 2)),
    "interp of a number": (lambda x: np.interp(x, P, P * 2), (np.float16(0.5),)),
    "interp of complex heights": (np.interp, (P, P, (P * 2j).astype(np.complex64))),
    "interp with a period": (lambda x: np.interp(x, P, P * 3, period=np.float32(4)), (P - np.float32(1.5),)),
    "interp at one point": (lambda x, f: np.interp(x, [1.0], f, left=-1.0), (P, P[2:])),
    "gradient with coordinates": (lambda x: np.gradient(x, np.array([0.0, 1.0, 3.0])), (P,)),
    "choose with a number": (lambda x: np.choose([0, 1, 0], [x, 2.0]), (P,)),
    "choose with a list": (lambda x: np.choose([0, 1, 0], [x, [1, 2, 3]]), (P,)),
}


@pytest.mark.parametrize("case", MIXED)
def test_dtypes_that_meet(case: str) -> None:
    f, operands = MIXED[case]
    expected, found = np.asarray(f(*operands)), np.asarray(tm.vjp(f, *operands)[0])
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_interp_wants_as_many_heights_as_points() -> None:
    with pytest.raises(
        tm.ShapeError, match=r"np.interp: xp and fp must be lines of as many points, but are \(2,\), \(3,\)"
    ):
        tm.vjp(lambda x: np.interp(x, P[:2], P), P)
