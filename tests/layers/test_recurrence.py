"""Recurrent networks beyond their rows: PyTorch agrees; states, lengths, doors, dtypes, layers; what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layers
import tapem as tm
from layers import Gru, Linear, Lstm, Rnn, initializers
from layers.ops.cells import gru_cell, lstm_cell
from tapem.core.tree import tree_flatten

KEY = tm.random.key(0)
OPS = [
    pytest.param(layers.rnn, 1, id="rnn"),
    pytest.param(layers.gru, 3, id="gru"),
    pytest.param(layers.lstm, 4, id="lstm"),
]
HIDDEN, INPUTS = 2, 3


def values(seed: int, *shape: int, dtype: Any = np.float64) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def weights(gates: int, dtype: Any = np.float64) -> tuple[Any, ...]:
    rows = gates * HIDDEN
    return tuple(
        values(i, *shape, dtype=dtype) for i, shape in enumerate([(rows, INPUTS), (rows, HIDDEN), (rows,), (rows,)])
    )


def complaint(call: Any, kind: type[Exception]) -> str:
    with pytest.raises(kind) as error:
        call()
    return str(error.value)


def assert_same(one: Any, other: Any, rtol: float = 1e-10) -> None:
    for a, b in zip(tree_flatten(one)[0], tree_flatten(other)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize(("op", "gates"), OPS)
def test_states_are_zeros_by_default_and_can_be_handed_on(op: Any, gates: int) -> None:
    own, x = weights(gates), values(9, 4, 5, INPUTS)
    zeros = [np.zeros((4, HIDDEN))] * (2 if gates == 4 else 1)
    whole, last = op(*own, x)
    assert_same((whole, last), op(*own, x, *zeros))
    first, state = op(*own, x[:, :2])
    second, end = op(*own, x[:, 2:], *(state if gates == 4 else (state,)))
    assert_same((whole, last), (np.concatenate([first, second], axis=1), end))
    np.testing.assert_array_equal(whole[:, -1], last[0] if gates == 4 else last)


@pytest.mark.parametrize(("op", "gates"), OPS)
def test_leading_axes_are_free(op: Any, gates: int) -> None:
    own, x = weights(gates), values(9, 2, 3, 4, INPUTS)
    outputs, last = op(*own, x)
    assert outputs.shape == (2, 3, 4, HIDDEN)
    one, end = op(*own, x[1, 2])
    np.testing.assert_allclose(outputs[1, 2], one, rtol=1e-12)
    assert_same([part[1, 2] for part in tree_flatten(last)[0]], tree_flatten(end)[0])


@pytest.mark.parametrize(("op", "gates"), OPS)
def test_a_sequence_of_no_steps(op: Any, gates: int) -> None:
    own, x, state = weights(gates), np.zeros((4, 0, INPUTS)), values(3, 4, HIDDEN)
    outputs, last = op(*own, x, state)
    assert outputs.shape == (4, 0, HIDDEN)
    np.testing.assert_array_equal(tree_flatten(last)[0][0], state)
    gradients = tm.grad(lambda own: np.sum(op(*own, x, state)[0]))(own)
    assert all(gradient.shape == w.shape and not gradient.any() for gradient, w in zip(gradients, own, strict=True))
    to_state = tm.grad(lambda h: np.sum(tree_flatten(op(*own, x, h)[1])[0][0]))(state)
    np.testing.assert_array_equal(to_state, np.ones_like(state))


@pytest.mark.parametrize(("op", "gates"), OPS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_dtypes(op: Any, gates: int, dtype: Any) -> None:
    own, x = weights(gates, dtype), values(9, 2, 3, INPUTS, dtype=dtype)
    assert all(part.dtype == dtype for part in tree_flatten(op(*own, x))[0])
    assert all(gradient.dtype == dtype for gradient in tm.grad(lambda own: np.sum(op(*own, x)[0]))(own))
    exact = op(*weights(gates), values(9, 2, 3, INPUTS))
    assert_same(op(*own, x), exact, rtol=2e-2 if dtype == np.float16 else 1e-5)


@pytest.mark.parametrize(("op", "gates"), OPS)
def test_gates_that_are_shut_or_open(op: Any, gates: int) -> None:
    own, x = weights(gates), 1e4 * values(9, 2, 3, INPUTS)
    with np.errstate(all="raise", under="ignore"):
        value, gradients = tm.value_and_grad(lambda own: np.sum(op(*own, x)[0]))(own)
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(("op", "gates"), OPS)
def test_per_example_gradients_hessian_and_checkpoint(op: Any, gates: int) -> None:
    own, x = weights(gates), values(9, 3, 2, INPUTS)

    def loss(own: Any, x: Any) -> Any:
        return np.sum(op(*own, x)[0] ** 2)

    each = tm.vmap(tm.grad(loss), in_axes=(None, 0))(own, x)
    for i in range(3):
        assert_same([part[i] for part in each], list(tm.grad(loss)(own, x[i])))
    assert_same(tm.grad(tm.checkpoint(loss))(own, x), tm.grad(loss)(own, x))
    hessian = tm.hessian(lambda x: loss(own, x))(x[0])
    np.testing.assert_allclose(hessian, np.transpose(hessian, (2, 3, 0, 1)), rtol=1e-9, atol=1e-12)
    assert tm.testing.check_grads(lambda x: loss(own, x), (x[0],), order=2) is None


@pytest.mark.parametrize(("op", "gates"), OPS)
def test_weights_of_each_example(op: Any, gates: int) -> None:
    own = tuple(np.stack([w, 2 * w]) for w in weights(gates))
    x = values(9, 2, 3, INPUTS)
    mapped = tm.vmap(op)(*own, x)
    for i in range(2):
        assert_same([part[i] for part in tree_flatten(mapped)[0]], op(*(w[i] for w in own), x[i]))


@pytest.mark.parametrize(("op", "gates"), OPS)
def test_steps_and_refs(op: Any, gates: int) -> None:
    own, x = weights(gates), values(9, 2, INPUTS)

    @tm.do
    def program() -> Any:
        refs = yield tm.traverse(tm.param, own)
        outputs, last = yield op(*refs, tm.tanh((yield tm.const(x))))
        total = yield tm.sum(outputs)
        gradients = yield tm.backward_scalar(total)
        return outputs, last, [gradients[ref] for ref in refs]

    (outputs, last, gradients), tape = program().run()
    assert_same([tape.value(ref) for ref in tree_flatten((outputs, last))[0]], op(*own, np.tanh(x)))
    assert_same(gradients, list(tm.grad(lambda own: np.sum(op(*own, np.tanh(x))[0]))(own)))


@pytest.mark.parametrize(("op", "gates"), OPS)
def test_what_does_not_fit(op: Any, gates: int) -> None:
    own, x = weights(gates), values(9, 2, 3, INPUTS)
    text = complaint(lambda: op(*own, x[..., :2]), tm.ShapeError)
    assert f"axis 'in' is 3 in w_ih ({gates * HIDDEN}, 3) but 2 in x (2, 3, 2)" in text
    assert "x must have at least 2 axes but has 1: (3,)" in complaint(lambda: op(*own, x[0, 0]), tm.ShapeError)
    assert "x is int64, where Float is required" in complaint(lambda: op(*own, x.astype(int)), tm.DTypeError)
    assert "axes '*batch' are (2,) in x (2, 3, 3) but (4,) in h (4, 2)" in complaint(
        lambda: op(*own, x, np.zeros((4, HIDDEN))), tm.ShapeError
    )
    if gates > 1:
        assert f"w_hh has 7 rows, but must have {gates} * 2: one for each unit" in complaint(
            lambda: op(np.ones((7, 3)), np.ones((7, 2)), np.ones(7), np.ones(7), x), tm.ShapeError
        )


def test_nonlinearity() -> None:
    x = values(9, 4, INPUTS)
    assert (layers.rnn(*weights(1), x, nonlinearity="relu")[0] >= 0).all()
    for call in (
        lambda: layers.rnn(*weights(1), x, nonlinearity="sin"),  # type: ignore[arg-type]
        lambda: Rnn(2, 2, nonlinearity="sin"),  # type: ignore[arg-type]
    ):
        assert 'nonlinearity is \'sin\', but must be "tanh" or "relu".' in complaint(call, tm.ArgumentError)


# The layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "op", "gates"), [(Rnn, layers.rnn, 1), (Gru, layers.gru, 3), (Lstm, layers.lstm, 4)])
def test_layers(kind: Any, op: Any, gates: int) -> None:
    layer = kind(INPUTS, HIDDEN)
    params, x = layer.init(KEY), values(9, 4, 5, INPUTS, dtype=np.float32)
    assert {name: w.shape for name, w in params.items()} == {
        "w_ih": (gates * HIDDEN, INPUTS),
        "w_hh": (gates * HIDDEN, HIDDEN),
        "b_ih": (gates * HIDDEN,),
        "b_hh": (gates * HIDDEN,),
    }
    outputs, last = op(*params.values(), x)
    np.testing.assert_array_equal(layer.apply(params, x), outputs)
    final = kind(INPUTS, HIDDEN, last_only=True)
    np.testing.assert_array_equal(final.apply(params, x), tree_flatten(last)[0][0])
    assert_same(layer.run(params, x), (outputs, last))
    _, state = layer.run(params, x[:, :3])
    assert_same(layer.run(params, x[:, 3:], state), (outputs[:, 3:], last), rtol=1e-5)
    assert layer.output_shape((4, 5, INPUTS)) == outputs.shape and final.output_shape((4, 5, INPUTS)) == (4, HIDDEN)
    assert layer.output_shape((None, None, INPUTS)) == (None, None, HIDDEN)
    assert layer.output_shape((..., INPUTS)) == (..., None, HIDDEN)
    assert repr(final) == f"{kind.__name__}(3, 2, last_only=True)"
    model = layer >> final.__class__(HIDDEN, 4, last_only=True) >> Linear(4, 1)
    assert model.output_shape((None, 7, INPUTS)) == (None, 1)
    assert model.apply(model.init(KEY), x).shape == (4, 1)
    assert "takes (..., ?, 3), but layer 0, Linear(3, 4), gives (..., 4): 4 is not 3" in complaint(
        lambda: Linear(3, 4) >> layer, tm.ShapeError
    )
    assert "hidden is 0, but must be an integer of at least 1" in complaint(lambda: kind(1, 0), tm.ArgumentError)
    ref, tape = tm.Tape().leaf(x)
    out, tape = layer.apply(params, ref).run(tape)
    np.testing.assert_array_equal(tape.value(out), outputs)


def test_every_gate_is_drawn_by_itself() -> None:
    params = Lstm(40, 60, bias=initializers.ones, dtype=np.float64).init(KEY)
    blocks = np.split(params["w_ih"], 4)
    assert all(abs(block.var() / (2 / 100) - 1) < 0.1 for block in blocks)
    assert not np.array_equal(blocks[0], blocks[1]) and params["b_hh"].min() == 1


@pytest.mark.parametrize(("kind", "name"), [(Rnn, "RNN"), (Gru, "GRU"), (Lstm, "LSTM")])
def test_agrees_with_torch(kind: Any, name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(INPUTS, HIDDEN, batch_first=True, dtype=torch.float64)
    params = {key.replace("weight_", "w_").replace("bias_", "b_")[:4]: w for key, w in theirs.named_parameters()}
    own = {key: w.detach().numpy() for key, w in params.items()}
    x = values(9, 4, 5, INPUTS)
    expected, last = theirs(torch.from_numpy(x))
    (expected**2).sum().backward()
    layer = kind(INPUTS, HIDDEN)
    outputs, end = layer.run(own, x)
    np.testing.assert_allclose(outputs, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    for a, b in zip(tree_flatten(end)[0], last if name == "LSTM" else (last,), strict=True):
        np.testing.assert_allclose(a, b[0].detach().numpy(), rtol=1e-10, atol=1e-12)
    gradients = tm.grad(lambda own: np.sum(layer.apply(own, x) ** 2))(own)
    for key, gradient in gradients.items():
        np.testing.assert_allclose(gradient, params[key].grad.numpy(), rtol=1e-9, atol=1e-11)


def test_shapes_drawn_from_the_signatures() -> None:
    # The sizes of the gates are multiples of that of the state, which no annotation says.
    for cell, gates in ((lstm_cell, 4), (gru_cell, 3)):

        def several(entering: Any, recurrent: Any, state: Any, gates: int = gates) -> Any:
            wide = np.concatenate([state] * gates, axis=-1)
            return wide, 0.5 * wide, state

        tm.testing.check_op(cell, prepare=several, max_examples=3, max_side=2, max_axes=1, seed=0)
