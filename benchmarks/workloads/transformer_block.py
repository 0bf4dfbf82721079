"""One transformer block, batch 8, 32 positions, width 64, 4 heads, hidden width 256: value and gradient, float32.

The block is pre-norm: layer norm, self-attention without a mask, residual; layer norm, linear, gelu, linear, residual.
The loss is the mean square of the output; gradients are with respect to all twelve parameters and the input. The gelu
is the one with tanh (GPT-2's), since not every library here has an error function. Attention has no biases, and its
weights are multiplied from the right, as are all weights if a library's users write ``x @ weight``.
"""

import functools
from typing import Any

import numpy as np

from ..libraries import load, load_torch
from ..workload import Array, Candidate, Workload, read_arrays

BATCH, LENGTH, WIDTH, HEADS, HIDDEN = 8, 32, 64, 4, 256
HEAD_WIDTH = WIDTH // HEADS
EPSILON = 1e-6
SLOPE, CUBIC = float(np.sqrt(2 / np.pi)), 0.044715

INPUT: Array = np.random.default_rng(0).standard_normal((BATCH, LENGTH, WIDTH), dtype=np.float32)


def parameters() -> list[Array]:
    """Return gamma and beta, wq, wk, wv, wo, gamma and beta, and of two linear layers the weight (in, out) and bias."""
    random = np.random.default_rng(1)

    def near(value: float, size: int) -> Array:
        return (value + 0.1 * random.standard_normal(size)).astype(np.float32)

    def weight(fan_in: int, fan_out: int) -> Array:
        return random.standard_normal((fan_in, fan_out), dtype=np.float32) * np.float32(np.sqrt(1 / fan_in))

    return [
        *(near(1, WIDTH), near(0, WIDTH)),
        *(weight(WIDTH, WIDTH) for _ in range(4)),
        *(near(1, WIDTH), near(0, WIDTH)),
        *(weight(WIDTH, HIDDEN), near(0, HIDDEN), weight(HIDDEN, WIDTH), near(0, WIDTH)),
    ]


LINEAR_WEIGHTS = (8, 10)
"""The positions of the weights that a library's own linear layer has as (out, in)."""


def parameters_of_layers() -> list[Array]:
    """Return the same parameters, with the weights of the linear layers (out, in)."""
    return [np.ascontiguousarray(p.T) if i in LINEAR_WEIGHTS else p for i, p in enumerate(parameters())]


def read_of_layers(outcome: Any) -> list[Array]:
    """Read a loss and gradients, in which the linear layers' weights are (out, in)."""
    loss, *gradients = read_arrays(outcome)
    return [loss, *(g.T if i in LINEAR_WEIGHTS else g for i, g in enumerate(gradients))]


