"""What passes do for the layout of arrays in memory: slices instead of rows, one product instead of many."""

import numpy as np
import pytest

import tapem as tm
from tapem.compiler.passes import dead, slices
from tests.compiler.test_passes import assert_bits, names, program_of, run

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((9, 5))

STACKED = [
    ("all rows", lambda x: np.stack([*x]), []),
    ("as columns", lambda x: np.stack([*x], axis=1), ["moveaxis"]),
    ("as the last axis", lambda x: np.stack([*x], axis=-1), ["moveaxis"]),
    ("backwards", lambda x: np.stack([*x][::-1]), ["getitem"]),
    ("some, in the middle", lambda x: np.stack([x[2], x[3], x[4], x[5]]), ["getitem"]),
    ("with others", lambda x: np.stack([np.sin(x[0]), *[x[i] for i in range(2, 9)], x[0]]),
     ["getitem", "sin", "stack", "getitem", "stack", "concat"]),
    ("twice", lambda x: np.stack([*[x[i] for i in range(5)], *[x[i] for i in range(6, -1, -1)]]),
     ["getitem", "getitem", "concat"]),
    ("by negative numbers", lambda x: np.stack([x[-4], x[-3], x[-2], x[-1]]), ["getitem"]),
    ("every second one", lambda x: np.stack([x[0], x[2], x[4], x[6], x[8]]), None),
    ("three", lambda x: np.stack([x[0], x[1], x[2]]), None),
    ("of different arrays", lambda x: np.stack([x[0], x[1], (x + 1)[2], (x + 1)[3]]), None),
]  # fmt: skip


@pytest.mark.parametrize(("f", "expected"), [case[1:] for case in STACKED], ids=[case[0] for case in STACKED])
def test_rows_that_are_stacked_again_are_a_slice(f, expected):
    program = program_of(lambda x: f(Rows(x)), ROWS)
    after = dead(slices(program))
    assert_bits(run(after, ROWS), run(program, ROWS))
    if expected is None:
        assert names(after) == names(program)
    else:
        assert sorted(names(after)) == sorted(expected)


class Rows:
    """An array that is taken apart by numbers only."""

    def __init__(self, x):
        self.x = x

    def __getitem__(self, number):
        return self.x[number]

    def __iter__(self):
        return (self.x[number] for number in range(9))

    def __add__(self, other):
        return Rows(self.x + other)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
@pytest.mark.parametrize("increasing", [True, False])
def test_the_powers_of_a_loop_are_the_columns_of_a_matrix(engine, increasing):
    def cost(x, t):
        return np.sum(np.square(np.vander(t, 90, increasing=increasing) @ x))

    x, t = RNG.standard_normal(90), np.linspace(-1.0, 1.0, 30)
    compiled = tm.compile(tm.grad(cost, argnums=(0, 1)), engine=engine)
    for found, expected in zip(compiled(x, t), tm.grad(cost, argnums=(0, 1))(x, t), strict=True):
        np.testing.assert_allclose(found, expected, 1e-11)
    stacks = [node for node in compiled.tape(x, t).after if node.op.name == "stack"]
    assert all(len(node.parents) <= 2 for node in stacks)


def assert_compiled(f, *arguments, rtol=1e-12, engines=("numba", "numpy")):
    for engine in engines:
        found, expected = tm.compile(f, engine=engine)(*arguments), f(*arguments)
        for a, b in zip(tm.tree_leaves(found), tm.tree_leaves(expected), strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol, rtol)


def products(a, b):
    """The shapes of the products in the improved tape of `a @ b`."""
    after = tm.compile(np.matmul, engine="numba").tape(a, b).after
    return [[np.shape(x) for x in node.inputs] for node in after if node.op.name == "matmul"]


def drawn(*shape, dtype=float):
    return RNG.standard_normal(shape).astype(dtype)


ONE = [
    ((40, 5), (6, 5, 3), [[(40, 5), (5, 18)]]),
    ((16, 5), (2, 3, 5, 15), [[(16, 5), (5, 90)]]),
    ((6, 40, 5), (5, 7), [[(240, 5), (5, 7)]]),
    ((2, 3, 4, 5), (5, 1), [[(24, 5), (5, 1)]]),
    ((15, 5), (6, 5, 3), [[(15, 5), (6, 5, 3)]]),
    ((40, 5), (6, 5, 16), [[(40, 5), (6, 5, 16)]]),
    ((6, 40, 5), (6, 5, 3), [[(6, 40, 5), (6, 5, 3)]]),
]


@pytest.mark.parametrize(("left", "right", "expected"), ONE)
def test_one_matrix_times_a_stack_is_one_product(left, right, expected):
    a, b = drawn(*left), drawn(*right)
    assert products(a, b) == expected
    assert_compiled(np.matmul, a, b)
    assert_compiled(tm.grad(lambda a, b: np.sum(np.sin(a @ b)), argnums=(0, 1)), a, b)


def test_a_turned_stack_is_multiplied_as_it_lies_in_memory():
    f = lambda a, b: np.swapaxes(a, 1, 2) @ b  # noqa: E731
    a, b = drawn(4, 30, 20), drawn(30, 25)
    after = tm.compile(f, engine="numba").tape(a, b).after
    assert "reshape" not in [node.op.name for node in after]
    assert_compiled(f, a, b)


SHAPES = [
    ((3, 4), (4, 2)), ((4,), (4, 2)), ((3, 4), (4,)), ((5, 3, 4), (4,)), ((4,), (5, 4, 2)), ((3, 4), (5, 4, 2)),
    ((2, 5, 3, 4), (5, 4, 2)), ((2, 1, 3, 4), (5, 4, 2)), ((5, 3, 4), (2, 1, 4, 2)), ((2, 5, 3, 4), (2, 5, 4, 2)),
    ((1, 3, 4), (5, 4, 2)), ((2, 5, 13, 14), (5, 14, 12)), ((2, 1, 20, 14), (3, 14, 25)), ((5, 30, 20), (20,)),
    ((20,), (2, 20, 30)), ((1, 1), (7, 1, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_products_of_all_shapes_are_native(left, right, dtype):
    a, b = drawn(*left, dtype=dtype), drawn(*right, dtype=dtype)
    compiled = tm.compile(np.matmul, engine="numba")
    found = compiled(a, b)
    assert found.dtype == dtype and "called" not in repr(compiled)
    np.testing.assert_allclose(found, a @ b, rtol=1e-5 if dtype is np.float32 else 1e-12, atol=1e-5)


def test_products_read_views_where_they_lie():
    def parts(x, y):
        head, flipped = x[:3], y[::-1, :, 1:3]
        return head.T @ x[1:4, ::-1], head @ flipped, flipped @ y[0, :2, :2], np.swapaxes(y, 1, 2) @ x[0]

    assert_compiled(parts, drawn(4, 5), drawn(6, 5, 4)[:, :, :], engines=("numba",))


def test_a_product_of_some_rows_turned():
    assert_compiled(lambda x, y: x[:30].T @ y, drawn(40, 50), drawn(30, 20))


def test_products_of_stacks_in_a_loop_are_native():
    def turned(m, x):
        return tm.scan(lambda x, t: (np.tanh(m @ x) * t, np.sum(m[0] @ x)), x, np.linspace(1.0, 2.0, 12))

    m, x = drawn(2, 1, 3, 3), drawn(4, 3, 2)
    x = np.broadcast_to(x, (2, 4, 3, 2)).copy()
    compiled = tm.compile(turned, engine="numba")
    assert_compiled(turned, m, x)
    compiled(m, x)
    assert repr(compiled) == "<compiled turned: engine numba, 1 program>"
