"""Every function of NumPy that has a rule or is constant, with every option in its signature: value, dtype, derivative.

Arguments are those of a few that NumPy takes; options and their values are given by name. What NumPy itself refuses is
left out. So a function or an option that a new NumPy brings is tried without being listed.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.errors import MutationError
from tapem.seeing.without_rule import kind_of, spaces

RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 0.9, (3, 4))
V, MASK, NUMBERS = X[0], X > 0.5, np.array([0, 2, 1, 2])
SQUARE = RNG.normal(size=(3, 3)) + 3 * np.eye(3)

NUMBER = np.array(0.4)
OF_NUMBERS: list[tuple[Any, ...]] = [(NUMBER,), (NUMBER, 0)]
ARGUMENTS: list[tuple[Any, ...]] = [
    (X,), (V,), (SQUARE,), (X, X + 0.1), (V, V + 0.1), (SQUARE, SQUARE), (SQUARE, V[:3]), (X, 1), (V, 1), (X, 0.3),
    (V, 0.3), (X, (2, 6)), (X, 0, 1), ([X, X],), ([V, V],), (MASK, X), (X, [1], 9.0), (X, [0, 2]), (V, V, 2), (V, 4),
    (np.stack([X, X + 0.3]),), ("ij,jk", SQUARE, SQUARE), (V, V + 1, 3), (X, 0), ([0, 1], X), (X, [0, 1]),
    (NUMBERS, [X[0], X[1], X[2]]), (SQUARE @ SQUARE.T,), (np.sum, 0, X), (np.sum, X, 0), (X, 2), (3, X), (2.0, V),
    (X, NUMBERS[None] % 3, 0), (np.where(MASK, X, np.nan),), ([MASK], [X]),
]  # fmt: skip
OPTIONS: dict[str, list[Any]] = {
    "N": [3], "UPLO": ["U"], "a_max": [0.6], "a_min": [0.3], "append": [0.0], "assume_unique": [True], "atol": [0.1],
    "aweights": [V], "axes": [(0, 1), [0, 1], ((0,), (1,)), 1], "axis": [None, 0, 1, -1, (0, 1), (0,)], "axis1": [1],
    "axis2": [0], "base": [2.0], "bias": [True], "bins": [3], "casting": ["same_kind", "unsafe"], "compute_uv": [False],
    "constant_values": [2.0], "copy": [True, None], "correction": [1], "cov": [True], "ddof": [1], "decimals": [1],
    "deg": [True], "density": [True], "device": ["cpu", None], "discont": [2.0], "dtype": [np.float32, float],
    "dx": [2.0], "edge_order": [1, 2], "end_values": [1.0], "endpoint": [False], "equal_nan": [True], "full": [True],
    "full_matrices": [False], "fweights": [[1, 2, 3, 1]], "hermitian": [False, True], "include_initial": [True],
    "increasing": [True], "indexing": ["ij"], "initial": [0.5], "invert": [True], "k": [1, -1],
    "keepdims": [True, False],
    "kind": ["stable", None], "left": [-1.0], "m": [2], "max": [0.6], "mean": [0.4], "min": [0.3], "minlength": [5],
    "method": ["linear", "lower", "inverted_cdf", "hazen"], "n": [2, 3, 5], "nan": [2.0], "neginf": [-3.0],
    "mode": ["wrap", "clip", "edge", "reflect", "same", "valid", "reduced", "complete", "raise"], "num": [4],
    "norm": ["ortho", "forward"], "offset": [1, -1], "optimize": [True, False], "ord": [1, 2, np.inf, "fro"],
    "order": ["C", "F", "K"], "p": [1, "fro"], "period": [3.0], "posinf": [3.0], "prepend": [0.0, V[:1]],
    "range": [(0.0, 1.0)], "rcond": [1e-9, None], "reflect_type": ["odd"], "reps": [2], "return_counts": [True],
    "return_index": [True], "return_indices": [True], "return_inverse": [True], "returned": [True], "right": [1.0],
    "rowvar": [False], "retstep": [True], "rtol": [0.1], "s": [(2, 3)], "shape": [(2, 6), (3, 4)], "shift": [1],
    "side": ["right"], "sorter": [[0, 1, 2, 3]], "sparse": [True], "stable": [True, None], "start": [1],
    "stat_length": [2], "subok": [True], "to_begin": [1.0], "to_end": [1.0], "tol": [0.1], "trim": ["f"],
    "upper": [True], "w": [V], "weights": [V, X], "where": [True, MASK, MASK[0]], "x": [np.arange(4.0)],
}  # fmt: skip

# What is made without looking at values, where there is nothing to compare, or is about dtypes only.
LEFT_OUT = {
    "array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "full", "einsum_path", "empty_like",
    "result_type", "min_scalar_type", "common_type",
    "interp",  # where points and arguments are the same there are kinks
    "roll",  # NumPy rounds shifts that are no integers
    "arccosh", "acosh",  # of what is below 1
    "arange", "tri",  # of a number, which is no array
}  # fmt: skip
# Vectors that are not determined, singular values that are left out though they are not 0; an option that does nothing,
# which NumPy deprecates until 2.4.
REFUSED = {
    ("svd", None), ("svd", "hermitian"), ("pinv", "rtol"), ("pinv", "rcond"),
    ("corrcoef", "bias"), ("corrcoef", "ddof"),
}  # fmt: skip


def functions() -> Iterator[Any]:
    seen: set[Any] = set()
    for title, found in spaces():
        for name, function in found.items():
            known = kind_of(function) in ("rule", "constant", "partial") and name.split(".")[-1] not in LEFT_OUT
            if title.startswith("numpy") and known and function not in seen:
                seen.add(function)
                yield pytest.param(name.split(".")[-1], function, id=f"{title}.{name}")


def leaves(y: Any) -> list[Any]:
    return [leaf for part in y for leaf in leaves(part)] if isinstance(y, tuple | list) else [y]


def floats(y: Any) -> list[Any]:
    return [leaf for leaf in leaves(y) if np.dtype(getattr(leaf, "dtype", type(leaf))).kind in "fc"]


def of_one(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The call as a function of its first array of floats, or of the first one in a list; and that array."""
    for i, argument in enumerate(arguments):
        inside = isinstance(argument, list)
        for j, x in enumerate(argument if inside else [argument]):
            if isinstance(x, np.ndarray) and x.dtype == float:

                def f(x: Any, i: int = i, j: int = j, inside: bool = inside) -> Any:
                    given = copy.deepcopy(list(arguments))
                    if inside:
                        given[i][j] = copy.copy(x)
                    else:
                        given[i] = copy.copy(x)
                    return function(*given, **options)

                return f, x
    return None, None


