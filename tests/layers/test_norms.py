"""Normalizations beyond the table: numbers that are hard, errors, layer objects, running statistics, and PyTorch."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import layers
import losses
import tapem as tm
from layers import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Linear, Relu, Residual, RMSNorm, Sequential

KEY = tm.random.key(0)


def values(*shape: int, seed: int = 0, dtype: Any = np.float64) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def complaint(call: Callable[[], Any], error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def standard(x: Any, axes: Any, eps: float = 1e-6) -> Any:
    x = x.astype(np.float64)
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


# op(x, gamma, beta), and the axes of its statistics, for x of shape (4, 6, 5).
OPS: list[tuple[Any, Any]] = [
    (lambda x: layers.layer_norm(x, np.ones(5, x.dtype), np.zeros(5, x.dtype)), (-1,)),
    (lambda x: layers.group_norm(x, np.ones(6, x.dtype), np.zeros(6, x.dtype), 1), (1, 2)),
    (lambda x: layers.instance_norm(x, np.ones(6, x.dtype), np.zeros(6, x.dtype)), (2,)),
    (lambda x: layers.batch_norm(x, np.ones(6, x.dtype), np.zeros(6, x.dtype)), (0, 2)),
    (lambda x: layers.batch_norm(x, np.ones(5, x.dtype), np.zeros(5, x.dtype), spatial_axes=0), (0, 1)),
]


# Numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "axes"), OPS)
@pytest.mark.parametrize("offset", [0.0, 1e4, -1e6])
def test_float32_far_from_zero(op: Any, axes: Any, offset: float) -> None:
    x = values(4, 6, 5, dtype=np.float32) + np.float32(offset)
    y = op(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, standard(x, axes), rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize(("op", "axes"), OPS)
@pytest.mark.parametrize("level", [0.0, 0.1, 12345.678])
def test_equal_elements(op: Any, axes: Any, level: float) -> None:
    x = np.full((4, 6, 5), level, np.float32)
    np.testing.assert_allclose(op(x), 0, atol=1e-6)
    weights = values(4, 6, 5, dtype=np.float32)
    gradient = tm.grad(lambda x: np.sum(op(x) * weights))(x)
    expected = (weights - weights.mean(axis=axes, keepdims=True)) * 1e3
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(("op", "axes"), OPS)
def test_float16_is_computed_in_float32(op: Any, axes: Any) -> None:
    x = (values(4, 6, 5) * 2000 + 3000).astype(np.float16)  # whose squares overflow in float16
    y, pullback = tm.vjp(op, x)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, standard(x, axes), rtol=2e-3, atol=2e-3)
    (gradient,) = pullback(values(4, 6, 5).astype(np.float16))
    assert gradient.dtype == np.float16 and np.isfinite(gradient).all()


def test_dtypes() -> None:
    x, one = values(3, 2, dtype=np.float32), np.ones(2, np.float32)
    assert layers.layer_norm(x, one, one).dtype == np.float32
    assert layers.layer_norm(x, one.astype(np.float64), one).dtype == np.float64
    y, mean, variance = layers.batch_norm_training(x, one, one)
    assert {y.dtype, mean.dtype, variance.dtype} == {np.dtype(np.float32)}
    half = layers.batch_norm_inference(x.astype(np.float16), *(one.astype(np.float16),) * 2, one, one)
    assert half.dtype == np.float16  # whatever the dtype of the running statistics
    gradients = tm.grad(lambda *a: np.sum(layers.layer_norm(*a) ** 2), (0, 1, 2))(x, one.astype(np.float64), one)
    assert [g.dtype for g in gradients] == [np.float32, np.float64, np.float32]


def test_nothing_given_is_changed() -> None:
    x, gamma, beta, g = values(3, 4), values(4, seed=1), values(4, seed=2), values(3, 4, seed=3)
    for array in (x, gamma, beta, g):
        array.flags.writeable = False
    y, pullback = tm.vjp(layers.layer_norm, x, gamma, beta)
    first, second = pullback(g), pullback(g)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(y, layers.layer_norm(x, gamma, beta))


def test_one_op_is_another() -> None:
    x, gamma, beta = values(3, 4), values(4, seed=1), values(4, seed=2)
    whole = layers.group_norm(x, gamma, beta, 1)
    np.testing.assert_allclose(layers.layer_norm(x, gamma, beta), whole, rtol=1e-12)
    x = values(3, 4, 2, 5)
    np.testing.assert_allclose(layers.instance_norm(x, gamma, beta), layers.group_norm(x, gamma, beta, 4), rtol=1e-12)
    np.testing.assert_array_equal(layers.batch_norm(x, gamma, beta), layers.batch_norm(x, gamma, beta, spatial_axes=2))
    y, mean, variance = layers.batch_norm_training(x, gamma, beta)
    np.testing.assert_array_equal(y, layers.batch_norm(x, gamma, beta))
    np.testing.assert_allclose(y, layers.batch_norm_inference(x, gamma, beta, mean, variance), rtol=1e-10, atol=1e-12)


def test_statistics_by_themselves() -> None:
    """The statistics of the batch are results like any other: differentiable, mapped, and Refs in the monadic door."""
    x, gamma, beta = values(4, 3), np.ones(3), np.zeros(3)
    gradient = tm.grad(lambda x: np.sum(layers.batch_norm_training(x, gamma, beta)[2]))(x)
    np.testing.assert_allclose(gradient, 2 * (x - x.mean(axis=0)) / 4)
    ref, tape = tm.Tape().leaf(x)
    (_, mean, variance), tape = layers.batch_norm_training(ref, gamma, beta).run(tape)
    np.testing.assert_allclose(tape.value(mean), x.mean(axis=0))
    np.testing.assert_allclose(tape.value(variance), x.var(axis=0))


def test_per_example_gradients() -> None:
    x, gamma, beta = values(3, 4, 2), values(2, seed=1), values(2, seed=2)

    def loss(x: Any, gamma: Any, beta: Any) -> Any:
        return np.sum(np.sin(layers.layer_norm(x, gamma, beta)))

    mapped = tm.vmap(tm.grad(loss, (0, 1, 2)), in_axes=(0, None, None))(x, gamma, beta)
    for k in range(3):
        for a, b in zip(mapped, tm.grad(loss, (0, 1, 2))(x[k], gamma, beta), strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-10, atol=1e-10)


def test_checkpoint_and_hessian() -> None:
    x, gamma, beta = values(2, 3), values(3, seed=1), values(3, seed=2)

    def loss(x: Any) -> Any:
        return np.sum(layers.layer_norm(x, gamma, beta) ** 3)

    np.testing.assert_allclose(tm.grad(tm.checkpoint(loss))(x), tm.grad(loss)(x))
    hessian = tm.hessian(loss)(x)
    np.testing.assert_allclose(hessian, np.transpose(hessian, (2, 3, 0, 1)), atol=1e-8)
    np.testing.assert_allclose(hessian[0, :, 1], 0, atol=1e-12)  # rows know nothing of each other


# Errors ---------------------------------------------------------------------------------------------------------------


def test_errors_of_ops() -> None:
    x, three = values(2, 4, 5), np.ones(3)
    four = np.ones(4)
    assert complaint(lambda: layers.batch_norm(x, three, three), tm.ShapeError) == (
        "batch_norm: gamma has shape (3,), but x of shape (2, 4, 5) has 4 channels, on axis 1, and each needs one "
        "number. If that is not the axis of the channels: `spatial_axes` says how many axes follow the channels: 2 for "
        "images (*batch, channels, height, width)."
    )
    assert "beta has shape (3,)" in complaint(lambda: layers.group_norm(x, four, three, 2), tm.ShapeError)
    assert "var has shape (3,)" in complaint(
        lambda: layers.batch_norm_inference(x, four, four, four, three), tm.ShapeError
    )
    assert "x has shape (4,), but with spatial_axes=None it must be (batch, channels, ...)" in complaint(
        lambda: layers.batch_norm(four, four, four), tm.ShapeError
    )
    assert "with spatial_axes=2 it must be (*batch, channels, size, size)" in complaint(
        lambda: layers.instance_norm(np.ones((4, 4)), four, four, spatial_axes=2), tm.ShapeError
    )
    assert "spatial_axes is -1, but must be None or an integer of at least 0" in complaint(
        lambda: layers.instance_norm(x, four, four, spatial_axes=-1), tm.ArgumentError
    )
    assert complaint(lambda: layers.group_norm(x, four, four, 3), tm.ArgumentError) == (
        "group_norm: 4 channels do not divide into num_groups=3 equal groups."
    )
    assert "num_groups is 0" in complaint(lambda: layers.group_norm(x, four, four, 0), tm.ArgumentError)
    assert "axis 'dim' is 5 in x" in complaint(lambda: layers.layer_norm(x, four, four), tm.ShapeError)
    assert "axis 'dim' is 5 in x" in complaint(lambda: layers.rms_norm(x, np.ones(1)), tm.ShapeError)
    assert "var is -1.0 at channel 1, but a variance cannot be negative" in complaint(
        lambda: layers.batch_norm_inference(x, four, four, four, np.array([1.0, -1.0, 1.0, 1.0])), tm.ArgumentError
    )
    for eps in (0, -1e-5, np.nan, np.inf, "1e-6", True):
        assert complaint(lambda eps=eps: layers.layer_norm(x, np.ones(5), np.ones(5), eps=eps), tm.ArgumentError) == (
            f"layer_norm: eps is {eps!r}, but must be a positive number: it keeps values and derivatives finite where "
            "all elements are equal."
        )


@pytest.mark.parametrize(
    "op",
    [
        lambda x: layers.layer_norm(x, np.ones(2), np.ones(2)),
        lambda x: layers.rms_norm(x, np.ones(2)),
        lambda x: layers.batch_norm(x, np.ones(2), np.ones(2)),
        lambda x: layers.instance_norm(x, np.ones(2), np.ones(2)),
        lambda x: layers.batch_norm_inference(x, *[np.ones(2)] * 4),
    ],
)
def test_integers_are_refused(op: Any) -> None:
    assert "x is int64, where Float is required" in complaint(lambda: op(np.ones((2, 2), np.int64)), tm.DTypeError)


def test_errors_of_layers() -> None:
    assert complaint(lambda: LayerNorm(0), tm.ArgumentError) == (
        "LayerNorm: dim is 0, but must be an integer of at least 1."
    )
    assert "BatchNorm: eps is 0" in complaint(lambda: BatchNorm(3, eps=0), tm.ArgumentError)
    assert "momentum is 1.5, but must be a number within [0, 1]" in complaint(
        lambda: BatchNorm(3, momentum=1.5), tm.ArgumentError
    )
    assert complaint(lambda: GroupNorm(3, 8), tm.ArgumentError) == (
        "GroupNorm: 8 channels do not divide into num_groups=3 equal groups."
    )
    assert "spatial_axes is 1.0" in complaint(lambda: InstanceNorm(3, spatial_axes=1.0), tm.ArgumentError)  # type: ignore[arg-type]
    model = BatchNorm(2)
    params, x = model.init(KEY), values(4, 2, dtype=np.float32)
    assert complaint(lambda: model.apply(params, x), tm.ArgumentError) == (
        "BatchNorm(2) has state: start from model.init_state(), and call apply(..., state=state), which returns "
        "(value, new state)."
    )
    assert complaint(lambda: model.apply(params, x, state={"mean": params["beta"]}), tm.ArgumentError) == (
        "BatchNorm(2): state is not what model.init_state gives: it has the structure {'mean': *}, not "
        "{'mean': *, 'var': *}."
    )
    assert complaint(lambda: model.apply(params, x[:1], state=model.init_state(), train=True), tm.ArgumentError) == (
        "BatchNorm(2): x of shape (1, 2) has 1 value per channel, but training needs at least 2: the variance of fewer "
        "is not defined."
    )


# Layers ---------------------------------------------------------------------------------------------------------------

ALL = [LayerNorm(4), RMSNorm(4), GroupNorm(2, 4), InstanceNorm(4), BatchNorm(4)]


@pytest.mark.parametrize("layer", ALL)
def test_layers_are_immutable_values(layer: Any) -> None:
    assert layer == copy.deepcopy(layer) == pickle.loads(pickle.dumps(layer)) and hash(layer) == hash(copy.copy(layer))
    with pytest.raises(AttributeError):
        layer.eps = 1.0
    params = layer.init(KEY)
    assert {k: v.shape for k, v in params.items()} == dict.fromkeys(params, (4,))
    assert all(v.dtype == np.float32 for v in params.values()) and (params["gamma"] == 1).all()
    assert type(layer)(*(2,) * (type(layer) is GroupNorm), 4, dtype=np.float64).init(KEY)["gamma"].dtype == np.float64


def test_repr() -> None:
    assert [repr(layer) for layer in ALL] == [
        "LayerNorm(4)",
        "RMSNorm(4)",
        "GroupNorm(2, 4)",
        "InstanceNorm(4)",
        "BatchNorm(4)",
    ]
    assert (
        repr(BatchNorm(3, momentum=0.01, eps=1e-3, spatial_axes=2))
        == "BatchNorm(3, momentum=0.01, eps=0.001, spatial_axes=2)"
    )


def test_layers_are_their_ops() -> None:
    x, gamma, beta = values(3, 4, 2), values(4, seed=1), values(4, seed=2)
    params = {"gamma": gamma, "beta": beta}
    np.testing.assert_array_equal(
        GroupNorm(2, 4, eps=0.1).apply(params, x), layers.group_norm(x, gamma, beta, 2, eps=0.1)
    )
    np.testing.assert_array_equal(InstanceNorm(4).apply(params, x), layers.instance_norm(x, gamma, beta))
    rows = np.swapaxes(x, 1, 2)
    np.testing.assert_array_equal(LayerNorm(4).apply(params, rows), layers.layer_norm(rows, gamma, beta))
    np.testing.assert_array_equal(RMSNorm(4).apply({"gamma": gamma}, rows), layers.rms_norm(rows, gamma))


def test_widths_that_do_not_fit_are_an_error_when_composed() -> None:
    assert "LayerNorm(7), takes (..., 7), but layer 0, Linear(4, 8), gives (..., 8): 8 is not 7" in complaint(
        lambda: Linear(4, 8) >> LayerNorm(7), tm.ShapeError
    )
    assert complaint(lambda: Linear(4, 8) >> BatchNorm(7), tm.ShapeError) == (
        "BatchNorm(7) takes (batch, 7, ...), not (..., 8): 8 is not 7. If the channels are not axis 1, say with "
        "spatial_axes=... how many axes follow them."
    )
    model = Linear(4, 8) >> BatchNorm(8) >> Relu() >> LayerNorm(8) >> Linear(8, 2)
    assert model.output_shape((32, 4)) == (32, 2)
    assert (Linear(4, 8) >> GroupNorm(1, 3, spatial_axes=1)).output_shape((5, 3, 4)) == (5, 3, 8)
    assert BatchNorm(3).output_shape((None, 3, 8, 8)) == (None, 3, 8, 8)
    assert BatchNorm(3, spatial_axes=2).output_shape((3, 8, 8)) == (3, 8, 8)
    assert "it has 1 axes, not 2 or more" in complaint(lambda: BatchNorm(3).output_shape((3,)), tm.ShapeError)
    assert "takes (..., 3, ?, ?)" in complaint(lambda: BatchNorm(3, spatial_axes=2).init(KEY, (3, 8)), tm.ShapeError)
    assert layers.count_parameters(model.init(KEY)) == 5 * 8 + 16 + 16 + 9 * 2


def test_running_statistics() -> None:
    model = BatchNorm(3, momentum=0.25, dtype=np.float64)
    params, state, x = model.init(KEY), model.init_state(), values(4, 3, 5)
    before = copy.deepcopy(state)
    y, after = model.apply(params, x, state=state, train=True)
    np.testing.assert_allclose(y, standard(x, (0, 2)), rtol=1e-10)
    np.testing.assert_allclose(after["mean"], 0.25 * x.mean(axis=(0, 2)))
    np.testing.assert_allclose(after["var"], 0.75 + 0.25 * x.var(axis=(0, 2), ddof=1))
    for name in state:
        np.testing.assert_array_equal(state[name], before[name])
    y, same = model.apply(params, x, state=after)
    assert same == after
    expected = (x - after["mean"][:, None]) / np.sqrt(after["var"][:, None] + 1e-6)
    np.testing.assert_allclose(y, expected)
    assert BatchNorm(3, dtype=np.float16).init_state()["var"].dtype == np.float32


def test_running_statistics_have_no_derivative() -> None:
    model = BatchNorm(2, dtype=np.float64)
    params, state = model.init(KEY), model.init_state()

    def spread(x: Any) -> Any:
        _, after = model.apply(params, x, state=state, train=True)
        return np.sum(after["mean"]) + np.sum(after["var"])

    np.testing.assert_array_equal(tm.grad(spread)(values(3, 2)), 0)


def test_state_goes_through_every_door() -> None:
    model = Linear(2, 3, dtype=np.float64) >> Residual(BatchNorm(3, dtype=np.float64) >> Relu())
    params, state, x = model.init(KEY), model.init_state(), values(5, 2)
    y, after = model.apply(params, x, state=state, train=True)
    ref, tape = tm.Tape().leaf(x)
    (out, kept), tape = model.apply(params, ref, state=state, train=True).run(tape)
    np.testing.assert_array_equal(tape.value(out), y)

    def loss(params: Any, state: Any) -> Any:
        y, new = model.apply(params, x, state=state, train=True)
        return np.sum(y**2), new

    (_, new), gradient = tm.value_and_grad(loss, has_aux=True)(params, state)
    for given in (new, tm.tree_map(lambda v: tape.value(v) if isinstance(v, tm.Ref) else v, kept)):
        for a, b in zip(tm.tree_flatten(given)[0], tm.tree_flatten(after)[0], strict=True):
            np.testing.assert_allclose(a, b)
    assert all(np.isfinite(leaf).all() for leaf in tm.tree_flatten(gradient)[0])


def test_a_small_network_learns_and_is_evaluated_with_running_statistics() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 240)
    centers = 5 * rng.normal(size=(3, 4)) + 20
    x = (centers[labels] + rng.normal(size=(240, 4))).astype(np.float32)
    model = Sequential(BatchNorm(4), Linear(4, 16), BatchNorm(16), Relu(), Linear(16, 3))
    params, state = model.init(KEY), model.init_state()
    optimizer = tm.optim.adam(0.01)
    memory = optimizer.init(params)

    def loss(params: Any, state: Any, x: Any, labels: Any) -> Any:
        logits, state = model.apply(params, x, state=state, train=True)
        return losses.cross_entropy(logits, labels), state

    step = tm.value_and_grad(loss, has_aux=True)
    for epoch in range(12):
        order = np.random.default_rng(epoch).permutation(240)
        for rows in np.split(order, 6):
            (_, state), gradient = step(params, state, x[rows], labels[rows])
            params, memory = optimizer.update(gradient, memory, params)
    logits, same = model.apply(params, x, state=state)
    assert same == state
    assert np.mean(np.argmax(logits, axis=-1) == labels) > 0.98
    np.testing.assert_allclose(state[0]["mean"], x.mean(axis=0), rtol=0.02)
    np.testing.assert_allclose(state[0]["var"], x.var(axis=0), rtol=0.15)
    by_batch, _ = model.apply(params, x, state=state, train=True)
    assert losses.cross_entropy(logits, labels) == pytest.approx(losses.cross_entropy(by_batch, labels), abs=0.01)


# PyTorch --------------------------------------------------------------------------------------------------------------


def test_against_torch() -> None:
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    x, g = values(3, 4, 2, 5), values(3, 4, 2, 5, seed=3)
    four, five = (values(4, seed=1), values(4, seed=2)), (values(5, seed=1), values(5, seed=2))
    pairs: list[Any] = [
        (layers.layer_norm, lambda x, w, b: F.layer_norm(x, (5,), w, b, 1e-6), five),
        (layers.rms_norm, lambda x, w: F.rms_norm(x, (5,), w, 1e-6), five[:1]),
        (lambda *a: layers.group_norm(*a, 2), lambda x, w, b: F.group_norm(x, 2, w, b, 1e-6), four),
        (layers.instance_norm, lambda x, w, b: F.instance_norm(x, None, None, w, b, True, 0.1, 1e-6), four),
        (layers.batch_norm, lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, 1e-6), four),
    ]
    for ours, theirs, parameters in pairs:
        tensors = [torch.tensor(v, requires_grad=True) for v in (x, *parameters)]
        y = theirs(*tensors)
        y.backward(torch.tensor(g))
        own, pullback = tm.vjp(ours, x, *parameters)
        np.testing.assert_allclose(own, y.detach().numpy(), rtol=1e-9, atol=1e-10)
        for a, b in zip(pullback(g), tensors, strict=True):
            np.testing.assert_allclose(a, b.grad.numpy(), rtol=1e-8, atol=1e-9)


def test_running_statistics_against_torch() -> None:
    torch = pytest.importorskip("torch")
    model = BatchNorm(4, eps=1e-5)
    theirs = torch.nn.BatchNorm2d(4)
    params, state = model.init(KEY), model.init_state()
    for seed in range(3):
        x = values(3, 4, 2, 5, seed=seed, dtype=np.float32) + seed
        y, state = model.apply(params, x, state=state, train=True)
        np.testing.assert_allclose(y, theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state["mean"], theirs.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(state["var"], theirs.running_var.numpy(), rtol=1e-5)
    theirs.eval()
    y, _ = model.apply(params, x, state=state)
    np.testing.assert_allclose(y, theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5)
