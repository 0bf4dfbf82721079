"""Old names work for one release, and say what to write instead."""

import numpy as np
import pytest

import layers
import tapem as tm


def test_old_names_of_modules():
    with pytest.warns(DeprecationWarning, match=r"tapem\.Abstract is called tapem\.ShapeDtype now") as caught:
        assert tm.Abstract is tm.ShapeDtype
    assert caught[0].filename == __file__  # the warning is told of the line that is to change
    with pytest.warns(DeprecationWarning, match=r"tapem\.optim\.Optimiser is called tapem\.optim\.Optimizer now"):
        assert tm.optim.Optimiser is tm.optim.Optimizer
    with pytest.warns(DeprecationWarning, match=r"layers\.initialisers is called layers\.initializers now"):
        assert layers.initialisers is layers.initializers
    for module in (tm, tm.optim, layers):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            _ = module.nothing


def test_the_old_parameter_of_fit():
    data = np.ones((4, 1)), np.ones((4, 1))
    options = {"key": tm.random.key(0), "epochs": 1, "params": 0.0, "progress": False}

    def model(params, x):
        return params * x

    def loss(prediction, target):
        return np.mean((prediction - target) ** 2)

    new = tm.fit(model, loss, tm.optim.sgd(0.1), data, **options)
    with pytest.warns(DeprecationWarning, match="fit: the parameter 'optimiser' is called 'optimizer' now"):
        old = tm.fit(model, loss, data=data, optimiser=tm.optim.sgd(0.1), **options)
    assert old.params == new.params
    with pytest.raises(TypeError, match="fit got 'optimizer' twice, once as 'optimiser'"):
        tm.fit(
            model, loss, tm.optim.sgd(0.1), data, optimizer=tm.optim.sgd(0.1), optimiser=tm.optim.sgd(0.1), **options
        )
