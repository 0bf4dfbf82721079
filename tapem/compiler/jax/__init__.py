"""JAX: programs replayed on JAX arrays, op by op, by a table of what an op is there."""

from tapem.compiler.jax.kinds import kind_of_jax, to_jax_value
from tapem.compiler.jax.lazy import require_jax
from tapem.compiler.jax.replay import Replay

__all__ = ["Replay", "kind_of_jax", "require_jax", "to_jax_value"]
