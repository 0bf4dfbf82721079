"""Loops as native functions: their values and derivatives are those of eager mode, and none is left to Python."""

import threading

import numpy as np
import pytest

import tapem as tm

pytest.importorskip("numba")

X = np.array([0.3, -0.8, 1.1])
E = np.array([[0.1, 0.5, -0.3], [1.2, -0.4, 0.2], [0.7, 0.3, -0.9], [-0.2, 0.8, 0.4]])
W = np.array([[0.2, 0.5, -1.0], [0.7, -0.4, 0.1], [0.3, 0.3, -0.6]])


def same(f, *values, native=True, rtol=1e-10):
    """Hold a compiled function against eager mode: values, and types of numbers."""
    compiled = tm.compile(f, engine="numba")
    copies = [np.copy(value) if isinstance(value, np.ndarray) else value for value in values]
    for _ in range(2):
        found, wanted = tm.tree_leaves(compiled(*values)), tm.tree_leaves(f(*values))
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert type(one) is type(other)
            assert np.asarray(one).dtype == np.asarray(other).dtype
            np.testing.assert_allclose(one, other, rtol, 1e-12)
            assert not any(np.shares_memory(one, value) for value in values)
    for value, copy in zip(values, copies, strict=True):
        np.testing.assert_array_equal(value, copy)
    (entry,) = compiled._entries.values()
    in_python = [line for line in entry.run.text.splitlines() if line.strip().startswith(("for ", "while ", "else:"))]
    assert bool(in_python) != native
    return entry


def gradient_of(f):
    return tm.grad(lambda x: sum(np.sum(y**2) for y in tm.tree_leaves(f(x))))


# -- the state ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_numbers_in_the_state_keep_their_dtypes(dtype):
    def f(x, n):
        return tm.scan(lambda c, e: ((c[0] + c[0], c[1] + 1, np.logical_not(c[2])), c[0]), (x, n, np.True_), length=5)

    same(f, dtype(3), 4)


def test_python_numbers_stay_python_numbers():
    same(lambda n, y: tm.while_loop(lambda s: s[0] < 9, lambda s: (s[0] + 2, s[1] * 0.5 - s[0]), (n, y)), 1, 2.0)


def test_values_in_the_state_exchange_places():
    def f(a, b, c):
        return tm.fori_loop(0, 5, lambda i, s: (s[1], s[2], s[0], s[4], s[3]), (a, b, c, a[0], b[0]))

    same(f, X, X + 1, X * 2)


def test_what_stays_the_same_is_no_operand_in_the_results():
    same(lambda a, b: tm.scan(lambda c, e: ((c[0], c[1] * e), (c[0], e, 1.0)), (a, b), E), X, X + 1)


def test_one_value_is_many_results():
    def step(c, e):
        y = np.sin(c + e)
        return y, (y, y, y[0], y[::-1], np.sum(y))

    same(lambda x: tm.scan(step, x, E), X)
    same(gradient_of(lambda x: tm.scan(step, x, E)), X)


# -- steps -------------------------------------------------------------------------------------------------------------


def test_scans_without_steps():
    f = lambda x: tm.scan(lambda c, e: (c * e, (c, c[0])), x, np.ones((0, 3)))  # noqa: E731
    same(f, X)
    same(gradient_of(f), X)
    same(lambda x: tm.while_loop(lambda s: s[0] > 9.0, lambda s: s * x, x), X)
    same(gradient_of(lambda x: tm.while_loop(lambda s: s[0] > 9.0, lambda s: np.sin(s) * x, x)), X)


