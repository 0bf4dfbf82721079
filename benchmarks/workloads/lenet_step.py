"""One SGD step of LeNet on 32 images of 28 x 28: value, gradient and update; each step starts from the last one.

Convolution 5x5 with 8 channels, relu, 2x2 max-pool; convolution 5x5 with 16 channels, relu, 2x2 max-pool; a dense layer
from 256 features to 10; the mean softmax cross-entropy on integer labels. Everything is float32, (batch, channels,
height, width) without padding. Autograd is left out: it has no pooling, and only scipy.signal's convolution.
"""

# Layers are ops that take values of any kind, so a type checker cannot know the type of a step made of steps.
# pyright: reportUnknownArgumentType=false

import functools
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from ..libraries import load, load_torch
from ..workload import Array, Candidate, Workload
from .sgd import (
    LEARNING_RATE,
    jax_step,
    mygrad_step,
    tapem_monadic_step,
    tapem_step,
    torch_func_step,
    torch_step,
)

BATCH, SIZE, CLASSES = 32, 28, 10
TAPS = 5
CHANNELS = (1, 8, 16)
FEATURES = 16 * 4 * 4

_random = np.random.default_rng(0)
IMAGES: Array = _random.standard_normal((BATCH, 1, SIZE, SIZE), dtype=np.float32)
LABELS: Array = _random.integers(0, CLASSES, BATCH)


def start() -> list[Array]:
    """Return fresh parameters: of each convolution the kernel (out, in, 5, 5) and the bias, then weight and bias."""
    random = np.random.default_rng(1)
    shapes = [(CHANNELS[1], CHANNELS[0], TAPS, TAPS), (CHANNELS[2], CHANNELS[1], TAPS, TAPS), (CLASSES, FEATURES)]
    parameters: list[Array] = []
    for shape in shapes:
        scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
        parameters += [random.standard_normal(shape, dtype=np.float32) * scale, np.full(shape[0], 0.01, np.float32)]
    return parameters


def _columns(x: Array) -> Array:
    """The windows of (channels, batch, h, w) as the columns of a matrix: one slice copied for each tap."""
    channels, batch, height, width = x.shape
    h, w = height - TAPS + 1, width - TAPS + 1
    columns = np.empty((channels, TAPS, TAPS, batch, h, w), np.float32)
    for i in range(TAPS):
        for j in range(TAPS):
            columns[:, i, j] = x[:, :, i : i + h, j : j + w]
    return columns.reshape(channels * TAPS**2, batch * h * w)


def _pool(x: Array) -> Array:
    """The greatest of each square of two by two, on the last two axes."""
    rows = np.maximum(x[..., ::2, :], x[..., 1::2, :])
    return np.maximum(rows[..., ::2], rows[..., 1::2])


def _unpool(g: Array, pooled: Array, x: Array) -> Array:
    """The cotangent of x through pool and relu; it is 0 where relu gives zeros, so no other ties matter."""
    g = g * (pooled > 0)
    spread = np.empty_like(x)
    for i in range(2):
        for j in range(2):
            np.multiply(g, x[..., i::2, j::2] == pooled, out=spread[..., i::2, j::2])
    return spread


