"""Every optimizer and schedule in a compiled step: the numbers of the eager step, and one program for all steps."""

import numpy as np
import pytest

import tapem as tm

SCHEDULES = [
    0.05,
    tm.optim.constant(0.05),
    tm.optim.exponential(0.05, 0.5, every=3),
    tm.optim.step(0.05, every=2),
    tm.optim.cosine(0.05, 4),
    tm.optim.warmup_cosine(0.05, warmup=2, steps=5),
]
OPTIMIZERS = [
    *(tm.optim.sgd(rate) for rate in SCHEDULES),
    *(tm.optim.adam(rate) for rate in SCHEDULES),
    tm.optim.sgd(0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    tm.optim.adamw(tm.optim.cosine(0.05, 4)),
    tm.optim.rmsprop(0.05, momentum=0.5),
    tm.optim.adagrad(0.05),
]


def loss(params):
    return np.sum((params["w"] - 1.0) ** 2) + np.sum(np.abs(params["b"]) ** 2)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_a_compiled_update_is_the_eager_one(optimizer, dtype):
    def step(params, state):
        gradients = tm.optim.clip_by_global_norm(tm.grad(loss)(params), 1.5)
        return optimizer.update(gradients, state, params)

    fast = tm.compile(step, engine="numpy")
    params = wanted = {"w": np.array([3.0, -2.0], dtype), "b": np.array([0.5], dtype)}
    state = expected = optimizer.init(params)
    for _ in range(7):
        params, state = fast(params, state)
        wanted, expected = step(wanted, expected)
    assert state["step"] == expected["step"] == 7
    rtol = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-13}[dtype]
    for one, other in zip(tm.tree_leaves((params, state)), tm.tree_leaves((wanted, expected)), strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)
    assert "1 program" in repr(fast)
