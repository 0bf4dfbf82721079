"""The numba engine: the same values to rounding, the same errors, and native loops where there can be some."""

import numpy as np
import pytest

import layers
import tapem as tm
from tests.compiler.test_compile import LABELS, PARAMS, X, loss, step


def assert_close(found, expected, rtol=1e-6):
    leaves, structure = tm.tree_flatten(found)
    others, other = tm.tree_flatten(expected)
    assert structure == other
    for a, b in zip(leaves, others, strict=True):
        assert type(a) is type(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-7)


def test_a_training_step():
    fast = tm.compile(step, engine="numba")
    params = expected = PARAMS
    for _ in range(3):
        value, params = fast(params, X, LABELS, 0.1)
        wanted, expected = step(expected, X, LABELS, 0.1)
        assert_close((value, params), (wanted, expected))
    assert repr(fast) == "<compiled step: engine numba, 1 program, 1 op called: guard>"


def test_a_label_that_is_no_class_is_refused_by_the_loss():
    with pytest.raises(tm.ArgumentError, match=r"label 9 .* out of range"):
        tm.compile(loss, engine="numba")(PARAMS, X, LABELS * 0 + 9)


def test_views_are_read_where_they_lie():
    def views(x):
        y = x[::-1, 1:4].T
        z = np.sin(y) + np.flip(x[:3, :2], 0).T.sum() + x[1][None, :3].T
        return z, np.swapaxes(z, 0, 1) * 2.0, np.expand_dims(z, 1)[..., 0, :] - 1.0

    x = np.arange(20.0).reshape(4, 5)
    assert_close(tm.compile(views, engine="numba")(x), views(x), 1e-12)
    assert_close(tm.compile(views, engine="numba")(np.asfortranarray(x)), views(x), 1e-12)


def test_special_values_are_those_of_numpy():
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5])

    def every(x, y):
        return (
            tm.relu(x), np.maximum(x, y), np.minimum(x, y), np.sign(x), np.abs(x), np.max(x), np.min(x),
            np.where(x > y, x, y), x == y, np.isnan(x), np.isfinite(x), np.sqrt(x), np.exp(x), np.log(x),
        )  # fmt: skip

    x, y = (grid.ravel() for grid in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        expected = every(x, y)
    found = tm.compile(every, engine="numba")(x, y)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(one, other, err_msg=str(number))
        if np.asarray(other).dtype.kind == "f" and number not in (1, 2):  # NumPy leaves it open for a tie of zeros
            known = ~np.isnan(other)
            np.testing.assert_array_equal(np.signbit(one)[known], np.signbit(other)[known], err_msg=str(number))


def test_a_scan_is_one_native_function():
    def total(w, x):
        def body(state, t):
            state = np.tanh(state @ w) + np.sin(t)
            return state, np.sum(state)

        last, sums = tm.scan(body, x, np.linspace(0.0, 1.0, 30))
        return np.sum(last * last) + np.sum(sums[::2])

    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((3, 3)), rng.standard_normal((4, 3))
    fast = tm.compile(tm.value_and_grad(total, argnums=(0, 1)), engine="numba")
    assert_close(fast(w, x), tm.value_and_grad(total, argnums=(0, 1))(w, x), 1e-10)
    assert_close(fast(w * 0, x + 1e9), tm.value_and_grad(total, argnums=(0, 1))(w * 0, x + 1e9), 1e-10)
    assert repr(fast) == "<compiled total: engine numba, 1 program>"


def test_the_state_of_a_scan_is_no_memory_of_its_start():
    def turned(a, b):
        return tm.scan(lambda state, _: ((state[1], state[0]), state[0]), (a, b), None, length=2)

    a, b = np.ones(2), np.zeros(2)
    (c, d), rows = tm.compile(turned, engine="numba")(a, b)
    np.testing.assert_array_equal((c, d), (a, b))
    np.testing.assert_array_equal(rows, [a, b])
    assert not any(np.shares_memory(one, other) for one in (c, d) for other in (a, b, rows))


def test_an_error_names_the_op():
    def factor(x):
        return np.sum(np.linalg.cholesky(-np.exp(x)) + 1)

    with pytest.raises(tm.TapeError) as eager:
        tm.grad(factor)(np.ones((2, 2)))
    with pytest.raises(type(eager.value), match="cholesky"):
        tm.compile(tm.grad(factor), engine="numba")(np.ones((2, 2)))


def test_joins_and_their_derivatives_are_native():
    def joined(x, y):
        a = np.concatenate([x.T, y[::-1], np.ones((1, 3))], axis=0) * np.stack([y[0], y[1], x[:, 0]] * 2)[:, ::-1]
        first, second, third = y
        rows = np.stack([first, second * third, x[1, 1] * first], axis=1)
        return np.sum(a[1:5:2] * 2.0) + np.sum(np.sin(a[-1, None, ::-2])) + np.sum(rows[..., 0] * rows[1])

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 2)), rng.standard_normal((3, 3))
    gradients = tm.grad(joined, argnums=(0, 1))
    fast = tm.compile(gradients, engine="numba")
    assert_close(fast(x, y), gradients(x, y), 1e-12)
    assert repr(fast) == "<compiled joined: engine numba, 1 program>"


