"""check_invariant: what is said of a function holds, or the smallest example that breaks it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jaxtyping import Float, Int

import layers
import losses
import tapem as tm
from tapem.testing import GradientMismatch, check_invariant

T = np.ndarray


def distance(a: Float[T, "n"], b: Float[T, "n"]) -> Float[T, ""]:
    return np.sum((a - b) ** 2)


def attend(q: Float[T, "n d"], k: Float[T, "m d"], v: Float[T, "m e"]) -> Float[T, "n e"]:
    return tm.softmax(q @ k.T) @ v


def weighted(x: Float[T, "n d"], w: Float[T, "n"]) -> Float[T, "d"]:
    return w @ x


def soft(x: Float[T, "*b n"]) -> Float[T, "*b n"]:
    return tm.softmax(x)


def root(x: Float[T, "n"]) -> Float[T, "n"]:
    return np.sqrt(x)


def positions(x: Float[T, "n"]) -> Float[T, "n"]:
    return x * np.arange(len(x))


def normed(x: Float[T, "n"]) -> Float[T, "n"]:
    return x / (1e-30 + np.sqrt(np.sum(x**2)))


def picked(x: Float[T, "3 n"], label: Int[T, ""]) -> dict[str, Any]:
    return {"row": x[label % 3], "label": label}


def scaled(x: Float[T, "n"], factor: float = 2.0) -> Float[T, "n"]:
    return factor * x


# What holds, and what does not, with the beginning of the finding.
CASES: list[tuple[Any, dict[str, Any], dict[str, Any], str]] = [
    (distance, {"symmetric": True}, {}, ""),
    (weighted, {}, {"symmetric": ["x", "w"]}, "no two"),
    (losses.mse, {"symmetric": True}, {}, ""),
    (losses.kl_divergence, {}, {"symmetric": True}, "symmetric in prediction and target"),
    (
        attend,
        {"permutation": {"k": 0, "v": 0}},
        {"permutation": {"k": 0}},
        "invariant under permutation of axis 0 of k: ",
    ),
    (attend, {"equivariant": {"q": 0}}, {}, ""),
    (weighted, {"equivariant": {"x": 1}, "result_axis": 0}, {}, ""),
    (positions, {}, {"equivariant": {"x": 0}}, "equivariant under permutation of axis 0 of x: output["),
    (soft, {"shift": "x", "bounded": (0, 1)}, {"scale": "x"}, "invariant under a scale of x by "),
    (normed, {"scale": True, "bounded": (-1.0000001, 1.0000001)}, {"shift": True}, "invariant under a shift of x by "),
    (attend, {"linear": "v"}, {"linear": "k"}, "linear in k: output["),
    (weighted, {"linear": ["x"]}, {"linear": ["x", "w"]}, "linear in x, w: output["),
    (
        scaled,
        {"linear": True, "factor": 3.0},
        {"bounded": (None, 9)},
        "bounded: output[0]: expected None to 9, got",
    ),
    (np.tanh, {}, {}, ""),
    (scaled, {"monotone": {"x": "increasing"}}, {"monotone": {"x": "decreasing"}}, "decreasing in x: output["),
    (distance, {}, {"monotone": {"a": "increasing"}}, "increasing in a: output: expected "),
    (picked, {"scale": "label"}, {"shift": "x"}, "invariant under a shift of x by"),
    (
        root,
        {"finite": (0.5, 2.0)},
        {"finite": (0.0, 2.0)},
        "finite reverse mode: argument x[0]: expected a finite number",
    ),
    (soft, {"finite": (-1e4, 1e4)}, {}, ""),
]


@pytest.mark.parametrize(("f", "right", "wrong", "said"), CASES)
def test_what_holds_and_what_does_not(f: Any, right: dict[str, Any], wrong: dict[str, Any], said: str) -> None:
    if right:
        check_invariant(f, max_examples=40, seed=0, **right)
    if not wrong:
        return
    with pytest.raises((GradientMismatch, tm.TapeError)) as caught:
        check_invariant(f, max_examples=100, seed=0, **wrong)
    assert said in str(caught.value)


def test_a_failure_shows_the_smallest_example_and_the_call() -> None:
    with pytest.raises(GradientMismatch) as caught:
        check_invariant(positions, equivariant={"x": 0}, seed=3, max_examples=60)
    lines = str(caught.value).splitlines()
    assert lines[0] == "positions(x): 1 check failed"
    assert lines[2] == "  the smallest example that fails:"
    assert lines[3].endswith(("float64[2]", "float64[3]")), "with one element there is nothing to permute"
    call = lines[-1].removeprefix("  the same again: ")
    assert call == "check_invariant(positions, equivariant={'x': 0}, max_examples=60, seed=3)"
    with pytest.raises(GradientMismatch) as again:
        eval(call, {"check_invariant": check_invariant, "positions": positions})
    assert str(again.value) == str(caught.value)


def test_layers_keep_what_they_promise() -> None:
    check_invariant(layers.layer_norm, shift="x", bounded=(None, None), max_examples=15, seed=0)

    def attention(q: Float[T, "*b n d"], k: Float[T, "*b m d"], v: Float[T, "*b m e"]) -> Float[T, "*b n e"]:
        return layers.scaled_dot_product_attention(q, k, v)  # a mask would have to be permuted with the queries

    check_invariant(
        attention, equivariant={"q": -2}, permutation={"k": -2, "v": -2}, linear="v", max_examples=30, seed=0
    )


def test_single_precision_is_less_strict() -> None:
    check_invariant(attend, linear="v", dtypes=[np.float32], max_examples=20, seed=0)
    with pytest.raises(GradientMismatch):
        check_invariant(attend, linear="v", dtypes=[np.float32], rtol=1e-9, max_examples=20, seed=0)


def test_integers_and_trees_of_results_are_compared() -> None:
    def counted(x: Float[T, "n"]) -> dict[str, Any]:
        return {"sum": np.sum(x), "count": (x > 0).sum(), "any": np.any(x > 4)}

    check_invariant(counted, permutation={"x": 0}, max_examples=20, seed=0)
    with pytest.raises(GradientMismatch, match="invariant under a shift of x by"):
        check_invariant(counted, shift="x", max_examples=20, seed=0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {},
            "say what holds of distance: symmetric, permutation, equivariant, shift, scale, linear, bounded, monotone",
        ),
        ({"linear": "c"}, "linear has 'c', but the tensors are a, b"),
        ({"symmetric": "a"}, "symmetric='a' must name two tensors at least"),
        ({"permutation": "a"}, "permutation='a' must map tensors to their axes, as in {'x': 0}"),
        ({"permutation": {"a": 1}}, "a was drawn in the shape (1,), which has no axis 1"),
        ({"equivariant": {"a": 0, "b": 0}}, "axis 0 of a result of shape () is not 1 long"),
        ({"monotone": {"a": "up"}}, "monotone={'a': 'up'} must map tensors to 'increasing' or 'decreasing'"),
        ({"monotone": "a"}, "monotone='a' must map tensors to 'increasing' or 'decreasing'"),
        ({"finite": (2, 1)}, "finite=(2, 1) must be a box, from its lower to its upper bound"),
        ({"linear": "a", "domain": "postive"}, "the domain 'postive' must be"),
    ],
)
def test_bad_input(options: dict[str, Any], said: str) -> None:
    with pytest.raises(tm.TapeError) as caught:
        check_invariant(distance, max_examples=20, seed=0, **options)
    assert said in str(caught.value)


def test_a_function_that_refuses_all() -> None:
    def refusing(x: Float[T, "n"]) -> Float[T, "n"]:
        raise tm.errors.ArgumentError("refusing(x): never.")

    with pytest.raises(tm.TapeError, match="check_invariant: refusing refused nearly all that was drawn"):
        check_invariant(refusing, shift=True, max_examples=10, seed=0)


def test_axes_of_several_lengths() -> None:
    with pytest.raises(tm.TapeError, match="permuted axes must be of one length, but "):
        check_invariant(attend, permutation={"q": 0, "k": 0}, max_examples=60, seed=0)
