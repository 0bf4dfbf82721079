"""NumPy's functions that take `like=`: asked so, they make arrays of traced values."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm

X = np.array([2.0, 3.0, 5.0])

MADE: dict[str, Callable[[Any, Any], Any]] = {
    "array": lambda x, like: np.array([x[0] * x[1], x[2], 1.0], **like),
    "array of arrays": lambda x, like: np.array([x, X, [x[1], 0.0, 4]], **like),
    "array with tuples": lambda x, like: np.array(((x[0], x[1]), [x[2], x[0]]), dtype=np.float32, **like),
    "array with axes": lambda x, like: np.array([x[0], x[1]], ndmin=3, order="F", **like),
    "array of one": lambda x, like: np.array(x[0], **like),
    "array, copied": lambda x, like: np.array(x, copy=True, **like),
    "array, cast": lambda x, like: np.array(x, np.float32, **like),
    "array of constants": lambda x, like: np.array([[1, 2]], ndmin=3, **like) * x[0],
    "asarray": lambda x, like: np.asarray([x[0], [1.0]][:1], **like),
    "asarray of one": lambda x, like: np.asarray(x, order="C", **like),
    "asanyarray": lambda x, like: np.asanyarray([x, x], **like),
    "ascontiguousarray": lambda x, like: np.ascontiguousarray(x[0], **like),
    "asfortranarray": lambda x, like: np.asfortranarray([x, x * 2], dtype=np.float32, **like),
    "full": lambda x, like: np.full((2, 3), x, **like),
    "full, cast": lambda x, like: np.full(2, x[0], np.float32, **like),
    "full of a constant": lambda x, like: np.full((2, 3), 4.0, **like) * x,
    "arange": lambda x, like: np.arange(3, **like) * x,
    "empty": lambda x, like: np.empty((0, 3), **like) * x,
    "eye": lambda x, like: np.eye(3, k=1, **like) @ x,
    "fromfunction": lambda x, like: np.fromfunction(lambda i: i * 2, (3,), **like) * x,
    "identity": lambda x, like: np.identity(3, **like) @ x,
    "ones": lambda x, like: np.ones((2, 3), np.float32, **like) @ x,
    "tri": lambda x, like: np.tri(3, **like) @ x,
    "zeros": lambda x, like: np.zeros((2, 3), dtype=int, **like) + x,
}


@pytest.mark.parametrize("name", MADE)
def test_values_and_derivatives(name: str):
    """Values, shapes and dtypes are those that NumPy makes of arrays; derivatives are those of differences."""
    made, step = MADE[name], np.array([1.0, -2.0, 0.5])
    value, tangent = tm.jvp(lambda x: made(x, {"like": x}), (X,), (step,))
    expected = made(X, {})
    np.testing.assert_array_equal(value, expected)
    assert np.shape(value) == expected.shape
    assert value.dtype == expected.dtype
    difference = made(X + step, {}).astype(float) - made(X - step, {}).astype(float)
    wanted = difference / 2 if name != "array" else [X[0] * -2 + X[1], 0.5, 0.0]
    np.testing.assert_allclose(tangent, wanted, rtol=1e-6)


def test_lists_are_stacked_under_vmap():
    stacked = tm.vmap(lambda x: np.array([[x, 1.0], [2.0, x * x]], like=x))(X)
    np.testing.assert_array_equal(stacked, [[[x, 1.0], [2.0, x * x]] for x in X])


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(tm.ShapeError):
        tm.grad(lambda x: np.sum(np.array([x, x[:2]], like=x)))(X)
    with pytest.raises(tm.ArgumentError, match=r"copy=False\): x is float64, so it is copied"):
        tm.grad(lambda x: np.sum(np.array(x, np.float32, copy=False, like=x)))(X)


def test_an_array_is_made_anew_and_asarray_gives_what_it_was_given():
    """What is made under no_grad is cut off; what is only handed on is not."""

    def f(make: Callable[..., Any]) -> Any:
        def inside(x: Any) -> Any:
            with tm.no_grad():
                made = make(x, like=x)
            return np.sum(made * x)

        return tm.grad(inside)(X)

    np.testing.assert_array_equal(f(np.array), X)
    np.testing.assert_array_equal(f(np.asarray), 2 * X)
