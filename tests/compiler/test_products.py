"""Native products of matrices: any shape, any order of axes, both dtypes, against NumPy."""

import numpy as np
import pytest

import tapem as tm
from tapem.compiler.native.access import accesses
from tapem.compiler.native.products import known, product, room
from tapem.compiler.passes import common, products, sizes_of
from tapem.compiler.tracing import kind_of_leaf, traced

numba = pytest.importorskip("numba")


@numba.njit
def multiply(a, b, c, m, k, n, work):
    """Call the product with operands as tuples of an array and where the matrix lies in it."""
    product(a, b, c, m, k, n, work)


def laid_out(matrix, random):
    """A matrix somewhere in a line of NaN: by rows or columns or neither, and the line with its place and steps."""
    rows, columns = matrix.shape
    order = random.integers(3)
    start = int(random.integers(4))
    apart = 2 if order == 2 else 1
    steps = (columns * apart + 3, apart) if order != 1 else (1, rows + 3)
    line = np.full(start + (rows - 1) * steps[0] + (columns - 1) * steps[1] + 1, np.nan, matrix.dtype)
    down, right = random.integers(2, size=2) if order != 1 else (0, 0)  # from the last row or column on
    start += int(down * (rows - 1) * steps[0] + right * (columns - 1) * steps[1])
    steps = (-steps[0] if down else steps[0], -steps[1] if right else steps[1])
    for i in range(rows):
        for j in range(columns):
            line[start + i * steps[0] + j * steps[1]] = matrix[i, j]
    return line, start, *steps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_shape_and_order(dtype):
    known(8 * np.dtype(dtype).itemsize)
    random = np.random.default_rng(0)
    sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 64, 65]
    for _ in range(300):
        m, k, n = (int(random.choice(sizes)) for _ in range(3))
        a, b = random.standard_normal((m, k)).astype(dtype), random.standard_normal((k, n)).astype(dtype)
        work = np.full(room(m, k, a.itemsize), np.nan, dtype)
        c = np.full((m + 2) * (n + 3), np.nan, dtype)
        multiply(laid_out(a, random), laid_out(b, random), (c, n + 3, n + 3), m, k, n, work)
        exact = a.astype(np.float64) @ b.astype(np.float64)
        bound = k * np.finfo(dtype).eps * (abs(a) @ abs(b)) + np.finfo(dtype).tiny
        rows = c.reshape(m + 2, n + 3)
        assert (abs(rows[1:-1, :n] - exact) <= bound).all(), (m, k, n)
        assert np.isnan(rows[[0, -1]]).all(), (m, k, n)
        assert np.isnan(rows[:, n:]).all(), (m, k, n)


def test_infinities_and_nan_stay_in_their_rows_and_columns():
    known(32)
    a, b = np.ones((9, 20), np.float32), np.ones((20, 37), np.float32)
    a[3, 4], b[5, 36], b[2, 7] = np.nan, np.inf, -np.inf
    c, work = np.empty(9 * 37, np.float32), np.empty(room(9, 20, 4), np.float32)
    multiply((a.ravel(), 0, 20, 1), (b.ravel(), 0, 37, 1), (c, 0, 37), 9, 20, 37, work)
    np.testing.assert_array_equal(c.reshape(9, 37), a @ b)


def test_views_are_read_where_they_are():
    random = np.random.default_rng(1)
    x, w = random.standard_normal((3, 8, 2, 16), np.float32), random.standard_normal((16, 7), np.float32)

    def f(x, w):
        heads = x.transpose(0, 2, 1, 3)
        scores = heads @ heads.swapaxes(2, 3)
        return {
            "mixed": scores @ heads,
            "turned": scores.swapaxes(2, 3) @ heads[:, :, ::-1],
            "repeated": np.matmul(heads, w),
            "one stack": np.matmul(heads[1, :, 2:], heads[:, :, 1:].swapaxes(2, 3)),
            "part": heads[0, 1, 1:7, 2:12] @ w[3:13, :6],
        }

    fast = tm.compile(f, engine="numba")
    for (name, ours), theirs in zip(fast(x, w).items(), f(x, w).values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4, err_msg=name)
    assert "called" not in repr(fast)


