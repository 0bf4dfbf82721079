"""Rows of the recurrent networks, and of the cells that they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

import layers
from layers.ops.cells import gru_cell, lstm_cell
from tests.tables import Row


def _values(*shapes: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(np.random.default_rng([i, *shape]).normal(size=shape) for i, shape in enumerate(shapes))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _lstm_cell(entering: Any, recurrent: Any, c: Any) -> Any:
    i, f, g, o = np.split(entering + recurrent, 4, axis=-1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _gru_cell(entering: Any, recurrent: Any, h: Any) -> Any:
    (i_r, i_z, i_n), (h_r, h_z, h_n) = np.split(entering, 3, axis=-1), np.split(recurrent, 3, axis=-1)
    z = _sigmoid(i_z + h_z)
    return z * h + (1 - z) * np.tanh(i_n + _sigmoid(i_r + h_r) * h_n)


def _over_time(step: Any, x: Any, *state: Any) -> Any:
    outputs = np.zeros((*x.shape[:-1], state[0].shape[-1]))
    for time in range(x.shape[-2]):
        state = step(x[..., time, :], *state)
        outputs[..., time, :] = state[0]
    return outputs, state


def _rnn(w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, x: Any, h: Any, nonlinearity: str = "tanh") -> Any:
    squash: Any = np.tanh if nonlinearity == "tanh" else lambda x: np.maximum(x, 0)
    return _over_time(lambda x, h: (squash(w_ih @ x + b_ih + w_hh @ h + b_hh),), x, h)


def _lstm(w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, x: Any, h: Any, c: Any) -> Any:
    return _over_time(lambda x, h, c: _lstm_cell(x @ w_ih.T + b_ih, h @ w_hh.T + b_hh, c), x, h, c)


def _gru(w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, x: Any, h: Any) -> Any:
    return _over_time(lambda x, h: (_gru_cell(x @ w_ih.T + b_ih, h @ w_hh.T + b_hh, h),), x, h)


def _row(
    op: Any, reference: Any, gates: int, *batch: int, time: int = 2, n: int = 2, note: str = "", **static: Any
) -> Row:
    hidden, states = 2, 2 if gates == 4 else 1
    size = gates * hidden
    shapes = [(size, n), (size, hidden), (size,), (size,), (*batch, time, n), *[(*batch, hidden)] * states]
    return Row(op, _values(*shapes), static, reference=reference, note=note)


ROWS: list[Row] = [
    Row(lstm_cell, _values((3, 8), (3, 8), (3, 2)), reference=_lstm_cell),
    Row(lstm_cell, _values((4,), (4,), (1,)), reference=_lstm_cell, note="a single example"),
    Row(lstm_cell, _values((0, 4), (0, 4), (0, 1)), reference=_lstm_cell, note="an empty batch"),
    Row(gru_cell, _values((3, 6), (3, 6), (3, 2)), reference=_gru_cell),
    Row(gru_cell, _values((3,), (3,), (1,)), reference=_gru_cell, note="a single example"),
    Row(gru_cell, _values((0, 3), (0, 3), (0, 1)), reference=_gru_cell, note="an empty batch"),
    _row(layers.rnn, _rnn, 1, time=3),
    _row(layers.rnn, _rnn, 1, nonlinearity="relu"),
    _row(layers.rnn, _rnn, 1, time=0, note="no time"),
    _row(layers.lstm, _lstm, 4),
    _row(layers.lstm, _lstm, 4, 2, time=1, n=1, note="one step"),
    _row(layers.lstm, _lstm, 4, time=0, note="no time"),
    _row(layers.gru, _gru, 3),
    _row(layers.gru, _gru, 3, 2, time=1, n=1, note="one step"),
    _row(layers.gru, _gru, 3, time=0, note="no time"),
]
