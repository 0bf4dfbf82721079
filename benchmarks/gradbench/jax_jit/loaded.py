"""JAX in float64 on one thread of the CPU. It is optional and its types are incomplete, so it is Any, and only here."""

import os
from typing import Any

from ...libraries import load

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

jax: Any = load("jax")
jnp: Any = load("jax.numpy")

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")
