"""Pools, where the table of ops cannot say it: ties, NaN, dtypes, extreme values, refusals, and the layer objects."""

from __future__ import annotations

import numpy as np
import pytest

import layers
import tapem as tm

# Greatest elements ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(
    ("rows", "winner"),
    [
        ([[1.0, 3.0], [3.0, 3.0]], [[0, 1], [0, 0]]),
        ([[0.0, 0.0], [0.0, 0.0]], [[1, 0], [0, 0]]),
        ([[1.0, 2.0], [2.0, 0.0]], [[0, 1], [0, 0]]),
        ([[-np.inf, -np.inf], [-np.inf, -np.inf]], [[1, 0], [0, 0]]),
    ],
)
def test_of_equal_elements_the_first_wins(rows, winner, padding):
    """In row-major order, in both modes, though padding stands before it."""

    def last_window(x):
        return layers.max_pool2d(x[None], 3 if padding else 2, padding=padding)[0, 0, 0]

    x = np.array(rows)
    np.testing.assert_array_equal(tm.grad(last_window)(x), winner)
    np.testing.assert_array_equal(tm.jacfwd(last_window)(x), winner)


def test_padding_never_wins():
    x = np.full((1, 2, 2), -5.0)
    np.testing.assert_array_equal(layers.max_pool2d(x, 2, stride=1, padding=1), np.full((1, 3, 3), -5.0))
    assert np.sum(layers.avg_pool2d(x, 2, stride=1, padding=1)) == -20.0  # whereas the mean counts it
    np.testing.assert_allclose(layers.smooth_max_pool2d(x, 2, padding=1), np.full((1, 2, 2), -5.0))


def test_nan_spreads_to_its_windows_only():
    x = np.array([[np.nan, 1.0, 2.0, 3.0, 4.0, np.nan]])
    for pool in (layers.max_pool1d, layers.avg_pool1d, layers.smooth_max_pool1d):
        np.testing.assert_array_equal(np.isnan(pool(x, 2)), [[True, False, True]])


def test_an_infinite_cotangent_stays_where_it_belongs():
    _, pullback = tm.vjp(lambda x: layers.max_pool1d(x, 2), np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(pullback(np.array([[np.inf]]))[0], [[0.0, np.inf]])


def test_windows_of_many_elements():
    """More taps than eight bits can count."""
    x = np.random.default_rng(0).normal(size=(1, 700))
    np.testing.assert_array_equal(
        layers.max_pool1d(x, 300, stride=100), [[x[0, i : i + 300].max() for i in range(0, 401, 100)]]
    )
    gradient = tm.grad(lambda x: np.sum(layers.max_pool1d(x, 350)))(x)
    np.testing.assert_array_equal(np.flatnonzero(gradient), [np.argmax(x[0, :350]), 350 + np.argmax(x[0, 350:])])


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 1, 2)])
def test_any_order_of_memory(order):
    """What lies in memory as convolutions leave it gives the same, and the result lies as it does."""
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).transpose(order)
    for pool in (layers.max_pool2d, layers.avg_pool2d, layers.smooth_max_pool2d):
        gradient = tm.grad(lambda x, pool=pool: np.sum(pool(x, 2) ** 2))
        np.testing.assert_allclose(gradient(x), gradient(np.ascontiguousarray(x)), rtol=1e-14)
    assert np.argsort(layers.max_pool2d(x, 1).strides).tolist() == np.argsort(x.strides).tolist()


def test_operands_are_not_changed():
    x = np.arange(8.0).reshape(1, 8)
    before = x.copy()
    y = layers.max_pool1d(x, 1)
    y[:] = 0.0
    np.testing.assert_array_equal(x, before)


# Values and dtypes ----------------------------------------------------------------------------------------------------

POOLS = [
    layers.max_pool1d,
    layers.avg_pool1d,
    layers.smooth_max_pool1d,
    lambda x, kernel_size: layers.global_avg_pool(x, spatial_axes=1),
]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("pool", POOLS)
def test_dtypes_are_kept(pool, dtype):
    x = np.linspace(-1, 2, 8, dtype=dtype).reshape(1, 8)
    y, pullback = tm.vjp(lambda x: pool(x, 4), x)
    assert y.dtype == pullback(y)[0].dtype == tm.jvp(lambda x: pool(x, 4), (x,), (x,))[1].dtype == dtype


@pytest.mark.parametrize("pool", POOLS)
def test_integers_are_refused(pool):
    with pytest.raises(tm.DTypeError):
        pool(np.arange(4).reshape(1, 4), 2)


def test_sums_of_float16_do_not_overflow():
    x = np.full((1, 4), 60000.0, np.float16)
    np.testing.assert_array_equal(layers.avg_pool1d(x, 4), [[60000.0]])


