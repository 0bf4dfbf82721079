"""Recurrent networks over time: rnn, lstm and gru, with the weight layout of PyTorch.

One product of matrices projects the input of all times at once; the loop over time computes only the part that needs
the previous state. The loop consists of ops, so a tape holds every step, and derivatives of any order are those of the
ops: backpropagation through time is the reverse sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float

import tapem as tm
from layers.ops.cells import check_gates, gru_cell, lstm_cell
from layers.ops.linear import linear, times
from tapem import ArgumentError, Tensor, composed

Nonlinearity: TypeAlias = Literal["tanh", "relu"]
Sequences: TypeAlias = Float[Tensor, "*batch time in"]
Outputs: TypeAlias = Float[Tensor, "*batch time hidden"]
State: TypeAlias = Float[Tensor, "*batch hidden"]


def _projected(w_ih: Any, bias: Any, x: Any) -> Any:
    """`x W^T + b` for all times at once, with time as the first axis, since the loop runs along it."""
    return linear(w_ih, bias, np.moveaxis(x, -2, 0))


def _start(state: Any, projected: Any, hidden: int) -> Any:
    """The state before the first step: the given one, or zeros."""
    return np.zeros((*projected.shape[1:-1], hidden), projected.dtype) if state is None else state


def _outputs(states: Sequence[Any], projected: Any, hidden: int) -> Any:
    """The states after each step, with time as the last axis but one; an empty sequence has no states."""
    return np.stack(states, axis=-2) if states else np.moveaxis(projected[..., :hidden], 0, -2)


def check_nonlinearity(op: str, nonlinearity: str) -> None:
    """Raise ArgumentError for any nonlinearity but "tanh" and "relu"."""
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f'{op}: nonlinearity is {nonlinearity!r}, but must be "tanh" or "relu".')


@composed
def rnn(
    w_ih: Float[Tensor, "hidden in"],
    w_hh: Float[Tensor, "hidden hidden"],
    b_ih: Float[Tensor, "hidden"],
    b_hh: Float[Tensor, "hidden"],
    x: Sequences,
    h: State | None = None,
    *,
    nonlinearity: Nonlinearity = "tanh",
) -> tuple[Outputs, State]:
    """The recurrent network `h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh)`: its state after every step.

    Float "hidden in", Float "hidden hidden", two Float "hidden", Float "*batch time in", and the state before the first
    step, Float "*batch hidden" (zeros by default) -> (Float "*batch time hidden", Float "*batch hidden"): the states
    after every step, and after the last one. `nonlinearity` is "tanh" or "relu".

    Raises ShapeError where sizes disagree, ArgumentError for any other nonlinearity. Source: Elman, "Finding structure
    in time", 1990.

    >>> one, zero = np.ones((1, 1)), np.zeros(1)
    >>> outputs, last = rnn(one, one, zero, zero, np.ones((3, 1)), nonlinearity="relu")
    >>> outputs.ravel(), last
    (array([1., 2., 3.]), array([3.]))
    """
    check_nonlinearity("rnn(w_ih, w_hh, b_ih, b_hh, x, h)", nonlinearity)
    squash: Any = tm.relu if nonlinearity == "relu" else np.tanh
    projected, recurrent = _projected(w_ih, b_ih + b_hh, x), w_hh.T
    state = _start(h, projected, w_hh.shape[1])
    states: list[Any] = []
    for entering in projected:
        state = squash(entering + times(state, recurrent))
        states.append(state)
    return _outputs(states, projected, w_hh.shape[1]), state


@composed
def lstm(
    w_ih: Float[Tensor, "gates in"],
    w_hh: Float[Tensor, "gates hidden"],
    b_ih: Float[Tensor, "gates"],
    b_hh: Float[Tensor, "gates"],
    x: Sequences,
    h: State | None = None,
    c: State | None = None,
) -> tuple[Outputs, tuple[State, State]]:
    """The long short-term memory: gates keep, fill and read a cell state c.

    Float "4*hidden in", Float "4*hidden hidden", two Float "4*hidden", Float "*batch time in", and the states before
    the first step, two Float "*batch hidden" (zeros by default) -> (Float "*batch time hidden", (Float "*batch hidden",
    Float "*batch hidden")): the outputs h of every step, and h and c after the last one. With
    `i, f, g, o = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh`, whose rows stand in this order,

        c_t = sigmoid(f) c_(t-1) + sigmoid(i) tanh(g)
        h_t = sigmoid(o) tanh(c_t)

    Raises ShapeError where sizes disagree. Sources: Hochreiter and Schmidhuber, "Long short-term memory", 1997; Gers,
    Schmidhuber and Cummins, "Learning to forget", 2000.

    >>> weights = np.zeros((8, 3)), np.zeros((8, 2)), np.ones(8), np.zeros(8)
    >>> outputs, (h, c) = lstm(*weights, np.ones((5, 3)))
    >>> outputs.shape, h.shape, c.round(2)
    ((5, 2), (2,), array([1.64, 1.64]))
    """
    hidden = w_hh.shape[1]
    check_gates("lstm(w_ih, w_hh, b_ih, b_hh, x, h, c)", "w_hh", w_hh.shape[0], hidden, "ifgo")
    projected, recurrent = _projected(w_ih, b_ih + b_hh, x), w_hh.T
    output, cell = _start(h, projected, hidden), _start(c, projected, hidden)
    outputs: list[Any] = []
    for entering in projected:
        output, cell = lstm_cell(entering, times(output, recurrent), cell)
        outputs.append(output)
    return _outputs(outputs, projected, hidden), (output, cell)


@composed
def gru(
    w_ih: Float[Tensor, "gates in"],
    w_hh: Float[Tensor, "gates hidden"],
    b_ih: Float[Tensor, "gates"],
    b_hh: Float[Tensor, "gates"],
    x: Sequences,
    h: State | None = None,
) -> tuple[Outputs, State]:
    """The gated recurrent unit: a gate z says how much of the state h is kept.

    Float "3*hidden in", Float "3*hidden hidden", two Float "3*hidden", Float "*batch time in", and the state before
    the first step, Float "*batch hidden" (zeros by default) -> (Float "*batch time hidden", Float "*batch hidden"): the
    states after every step, and after the last one. The rows of the weights belong to r, z and n, in this order:

        r = sigmoid(W_ir x_t + b_ir + W_hr h_(t-1) + b_hr)        z likewise
        n = tanh(W_in x_t + b_in + r (W_hn h_(t-1) + b_hn))
        h_t = z h_(t-1) + (1 - z) n

    Raises ShapeError where sizes disagree. Source: Cho et al., "Learning phrase representations using RNN
    encoder-decoder for statistical machine translation", 2014; r is applied as PyTorch and cuDNN apply it.

    >>> weights = np.zeros((6, 3)), np.zeros((6, 2)), np.zeros(6), np.zeros(6)
    >>> outputs, last = gru(*weights, np.ones((2, 3)), np.array([1.0, 4.0]))
    >>> outputs
    array([[0.5 , 2.  ],
           [0.25, 1.  ]])
    """
    hidden = w_hh.shape[1]
    check_gates("gru(w_ih, w_hh, b_ih, b_hh, x, h)", "w_hh", w_hh.shape[0], hidden, "rzn")
    projected = _projected(w_ih, b_ih, x)
    state = _start(h, projected, hidden)
    states: list[Any] = []
    for entering in projected:
        state = gru_cell(entering, linear(w_hh, b_hh, state), state)
        states.append(state)
    return _outputs(states, projected, hidden), state


__all__ = ["Nonlinearity", "check_nonlinearity", "gru", "lstm", "rnn"]
