"""fit with compile: the numbers of the eager training to rounding, for every kind of model."""

import numpy as np
import pytest

import layers
import losses
import tapem as tm

KEY = np.random.default_rng(3)
X = KEY.standard_normal((50, 6)).astype(np.float32)
LABELS = KEY.integers(0, 3, 50)


def trained(model, compile, **options):
    return tm.fit(
        model,
        losses.cross_entropy,
        options.pop("optimizer", tm.optim.adam(1e-2)),
        (X, LABELS),
        key=tm.random.key(1),
        epochs=3,
        batch=16,
        progress=False,
        compile=compile,
        **options,
    )


MODELS = {
    "layers": layers.Linear(6, 8) >> layers.Relu() >> layers.Linear(8, 3),
    "dropout": layers.Linear(6, 8) >> layers.Dropout(0.5) >> layers.Linear(8, 3),
    "batch norm": layers.Linear(6, 8) >> layers.BatchNorm(8) >> layers.Linear(8, 3),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_training_has_the_same_numbers(name):
    eager, fast = (trained(MODELS[name], compile) for compile in (False, "numpy"))
    np.testing.assert_allclose(fast.history["step_loss"], eager.history["step_loss"], rtol=1e-5)
    for one, other in zip(tm.tree_leaves(fast.params), tm.tree_leaves(eager.params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert fast.state.optimizer_state["step"] == eager.state.optimizer_state["step"]


def test_a_function_and_a_do_program_are_compiled_too():
    params = {"w": X[:3, :6].copy(), "b": np.zeros(3, np.float32)}

    def plain(params, x):
        return x @ params["w"].T + params["b"]

    @tm.do
    def program(params, x):
        return (yield layers.linear(params["w"], params["b"], x))

    for model in (plain, program):
        eager, fast = (trained(model, compile, params=params) for compile in (False, "numpy"))
        np.testing.assert_allclose(fast.history["step_loss"], eager.history["step_loss"], rtol=1e-5)


def test_a_compiled_training_stops_at_a_loss_that_is_not_finite():
    with pytest.raises(tm.NonFiniteError) as caught, np.errstate(all="ignore"):
        trained(MODELS["layers"], "numpy", optimizer=tm.optim.sgd(1e30))
    assert all(np.isfinite(value) for value in caught.value.result.history["step_loss"])


def test_an_unknown_engine_is_refused():
    with pytest.raises(tm.ArgumentError, match="there is no engine 'cuda'"):
        trained(MODELS["layers"], "cuda")
