"""NumPy's functions that are not ops themselves, made from ops.

Importing this folder enters them in `core.names`, where a tracer finds them.
"""

from tapem.ops.numpy import (
    assembling,
    constants,
    counting,
    creation,
    emath,
    functions,
    linalg,
    numbers,
    numerics,
    options,
    polynomials,
    shapes,
    statistics,
    ufuncs,
)
from tapem.ops.numpy.functions import IN_PLACE

__all__ = [
    "IN_PLACE", "assembling", "constants", "counting", "creation", "emath", "functions", "linalg", "numbers",
    "numerics", "options", "polynomials", "shapes", "statistics", "ufuncs",
]  # fmt: skip
