"""Compiled max-pools of relu, and losses of labels: values and gradients are the eager ones, whatever the elements."""

import numpy as np
import pytest

import layers
import losses
import tapem as tm
from tapem.compiler.engines import engine_named
from tapem.compiler.passes import everywhere, pools

ENGINES = ["numpy", "numba"]

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, np.inf, -np.inf, np.nan]


def images(kind, shape, dtype=np.float32):
    random = np.random.default_rng(0)
    if kind == "normal":
        return random.standard_normal(shape).astype(dtype)
    chosen = random.integers(0, len(SPECIAL) - (kind == "ties") * 3, shape)
    return np.array(SPECIAL, dtype)[chosen]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["normal", "ties", "special"])
@pytest.mark.parametrize(
    "options", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2}, {"kernel_size": (2, 3), "padding": 1}]
)
@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (3, 7, 6)])
def test_a_pool_of_relu_has_the_eager_value_and_gradient(engine, kind, options, shape):
    x = images(kind, shape)
    weight = np.random.default_rng(1).standard_normal(layers.max_pool2d(x, **options).shape).astype(np.float32)

    def both(x):
        y, back = tm.vjp(lambda x: layers.max_pool2d(tm.relu(x), **options), x)
        return y, back(weight)

    y, g = tm.compile(both, engine=engine)(x)
    expected, expected_g = both(x)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(g, expected_g)
    assert np.array_equal(np.signbit(y), np.signbit(expected))


def test_a_nan_that_is_not_first_sends_the_cotangent_to_the_first():
    x = np.array([[[3.0, np.nan], [1.0, 2.0]]])
    slope = tm.compile(tm.grad(lambda x: np.sum(layers.max_pool2d(tm.relu(x), 2))), engine="numpy")
    np.testing.assert_array_equal(slope(x), [[[1.0, 0.0], [0.0, 0.0]]])
    np.testing.assert_array_equal(slope(-x), [[[0.0, 0.0], [0.0, 0.0]]])


def test_relu_works_on_what_the_pool_leaves():
    x = np.ones((1, 4, 6))
    f = tm.compile(tm.grad(lambda x: np.sum(layers.max_pool2d(tm.relu(x), 2) ** 2)), engine="numpy")
    program = everywhere(pools, engine_named("numpy").improved(f._at((x,), {})[0].program, True))
    shapes = {getattr(node.op, "name", ""): node.shape for node in program.nodes}
    assert shapes["relu"] == (1, 2, 3)
    assert "pulled" not in shapes
    assert shapes["pulled_through_relu"] == x.shape


def test_relu_stays_where_another_op_needs_it():
    x = images("normal", (2, 4, 4))

    def f(x):
        h = tm.relu(x)
        return np.sum(layers.max_pool2d(h, 2)) + np.sum(h * h)

    np.testing.assert_array_equal(tm.compile(tm.grad(f), engine="numpy")(x), tm.grad(f)(x))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int32])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("known", [True, False])
def test_a_loss_of_labels_has_the_eager_value_and_gradient(dtype, reduction, known):
    scores = np.random.default_rng(2).standard_normal((4, 3, 5)).astype(np.float32)
    scores[0, 0, 1] = -np.inf
    labels = np.array([[0, 2, 4], [1, 1, 1], [3, 0, 2], [4, 4, 0]], dtype)

    def both(scores, labels):
        y, back = tm.vjp(lambda x: losses.cross_entropy(x, labels, reduction=reduction), scores)
        return y, back(np.ones_like(y))

    fast = tm.compile((lambda scores: both(scores, labels)) if known else both, engine="numpy")
    y, g = fast(scores) if known else fast(scores, labels)
    expected, expected_g = both(scores, labels)
    np.testing.assert_allclose(y, expected, rtol=2e-6)
    np.testing.assert_allclose(g, expected_g, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range_is_refused_by_the_loss(label):
    scores, labels = np.zeros((2, 3)), np.array([0, label])
    with pytest.raises(tm.ArgumentError, match="out of range"):
        tm.compile(tm.grad(losses.cross_entropy), engine="numpy")(scores, labels)
    with pytest.raises(tm.ArgumentError, match="out of range"):
        tm.compile(lambda scores: losses.cross_entropy(scores, labels), engine="numpy")(scores)
