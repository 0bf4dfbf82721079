"""One value of each type that has a display."""

import numpy as np

import layers
import losses
import tapem as tm
from layers import Linear, Tanh


def error_of(f):
    """The error that a call raises."""
    try:
        f()
    except tm.TapeError as error:
        return error
    raise AssertionError("no error")


def training():
    """A short training."""
    model = Linear(4, 8) >> Tanh() >> Linear(8, 1)
    x = np.random.default_rng(0).normal(size=(64, 4))
    data = (x, x[:, :1] ** 2)
    options = {"key": tm.random.key(0), "epochs": 3, "batch": 16, "validation": data, "progress": False}
    return tm.fit(model, losses.mse, tm.optim.adam(0.02), data, **options)


def tapes():
    """A tape of five nodes, its matrix product, its output."""
    rng = np.random.default_rng(0)
    x, tape = tm.Tape().leaf(rng.normal(size=(5, 4)), name="x")
    w, tape = tape.leaf(rng.normal(size=(4, 3)), name="w<b>")
    product, tape = tape.record(tm.matmul, x, w)
    y, tape = tape.record(tm.tanh, product)
    out, tape = tape.record(tm.sum, y)
    return tape, product, out


def displayed():
    """Values by what they are."""
    tape, product, out = tapes()
    fitted = training()
    square = lambda x: np.sum(x**2)  # noqa: E731
    linear = lambda: layers.linear(np.ones((3, 4)), np.ones(3), np.ones((5, 3)))  # noqa: E731
    return {
        "tape": tape,
        "an abstract tape": tm.tape_of(np.sin, np.ones(3), abstract=True).tape,
        "the tape of a function": tm.tape_of(square, np.ones(3)),
        "a ref": product,
        "a node": tape[product],
        "gradients": tape.backward_scalar(out),
        "a sweep": tm.reverse_steps(tape, out),
        "a tree": tm.show(fitted.params),
        "a training": fitted,
        "a model": Linear(4, 8) >> Tanh() >> Linear(8, 1),
        "a model whose shapes are not known": layers.Flatten() >> Linear(64, 1),
        "a layer": Linear(4, 8),
        "a check": tm.testing.check_gradient(square, np.array([1.0, 2.0])),
        "a check that failed": tm.testing.check_gradient(square, np.array([1.0, 2.0]), gradient=lambda x: 3 * x),
        "an error of axes": error_of(linear),
        "another error": error_of(lambda: tm.grad(lambda x: x * 2)(np.ones(3))),
    }
