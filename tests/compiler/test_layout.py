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