def differences(f: Any, x: Any, weights: list[Any]) -> Any:
    def total(x: Any) -> Any:
        return sum(np.nansum(w * np.real(y)) for w, y in zip(weights, floats(f(x)), strict=True))

    slopes = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        step = np.zeros(x.shape)
        step[place] = 1e-6
        slopes[place] = (total(np.asarray(x + step)) - total(np.asarray(x - step))) / 2e-6
    return slopes


def judge(name: str, function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Compare a call with NumPy's; False if NumPy does not take it."""
    f, x = of_one(function, arguments, options)
    if f is None:
        return False
    try:
        wanted = f(x)
    except (TypeError, ValueError, IndexError, AttributeError, RuntimeError, np.linalg.LinAlgError):
        return False
    if wanted is None or not all(isinstance(y, np.ndarray | np.generic | bool | int | float) for y in leaves(wanted)):
        return False
    weights = [np.random.default_rng(3).normal(size=np.shape(y)) for y in floats(wanted)]
    found: list[Any] = []

    def g(x: Any) -> Any:
        y = f(x)
        found[:] = map(tm.detach, leaves(y))
        parts = zip(weights, floats(y), strict=True)
        return 0 * np.sum(x) + sum(np.sum(np.where(np.isnan(tm.detach(y)), 0, w * np.real(y))) for w, y in parts)

    text = f"{name}{arguments} {options}"
    try:
        slope = tm.grad(g)(x)
    except (tm.TapeError, TypeError) as error:
        if isinstance(error, MutationError) or (name, next(iter(options), None)) in REFUSED:
            return True
        raise AssertionError(text) from error
    for one, other in zip(found, leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7, err_msg=text)
        assert np.shape(one) == np.shape(other), text
        assert np.asarray(one).dtype == np.asarray(other).dtype, text
    if all(np.asarray(y).dtype.itemsize >= 8 for y in floats(wanted)):
        expected = differences(f, x, weights)
        if np.isfinite(expected).all() and any(np.isfinite(y).any() for y in floats(wanted)):
            np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=2e-5, err_msg=text)
    return True


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::numpy.exceptions.RankWarning")
@pytest.mark.parametrize(("name", "function"), list(functions()))
def test_every_option(name: str, function: Any) -> None:
    if isinstance(function, np.ufunc):  # where= leaves memory as it is: tests/ops/test_ufunc_options.py
        options, count = ["dtype", "casting", "order"], function.nin
    else:
        try:
            options, count = list(inspect.signature(function).parameters), 9
        except ValueError:  # before NumPy 2.4 those in C tell none
            options, count = [], 9
    shown = 0
    numbers = [] if name in ("fftn", "ifftn") else OF_NUMBERS  # a number has no axis to transform along
    for arguments in (*numbers, *ARGUMENTS):
        if len(arguments) > count or shown == 2 or not judge(name, function, arguments, {}):
            continue
        shown += not any(arguments is given for given in OF_NUMBERS)
        for option in options:
            for value in OPTIONS.get(option, []):
                judge(name, function, arguments, {option: value})