@pytest.mark.parametrize("beta", [1.0, -1.0, 1e3, -1e-3])
@pytest.mark.parametrize("size", [1.0, 1e4, 1e300])
def test_the_smooth_maximum_is_stable(beta, size):
    """Neither value nor derivative is lost, however large the elements; equal elements share alike."""
    x = size * np.array([[1.0, 1.0, -1.0, 0.5]])
    y, pullback = tm.vjp(lambda x: layers.smooth_max_pool1d(x, 4, beta=beta), x)
    assert np.isfinite(y).all()
    gradient = pullback(np.ones_like(y))[0]
    np.testing.assert_allclose(np.sum(gradient), 1.0)
    assert gradient[0, 0] == gradient[0, 1]


def test_the_derivative_of_the_smooth_maximum_keeps_its_digits():
    x = np.array([[1e4, 1e4, 1e4]], np.float32)
    np.testing.assert_allclose(tm.grad(lambda x: layers.smooth_max_pool1d(x, 3)[0, 0])(x), np.full((1, 3), 1 / 3), 1e-6)


def test_a_large_beta_approaches_the_maximum():
    x = np.random.default_rng(0).normal(size=(2, 6, 6))
    np.testing.assert_allclose(layers.smooth_max_pool2d(x, 2, beta=1e3), layers.max_pool2d(x, 2), atol=1e-2)


def test_an_integer_stands_for_all_axes_but_two():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 6))
    np.testing.assert_array_equal(layers.max_pool(x, 2), layers.max_pool2d(x, 2))
    np.testing.assert_array_equal(layers.max_pool(x[0], 2), layers.max_pool(x[0], (2,)))
    np.testing.assert_array_equal(tm.vmap(lambda x: layers.avg_pool(x, 2))(x), layers.avg_pool(x, (2,)))


@pytest.mark.parametrize(("size", "stride", "windows"), [(7, 1, 7), (7, 2, 4), (1, 3, 1)])
def test_padding_by_name(size, stride, windows):
    """With "same" there is one window for every step of the stride, and all of them have elements."""
    x = np.random.default_rng(0).normal(size=(2, size))
    y = layers.max_pool1d(x, 3, stride=stride, padding="same")
    assert y.shape == (2, windows)
    assert np.isfinite(y).all()
    assert layers.MaxPool1d(3, stride=stride, padding="same").output_shape(x.shape) == y.shape
    np.testing.assert_array_equal(layers.avg_pool1d(x, 1, padding="valid"), x)


# Refusals -------------------------------------------------------------------------------------------------------------

IMAGE = np.ones((1, 4, 4))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: layers.max_pool2d(IMAGE, 5), tm.ShapeError, "max_pool2d.*the kernel spans 5 elements.*only 4"),
        (lambda: layers.avg_pool2d(IMAGE, (1, 7), padding=1), tm.ShapeError, "spans 7 elements.*6 with its padding"),
        (lambda: layers.max_pool2d(IMAGE, 2, stride=0), tm.ArgumentError, "stride is 0, but must be an integer"),
        (lambda: layers.max_pool2d(IMAGE, 0), tm.ArgumentError, "max_pool2d.*kernel_size is 0, but must be"),
        (lambda: layers.max_pool2d(IMAGE, (2, 2, 2)), tm.ArgumentError, r"kernel_size is \(2, 2, 2\).*or 2 of them"),
        (lambda: layers.max_pool2d(IMAGE, 2.0), tm.ArgumentError, "kernel_size is 2.0, but must be an integer"),
        (lambda: layers.max_pool2d(IMAGE, 2, padding=-1), tm.ArgumentError, "padding is -1, but must be"),
        (lambda: layers.max_pool2d(IMAGE, 2, padding=2), tm.ArgumentError, r"padding \(2, 2\) leaves a window of 2"),
        (lambda: layers.avg_pool1d(IMAGE, 2, padding=((0, 3),)), tm.ArgumentError, r"padding \(0, 3\) leaves"),
        (lambda: layers.MaxPool2d(2, padding=2), tm.ArgumentError, r"MaxPool2d: padding \(2, 2\) leaves a window of 2"),
        (lambda: layers.max_pool1d(np.ones((1, 0)), 2, padding=1), tm.ArgumentError, "on 0 elements leaves a window"),
        (lambda: layers.max_pool2d(np.ones((4, 4)), 2), tm.ShapeError, r"x has shape \(4, 4\).*2 spatial axes"),
        (lambda: layers.max_pool(np.ones(4), 2), tm.ShapeError, r"max_pool\(x\): x has shape \(4,\).*1 spatial axis,"),
        (lambda: layers.max_pool(np.ones(4), ()), tm.ArgumentError, r"kernel_size is \(\)"),
        (lambda: layers.smooth_max_pool2d(IMAGE, 2, beta=0), tm.ArgumentError, "beta is 0, but must be a finite"),
        (lambda: layers.smooth_max_pool(IMAGE, 2, beta=np.nan), tm.ArgumentError, "smooth_max_pool.*beta is nan, but"),
        (lambda: layers.global_avg_pool(IMAGE, spatial_axes=0), tm.ArgumentError, "spatial_axes is 0, but must be"),
        (lambda: layers.global_avg_pool(IMAGE, spatial_axes=3), tm.ShapeError, r"x has shape \(1, 4, 4\).*3 spatial"),
        (lambda: layers.global_avg_pool(np.ones((1, 0, 2))), tm.ShapeError, "that are not empty"),
        (lambda: layers.MaxPool2d(0), tm.ArgumentError, "MaxPool2d: kernel_size is 0"),
        (lambda: layers.AvgPool1d(2, padding=2), tm.ArgumentError, "AvgPool1d: padding"),
        (lambda: layers.SmoothMaxPool2d(2, beta=np.inf), tm.ArgumentError, "SmoothMaxPool2d: beta is inf"),
        (lambda: layers.GlobalAvgPool(0), tm.ArgumentError, "GlobalAvgPool: spatial_axes is 0"),
        (lambda: layers.MaxPool2d(5).output_shape((1, 3, 4, 4)), tm.ShapeError, "MaxPool2d.*spans 5 elements"),
        (lambda: layers.MaxPool2d(2).output_shape((4, 4)), tm.ShapeError, r"MaxPool2d\(2\) takes \(..., \?, \?, \?\)"),
    ],
)  # fmt: skip
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()