def test_native_code_keeps_the_order_of_axes_of_what_is_called():
    def images(kernel, bias, x):
        y = tm.relu(layers.conv2d(kernel, bias, x))
        return np.sum(np.sin(layers.max_pool2d(y, 2)) * 0.5), y

    rng = np.random.default_rng(0)
    operands = rng.standard_normal((4, 3, 3, 3)), rng.standard_normal(4), rng.standard_normal((2, 3, 8, 8))
    gradient = tm.value_and_grad(images, argnums=(0, 1, 2), has_aux=True)
    fast = tm.compile(gradient, engine="numba")
    assert_close(fast(*operands), gradient(*operands), 1e-11)
    entry = next(iter(fast._entries.values()))
    assert "native_in_order" in entry.run.text


def test_a_mean_of_large_numbers_does_not_overflow():
    x = np.full((2, 64), 1e38, np.float32)
    ones = np.ones(64, np.float32)
    fast = tm.compile(lambda x: layers.layer_norm(x, ones, 0 * ones), engine="numba")
    np.testing.assert_array_equal(fast(x), layers.layer_norm(x, ones, 0 * ones))
    np.testing.assert_array_equal(fast(x), 0)


def test_products_of_views():
    """Of parts of a matrix, transposed or not, in one order or backward."""
    parts = [lambda x: x[:2], lambda x: x[::-1], lambda x: x[:, 1:]]
    parts += [lambda x, part=part: part(x).T for part in parts]

    def products(x):
        views = [part(x) for part in parts]
        return [one @ other for one in views for other in views if one.shape[1] == other.shape[0]]

    x = np.arange(9.0).reshape(3, 3)
    fast = tm.compile(products, engine="numba")
    for found, expected in zip(fast(x), products(x), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_powers_of_special_values_are_those_of_numpy():
    """Of numbers as constants and as arguments, and of arrays: np.power(-inf, 0.5) is the root, NaN, for a number."""
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5, -1.0])
    exponents = [0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 3.0, 1.5, np.inf, -np.inf, np.nan]
    numbers = tm.compile(lambda x: [x**n for n in exponents], engine="numba")(special)
    one = tm.compile(lambda x, n: x**n, engine="numba")
    each = tm.compile(lambda x, n: x**n, engine="numba")
    with np.errstate(all="ignore"):
        for exponent, found in zip(exponents, numbers, strict=True):
            expected = special**exponent
            several = np.full(7, exponent)
            for value, wanted in (
                (found, expected),
                (one(special, exponent), expected),
                (each(special, several), special**several),
            ):
                np.testing.assert_array_equal(value, wanted)
                known = ~np.isnan(wanted)
                np.testing.assert_array_equal(np.signbit(value)[known], np.signbit(wanted)[known])
