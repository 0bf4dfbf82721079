"""The steps of a sweep are those of the real sweep, whatever the program; and they say why a node is not visited."""

import numpy as np
import pytest

import layers
import tapem as tm
from tests.programs.generate import program
from tests.programs.running import DIRECT

X = np.array([0.5, -1.0, 2.0])


def taped(seed):
    """The tape of a random program, with one scalar output."""
    drawn = program(seed)
    f = DIRECT.run(drawn)
    return tm.tape_of(lambda x: np.sum(np.real(f(x))), np.array(drawn.points[0]))


def same(one, other):
    assert np.shape(one) == np.shape(other)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("seed", range(60))
def test_steps_of_a_random_program_are_its_sweep(seed):
    tape, _, out, _ = taped(seed)
    gradients = tape.backward_scalar(out)
    sweep = tm.reverse_steps(tape, out)
    assert [step.node.id for step in sweep] == list(reversed(range(len(tape))))
    sums = {out.id: np.ones(())}
    for step in sweep:
        assert (step.skipped is None) == (step.cotangent is not None)
        if step.skipped is None and type(step.node.output) is not tuple:
            same(step.cotangent, gradients[step.node.id])
            same(sums[step.node.id], gradients[step.node.id])
        for part in step.contributions:
            if part.operand == "results":
                continue
            sums[part.parent] = sums[part.parent] + part.value if part.parent in sums else part.value
            same(part.running, sums[part.parent])
        assert set(step.running) == {part.parent for part in step.contributions}
    reached = {step.node.id for step in sweep if step.skipped is None}
    assert reached >= set(gradients)


@pytest.mark.parametrize("seed", range(60))
def test_forward_steps_of_a_random_program_are_jvp(seed):
    tape, (x,), out, _ = taped(seed)
    drawn = np.random.default_rng(seed).normal(size=x.shape)
    gradient = tape.backward_scalar(out)
    steps = tm.forward_steps(tape, {x: drawn})
    last = steps[out.id]
    expected = np.sum(gradient[x] * drawn) if x in gradient else 0.0
    found = 0.0 if last.tangent is None else last.tangent
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    for step in steps:
        if step.contributions and type(step.node.output) is not tuple:
            np.testing.assert_allclose(step.contributions[-1].running, step.tangent, rtol=1e-12, atol=1e-12)


def test_a_step_tells_the_rule_with_its_numbers():
    taped = tm.tape_of(lambda x: np.tanh(x), 0.5)
    (step, leaf) = tm.reverse_steps(taped.tape, taped.outputs)
    assert step.rule == "g * (1 - y * y)"
    assert step.contributions[0].numbers == "1. * (1 - 0.4621 * 0.4621)"
    assert leaf.rule == "" and leaf.contributions == () and leaf.skipped is None
    np.testing.assert_allclose(leaf.cotangent, 1 - np.tanh(0.5) ** 2)


def test_a_negative_number_stands_in_parentheses_and_a_large_array_keeps_its_name():
    taped = tm.tape_of(lambda x, y: np.sum(x * y), np.arange(9.0), -2.0)
    mul = next(step for step in tm.reverse_steps(taped.tape, taped.outputs) if step.node.op.name == "mul")
    assert [part.numbers for part in mul.contributions] == ["g * (-2.)", ""]


def test_rules_from_partial_derivatives_have_numbers_too():
    cube = tm.scalar_rule(lambda x: x**3, lambda y, x: 3 * x**2)
    taped = tm.tape_of(lambda x: cube(x), 2.0)
    step = tm.reverse_steps(taped.tape, taped.outputs)[0]
    assert step.rule == "g * (3 * x ** 2)" and step.contributions[0].numbers == "1. * (3 * 2. ** 2)"
    assert step.contributions[0].value == 12.0


def test_nodes_that_are_not_visited_say_why():
    x, tape = tm.Tape().leaf(2.0, name="x")
    c, tape = tape.leaf(3.0, name="c", requires_grad=False)
    unused, tape = tape.record(tm.sin, x)
    twice, tape = tape.record(tm.mul, c, 2.0)
    floor, tape = tape.record(tm.floor, x)
    y, tape = tape.record(tm.mul, x, twice)
    out, tape = tape.record(tm.add, y, floor)
    later, tape = tape.record(tm.exp, out)
    why = {step.node.id: step.skipped for step in tm.reverse_steps(tape, out)}
    assert why[later.id] == "it comes after the output"
    assert why[unused.id] == "the output does not depend on it"
    constant = "it is constant: it depends on no leaf that requires a gradient"
    assert why[c.id] == why[twice.id] == constant
    assert why[x.id] is None and why[y.id] is None and why[out.id] is None