def by_numpy() -> Candidate:
    """By hand: every part differentiated as one, queries, keys and values as one product, in place where it helps."""
    gamma1, beta1, wq, wk, wv, wo, gamma2, beta2, w1, b1, w2, b2 = parameters()
    x0 = INPUT.reshape(-1, WIDTH)
    split = (BATCH, LENGTH, 3, HEADS, HEAD_WIDTH)
    scale = np.float32(1 / np.sqrt(HEAD_WIDTH))

    def normalize(x: Array) -> tuple[Array, Array]:
        x = x - x.mean(axis=1, keepdims=True)
        inverse = 1 / np.sqrt(np.einsum("ij,ij->i", x, x)[:, None] / WIDTH + EPSILON)
        x *= inverse
        return x, inverse

    def unnormalize(g: Array, normal: Array, inverse: Array) -> Array:
        g = g - g.mean(axis=1, keepdims=True)
        g -= normal * (np.einsum("ij,ij->i", g, normal)[:, None] / WIDTH)
        g *= inverse
        return g

    def step() -> tuple[Any, list[Array]]:
        normal1, inverse1 = normalize(x0)
        h1 = normal1 * gamma1
        h1 += beta1
        wqkv = np.concatenate([wq, wk, wv], axis=1)
        qkv = h1 @ wqkv
        q, k, v = qkv.reshape(split).transpose(2, 0, 3, 1, 4)
        q = q * scale
        weights = q @ k.swapaxes(2, 3)
        weights -= weights.max(axis=3, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=3, keepdims=True)
        mixed = np.empty((BATCH, LENGTH, HEADS, HEAD_WIDTH), np.float32)
        np.matmul(weights, v, out=mixed.swapaxes(1, 2))
        merged = mixed.reshape(-1, WIDTH)
        x1 = merged @ wo
        x1 += x0

        normal2, inverse2 = normalize(x1)
        h2 = normal2 * gamma2
        h2 += beta2
        a = h2 @ w1
        a += b1
        square = a * a
        t = square * (SLOPE * CUBIC)
        t += SLOPE
        t *= a
        np.tanh(t, out=t)
        t += 1
        t *= 0.5
        z = a * t
        y = z @ w2
        y += b2
        y += x1
        loss = np.vdot(y, y) / y.size

        y *= 2 / y.size
        dw2, db2 = z.T @ y, y.sum(axis=0)
        da = y @ w2.T
        square *= 6 * SLOPE * CUBIC
        square += 2 * SLOPE
        square *= 1 - t
        square *= z
        square += t
        da *= square
        dw1, db1 = h2.T @ da, da.sum(axis=0)
        dh2 = da @ w1.T
        dgamma2, dbeta2 = np.einsum("ij,ij->j", dh2, normal2), dh2.sum(axis=0)
        dh2 *= gamma2
        dx1 = unnormalize(dh2, normal2, inverse2)
        dx1 += y

        dwo = merged.T @ dx1
        dmerged = dx1 @ wo.T
        dmixed = dmerged.reshape(mixed.shape).swapaxes(1, 2)
        dqkv = np.empty(split, np.float32)
        dq, dk, dv = dqkv.transpose(2, 0, 3, 1, 4)
        np.matmul(weights.swapaxes(2, 3), dmixed, out=dv)
        ds = dmixed @ v.swapaxes(2, 3)
        ds -= (dmerged * merged).reshape(mixed.shape).sum(axis=3).swapaxes(1, 2)[..., None]
        ds *= weights
        np.matmul(ds, k, out=dq)
        dqkv[:, :, 0] *= scale
        np.matmul(ds.swapaxes(2, 3), q, out=dk)
        flat = dqkv.reshape(-1, 3 * WIDTH)
        dwq, dwk, dwv = np.split(h1.T @ flat, 3, axis=1)
        dh1 = flat @ wqkv.T
        dgamma1, dbeta1 = np.einsum("ij,ij->j", dh1, normal1), dh1.sum(axis=0)
        dh1 *= gamma1
        dx0 = unnormalize(dh1, normal1, inverse1)
        dx0 += dx1
        gradients = [dgamma1, dbeta1, dwq, dwk, dwv, dwo, dgamma2, dbeta2, dw1, db1, dw2, db2]
        return loss, [*gradients, dx0.reshape(INPUT.shape)]

    return Candidate(step)


def by_tapem(engine: str | None = None) -> Candidate:
    """The direct door: a function of tapem's layers; compiled by an engine."""
    import layers
    import tapem as tm

    def loss_of(values: list[Array]) -> Any:
        gamma1, beta1, wq, wk, wv, wo, gamma2, beta2, w1, b1, w2, b2, x = values
        h = layers.layer_norm(x, gamma1, beta1, eps=EPSILON)
        x = x + layers.multi_head_attention(wq, wk, wv, wo, h, num_heads=HEADS)
        h = layers.linear(w1, b1, layers.layer_norm(x, gamma2, beta2, eps=EPSILON))
        y = x + layers.linear(w2, b2, tm.gelu(h, approximate="tanh"))
        return np.mean(np.square(y))

    value_and_grad = tm.value_and_grad(loss_of)
    run = value_and_grad if engine is None else tm.compile(value_and_grad, engine=engine)
    values = [*parameters_of_layers(), INPUT]
    return Candidate(lambda: run(values), read_of_layers)


def _in_numpy_names(np_like: Any, value_and_grad_of: Any) -> Candidate:
    """The block in NumPy's names alone."""

    def normalize(x: Any, gamma: Any, beta: Any) -> Any:
        x = x - np_like.mean(x, axis=-1, keepdims=True)
        return x / np_like.sqrt(np_like.mean(x * x, axis=-1, keepdims=True) + EPSILON) * gamma + beta

    def split(x: Any) -> Any:
        return np_like.swapaxes(np_like.reshape(x, (BATCH, LENGTH, HEADS, HEAD_WIDTH)), 1, 2)

    def attend(wq: Any, wk: Any, wv: Any, wo: Any, x: Any) -> Any:
        q, k, v = (split(np_like.dot(x, weight)) for weight in (wq, wk, wv))
        scores = np_like.matmul(q / HEAD_WIDTH**0.5, np_like.swapaxes(k, 2, 3))
        weights = np_like.exp(scores - np_like.max(scores, axis=-1, keepdims=True))
        weights = weights / np_like.sum(weights, axis=-1, keepdims=True)
        merged = np_like.swapaxes(np_like.matmul(weights, v), 1, 2)
        return np_like.dot(np_like.reshape(merged, x.shape), wo)

    def gelu(x: Any) -> Any:
        return x * (0.5 + 0.5 * np_like.tanh(x * (SLOPE + SLOPE * CUBIC * (x * x))))

    def loss_of(values: Any) -> Any:
        gamma1, beta1, wq, wk, wv, wo, gamma2, beta2, w1, b1, w2, b2, x = values
        x = np_like.reshape(x, (BATCH * LENGTH, WIDTH))
        x = x + attend(wq, wk, wv, wo, normalize(x, gamma1, beta1))
        h = gelu(np_like.dot(normalize(x, gamma2, beta2), w1) + b1)
        y = x + np_like.dot(h, w2) + b2
        return np_like.mean(y * y)

    value_and_grad = value_and_grad_of(loss_of)
    values = [*parameters(), INPUT]
    return Candidate(lambda: value_and_grad(values))


