"""Twelve problems of the field's benchmark of tools for automatic differentiation, GradBench.

README.md defines them. For each ``<eval>`` this module offers ``<eval>_prepare(inputs)``, whose result is given to
``<eval>_primal`` and ``<eval>_derivative``: tapem's eager functions. ``benchmarks.gradbench.compiled`` offers the same
definitions compiled, ``benchmarks.gradbench.jax_jit`` JAX's. ``python -m benchmarks.gradbench`` prints their times side
by side.
"""

from .evals import EVALS
from .evaluation import offered

globals().update(offered(EVALS, lambda function, static: function))
