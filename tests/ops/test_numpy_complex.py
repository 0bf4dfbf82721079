"""NumPy's functions of complex values: each gives what NumPy gives, with its derivatives, or is refused in words."""

from __future__ import annotations

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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("function", "f", "x"), FLAT, ids=NAMES)
def test_a_function_is_numpys_or_refuses(function: Any, f: Any, x: Any) -> None:
    z = moved(x)
    with np.errstate(all="ignore"):
        try:
            expected = tree_flatten(f(z))[0]
        except (TypeError, ValueError, tm.TapeError):  # NumPy's own functions of real numbers
            return
        try:
            found = tree_flatten(tm.vjp(f, z)[0])[0]
        except (tm.TapeError, TypeError) as error:
            assert "complex" in str(error) or "c128" in str(error) or "not supported for the input types" in str(error)
            return
        if function in UNORDERED:
            return
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
        if np.isfinite(z).all():
            check_grads(f, (z,), order=1)
