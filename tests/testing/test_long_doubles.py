"""float_error of doubles, which are replayed in long doubles: collected only where these have more digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tapem.testing import float_error

RNG = np.random.default_rng(0)


def naive_variance(x: Any) -> Any:
    return np.mean(x**2) - np.mean(x) ** 2


def test_doubles_are_replayed_in_long_double() -> None:
    report = float_error(naive_variance, 1e6 + RNG.normal(size=50))
    assert report.beside == np.longdouble and "= sub(" in report.forward[0].text and report.forward[0].lost > 8
    solved = float_error(lambda x: np.sum(np.linalg.solve(np.outer(x, x) + np.eye(3), x)), np.arange(3.0))
    assert "give x in float32" in solved.skipped["solve"] and "not replayed: solve" in str(solved)


@pytest.mark.parametrize("of", [float, np.float64, np.asarray], ids=["float", "float64", "array"])
def test_python_numbers_are_replayed_like_arrays(of: Callable[[float], Any]) -> None:
    x = of(1e-5)
    value = float_error(lambda x: (1 - np.cos(x)) / x**2, x).value
    # The replay loses digits as well, three fewer.
    assert value == pytest.approx(abs((1 - np.cos(1e-5)) / 1e-5**2 - 0.5) / 0.5, rel=1e-2)
