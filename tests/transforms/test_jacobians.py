"""jacfwd, jacrev, jacobian, hessian and hvp: shapes, trees, and one run of the function."""

import dataclasses
import tracemalloc
from typing import NamedTuple

import numpy as np
import pytest
from jaxtyping import Float

import tapem as tm

from .judges import close, complex_jacobian, difference_hessian

X = np.array([0.3, -0.8, 1.1])
V = np.array([1.0, -2.0, 0.5])
M = np.array([[0.2, 0.5, -1.0], [0.7, -0.4, 0.1]])
both = pytest.mark.parametrize("jacobian", [tm.jacfwd, tm.jacrev])


class Pair(NamedTuple):
    first: object
    second: object


@dataclasses.dataclass
class Box:
    value: object


SHAPES = [
    (lambda x: np.sum(x**3), X),
    (lambda x: x**3, X),
    (lambda x: np.outer(x, x**2), X),
    (lambda x: np.stack([np.sum(x), x[0] * x[1]]), X),
    (lambda x: x**2, np.array(0.7)),
    (lambda x: np.stack([x, x**2, np.sin(x)]), np.array(0.7)),
    (lambda m: np.sin(m), M),
    (lambda m: m @ m.T, M),
    (lambda m: np.sum(m * m), M),
    (lambda m: m @ X, M),
    (lambda m: np.einsum("ij,kj->ik", m, np.cos(m))[0], M),
    (lambda m: np.linalg.solve(m @ m.T + 2 * np.eye(2), m), M),
    (lambda m: np.expand_dims(np.sum(m, axis=0, keepdims=True), -1), M),
]


@both
@pytest.mark.parametrize(("f", "x"), SHAPES)
def test_the_shape_is_output_plus_input(jacobian, f, x):
    found = jacobian(f)(x)
    assert found.shape == np.shape(f(x)) + np.shape(x) and type(found) is np.ndarray
    close(found, complex_jacobian(f, x))


def test_jacobian_is_one_of_them():
    close(tm.jacobian(lambda m: m @ X)(M), tm.jacfwd(lambda m: m @ X)(M))


@both
def test_argnums(jacobian):
    f = lambda m, x: m @ x  # noqa: E731
    in_m = np.einsum("ik,j->ikj", np.eye(2), X)
    close(jacobian(f)(M, X), in_m)
    close(jacobian(f, argnums=1)(M, X), M)
    close(jacobian(f, argnums=-1)(M, X), M)
    close(jacobian(f, argnums=(1, 0))(M, X), (M, in_m))
    close(jacobian(f, argnums=(1,))(M, X), (M,))


@both
def test_trees_of_inputs_and_outputs(jacobian):
    def f(tree, scale):
        return {"a": tree["m"] @ tree["x"].value * scale, "b": Pair(np.sum(tree["x"].value ** 2), tree["x"].value)}

    found = jacobian(f, argnums=(0, 1))({"m": M, "x": Box(X)}, 2.0)
    assert set(found) == {"a", "b"} and type(found["b"]) is Pair
    for block in (found["a"], found["b"].first, found["b"].second):
        assert type(block) is tuple and set(block[0]) == {"m", "x"} and type(block[0]["x"]) is Box
    close(found["a"][0]["m"], 2 * np.einsum("ik,j->ikj", np.eye(2), X))
    close(found["a"][0]["x"].value, 2 * M)
    close(found["a"][1], M @ X)
    close(found["b"].first[0]["x"].value, 2 * X)
    close(found["b"].first[0]["m"], np.zeros((2, 3)))
    close(found["b"].second[0]["x"].value, np.eye(3))
    close(found["b"].second[0]["m"], np.zeros((3, 2, 3)))
    close(found["b"].second[1], np.zeros(3))


@both
def test_the_function_runs_once(jacobian):
    runs = []

    def f(x):
        runs.append(1)
        return np.outer(x, np.sin(x))

    jacobian(f)(X)
    assert len(runs) == 1


def test_a_hessian_runs_the_function_once():
    runs = []

    def f(x):
        runs.append(1)
        return np.sum(x**4)

    close(tm.hessian(f)(X), np.diag(12 * X**2))
    assert len(runs) == 1
    tm.hvp(f, (X,), (V,))
    assert len(runs) == 2


@both
def test_the_function_may_read_values(jacobian):
    """f runs at the point itself, so Python control flow is free, and so are constants of any kind."""

    def f(x):
        table = {True: x**2, False: -x}
        return np.stack([table[bool(element > 0)][i] for i, element in enumerate(x)])

    close(jacobian(f)(X), np.diag([2 * X[0], -1.0, 2 * X[2]]))


