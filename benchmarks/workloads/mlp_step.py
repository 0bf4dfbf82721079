"""One SGD step of an MLP 64-128-128-10 on a batch of 32: value, gradient and update; steps follow each other.

Two hidden layers with relu, then the mean softmax cross-entropy on integer labels; everything float32. Weights are
(out, in) if a library's own linear layer has them so (tapem, torch), and (in, out) if its users write ``x @ weight``
(autograd, MyGrad, JAX); BLAS is equally fast for both, and ``read`` transposes them for the check.
"""

# Layers are ops that take values of any kind, so a type checker cannot know the type of a step made of steps.
# pyright: reportUnknownArgumentType=false

import functools
from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..libraries import load, load_torch
from ..workload import Array, Candidate, Workload, read_arrays
from .sgd import (
    LEARNING_RATE,
    jax_step,
    mygrad_step,
    tapem_monadic_step,
    tapem_step,
    torch_func_step,
    torch_step,
)

WIDTHS = (64, 128, 128, 10)
BATCH = 32

_random = np.random.default_rng(0)
IMAGES: Array = _random.standard_normal((BATCH, WIDTHS[0]), dtype=np.float32)
LABELS: Array = _random.integers(0, WIDTHS[-1], BATCH)
ONE_HOT: Array = np.eye(WIDTHS[-1], dtype=np.float32)[LABELS]


def start() -> list[Array]:
    """Return fresh parameters: the weight (out, in) and the bias (out,) of each layer in turn."""
    random = np.random.default_rng(1)
    parameters: list[Array] = []
    for fan_in, fan_out in pairwise(WIDTHS):
        weight = random.standard_normal((fan_out, fan_in), dtype=np.float32) * np.float32(np.sqrt(2 / fan_in))
        parameters += [weight, np.full(fan_out, 0.01, np.float32)]
    return parameters


def start_transposed() -> list[Array]:
    """Return the same parameters with weights (in, out)."""
    return [np.ascontiguousarray(parameter.T) for parameter in start()]


def read_transposed(outcome: Any) -> list[Array]:
    """Read a loss and parameters whose weights are (in, out)."""
    return [array.T for array in read_arrays(outcome)]


def by_numpy() -> Candidate:
    """By hand: softmax and cross-entropy differentiated as one, and in place where a person would write it so."""
    w1, b1, w2, b2, w3, b3 = parameters = start()
    x, labels, rows = IMAGES, LABELS, np.arange(BATCH)

    def step() -> tuple[Any, list[Array]]:
        nonlocal w1, b1, w2, b2, w3, b3
        h1 = x @ w1.T
        h1 += b1
        np.maximum(h1, 0, out=h1)
        h2 = h1 @ w2.T
        h2 += b2
        np.maximum(h2, 0, out=h2)
        logits = h2 @ w3.T
        logits += b3

        logits -= logits.max(axis=1, keepdims=True)
        d3 = np.exp(logits)
        totals = d3.sum(axis=1, keepdims=True)
        loss = (np.log(totals[:, 0]) - logits[rows, labels]).mean()
        d3 /= totals
        d3[rows, labels] -= 1
        d3 /= BATCH

        d2 = d3 @ w3
        d2 *= h2 > 0
        d1 = d2 @ w2
        d1 *= h1 > 0

        w3 -= LEARNING_RATE * (d3.T @ h2)
        b3 -= LEARNING_RATE * d3.sum(axis=0)
        w2 -= LEARNING_RATE * (d2.T @ h1)
        b2 -= LEARNING_RATE * d2.sum(axis=0)
        w1 -= LEARNING_RATE * (d1.T @ x)
        b1 -= LEARNING_RATE * d1.sum(axis=0)
        return loss, parameters

    return Candidate(step)