def by_numpy() -> Candidate:
    """By hand, channels first: im2col filled by one slice copy for each tap of the kernel, then one matrix product."""
    k1, b1, k2, b2, w3, b3 = parameters = start()
    _, middle, last = CHANNELS
    rows = np.arange(BATCH)
    x, labels = IMAGES.transpose(1, 0, 2, 3), LABELS

    def step() -> tuple[Any, list[Array]]:
        nonlocal k1, b1, k2, b2, w3, b3
        columns1 = _columns(x)
        h1 = k1.reshape(middle, -1) @ columns1
        h1 += b1[:, None]
        np.maximum(h1, 0, out=h1)
        h1 = h1.reshape(middle, BATCH, 24, 24)
        p1 = _pool(h1)
        columns2 = _columns(p1)
        h2 = k2.reshape(last, -1) @ columns2
        h2 += b2[:, None]
        np.maximum(h2, 0, out=h2)
        h2 = h2.reshape(last, BATCH, 8, 8)
        p2 = _pool(h2)
        features = p2.transpose(1, 0, 2, 3).reshape(BATCH, FEATURES)
        logits = features @ w3.T
        logits += b3

        logits -= logits.max(axis=1, keepdims=True)
        d3 = np.exp(logits)
        totals = d3.sum(axis=1, keepdims=True)
        loss = (np.log(totals[:, 0]) - logits[rows, labels]).mean()
        d3 /= totals
        d3[rows, labels] -= 1
        d3 /= BATCH

        dp2 = (d3 @ w3).reshape(BATCH, last, 4, 4).transpose(1, 0, 2, 3)
        d2 = _unpool(dp2, p2, h2).reshape(last, -1)
        dcolumns2 = (k2.reshape(last, -1).T @ d2).reshape(middle, TAPS, TAPS, BATCH, 8, 8)
        dp1 = np.zeros_like(p1)
        for i in range(TAPS):
            for j in range(TAPS):
                dp1[:, :, i : i + 8, j : j + 8] += dcolumns2[:, i, j]
        d1 = _unpool(dp1, p1, h1).reshape(middle, -1)

        w3 -= LEARNING_RATE * (d3.T @ features)
        b3 -= LEARNING_RATE * d3.sum(axis=0)
        k2 -= LEARNING_RATE * (d2 @ columns2.T).reshape(k2.shape)
        b2 -= LEARNING_RATE * d2.sum(axis=1)
        k1 -= LEARNING_RATE * (d1 @ columns1.T).reshape(k1.shape)
        b1 -= LEARNING_RATE * d1.sum(axis=1)
        return loss, parameters

    return Candidate(step)


