"""Tape, Node and Ref: the tape as a container, printed, pickled, and long."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import tapem as tm

from .tapes import LONG, chain, small

# The tape as a container ----------------------------------------------------------------------------------------------


def test_the_empty_tape():
    tape = tm.Tape()
    assert len(tape) == 0
    assert list(tape) == []
    assert isinstance(repr(tape), str)


def test_nodes_come_in_id_order_and_know_what_they_are():
    tape, x, _, scale, y, z, _ = small()
    assert len(tape) == 6
    assert [node.id for node in tape] == [0, 1, 2, 3, 4, 5]
    assert [ref.id for ref in (x, scale, y, z)] == [0, 2, 3, 4]
    node = tape[z]
    assert isinstance(node, tm.Node)
    assert node.op is tm.mul
    assert tuple(node.parents) == (3, 2)
    assert node.shape == (3,)
    assert node.dtype == np.float64
    assert node.name is None
    assert node.requires_grad is True
    np.testing.assert_array_equal(node.value, np.sin([0.5, 1.0, 2.0]) * [1, 10, 100])
    assert tape[x].name == "x"
    assert tuple(tape[x].parents) == ()
    assert tape[scale].requires_grad is False


def test_static_arguments_are_on_the_node():
    x, tape = tm.Tape().leaf(np.ones((2, 3)))
    y, tape = tape.record(tm.sum, x, axis=1, keepdims=True)
    assert tape[y].static["axis"] == 1
    assert tape[y].static["keepdims"] is True
    assert y.shape == (2, 1)


def test_ref_describes_the_value():
    x, _ = tm.Tape().leaf(np.zeros((2, 3), np.float32), name="x")
    assert (x.id, x.shape, x.dtype, x.ndim, x.size) == (0, (2, 3), np.float32, 2, 6)
    assert "x" in repr(x)
    assert "2,3" in repr(x)
    assert len(repr(x)) < 40


def test_indexing_by_ref_or_id():
    tape, x, _, _, y, _, out = small()
    for ref in (x, y, out):
        assert tape[ref] is ref.node
        assert tape[ref.id] is ref.node
        np.testing.assert_array_equal(tape.value(ref), tape.value(ref.id))
        np.testing.assert_array_equal(tape.value(ref), tape[ref].value)
    np.testing.assert_array_equal(tape.value(y), np.sin([0.5, 1.0, 2.0]))


def test_requires_grad_is_inherited():
    k, tape = tm.Tape().leaf(2.0, requires_grad=False)
    x, tape = tape.leaf(3.0)
    constant, tape = tape.record(tm.square, k)
    mixed, tape = tape.record(tm.mul, constant, x)
    assert tape[constant].requires_grad is False
    assert tape[mixed].requires_grad is True


def test_a_tape_is_hashable_by_identity():
    one, two = tm.Tape(), tm.Tape()
    assert one == one
    assert one != two
    assert len({one, two, one}) == 2
    tape = chain(1000)[0]
    assert {tape: "found"}[tape] == "found"
    same = pickle.loads(pickle.dumps(tape))
    assert same != tape


def test_the_same_array_twice_is_two_leaves():
    a = np.array([1.0, 2.0])
    x, tape = tm.Tape().leaf(a)
    y, tape = tape.leaf(a)
    z, tape = tape.record(tm.mul, x, y)
    out, tape = tape.record(tm.sum, z)
    square, tape = tape.record(tm.square, x)
    total, tape = tape.record(tm.sum, square)
    gradients = tape.backward_scalar(out)
    np.testing.assert_array_equal(gradients[x], a)
    np.testing.assert_array_equal(gradients[y], a)
    assert y not in tape.backward_scalar(total)


# Printing and pickling ------------------------------------------------------------------------------------------------


def test_repr_is_a_listing():
    tape, *_ = small()
    lines = repr(tape).splitlines()
    assert lines[0] == "Tape of 6 nodes"
    assert len(lines) == 7
    first = [["%0", "'x'", "[3]"], ["%1", "'unused'", "[2,2]"], ["%2", "'scale'"]]
    last = [["%3", "sin(%0)"], ["%4", "mul(%3, %2)"], ["%5", "sum(%4"]]
    for line, words in zip(lines[1:], first + last, strict=True):
        assert all(word in line for word in words), (line, words)
    assert str(tape) == repr(tape)


def test_repr_tells_literal_operands_apart():
    x, tape = tm.Tape().leaf(1.0)
    _, two = tape.record(tm.mul, x, 2.0)
    _, three = tape.record(tm.mul, x, 3.0)
    assert "2.0" in repr(two)
    assert "3.0" in repr(three)


@pytest.mark.parametrize("length", [1_000, 200_000])
def test_repr_of_a_long_tape_is_elided_in_the_middle(length):
    text = repr(chain(length)[0])
    assert str(length) in text.replace(",", "")
    assert len(text.splitlines()) <= 100
    assert "%0 " in text
    assert f"%{length - 1} " in text
    assert f"%{length // 2} " not in text
    assert "..." in text or "…" in text


def test_repr_does_not_print_large_values():
    x, tape = tm.Tape().leaf(np.ones(100_000), name="big")
    y, tape = tape.record(tm.mul, x, np.ones(100_000))
    assert len(repr(tape)) < 500
    assert len(repr(tape[y])) < 500
    assert len(repr(tm.mul(x, np.ones(100_000)))) < 5_000


def test_pickle_keeps_everything():
    tape, x, *_, out = small()
    again, y, out_again = pickle.loads(pickle.dumps((tape, x, out)))
    assert repr(again) == repr(tape)
    assert [n.requires_grad for n in again] == [n.requires_grad for n in tape]
    assert [n.op for n in again] == [n.op for n in tape]
    for mine, theirs in zip(again, tape, strict=True):
        assert mine.value.dtype == theirs.value.dtype
        np.testing.assert_array_equal(mine.value, theirs.value)
        assert mine.value.flags.writeable is False
    assert again[y] is y.node
    np.testing.assert_array_equal(again.backward_scalar(out_again)[y], tape.backward_scalar(out)[x])
    z, longer = again.record(tm.sin, y)
    assert (len(longer), len(again), len(tape)) == (7, 6, 6)
    assert longer[z] is z.node


def test_pickle_of_an_old_tape_holds_only_its_own_nodes():
    x, old = tm.Tape().leaf(2.0)
    tape = old
    for _ in range(100):
        _, tape = tape.record(tm.mul, x, np.ones(1000))
    assert len(pickle.loads(pickle.dumps(old))) == 1
    assert len(pickle.dumps(old)) < 5_000


def test_copies_are_as_good_as_the_tape():
    tape, *_, out = small()
    assert len(copy.copy(tape).backward_scalar(out)) == 4
    again, out_again = copy.deepcopy((tape, out))
    assert repr(again) == repr(tape)
    assert again[out_again] is out_again.node
    assert len(again.backward_scalar(out_again)) == 4


def test_gradients_pickle():
    tape, x, *_, out = small()
    gradients = pickle.loads(pickle.dumps(tape.backward_scalar(out)))
    np.testing.assert_array_equal(gradients[x.id], tape.backward_scalar(out)[x])
    assert len(gradients) == 4


# Long tapes -----------------------------------------------------------------------------------------------------------


def test_a_tape_of_200_000_nodes_does_everything():
    length = 200_000
    tape, x, y = chain(length)
    assert len(tape) == length
    assert isinstance(hash(tape), int)
    gradients = tape.backward_scalar(y)
    assert len(gradients) == length
    assert float(gradients[x]) == 1.0
    assert len(tape.backward_dense(y)) == length
    assert len(gradients + gradients) == length
    assert float((gradients + gradients)[x]) == 2.0
    assert len(repr(gradients)) < 20_000
    again, out = pickle.loads(pickle.dumps((tape, y)))
    assert len(again) == length
    assert float(again.backward_scalar(out)[0]) == 1.0
    for value in (tape, again):
        assert sum(1 for _ in value) == length
    freed = weakref.ref(tape.value(x))
    del tape, again, gradients, x, y, out, value
    gc.collect()
    assert freed() is None


@pytest.mark.parametrize("length", LONG)
def test_a_very_long_tape_builds_sweeps_prints_and_is_freed(length):
    tape, x, y = chain(length)
    assert len(tape) == length
    assert float(tape.value(y)) == 2.0
    gradients = tape.backward_scalar(y)
    assert len(gradients) == length
    assert float(gradients[x]) == 1.0
    assert len(repr(tape).splitlines()) <= 100
    freed = weakref.ref(tape.value(x))
    del tape, gradients, x, y
    gc.collect()
    assert freed() is None


def test_a_long_run_of_old_tapes_shares_its_nodes():
    x, tape = tm.Tape().leaf(np.ones(1000))
    tapes = [tape]
    for _ in range(5_000):
        _, tape = tape.record(tm.add, x, 1.0)
        tapes.append(tape)
    assert [len(t) for t in tapes] == list(range(1, 5_002))
    assert all(t[0] is tapes[0][0] for t in tapes)
