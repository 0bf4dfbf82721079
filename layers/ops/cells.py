"""One step of the gated recurrent networks: the next state, given the sums that enter the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

import tapem as tm
from tapem import ShapeError, Tensor, all_mapped, primitive

Gates: TypeAlias = Float[Tensor, "*batch gates"]
State: TypeAlias = Float[Tensor, "*batch hidden"]


def check_gates(op: str, name: str, given: int, hidden: int, gates: str) -> None:
    """Raise ShapeError unless `given` is `hidden` rows for each gate; `gates` has one letter per gate."""
    if given != len(gates) * hidden:
        raise ShapeError(
            f"{op}: {name} has {given} rows, but must have {len(gates)} * {hidden}: one for each unit of the hidden "
            f"state and each of {', '.join(gates)}, in this order."
        )


def _blocks(x: Any, count: int) -> list[Any]:
    """The last axis in `count` equal parts."""
    size = x.shape[-1] // count
    return [x[..., k * size : (k + 1) * size] for k in range(count)]


def _sigmoid(x: Any) -> Any:
    """The sigmoid of a value that the caller made: an array is overwritten, which saves memory more than time."""
    if type(x) is not np.ndarray:
        return tm.sigmoid(x)
    np.negative(x, out=x)
    with np.errstate(over="ignore"):  # exp(-x) = inf gives 0, as it should
        np.exp(x, out=x)
    x += 1
    return np.divide(1, x, out=x)


def _joined(*parts: Any) -> Any:
    return np.concatenate(parts, axis=-1)


def _batch(op: Any, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    return op(*all_mapped(size, inputs, mapped))


# The long short-term memory -------------------------------------------------------------------------------------------


def _pull_lstm(g: Any, y: Any, kept: Any, entering: Any, recurrent: Any, c: Any) -> Any:
    i, f, n, o, tanh = kept
    g_h, g_c = g
    to_o = g_h * tanh * o
    total = g_c + (g_h * o - to_o * tanh)
    to_i = total * n * i
    to_f = total * c * f
    to_gates = _joined(to_i - to_i * i, to_f - to_f * f, total * i * (1 - n * n), to_o - to_o * o)
    return to_gates, to_gates, total * f


def _push_lstm_gates(t: Any, y: Any, kept: Any, entering: Any, recurrent: Any, c: Any) -> Any:
    i, f, n, o, tanh = kept
    t_i, t_f, t_n, t_o = _blocks(t, 4)
    t_c = t_f * c * f * (1 - f) + t_i * n * i * (1 - i) + t_n * i * (1 - n * n)
    return t_o * tanh * o * (1 - o) + t_c * o * (1 - tanh * tanh), t_c


def _push_lstm_cell(t: Any, y: Any, kept: Any, entering: Any, recurrent: Any, c: Any) -> Any:
    _, f, _, o, tanh = kept
    return t * f * o * (1 - tanh * tanh), t * f


@primitive(
    wide=True,
    residuals=True,
    opaque=True,
    rrule=_pull_lstm,
    frule=(_push_lstm_gates, _push_lstm_gates, _push_lstm_cell),
    batch=_batch,
)
def lstm_cell(entering: Gates, recurrent: Gates, c: State) -> tuple[State, State]:
    """The new output and the new cell state: `sigmoid(o) tanh(c')` and `c' = sigmoid(f) c + sigmoid(i) tanh(g)`.

    Float "*batch 4*hidden", Float "*batch 4*hidden", Float "*batch hidden" -> (Float "*batch hidden",
    Float "*batch hidden"). The gates i, f, g, o stand side by side; each is the sum of a part from the input
    (`entering`) and a part from the previous state (`recurrent`). See `layers.lstm`.

    >>> lstm_cell(np.array([0.0, 0.0, 0.0, 0.0]), np.zeros(4), np.array([2.0]))
    (array([0.38079708]), array([1.]))
    """
    check_gates("lstm_cell(entering, recurrent, c)", "entering", entering.shape[-1], c.shape[-1], "ifgo")
    gates = entering + recurrent
    n = np.tanh(_blocks(gates, 4)[2])
    i, f, _, o = _blocks(_sigmoid(gates), 4)
    after = f * c + i * n
    tanh = np.tanh(after)
    return (o * tanh, after), (i, f, n, o, tanh)  # pyright: ignore[reportReturnType]  # the values and their residuals


# The gated recurrent unit ---------------------------------------------------------------------------------------------


def _pull_gru(g: Any, y: Any, kept: Any, entering: Any, recurrent: Any, h: Any) -> Any:
    r, z, n, inner = kept
    to_n = g * (1 - z) * (1 - n * n)
    to_rz = _joined(to_n * inner * r * (1 - r), g * (h - n) * z * (1 - z))
    return _joined(to_rz, to_n), _joined(to_rz, to_n * r), g * z


def _push_gru(t: Any, y: Any, kept: Any, entering: Any, recurrent: Any, h: Any, reset: bool) -> Any:
    """The tangent, given that of the sums from the input, or with `reset` that of the sums from the state."""
    r, z, n, inner = kept
    t_r, t_z, t_n = _blocks(t, 3)
    t_n = (t_n * r if reset else t_n) + t_r * r * (1 - r) * inner
    return t_n * (1 - n * n) * (1 - z) + t_z * z * (1 - z) * (h - n)


@primitive(
    wide=True,
    residuals=True,
    opaque=True,
    rrule=_pull_gru,
    frule=(
        lambda t, y, kept, entering, recurrent, h: _push_gru(t, y, kept, entering, recurrent, h, reset=False),
        lambda t, y, kept, entering, recurrent, h: _push_gru(t, y, kept, entering, recurrent, h, reset=True),
        lambda t, y, kept, entering, recurrent, h: t * kept[1],
    ),
    batch=_batch,
)
def gru_cell(entering: Gates, recurrent: Gates, h: State) -> State:
    """The new state `z h + (1 - z) n` of a gated recurrent unit, given the sums from its input and from its state.

    Float "*batch 3*hidden", Float "*batch 3*hidden", Float "*batch hidden" -> Float "*batch hidden". Both sums hold r,
    z, n side by side. r and z are the sigmoids of both sums, n is `tanh(entering_n + r * recurrent_n)`. See
    `layers.gru`.

    >>> gru_cell(np.zeros(3), np.zeros(3), np.array([2.0]))
    array([1.])
    """
    check_gates("gru_cell(entering, recurrent, h)", "entering", entering.shape[-1], h.shape[-1], "rzn")
    size = h.shape[-1]
    r, z = _blocks(_sigmoid(entering[..., : 2 * size] + recurrent[..., : 2 * size]), 2)
    inner = recurrent[..., 2 * size :]
    n = np.tanh(entering[..., 2 * size :] + r * inner)
    return n + z * (h - n), (r, z, n, inner)  # pyright: ignore[reportReturnType]  # the value and its residuals


__all__ = ["check_gates", "gru_cell", "lstm_cell"]
