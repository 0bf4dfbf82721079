"""Strategies for trees, for arrays like those of a tree, and for small networks with what they are called with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis.strategies import just

import tapem as tm
from tapem.testing import arrays_like, check_grads, models, trees
from tapem.testing.networks import ACTIVATIONS, KINDS, Link, Pair

quick = settings(max_examples=25, database=None, deadline=None, suppress_health_check=list(HealthCheck))
search = settings(max_examples=2000, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("kind", [dict, list, tuple, Pair, Link])
def test_trees_of_every_kind_are_drawn(kind: type) -> None:
    inner = find(trees(), lambda tree: isinstance(tree, list) and any(type(x) is kind for x in tree), settings=search)
    assert all(type(leaf) is np.ndarray and leaf.dtype == np.float64 for leaf in tm.tree_leaves(inner))


def test_trees_can_be_differentiated() -> None:
    @quick
    @given(trees())
    def check(tree: Any) -> None:
        gradient = tm.grad(lambda tree: sum(np.sum(leaf**2) for leaf in tm.tree_leaves(tree)))(tree)
        assert tm.tree_flatten(gradient)[1] == tm.tree_flatten(tree)[1]
        for one, other in zip(tm.tree_leaves(gradient), tm.tree_leaves(tree), strict=True):
            np.testing.assert_array_equal(one, 2 * other)

    check()


def test_leaves_of_ones_own() -> None:
    assert find(trees(just(3)), lambda tree: isinstance(tree, tuple) and len(tree) == 2, settings=search)
    assert len(tm.tree_leaves(find(trees(max_leaves=2), lambda tree: True))) <= 2


def test_arrays_like_a_tree() -> None:
    like = {"w": np.ones((2, 3), np.float32), "n": tm.ShapeDtype((4,), np.dtype(np.int64)), "z": 1j}

    @quick
    @given(arrays_like(like, edges=True))
    def check(tree: dict[str, Any]) -> None:
        kinds = {name: (leaf.shape, leaf.dtype.newbyteorder("=")) for name, leaf in tree.items()}
        assert kinds == {"w": ((2, 3), np.float32), "n": ((4,), np.int64), "z": ((), np.complex128)}

    check()


def test_arrays_like_a_tree_in_a_domain() -> None:
    @quick
    @given(arrays_like([np.ones((2, 2)), np.ones((3, 3), np.float32)], domain="positive definite"))
    def check(tree: list[Any]) -> None:
        assert all(np.all(np.linalg.eigvalsh(leaf) > 0) for leaf in tree)

    check()
    with pytest.raises(tm.TapeError, match="the domain 'postive' must be"):
        arrays_like(np.ones(2), domain="postive")


def test_models_have_right_derivatives() -> None:
    """In both modes, through every kind of layer."""
    seen: set[str] = set()

    @settings(quick, max_examples=30, derandomize=True)
    @given(models())
    def check(drawn: Any) -> None:
        model, params, x = drawn
        seen.update(layer.kind for layer in model.layers)
        assert model(params, x).shape == (*x.shape[:-1], model.layers[-1].outputs)
        check_grads(model, (params, x), order=1)

    check()
    assert seen == set(KINDS)


def test_models_go_through_every_door_and_transform() -> None:
    @quick
    @given(models(activations=list(ACTIVATIONS)))
    def check(drawn: Any) -> None:
        model, params, x = drawn
        value = model(params, x)
        ref, tape = tm.lift(model)(params, x).run()
        np.testing.assert_array_equal(tape.value(ref), value)
        assert tm.eval_shape(model, params, x).shape == value.shape
        batch = np.stack([x, 2 * x])
        mapped = tm.vmap(model, in_axes=(None, 0))(params, batch)
        np.testing.assert_allclose(mapped[0], value, rtol=1e-12, atol=1e-12)
        loss = tm.model.value_and_grad_params(model, lambda p, t: np.sum((p - t) ** 2), params, x, value)
        assert loss[0] == 0

    check()


def test_models_are_chosen() -> None:
    @quick
    @given(models(activations=["relu"], kinds=["dense"], max_depth=1, max_width=2, max_axes=0, dtype=np.float32))
    def check(drawn: Any) -> None:
        model, params, x = drawn
        assert str(model) in {f"dense({m} -> {n}, relu)" for m in (1, 2) for n in (1, 2)}
        assert x.ndim == 1 and x.dtype == params[0]["weight"].dtype == np.float32

    check()
    smallest = find(models(), lambda drawn: True)
    assert str(smallest.model) == "dense(1 -> 1, tanh)" and smallest.x.shape == (1,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"activations": ["tan"]}, "models: activations=['tan'] must be a list of tanh, softplus"),
        ({"activations": []}, "models: activations=[] must be a list of"),
        ({"kinds": "dense"}, "models: kinds='dense' must be a list of dense, residual, norm, gate."),
    ],
)
def test_bad_input(options: dict[str, Any], said: str) -> None:
    with pytest.raises(tm.TapeError) as caught:
        models(**options)
    assert said in str(caught.value)
