"""ravel: a tree as a vector and back, through every door, and what it refuses."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import tapem as tm
from tapem.core.tree import tree_flatten


@dataclasses.dataclass
class Box:
    value: Any


def tree() -> dict[str, Any]:
    return {
        "w": np.arange(6.0).reshape(2, 3),
        "b": [np.array([7.0, 8.0], np.float32), Box(np.array(9.0))],
        "none": None,
        "empty": np.zeros((0, 4)),
    }


def check_same(found: Any, expected: Any) -> None:
    """The same tree: structure, shapes, dtypes and numbers."""
    leaves, structure = tree_flatten(found)
    others, other = tree_flatten(expected)
    assert structure == other
    for one, two in zip(leaves, others, strict=True):
        assert one.dtype == two.dtype and one.shape == two.shape
        np.testing.assert_array_equal(one, two)


def test_there_and_back():
    vector, unravel = tm.ravel(tree())
    np.testing.assert_array_equal(vector, [7, 8, 9, 0, 1, 2, 3, 4, 5])
    assert vector.dtype == np.float64
    check_same(unravel(vector), tree())


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ([np.float32], np.float32),
        ([np.float16, np.float32], np.float32),
        ([np.float32, np.float64], np.float64),
        ([], np.float64),
    ],
)
def test_the_vector_has_the_promoted_dtype(dtypes, expected):
    given = [np.full(2, 0.5, dtype) for dtype in dtypes]
    vector, unravel = tm.ravel(given)
    assert vector.dtype == expected and vector.shape == (2 * len(dtypes),)
    check_same(unravel(vector), given)
    check_same(unravel(vector.astype(np.float64)), given)


def test_python_numbers_are_scalars():
    vector, unravel = tm.ravel({"a": 1.5, "b": np.float32(2.0)})
    np.testing.assert_array_equal(vector, [1.5, 2.0])
    assert float(unravel(vector)["a"]) == 1.5 and unravel(vector)["b"].dtype == np.float32


def test_nothing_is_shared():
    given = [np.ones(2)]
    vector, unravel = tm.ravel(given)
    vector[:] = 5.0
    np.testing.assert_array_equal(given[0], 1.0)
    again = unravel(vector)
    vector[:] = 6.0
    np.testing.assert_array_equal(again[0], 5.0)
    again[0][:] = 7.0
    np.testing.assert_array_equal(vector, 6.0)


def test_both_are_differentiable():
    given = {"w": np.array([[1.0, -2.0]]), "b": np.array([3.0], np.float32)}
    vector, unravel = tm.ravel(given)

    def f(params):
        return np.sum(params["w"] ** 3) + np.sum(params["b"] ** 2)

    found = tm.grad(lambda v: f(unravel(v)))(vector)
    np.testing.assert_allclose(found, [6.0, 3.0, 12.0])
    np.testing.assert_allclose(tm.hessian(lambda v: f(unravel(v)))(vector), np.diag([2.0, 6.0, -12.0]))

    back = tm.grad(lambda params: np.sum(tm.ravel(params)[0] ** 2))(given)
    np.testing.assert_allclose(back["w"], 2 * given["w"])
    np.testing.assert_allclose(back["b"], 2 * given["b"])
    assert back["b"].dtype == np.float32


def test_mapped_over_vectors_and_over_trees():
    vector, unravel = tm.ravel(tree())
    vectors = np.stack([vector, 2 * vector])
    trees = tm.vmap(unravel)(vectors)
    np.testing.assert_array_equal(trees["w"], [tree()["w"], 2 * tree()["w"]])
    assert trees["b"][0].dtype == np.float32
    np.testing.assert_array_equal(tm.vmap(lambda t: tm.ravel(t)[0])(trees), vectors)


def test_through_the_monadic_door():
    w, tape = tm.Tape().leaf(np.array([[1.0, 2.0]]))
    b, tape = tape.leaf(np.array([3.0], np.float32))
    (vector, unravel), tape = tm.ravel({"w": w, "b": b}).run(tape)
    assert isinstance(vector, tm.Ref)
    np.testing.assert_array_equal(tape.value(vector), [3.0, 1.0, 2.0])
    again, tape = unravel(vector).run(tape)
    np.testing.assert_array_equal(tape.value(again["w"]), [[1.0, 2.0]])
    assert again["b"].dtype == np.float32
    total, tape = tm.sum(tm.square(vector)).run(tape)
    np.testing.assert_array_equal(tape.backward_scalar(total)[w], [[2.0, 4.0]])
    # unravel outlives its tape: it knows shapes only
    np.testing.assert_array_equal(unravel(np.array([6.0, 4.0, 5.0]))["w"], [[4.0, 5.0]])


def test_scipy_minimizes_a_tree():
    start = {"x": np.array(-1.2), "y": np.array([1.0], np.float32)}

    def rosenbrock(params):
        x, y = params["x"], params["y"][0]
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    vector, unravel = tm.ravel(start)
    objective = tm.value_and_grad(lambda v: rosenbrock(unravel(v)))
    found = scipy.optimize.minimize(objective, vector, jac=True, method="L-BFGS-B")
    assert found.success
    np.testing.assert_allclose(unravel(found.x)["y"], [1.0], atol=1e-4)


PARTS = [0.0, -0.0, 1.5, np.inf, -np.inf, np.nan, 1e-300]


def complex_tree() -> dict[str, Any]:
    pairs = np.array([[a, b] for a in PARTS for b in PARTS])
    return {
        "z": pairs.view(complex).reshape(7, 7),
        "x": np.array([-0.0, np.inf]),
        "small": np.array([1 - 2j, 3j], np.complex64),
        "number": np.array(complex(-0.0, -np.inf)),
        "empty": np.zeros((0, 2), complex),
        "half": np.ones(1, np.float16),
    }


def test_complex_numbers_are_two_elements_each_to_the_bit():
    vector, unravel = tm.ravel(complex_tree())
    assert vector.dtype == np.float64 and vector.shape == (98 + 2 + 4 + 2 + 1,)
    traced = tm.vmap(unravel)(np.stack([vector]))
    for again in (unravel(vector), tm.tree_map(lambda leaf: leaf[0], traced)):
        for name, leaf in complex_tree().items():
            assert again[name].dtype == leaf.dtype and again[name].shape == leaf.shape
            assert again[name].tobytes() == leaf.tobytes()
    single, unravel = tm.ravel([np.ones(1, np.complex64), np.ones(1, np.float16)])
    assert single.dtype == np.float32 and unravel(single)[0].dtype == np.complex64
    assert tm.ravel(2 + 1j)[0].tolist() == [2.0, 1.0]
    assert "holds 4 numbers, two for each complex one, so it must have" in complaint(
        tm.ShapeError, tm.ravel(np.ones(2, complex))[1], np.ones(2)
    )


def test_both_are_differentiable_in_complex_leaves():
    tree = {"z": np.array([1 + 2j, -0.5j]), "x": np.array([0.5])}
    vector, unravel = tm.ravel(tree)

    def f(params):
        return np.sum(np.abs(params["z"]) ** 2 * params["x"] + (params["z"] ** 3).imag)

    found = tm.grad(lambda v: f(unravel(v)))(vector)
    np.testing.assert_allclose(found, tm.testing.finite_diff(lambda v: f(unravel(v)), vector), rtol=1e-6)
    by_leaf = tm.grad(f)(tree)
    np.testing.assert_allclose(found, tm.ravel({"z": np.conj(by_leaf["z"]), "x": by_leaf["x"]})[0])
    tm.testing.check_grads(lambda v: f(unravel(v)), (vector,), order=2)
    tm.testing.check_grads(lambda z, x: tm.ravel({"z": z, "x": x})[0] ** 2, (tree["z"], tree["x"]), order=2)
    back = tm.grad(lambda params: np.sum(tm.ravel(params)[0] * np.arange(5.0)))(tree)
    np.testing.assert_array_equal(back["z"], [1 - 2j, 3 - 4j])
    np.testing.assert_array_equal(back["x"], [0.0])


def test_complex_numbers_through_the_monadic_door():
    z, tape = tm.Tape().leaf(np.array([1 + 2j]))
    (vector, unravel), tape = tm.ravel([z, np.ones(1)]).run(tape)
    np.testing.assert_array_equal(tape.value(vector), [1, 2, 1])
    again, tape = unravel(vector).run(tape)
    np.testing.assert_array_equal(tape.value(again[0]), [1 + 2j])


def test_scipy_minimizes_over_complex_numbers():
    goal = np.array([1 + 2j, -3j])
    vector, unravel = tm.ravel({"z": np.array([1 + 0.5j, 1 - 1j]), "x": 0.5})
    f = lambda p: np.sum(np.abs(p["z"] ** 2 - goal) ** 2) + (p["x"] - 2) ** 2  # noqa: E731
    found = scipy.optimize.minimize(tm.value_and_grad(lambda v: f(unravel(v))), vector, jac=True)
    np.testing.assert_allclose(unravel(found.x)["z"] ** 2, goal, atol=1e-4)


def complaint(kind: type[Exception], f: Any, *arguments: Any) -> str:
    with pytest.raises(kind) as error:
        f(*arguments)
    assert isinstance(error.value, tm.TapeError)
    return str(error.value)


@pytest.mark.parametrize("shape", [(8,), (10,), (), (3, 3), (1, 9)])
def test_a_vector_of_another_shape_is_refused(shape):
    _, unravel = tm.ravel(tree())
    assert complaint(tm.ShapeError, unravel, np.zeros(shape)) == (
        f"unravel: the vector has shape {shape}, but the tree that was raveled holds 9 numbers, "
        "so it must have shape (9,)."
    )


def test_what_is_no_tree_of_floats_is_refused():
    assert complaint(tm.DTypeError, tm.ravel, [np.ones(1), np.arange(2)]) == (
        "ravel: leaf 1 of the tree holds int64 values, but only floats can be part of a vector. "
        "Convert them to floats, or ravel the tree without them."
    )
    assert "leaf 0 of the tree holds bool values" in complaint(tm.DTypeError, tm.ravel, [True])
    assert "ravel: leaf 0 is 'one', which is not a tensor" in complaint(tm.DTypeError, tm.ravel, ["one"])
    unravel = tm.ravel(np.ones(2))[1]
    assert complaint(tm.DTypeError, unravel, np.ones(2, complex)) == (
        "unravel: the vector holds complex128 values, but must hold floats."
    )
