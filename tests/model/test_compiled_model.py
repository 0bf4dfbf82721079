"""Every function of tm.model inside of a compiled function: the values of the eager one."""

import numpy as np
import pytest

import layers
import losses
import tapem as tm

MODEL = layers.Linear(3, 4) >> layers.Tanh() >> layers.Linear(4, 2)
PARAMS = MODEL.init(tm.random.key(0))
X = np.random.default_rng(0).standard_normal((5, 3))
SCORES = np.random.default_rng(1).uniform(size=(5, 2))
OF_LOSS = ["grad_inputs", "grad_params", "grad_target", "grad_x", "value_and_grad", "value_and_grad_params",
           "value_and_grad_target", "value_and_grad_x"]  # fmt: skip


def of_loss(name):
    return lambda params, x: getattr(tm.model, name)(MODEL, losses.mse, params, x, SCORES)


FUNCTIONS = {
    **{name: of_loss(name) for name in OF_LOSS},
    "hvp": lambda params, x: tm.model.hvp(MODEL, losses.mse, params, x, SCORES, params),
    "jacrev": lambda params, x: tm.model.jacrev(MODEL, params, x),
    "jacrev_input": lambda params, x: tm.model.jacrev_input(MODEL, params, x),
    "jvp": lambda params, x: tm.model.jvp(MODEL, losses.mse, params, x, SCORES, params),
    "vjp_input": lambda params, x: tm.model.vjp_input(MODEL, params, x, SCORES),
    "vjp_params": lambda params, x: tm.model.vjp_params(MODEL, params, x, SCORES),
}


def test_every_function_is_here():
    assert set(FUNCTIONS) == {name for name in tm.model.__all__ if name[0].islower()}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_functions_of_models(name):
    found, expected = tm.compile(FUNCTIONS[name], engine="numpy")(PARAMS, X), FUNCTIONS[name](PARAMS, X)
    leaves, structure = tm.tree_flatten(found)
    others, other = tm.tree_flatten(expected)
    assert structure == other
    for one, two in zip(leaves, others, strict=True):
        assert np.asarray(one).dtype == np.asarray(two).dtype
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-14)
