"""Gradient descent that adapts its rate.

Reverse mode cannot pass a while loop in JAX. So a loop that it is to pass runs a bounded number of steps, and does
nothing in those that are too many.
"""

from collections.abc import Callable
from typing import Any

from .loaded import jax, jnp


def loop(test: Callable[[Any], Any], body: Callable[[Any], Any], start: Any, bound: int | None) -> Any:
    """Apply the body while the test holds, at most `bound` times if there is a bound."""
    if bound is None:
        return jax.lax.while_loop(test, body, start)

    def masked(state: Any, _: None) -> Any:
        return jax.lax.cond(test(state), body, lambda s: s, state), None

    return jax.lax.scan(masked, start, None, length=bound)[0]


def gradient(f: Callable[[Any], Any], mode: str) -> Callable[[Any], Any]:
    """Take the gradient in forward mode ("f") or in reverse mode ("r")."""
    return jax.jacfwd(f) if mode == "f" else jax.grad(f)


def argmin(f: Callable[[Any], Any], start: Any, rate: Any, mode: str, bound: int | None = None) -> Any:
    """Find where f is least: double the rate after ten steps that succeed, halve it after one that does not."""
    g = gradient(f, mode)

    def body(state: Any) -> Any:
        x, fx, gx, rate, count, _ = state
        rate = jnp.where(count == 10, 2 * rate, rate)
        count = jnp.where(count == 10, 0, count)
        new = x - rate * gx
        ends = (length(gx) <= 1e-5) | (length(x - new) <= 1e-5)
        value = f(new)
        accepted = value < fx
        moved = (
            jnp.where(accepted, new, x),
            jnp.where(accepted, value, fx),
            jax.lax.cond(accepted, lambda: g(new), lambda: gx),
            jnp.where(accepted, rate, rate / 2),
            jnp.where(accepted, count + 1, 0),
            False,
        )
        return jax.lax.cond(ends, lambda: (x, fx, gx, rate, count, True), lambda: moved)

    first = start, f(start), g(start), jnp.asarray(rate, float), jnp.asarray(0), jnp.asarray(False)
    return loop(lambda state: ~state[5], body, first, bound)[0]


def length(v: Any) -> Any:
    """Compute the length of a vector, for a decision: it is not differentiated."""
    return jnp.sqrt(jax.lax.stop_gradient(v @ v))
