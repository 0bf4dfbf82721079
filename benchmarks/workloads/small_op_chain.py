"""500 times (sin, mul) on 10 float32 numbers, summed: the value, and its gradient with respect to the 10 numbers.

The arrays are so small that there is hardly any arithmetic: this measures the cost of a library per operation.
"""

import functools
from collections.abc import Generator
from typing import Any

import numpy as np

from ..libraries import load, load_torch
from ..workload import Array, Candidate, Workload

LENGTH = 500
START: Array = np.linspace(0.1, 1.0, 10, dtype=np.float32)
# Near 1, so that the gradient neither vanishes nor explodes over 500 steps and the check can compare it.
FACTORS: Array = np.linspace(0.995, 1.005, 10, dtype=np.float32)


def by_numpy() -> Candidate:
    """By hand: keep the inputs of the cosines in the forward pass, multiply in place in the backward pass."""
    x0, c = START.copy(), FACTORS.copy()

    def step() -> tuple[Any, Array]:
        x, inputs = x0, list[Array]()
        for _ in range(LENGTH):
            inputs.append(x)
            x = np.sin(x) * c
        gradient = np.ones_like(x)
        for given in reversed(inputs):
            gradient *= c
            gradient *= np.cos(given)
        return x.sum(), gradient

    return Candidate(step)


def by_numpy_tuned() -> Candidate:
    """By hand, with every array allocated once and an `out` for every call."""
    c = FACTORS.copy()
    # Row i is the input of step i. The rows are made once: slicing a row costs a fifth of an operation.
    rows = list(np.empty((LENGTH + 1, START.size), np.float32))
    rows[0][:] = START
    backward_rows = rows[-2::-1]
    gradient, cosine = np.empty_like(START), np.empty_like(START)

    def step() -> tuple[Any, Array]:
        sin, cos, multiply = np.sin, np.cos, np.multiply
        x = rows[0]
        for following in rows[1:]:
            sin(x, following)
            x = multiply(following, c, following)
        gradient.fill(1)
        for given in backward_rows:
            multiply(gradient, c, gradient)
            cos(given, cosine)
            multiply(gradient, cosine, gradient)
        return np.add.reduce(x), gradient

    return Candidate(step)


def by_tapem(engine: str | None = None) -> Candidate:
    """The direct door, with tapem's own ops; compiled by an engine."""
    import tapem as tm

    def chain(x: Array) -> Array:
        for _ in range(LENGTH):
            x = tm.sin(x) * FACTORS
        return tm.sum(x)

    value_and_grad = tm.value_and_grad(chain)
    run = value_and_grad if engine is None else tm.compile(value_and_grad, engine=engine)
    return Candidate(lambda: run(START))


def by_tapem_monadic() -> Candidate:
    """The monadic door: the program is described once, and runs on an empty tape in every step."""
    import tapem as tm

    @tm.do
    def chain() -> Generator[Any, Any, Any]:
        start = yield tm.param(START)
        factors = yield tm.const(FACTORS)
        x = start
        for _ in range(LENGTH):
            x = yield tm.sin(x)
            x = yield tm.mul(x, factors)
        total = yield tm.sum(x)
        gradients = yield tm.backward_scalar(total)
        return start, total, gradients

    program: Any = chain()

    def step() -> tuple[Any, Any]:
        (start, total, gradients), tape = program.run()
        return tape.value(total), gradients[start]

    return Candidate(step)


def by_tapem_numpy() -> Candidate:
    """The direct door, with the plain NumPy function."""
    import tapem as tm

    def chain(x: Array) -> Array:
        for _ in range(LENGTH):
            x = np.sin(x) * FACTORS
        return np.sum(x)

    value_and_grad = tm.value_and_grad(chain)
    return Candidate(lambda: value_and_grad(START))


def by_autograd() -> Candidate:
    """HIPS autograd, with its own copy of NumPy's names."""
    wrapped, autograd = load("autograd.numpy"), load("autograd")

    def chain(x: Any) -> Any:
        for _ in range(LENGTH):
            x = wrapped.sin(x) * FACTORS
        return wrapped.sum(x)

    value_and_grad = autograd.value_and_grad(chain)
    return Candidate(lambda: value_and_grad(START))


def by_mygrad(*, guarded: bool = True) -> Candidate:
    """MyGrad's tensors."""
    mg = load("mygrad")
    if not guarded:
        mg.turn_memory_guarding_off()

    def step() -> tuple[Any, Any]:
        start = mg.tensor(START)
        x = start
        for _ in range(LENGTH):
            x = mg.sin(x) * FACTORS
        total = x.sum()
        total.backward()
        return total, start.grad

    return Candidate(step)


def by_mygrad_unguarded() -> Candidate:
    """MyGrad without its guard against writing into arrays that a graph still needs."""
    return by_mygrad(guarded=False)


def by_jax(*, compiled: bool = True) -> Candidate:
    """JAX, compiled as a whole: XLA fuses the chain into a few loops."""
    jax, jnp = load("jax"), load("jax.numpy")
    start, factors = jnp.asarray(START), jnp.asarray(FACTORS)

    def chain(x: Any) -> Any:
        for _ in range(LENGTH):
            x = jnp.sin(x) * factors
        return jnp.sum(x)

    value_and_grad = jax.value_and_grad(chain)
    if compiled:
        value_and_grad = jax.jit(value_and_grad)
    return Candidate(lambda: jax.block_until_ready(value_and_grad(start)))


def by_jax_eager() -> Candidate:
    """JAX, with each operation dispatched separately."""
    return by_jax(compiled=False)


def by_torch() -> Candidate:
    """Torch's eager mode."""
    torch = load_torch()
    start, factors = torch.tensor(START, requires_grad=True), torch.tensor(FACTORS)

    def step() -> tuple[Any, Any]:
        start.grad = None
        x = start
        for _ in range(LENGTH):
            x = torch.sin(x) * factors
        total = x.sum()
        total.backward()
        return total.detach(), start.grad

    return Candidate(step)


def by_torch_func() -> Candidate:
    """Torch's functional transforms."""
    torch = load_torch()
    start, factors = torch.tensor(START), torch.tensor(FACTORS)

    def chain(x: Any) -> Any:
        for _ in range(LENGTH):
            x = torch.sin(x) * factors
        return x.sum()

    gradient_and_value = torch.func.grad_and_value(chain)

    def step() -> tuple[Any, Any]:
        gradient, value = gradient_and_value(start)
        return value, gradient

    return Candidate(step)


WORKLOAD = Workload(
    name="small-op-chain",
    title="500 x (sin, mul) on 10 floats, value and gradient",
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
        "jax-eager": by_jax_eager,
        "torch": by_torch,
        "torch.func": by_torch_func,
    },
    # Two sines of different libraries differ by an ulp, and 500 of them add up.
    tolerance=1e-3,
)
