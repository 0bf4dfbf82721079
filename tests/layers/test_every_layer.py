"""Every layer object: shapes as promised, dtypes kept, the same through every door and under vmap, pure values.

A public layer without an example fails.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest

import layers
import tapem as tm
from layers import Layer
from tapem.core.tree import leaf_names, tree_flatten, tree_map

KEY = tm.random.key(0)

# Each with the shape of one example, to which a batch axis is added.
EXAMPLES: list[tuple[Layer, tuple[int, ...]]] = [
    (layers.Elu(0.5), (3,)),
    (layers.Gelu("tanh"), (3,)),
    (layers.LeakyRelu(), (3,)),
    (layers.LogSoftmax(), (3,)),
    (layers.Relu(), (2, 3)),
    (layers.Sigmoid(), (3,)),
    (layers.Silu(), (3,)),
    (layers.Softmax(), (2, 3)),
    (layers.Softplus(), (3,)),
    (layers.Tanh(), (3,)),
    (layers.Conv1d(2, 3, 3, padding=1), (2, 5)),
    (layers.Conv2d(2, 4, (3, 2), stride=2, groups=2), (2, 5, 4)),
    (layers.Conv3d(1, 2, 2, bias=False), (1, 3, 2, 2)),
    (layers.ConvTranspose1d(2, 3, 3, stride=2), (2, 4)),
    (layers.ConvTranspose2d(2, 1, 2, output_padding=1, stride=2), (2, 3, 2)),
    (layers.ConvTranspose3d(1, 2, 2), (1, 2, 1, 2)),
    (layers.Flatten(-2), (2, 3)),
    (layers.Linear(3, 2), (3,)),
    (layers.Linear(3, 2, bias=False), (2, 3)),
    (layers.Dropout(0.4), (5,)),
    (layers.Embedding(4, 3), (5,)),
    (layers.Sequential(layers.Linear(3, 4), layers.Tanh(), layers.Dropout(0.2)), (3,)),
    (layers.BatchNorm(2), (2,)),
    (layers.Residual(layers.Conv1d(2, 2, 3, padding="same") >> layers.BatchNorm(2, spatial_axes=1)), (2, 3)),
    (layers.GroupNorm(2, 4), (4, 3)),
    (layers.InstanceNorm(2), (2, 3)),
    (layers.LayerNorm(3), (3,)),
    (layers.RMSNorm(3), (2, 3)),
    (layers.AvgPool1d(2), (2, 5)),
    (layers.AvgPool2d(2, stride=1), (1, 3, 4)),
    (layers.AvgPool3d(2), (1, 2, 2, 4)),
    (layers.GlobalAvgPool(), (2, 3, 4)),
    (layers.MaxPool1d(2), (2, 5)),
    (layers.MaxPool2d(2, padding=1), (1, 3, 4)),
    (layers.MaxPool3d(2), (1, 2, 2, 4)),
    (layers.SmoothMaxPool1d(2), (2, 6)),
    (layers.SmoothMaxPool2d(2, beta=2.0), (1, 4, 4)),
    (layers.SmoothMaxPool3d(2), (1, 2, 2, 2)),
    (layers.SinusoidalPositions(), (3, 4)),
    (layers.Gru(2, 3), (4, 2)),
    (layers.Lstm(2, 3, last_only=True), (4, 2)),
    (layers.Rnn(2, 3, nonlinearity="relu"), (4, 2)),
    (layers.Residual(layers.Residual(layers.Linear(3, 3)) >> layers.Relu()), (3,)),
    (layers.MultiHeadAttention(4, 2, causal=True, bias=True), (3, 4)),
    (layers.TransformerBlock(4, 2, 6, dropout=0.3), (3, 4)),
]
ABSTRACT = {layers.Layer, layers.Activation}
every_layer = pytest.mark.parametrize(("layer", "shape"), [pytest.param(*e, id=repr(e[0])[:60]) for e in EXAMPLES])


def test_every_public_layer_has_an_example() -> None:
    public = {value for value in vars(layers).values() if isinstance(value, type) and issubclass(value, Layer)}
    assert public - ABSTRACT == {type(layer) for layer, _ in EXAMPLES}


def batch_for(layer: Layer, shape: tuple[int, ...], size: int = 4, dtype: Any = np.float32) -> Any:
    rng = np.random.default_rng(0)
    if isinstance(layer, layers.Embedding):
        return rng.integers(0, layer.vocabulary, (size, *shape))
    return rng.normal(size=(size, *shape)).astype(dtype)


def run(layer: Layer, params: Any, x: Any, state: Any, **options: Any) -> tuple[Any, Any]:
    return layer.apply(params, x, state=state, **options)  # type: ignore[return-value]


def assert_same(one: Any, other: Any, rtol: float = 1e-5) -> None:
    for a, b in zip(tree_flatten(one)[0], tree_flatten(other)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)
        assert a.dtype == b.dtype and np.shape(a) == np.shape(b)


@every_layer
def test_shapes_are_as_promised(layer: Layer, shape: tuple[int, ...]) -> None:
    params, state, x = layer.init(KEY, (4, *shape)), layer.init_state(), batch_for(layer, shape)
    y, _ = run(layer, params, x, state)
    assert layer.output_shape(x.shape) == y.shape and y.dtype == np.float32
    promised = layer.output_shape((None, *shape))
    assert promised == (None, *y.shape[1:])
    unknown = layer.output_shape((None,) * x.ndim)
    assert len(unknown) == y.ndim and all(a in (None, b) for a, b in zip(unknown, y.shape, strict=True))
    free = [size for size in layer.output_shape((..., *shape)) if size is not ...]
    assert all(a in (None, b) for a, b in zip(reversed(free), reversed(y.shape), strict=False))
    empty, _ = run(layer, params, x[:0], state)
    assert empty.shape == (0, *y.shape[1:])
    text = io.StringIO()
    layers.summary(layer, (None, *shape), file=text)
    assert f"{layers.count_parameters(params):,}" in text.getvalue().splitlines()[-1]


@every_layer
def test_layers_are_pure_values(layer: Layer, shape: tuple[int, ...]) -> None:
    assert pickle.loads(pickle.dumps(layer)) == layer and hash(pickle.loads(pickle.dumps(layer))) == hash(layer)
    # What is shown is what one would write.
    names = {name: value for name, value in vars(layers).items() if isinstance(value, type)}
    text = repr(layer)
    shown = eval(text, names)
    assert repr(shown) == text and len(text) < 120
    params, state, x = layer.init(KEY), layer.init_state(), batch_for(layer, shape)
    assert_same(params, layer.init(KEY))
    before = [leaf.copy() for leaf in tree_flatten((params, state, x))[0]]
    run(layer, params, x, state, key=KEY, train=True)
    for leaf, copy in zip(tree_flatten((params, state, x))[0], before, strict=True):
        np.testing.assert_array_equal(leaf, copy)
    with pytest.raises(AttributeError):
        layer.key = 3  # type: ignore[attr-defined]


@every_layer
@pytest.mark.parametrize("train", [False, True])
def test_three_doors(layer: Layer, shape: tuple[int, ...], train: bool) -> None:
    params, state, x = layer.init(KEY), layer.init_state(), batch_for(layer, shape)
    options = {"key": KEY, "train": train}
    expected = run(layer, params, x, state, **options)

    def loss(params: Any) -> Any:
        y, after = run(layer, params, x, state, **options)
        return np.sum(y * y), (y, after)

    (_, direct), gradients = tm.value_and_grad(loss, has_aux=True)(params)
    assert_same(direct, expected)

    @tm.do
    def program() -> Any:
        refs = yield tm.traverse(tm.param, params)
        given = yield tm.const(x)
        y, after = yield run(layer, refs, given, state, **options)
        gradients = yield tm.backward_scalar((yield tm.sum(y * y)))
        return y, after, tree_map(lambda ref: gradients[ref], refs)

    (y, after, monadic), tape = program().run()
    values = tree_map(lambda leaf: tape.value(leaf) if isinstance(leaf, tm.Ref) else leaf, (y, after))
    assert_same(values, expected)
    assert_same(gradients, monadic)
    for gradient, leaf in zip(tree_flatten(gradients)[0], tree_flatten(params)[0], strict=True):
        assert gradient.dtype == leaf.dtype and gradient.shape == leaf.shape and np.isfinite(gradient).all()


@every_layer
def test_examples_do_not_depend_on_each_other(layer: Layer, shape: tuple[int, ...]) -> None:
    params, state, x = layer.init(KEY), layer.init_state(), batch_for(layer, shape)
    batch, _ = run(layer, params, x, state)
    each = tm.vmap(lambda x: run(layer, params, x[None], state)[0][0])(x)
    np.testing.assert_allclose(each, batch, rtol=1e-4, atol=1e-5)


@every_layer
def test_ensembles(layer: Layer, shape: tuple[int, ...]) -> None:
    keys, state, x = tm.random.split(KEY, 3), layer.init_state(), batch_for(layer, shape)
    params = tm.vmap(layer.init)(keys)
    assert_same(params, tree_map(lambda *parts: np.stack(parts), *map(layer.init, keys)))

    def evaluate(params: Any, key: Any) -> Any:
        return run(layer, params, x, state, key=key, train=True)[0]

    members = [tree_map(lambda leaf, k=k: leaf[k], params) for k in range(3)]
    each = [evaluate(own, key) for own, key in zip(members, keys, strict=True)]
    np.testing.assert_allclose(tm.vmap(evaluate)(params, keys), each, rtol=1e-4, atol=1e-5)


def other_shapes(shape: tuple[int, ...]) -> set[tuple[int, ...]]:
    """An axis more, an axis less, each size one more, one, and none; the axes the other way round."""
    more = {(1, *shape), (*shape, 1), shape[1:], shape[::-1]}
    for axis in range(len(shape)):
        for size in (shape[axis] + 1, 1, 0):
            more.add((*shape[:axis], size, *shape[axis + 1 :]))
    return more - {shape}


@every_layer
def test_every_leaf_of_another_shape_is_refused_by_name(layer: Layer, shape: tuple[int, ...]) -> None:
    first, x = (layer.init(KEY), layer.init_state()), batch_for(layer, shape)
    names, (leaves, structure) = list(leaf_names(first)), tree_flatten(first)
    for train in (False, True):
        run(layer, *first[:1], x, first[1], key=KEY, train=train)
    for at, (name, leaf) in enumerate(zip(names, leaves, strict=True)):
        what, _, own = name.partition(".")
        for wrong in other_shapes(leaf.shape):
            changed = [*leaves[:at], np.ones(wrong, leaf.dtype), *leaves[at + 1 :]]
            params, state = structure.unflatten(changed)
            source = ("params", "init") if what == "0" else ("state", "init_state")
            told = f"{layer!r}: {source[0]} is not what model.{source[1]} gives: shapes differ\n"
            told += f"  {own}: is {wrong}, but must be {leaf.shape}"
            for call in (
                lambda params=params, state=state: run(layer, params, x, state, key=KEY, train=True),
                lambda params=params, state=state: tm.vjp(lambda p: run(layer, p, x, state, key=KEY)[0], params),
                lambda params=params, state=state: run(layer, tree_map(tm.const, params), x, state, key=KEY).run(),
            ):
                with pytest.raises(tm.ShapeError) as error:
                    call()
                assert str(error.value) == told


@every_layer
def test_leaves_that_are_missing_or_too_many_are_refused(layer: Layer, shape: tuple[int, ...]) -> None:
    params, state, x = layer.init(KEY), layer.init_state(), batch_for(layer, shape)
    for wrong in ({"a": params, "b": 1.0}, (params, 1.0)):
        with pytest.raises(tm.ArgumentError, match=r"params is not what model.init gives: it has the structure"):
            run(layer, wrong, x, state, key=KEY)
    for wrong in ({"a": state, "b": 1.0}, (state, 1.0)):
        with pytest.raises(tm.ArgumentError, match=r"state is not what model.init_state gives: it has the structure"):
            run(layer, params, x, wrong, key=KEY)
