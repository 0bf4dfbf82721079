"""Recurrent layers: Rnn, Lstm and Gru."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

import tapem as tm
from layers.initializers import Initializer, glorot_uniform, zeros
from layers.module import Array, Layer
from layers.ops.arguments import check_count
from layers.ops.recurrence import Nonlinearity, check_nonlinearity, gru, lstm, rnn
from layers.shapes import Pattern, split_pattern, with_last


@dataclass(frozen=True, repr=False)
class Recurrent(Layer):
    """The base of the recurrent layers: sizes, parameters and shapes."""

    in_features: int
    hidden: int
    last_only: bool = False
    weight: Initializer = field(default=glorot_uniform, kw_only=True)
    recurrent_weight: Initializer = field(default=glorot_uniform, kw_only=True)
    bias: Initializer = field(default=zeros, kw_only=True)
    dtype: npt.DTypeLike = field(default=np.float32, kw_only=True)

    op: ClassVar[Callable[..., Any]]
    gates: ClassVar[int]

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("in_features", "hidden"):
            check_count(type(self).__name__, name, getattr(self, name))

    def __repr__(self) -> str:
        shown = {"last_only": self.last_only, **self.options()}
        given = [f", {f.name}={shown[f.name]!r}" for f in fields(self) if shown.get(f.name, f.default) != f.default]
        return f"{type(self).__name__}({self.in_features}, {self.hidden}{''.join(given)})"

    @property
    def takes(self) -> Pattern:
        """Any leading axes, time, and `in_features`."""
        return (..., None, self.in_features)

    def output_shape(self, input_shape: Pattern) -> Pattern:
        """The same leading axes, time (unless `last_only`), and `hidden`."""
        self.check_input(input_shape)
        time = (None, *split_pattern(input_shape)[1])[-2]
        result = (self.hidden,) if self.last_only else (time, self.hidden)
        return with_last(input_shape, (None, self.in_features), result)

    def init(self, key: Array, input_shape: Pattern | None = None) -> dict[str, Array]:
        """The first weights and biases; those of each gate are drawn separately."""
        super().init(key, input_shape)
        shapes = {
            "w_ih": (self.weight, (self.hidden, self.in_features)),
            "w_hh": (self.recurrent_weight, (self.hidden, self.hidden)),
            "b_ih": (self.bias, (self.hidden,)),
            "b_hh": (self.bias, (self.hidden,)),
        }
        keys = iter(tm.random.split(key, len(shapes) * self.gates))
        return {
            name: np.concatenate([draw(next(keys), shape, self.dtype) for _ in range(self.gates)])
            for name, (draw, shape) in shapes.items()
        }

    def options(self) -> dict[str, Any]:
        """The static arguments of the op."""
        return {}

    def run(self, params: Any, x: Any, state: Any = None) -> tuple[Any, Any]:
        """The outputs of every step, and the last state; by default from a state of zeros.

        So a long sequence can be processed in parts: `outputs, state = layer.run(params, part, state)`.
        """
        weights = (params[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
        states = state if isinstance(state, tuple) else (state,)
        return type(self).op(*weights, x, *states, **self.options())

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        """The outputs of every step, or of the last one."""
        outputs, last = self.run(params, x)
        if not self.last_only:
            return outputs
        return last[0] if isinstance(last, tuple) else last


@dataclass(frozen=True, repr=False)
class Rnn(Recurrent):
    """A recurrent network: (*batch, time, in_features) -> (*batch, time, hidden); see `layers.rnn`.

    With `last_only=True` it gives the last output alone, (*batch, hidden), for layers that are to judge a sequence as a
    whole. `run(params, x, state)` starts from a state, and gives the last one too. The parameters are
    `{"w_ih": (hidden, in), "w_hh": (hidden, hidden), "b_ih": (hidden,), "b_hh": (hidden,)}`. `nonlinearity` is "tanh"
    or "relu". Raises ArgumentError for sizes below 1 and any other nonlinearity.

    >>> layer = Rnn(3, 8)
    >>> params = layer.init(tm.random.key(0))
    >>> outputs, last = layer.run(params, np.ones((2, 5, 3), np.float32))
    >>> outputs.shape, last.shape, bool((outputs == layer.apply(params, np.ones((2, 5, 3), np.float32))).all())
    ((2, 5, 8), (2, 8), True)
    """

    nonlinearity: Nonlinearity = field(default="tanh", kw_only=True)

    op = rnn
    gates = 1

    def __post_init__(self) -> None:
        """Check the arguments."""
        super().__post_init__()
        check_nonlinearity("Rnn", self.nonlinearity)

    def options(self) -> dict[str, Any]:
        """The nonlinearity."""
        return {"nonlinearity": self.nonlinearity}


@dataclass(frozen=True, repr=False)
class Lstm(Recurrent):
    """A long short-term memory: (*batch, time, in_features) -> (*batch, time, hidden); see `layers.lstm`.

    With `last_only=True` it gives the last output alone, (*batch, hidden), for layers that are to judge a sequence as a
    whole. `run(params, x, state)` starts from a state, and gives the last one, `(h, c)`, too. The parameters are
    `{"w_ih": (4 hidden, in), "w_hh": (4 hidden, hidden), "b_ih": (4 hidden,), "b_hh": (4 hidden,)}`. Raises
    ArgumentError for sizes below 1.

    >>> layer = Lstm(3, 8, last_only=True)
    >>> params = layer.init(tm.random.key(0))
    >>> layer.apply(params, np.ones((2, 5, 3), np.float32)).shape, layer.output_shape((2, 5, 3))
    ((2, 8), (2, 8))
    """

    op = lstm
    gates = 4


@dataclass(frozen=True, repr=False)
class Gru(Recurrent):
    """A gated recurrent unit: (*batch, time, in_features) -> (*batch, time, hidden); see `layers.gru`.

    With `last_only=True` it gives the last output alone, (*batch, hidden), for layers that are to judge a sequence as a
    whole. `run(params, x, state)` starts from a state, and gives the last one too. The parameters are
    `{"w_ih": (3 hidden, in), "w_hh": (3 hidden, hidden), "b_ih": (3 hidden,), "b_hh": (3 hidden,)}`. Raises
    ArgumentError for sizes below 1.

    >>> layer = Gru(3, 8)
    >>> layer, layer.output_shape((2, None, 3))
    (Gru(3, 8), (2, None, 8))
    """

    op = gru
    gates = 3


__all__ = ["Gru", "Lstm", "Rnn"]
