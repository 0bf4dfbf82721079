"""A Program: what it keeps of a recorded function, and what it computes."""

import numpy as np
import pytest

import tapem as tm
from tapem.core import LEAF, ShapeDtype, UnknownNumber
from tapem.transforms.closure_conversion import convert_closure, no_options, traced

W = np.array([[0.2, 0.5, -1.0], [0.7, -0.4, 0.1], [0.3, 0.3, -0.6]])
X = np.array([0.3, -0.8, 1.1])
FLOATS = ShapeDtype((3,), np.dtype(float))


def kinds(value):
    return tuple(map(kinds, value)) if type(value) is tuple else ShapeDtype.of(value)


def f(x, scale):
    np.exp(x)  # no output needs it
    values, vectors = tm.eigh(np.outer(x, x) + W + W.T)
    return [np.tanh(W @ x) * scale + values, x, vectors, np.ones(2)]


def test_a_program_has_no_values_and_no_unused_nodes():
    program = traced(f, [FLOATS, 2.0], "f")
    assert [node.id for node in program.nodes] == list(range(len(program.nodes)))
    assert program.inputs == (0, 1)
    assert [node.output for node in program.nodes[:2]] == [FLOATS, UnknownNumber.like(2.0)]
    used = set(program.outputs)
    for node in reversed(program.nodes):
        assert node.residuals is None
        assert node.id in used or node.id in program.inputs
        used.update(node.parents)
        assert all(parent is None or parent < node.id for parent in node.parents)
        for parent, value in zip(node.parents, node.inputs, strict=True):
            assert parent is None or value is program.nodes[parent].output
        if node.op is not LEAF:
            assert all(
                type(part) is ShapeDtype for part in (node.output if type(node.output) is tuple else [node.output])
            )
    assert "exp" not in [node.op.name for node in program.nodes]
    assert repr(program) == "<f: 10 ops>"


@pytest.mark.parametrize("abstract", [False, True])
def test_a_program_computes_what_the_function_does(abstract):
    program = traced(f, [FLOATS, 2.0], "f") if abstract else convert_closure(f, [X, 2.0], no_options).program
    found, wanted = program(X, 2.0), f(X, 2.0)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert [program.nodes[id].output for id in program.outputs[:3]] == [kinds(value) for value in wanted[:3]]
    gradient = tm.grad(lambda x: sum(np.sum(part) for part in program(x, 2.0)))(X)
    np.testing.assert_allclose(gradient, tm.grad(lambda x: sum(np.sum(part) for part in f(x, 2.0)))(X))


def test_links_of_a_program():
    program = traced(lambda x, y, z: [np.sin(x), x * y, np.floor(z) > x, tm.detach(y), np.ones(3)], [FLOATS] * 3, "f")
    assert program.links == [0b001, 0b011, 0, 0, 0]


def test_traced_refuses_to_close_over_a_tracer():
    with pytest.raises(tm.TapeError, match=r"a step closes over Tracer .* Pass it as an argument"):
        tm.grad(lambda x: traced(lambda y: [y * x], [FLOATS], "a step")(x)[0][0])(X)


def test_an_unknown_number_stays_weak_in_closures():
    half = ShapeDtype((3,), np.dtype(np.float32))
    f = lambda x, rate: [tm.checkpoint(lambda y: y * rate)(x), tm.checkpoint(lambda s: x * s)(rate)]  # noqa: E731
    program = traced(f, [half, UnknownNumber.like(0.5)], "f")
    assert program.nodes[1].output == UnknownNumber.like(0.5)
    assert [program.nodes[id].dtype for id in program.outputs] == [np.float32, np.float32]