def by_numpy_tuned() -> Candidate:
    """By hand, with examples last in memory, so that long runs are copied, and every large array allocated once."""
    k1, b1, k2, b2, w3, b3 = parameters = start()
    _, middle, last = CHANNELS
    picked = np.arange(BATCH) * CLASSES + LABELS
    hot, share = np.eye(CLASSES, dtype=np.float32)[LABELS], np.float32(1 / BATCH)

    def room(*shape: int) -> Array:
        return np.zeros(shape, np.float32)

    x = room(1, SIZE, SIZE, BATCH)
    columns1, columns2 = room(TAPS, TAPS, 24, 24, BATCH), room(middle, TAPS, TAPS, 8, 8, BATCH)
    h1, d1, half1, p1, dp1 = (room(middle, *size, BATCH) for size in [(24, 24)] * 2 + [(12, 24)] + [(12, 12)] * 2)
    h2, d2, half2, p2 = (room(last, *size, BATCH) for size in [(8, 8)] * 2 + [(4, 8), (4, 4)])
    dcolumns2, logits = room(*columns2.shape), room(BATCH, CLASSES)
    flat1, flat2 = columns1.reshape(TAPS**2, -1), columns2.reshape(middle * TAPS**2, -1)
    flat_h1, flat_d1, flat_h2, flat_d2 = (array.reshape(array.shape[0], -1) for array in (h1, d1, h2, d2))
    kernel1, kernel2 = k1.reshape(middle, -1), k2.reshape(last, -1)

    def pool(h: Array, half: Array, p: Array) -> None:
        """Pool h before relu, so that relu has a quarter of the work."""
        np.maximum(h[:, ::2], h[:, 1::2], out=half)
        np.maximum(half[:, :, ::2], half[:, :, 1::2], out=p)
        np.maximum(p, 0, out=p)

    def unpool(g: Array, p: Array, h: Array, d: Array) -> None:
        g *= p > 0
        for i in range(2):
            for j in range(2):
                np.multiply(g, h[:, i::2, j::2] == p, out=d[:, i::2, j::2])

    def step() -> tuple[Any, list[Array]]:
        np.copyto(x[0], IMAGES[:, 0].transpose(1, 2, 0))
        for i in range(TAPS):
            for j in range(TAPS):
                columns1[i, j] = x[0, i : i + 24, j : j + 24]
        np.add(np.dot(kernel1, flat1, flat_h1), b1[:, None], out=flat_h1)
        pool(h1, half1, p1)
        for i in range(TAPS):
            for j in range(TAPS):
                columns2[:, i, j] = p1[:, i : i + 8, j : j + 8]
        np.add(np.dot(kernel2, flat2, flat_h2), b2[:, None], out=flat_h2)
        pool(h2, half2, p2)
        features = p2.reshape(FEATURES, BATCH)
        np.add(np.dot(features.T, w3.T, logits), b3, logits)

        np.subtract(logits, logits.max(axis=1, keepdims=True), logits)
        score = logits.take(picked).sum()
        np.exp(logits, logits)
        totals = logits.sum(axis=1, keepdims=True)
        loss = (np.log(totals).sum() - score) * share
        np.divide(logits, totals, logits)
        np.subtract(logits, hot, logits)
        d3 = np.multiply(logits, share, logits)

        unpool(np.dot(w3.T, d3.T).reshape(p2.shape), p2, h2, d2)
        np.dot(kernel2.T, flat_d2, dcolumns2.reshape(flat2.shape))
        dp1.fill(0)
        for i in range(TAPS):
            for j in range(TAPS):
                dp1[:, i : i + 8, j : j + 8] += dcolumns2[:, i, j]
        unpool(dp1, p1, h1, d1)

        np.subtract(w3, LEARNING_RATE * np.dot(features, d3).T, w3)
        np.subtract(b3, LEARNING_RATE * d3.sum(axis=0), b3)
        np.subtract(kernel2, LEARNING_RATE * np.dot(flat_d2, flat2.T), kernel2)
        np.subtract(b2, LEARNING_RATE * flat_d2.sum(axis=1), b2)
        np.subtract(kernel1, LEARNING_RATE * np.dot(flat_d1, flat1.T), kernel1)
        np.subtract(b1, LEARNING_RATE * flat_d1.sum(axis=1), b1)
        return loss, parameters

    return Candidate(step)


def by_tapem(engine: str | None = None) -> Candidate:
    """The direct door: a function of tapem's layers and losses, and the stock optimizer; compiled by an engine."""
    import layers
    import losses
    import tapem as tm

    def loss_of(parameters: Sequence[Array]) -> Array:
        k1, b1, k2, b2, w3, b3 = parameters
        h1 = layers.max_pool2d(tm.relu(layers.conv2d(k1, b1, IMAGES)), 2)
        h2 = layers.max_pool2d(tm.relu(layers.conv2d(k2, b2, h1)), 2)
        return losses.cross_entropy(layers.linear(w3, b3, np.reshape(h2, (BATCH, FEATURES))), LABELS)

    return Candidate(tapem_step(loss_of, start(), engine))


def by_tapem_monadic() -> Candidate:
    """The monadic door: one step is a description, which gets the parameters and runs on an empty tape."""
    import layers
    import losses
    import tapem as tm

    @tm.do
    def loss_and_gradients(values: Any) -> Generator[Any, Any, Any]:
        refs: Any = yield tm.traverse(tm.param, values)
        k1, b1, k2, b2, w3, b3 = refs
        x: Any = yield tm.const(IMAGES)
        h1: Any = yield layers.max_pool2d(tm.relu(layers.conv2d(k1, b1, x)), 2)
        h2: Any = yield layers.max_pool2d(tm.relu(layers.conv2d(k2, b2, h1)), 2)
        features: Any = yield tm.reshape(h2, (BATCH, FEATURES))
        loss: Any = yield losses.cross_entropy(layers.linear(w3, b3, features), LABELS)
        gradients = yield tm.backward_scalar(loss)
        return loss, [gradients[ref] for ref in refs]

    return Candidate(tapem_monadic_step(loss_and_gradients, start()))


