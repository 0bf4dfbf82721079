"""NumPy's functions in compiled programs: what they give in eager mode, for every function that has a rule."""

from typing import Any

import numpy as np
import pytest

import tapem as tm
from tests.ops.test_numpy_api import FLAT, NAMES, VALUES_DECIDE

# These are real where values allow it, which a program cannot know.
COMPLEX = {np.linalg.eig, np.linalg.eigvals, np.roots, np.poly}

EVERY = pytest.mark.parametrize(("function", "f", "x"), FLAT, ids=NAMES)


def compiled(function: Any, f: Any, x: Any, **options: Any) -> Any:
    """The function compiled; None if a value decides the shape of its result, which is refused."""
    fast = tm.compile(f, **options)
    if function not in VALUES_DECIDE:
        return fast
    with pytest.raises(tm.ConcretizationError):
        fast(x)
    return None


@EVERY
def test_exact_programs_have_the_bits_of_eager_mode(function: Any, f: Any, x: Any) -> None:
    fast = compiled(function, f, x, engine="numpy", fast=False)
    if fast is not None:
        for found, expected in zip(tm.tree_leaves(fast(x)), tm.tree_leaves(tm.vjp(f, x)[0]), strict=True):
            if function in COMPLEX and expected.dtype == np.float64:
                found = found.real
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


@EVERY
def test_native_programs_are_written(function: Any, f: Any, x: Any) -> None:
    """Numba compiles nothing before the first run, so this is quick."""
    fast = compiled(function, f, x, engine="numba")
    if fast is not None:
        fast.tape(x)


@pytest.mark.slow
@EVERY
def test_native_programs_have_the_values_of_eager_mode(function: Any, f: Any, x: Any) -> None:
    fast = compiled(function, f, x, engine="numba")
    if fast is not None:
        for found, expected in zip(tm.tree_leaves(fast(x)), tm.tree_leaves(tm.vjp(f, x)[0]), strict=True):
            assert found.dtype == expected.dtype or function in COMPLEX
            np.testing.assert_allclose(found, expected, 1e-9, 1e-9)
