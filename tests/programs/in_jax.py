"""Random programs in JAX: what the names in their texts mean there, and many programs compiled as one.

What JAX cannot write is written otherwise: a condition whose branches differ in dtype gives floats, and loops, which
have few steps, are unrolled. A literal keeps its value but not its narrow dtype, since JAX promotes otherwise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .language import Program
from .running import Namespace

jax.config.update("jax_enable_x64", True)

TEXTS = {
    "{0}[..., [0, -1, 0]]": "{0}[..., np.array([0, -1, 0])]",
    "{0}[[0, 0]]": "{0}[np.array([0, 0])]",
    "{0}[[0, 1], [1, 0]]": "{0}[np.array([0, 1]), np.array([1, 0])]",
}


class Names:
    """`jax.numpy`, but for what its names refuse: indices are arrays of NumPy, and lists of them serve."""

    array = staticmethod(np.array)

    def __getattr__(self, name: str) -> Any:
        return getattr(jnp, name)

    @staticmethod
    def take(x: Any, indices: Any, axis: int | None = None) -> Any:
        return jnp.take(x, jnp.asarray(indices), axis=axis, mode="wrap")


def floats(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function, giving floats."""
    return lambda *operands: jnp.asarray(f(*operands), float)


def custom_jvp(f: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a rule for its tangents."""
    made = jax.custom_jvp(f)
    made.defjvp(rule)
    return made


def custom_vjp(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a rule for its cotangents."""
    made = jax.custom_vjp(lambda *operands: forward(*operands)[0])
    made.defvjp(forward, backward)
    return made


def while_loop(going: Callable[[Any], Any], f: Callable[[Any], Any], state: Any) -> Any:
    """At most three turns of a loop, each kept or not: then it has derivatives in reverse mode."""
    go = True
    for _ in range(3):
        go = jnp.logical_and(go, going(state))
        state = tuple(jnp.where(go, new, old) for new, old in zip(f(state), state, strict=True))
    return state


def scan(f: Callable[..., Any], carry: Any, rows: Any) -> Any:
    """A loop over rows."""
    found = []
    for row in rows:
        carry, y = f(carry, row)
        found.append(y)
    return carry, jnp.stack(found)


TAPEM = SimpleNamespace(
    relu=jax.nn.relu, sigmoid=jax.nn.sigmoid, softplus=jax.nn.softplus, silu=jax.nn.silu, softmax=jax.nn.softmax,
    log_softmax=jax.nn.log_softmax, logsumexp=jax.nn.logsumexp, detach=jax.lax.stop_gradient, grad=jax.grad,
    jvp=jax.jvp, vmap=jax.vmap, linearize=jax.linearize, checkpoint=jax.checkpoint, custom_jvp=custom_jvp,
    custom_vjp=custom_vjp, while_loop=while_loop, scan=scan,
    no_grad=lambda f: jax.lax.stop_gradient(f()),
    cond=lambda where, one, other, *operands: jax.lax.cond(where, floats(one), floats(other), *operands),
    fori_loop=lambda low, high, f, state: functools.reduce(lambda s, i: f(i, s), range(low, high), state),
    scatter_add=lambda x, indices, updates, axis: x.at[indices].add(updates),
)  # fmt: skip


def pulled(f: Callable[..., Any], z: Any) -> Any:
    """The cotangent of `z` for a cotangent that is the cosine of the value."""
    y, pullback = jax.vjp(f, z)
    return pullback(jnp.cos(y))[0]


def wide(value: Any) -> Any:
    """A literal in a dtype of eight bytes."""
    kinds = {"f": np.float64, "i": np.int64}
    return (
        value.astype(kinds[value.dtype.kind]) if isinstance(value, np.ndarray) and value.dtype.kind in "fi" else value
    )


NAMES = Namespace(
    {
        "np": Names(), "tm": TAPEM, "pulled": pulled, "in_thread": lambda f, z: f(z),
        "in_thread_of_context": lambda f, z: f(z), "silently": lambda f, z: jax.lax.stop_gradient(f(z)),
    },
    TEXTS, wide,
)  # fmt: skip


def derivatives(program: Program, order: int) -> Callable[[Any], Any]:
    """The values and gradients at all points, and at the first one the second derivatives along a vector."""
    f = NAMES.run(program)

    def g(x: Any) -> Any:
        return jnp.array([1.0, 0.3]) @ f(x)

    def first(x: Any) -> Any:
        y, pullback = jax.vjp(f, x)
        return y, pullback(jnp.array([1.0, 0.3], y.dtype))[0]

    def run(batch: Any) -> Any:
        v = jnp.cos(1.0 + jnp.arange(float(batch.shape[1])))
        second = [jax.grad(lambda x: jax.grad(g)(x) @ v)(batch[0])] if order > 1 else []
        return *jax.vmap(first)(batch), *second

    return run


def answers(programs: Sequence[Program], order: int) -> list[Any]:
    """What JAX gives for each program, or the error that it raises; those that it takes are compiled as one."""
    found: list[Any] = [None] * len(programs)
    runs: dict[int, Callable[[Any], Any]] = {}
    for place, program in enumerate(programs):
        run, batch = derivatives(program, order), np.array(program.points)
        try:
            jax.eval_shape(run, batch)
        except Exception as error:  # whatever JAX does not take
            found[place] = error
        else:
            runs[place] = run
    batches = {place: np.array(programs[place].points) for place in runs}

    def together(batches: dict[int, Any]) -> dict[int, Any]:
        return {place: run(batches[place]) for place, run in runs.items()}

    if runs:
        quick = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
        made = jax.jit(together).lower(batches).compile(compiler_options=quick)
        for place, answer in jax.device_get(made(batches)).items():
            found[place] = answer
    return found


__all__ = ["answers"]
