"""Results of compiled functions are new arrays: writable, and apart from inputs, constants, buffers and each other."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm

TABLE = np.arange(6.0).reshape(2, 3)

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "the input": lambda x: (
        x,
        x,
        +x,
        np.copy(x),
        tm.detach(x),
        x * 1,
        x - 0,
        x / 1,
        np.negative(-x),
        np.transpose(x.T),
    ),
    "views": lambda x: (x[0], x[::-1], x[:, 1:], x.T, np.ravel(x), np.reshape(x, (3, 2)), np.expand_dims(x, 0)),
    "views of a new array": lambda x: (np.sin(x), np.sin(x).T, np.sin(x)[0], np.real(np.sin(x)), np.flip(np.sin(x))),
    "a diagonal": np.diagonal,
    "a diagonal of a new array": lambda x: np.diagonal(x * 2),
    "parts": lambda x: (np.split(x, 3, axis=1), [*x], np.array_split(x, 2)),
    "repetitions": lambda x: (np.broadcast_to(x, (2, 2, 3)), np.broadcast_to(np.sin(x), (2, 2, 3)), np.tile(x, 1)),
    "a gradient that is the same everywhere": tm.grad(np.mean),
    "numbers": lambda x: (np.broadcast_to(np.sum(x), ()), np.reshape(np.sum(x), ()), 2.0, 3),
    "cotangents and tangents": lambda x: (tm.vjp(lambda a: a.T, x)[1](x.T), tm.jvp(lambda a: a, (x,), (x,))),
    "constants": lambda x: (TABLE, TABLE, TABLE.T, x + TABLE, np.eye(2), np.broadcast_to(np.ones(3), (2, 3))),
    "branches": lambda x: tm.cond(x[0, 0] < 1, lambda: (x, x.T), lambda: (x * 2, x.T + 1)),
    "loops of no step": lambda x: (tm.fori_loop(0, 0, lambda i, c: c + 1, x), tm.scan(lambda c, a: (c, a), x, x)),
    "loops": lambda x: (tm.scan(lambda c, a: (x, a), x, x), tm.fori_loop(0, 3, lambda i, c: (c[1], c[0]), (x, x * 2))),
    "a function with its own rule": tm.custom_vjp(lambda x: (x, None), lambda _, g: (g,)),
}


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_new_arrays(name: str, engine: str) -> None:
    function = FUNCTIONS[name]
    fast = tm.compile(function, engine=engine)
    for scale in (1.0, 3.0, 1.0):
        x = np.arange(6.0).reshape(2, 3) * scale
        before, expected = x.copy(), tm.tree_leaves(function(x))
        found = tm.tree_leaves(fast(x))
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            np.testing.assert_allclose(one, other, rtol=1e-14)
            assert not any(np.shares_memory(one, array) for array in (x, TABLE, *found[:number]))
        for one in found:
            if isinstance(one, np.ndarray):
                one[...] = 77.0
        np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(TABLE, np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(("engine", "quick"), [("numpy", True), ("numpy", False), ("numba", True)])
def test_no_warning_appears(engine: str, quick: bool) -> None:
    """Not of overflow, underflow, division by zero or invalid values."""
    x = np.array([1e300, 1e-300, 0.0, -1.0, np.inf, np.nan])

    def every(x: Any) -> Any:
        return x * x, np.exp(x), np.log(x), 1 / x, np.sqrt(x), x - x, x.astype(np.float32), x / 1e9

    found = tm.compile(every, engine=engine, fast=quick)(x)
    with np.errstate(all="ignore"):
        expected = every(x)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_programs_are_freed_at_once(engine: str) -> None:
    """A program holds its constants, which may be large, so it is part of no reference cycle."""

    def use() -> None:
        table = np.ones(5)
        fast = tm.compile(lambda x: tm.fori_loop(0, 2, lambda i, c: np.sin(c) @ table + x, x), engine=engine)
        fast(np.ones(5))

    use()
    gc.collect()
    gc.disable()
    try:
        use()
        assert gc.collect() == 0
    finally:
        gc.enable()
