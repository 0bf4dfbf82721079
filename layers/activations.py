"""Activation functions as layers: each applies one op of tapem to every element."""

# Parameters are trees of anything, arrays or tracers, so a checker cannot follow what is computed from them.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tapem as tm
from layers.module import Layer


@dataclass(frozen=True)
class Relu(Layer):
    """`max(x, 0)`, element by element; see `tm.relu`.

    >>> import numpy as np
    >>> Relu().apply((), np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The op."""
        return tm.relu(x)


@dataclass(frozen=True)
class Tanh(Layer):
    """The hyperbolic tangent, element by element; see `tm.tanh`.

    >>> import numpy as np
    >>> Tanh().apply((), np.array([0.0]))
    array([0.])
    """

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The op."""
        return tm.tanh(x)


@dataclass(frozen=True)
class Sigmoid(Layer):
    """`1 / (1 + exp(-x))`, element by element; see `tm.sigmoid`.

    >>> import numpy as np
    >>> Sigmoid().apply((), np.array([0.0]))
    array([0.5])
    """

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The op."""
        return tm.sigmoid(x)


__all__ = ["Relu", "Sigmoid", "Tanh"]
