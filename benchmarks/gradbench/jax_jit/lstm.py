"""The loss of a character model, an LSTM whose weight matrices are diagonal, and its gradient."""

from typing import Any

from ..evals import lstm
from ..evaluation import Eval
from .loaded import jax, jnp


def loss(main: Any, extra: Any, state: Any, sequence: Any) -> Any:
    """Compute the loss of the model's predictions of each next character of the sequence."""
    layers, b = len(main) // 2, extra.shape[1]
    weights, biases = main[0::2].reshape(layers, 4, b), main[1::2].reshape(layers, 4, b)

    def step(before: Any, x: Any) -> Any:
        hidden, cell = before
        value = x
        hiddens: list[Any] = []
        cells: list[Any] = []
        for layer in range(layers):
            weight, bias = weights[layer], biases[layer]
            forget = jax.nn.sigmoid(value * weight[0] + bias[0])
            gate = jax.nn.sigmoid(hidden[layer] * weight[1] + bias[1])
            out = jax.nn.sigmoid(value * weight[2] + bias[2])
            change = jnp.tanh(hidden[layer] * weight[3] + bias[3])
            cells.append(cell[layer] * forget + gate * change)
            value = out * jnp.tanh(cells[-1])
            hiddens.append(value)
        return (jnp.stack(hiddens), jnp.stack(cells)), value

    _, last = jax.lax.scan(step, (state[0::2], state[1::2]), sequence[:-1] * extra[0])
    prediction = last * extra[1] + extra[2]
    normed = prediction - jnp.log(2 + jnp.exp(prediction).sum(1, keepdims=True))
    return -(sequence[1:] * normed).sum() / normed.size


def gradient(main: Any, extra: Any, state: Any, sequence: Any) -> Any:
    """Compute the gradient by all parameters, in one vector."""
    by_main, by_extra = jax.grad(loss, argnums=(0, 1))(main, extra, state, sequence)
    return jnp.concatenate([by_main.reshape(-1), by_extra.reshape(-1)])


EVAL = Eval("lstm", lstm.arguments, loss, gradient)
