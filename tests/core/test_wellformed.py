"""The spec of a well-formed tape: whatever records keeps to it, and each sentence catches what breaks it."""

import pickle

import numpy as np
import pytest

import tapem as tm
from tapem.core.node import LEAF, ShapeDtype
from tapem.core.wellformed import SPEC


def small():
    """Leaves of every kind, an op with a constant operand, one with several results, and one without derivative."""
    x, tape = tm.Tape().leaf(np.array([[0.5, 1.0], [2.0, 4.0]]), name="x")
    k, tape = tape.leaf(2.0, name="k", requires_grad=False)
    i, tape = tape.leaf(np.array([1, 0]))
    y, tape = tape.record(tm.mul, x, k)
    z, tape = tape.record(tm.add, y, np.ones(2))
    (q, r), tape = tape.record(tm.qr, z)
    w, tape = tape.record(tm.take, q, i, axis=0)
    s, tape = tape.record(tm.sign, r)
    d, tape = tape.record(tm.detach, w)
    return tape.record(lambda *operands: tm.fold(tm.add, d, operands).bind(tm.sum), s, w)[1]


TAPE = small()


@tm.do
def program(x):
    y = yield tm.sin(x)
    z = yield tm.lift(lambda a: np.sum(np.sin(a) * tm.grad(lambda b: np.sum(b**3))(a)))(y)
    c = yield tm.const(2.0)
    total = yield tm.lift(lambda a, b: tm.scan(lambda carry, row: (carry * row, carry), a, b)[0])(z, y)
    return (yield total * c)


def tapes():
    yield "empty", tm.Tape()
    yield "small", TAPE
    yield "program", tm.leaf(np.array([0.5, 1.0])).bind(program).exec()
    yield "second order of a step", tm.leaf(np.array([0.5, 1.0])).bind(tm.hessian(lambda x: np.sum(x**3))).exec()
    yield "vmap of a step", tm.leaf(np.ones((3, 2))).bind(tm.vmap(lambda x: np.sum(np.sin(x)))).exec()
    yield "abstract", tm.Tape().leaf(ShapeDtype((2,), np.dtype("float32")))[1]


@pytest.mark.parametrize(("name", "tape"), [pytest.param(*pair, id=pair[0]) for pair in tapes()])
def test_whatever_records_is_well_formed(name, tape):
    assert tape.check() is tape
    again = pickle.loads(pickle.dumps(tape))
    assert again.check() is again


def test_a_tape_is_well_formed_at_every_length():
    for length in range(len(TAPE) + 1):
        tm.Tape.of(list(TAPE), length).check()


def broken():
    """(the sentence that is broken, the position, the node as it should not be)."""
    x, k, i, y, z, qr, q = (TAPE[index] for index in range(7))
    yield "its id is its position", y._replace(id=7), 3
    yield "its id is its position", x._replace(id=-1), 0
    yield "it has one parent, or None, for each input", y._replace(inputs=y.inputs[:1]), 3
    yield "its parents are earlier nodes", y._replace(parents=(0, 3)), 3
    yield "its parents are earlier nodes", y._replace(parents=(5, 1)), 3
    yield "its parents are earlier nodes", y._replace(parents=(-1, 1)), 3
    yield "a leaf has no parents", i._replace(parents=(0,), inputs=(x.output,)), 2
    yield "its results have shapes", y._replace(output=None), 3
    yield "its results have shapes", y._replace(output="abc"), 3
    yield "its results have shapes", y._replace(output=np.ones(2, object)), 3
    yield "its results have shapes", qr._replace(output=(qr.output[0], None)), 5
    yield "its inputs are its parents' values", y._replace(inputs=(x.output.copy(), k.output)), 3
    yield "its inputs are its parents' values", y._replace(inputs=(x.output, 3.0)), 3
    yield "its inputs are its parents' values", q._replace(inputs=(qr.output[:1],)), 6
    yield "it requires a gradient when", y._replace(requires_grad=False), 3
    yield "it requires a gradient when", i._replace(requires_grad=True), 2
    yield "it requires a gradient when", y._replace(parents=(None, 1), requires_grad=True), 3
    yield "it requires a gradient when", z._replace(parents=(None, None)), 4


@pytest.mark.parametrize(("words", "node", "position"), list(broken()))
def test_the_first_violation_is_named(words, node, position):
    nodes = list(TAPE)
    nodes[position] = node
    bad = tm.Tape.of(nodes, len(nodes))
    with pytest.raises(tm.TapeError) as caught:
        bad.check()
    assert type(caught.value) is tm.TapeError
    assert f"%{position}, <Node node {node.id}" in str(caught.value)
    assert words in str(caught.value)
    tm.Tape.of(nodes, position).check()  # what comes before is well formed


def test_every_sentence_of_the_spec_is_tested():
    tested = {words for words, _, _ in broken()}
    assert all(any(sentence.startswith(words) for words in tested) for sentence, _ in SPEC)


def test_a_leaf_without_a_gradient_is_well_formed():
    x, tape = tm.Tape().leaf(1.0, requires_grad=False)
    assert tape.check()[x].op is LEAF
