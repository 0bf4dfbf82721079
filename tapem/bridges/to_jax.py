"""to_jax: a tapem function as a JAX function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapem.compiler import traced
from tapem.compiler.jax import Replay, kind_of_jax, require_jax, to_jax_value
from tapem.core import boundary, tree_flatten, tree_unflatten
from tapem.errors import ArgumentError
from tapem.types import NUMBERS


def to_jax(f: Callable[..., Any], *, callback: bool = False) -> Callable[..., Any]:
    """The function of the same arguments and results on JAX arrays, for use in JAX: under jit, vmap, grad, shard_map.

    `f` takes and returns trees of arrays. At each call it is traced by shapes and dtypes, and its ops are replayed on
    the JAX arrays; so call the result under `jax.jit`, which does this once. Derivatives inside f are tapem's, and
    under `jax.grad` and `jax.jvp` of the result the same ones hold, with tapem's kinks; `custom_vjp`, `custom_jvp`,
    `detach` and `checkpoint` become JAX's. What is no array stays as it is, and f may look at it.

    An op without a form in JAX is refused by its name; with `callback=True` it runs in Python, called back from JAX.

    Raises ArgumentError if JAX is not installed, NoRuleError for an op without a form, DTypeError for float64 and
    complex128 where JAX is set to 32 bits, and ConcretizationError where f reads a value.

    >>> import numpy as np, tapem as tm
    >>> try:
    ...     slope = tm.to_jax(tm.grad(np.sin))  # for jax.jit(slope), jax.vmap(slope), jax.grad(slope)
    ... except tm.ArgumentError:  # without JAX
    ...     slope = tm.grad(np.sin)
    >>> float(slope(np.float32(0.0)))
    1.0
    """
    if not callable(f):
        raise ArgumentError(f"to_jax needs a function, not {f!r}.")
    require_jax("to_jax")
    name: str = getattr(f, "__name__", type(f).__name__)
    replay = Replay(f"to_jax({name})", callback)

    @boundary
    @functools.wraps(f)
    def in_jax(*arguments: Any, **options: Any) -> Any:
        leaves, structure = tree_flatten((arguments, options))
        places = [place for place, leaf in enumerate(leaves) if is_array(leaf)]
        inputs = [to_jax_value(leaves[place], replay.caller) for place in places]

        def call(values: Sequence[Any]) -> Any:
            filled = list(leaves)
            for place, value in zip(places, values, strict=True):
                filled[place] = value
            own, named = tree_unflatten(structure, filled)
            return f(*own, **named)

        found = traced(call, [*map(kind_of_jax, inputs)], name, [f])
        if found is None:
            raise ArgumentError(
                f"{name} uses a value of a tapem transform around to_jax; pass the value as an argument, and put the "
                "transform inside."
            )
        return tree_unflatten(found.structure, replay(found.program, inputs))

    return in_jax


def is_array(leaf: Any) -> bool:
    """Whether a leaf of the arguments is an array or a number."""
    return (
        type(leaf) in NUMBERS
        or isinstance(leaf, np.ndarray | np.generic)
        or hasattr(leaf, "__jax_array__")
        or (hasattr(leaf, "dtype") and hasattr(leaf, "shape"))
    )


__all__ = ["to_jax"]
