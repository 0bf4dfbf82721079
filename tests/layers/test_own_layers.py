"""Layers that a user writes, in every way that there is: they compose, run through all doors, and are checked."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import layers
import losses
import tapem as tm
from layers import Conv1d, Layer, Linear, Relu, Residual, Sequential
from tapem.core.tree import tree_flatten, tree_map

KEY = tm.random.key(0)


@dataclass(frozen=True)
class Applied(Layer):
    """The three that are called from outside, written as simply as can be."""

    size: int

    def init(self, key: Any) -> Any:  # type: ignore[override]
        return {"scale": tm.random.uniform(key, (self.size,), dtype=np.float32)}

    def apply(self, params: Any, x: Any) -> Any:  # type: ignore[override]
        return np.tanh(x * params["scale"])

    def output_shape(self, input_shape: Any) -> Any:
        if input_shape[-1] != self.size:
            raise tm.ShapeError(f"{self} takes (..., {self.size}), not {input_shape}")
        return (*input_shape[:-1], self.size)


@dataclass(frozen=True)
class Forwarded(Layer):
    """The same, with `forward`, as the layers of the library."""

    size: int

    @property
    def takes(self) -> Any:
        return (..., self.size)

    def init(self, key: Any, input_shape: Any = None) -> Any:
        super().init(key, input_shape)
        return {"scale": tm.random.uniform(key, (self.size,), dtype=np.float32)}

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return np.tanh(x * params["scale"])


class Plain(Layer):
    """No dataclass, and all options of `apply`, by position too."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __repr__(self) -> str:
        return f"Plain({self.size})"

    def init(self, key: Any, input_shape: Any = None) -> Any:
        return {"scale": tm.random.uniform(key, (self.size,), dtype=np.float32)}

    def apply(self, params: Any, x: Any, key: Any = None, train: bool = False, gain: float = 1.0) -> Any:  # type: ignore[override]
        return gain * np.tanh(x * params["scale"])


@dataclass(frozen=True)
class Derived(Linear):
    """A layer of the library, changed by its `apply`."""

    def apply(self, params: Any, x: Any, **options: Any) -> Any:  # type: ignore[override]
        return np.tanh(super().apply(params, x, **options))


@dataclass(frozen=True)
class Lists(Layer):
    """A layer that cannot be hashed."""

    sizes: list[int]

    def init(self, key: Any, input_shape: Any = None) -> Any:
        return [np.ones(size, np.float32) for size in self.sizes]

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return np.tanh(x * params[0] + params[-1])


@dataclass(frozen=True)
class Counts(Layer):
    """A layer with state, and an `apply` of its own."""

    def init_state(self) -> Any:
        return {"calls": np.float32(0)}

    def apply(self, params: Any, x: Any, *, train: bool = False, state: Any = None) -> Any:  # type: ignore[override]
        return np.tanh(x), {"calls": state["calls"] + np.float32(train)}


OWN: list[Layer] = [Applied(3), Forwarded(3), Plain(3), Derived(3, 3), Lists([3, 3]), Counts()]
own_layers = pytest.mark.parametrize("layer", OWN, ids=lambda layer: type(layer).__name__)  # as all processes say
X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def plain_value(layer: Layer, params: Any, x: Any) -> Any:
    """What the layer computes, in NumPy."""
    if isinstance(layer, Derived):
        return np.tanh(x @ params["weight"].T + params["bias"])
    if isinstance(layer, Lists):
        return np.tanh(x * params[0] + params[1])
    return np.tanh(x) if isinstance(layer, Counts) else np.tanh(x * params["scale"])


def models(layer: Layer) -> list[tuple[Layer, Callable[[Any, Any], Any]]]:
    """Every way to compose the layer, with what comes out."""

    def own(params: Any, x: Any) -> Any:
        return plain_value(layer, params, x)

    def last(params: Any, x: Any) -> Any:
        return x @ params["weight"].T + params["bias"]

    return [
        (layer, own),
        (layer >> Linear(3, 2), lambda p, x: last(p[1], own(p[0], x))),
        (Linear(5, 3) >> layer, lambda p, x: own(p[1], last(p[0], x))),
        (Sequential(layer), lambda p, x: own(p[0], x)),
        (Residual(layer), lambda p, x: x + own(p, x)),
        (Residual(layer >> Relu()) >> layer, lambda p, x: own(p[1], x + np.maximum(own(p[0][0], x), 0))),
    ]


def input_for(model: Layer) -> Any:
    wide = isinstance(model, Sequential) and model.layers[0] == Linear(5, 3)
    return np.random.default_rng(1).normal(size=(4, 5 if wide else 3)).astype(np.float32)