@both
def test_sparse_dependence_gives_exact_zeros(jacobian):
    found = jacobian(lambda x: np.stack([x[0] * 2, x[1] ** 2, 5.0 + 0 * x[2]]))(X)
    close(found, np.diag([2.0, 2 * X[1], 0.0]), 0, 0)


@both
def test_discrete_outputs(jacobian):
    with pytest.raises(tm.DTypeError, match="int"):
        tm.jacrev(lambda x: np.argmax(x))(X)
    with pytest.raises(tm.DTypeError):
        jacobian(lambda x: x * 1.0)(np.arange(3))


def test_hessians_of_trees_are_trees_of_trees():
    def f(tree):
        return np.sum(tree["m"] @ tree["x"] ** 2) * tree["s"]

    tree = {"m": M, "x": X, "s": 2.0}
    found = tm.hessian(f)(tree)
    close(found["x"]["x"], np.diag(4 * np.sum(M, axis=0)))
    close(found["m"]["m"], np.zeros((2, 3, 2, 3)))
    close(found["s"]["x"], np.sum(M, axis=0) * 2 * X)
    close(found["x"]["s"], found["s"]["x"])
    close(found["m"]["x"], np.broadcast_to(np.diag(4 * X), (2, 3, 3)))
    close(found["x"]["m"], np.moveaxis(found["m"]["x"], -1, 0))
    close(tm.hessian(lambda m, x: np.sum(m @ x**2), argnums=(0, 1))(M, X)[1][1], np.diag(2 * np.sum(M, axis=0)))


def test_hessians_of_vector_functions():
    found = tm.hessian(lambda x: np.stack([np.sum(x**3), x[0] * x[1]]))(X)
    assert found.shape == (2, 3, 3)
    close(found[0], np.diag(6 * X))
    close(found[1], [[0, 1, 0], [1, 0, 0], [0, 0, 0]])


def test_hvp_of_several_arguments_and_trees():
    def f(x, y):
        return np.sum(x**2 * y["w"])

    y = {"w": np.array([1.0, 2.0, 3.0])}
    in_x, in_y = tm.hvp(f, (X, y), (V, {"w": X}))
    close(in_x, 2 * y["w"] * V + 2 * X * X)
    close(in_y["w"], 2 * X * V)
    close(tm.hvp(lambda x: np.sum(x**3), X, V), 6 * X * V)
    close(tm.hvp(lambda x: np.sum(x**3), [X], [V]), 6 * X * V)
    close(tm.hvp(lambda t: np.sum(t["a"] ** 3), ({"a": X},), ({"a": V},))["a"], 6 * X * V)


def test_hvp_refuses_what_does_not_fit():
    with pytest.raises(tm.ShapeError, match=r"tangent has shape \(2,\)"):
        tm.hvp(lambda x: np.sum(x**3), (X,), (np.ones(2),))
    with pytest.raises(tm.TreeError):
        tm.hvp(lambda x: np.sum(x**3), (X,), (X, X))
    with pytest.raises(tm.NotScalarError):
        tm.hvp(lambda x: x**3, (X,), (V,))


def test_jacobians_of_jacobians():
    f = lambda x: np.stack([np.prod(np.sin(x)), np.sum(x) ** 3])  # noqa: E731
    expected = np.stack([difference_hessian(lambda x, i=i: f(x)[i], X) for i in range(2)])
    for outer in (tm.jacfwd, tm.jacrev):
        for inner in (tm.jacfwd, tm.jacrev):
            close(outer(inner(f))(X), expected, 1e-6, 1e-7)


def test_jacobians_under_vmap_and_of_vmap():
    batch = np.stack([X, V, X * V, X + V])
    f = lambda x: np.stack([x[0] * x[1], np.sum(np.sin(x))])  # noqa: E731
    expected = np.stack([complex_jacobian(f, x) for x in batch])
    for jacobian in (tm.jacfwd, tm.jacrev):
        close(tm.vmap(jacobian(f))(batch), expected)
        of_map = jacobian(tm.vmap(f))(batch)
        assert of_map.shape == (4, 2, 4, 3)
        close(np.einsum("nanb->nab", of_map), expected)
        close(np.sum(np.abs(of_map)), np.sum(np.abs(expected)))  # nothing off the diagonal


@both
def test_a_large_jacobian_is_one_batched_sweep(jacobian):
    """The number of ops recorded, and so of Python steps, does not depend on the number of rows."""
    weights = np.linspace(-1, 1, 200 * 200).reshape(200, 200)
    calls = []

    def rule(g, y, x):
        calls.append(1)
        return g * np.cos(x)

    counted = tm.elementwise(rule)(sine)
    found = jacobian(lambda x: counted(weights @ x))(np.linspace(0, 1, 200))
    close(found, np.cos(weights @ np.linspace(0, 1, 200))[:, None] * weights)
    assert len(calls) == 1


