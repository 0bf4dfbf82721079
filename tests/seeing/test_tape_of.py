"""tape_of: the tape of a plain function, its inputs and outputs in their trees, and where its nodes come from."""

import numpy as np
import pytest

import tapem as tm
from layers import Linear, Relu


def test_inputs_and_outputs_are_refs_in_the_trees_of_the_function():
    def f(params, x):
        return {"y": params["w"] * x, "sum": np.sum(x), "constant": 7.0}

    taped = tm.tape_of(f, {"w": np.ones(3), "b": (2.0,)}, np.arange(3.0))
    assert list(taped.inputs[0]) == ["b", "w"] or set(taped.inputs[0]) == {"b", "w"}
    names = [node.name for node in taped.tape if node.op.name == "leaf"]
    assert names[:3] == ["params.b.0", "params.w", "x"]
    np.testing.assert_array_equal(taped.tape.value(taped.outputs["y"]), np.arange(3.0))
    assert taped.tape.value(taped.outputs["constant"]) == 7.0
    gradients = taped.tape.backward_scalar(taped.outputs["sum"])
    np.testing.assert_array_equal(gradients[taped.inputs[1]], np.ones(3))


def test_an_abstract_tape_holds_shapes_and_takes_them():
    kind = tm.ShapeDtype((3, 4), np.dtype("float32"))
    taped = tm.tape_of(lambda x: np.sum(x, axis=0), kind, abstract=True)
    assert taped.outputs.shape == (4,) and taped.outputs.dtype == np.float32
    with pytest.raises(tm.ConcretizationError):
        taped.tape.value(taped.outputs)
    with pytest.raises(tm.ArgumentError, match="abstract=True"):
        tm.tape_of(np.sum, kind)


def test_numbers_stay_numbers_and_integers_need_no_gradient():
    taped = tm.tape_of(lambda x, n, k: x * n * k, np.float32(2.0), 3.0, np.array(2))
    assert taped.outputs.dtype == np.float64  # an array of integers is no weak number
    assert [node.requires_grad for node in taped.tape][:3] == [True, True, False]
    assert tm.tape_of(lambda x, n: x * n, np.float32(2.0), 3.0).outputs.dtype == np.float32


def test_a_node_knows_the_line_that_made_it_and_the_calls_around_it():
    def inner(x):
        return np.sin(x)  # the line of sin

    def outer(x):
        return inner(x) + inner(2.0 * x)

    taped = tm.tape_of(outer, 1.0)
    sines = [node.id for node in taped.tape if node.op.name == "sin"]
    origins = [taped.origins[id] for id in sines]
    assert {origin.text for origin in origins} == {"return np.sin(x)  # the line of sin"}
    assert {origin.file for origin in origins} == {__file__}
    assert [[block.label for block in origin.scope] for origin in origins] == [["outer", "inner"]] * 2
    assert origins[0].scope[0] == origins[1].scope[0] and origins[0].scope[1] != origins[1].scope[1]


def test_layers_are_blocks():
    model = Linear(2, 3) >> Relu() >> Linear(3, 1)
    params = model.init(tm.random.key(0))
    taped = tm.tape_of(lambda params, x: model.apply(params, x), params, np.ones((1, 2)))
    blocks = [
        taped.origins[node.id].scope[-1].label for node in taped.tape if node.id in taped.origins and node.parents
    ]
    assert list(dict.fromkeys(blocks)) == ["Linear(2, 3)", "Relu()", "Linear(3, 1)"]


def test_a_program_and_a_wrong_subject():
    @tm.do
    def double(x):
        return (yield tm.mul(x, 2.0))

    taped = tm.tape_of(double, 3.0)
    assert taped.tape.value(taped.outputs) == 6.0
    with pytest.raises(tm.ArgumentError, match=r"needs a function, not 3\.0"):
        tm.tape_of(3.0)
    with pytest.raises(tm.DTypeError):
        tm.tape_of(np.sin, "text")


def test_derivatives_inside_f_are_on_the_tape():
    taped = tm.tape_of(tm.grad(lambda x: np.sin(x) * x), 1.0)
    assert taped.tape.value(taped.outputs) == np.cos(1.0) + np.sin(1.0)
    assert "cos" in {node.op.name for node in taped.tape}