def by_numpy_tuned() -> Candidate:
    """By hand, with np.dot in place of @, every array allocated once, and reductions over the batch as products."""
    w1, b1, w2, b2, w3, b3 = parameters = start()
    x, hot, ones = IMAGES, ONE_HOT, np.ones(BATCH, np.float32)
    picked = np.arange(BATCH) * WIDTHS[-1] + LABELS
    share = np.float32(1 / BATCH)
    h1, h2, d1, d2 = (np.empty((BATCH, WIDTHS[1]), np.float32) for _ in range(4))
    alive = np.empty((BATCH, WIDTHS[1]), np.bool_)
    logits = np.empty((BATCH, WIDTHS[-1]), np.float32)
    column = np.empty((BATCH, 1), np.float32)
    # Per layer: weight, bias, the cotangent of its output, its input, and room for the two gradients.
    layers = [
        (weight, bias, cotangent, given, np.empty_like(weight), np.empty_like(bias))
        for weight, bias, cotangent, given in ((w1, b1, d1, x), (w2, b2, d2, h1), (w3, b3, logits, h2))
    ]

    def step() -> tuple[Any, list[Array]]:
        dot, add, multiply, subtract, maximum = np.dot, np.add, np.multiply, np.subtract, np.maximum
        maximum(add(dot(x, w1.T, h1), b1, h1), 0, h1)
        maximum(add(dot(h1, w2.T, h2), b2, h2), 0, h2)
        add(dot(h2, w3.T, logits), b3, logits)

        subtract(logits, maximum.reduce(logits, axis=1, keepdims=True, out=column), logits)
        score = add.reduce(logits.take(picked))
        np.exp(logits, logits)
        np.divide(logits, add.reduce(logits, axis=1, keepdims=True, out=column), logits)
        loss = (add.reduce(np.log(column), axis=None) - score) * share
        multiply(subtract(logits, hot, logits), share, logits)

        multiply(dot(logits, w3, d2), np.greater(h2, 0, alive), d2)
        multiply(dot(d2, w2, d1), np.greater(h1, 0, alive), d1)

        for weight, bias, cotangent, given, weight_gradient, bias_gradient in layers:
            dot(cotangent.T, given, weight_gradient)
            subtract(weight, multiply(weight_gradient, LEARNING_RATE, weight_gradient), weight)
            dot(ones, cotangent, bias_gradient)
            subtract(bias, multiply(bias_gradient, LEARNING_RATE, bias_gradient), bias)
        return loss, parameters

    return Candidate(step)


def by_tapem(engine: str | None = None) -> Candidate:
    """The direct door: a function of tapem's layers and losses, and the stock optimizer; compiled by an engine."""
    import layers
    import losses
    import tapem as tm

    def loss_of(pairs: Sequence[tuple[Array, Array]]) -> Array:
        *hidden, (last_weight, last_bias) = pairs
        h = IMAGES
        for weight, bias in hidden:
            h = tm.relu(layers.linear(weight, bias, h))
        return losses.cross_entropy(layers.linear(last_weight, last_bias, h), LABELS)

    parameters = start()
    return Candidate(tapem_step(loss_of, list(zip(parameters[::2], parameters[1::2], strict=True)), engine))


def by_tapem_monadic() -> Candidate:
    """The monadic door: one step is a description, which gets the parameters and runs on an empty tape."""
    import layers
    import losses
    import tapem as tm

    @tm.do
    def loss_and_gradients(values: Any) -> Generator[Any, Any, Any]:
        refs: Any = yield tm.traverse(tm.param, values)
        w1, b1, w2, b2, w3, b3 = refs
        x = yield tm.const(IMAGES)
        h1 = yield tm.relu(layers.linear(w1, b1, x))
        h2 = yield tm.relu(layers.linear(w2, b2, h1))
        loss = yield losses.cross_entropy(layers.linear(w3, b3, h2), LABELS)
        gradients = yield tm.backward_scalar(loss)
        return loss, [gradients[ref] for ref in refs]

    return Candidate(tapem_monadic_step(loss_and_gradients, start()))


