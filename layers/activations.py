"""Activation functions as layers: each applies one op of tapem; the op's static arguments are the layer's fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

import tapem as tm
from layers.module import Layer
from layers.ops.arguments import check_real, is_integer
from layers.shapes import Pattern
from tapem import ArgumentError


@dataclass(frozen=True)
class Activation(Layer):
    """The base of the activation functions: a subclass is a frozen dataclass that names its op.

    >>> @dataclass(frozen=True)
    ... class Clamp(Activation):
    ...     lo: float
    ...     hi: float
    ...     op = tm.clamp
    >>> Clamp(0, 6).apply((), np.array([-1.0, 7.0]))
    array([0., 6.])
    """

    op: ClassVar[Callable[..., Any]]

    def __post_init__(self) -> None:
        """Let the op check its static arguments on the smallest value that the layer takes."""
        self.forward((), np.ones((1,) * (len(self.takes) - 1)))

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The op."""
        check_real(repr(self), x=x)
        return type(self).op(x, **{field.name: getattr(self, field.name) for field in fields(self)})


@dataclass(frozen=True)
class Relu(Activation):
    """`max(x, 0)`, element by element; see `tm.relu`.

    >>> Relu().apply((), np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    op = tm.relu


@dataclass(frozen=True)
class LeakyRelu(Activation):
    """`x` where it is positive, else `negative_slope` times `x`; see `tm.leaky_relu`.

    >>> LeakyRelu(0.1).apply((), np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    negative_slope: float = 0.01
    op = tm.leaky_relu


@dataclass(frozen=True)
class Elu(Activation):
    """`x` where it is positive, else `alpha (exp(x) - 1)`; see `tm.elu`.

    >>> Elu().apply((), np.array([-1.0, 2.0])).round(2)
    array([-0.63,  2.  ])
    """

    alpha: float = 1.0
    op = tm.elu


@dataclass(frozen=True)
class Gelu(Activation):
    """`x` times the probability that a standard normal variable is below `x`; see `tm.gelu`.

    `approximate` is "none" for the exact function, or "tanh". Raises ArgumentError for anything else.

    >>> Gelu().apply((), np.array([-1.0, 2.0])).round(2)
    array([-0.16,  1.95])
    """

    approximate: str = "none"
    op = tm.gelu


@dataclass(frozen=True)
class Silu(Activation):
    """`x sigmoid(x)`, element by element, also called swish; see `tm.silu`.

    >>> Silu().apply((), np.array([-1.0, 2.0])).round(2)
    array([-0.27,  1.76])
    """

    op = tm.silu


@dataclass(frozen=True)
class Softplus(Activation):
    """`log(1 + exp(x))`, element by element; see `tm.softplus`.

    >>> Softplus().apply((), np.array([-1.0, 2.0])).round(2)
    array([0.31, 2.13])
    """

    op = tm.softplus


@dataclass(frozen=True)
class Sigmoid(Activation):
    """`1 / (1 + exp(-x))`, element by element; see `tm.sigmoid`.

    >>> Sigmoid().apply((), np.array([0.0]))
    array([0.5])
    """

    op = tm.sigmoid


@dataclass(frozen=True)
class Tanh(Activation):
    """The hyperbolic tangent, element by element; see `tm.tanh`.

    >>> Tanh().apply((), np.array([0.0]))
    array([0.])
    """

    op = tm.tanh


@dataclass(frozen=True)
class AlongAxis(Activation):
    """The base of softmax and log_softmax: both need their axis."""

    axis: int = -1

    def __post_init__(self) -> None:
        """Check the axis."""
        if not is_integer(self.axis):
            raise ArgumentError(f"{type(self).__name__}: axis is {self.axis!r}, but must be an integer.")

    @property
    def takes(self) -> Pattern:
        """Any shape that has the axis."""
        return (..., *(None,) * (self.axis + 1 if self.axis >= 0 else -self.axis))


@dataclass(frozen=True)
class Softmax(AlongAxis):
    """`exp(x) / sum(exp(x))` along an axis, by default the last; see `tm.softmax`. Raises ShapeError without that axis.

    For training, omit this layer and use `losses.cross_entropy` on the logits.

    >>> Softmax().apply((), np.array([0.0, np.log(3.0)]))
    array([0.25, 0.75])
    """

    op = tm.softmax


@dataclass(frozen=True)
class LogSoftmax(AlongAxis):
    """The logarithm of softmax along an axis, by default the last; see `tm.log_softmax`, and `losses.nll`.

    >>> LogSoftmax().apply((), np.array([0.0, np.log(3.0)])).round(2)
    array([-1.39, -0.29])
    """

    op = tm.log_softmax


__all__ = [
    "Activation",
    "Elu",
    "Gelu",
    "LeakyRelu",
    "LogSoftmax",
    "Relu",
    "Sigmoid",
    "Silu",
    "Softmax",
    "Softplus",
    "Tanh",
]
