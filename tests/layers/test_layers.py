"""Layer objects: composition and its errors, the three doors, keys, state, initializers, summary."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import stats

import layers
import losses
import tapem as tm
from layers import Flatten, Linear, Relu, Sequential, Sigmoid, Tanh, initializers

KEY = tm.random.key(0)
MLP = Linear(4, 8) >> Relu() >> Linear(8, 3)


def complaint(call: Any, kind: type[Exception]) -> str:
    with pytest.raises(kind) as error:
        call()
    assert isinstance(error.value, tm.TapeError)
    return str(error.value)


# The op ---------------------------------------------------------------------------------------------------------------


def test_linear_says_which_axis_does_not_fit() -> None:
    text = complaint(lambda: layers.linear(np.ones((128, 784)), np.ones(128), np.ones((32, 64))), tm.ShapeError)
    assert "linear(weight, bias, x): axis 'in' is 784 in weight (128, 784) but 64 in x (32, 64)" in text
    # A bias that NumPy would broadcast is refused all the same.
    complaint(lambda: layers.linear(np.ones((3, 2)), np.ones(1), np.ones((4, 2))), tm.ShapeError)
    complaint(lambda: layers.linear(np.ones((3, 2)), np.ones((4, 3)), np.ones((4, 2))), tm.ShapeError)
    complaint(lambda: layers.linear(1.0, 2.0, 3.0), tm.ShapeError)
    assert "Float is required" in complaint(
        lambda: layers.linear(np.ones((3, 2)), np.ones(3), np.ones((4, 2), int)), tm.DTypeError
    )


def test_linear_leaves_its_inputs_alone() -> None:
    weight, bias, x = np.ones((3, 2)), np.ones(3), np.ones((4, 2))
    layers.linear(weight, bias, x)
    assert (weight == 1).all() and (bias == 1).all() and (x == 1).all()


def test_linear_promotes_as_numpy_does() -> None:
    narrow = np.ones((3, 2), np.float32), np.ones(3, np.float32)
    assert layers.linear(*narrow, np.ones((4, 2))).dtype == np.float64
    assert layers.linear(narrow[0], np.ones(3), np.ones((4, 2), np.float32)).dtype == np.float64
    gradient = tm.grad(lambda w: np.sum(layers.linear(w, narrow[1], np.ones((4, 2)))))(narrow[0])
    assert gradient.dtype == np.float32


# Composition ----------------------------------------------------------------------------------------------------------


def test_composition_is_checked_when_it_is_made() -> None:
    assert complaint(lambda: Linear(4, 8) >> Relu() >> Linear(7, 3), tm.ShapeError) == (
        "layer 2, Linear(7, 3), takes (..., 7), but layer 0, Linear(4, 8), gives (..., 8): 8 is not 7"
    )
    assert complaint(lambda: Sequential(Sequential(Linear(4, 8)), Linear(9, 1)), tm.ShapeError) == (
        "layer 1, Linear(9, 1), takes (..., 9), but layer 0, Sequential(Linear(4, 8)), gives (..., 8): 8 is not 9"
    )
    with pytest.raises(TypeError):
        Linear(4, 8) >> (lambda x: x)  # type: ignore[operator]
    assert "was given 3" in complaint(lambda: Sequential(3), tm.ArgumentError)  # type: ignore[arg-type]


def test_composition_is_associative_and_flat() -> None:
    a, b, c = Linear(2, 3), Tanh(), Linear(3, 1)
    assert (a >> b) >> c == a >> (b >> c) == Sequential(a, b, c)
    assert len(a >> b >> c) == 3 and (a >> b >> c)[1] == b
    assert repr(a >> b) == "Sequential(Linear(2, 3), Tanh())"


def test_output_shape() -> None:
    assert MLP.output_shape((32, 4)) == (32, 3)
    assert MLP.output_shape((4,)) == (3,)
    assert MLP.output_shape((None, 7, 4)) == (None, 7, 3)
    assert MLP.output_shape((..., 4)) == (..., 3)
    assert complaint(lambda: MLP.output_shape((32, 5)), tm.ShapeError) == (
        "layer 0, Linear(4, 8), takes (..., 4), but the input has shape (32, 5): 5 is not 4"
    )
    assert "it has 0 axes, not 1 or more" in complaint(lambda: MLP.output_shape(()), tm.ShapeError)
    for wrong in ((-1, 4), (2.0, 4), (True, 4), (4, ...), 4, "4"):
        assert "is not a shape" in complaint(lambda wrong=wrong: MLP.output_shape(wrong), tm.ArgumentError)
    assert Sequential().output_shape((3, 2)) == (3, 2)


def test_flatten() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    for start, shape in [(1, (2, 12)), (0, (24,)), (2, (2, 3, 4)), (-1, (2, 3, 4)), (-2, (2, 12)), (-3, (24,))]:
        layer = Flatten(start)
        assert layer.output_shape((2, 3, 4)) == shape == layer.apply((), x).shape
        np.testing.assert_array_equal(np.ravel(layer.apply((), x)), np.ravel(x))
    assert Flatten().output_shape((None, 8, 8)) == (None, 64)
    assert Flatten().output_shape((5, None, 8)) == (5, None)
    assert Flatten(-2).output_shape((..., 16, 8, 8)) == (..., 16, 64)
    assert Flatten().apply((), np.ones((0, 3, 2))).shape == (0, 6)
    (Flatten() >> Linear(64, 1)).output_shape((None, 8, 8))
    # Widths that are known do not fit: an error when the model is composed.
    complaint(lambda: Linear(3, 4) >> Flatten(-1) >> Linear(5, 1), tm.ShapeError)
    assert "needs at least 3 axes" in complaint(lambda: Flatten(-3).output_shape((2, 2)), tm.ShapeError)


def test_bad_sizes() -> None:
    assert complaint(lambda: Linear(0, 3), tm.ArgumentError) == (
        "Linear: in_features is 0, but must be an integer of at least 1."
    )
    assert "out_features is 2.5" in complaint(lambda: Linear(2, 2.5), tm.ArgumentError)  # type: ignore[arg-type]


# init and apply -------------------------------------------------------------------------------------------------------


def test_init() -> None:
    params = MLP.init(KEY)
    assert [{k: v.shape for k, v in p.items()} if p else p for p in params] == [
        {"weight": (8, 4), "bias": (8,)},
        (),
        {"weight": (3, 8), "bias": (3,)},
    ]
    assert all(leaf.dtype == np.float32 for leaf in tm.tree_flatten(params)[0])
    again = MLP.init(tm.random.key(0))
    np.testing.assert_array_equal(params[0]["weight"], again[0]["weight"])
    assert not np.array_equal(params[0]["weight"], MLP.init(tm.random.key(1))[0]["weight"])
    twins = (Linear(4, 4) >> Linear(4, 4)).init(KEY)
    assert not np.array_equal(twins[0]["weight"], twins[1]["weight"])
    complaint(lambda: MLP.init(KEY, (32, 5)), tm.ShapeError)
    assert Linear(2, 2, dtype=np.float64).init(KEY)["weight"].dtype == np.float64
    assert (Linear(2, 2, weight=initializers.ones, bias=initializers.ones).init(KEY)["bias"] == 1).all()


def test_a_linear_layer_without_bias() -> None:
    layer, x = Linear(3, 2, bias=False), np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    params = layer.init(KEY)
    assert repr(layer) == "Linear(3, 2, bias=False)" and list(params) == ["weight"]
    np.testing.assert_allclose(layer.apply(params, x), x @ params["weight"].T, rtol=1e-6)


def test_layers_are_immutable_values() -> None:
    with pytest.raises(AttributeError):
        MLP.layers = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Linear(2, 3).in_features = 5  # type: ignore[misc]
    assert Linear(2, 3) == Linear(2, 3) != Linear(3, 2) and hash(MLP) == hash(Linear(4, 8) >> Relu() >> Linear(8, 3))
    assert pickle.loads(pickle.dumps(MLP)) == MLP


def by_hand(params: Any, x: Any) -> Any:
    hidden = np.maximum(x @ params[0]["weight"].T + params[0]["bias"], 0)
    return hidden @ params[2]["weight"].T + params[2]["bias"]


def test_three_doors_give_the_same() -> None:
    model = Linear(4, 8, dtype=np.float64) >> Relu() >> Linear(8, 3, dtype=np.float64)
    params, x, labels = model.init(KEY), np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 1, 2, 0, 1])
    np.testing.assert_allclose(model.apply(params, x), by_hand(params, x), rtol=1e-13)

    def loss(params: Any) -> Any:
        return losses.cross_entropy(model.apply(params, x), labels)

    value, direct = tm.value_and_grad(loss)(params)

    @tm.do
    def program() -> Any:
        refs = yield tm.traverse(tm.param, params)
        logits = yield model.apply(refs, x)
        out = yield losses.cross_entropy(logits, labels)
        gradients = yield tm.backward_scalar(out)
        return out, tm.tree_map(lambda ref: gradients[ref], refs)

    (out, monadic), tape = program().run()
    assert float(tape.value(out)) == float(value)
    assert [node.op.name for node in tape][-4:] == ["linear", "relu", "linear", "cross_entropy"]
    for a, b in zip(tm.tree_flatten(direct)[0], tm.tree_flatten(monadic)[0], strict=True):
        np.testing.assert_array_equal(a, b)

    # The pure door: the step is run on a tape by hand, and x may be a Ref, or a step that is not yet taken.
    ref, tape = tm.Tape().leaf(x)
    for given in (ref, ref + 0.0):
        step = model.apply(params, given)
        assert isinstance(step, tm.TapeM)
        y, longer = step.run(tape)
        np.testing.assert_allclose(longer.value(y), by_hand(params, x), rtol=1e-13)


def test_per_example_gradients() -> None:
    params, x = MLP.init(KEY), np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    labels = np.array([0, 1, 2, 0, 1])

    def loss(params: Any, x: Any, label: Any) -> Any:
        return losses.cross_entropy(MLP.apply(params, x), label)

    mapped = tm.vmap(tm.grad(loss), in_axes=(None, 0, 0))(params, x, labels)
    for k in range(5):
        one = tm.grad(loss)(params, x[k], labels[k])
        for a, b in zip(tm.tree_flatten(mapped)[0], tm.tree_flatten(one)[0], strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-5, atol=1e-7)


def test_wrong_params() -> None:
    first, none, last = MLP.init(KEY)
    x = np.ones((1, 4), np.float32)
    assert complaint(lambda: MLP.apply((first, none), x), tm.ArgumentError) == (
        f"{MLP!r}: params is not what model.init gives: it has the structure ({{'bias': *, 'weight': *}}, ()), not "
        "({'bias': *, 'weight': *}, (), {'bias': *, 'weight': *})."
    )
    assert "has 2 layers, but params has 1 parts" in complaint(
        lambda: (Linear(4, 8) >> Relu()).apply((first,), x), tm.ArgumentError
    )
    # What cannot be mistaken is taken: a list for a tuple, another kind of dict.
    np.testing.assert_array_equal(MLP.apply([OrderedDict(first), [], last], x), MLP.apply((first, none, last), x))
    assert complaint(lambda: MLP.apply((first, none, {**last, "scale": 1.0}), x), tm.ArgumentError).startswith(
        f"{MLP!r}: params is not what model.init gives: it has the structure "
    )


@pytest.mark.parametrize(
    ("layer", "op"),
    [
        (Relu(), tm.relu),
        (Tanh(), tm.tanh),
        (Sigmoid(), tm.sigmoid),
        (layers.Silu(), tm.silu),
        (layers.Softplus(), tm.softplus),
        (layers.Gelu(), tm.gelu),
        (layers.Gelu("tanh"), lambda x: tm.gelu(x, "tanh")),
        (layers.Elu(0.5), lambda x: tm.elu(x, 0.5)),
        (layers.LeakyRelu(0.2), lambda x: tm.leaky_relu(x, 0.2)),
        (layers.Softmax(0), lambda x: tm.softmax(x, 0)),
        (layers.Softmax(), tm.softmax),
        (layers.LogSoftmax(-2), lambda x: tm.log_softmax(x, -2)),
    ],
)
def test_activations(layer: Any, op: Any) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2))
    assert layer.init(KEY, (3, 2)) == () and layer.output_shape((3, 2)) == (3, 2)
    np.testing.assert_array_equal(layer.apply((), x), op(x))


def test_activations_check_their_arguments_when_they_are_made() -> None:
    assert "alpha must be a finite number, not 'x'" in complaint(lambda: layers.Elu("x"), tm.ArgumentError)  # type: ignore[arg-type]
    assert "negative_slope must be" in complaint(lambda: layers.LeakyRelu(float("inf")), tm.ArgumentError)
    assert "approximate" in complaint(lambda: layers.Gelu("erf"), tm.ArgumentError)
    assert complaint(lambda: layers.Softmax(0.5), tm.ArgumentError) == (  # type: ignore[arg-type]
        "Softmax: axis is 0.5, but must be an integer."
    )
    assert complaint(lambda: layers.Softmax(2).output_shape((4, 3)), tm.ShapeError) == (
        "Softmax(axis=2) takes (..., ?, ?, ?), not (4, 3): it has 2 axes, not 3 or more."
    )


# Layers with state, and layers that draw ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Center(layers.Layer):
    """Subtracts the mean of the batch in training, a running mean otherwise."""

    size: int

    def init_state(self) -> Any:
        return {"mean": np.zeros(self.size)}

    def step(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        if not train:
            return x - state["mean"], state
        mean = np.mean(x, axis=0)
        return x - mean, {"mean": 0.5 * state["mean"] + 0.5 * tm.detach(mean)}


@dataclass(frozen=True)
class Noise(layers.Layer):
    """Adds noise in training."""

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return x + tm.random.normal(key, x.shape) if train else x


def test_state_is_returned_and_never_changed() -> None:
    model = Linear(2, 2, dtype=np.float64) >> Center(2) >> Relu()
    params, state, x = model.init(KEY), model.init_state(), np.array([[1.0, 2.0], [3.0, 5.0]])
    assert model.has_state and not MLP.has_state
    y, after = model.apply(params, x, train=True, state=state)
    inner = layers.linear(params[0]["weight"], params[0]["bias"], x)
    np.testing.assert_allclose(y, np.maximum(inner - inner.mean(axis=0), 0))
    np.testing.assert_allclose(after[1]["mean"], 0.5 * inner.mean(axis=0))
    np.testing.assert_array_equal(state[1]["mean"], 0)
    y, same = model.apply(params, x, state=after)
    np.testing.assert_allclose(y, np.maximum(inner - after[1]["mean"], 0))
    assert same == after
    assert "has state: start from model.init_state()" in complaint(lambda: model.apply(params, x), tm.ArgumentError)

    def loss(params: Any, state: Any) -> Any:
        y, state = model.apply(params, x, train=True, state=state)
        return np.sum(y**2), state

    (_, new), gradient = tm.value_and_grad(loss, has_aux=True)(params, state)
    np.testing.assert_allclose(new[1]["mean"], after[1]["mean"])
    assert gradient[0]["weight"].shape == (2, 2)

    # The monadic door returns the state as well.
    ref, tape = tm.Tape().leaf(x)
    (out, kept), tape = model.apply(params, ref, train=True, state=state).run(tape)
    np.testing.assert_allclose(kept[1]["mean"], after[1]["mean"])
    assert tape.value(out).shape == (2, 2)


def test_every_layer_has_a_key_of_its_own() -> None:
    model, x = Noise() >> Noise(), np.zeros(3)
    params = model.init(KEY)
    np.testing.assert_array_equal(model.apply(params, x), x)
    first, second = tm.random.split(KEY)
    expected = tm.random.normal(first, 3) + tm.random.normal(second, 3)
    np.testing.assert_array_equal(model.apply(params, x, key=KEY, train=True), expected)


# Initializers and summary ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (initializers.glorot_uniform, 2 / (300 + 200)),
        (initializers.glorot_normal, 2 / (300 + 200)),
        (initializers.he_uniform, 2 / 300),
        (initializers.he_normal, 2 / 300),
        (initializers.lecun_normal, 1 / 300),
        (initializers.uniform, 0.05**2 / 3),
        (initializers.normal, 0.05**2),
        (initializers.zeros, 0.0),
    ],
)
def test_initializers(initializer: Any, variance: float) -> None:
    # Dense, and as kernels of one and of two axes: all have 300 inputs for each output.
    for shape in [(200, 300), (200, 100, 3), (200, 30, 2, 5)]:
        drawn = initializer(KEY, shape, np.float64)
        assert drawn.dtype == np.float64 and drawn.shape == shape
        if variance == 2 / (300 + 200):
            expected = 2 / sum(initializers.fans(shape))
        else:
            expected = variance
        assert drawn.var() == pytest.approx(expected, rel=0.02) and abs(drawn.mean()) < 2e-3
        if expected:
            even = "uniform" in initializer.__name__
            bounds = (-np.sqrt(3 * expected), 2 * np.sqrt(3 * expected))
            law = stats.uniform(*bounds) if even else stats.norm(0, np.sqrt(expected))
            assert stats.kstest(drawn.ravel(), law.cdf).pvalue > 1e-3
    assert initializer(KEY, (3, 2)).dtype == np.float32


def test_fans() -> None:
    assert initializers.fans((200, 300)) == (300, 200)
    assert initializers.fans((200, 100, 3)) == (300, 600) and initializers.fans((200, 30, 2, 5)) == (300, 2000)
    assert initializers.fans((16, 8, 5, 5)) == (200, 400) and initializers.fans((0, 3)) == (3, 1)
    assert "it needs the axes (out, in, ...)" in complaint(lambda: initializers.he_normal(KEY, (3,)), tm.ArgumentError)
    assert (initializers.ones(KEY, (2,)) == 1).all()


def test_summary(capsys: Any) -> None:
    model = Sequential(Flatten(), Sequential(Linear(64, 1000), Tanh()), Linear(1000, 10))
    layers.summary(model, (None, 8, 8))
    assert capsys.readouterr().out == (
        "layer             output shape  parameters\n"
        "Flatten(start=1)  (?, 64)                0\n"
        "Linear(64, 1000)  (?, 1000)         65,000\n"
        "Tanh()            (?, 1000)              0\n"
        "Linear(1000, 10)  (?, 10)           10,010\n"
        "total                               75,010\n"
    )
    text = io.StringIO()
    layers.summary(Relu(), (3,), file=text)
    assert "Relu()  (3,)                   0\n" in text.getvalue()
    complaint(lambda: layers.summary(model, (None, 8, 9)), tm.ShapeError)
    assert layers.count_parameters(model.init(KEY)) == 75_010
