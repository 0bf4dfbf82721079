"""NumPy's functions that are no op of their own, made of those that are.

Importing this folder enters them in `core.names`, where a tracer looks them up.
"""

from tapem.ops.numpy import functions, linalg, numerics, statistics

__all__ = ["functions", "linalg", "numerics", "statistics"]
