"""Which op each NumPy function stands for: what makes plain NumPy code differentiable.

An op names its NumPy functions where it is declared. This file collects them, and adapts the functions whose arguments
differ from the op's.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tapem.ops import arithmetic, comparison, indexing, linalg, reductions, shaping
from tapem.primitive import Primitive


def ops_of(*modules: ModuleType) -> list[Primitive]:
    """Every op that these modules declare."""
    return [value for module in modules for value in vars(module).values() if isinstance(value, Primitive)]


OPS = ops_of(arithmetic, comparison, indexing, linalg, reductions, shaping)

UFUNCS: dict[np.ufunc, Primitive] = {
    function: op for op in OPS for function in op.numpy if isinstance(function, np.ufunc)
}

REDUCTIONS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {(np.add, "reduce"): reductions.sum}

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    function: op for op in OPS for function in op.numpy if not isinstance(function, np.ufunc)
}
