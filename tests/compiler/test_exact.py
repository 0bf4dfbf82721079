"""What holds the promise of `fast=False`: where NumPy's last bit depends on more than the ops and their values.

NumPy raises its scalars by C's pow and arrays by a loop of its own; it sums in the order of memory.
"""

import numpy as np
import pytest

import tapem as tm

KEY = np.random.default_rng(13)
VECTORS = KEY.standard_normal((200, 5)) ** 2 + 0.1


def assert_exact(f, *arguments):
    compiled = tm.compile(f, engine="numpy", fast=False)
    for values in zip(*arguments, strict=True):
        expected, found = tm.tree_leaves(f(*values)), tm.tree_leaves(compiled(*values))
        for one, other in zip(found, expected, strict=True):
            assert type(one) is type(other)
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


EXPONENTS = [3, -2, 0.5, 1.7, np.float64(2.5), np.float32(1.5), True]


@pytest.mark.parametrize("exponent", EXPONENTS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_powers_of_numbers_are_those_of_plain_code(exponent, dtype):
    vectors = VECTORS.astype(dtype)
    assert_exact(lambda x: np.mean(x) ** exponent, vectors)
    assert_exact(lambda x: np.mean(x) ** x[0] + np.sum(x > 0.5) ** np.mean(x), vectors)
    assert_exact(lambda x: x**exponent, vectors)
    if not isinstance(exponent, np.generic):  # NumPy gives its own scalar's power of a tracer to np.power
        assert_exact(lambda x: abs(exponent) ** np.sum(x), vectors)


def test_powers_inside_of_derivatives_are_those_of_the_op():
    scalar = lambda x: np.mean(x) ** 3 + 2.0 ** x[1]  # noqa: E731
    assert_exact(tm.value_and_grad(scalar), VECTORS)
    assert_exact(lambda x: scalar(x) * tm.grad(scalar)(x), VECTORS)
    assert_exact(tm.grad(lambda x: np.sum(tm.grad(scalar)(x) ** 2)), VECTORS)
    assert_exact(lambda x: tm.value_and_grad(scalar)(x)[0] ** 3, VECTORS)
    assert_exact(lambda x: tm.jvp(scalar, (x,), (x,))[1] ** 3, VECTORS)
    assert_exact(lambda x: tm.grad(lambda y: np.mean(x) ** 3 * np.sum(y))(x), VECTORS)
    assert_exact(lambda x: tm.no_grad(lambda: np.sum(x)) ** 1.7, VECTORS)


def test_powers_of_two_python_numbers_are_pythons():
    compiled = tm.compile(lambda n, m: n**m, engine="numpy", fast=False)
    assert compiled(2.0, 0.5) == 2.0**0.5


def test_a_program_with_powers_of_numbers_is_written_differentiated_and_mapped():
    f = lambda x: np.mean(x) ** 1.7  # noqa: E731
    compiled = tm.compile(f, engine="numpy", fast=False)
    assert "mean ** 1.7" in compiled.source(VECTORS[0])
    scope = {}
    exec(compiled.source(VECTORS[0]), scope)
    assert scope["f"](VECTORS[0]) == f(VECTORS[0])
    np.testing.assert_allclose(tm.grad(compiled)(VECTORS[0]), tm.grad(f)(VECTORS[0]), 1e-14)
    np.testing.assert_allclose(tm.vmap(compiled)(VECTORS), [f(x) for x in VECTORS], 1e-14)


LAYOUTS = {
    "a result of vmap that is not mapped": lambda x: np.sum(np.sin(tm.vmap(lambda _: x, -1, -1)(x))),
    "a cotangent of a sum": tm.grad(lambda x: np.sum(np.einsum("i,j->ij", x, x).sum(0, keepdims=True) ** 2)),
    "a cotangent of a mean": tm.grad(lambda x: np.sum(np.mean(np.einsum("i,jk->kij", x, x[:, None] * x), 1) ** 2)),
    "a copy": lambda x: np.sum(np.broadcast_to(x[:, None], (5, 6)).copy()),
    "a transpose": lambda x: np.sum(np.outer(x, np.sin(x)).T),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_sums_go_by_the_same_layout_in_memory(name):
    assert_exact(LAYOUTS[name], VECTORS)


def test_norms_of_complex_numbers_have_the_same_direction_on_arrays_and_tracers():
    parts = VECTORS + 1j * VECTORS[::-1]
    for ord in (1, 3, np.inf):
        assert_exact(tm.grad(lambda z, ord=ord: tm.norm(z * z, ord=ord)), parts)