def test_rows_of_numbers_and_counters():
    same(lambda x: tm.scan(lambda c, e: (c + e[0] * e[1], c * e[1]), 0.5, (x, np.arange(3))), X)
    same(lambda x: tm.fori_loop(2, 7, lambda i, s: s * i + i // 2 - i % 3, x), X)


def test_stacks_grow():
    f = lambda x: tm.while_loop(lambda s: s[0] < 100, lambda s: (s[0] + 1, np.sin(s[1]) * x), (0, x))[1]  # noqa: E731
    same(gradient_of(f), X)


@pytest.mark.parametrize("slices", [np.s_[:, ::2], np.s_[::-1], np.s_[::2]])
def test_slices_of_arrays_that_are_not_contiguous(slices):
    xs = np.asfortranarray(np.arange(24.0).reshape(4, 6))[slices]
    same(lambda x, xs: tm.scan(lambda c, e: (c + np.sum(np.sin(e)), e * 2.0), x, xs), 0.5, xs)


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_products_and_turned_captures():
    w = W.astype(np.float64)
    f = lambda x: tm.scan(lambda c, e: (np.tanh(w.T @ c + W @ e), w[1] * c), x, E)  # noqa: E731
    same(f, X)
    same(gradient_of(f), X)
    g = lambda w: np.sum(tm.scan(lambda c, e: (np.tanh(c @ w + e * w), None), E[:3], E)[0] ** 2)  # noqa: E731
    same(tm.grad(g), W)


def test_conditions_in_loops():
    def f(x):
        def step(s):
            n, y, flag = s
            y, flag = tm.cond(y[0] > 0.2, lambda: (y * 0.5 + x * 0.1, False), lambda: (np.sin(y) + x * x, True))
            return n + 1, y, flag

        return tm.while_loop(lambda s: s[0] < 6, step, (0, x, False))

    same(f, X)
    same(gradient_of(lambda x: f(x)[1]), X)


def nested(x):
    def outer(c, e):
        last = tm.while_loop(lambda s: np.sum(s * s) > 0.5, lambda s: s * 0.7 * np.cos(s * x), c + e)
        inner, ys = tm.scan(lambda d, g: (np.sin(d * g) + c, d * x), last, E[:2])
        return inner, np.sum(ys)

    return tm.scan(outer, x, E)


def test_nested_loops():
    same(nested, X)
    same(gradient_of(nested), X)
    same(tm.grad(lambda x: np.sum(gradient_of(nested)(x) * X)), X)


def test_second_order():
    def f(x):
        return np.sum(tm.scan(lambda c, e: (np.tanh(W @ c + e * x), c * e), x, E)[1] ** 2)

    same(tm.hessian(f), X, native=True)


def test_long_bodies_are_divided():
    def step(c, e):
        for number in range(30):
            c = np.sin(c * 0.9) + np.sum(c) * 0.01 + c[::-1] * e * number * 0.01
        return c, c[0]

    entry = same(lambda x: tm.scan(step, x, E), X)
    assert max(len(part.splitlines()) for text in entry.run.native for part in text.split("@part")) < 150


def test_an_op_without_a_native_form_leaves_the_loop_to_python():
    same(lambda x: tm.scan(lambda c, e: (np.argsort(c) + e, c), x, E), X, native=False)


@pytest.mark.parametrize(
    "at",
    [np.s_[:-1], np.s_[1:], np.s_[2], np.s_[-1], np.s_[1:3], np.s_[::2], np.s_[::-1], np.s_[1:, :2], np.s_[..., 1]],
)
def test_cotangents_of_parts(at):
    f = lambda x: tm.fori_loop(0, 3, lambda i, s: np.sin(s) + np.sum(s[at] ** 2) * 0.1, x)  # noqa: E731
    same(gradient_of(f), E)


# -- indices that are computed -----------------------------------------------------------------------------------------


TABLE = np.arange(12.0).reshape(4, 3)
ORDER = np.array([2, 0, 3, 3])


@pytest.mark.parametrize(
    "row",
    [
        lambda t, i: t[i],
        lambda t, i: t[-1 - i],
        lambda t, i: tm.take(t, i, axis=0),
        lambda t, i: t[tm.take(ORDER, i, axis=0)],
        lambda t, i: t[i, 1] * t[2],
        lambda t, i: t[:, i][1:],
        lambda t, i: t[ORDER][i],
        lambda t, i: tm.take(t, np.array([2, 0, 2]), axis=1)[i],
        lambda t, i: t[np.array([[1, 0, 2]]) + 0 * i, np.array([[2, 2, 1]])][0],
    ],
)
def test_rows_by_computed_indices(row):
    def f(t):
        return tm.fori_loop(0, 3, lambda i, s: np.sin(s) + row(t, i), X)

    same(f, TABLE)
    same(gradient_of(f), TABLE)


def test_an_index_out_of_range_is_the_error_of_eager_mode():
    def f(t, n):
        return tm.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] + t[s[0]]), (0, X))

    compiled = tm.compile(f, engine="numba")
    np.testing.assert_allclose(compiled(TABLE, 4)[1], f(TABLE, 4)[1])
    with pytest.raises(tm.ArgumentError, match="index 4 is out of bounds for axis 0 with size 4"):
        compiled(TABLE, 6)


def test_a_python_number_divided_by_zero_is_the_error_of_eager_mode():
    f = lambda n: tm.while_loop(lambda s: s[0] > -2, lambda s: (s[0] - 1, 1.0 / s[0]), (n, 1.0))  # noqa: E731
    assert tm.compile(f, engine="numba")(-1) == f(-1)
    with pytest.raises(ZeroDivisionError):
        tm.compile(f, engine="numba")(3)


def test_large_arguments_of_sin():
    same(lambda x: tm.fori_loop(0, 30, lambda i, s: np.sin(s) + s * 3.0, x), X)


def test_calls_from_several_threads():
    compiled = tm.compile(lambda x: tm.scan(lambda c, e: (np.sin(c * e), c), x, E), engine="numba")
    wanted = {number: compiled(X * number) for number in range(4)}
    wrong = []

    def run(number):
        for _ in range(50):
            last, ys = compiled(X * number)
            if not (np.array_equal(last, wanted[number][0]) and np.array_equal(ys, wanted[number][1])):
                wrong.append(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