def by_tapem_numpy() -> Candidate:
    """The direct door, with only NumPy's own names in the function."""
    import tapem as tm

    return _in_numpy_names(np, tm.value_and_grad)


def by_autograd() -> Candidate:
    """HIPS autograd, with its copy of NumPy's names."""
    return _in_numpy_names(load("autograd.numpy"), load("autograd").value_and_grad)


def by_jax() -> Candidate:
    """JAX: value and gradient compiled as one."""
    jax, jnp = load("jax"), load("jax.numpy")

    def split(x: Any) -> Any:
        return x.reshape(BATCH, LENGTH, HEADS, HEAD_WIDTH)

    def normalize(x: Any, gamma: Any, beta: Any) -> Any:
        return jax.nn.standardize(x, epsilon=EPSILON) * gamma + beta

    def loss_of(values: Any) -> Any:
        gamma1, beta1, wq, wk, wv, wo, gamma2, beta2, w1, b1, w2, b2, x = values
        h = normalize(x, gamma1, beta1)
        x = x + jax.nn.dot_product_attention(split(h @ wq), split(h @ wk), split(h @ wv)).reshape(x.shape) @ wo
        h = jax.nn.gelu(normalize(x, gamma2, beta2) @ w1 + b1, approximate=True)
        return jnp.mean(jnp.square(x + h @ w2 + b2))

    compiled = jax.jit(jax.value_and_grad(loss_of))
    values = [jnp.asarray(value) for value in (*parameters(), INPUT)]
    return Candidate(lambda: jax.block_until_ready(compiled(values)))


def _torch_loss(torch: Any) -> Any:
    functional = torch.nn.functional

    def split(x: Any) -> Any:
        return x.view(BATCH, LENGTH, HEADS, HEAD_WIDTH).transpose(1, 2)

    def loss_of(*values: Any) -> Any:
        gamma1, beta1, wq, wk, wv, wo, gamma2, beta2, w1, b1, w2, b2, x = values
        h = functional.layer_norm(x, (WIDTH,), gamma1, beta1, EPSILON)
        mixed = functional.scaled_dot_product_attention(split(h @ wq), split(h @ wk), split(h @ wv))
        x = x + mixed.transpose(1, 2).reshape(x.shape) @ wo
        h = functional.linear(functional.layer_norm(x, (WIDTH,), gamma2, beta2, EPSILON), w1, b1)
        y = x + functional.linear(functional.gelu(h, approximate="tanh"), w2, b2)
        return y.square().mean()

    return loss_of


def by_torch() -> Candidate:
    """Torch's eager mode, with its fused layer norm, attention and gelu."""
    torch = load_torch()
    loss_of = _torch_loss(torch)
    values = [torch.tensor(value, requires_grad=True) for value in (*parameters_of_layers(), INPUT)]

    def step() -> tuple[Any, Any]:
        loss = loss_of(*values)
        loss.backward()
        gradients = [value.grad for value in values]
        for value in values:
            value.grad = None
        return loss, gradients

    return Candidate(step, read_of_layers)


def by_torch_func() -> Candidate:
    """Torch's functional transforms."""
    torch = load_torch()
    values = [torch.tensor(value) for value in (*parameters_of_layers(), INPUT)]
    gradient_and_value = torch.func.grad_and_value(_torch_loss(torch), argnums=tuple(range(len(values))))

    def step() -> tuple[Any, Any]:
        gradients, loss = gradient_and_value(*values)
        return loss, gradients

    return Candidate(step, read_of_layers)


WORKLOAD = Workload(
    name="transformer-block",
    title="Transformer block, B8 T32 D64 H4, value and gradient",
    libraries={
        "numpy": by_numpy,
        "tapem": by_tapem,
        "tapem-compiled": functools.partial(by_tapem, "numpy"),
        "tapem-numba": functools.partial(by_tapem, "numba"),
        "tapem-numpy": by_tapem_numpy,
        "autograd": by_autograd,
        "jax": by_jax,
        "torch": by_torch,
        "torch.func": by_torch_func,
    },
    tolerance=1e-3,
)