@own_layers
@pytest.mark.parametrize("way", range(6))
def test_it_composes_and_goes_through_every_door(layer: Layer, way: int) -> None:
    model, judge = models(layer)[way]
    params, state, x = model.init(KEY), model.init_state(), input_for(model)
    options: dict[str, Any] = {"state": state} if model.has_state else {}
    expected = judge(params, x)

    def value(params: Any, x: Any, **more: Any) -> Any:
        found = model.apply(params, x, **options, **more)
        return found[0] if model.has_state else found

    np.testing.assert_allclose(value(params, x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(value(params, x, key=KEY, train=True), expected, rtol=1e-5, atol=1e-6)
    assert model.output_shape(x.shape) == expected.shape
    np.testing.assert_allclose(tm.vmap(lambda x: value(params, x))(x), expected, rtol=1e-5, atol=1e-6)

    # The gradient, against differences of what NumPy computes.
    gradients = tm.grad(lambda p: np.sum(value(p, x)))(params)
    direction = tree_map(lambda leaf: np.random.default_rng(2).normal(size=leaf.shape).astype(leaf.dtype), params)
    moved = [tree_map(lambda p, d, s=s: (p + s * d).astype(np.float64), params, direction) for s in (0.01, -0.01)]
    slope = (np.sum(judge(moved[0], x)) - np.sum(judge(moved[1], x))) / 0.02
    pairs = zip(tree_flatten(gradients)[0], tree_flatten(direction)[0], strict=True)
    assert sum(float(np.sum(g * d)) for g, d in pairs) == pytest.approx(slope, rel=2e-2, abs=1e-3)

    @tm.do
    def program() -> Any:
        refs = yield tm.traverse(tm.param, params)
        given = yield tm.const(x)
        found = yield model.apply(refs, given, **options)
        y = found[0] if model.has_state else found
        swept = yield tm.backward_scalar((yield tm.sum(y)))
        return y, tree_map(lambda ref: swept[ref], refs)

    (y, swept), tape = program().run()
    np.testing.assert_allclose(tape.value(y), expected, rtol=1e-5, atol=1e-6)
    for a, b in zip(tree_flatten(gradients)[0], tree_flatten(swept)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    text = io.StringIO()
    layers.summary(model, (None, x.shape[1]), file=text)
    assert f"{layers.count_parameters(params):,}" in text.getvalue().splitlines()[-1]
    if not isinstance(layer, Plain):  # which is like no other
        assert pickle.loads(pickle.dumps(model)) == copy.deepcopy(model) == model


@own_layers
@pytest.mark.parametrize("way", range(6))
def test_its_parameters_and_state_are_checked(layer: Layer, way: int) -> None:
    model = models(layer)[way][0]
    params, state, x = model.init(KEY), model.init_state(), input_for(model)
    options: dict[str, Any] = {"state": state} if model.has_state else {}
    leaves, structure = tree_flatten(params)
    for at, leaf in enumerate(leaves):
        wrong = structure.unflatten([*leaves[:at], np.ones((*leaf.shape, 1), leaf.dtype), *leaves[at + 1 :]])
        with pytest.raises(tm.ShapeError, match=r"params is not what model.init gives: shapes differ"):
            model.apply(wrong, x, **options)
    with pytest.raises(tm.ArgumentError, match=r"params is not what model.init gives: it has the structure"):
        model.apply({"other": np.ones(3)}, x, **options)
    if model.has_state:
        wrong = tree_map(lambda leaf: np.ones((2,), np.float32), state)
        with pytest.raises(tm.ShapeError, match=r"state is not what model.init_state gives: shapes differ"):
            model.apply(params, x, state=wrong)
        with pytest.raises(tm.ArgumentError, match=r"has state: start from"):
            model.apply(params, x)


@own_layers
def test_it_is_trained(layer: Layer) -> None:
    result = tm.fit(
        layer >> Linear(3, 1),
        losses.mse,
        tm.optim.adam(0.05),
        (X, X[:, :1]),
        key=KEY,
        epochs=20,
        batch=2,
        progress=False,
    )
    assert result.history["loss"][-1] < 0.5 * result.history["loss"][0]
    if isinstance(layer, Counts):
        assert result.model_state[0]["calls"] == 40


def test_the_state_of_a_part_is_threaded_through() -> None:
    model = Linear(3, 3) >> Residual(Counts()) >> Counts()
    params, state = model.init(KEY), model.init_state()
    for step in range(1, 4):
        _, state = model.apply(params, X, state=state, train=True)
        assert [float(part["calls"]) for part in state[1:]] == [step, step]


def test_shapes_are_checked_when_layers_are_composed() -> None:
    for wrong in (
        lambda: Linear(3, 4) >> Applied(3),
        lambda: Linear(3, 3) >> Applied(3) >> Linear(4, 3),
        lambda: (Applied(3) >> Linear(4, 3)).output_shape((2, 3)),
        lambda: Residual(Linear(3, 4) >> Applied(3)),
        lambda: Linear(3, 4) >> Derived(3, 3),
        lambda: (Applied(3) >> Relu()).output_shape((2, 4)),
    ):
        with pytest.raises(tm.ShapeError, match=r"takes \(..., [34]"):
            wrong()


@dataclass(frozen=True)
class OfImages(Layer):
    """It knows only shapes of which it knows all."""

    def output_shape(self, input_shape: Any) -> Any:
        batch, channels, height, width = input_shape
        return (batch, channels, height // 2, width // 2)

    def apply(self, params: Any, x: Any) -> Any:  # type: ignore[override]
        return x[:, :, ::2, ::2][:, :, : x.shape[2] // 2, : x.shape[3] // 2]


@dataclass(frozen=True)
class Strict(Layer):
    """It refuses whatever has not two axes, and gives another last one."""

    def output_shape(self, input_shape: Any) -> Any:
        if len(input_shape) != 2:
            raise ValueError("two axes!")
        return [input_shape[0], 7]

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return np.concatenate([x, x], axis=-1)[:, :7]


@dataclass(frozen=True)
class Wide(Layer):
    """It gives another last axis, whatever the others are."""

    def output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], 2 * 4)

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return np.concatenate([x, x], axis=-1)


def test_an_output_shape_need_not_know_patterns() -> None:
    images = layers.Conv2d(1, 2, 3) >> OfImages() >> OfImages() >> layers.Flatten() >> Linear(2, 3)
    x = np.ones((5, 1, 8, 8), np.float32)
    assert images.apply(images.init(KEY), x).shape == images.output_shape(x.shape) == (5, 3)
    assert images.output_shape((5, 1, None, None)) == (None, 3)
    assert (Strict() >> Linear(7, 2)).output_shape((5, 4)) == (5, 2)
    assert (Relu() >> Strict() >> Linear(7, 2)).output_shape((5, 4)) == (5, 2)
    with pytest.raises(ValueError, match="two axes!"):
        (Relu() >> Strict()).output_shape((5, 4, 3))
    # What it does to a shape of which nothing is known keeps the axes in front.
    signals = Wide() >> Conv1d(2, 3, 3)
    assert signals.output_shape((5, 2, 4)) == (5, 3, 6) and Wide().output_shape((...,)) == (..., 8)
    with pytest.raises(tm.ShapeError, match="8 is not 7"):
        Wide() >> Linear(7, 3)


@pytest.mark.parametrize("result", [None, 3, "a"])
def test_an_output_shape_that_is_none(result: Any) -> None:
    class Odd(Layer):
        def output_shape(self, input_shape: Any) -> Any:
            return result

        def __repr__(self) -> str:
            return "Odd()"

    with pytest.raises(
        tm.ArgumentError, match=rf"Odd\(\): output_shape must return a tuple of sizes, but returned {result!r}"
    ):
        (Relu() >> Odd()).output_shape((2, 3))


@pytest.mark.parametrize("name", ["forward", "step", "apply"])
def test_a_forgotten_return_is_named(name: str) -> None:
    def forgets(self: Any, params: Any, *rest: Any, **options: Any) -> None:
        pass

    layer = type("Forgetful", (Layer,), {name: forgets, "__repr__": lambda self: "Forgetful()"})()
    for model in (layer, Relu() >> layer >> Relu(), Residual(layer)):
        with pytest.raises(tm.ArgumentError, match=r"Forgetful\(\) .*returned None"):
            model.apply(model.init(KEY), X)


def test_a_state_that_is_not_given_back_is_named() -> None:
    class Silent(Counts):
        def step(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
            return x

        apply = Layer.apply

        def __repr__(self) -> str:
            return "Silent()"

    for model in (Silent(), Relu() >> Silent()):
        with pytest.raises(tm.ArgumentError, match=r"Silent\(\) must return \(value, new state\), but returned"):
            model.apply(model.init(KEY), X, state=model.init_state())


class Lazy(Layer):
    """Its parameters depend on its input, and can be drawn only once that is known."""

    draws = 0

    def init(self, key: Any, input_shape: Any) -> Any:  # type: ignore[override]
        type(self).draws += 1
        return {"scale": np.ones(input_shape[-1], np.float32)}

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return x * params["scale"]


def test_an_init_may_need_the_shape_of_the_input() -> None:
    layer = Lazy()
    for size in (3, 5):
        x = np.ones((2, size), np.float32)
        params = layer.init(KEY, x.shape)
        np.testing.assert_array_equal(layer.apply(params, x), x)
        drawn = Lazy.draws
        for _ in range(3):
            layer.apply(params, x)
        assert Lazy.draws == drawn
    with pytest.raises(tm.ShapeError, match=r"scale: is \(5,\), but must be \(3,\)"):
        layer.apply({"scale": np.ones(5)}, X)
    text = io.StringIO()
    layers.summary(layer, (None, 3), file=text)
    assert text.getvalue().split()[-1] == "3"


def test_what_init_gives_is_drawn_once() -> None:
    draws: list[Any] = []

    def drawing(key: Any, shape: Any, dtype: Any = np.float32) -> Any:
        draws.append(shape)
        return np.zeros(shape, dtype)

    params = Linear(3, 2).init(KEY)
    for _ in range(3):  # made anew, as in a function that makes its layers itself
        Linear(3, 2, weight=drawing).apply(params, X)
    assert draws == [(2, 3)]
    layer = Lists([3, 3])
    first = layer.init(KEY)
    layer.apply(first, X)
    beginnings = layer.beginnings
    layer.apply(first, X)
    assert layer.beginnings is beginnings


def test_what_init_gives_is_not_drawn_where_its_shapes_tell() -> None:
    small = {"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)}
    vast = Linear(10**7, 10**6)  # 40 TB of weights
    with pytest.raises(tm.ShapeError, match=r"weight: is \(2, 3\), but must be \(1000000, 10000000\)"):
        vast.apply(small, np.ones(10**7, np.float32))


def test_nobody_sees_that_init_is_asked(capsys: Any) -> None:
    layer = Linear(11, 2)
    params = {"weight": np.ones((2, 11), np.float32), "bias": np.zeros(2, np.float32)}
    x = np.ones(11, np.float32)
    tm.debug(lambda x: layer.apply(params, x))(x)
    seen = capsys.readouterr().out
    assert seen.startswith("%1 f32[2] = linear(") and len(seen.splitlines()) == 2
    layer = Linear(11, 2)
    _, tape = tm.lift(lambda x: layer.apply(params, x))(tm.leaf(x)).run()
    assert [node.op.name for node in tape if node.op is not None] == ["leaf", "linear"]


class Foreign(Layer):
    """It draws with NumPy, which takes no tracer for a key."""

    def init(self, key: Any, input_shape: Any = None) -> Any:
        return {"scale": np.random.default_rng(key).normal(size=3), "shift": float(int(key[0]) % 2)}

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return x * params["scale"] + params["shift"]


def test_an_init_may_draw_with_numpy() -> None:
    params = Foreign().init(KEY)
    for run in (lambda f: f(params), lambda f: tm.grad(lambda p: np.sum(f(p)))(params)):
        run(lambda p: (Foreign() >> Relu()).apply((p, ()), X))
    with pytest.raises(tm.ShapeError, match=r"scale: is \(4,\), but must be \(3,\)"):
        Foreign().apply({"scale": np.ones(4), "shift": 0.0}, X)


def test_nobody_is_refused_on_account_of_an_equal_layer() -> None:
    class Hidden(Linear):
        def __init__(self, size: int, more: int) -> None:
            super().__init__(size, size)
            object.__setattr__(self, "more", more)

        def init(self, key: Any, input_shape: Any = None) -> Any:
            return {"weight": np.ones((self.more, 3), np.float32), "bias": np.zeros(self.more, np.float32)}

    for more in (2, 4):
        layer = Hidden(3, more)
        assert layer.apply(layer.init(KEY), X).shape == (4, more)
        with pytest.raises(tm.ShapeError, match=rf"weight: is \(9, 3\), but must be \({more}, 3\)"):
            layer.apply({"weight": np.ones((9, 3)), "bias": np.ones(9)}, X)


def test_arguments_by_position() -> None:
    layer = Plain(3)
    params = layer.init(KEY)
    np.testing.assert_allclose(layer.apply(params, X, None, False, 2.0), 2 * layer.apply(params, X))
    np.testing.assert_allclose(layer.apply(params, X, gain=3.0), 3 * layer.apply(params, X))
