"""Embedding, positions and dropout beyond their rows: repeated ids, what rotation keeps, masks and keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layers
import tapem as tm
from layers import Dropout, Embedding, Linear, Relu, SinusoidalPositions, initializers

KEY = tm.random.key(0)


def values(*shape: int, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(shape).normal(size=shape).astype(dtype)


def complaint(call: Any, kind: type[Exception]) -> str:
    with pytest.raises(kind) as error:
        call()
    assert isinstance(error.value, tm.TapeError)
    return str(error.value)


# Embedding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, np.uint64])
def test_repeated_ids_accumulate(dtype: Any, kind: Any) -> None:
    table, ids = values(200, 3, dtype=dtype), np.random.default_rng(0).integers(0, 200, (7, 40)).astype(kind)
    y, pullback = tm.vjp(lambda table: layers.embedding(table, ids), table)
    np.testing.assert_array_equal(y, table[ids])
    cotangent = np.round(values(*y.shape, dtype=dtype))  # whole numbers add up exactly
    expected = np.zeros_like(table)
    np.add.at(expected, ids, cotangent)
    (gradient,) = pullback(cotangent)
    np.testing.assert_array_equal(gradient, expected)
    assert gradient.dtype == y.dtype == dtype


def test_ids_that_are_none() -> None:
    table = values(5, 2)
    for ids, number, at in ((np.array([0, 5]), 5, (1,)), (np.array([[0], [-1]]), -1, (1, 0)), (7, 7, ())):
        expected = f"embedding(table, ids): id {number} at position {at} is out of range: the table has 5 rows"
        assert expected in complaint(lambda ids=ids: layers.embedding(table, ids), tm.ArgumentError)
        if np.ndim(ids):
            assert f"id {number} at position" in complaint(
                lambda ids=ids: tm.vmap(layers.embedding, in_axes=(None, 0))(table, ids), tm.ArgumentError
            )
    text = complaint(lambda: layers.embedding(table, np.array([1.0])), tm.DTypeError)
    assert "embedding(table, ids): ids is float64, where Integer is required" in text
    # A table of each example: the id that is out of range must not reach the next table.
    tables, ids = values(3, 5, 2), np.array([[0, 1], [2, 5], [1, 1]])
    assert "id 5 at position (1, 1)" in complaint(lambda: tm.vmap(layers.embedding)(tables, ids), tm.ArgumentError)


def test_tables_and_ids_of_each_example() -> None:
    tables, ids = values(3, 5, 2), np.random.default_rng(0).integers(0, 5, (3, 2, 4))
    np.testing.assert_array_equal(
        tm.vmap(layers.embedding)(tables, ids), np.stack([t[i] for t, i in zip(tables, ids, strict=True)])
    )
    np.testing.assert_array_equal(tm.vmap(layers.embedding, in_axes=(0, None))(tables, ids[0]), tables[:, ids[0]])

    def loss(table: Any, ids: Any) -> Any:
        return np.sum(layers.embedding(table, ids) ** 2)

    mapped = tm.vmap(tm.grad(loss))(tables, ids)
    np.testing.assert_allclose(mapped, [tm.grad(loss)(t, i) for t, i in zip(tables, ids, strict=True)])
    hessian = tm.hessian(loss)(tables[0], np.array([1, 1, 3]))
    np.testing.assert_array_equal(np.einsum("vdvd->vd", hessian), [[0, 0], [4, 4], [0, 0], [2, 2], [0, 0]])


def test_embedding_layer() -> None:
    layer = Embedding(10, 4)
    params = layer.init(KEY)
    assert params["table"].shape == (10, 4) and params["table"].dtype == np.float32
    assert repr(layer) == "Embedding(10, 4)"
    ids = np.array([[1, 2, 3], [3, 3, 3]])
    np.testing.assert_array_equal(layer.apply(params, ids), params["table"][ids])
    assert layer.output_shape((2, 3)) == (2, 3, 4) and layer.output_shape((...,)) == (..., 4)
    model = layer >> SinusoidalPositions() >> Linear(4, 2)
    assert model.output_shape((None, 7)) == (None, 7, 2) and model.apply(model.init(KEY), ids).shape == (2, 3, 2)
    assert "vocabulary is 0" in complaint(lambda: Embedding(0, 4), tm.ArgumentError)
    assert (Embedding(3, 2, table=initializers.ones).init(KEY)["table"] == 1).all()
    ref, tape = tm.Tape().leaf(ids)
    out, tape = layer.apply(params, ref).run(tape)
    np.testing.assert_array_equal(tape.value(out), params["table"][ids])


# Positions ------------------------------------------------------------------------------------------------------------


def test_sinusoidal_positions() -> None:
    table = layers.sinusoidal_positions(50, 6, dtype=np.float64)
    for position in (0, 7, 49):
        for i in range(3):
            angle = position / 10000 ** (2 * i / 6)
            np.testing.assert_allclose(table[position, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-12)
    np.testing.assert_array_equal(layers.sinusoidal_positions(50, 5), layers.sinusoidal_positions(50, 5)[:, :5])
    assert layers.sinusoidal_positions(3, 5).dtype == np.float32
    assert layers.sinusoidal_positions(0, 4).shape == (0, 4) and layers.sinusoidal_positions(4, 0).shape == (4, 0)
    x = values(2, 3, 4, dtype=np.float16)
    y = SinusoidalPositions().apply((), x)
    np.testing.assert_array_equal(y, x + layers.sinusoidal_positions(3, 4, dtype=np.float16))
    assert "n is -1, but must be an integer of at least 0" in complaint(
        lambda: layers.sinusoidal_positions(-1, 2), tm.ArgumentError
    )
    for call in (
        lambda: layers.sinusoidal_positions(3, 4, dtype=int),
        lambda: SinusoidalPositions().apply((), x.astype(int)),
    ):
        assert "positions are floats between -1 and 1" in complaint(call, tm.DTypeError)
    for call in (lambda: SinusoidalPositions(0.5), lambda: layers.sinusoidal_positions(1, 2, base=float("nan"))):
        assert "must be a finite number of at least 1" in complaint(call, tm.ArgumentError)


def test_rotation_keeps_lengths_and_tells_distances() -> None:
    q, k = values(8), values(2, 8)[1]
    places = np.array([0, 3, 100, 1003])
    rotated = layers.rotary_embedding(np.broadcast_to(q, (4, 8)), places)
    np.testing.assert_allclose(np.linalg.norm(rotated, axis=-1), np.linalg.norm(q))
    np.testing.assert_array_equal(rotated[0], q)

    def product(m: int, n: int) -> Any:
        return layers.rotary_embedding(q[None], np.array([m])) @ layers.rotary_embedding(k[None], np.array([n])).T

    for m in (1, 50, 3000):
        np.testing.assert_allclose(product(m + 5, m), product(5, 0), rtol=1e-9)
    assert abs(product(5, 0) - product(6, 0)) > 1e-3


def test_rotation_the_other_way_round_is_the_pullback() -> None:
    x, places = values(2, 3, 4), np.array([2, 0, 9], np.uint8)
    y, pullback = tm.vjp(lambda x: layers.rotary_embedding(x, places), x)
    np.testing.assert_allclose(pullback(y)[0], x, rtol=1e-12)
    for dtype in (np.float16, np.float32):
        y, pullback = tm.vjp(layers.rotary_embedding, x.astype(dtype))
        assert y.dtype == pullback(y)[0].dtype == dtype
    # The angle is computed in float64: float32 would be off by 0.03 radians here.
    far = layers.rotary_embedding(np.array([[1, 0]], np.float32), np.array([1_000_003]))
    np.testing.assert_allclose(far, [[np.cos(1_000_003), np.sin(1_000_003)]], atol=1e-6)


def test_positions_of_each_example() -> None:
    x, places = values(5, 3, 2, 4), np.arange(10).reshape(5, 2)
    mapped = tm.vmap(layers.rotary_embedding)(x, places)
    np.testing.assert_array_equal(mapped, [layers.rotary_embedding(a, b) for a, b in zip(x, places, strict=True)])
    shared = tm.vmap(layers.rotary_embedding, in_axes=(None, 0))(x[0], places)
    np.testing.assert_array_equal(shared, [layers.rotary_embedding(x[0], b) for b in places])


def test_rotations_that_do_not_fit() -> None:
    def call(x: Any, *positions: Any) -> str:
        return complaint(lambda: layers.rotary_embedding(x, *positions), tm.ShapeError)

    assert "the last axis of x has size 3, but must be even" in call(np.ones((2, 3)))
    expected = "positions has shape (3,), which does not broadcast to (5, 2), the axes of x without the last."
    assert expected in call(np.ones((5, 2, 4)), np.ones(3))
    assert "positions has shape (1, 5, 2)" in call(np.ones((5, 2, 4)), np.ones((1, 5, 2)))


# Dropout --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dropout_keeps_the_mean_and_the_dtype(dtype: Any) -> None:
    x = np.full((200, 300), 3, dtype)
    y, pullback = tm.vjp(lambda x: layers.dropout(x, 0.3, KEY), x)
    assert y.dtype == pullback(y)[0].dtype == dtype
    assert set(np.unique(y)) == {dtype(0), x[0, 0] / dtype(0.7)}
    assert y.mean(dtype=np.float64) == pytest.approx(3, rel=0.01) and (y == 0).mean() == pytest.approx(0.3, abs=0.01)
    np.testing.assert_array_equal(y != 0, tm.random.bernoulli(KEY, 0.7, x.shape))
    np.testing.assert_array_equal(pullback(x)[0], y)  # what was dropped hands nothing back
    np.testing.assert_array_equal(layers.dropout(x, 0, KEY), x)
    assert float(layers.dropout(2.0, 0.0, KEY)) == 2


def test_what_is_dropped_is_zero_whatever_it_was() -> None:
    with np.errstate(all="raise"):
        y = layers.dropout(np.full(100, np.inf), 0.5, KEY)
    assert set(y) == {0.0, np.inf}


def test_one_key_is_one_mask() -> None:
    x, keys = np.ones((4, 50)), tm.random.split(KEY, 4)

    def loss(x: Any, key: Any) -> Any:
        return np.sum(layers.dropout(x, 0.5, key) ** 2)

    shared = tm.vmap(lambda x: layers.dropout(x, 0.5, KEY))(x)
    np.testing.assert_array_equal(shared, [layers.dropout(x[0], 0.5, KEY)] * 4)
    own = tm.vmap(lambda x, key: layers.dropout(x, 0.5, key))(x, keys)
    np.testing.assert_array_equal(own, [layers.dropout(x[0], 0.5, key) for key in keys])
    np.testing.assert_array_equal(tm.vmap(lambda key: layers.dropout(x[0], 0.5, key))(keys), own)
    np.testing.assert_array_equal(tm.vmap(tm.grad(loss))(x, keys), 4 * own)
    np.testing.assert_array_equal(tm.hessian(loss)(x[0], keys[0]), np.diag(4 * own[0]))
    # A mask is the same when it is computed again.
    again = tm.grad(lambda x: tm.checkpoint(loss)(x, keys[0]))(x[0])
    np.testing.assert_array_equal(again, 4 * own[0])


def test_the_key_may_be_on_the_tape() -> None:
    (x, tape) = tm.Tape().leaf(np.ones(9))
    key, tape = tape.leaf(KEY)
    y, tape = layers.dropout(tm.relu(x), 0.5, key).run(tape)
    np.testing.assert_array_equal(tape.value(y), layers.dropout(np.ones(9), 0.5, KEY))
    np.testing.assert_array_equal(tape.backward(y, np.ones(9))[x], tape.value(y))


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1, float("nan"), "half", True])
def test_rates_that_are_none(rate: Any) -> None:
    expected = f"rate is {rate!r}, but must be at least 0 and below 1"

    def drop(x: Any) -> Any:
        return layers.dropout(x, rate, KEY)

    for call in (lambda: drop(np.ones(3)), lambda: tm.eval_shape(drop, np.ones(3)), lambda: Dropout(rate)):
        assert expected in complaint(call, tm.ArgumentError)


def test_dropout_layer() -> None:
    model = Linear(4, 30) >> Dropout(0.5) >> Relu() >> Dropout(0.2)
    params, x = model.init(KEY), values(5, 4, dtype=np.float32)
    np.testing.assert_array_equal(model.apply(params, x), (Linear(4, 30) >> Relu()).apply(params[:2], x))
    keys = tm.random.split(KEY, 4)
    inner = layers.dropout(layers.linear(params[0]["weight"], params[0]["bias"], x), 0.5, keys[1])
    expected = layers.dropout(np.maximum(inner, 0), 0.2, keys[3])
    np.testing.assert_array_equal(model.apply(params, x, key=KEY, train=True), expected)
    assert "Dropout(0.5) draws random numbers in training and needs a key" in complaint(
        lambda: model.apply(params, x, train=True), tm.ArgumentError
    )
    ref, tape = tm.Tape().leaf(x)
    for train, value in ((True, expected), (False, model.apply(params, x))):
        y, longer = model.apply(params, ref, key=KEY, train=train).run(tape)
        np.testing.assert_array_equal(longer.value(y), value)
    alone, longer = Dropout(0.5).apply((), ref).run(tape)
    assert longer.value(alone) is tape.value(ref) or (longer.value(alone) == x).all()


def test_shapes_drawn_from_the_signatures() -> None:
    def within(table: Any, ids: Any) -> Any:
        return table, np.abs(ids) % len(table) if len(table) else ids.reshape(-1)[:0]

    def even(x: Any, *_: Any) -> Any:
        return (np.concatenate([x, 2 * x], axis=-1),)

    tm.testing.check_op(layers.embedding, prepare=within, max_examples=5, seed=0)
    tm.testing.check_op(layers.rotary_embedding, prepare=even, max_examples=5, seed=0, base=10.0)