def test_forward_steps_say_why_a_node_has_no_tangent():
    x, tape = tm.Tape().leaf(2.0)
    z, tape = tape.leaf(2.0)
    y, tape = tape.record(tm.mul, x, 3.0)
    w, tape = tape.record(tm.sin, z)
    why = {step.node.id: step.skipped for step in tm.forward_steps(tape, {x: 1.0})}
    assert why == {
        x.id: None,
        z.id: "no tangent is given for it",
        y.id: None,
        w.id: "it depends on no leaf that has a tangent",
    }


def test_results_of_an_op_with_several_go_to_their_slots():
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    taped = tm.tape_of(lambda a: np.sum(np.linalg.eigh(a)[0] * X[:2]), matrix)
    sweep = tm.reverse_steps(taped.tape, taped.outputs)
    pick = next(step for step in sweep if step.node.op.name == "pick" and step.skipped is None)
    assert pick.rule == "g, in the slot of result 0" and pick.contributions[0].operand == "results"
    np.testing.assert_allclose(sweep[-1].cotangent, taped.tape.backward_scalar(taped.outputs)[taped.inputs[0]])


def test_a_cotangent_begins_the_sweep_of_an_array():
    x, tape = tm.Tape().leaf(X)
    y, tape = tape.record(tm.square, x)
    sweep = tm.reverse_steps(tape, y, np.array([1.0, 10.0, 0.0]))
    np.testing.assert_allclose(sweep[-1].cotangent, [1.0, -20.0, 0.0])
    with pytest.raises(tm.NotScalarError, match=r"\(3,\)"):
        tm.reverse_steps(tape, y)
    with pytest.raises(tm.ShapeError, match=r"shape \(2,\)"):
        tm.reverse_steps(tape, y, np.ones(2))


def test_steps_and_sweeps_cannot_be_changed():
    taped = tm.tape_of(np.tanh, 0.5)
    sweep = tm.reverse_steps(taped.tape, taped.outputs)
    with pytest.raises(tm.MutationError):
        sweep.mode = "forward"
    with pytest.raises(AttributeError):
        sweep[0].node = None
    with pytest.raises(TypeError):
        sweep[0].running[0] = 1.0
    assert repr(sweep) == "<Sweep reverse: 2 of 2 nodes visited>"


def test_a_tangent_of_what_is_no_leaf_is_refused():
    x, tape = tm.Tape().leaf(X)
    y, tape = tape.record(tm.square, x)
    with pytest.raises(tm.ArgumentError, match=r"node 1 \(square\) is no leaf"):
        tm.forward_steps(tape, {y: X})
    with pytest.raises(tm.ShapeError, match="tangent of node 0"):
        tm.forward_steps(tape, {x: np.ones(2)})


def test_an_array_or_a_complex_number_needs_a_cotangent():
    for f, error in ((np.sin, tm.NotScalarError), (lambda x: np.sum(x) * 1j, tm.DTypeError)):
        with pytest.raises(error, match=r"or give a cotangent, to tape\.backward or as cotangent= of tm\.explain"):
            tm.explain(f, np.ones(3))


def test_a_model_needs_an_input():
    with pytest.raises(tm.ArgumentError, match=r"explain: a model needs an input: explain\(model, x\), or explain\("):
        tm.explain(layers.Linear(2, 1))


def test_tangents_are_a_mapping():
    with pytest.raises(tm.ArgumentError, match=r"tangents must map leaves to arrays, \{x: 1\.0\}, not \[1\.0\]"):
        tm.explain(np.sin, 1.0, mode="forward", tangents=[1.0])


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_tape_of_shapes_has_no_sweep(mode):
    with pytest.raises(tm.ArgumentError, match=f"{mode}_steps: the tape holds shapes and no values; record it"):
        tm.explain(tm.tape_of(np.sin, 1.0, abstract=True), mode=mode)


def test_explain_takes_functions_programs_and_models_and_both_modes():
    from layers import Linear

    text = tm.explain(lambda x: np.sin(x), 0.0, mode="forward")
    assert text.splitlines()[-1] == "    tangent out: 1." and "g * np.cos(x)" in text

    @tm.do
    def twice():
        x = yield tm.leaf(3.0, name="x")
        return (yield tm.mul(x, x))

    assert tm.explain(twice()).endswith("%0 'x': 6.")
    text = tm.explain(Linear(2, 1), np.ones(2), cotangent=np.ones(1))
    assert "'params.weight'" in text
    with pytest.raises(tm.ArgumentError, match="explain takes a tape, a function"):
        tm.explain(3.0)
    with pytest.raises(tm.ArgumentError, match="'sideways'"):
        tm.explain(np.sin, 1.0, mode="sideways")
    with pytest.raises(tm.ArgumentError, match="2 outputs"):
        tm.explain(lambda x: (x, x * 2.0), 1.0)
