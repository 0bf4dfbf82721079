"""NumPy's functions of values with few bits: results have NumPy's dtype, and lose no more on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapem as tm
from tests.ops.test_numpy_api import FLAT, NAMES
from tests.tables.complex_numbers import moved

EXEMPT = {np.unique_values, np.polydiv}
"""The order of one is not promised; of the other NumPy trims a remainder, more of it the less it is rounded."""


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