def by_mygrad(*, guarded: bool = True) -> Candidate:
    """MyGrad: its own convolution, pool, relu and fused loss."""
    mg, relu = load("mygrad"), load("mygrad.nnet.activations").relu
    layers, softmax_crossentropy = load("mygrad.nnet.layers"), load("mygrad.nnet.losses").softmax_crossentropy
    if not guarded:
        mg.turn_memory_guarding_off()

    def convolved(x: Any, kernel: Any, bias: Any) -> Any:
        return layers.conv_nd(x, kernel, stride=1) + mg.reshape(bias, (1, -1, 1, 1))

    def loss_of(parameters: Any) -> Any:
        k1, b1, k2, b2, w3, b3 = parameters
        h1 = layers.max_pool(relu(convolved(IMAGES, k1, b1)), (2, 2), 2)
        h2 = layers.max_pool(relu(convolved(h1, k2, b2)), (2, 2), 2)
        logits = mg.matmul(mg.reshape(h2, (BATCH, FEATURES)), mg.transpose(w3)) + b3
        return softmax_crossentropy(logits, LABELS)

    return Candidate(mygrad_step(loss_of, [mg.tensor(parameter) for parameter in start()]))


def by_mygrad_unguarded() -> Candidate:
    """MyGrad without its guard against writing into arrays that a graph still needs."""
    return by_mygrad(guarded=False)


def by_jax() -> Candidate:
    """JAX, with its own convolution and reduction of windows."""
    jax, jnp = load("jax"), load("jax.numpy")
    x, labels, rows = jnp.asarray(IMAGES), jnp.asarray(LABELS), jnp.arange(BATCH)

    def convolved(x: Any, kernel: Any, bias: Any) -> Any:
        return jax.lax.conv(x, kernel, (1, 1), "VALID") + bias[:, None, None]

    def pooled(x: Any) -> Any:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def loss_of(parameters: Any) -> Any:
        k1, b1, k2, b2, w3, b3 = parameters
        h1 = pooled(jax.nn.relu(convolved(x, k1, b1)))
        h2 = pooled(jax.nn.relu(convolved(h1, k2, b2)))
        return -jnp.mean(jax.nn.log_softmax(h2.reshape(BATCH, FEATURES) @ w3.T + b3)[rows, labels])

    return Candidate(jax_step(loss_of, [jnp.asarray(parameter) for parameter in start()]))


def _torch_loss(torch: Any) -> Any:
    functional = torch.nn.functional
    x, labels = torch.tensor(IMAGES), torch.tensor(LABELS)

    def loss_of(parameters: Any) -> Any:
        k1, b1, k2, b2, w3, b3 = parameters
        h1 = functional.max_pool2d(functional.relu(functional.conv2d(x, k1, b1)), 2)
        h2 = functional.max_pool2d(functional.relu(functional.conv2d(h1, k2, b2)), 2)
        return functional.cross_entropy(functional.linear(h2.flatten(1), w3, b3), labels)

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
    name="lenet-step",
    title="LeNet on 28x28, batch 32, one SGD step",
    libraries={
        "numpy": by_numpy,
        "numpy-tuned": by_numpy_tuned,
        "tapem": by_tapem,
        "tapem-compiled": functools.partial(by_tapem, "numpy"),
        "tapem-numba": functools.partial(by_tapem, "numba"),
        "tapem-monadic": by_tapem_monadic,
        "mygrad": by_mygrad,
        "mygrad-unguarded": by_mygrad_unguarded,
        "jax": by_jax,
        "torch": by_torch,
        "torch.func": by_torch_func,
    },
    tolerance=1e-3,
    start=start,
)