# Layers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "op", "shape"),
    [
        (layers.MaxPool1d(2), lambda x: layers.max_pool1d(x, 2), (2, 3, 7)),
        (layers.MaxPool2d((3, 2), padding=1), lambda x: layers.max_pool2d(x, (3, 2), padding=1), (3, 5, 6)),
        (layers.MaxPool3d([1, 2, 2]), lambda x: layers.max_pool3d(x, (1, 2, 2)), (2, 1, 2, 4, 4)),
        (layers.AvgPool1d(3, padding=1), lambda x: layers.avg_pool1d(x, 3, padding=1), (2, 3, 7)),
        (layers.AvgPool2d(2), lambda x: layers.avg_pool2d(x, 2), (1, 4, 4)),
        (layers.AvgPool3d(2), lambda x: layers.avg_pool3d(x, 2), (1, 2, 4, 3)),
        (layers.SmoothMaxPool2d(2, beta=4.0), lambda x: layers.smooth_max_pool2d(x, 2, beta=4.0), (1, 2, 4, 4)),
        (layers.GlobalAvgPool(1), lambda x: layers.global_avg_pool(x, spatial_axes=1), (2, 3, 4)),
    ],
)  # fmt: skip
def test_layers(layer, op, shape):
    """A layer is its op, and knows the shape that comes out, also where sizes are free."""
    x = np.random.default_rng(0).normal(size=shape)
    y = layer.apply(layer.init(tm.random.key(0), shape), x)
    np.testing.assert_array_equal(y, op(x))
    assert layer.output_shape(shape) == y.shape
    axes = getattr(layer, "axes", 1)
    assert layer.output_shape((..., None, *shape[-axes:]))[2:] == y.shape[len(shape) - axes :]
    assert set(layer.output_shape((...,))[1:]) <= {None}
    ref, tape = tm.Tape().leaf(x)
    np.testing.assert_array_equal(tape.value(ref), x)
    step = layer.apply((), ref)
    out, tape = step.run(tape)
    np.testing.assert_array_equal(tape.value(out), y)


def test_repr():
    assert repr(layers.MaxPool2d(2)) == "MaxPool2d(2)"
    assert repr(layers.MaxPool2d([2, 3], stride=1)) == "MaxPool2d((2, 3), stride=1)"
    assert repr(layers.SmoothMaxPool2d(2, beta=3.0)) == "SmoothMaxPool2d(2, beta=3.0)"
    assert layers.MaxPool2d([2, 2]) == layers.MaxPool2d((2, 2))


def test_in_a_sequence():
    model = layers.MaxPool2d(2) >> layers.GlobalAvgPool() >> layers.Linear(3, 2)
    assert model.output_shape((8, 3, 6, 6)) == (8, 2)
    with pytest.raises(tm.ShapeError, match=r"Linear\(3, 2\)"):
        model.output_shape((8, 4, 6, 6))


def test_agreement_with_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = np.random.default_rng(0).integers(0, 3, (2, 3, 7, 8)).astype(np.float32)  # with many ties
    for options in ({}, {"stride": 1}, {"stride": 3, "padding": 1}):
        for own, theirs in ((layers.max_pool2d, functional.max_pool2d), (layers.avg_pool2d, functional.avg_pool2d)):
            given = torch.tensor(x, requires_grad=True)
            expected = theirs(given, 2, **options)
            y, pullback = tm.vjp(lambda x, own=own, options=options: own(x, 2, **options), x)
            np.testing.assert_allclose(y, expected.detach(), rtol=1e-6)
            expected.square().sum().backward()
            np.testing.assert_allclose(pullback(2 * y)[0], given.grad, rtol=1e-5)
