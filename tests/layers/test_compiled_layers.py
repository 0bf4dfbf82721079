"""Every layer object, compiled: values, states and gradients are the eager ones, for every key and state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapem as tm
from layers import Layer
from tapem.core.tree import tree_flatten
from tests.layers.test_every_layer import KEY, batch_for, every_layer, run


def assert_equal(found: Any, expected: Any, exact: bool) -> None:
    (one, structure), (other, wanted) = tree_flatten(found), tree_flatten(expected)
    assert structure == wanted
    for a, b in zip(one, other, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype and np.shape(a) == np.shape(b)
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * np.abs(b).max(initial=1))


@every_layer
@pytest.mark.parametrize("train", [False, True])
def test_a_compiled_layer(layer: Layer, shape: tuple[int, ...], train: bool) -> None:
    """The key and the state are operands: another key gives other numbers, and no other program."""
    params, state, x = layer.init(KEY), layer.init_state(), batch_for(layer, shape)
    moving = x.dtype.kind == "f"

    def step(params: Any, x: Any, state: Any, key: Any) -> Any:
        def loss(params: Any, x: Any) -> Any:
            y, after = run(layer, params, x, state, key=key, train=train)
            return np.sum(y * y * y), (y, after)

        return tm.value_and_grad(loss, argnums=(0, 1) if moving else 0, has_aux=True)(params, x)

    compiled = [tm.compile(step, engine="numpy", fast=fast) for fast in (False, True)]
    for number in range(3):
        key = tm.random.split(KEY, 3)[number]
        expected = step(params, x, state, key)
        for exact, function in zip((True, False), compiled, strict=True):
            found = function(params, x, state, key)
            assert_equal(found, expected, exact)
            for leaf in tree_flatten(found)[0]:
                if isinstance(leaf, np.ndarray):
                    leaf[...] = 0  # what is done with a result is not seen in the next call
            assert "1 program" in repr(function)
        state = expected[0][1][1]
