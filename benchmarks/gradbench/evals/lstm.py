"""The loss of a character model, an LSTM whose weight matrices are diagonal, and its gradient."""

from typing import Any

import numpy as np

import tapem as tm

from ...workload import Array
from ..evaluation import Eval, Inputs


def loss(main: Array, extra: Array, state: Array, sequence: Array) -> Any:
    """Compute the loss of the model's predictions of each next character of the sequence."""
    layers, b = len(main) // 2, extra.shape[1]
    weights = np.moveaxis(main[0::2].reshape(layers, 4, b), 1, 0)  # (forget, in, out, change) x layer
    biases = np.moveaxis(main[1::2].reshape(layers, 4, b), 1, 0)
    # Forget and out gate look at what comes in, in gate and change at the hidden state of the step before.
    by_input = [(weights[0::2, layer], biases[0::2, layer]) for layer in range(layers)]
    by_hidden = weights[1::2], biases[1::2]

    def step(before: tuple[Array, Array], x: Array) -> tuple[tuple[Array, Array], Array]:
        hidden, cell = before
        weight, bias = by_hidden
        gate, change = hidden * weight + bias
        added = tm.sigmoid(gate) * np.tanh(change)
        hiddens: list[Array] = []
        cells: list[Array] = []
        value = x
        for layer, (weight, bias) in enumerate(by_input):
            forget, out = tm.sigmoid(value * weight + bias)
            cells.append(cell[layer] * forget + added[layer])
            value = out * np.tanh(cells[-1])
            hiddens.append(value)
        return (np.stack(hiddens), np.stack(cells)), value

    _, last = tm.scan(step, (state[0::2], state[1::2]), sequence[:-1] * extra[0])
    prediction = last * extra[1] + extra[2]
    normed = prediction - np.log(2 + np.sum(np.exp(prediction), axis=1, keepdims=True))
    return -np.sum(sequence[1:] * normed) / normed.size


def gradient(main: Array, extra: Array, state: Array, sequence: Array) -> Array:
    """Compute the gradient by all parameters, in one vector."""
    by_main, by_extra = tm.grad(loss, argnums=(0, 1))(main, extra, state, sequence)
    return np.concatenate([by_main.reshape(-1), by_extra.reshape(-1)])


def arguments(inputs: Inputs) -> tuple[Array, ...]:
    """Take the parameters, the first state, and the characters."""
    return tuple(inputs[name] for name in ("main_params", "extra_params", "state", "sequence"))


EVAL = Eval("lstm", arguments, loss, gradient)
