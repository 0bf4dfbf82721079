"""NumPy's functions that are no op of their own, made of those that are.

Importing this folder enters them in `core.names`, where a tracer looks them up.
"""

from tapem.ops.numpy import functions, linalg, numerics, statistics
from tapem.ops.numpy.functions import IN_PLACE

__all__ = ["IN_PLACE", "functions", "linalg", "numerics", "statistics"]