def sine(x: Float[tm.Tensor, "..."]) -> Float[tm.Tensor, "..."]:
    """Sine, whose rule is counted."""
    return np.sin(x)


# -- which sweep is taken ----------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(("f", "x"), SHAPES)
def test_chunks_give_the_same(jacobian, chunk_size, f, x):
    found, whole = jacobian(f, chunk_size=chunk_size)(x), jacobian(f)(x)
    assert found.shape == whole.shape and found.dtype == whole.dtype and found.flags.writeable
    close(found, whole, rtol=1e-14, atol=1e-14)
    weights = np.cos(np.arange(whole.size)).reshape(whole.shape)
    close(
        tm.grad(lambda x: np.sum(jacobian(f, chunk_size=chunk_size)(x) * weights))(x),
        tm.grad(lambda x: np.sum(jacobian(f)(x) * weights))(x),
    )
    batch = np.stack([x, x + 0.25, x - 0.125])
    close(tm.vmap(jacobian(f, chunk_size=chunk_size))(batch), np.stack([jacobian(f)(one) for one in batch]))


@both
@pytest.mark.parametrize("chunk_size", [None, 1, 4])
def test_chunks_of_trees_and_of_complex_numbers(jacobian, chunk_size):
    def f(tree):
        return {"a": tree["m"] @ tree["x"], "b": np.sum(tree["m"]) * tree["x"][:1]}

    found = jacobian(f, chunk_size=chunk_size)({"m": M, "x": X})
    assert [leaf.shape for leaf in tm.tree_leaves(found)] == [(2, 2, 3), (2, 3), (1, 2, 3), (1, 3)]
    close(found["a"]["x"], M)
    close(found["a"]["m"], np.einsum("ik,j->ikj", np.eye(2), X))
    close(found["b"]["m"], np.full((1, 2, 3), X[0]))
    close(found["b"]["x"], np.sum(M) * np.eye(1, 3))
    z = X + 1j * V
    close(jacobian(lambda z: z**2, holomorphic=True, chunk_size=chunk_size)(z), np.diag(2 * z))


@both
def test_no_directions_and_no_chunk(jacobian):
    assert jacobian(lambda x: x[:0] * 2.0, chunk_size=2)(X).shape == (0, 3)
    assert jacobian(lambda x: np.ones(2) * np.sum(x), chunk_size=2)(X[:0]).shape == (2, 0)
    for wrong in (0, -1, 2.0, True, "2"):
        with pytest.raises(tm.ArgumentError, match=r"chunk_size=.* must be a positive integer"):
            jacobian(np.sin, chunk_size=wrong)


def counted():
    """The sine, and the shapes of the cotangents and tangents that its rules got."""
    shapes = []

    def rule(g, y, x):
        shapes.append(np.shape(g))
        return g * np.cos(x)

    def batch(op, size, inputs, mapped, static):
        return op(*inputs)

    return tm.primitive(rrule=(rule,), frule=(rule,), batch=batch, name="counted")(lambda x: np.sin(x)), shapes


@both
def test_few_directions_of_a_small_function_are_a_sweep_each(jacobian):
    sine, shapes = counted()
    close(jacobian(lambda x: sine(x))(X), np.diag(np.cos(X)))
    assert shapes == [(3,)] * 3


@both
@pytest.mark.parametrize("size", [40, 20_000], ids=["many directions", "large values"])
def test_all_others_are_one_sweep(jacobian, size):
    """The rule is called once, on the shape of one direction; what it does is then batched."""
    sine, shapes = counted()
    x = np.linspace(0.0, 1.0, 3 if size > 100 else size)
    found = jacobian(lambda x: np.mean(np.reshape(sine(np.repeat(x, size // len(x))), (len(x), -1)), axis=1))(x)
    close(found, np.diag(np.cos(x)))
    assert shapes == [(size // len(x) * len(x),)]


@both
def test_a_chunk_bounds_the_memory(jacobian):
    x = np.ones(400)

    def f(x):
        return np.sin(np.cos(np.exp(np.sin(np.cos(x * 0.5))))) * x

    def peak(chunk_size):
        jacobian(f, chunk_size=chunk_size)(x)
        tracemalloc.start()
        jacobian(f, chunk_size=chunk_size)(x)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(10) < 2.2 * x.size**2 * 8 + 2e5 and peak(10) < 0.8 * peak(None)
