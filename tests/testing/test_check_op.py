"""check_op: one line finds the bug in a user's op, and shows the smallest example of it."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from jaxtyping import Float, Int

import tapem as tm
from tapem.testing import GradientMismatch, check_op

Rows = Float[tm.Tensor, "*batch n"]


def standardized(rrule: Any) -> Any:
    """An op as a user would write it: rows shifted to mean zero and scaled to length one."""

    def frule(t: Any, y: Any, norm: Any, x: Any) -> Any:
        t = t - np.mean(t, axis=-1, keepdims=True)
        return (t - y * np.sum(y * t, axis=-1, keepdims=True)) / norm

    @tm.primitive(rrule=(rrule,), frule=(frule,), residuals=True)
    def standardize(x: Rows) -> Rows:
        centered = x - np.mean(x, axis=-1, keepdims=True)
        norm = np.sqrt(np.sum(centered**2, axis=-1, keepdims=True) + 1e-3)
        return centered / norm, norm  # type: ignore[return-value]

    return standardize


def right_rule(g: Any, y: Any, norm: Any, x: Any) -> Any:
    g = (g - y * np.sum(y * g, axis=-1, keepdims=True)) / norm
    return g - np.mean(g, axis=-1, keepdims=True)


def test_a_right_op_passes() -> None:
    check_op(standardized(right_rule), max_examples=15, seed=1)


def test_the_mean_over_the_wrong_axis_is_found_and_shrunk() -> None:
    """With one row it is right; with several, the mean is taken over all of them."""

    def wrong_rule(g: Any, y: Any, norm: Any, x: Any) -> Any:
        g = (g - y * np.sum(y * g, axis=-1, keepdims=True)) / norm
        return g - np.mean(g)

    with pytest.raises(GradientMismatch) as caught:
        check_op(standardized(wrong_rule), max_examples=50, seed=1)
    text = str(caught.value)
    assert "standardize(x):" in text and "reverse mode: argument x[" in text
    assert "the smallest example that fails:" in text
    assert "float64[2, 1]" in text or "float64[2, 2]" in text


def test_a_bug_that_needs_two_elements() -> None:
    @tm.primitive(rrule=(lambda g, y, x: g[::-1] * 2 * x,), frule=(lambda t, y, x: 2 * x * t,))
    def my_square(x: Float[tm.Tensor, "n"]) -> Float[tm.Tensor, "n"]:
        return x**2

    with pytest.raises(GradientMismatch, match=r"float64\[2\]"):
        check_op(my_square, seed=0)


def test_a_plain_function_of_ops_and_its_return_annotation() -> None:
    def attention(q: Float[tm.Tensor, "n d"], k: Float[tm.Tensor, "m d"]) -> Float[tm.Tensor, "n m"]:
        return tm.softmax(q @ k.T)

    check_op(attention, max_examples=5, seed=0)

    def wrong(q: Float[tm.Tensor, "n d"], k: Float[tm.Tensor, "m d"]) -> Float[tm.Tensor, "m n"]:
        return q @ k.T

    with pytest.raises(tm.ShapeError, match="the inputs fit: the op or its return annotation is wrong"):
        check_op(wrong, max_examples=50)


def test_elements_statics_and_preparation() -> None:
    def lookup(table: Float[tm.Tensor, "n d"], ids: Int[tm.Tensor, "k"], axis: int) -> Float[tm.Tensor, "..."]:
        return tm.take(table, ids, axis=axis)

    check_op(
        lookup,
        elements={"ids": lambda axes: st.integers(0, min(axes["n"], axes["d"]) - 1), "table": st.floats(-2, 2)},
        axis=st.sampled_from([0, 1]),
        max_examples=10,
    )
    check_op(
        tm.cholesky,
        prepare=lambda a: (a @ np.swapaxes(a, -1, -2) + 2 * np.eye(a.shape[-1]),),
        max_examples=5,
        max_side=2,
    )


@pytest.mark.parametrize("op", [tm.sin, tm.mul, tm.div, tm.square, tm.tanh, tm.sum, tm.log], ids=lambda op: op.name)
def test_ops_of_the_library(op: Any) -> None:
    check_op(op, max_examples=8, seed=0)


def test_the_numbers_avoid_kinks_and_ties() -> None:
    for op in (tm.relu, tm.abs, tm.maximum, tm.max, tm.sort):
        check_op(op, max_examples=10)
