"""Convolutions beyond the table: errors, memory, laziness, larger shapes, batching, and the layers made of them."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import layers
import tapem as tm
from layers import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Flatten, Linear, Relu
from layers.ops import convolution, plan, unfolding
from layers.ops.convolution import conv_kernel_gradient
from layers.ops.windows import geometry
from tests.tables.convolution import conv as reference
from tests.tables.convolution import conv_transpose as transposed_reference
from tests.tables.convolution import kernel_gradient as gradient_reference

KEY = tm.random.key(0)


def normal(*shape: int, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(len(shape) + sum(shape)).normal(size=shape).astype(dtype)


def complaint(call: Any, kind: type[Exception]) -> str:
    with pytest.raises(kind) as error:
        call()
    assert isinstance(error.value, tm.TapeError)
    return str(error.value)


# Errors ---------------------------------------------------------------------------------------------------------------

K, B, X = np.ones((4, 3, 5, 5)), np.ones(4), np.ones((2, 3, 8, 8))


@pytest.mark.parametrize(
    ("arguments", "static", "kind", "text"),
    [
        ((K, B, X[..., :4]), {}, tm.ShapeError, "the kernel spans 5 elements along spatial axis 1, but x has only 4"),
        (
            (K, B, X),
            {"dilation": (1, 3), "padding": 2},
            tm.ShapeError,
            "the kernel spans 13 elements along spatial axis 1 (5 taps with dilation 3), but x has only 8 there, "
            "12 with its padding.",
        ),
        ((K, B, X), {"stride": 0}, tm.ArgumentError, "stride is 0, but must be an integer of at least 1, or 2 of them"),
        ((K, B, X), {"stride": (1, -1)}, tm.ArgumentError, "stride is (1, -1), but must be"),
        ((K, B, X), {"stride": (1, 1, 1)}, tm.ArgumentError, "or 2 of them, one for each spatial axis"),
        ((K, B, X), {"stride": 1.5}, tm.ArgumentError, "stride is 1.5"),
        ((K, B, X), {"stride": True}, tm.ArgumentError, "stride is True"),
        ((K, B, X), {"dilation": 0}, tm.ArgumentError, "dilation is 0"),
        ((K, B, X), {"padding": -1}, tm.ArgumentError, "padding is -1, but must be an integer of at least 0"),
        ((K, B, X), {"padding": ((1, 1), (1, -2))}, tm.ArgumentError, "or a pair (before, after) for each"),
        ((K, B, X), {"padding": "full"}, tm.ArgumentError, 'padding is \'full\', but its names are "same" and "valid"'),
        ((K, B, X), {"groups": 0}, tm.ArgumentError, "groups is 0, but must be an integer of at least 1"),
        ((K, B, X), {"groups": 3}, tm.ArgumentError, "groups=3 does not divide the 4 'out' channels of the kernel"),
        (
            (K, B, X),
            {"groups": 2},
            tm.ShapeError,
            "has 3 channels, but kernel (4, 3, 5, 5) with groups=2",
        ),
        ((K, B, X[:, :2]), {}, tm.ShapeError, "x (2, 2, 8, 8) has 2 channels, but kernel (4, 3, 5, 5) takes 3."),
        (
            (K, B, X[0, 0]),
            {},
            tm.ShapeError,
            "x (8, 8) has 2 axes, but a kernel (4, 3, 5, 5) with 2 spatial",
        ),
        ((K[..., 0, 0], B, X), {}, tm.ShapeError, "for a kernel without spatial axes use linear"),
        ((K[:, :, :0], B, X), {}, tm.ShapeError, "the kernel has (0, 5) taps"),
        ((K, B[:3], X), {}, tm.ShapeError, "axis 'out' is 4 in kernel (4, 3, 5, 5) but 3 in bias (3,)"),
        ((K, B[:1], X), {}, tm.ShapeError, "axis 'out' is 4"),
        ((K.astype(int), B, X), {}, tm.DTypeError, "Float is required"),
        ((K, B, 2.0), {}, tm.ShapeError, "x () has 0 axes"),
    ],
)
def test_what_conv_refuses(arguments: Any, static: Any, kind: type[Exception], text: str) -> None:
    for op in (layers.conv, layers.conv2d):
        message = complaint(lambda op=op: op(*arguments, **static), kind)
        assert op.name in message and (text in message or op is layers.conv2d), message
        # The same is said before anything is computed.
        shapes = [tm.ShapeDtype.of(x) if isinstance(x, np.ndarray) else x for x in arguments]
        if kind is not tm.DTypeError and not isinstance(arguments[2], float):
            complaint(lambda op=op, shapes=shapes: tm.eval_shape(lambda *a: op(*a, **static), *shapes), kind)


@pytest.mark.parametrize(
    ("static", "kind", "text"),
    [
        ({"padding": "same"}, tm.ArgumentError, "a transposed convolution has no named padding"),
        ({"output_padding": 1}, tm.ArgumentError, "output_padding is 1, but must be smaller than the stride, 1"),
        ({"stride": 2, "output_padding": (0, 2)}, tm.ArgumentError, "output_padding is (0, 2), but must be smaller"),
        ({"output_padding": -1}, tm.ArgumentError, "output_padding is -1"),
        ({"stride": 0}, tm.ArgumentError, "stride is 0"),
        ({"padding": 7}, tm.ShapeError, "padding=7 is too large: the result would have the size (-2, -2)"),
        ({"groups": 5}, tm.ArgumentError, "groups=5 does not divide the 3 'in' channels"),
    ],
)
def test_what_conv_transpose_refuses(static: Any, kind: type[Exception], text: str) -> None:
    kernel = np.ones((3, 4, 5, 5))
    for op in (layers.conv_transpose, layers.conv_transpose2d):
        message = complaint(lambda op=op: op(kernel, B, X, **static), kind)
        assert message.startswith(f"{op.name}(kernel, bias, x): ") and text in message
    assert "has 3 channels, but kernel (2, 4, 5, 5) takes 2" in complaint(
        lambda: layers.conv_transpose(kernel[:2], B, X), tm.ShapeError
    )
    assert complaint(lambda: layers.conv_transpose(kernel, B[:3], X), tm.ShapeError) == (
        "conv_transpose(kernel, bias, x): bias has the shape (3,), but 4 channels come out: (4,)."
    )
    shapes = [tm.ShapeDtype.of(array) for array in (kernel, B[:3], X)]
    assert "(3,), but 4 channels" in complaint(lambda: tm.eval_shape(layers.conv_transpose2d, *shapes), tm.ShapeError)
    assert "a spatial axis is empty" in complaint(lambda: layers.conv_transpose(kernel, B, X[..., :0]), tm.ShapeError)


def test_each_rank_says_which_axes_it_takes() -> None:
    assert "conv1d(kernel, bias, x)" in complaint(lambda: layers.conv1d(K, B, X), tm.ShapeError)
    assert 'Float[Tensor, "out in_per_group d_taps h_taps w_taps"]' in complaint(
        lambda: layers.conv3d(K, B, X), tm.ShapeError
    )
    assert "conv_transpose1d" in complaint(lambda: layers.conv_transpose1d(K, B, X), tm.ShapeError)


def test_a_cotangent_that_does_not_fit() -> None:
    x, g = normal(2, 3, 5), normal(2, 4, 3)
    for call, kind, text in [
        (
            lambda: conv_kernel_gradient(x, g, kernel_size=(2,)),
            tm.ShapeError,
            "the size (3,), but the result has (4,)",
        ),
        (lambda: conv_kernel_gradient(x, g[0], kernel_size=(3,)), tm.ShapeError, "with equal batch"),
        (lambda: conv_kernel_gradient(x, g, kernel_size=(3,), groups=2), tm.ArgumentError, "3 and 4 channels"),
    ]:
        assert text in complaint(call, kind)


# Values and dtypes ----------------------------------------------------------------------------------------------------


def test_lists_are_as_good_as_tuples() -> None:
    kernel, x = normal(2, 1, 2, 2), normal(1, 4, 4)
    expected = layers.conv2d(kernel, None, x, stride=(1, 2), padding=((0, 1), (2, 0)))
    np.testing.assert_array_equal(layers.conv2d(kernel, None, x, stride=[1, 2], padding=[[0, 1], [2, 0]]), expected)
    widths = np.array([[0, 1], [2, 0]])
    np.testing.assert_array_equal(layers.conv2d(kernel, None, x, stride=np.array([1, 2]), padding=widths), expected)


def test_same_padding_keeps_the_size() -> None:
    for size, taps, stride, dilation in itertools.product((5, 6, 7), (1, 2, 3), (1, 2, 3), (1, 2)):
        kernel, x = np.ones((1, 1, taps)), np.ones((1, size))
        y = layers.conv1d(kernel, None, x, stride=stride, padding="same", dilation=dilation)
        assert y.shape == (1, -(-size // stride))


def test_dtypes() -> None:
    single = normal(2, 1, 3, dtype=np.float32), normal(2, dtype=np.float32), normal(4, 1, 6, dtype=np.float32)
    assert layers.conv(*single).dtype == np.float32
    assert layers.conv(single[0], None, normal(4, 1, 6)).dtype == np.float64
    assert layers.conv(single[0], normal(2), single[2]).dtype == np.float64
    gradients = tm.grad(lambda *a: np.sum(layers.conv(*a, padding=1) ** 2), argnums=(0, 1, 2))(*single)
    assert [g.dtype for g in gradients] == [np.float32] * 3
    half = [a.astype(np.float16) for a in single]
    assert layers.conv(*half).dtype == np.float16
    np.testing.assert_allclose(layers.conv(*half), layers.conv(*single), rtol=0.02, atol=0.02)
    # Sums of many terms are as good as float16 can hold: the work is done in float32.
    many = np.full((1, 1, 2000), 1.0, np.float16)
    assert layers.conv(many, None, many)[0, 0, 0] == 2000


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("op", [layers.conv, layers.conv1d, layers.conv_transpose])
def test_second_derivatives_by_one_operand_where_the_others_are_arrays(op: Any, position: int) -> None:
    operands = [normal(2, 2, 2), normal(2), normal(1, 2, 3)]

    def loss(one: Any) -> Any:
        return np.sum(np.sin(op(*operands[:position], one, *operands[position + 1 :])))

    numeric = tm.testing.finite_diff_jacobian(tm.grad(loss), operands[position])
    np.testing.assert_allclose(tm.hessian(loss)(operands[position]), numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("order", ["C", "F"])
def test_shapes_as_they_are_used(groups: int, stride: int, order: Any) -> None:
    x, kernel, bias = normal(20, 4, 9, 8), normal(6, 4 // groups, 3, 3), normal(6)
    x = np.asarray(x, order=order)
    static: Any = {"stride": stride, "padding": 1, "groups": groups}
    y, pull = tm.vjp(lambda *a: layers.conv2d(*a, **static), kernel, bias, x)
    np.testing.assert_allclose(y, reference(kernel, bias, x, **static), atol=1e-12)
    g = normal(*y.shape)
    for_kernel, for_bias, for_x = pull(g)
    np.testing.assert_allclose(for_kernel, gradient_reference(x, g, (3, 3), **static), atol=1e-11)
    np.testing.assert_allclose(for_bias, g.sum(axis=(0, 2, 3)), atol=1e-11)
    # The size that the stride leaves open is that of x.
    extra = tuple((n + 2 - 3) % stride for n in x.shape[2:])
    expected = transposed_reference(kernel, None, g, output_padding=extra, **static)
    np.testing.assert_allclose(for_x, expected, atol=1e-11)


@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 1), (1, 2, 2), (3, 2, 1)])
def test_large_work_is_done_in_parts(monkeypatch: pytest.MonkeyPatch, stride: int, dilation: int, groups: int) -> None:
    # As for large inputs: nothing is kept, rows are unfolded a few at a time, and their shares summed one by one.
    for name in ("_KEPT", "_BLOCK", "_SHARES"):
        monkeypatch.setattr(plan, name, 1)
    x, kernel = normal(40, 2, 19, 11), normal(4, 2 // groups, 2, 3)
    at = geometry("conv", (19, 11), (2, 3), stride, 1, dilation)
    parts = plan.Plan(at, (40,), groups, 2, 4)
    assert parts.block == 4 and parts.shares == 1 and not parts.keeps_windows
    static: Any = {"stride": stride, "padding": 1, "dilation": dilation, "groups": groups}
    y, kept = unfolding.correlate(kernel, None, x, parts)
    np.testing.assert_allclose(y, reference(kernel, None, x, **static), atol=1e-12)
    g = normal(*y.shape)
    assert kept is None
    expected = gradient_reference(x, g, (2, 3), **static)
    np.testing.assert_allclose(unfolding.kernel_gradient(x, g, parts), expected, atol=1e-11)


def test_against_torch() -> None:
    torch: Any = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(0)
    for _ in range(40):
        axes, groups, examples = (int(rng.integers(*bounds)) for bounds in ((1, 4), (1, 4), (1, 20)))
        taps, stride, padding, dilation = ([int(n) for n in rng.integers(low, 4, axes)] for low in (1, 1, 0, 1))
        span = [d * (k - 1) + 1 for k, d in zip(taps, dilation, strict=True)]
        size = [max(n - 2 * p, 1) + int(rng.integers(0, 6)) for n, p in zip(span, padding, strict=True)]
        kernel, x = rng.normal(size=(2 * groups, 2, *taps)), rng.normal(size=(examples, 2 * groups, *size))
        bias = rng.normal(size=2 * groups)
        static: Any = {
            "stride": tuple(stride),
            "padding": tuple(padding),
            "dilation": tuple(dilation),
            "groups": groups,
        }
        y, pull = tm.vjp(lambda *a, static=static: layers.conv(*a, **static), kernel, bias, x)
        theirs = [torch.tensor(a, requires_grad=True) for a in (kernel, bias, x)]
        expected = getattr(functional, f"conv{axes}d")(theirs[2], theirs[0], theirs[1], **static)
        np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-10)
        g = rng.normal(size=y.shape)
        expected.backward(torch.tensor(g))
        for ours, other in zip(pull(g), theirs, strict=True):
            np.testing.assert_allclose(ours, other.grad.numpy(), atol=1e-10)
        extra = tuple(int(rng.integers(0, s)) for s in stride)
        back = layers.conv_transpose(kernel, bias, g, output_padding=extra, **static)
        # torch refuses a result of size 0, which is ours where all of it is padding.
        if 0 not in back.shape:
            transposed = getattr(functional, f"conv_transpose{axes}d")
            expected = transposed(*map(torch.tensor, (g, kernel, bias)), output_padding=extra, **static)
            np.testing.assert_allclose(back, expected.numpy(), atol=1e-10)


# What is not computed, and what is not kept ---------------------------------------------------------------------------


def test_the_gradient_of_an_image_is_computed_only_if_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("correlate_transposed", "kernel_gradient"):
        work = getattr(convolution, name)
        monkeypatch.setattr(convolution, name, lambda *a, n=name, w=work: (calls.append(n), w(*a))[1])
    kernel, bias, x = normal(2, 1, 3, 3), normal(2), normal(4, 1, 6, 6)
    tm.grad(lambda k, b: np.sum(layers.conv2d(k, b, x)), argnums=(0, 1))(kernel, bias)
    assert calls == ["kernel_gradient"]
    tm.grad(lambda x: np.sum(layers.conv2d(kernel, bias, x)))(x)
    assert calls == ["kernel_gradient", "correlate_transposed"]


def test_only_small_windows_are_kept() -> None:
    def kept(kernel: Any, x: Any) -> Any:
        ref, tape = tm.Tape().leaf(x)
        y, tape = layers.conv2d(kernel, None, ref).run(tape)
        return tape[y].residuals

    kernel = np.ones((1, 1, 3, 3), np.float32)
    assert kept(kernel, np.ones((20, 1, 6, 6), np.float32)) is not None
    assert kept(kernel, np.ones((20, 1, 90, 200), np.float32)) is None


def test_inputs_are_left_alone_and_may_not_be_written_to() -> None:
    kernel, bias, x = normal(2, 1, 3, 3), normal(2), normal(4, 1, 6, 6)
    for array in (kernel, bias, x):
        array.flags.writeable = False
    value = tm.value_and_grad(lambda *a: np.sum(layers.conv2d(*a, padding=1) ** 2), argnums=(0, 1, 2))
    value(kernel, bias, x)
    value(np.ones((1, 1, 1, 1)), np.ones(1), x)
    y = layers.conv2d(np.ones((1, 1, 1, 1)), None, x)
    assert not np.shares_memory(y, x)


def test_abstract_evaluation_computes_nothing() -> None:
    # Filled, either would take more memory than there is.
    x = tm.ShapeDtype((10**6, 3, 1000, 1000), np.dtype(np.float32))
    kernel = tm.ShapeDtype((64, 3, 5, 5), np.dtype(np.float32))
    shape = tm.eval_shape(lambda k, x: layers.conv2d(k, None, x, stride=2), kernel, x)
    assert shape.shape == (10**6, 64, 498, 498) and shape.dtype == np.float32


# Batching -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2])
def test_per_example_gradients(groups: int) -> None:
    kernel, bias, x = normal(4, 2 // groups, 3, 2), normal(4), normal(5, 2, 4, 4)

    def loss(kernel: Any, bias: Any, x: Any) -> Any:
        return np.sum(np.tanh(layers.conv2d(kernel, bias, x, groups=groups, padding=1, stride=(1, 2))))

    mapped = tm.vmap(tm.grad(loss, argnums=(0, 1, 2)), in_axes=(None, None, 0))(kernel, bias, x)
    for example in range(5):
        one = tm.grad(loss, argnums=(0, 1, 2))(kernel, bias, x[example])
        for a, b in zip(mapped, one, strict=True):
            np.testing.assert_allclose(a[example], b, atol=1e-12)


# Layers ---------------------------------------------------------------------------------------------------------------

SPATIAL = (9, 8, 7)
LAYERS: list[Any] = [
    *(kind(2, 4, 3, stride=2, padding=1, groups=2) for kind in (Conv1d, Conv2d, Conv3d)),
    *(kind(4, 2, 3, stride=2, padding=1, groups=2) for kind in (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)),
    Conv2d(1, 3, (3, 1), padding="same", dilation=2),
    Conv2d(1, 3, 2, padding=((0, 1), (1, 0)), bias=False),
    ConvTranspose2d(1, 3, (2, 3), stride=(3, 2), output_padding=(2, 0), bias=False),
]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
@pytest.mark.parametrize("batch", [(), (3,), (2, 2)])
def test_layers_give_the_shape_that_they_promise(layer: Any, batch: tuple[int, ...]) -> None:
    shape = (*batch, layer.in_channels, *SPATIAL[: layer.axes])
    params = layer.init(KEY, shape)
    y = layer.apply(params, np.ones(shape, np.float32))
    assert y.shape == layer.output_shape(shape) and y.dtype == np.float32
    assert layer.output_shape((..., *shape[len(batch) :])) == (..., *y.shape[len(batch) :])
    unknown = (None,) * layer.axes
    assert layer.output_shape((*batch, layer.in_channels, *unknown)) == (*batch, layer.out_channels, *unknown)
    assert layer.output_shape((...,)) == (..., layer.out_channels, *unknown)
    assert pickle.loads(pickle.dumps(layer)) == layer and hash(layer) == hash(pickle.loads(pickle.dumps(layer)))
    gradient = tm.grad(lambda params: np.sum(layer.apply(params, np.ones(shape, np.float32))))(params)
    assert {name: g.shape for name, g in gradient.items()} == {name: p.shape for name, p in params.items()}


def test_parameters() -> None:
    params = Conv2d(4, 8, (3, 2), groups=2).init(KEY)
    assert params["weight"].shape == (8, 2, 3, 2) and (params["bias"] == 0).all() and params["bias"].shape == (8,)
    assert Conv2d(4, 8, 3, bias=False).init(KEY).keys() == {"weight"}
    assert (Conv1d(1, 2, 3, bias=layers.initializers.ones).init(KEY)["bias"] == 1).all()
    assert ConvTranspose2d(4, 8, (3, 2), groups=2).init(KEY)["weight"].shape == (4, 4, 3, 2)
    assert Conv1d(1, 2, 3, dtype=np.float64).init(KEY)["weight"].dtype == np.float64


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_fan_in_counts_what_one_output_depends_on(kind: Any, groups: int) -> None:
    layer = kind(64, 128, 3, groups=groups, weight=layers.initializers.he_normal, bias=False)
    weight = layer.init(KEY)["weight"]
    assert weight.var() == pytest.approx(2 / (64 // groups * 9), rel=0.05)


def test_transposed_weights_are_those_of_the_convolution_with_channels_exchanged() -> None:
    there, back = Conv1d(4, 6, 3, groups=2).init(KEY)["weight"], ConvTranspose1d(4, 6, 3, groups=2).init(KEY)["weight"]
    for group in range(2):
        np.testing.assert_array_equal(back[2 * group : 2 * group + 2], there[3 * group : 3 * group + 3].swapaxes(0, 1))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Conv2d(0, 4, 3), "Conv2d: in_channels is 0, but must be an integer of at least 1."),
        (lambda: Conv2d(3, 4, 0), "Conv2d: kernel_size is 0, but must be an integer of at least 1, or 2 of them"),
        (lambda: Conv2d(3, 4, (3, 3, 3)), "Conv2d: kernel_size is (3, 3, 3)"),
        (lambda: Conv1d(3, 4, 3, stride=0), "Conv1d: stride is 0, but must be an integer of at least 1."),
        (lambda: Conv2d(3, 4, 3, padding="full"), "Conv2d: padding is 'full'"),
        (lambda: Conv2d(3, 4, 3, groups=2), "Conv2d: groups=2 does not divide in_channels=3."),
        (lambda: Conv2d(4, 3, 3, groups=2), "Conv2d: groups=2 does not divide out_channels=3."),
        (lambda: ConvTranspose1d(3, 4, 3, output_padding=1), "ConvTranspose1d: output_padding is 1"),
        (lambda: ConvTranspose1d(3, 4, 3, padding="same"), "ConvTranspose1d: padding is 'same'"),
    ],
)
def test_layers_refuse_bad_arguments_when_they_are_made(make: Any, text: str) -> None:
    assert complaint(make, tm.ArgumentError).startswith(text)


def test_layers_refuse_inputs() -> None:
    layer = Conv2d(3, 4, 5)
    assert complaint(lambda: layer.output_shape((2, 1, 8, 8)), tm.ShapeError) == (
        "Conv2d(3, 4, 5) takes (..., 3, ?, ?), not (2, 1, 8, 8): 1 is not 3."
    )
    assert "Conv2d: the kernel spans 5 elements along spatial axis 1, but x has only 4" in complaint(
        lambda: layer.output_shape((2, 3, 8, 4)), tm.ShapeError
    )
    assert "layer 1, Conv2d(3, 4, 5), takes (..., 3, ?, ?), but layer 0, Conv2d(1, 2, 3), gives" in complaint(
        lambda: Conv2d(1, 2, 3) >> layer, tm.ShapeError
    )


def test_how_layers_are_written() -> None:
    assert repr(Conv2d(1, 8, 5)) == "Conv2d(1, 8, 5)"
    assert repr(Conv2d(1, 8, [5, 3], padding="same", bias=False)) == "Conv2d(1, 8, (5, 3), padding='same', bias=False)"
    assert repr(ConvTranspose1d(1, 8, 5, 2, output_padding=1)) == "ConvTranspose1d(1, 8, 5, stride=2, output_padding=1)"
    assert Conv2d(1, 8, [5, 3]) == Conv2d(1, 8, (5, 3)) and isinstance(
        hash(Conv2d(1, 8, [5, 3], padding=[[0, 1], [1, 1]])), int
    )


def test_a_network_through_all_doors() -> None:
    model = Conv2d(1, 4, 3, dtype=np.float64) >> Relu() >> Conv2d(4, 2, 2, stride=2) >> Flatten(-3) >> Linear(18, 3)
    params, x = model.init(KEY), normal(5, 1, 8, 8)
    expected = model.apply(params, x)
    assert expected.shape == model.output_shape(x.shape) == (5, 3)
    ref, tape = tm.Tape().leaf(x)
    y, tape = model.apply(params, ref).run(tape)
    np.testing.assert_array_equal(tape.value(y), expected)
    assert [node.op.name for node in tape][1:4] == ["conv2d", "relu", "conv2d"]
    one = np.stack([model.apply(params, image) for image in x])
    np.testing.assert_allclose(one, expected, rtol=1e-6)
    np.testing.assert_allclose(tm.vmap(lambda image: model.apply(params, image))(x), expected, rtol=1e-6)