def _in_numpy_names(np_like: Any, value_and_grad_of: Any) -> Candidate:
    """The step in NumPy's names alone: the layers, the loss and the update are written out."""
    rows = np.arange(BATCH)

    def loss_of(parameters: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        h1 = np_like.maximum(np_like.dot(IMAGES, w1) + b1, 0)
        h2 = np_like.maximum(np_like.dot(h1, w2) + b2, 0)
        logits = np_like.dot(h2, w3) + b3
        shifted = logits - np_like.max(logits, axis=1, keepdims=True)
        return np_like.mean(np_like.log(np_like.sum(np_like.exp(shifted), axis=1)) - shifted[rows, LABELS])

    value_and_grad = value_and_grad_of(loss_of)
    parameters = start_transposed()

    def step() -> tuple[Any, Any]:
        nonlocal parameters
        loss, gradients = value_and_grad(parameters)
        parameters = [p - LEARNING_RATE * g for p, g in zip(parameters, gradients, strict=True)]
        return loss, parameters

    return Candidate(step, read_transposed)


def by_tapem_numpy() -> Candidate:
    """The direct door, with only NumPy's own names in the function."""
    import tapem as tm

    return _in_numpy_names(np, tm.value_and_grad)


def by_autograd() -> Candidate:
    """HIPS autograd, with its copy of NumPy's names."""
    return _in_numpy_names(load("autograd.numpy"), load("autograd").value_and_grad)


def by_mygrad(*, guarded: bool = True) -> Candidate:
    """MyGrad: its own relu and fused loss."""
    mg, relu = load("mygrad"), load("mygrad.nnet.activations").relu
    softmax_crossentropy = load("mygrad.nnet.losses").softmax_crossentropy
    if not guarded:
        mg.turn_memory_guarding_off()

    def loss_of(parameters: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        h1 = relu(mg.matmul(IMAGES, w1) + b1)
        h2 = relu(mg.matmul(h1, w2) + b2)
        return softmax_crossentropy(mg.matmul(h2, w3) + b3, LABELS)

    return Candidate(mygrad_step(loss_of, [mg.tensor(parameter) for parameter in start_transposed()]), read_transposed)


def by_mygrad_unguarded() -> Candidate:
    """MyGrad without its guard against writing into arrays that a graph still needs."""
    return by_mygrad(guarded=False)


def by_jax() -> Candidate:
    """JAX, with its own relu and log_softmax."""
    jax, jnp = load("jax"), load("jax.numpy")
    x, labels, rows = jnp.asarray(IMAGES), jnp.asarray(LABELS), jnp.arange(BATCH)

    def loss_of(parameters: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        h1 = jax.nn.relu(x @ w1 + b1)
        h2 = jax.nn.relu(h1 @ w2 + b2)
        return -jnp.mean(jax.nn.log_softmax(h2 @ w3 + b3)[rows, labels])

    return Candidate(jax_step(loss_of, [jnp.asarray(parameter) for parameter in start_transposed()]), read_transposed)


def _torch_loss(torch: Any) -> Any:
    functional = torch.nn.functional
    x, labels = torch.tensor(IMAGES), torch.tensor(LABELS)

    def loss_of(parameters: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        h1 = functional.relu(functional.linear(x, w1, b1))
        h2 = functional.relu(functional.linear(h1, w2, b2))
        return functional.cross_entropy(functional.linear(h2, w3, b3), labels)

    return loss_of


def by_torch() -> Candidate:
    """Torch's eager mode."""
    torch = load_torch()
    parameters = [torch.tensor(parameter, requires_grad=True) for parameter in start()]
    return Candidate(torch_step(_torch_loss(torch), parameters))


def by_torch_func() -> Candidate:
    """Torch's functional transforms."""
    torch = load_torch()
    return Candidate(torch_func_step(_torch_loss(torch), [torch.tensor(parameter) for parameter in start()]))


WORKLOAD = Workload(
    name="mlp-step",
    title="MLP 64-128-128-10, batch 32, one SGD step",
    libraries={
        "numpy": by_numpy,
        "numpy-tuned": by_numpy_tuned,
        "tapem": by_tapem,
        "tapem-compiled": functools.partial(by_tapem, "numpy"),
        "tapem-numba": functools.partial(by_tapem, "numba"),
        "tapem-monadic": by_tapem_monadic,
        "tapem-numpy": by_tapem_numpy,
        "autograd": by_autograd,
        "mygrad": by_mygrad,
        "mygrad-unguarded": by_mygrad_unguarded,
        "jax": by_jax,
        "torch": by_torch,
        "torch.func": by_torch_func,
    },
    tolerance=1e-3,
    start=start,
)
