"""Arguments of compiled functions: static ones by their exact values, methods, and copies of compiled functions."""

import copy
import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

import tapem as tm


@dataclasses.dataclass(frozen=True)
class Settings:
    factor: Any


@pytest.mark.parametrize(
    "wrap", [lambda n: n, lambda n: (n,), lambda n: ("a", (n,)), Settings, lambda n: (Settings(n),)]
)
def test_static_arguments_that_are_equal_in_python_have_programs_of_their_own(wrap):
    def factor(settings):
        while not isinstance(settings, int | float | np.generic):
            settings = settings.factor if isinstance(settings, Settings) else settings[-1]
        return settings

    fast = tm.compile(lambda x, settings: x * factor(settings), static_argnums=1, engine="numpy")
    numbers = [1, 1.0, True, np.float32(1), 0.0, -0.0, float("nan"), float("nan")]
    for x in (np.arange(3), np.ones(2, np.float32)):
        for number in numbers:
            found, expected = fast(x, wrap(number)), x * number
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
    assert f"{2 * (len(numbers) - 1)} programs" in repr(fast)


def test_a_static_argument_that_cannot_be_hashed_is_named():
    fast = tm.compile(lambda x, settings, more: x, static_argnames=("settings", "more"), engine="numpy")
    for bad in ([1], (1, [2]), Settings([1]), np.ones(2)):
        with pytest.raises(tm.ArgumentError, match=r"argument 'settings' is a .* cannot be hashed"):
            fast(1.0, bad, 2)
        with pytest.raises(tm.ArgumentError, match=r"argument 'more' is a .* cannot be hashed"):
            fast(1.0, 2, more=bad)


def test_a_decorated_method_is_a_method():
    class Model:
        def __init__(self, factor):
            self.factor = factor

        @tm.compile(static_argnums=0, engine="numpy")
        def apply(self, x, *, shift=0.0):
            return x * self.factor + shift

    x = np.arange(3.0)
    for factor in (2.0, 3.0):
        np.testing.assert_array_equal(Model(factor).apply(x, shift=1.0), x * factor + 1.0)
    assert repr(Model.apply).startswith("<compiled apply")


def double(x):
    return x * 2.0


@tm.compile(engine="numpy")
def decorated(x):
    return x * 3.0


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_compiled_functions_are_copied_and_pickled(again):
    x = np.arange(3.0)
    fast = tm.compile(double, engine="numpy", fast=False)
    fast(x)
    other = again(fast)
    np.testing.assert_array_equal(other(x), 2 * x)
    assert (other.fast, other.engine.name, other.__name__) == (False, "numpy", "double")
    decorated(x)
    assert again(decorated) is decorated


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: [d, {"inside": d}], lambda d: (np.float64(1), d)])
def test_keys_that_are_equal_in_python_have_programs_of_their_own(wrap):
    fast = tm.compile(lambda tree: tm.tree_map(lambda x: x * 2, tree), engine="numpy")
    for key in (1, 1.0, True, np.int64(1)) * 2:
        found = fast(wrap({key: 1.0}))
        assert repr(found) == repr(wrap({key: 2.0})).replace("float64(1", "float64(2")
