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


def numbers(x: Any, z: Any) -> list[Any]:
    """Results without axes, of each way to make them."""
    return [
        np.argmax(x), np.sum(x), np.sin(z), np.sum(z), z + z, np.where(z > 1, z, z), x[0, 0], np.reshape(z, ()), z, +z,
        np.max(x), np.mean(x), np.any(x > 1), np.count_nonzero(x), x[0] @ x[1], np.linalg.norm(x), np.trace(x),
        np.float32(1) * x[0, 0], np.squeeze(x[:1, :1]), tm.grad(np.sin)(z), tm.value_and_grad(np.sin)(z), np.array(3.0),
        np.float32(3), z.astype(np.float32), np.median(x), np.quantile(x, 0.5), np.clip(z, 0, 1), np.size(x) * z,
        tm.fori_loop(0, 3, lambda i, s: s * z, z), tm.cond(z > 1, lambda z: z * 2, lambda z: z, z),
        np.linalg.det(x @ x.T),
        tm.grad(lambda z: z * np.sum(x))(z), tm.relu(z), tm.detach(z), np.broadcast_to(z, ()), np.cumsum(x)[-1],
    ]  # fmt: skip


@pytest.mark.parametrize(("engine", "quick"), [("numpy", True), ("numpy", False), ("numba", True)])
def test_a_result_without_axes_is_a_numpy_scalar(engine: str, quick: bool) -> None:
    """As NumPy's functions return it, whatever the op, the engine and the argument."""
    x, z = np.arange(6.0).reshape(2, 3), np.array(2.0)
    fast = tm.compile(numbers, engine=engine, fast=quick)
    names: dict[str, Any] = {}
    exec(fast.source(x, z), names)
    for run in (fast, names["numbers"]):
        for one, other in zip(*map(tm.tree_leaves, (run(x, z), numbers(x, z))), strict=True):
            assert isinstance(one, np.generic) and one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-14)


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
