"""The twelve problems in JAX: compiled, in float64, and waiting for each result.

This module offers what ``benchmarks.gradbench`` offers. The arguments are the same, but as JAX's arrays: their
conversion is not timed.
"""

from typing import Any

import numpy as np

from ..evaluation import Eval, Function, offered
from . import ba, det, gmm, hello, ht, kmeans, llsq, lse, lstm, ode, particle, saddle
from .loaded import jax, jnp

EVALS: tuple[Eval, ...] = tuple(
    module.EVAL for module in (hello, gmm, ba, ht, lstm, kmeans, llsq, lse, ode, det, particle, saddle)
)


def compiled(function: Function, static: tuple[int, ...]) -> Function:
    """Compile a function. Its results become NumPy's arrays, and this waits until they are there."""
    jitted = jax.jit(function, static_argnums=static)
    return lambda *arguments: jax.tree.map(np.asarray, jitted(*arguments))


def on_device(prepare: Function) -> Function:
    """Make the arguments' arrays JAX's."""

    def prepared(inputs: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, prepare(inputs))

    return prepared


functions = offered(EVALS, compiled)
functions["ba_derivative"] = ba.with_places(functions["ba_derivative"])
globals().update({name: on_device(f) if name.endswith("_prepare") else f for name, f in functions.items()})