def test_strides_of_views_are_those_of_numpy():
    random = np.random.default_rng(2)
    x = random.standard_normal((4, 1, 6, 5)).astype(np.float32)
    ways = [
        lambda x: x.transpose(3, 0, 2, 1),
        lambda x: x[1, 0, ::2, 1:],
        lambda x: np.flip(x[:, 0], 1).swapaxes(0, 2),
        lambda x: np.broadcast_to(x[2], (3, 6, 5))[1:, ::-2],
        lambda x: x.reshape(4, 6, 1, 5)[3],
    ]
    for way in ways:
        view = way(x)
        found = traced(lambda values, way=way: way(values[0]), [kind_of_leaf(x)], "f").program
        access = accesses(found)[found.outputs[0]]
        start, steps = access.strides(x.shape, view.shape)
        real = [step // 4 for step in view.strides]
        assert start == (view.__array_interface__["data"][0] - x.__array_interface__["data"][0]) // 4
        assert [s for s, size in zip(steps, view.shape, strict=True) if size > 1] == [
            s for s, size in zip(real, view.shape, strict=True) if size > 1
        ]


def test_large_and_thin_products_are_left_to_blas():
    def sizes(*shapes):
        arrays = [np.empty(shape, np.float32) for shape in shapes]
        program = traced(lambda xs: np.matmul(*xs), [*map(kind_of_leaf, arrays)], "f").program
        return sizes_of(program.nodes[program.outputs[0]])

    assert sizes((32, 128), (128, 128)) == (32, 128, 128)
    assert sizes((2, 32, 128), (128, 128)) == (32, 128, 128)
    assert sizes((32, 128), (128, 1)) is None
    assert sizes((32, 128), (128,)) is None
    assert sizes((1, 128), (128, 128)) is None
    assert sizes((1024, 1024), (1024, 1024)) is None


# -- what is added to products -----------------------------------------------------------------------------------------

SUMS = {
    "an update": (lambda w, b, x, d, rate: w - rate * (d.T @ x), 1),
    "with a number": (lambda w, b, x, d, rate: w - 0.5 * (d.T @ x), 1),
    "with an array": (lambda w, b, x, d, rate: (d.T @ x) * b[0] + w, 1),
    "without a factor": (lambda w, b, x, d, rate: w - d.T @ x, 1),
    "a bias": (lambda w, b, x, d, rate: x @ w.T + b, 1),
    "a bias before": (lambda w, b, x, d, rate: b + x @ w.T, 1),
    "a chain": (lambda w, b, x, d, rate: (x @ w.T + b) @ w, 1),
    "of itself": (lambda w, b, x, d, rate: w + 2 * (w @ w.T), 1),
    "two": (lambda w, b, x, d, rate: (w - rate * (d.T @ x), x @ w.T + b), 2),
    "a difference from a product": (lambda w, b, x, d, rate: d.T @ x - w, 0),
    "a product that is needed": (lambda w, b, x, d, rate: (w - rate * (d.T @ x), d.T @ x), 0),
    "in a loop": (lambda w, b, x, d, rate: np.tanh(x @ w.T + b), 0),
    "to what is computed": (lambda w, b, x, d, rate: w * 2 - d.T @ x, 0),
    "in another dtype": (lambda w, b, x, d, rate: w.astype(np.float64) - d.T @ x, 0),
    "by columns": (lambda w, b, x, d, rate: x @ w.T + d[:, :1], 0),
    "too few columns": (lambda w, b, x, d, rate: w[:, :3] - d.T @ x[:, :3], 0),
}


@pytest.mark.parametrize("name", SUMS)
def test_what_is_added_to_products(name):
    f, count = SUMS[name]
    random = np.random.default_rng(3)
    for m, n, k in [(9, 18, 18), (21, 40, 40), (8, 33, 33)]:
        w, b, x, d = (random.standard_normal(s).astype(np.float32) for s in [(n, k), n, (m, k), (m, n)])
        program = traced(lambda values: f(*values), [*map(kind_of_leaf, (w, b, x, d, 0.1))], "f").program
        after = products(common(program))
        assert sum(getattr(node.op, "name", "") == "product_and_sum" for node in after.nodes) == count
        for ours, theirs in zip(after(w, b, x, d, 0.1), program(w, b, x, d, 0.1), strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_sums_and_products_are_native():
    def f(w, b, x, d, rate):
        return [sum(w, b, x, d, rate) for sum, count in SUMS.values() if count]

    random = np.random.default_rng(4)
    w, b, x, d = (random.standard_normal(s).astype(np.float32) for s in [(33, 33), 33, (21, 33), (21, 33)])
    w[3, 4] = np.inf
    fast, before = tm.compile(f, engine="numba"), w.copy()
    with np.errstate(invalid="ignore"):
        found, expected = (tm.tree_leaves(g(w, b, x, d, 0.1)) for g in (fast, f))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(w, before)
    assert "called" not in repr(fast)
