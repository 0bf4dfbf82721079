"""Tape, Node, Ref and Gradients: values that never change, whoever holds them, branches them or sweeps them."""

import copy
import gc
import pickle
import sys
import threading
import weakref
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapem as tm

calm = settings(deadline=None)  # a busy machine is no failure

# The longest tape: 100,000 nodes in every run, and 1,000,000 in one with `-m slow`.
LONG = [
    100_000,
    pytest.param(1_000_000, marks=pytest.mark.slow),
]


def small():
    """x -> sin(x) -> sum, with a leaf that nothing uses and a constant one: every role a node can have."""
    x, tape = tm.Tape().leaf(np.array([0.5, 1.0, 2.0]), name="x")
    unused, tape = tape.leaf(np.ones((2, 2)), name="unused")
    scale, tape = tape.leaf(np.array([1.0, 10.0, 100.0]), name="scale", requires_grad=False)
    y, tape = tape.record(tm.sin, x)
    z, tape = tape.record(tm.mul, y, scale)
    out, tape = tape.record(tm.sum, z)
    return tape, x, unused, scale, y, z, out


def chain(length):
    """A tape of `length` nodes whose last is x * 1.0 * 1.0 ..."""
    x, tape = tm.Tape().leaf(2.0, name="x")
    y = x
    for _ in range(length - 1):
        y, tape = tape.record(tm.mul, y, 1.0)
    return tape, x, y


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


# Nothing can be changed -----------------------------------------------------------------------------------------------

NODE = ["id", "op", "parents", "static", "value", "name", "requires_grad", "shape", "dtype"]
REF = ["id", "shape", "dtype", "ndim", "size", "name", "node"]


@pytest.mark.parametrize("name", [*NODE, "color"])
def test_node_attributes_cannot_be_set_or_deleted(name):
    tape, x, *_ = small()
    node = tape[x]
    before = [repr(getattr(node, field)) for field in NODE]
    with pytest.raises((AttributeError, TypeError)):
        setattr(node, name, 3)
    with pytest.raises((AttributeError, TypeError)):
        delattr(node, name)
    assert [repr(getattr(node, field)) for field in NODE] == before


@pytest.mark.parametrize("name", [*REF, "color"])
def test_ref_attributes_cannot_be_set_or_deleted(name):
    tape, x, *_ = small()
    before = [getattr(x, field) for field in REF]
    with pytest.raises((AttributeError, TypeError)):
        setattr(x, name, 3)
    with pytest.raises((AttributeError, TypeError)):
        delattr(x, name)
    assert [getattr(x, field) for field in REF] == before
    assert tape[x] is x.node


def test_tape_attributes_cannot_be_set_or_deleted():
    tape, *_, out = small()
    before = repr(tape)
    for name in ("color", *(name for name in dir(tape) if not name.startswith("_"))):
        with pytest.raises((AttributeError, TypeError)):
            setattr(tape, name, 3)
        with pytest.raises((AttributeError, TypeError)):
            delattr(tape, name)
    with pytest.raises(TypeError):
        tape[0] = tape[1]
    with pytest.raises(TypeError):
        del tape[0]
    assert repr(tape) == before
    assert len(tape) == 6
    assert len(tape.backward_scalar(out)) == 4


def test_static_and_parents_cannot_be_changed():
    x, tape = tm.Tape().leaf(np.ones((2, 3)))
    y, tape = tape.record(tm.sum, x, axis=1)
    with pytest.raises((AttributeError, TypeError)):
        tape[y].static["axis"] = 0
    with pytest.raises((AttributeError, TypeError)):
        tape[y].parents[0] = 5
    assert tape[y].static["axis"] == 1


def test_arrays_read_back_are_read_only():
    tape, x, _, scale, y, z, out = small()
    gradients = tape.backward_scalar(out)
    arrays = [tape.value(ref) for ref in (x, scale, y, z, out)]
    arrays += [tape[ref].value for ref in (x, scale, y, z, out)]
    arrays += [gradients[ref] for ref in (x, y, z, out)]
    for array in arrays:
        assert array.flags.writeable is False
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 7.0


def test_writing_into_a_dense_gradient_reaches_nobody():
    tape, x, *_, out = small()
    expected = [array.copy() for array in tape.backward_dense(out)]
    for array in tape.backward_dense(out):
        if array.flags.writeable:
            array[...] = 99.0
    for now, then in zip(tape.backward_dense(out), expected, strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_array_equal(tape.value(x), [0.5, 1.0, 2.0])


def sources():
    """(name, the array given to the tape, the array written to afterwards)."""
    plain = np.array([1.0, 2.0, 3.0])
    base = np.array([9.0, 1.0, 9.0, 2.0, 9.0, 3.0])
    locked = np.array([1.0, 2.0, 3.0])
    view = locked.view()
    view.flags.writeable = False
    yield "plain", plain, plain
    yield "strided view", base[1::2], base
    yield "read-only view of a writable array", view, locked


@pytest.mark.parametrize(("given", "written"), [pytest.param(g, w, id=name) for name, g, w in sources()])
def test_changing_a_source_array_changes_nothing(given, written):
    given, written = copy.deepcopy((given, written)) if given is written else (given, written)
    expected = given.copy()
    x, tape = tm.Tape().leaf(given)
    y, tape = tape.record(tm.mul, x, given)  # the same array as a constant
    out, tape = tape.record(tm.sum, y)
    before = written.copy()
    written[...] = -50.0
    try:
        np.testing.assert_array_equal(tape.value(x), expected)
        np.testing.assert_array_equal(tape.value(y), expected**2)
        np.testing.assert_array_equal(tape.backward_scalar(out)[x], expected)
        again, tape = tape.record(tm.square, x)
        np.testing.assert_array_equal(tape.value(again), expected**2)
    finally:
        written[...] = before


def test_changing_a_constant_after_it_was_used_changes_nothing():
    constant = np.array([1.0, 2.0])
    x, tape = tm.Tape().leaf(np.array([3.0, 4.0]))
    y, tape = (x * constant).run(tape)
    z, tape = tape.record(tm.matmul, constant, y)
    constant[:] = 0.0
    np.testing.assert_array_equal(tape.backward_scalar(z)[x], [1.0, 4.0])


def test_changing_a_constant_of_a_step_that_was_run_changes_nothing_on_its_tape():
    constant = np.array([1.0, 2.0])
    x, start = tm.Tape().leaf(np.array([3.0, 4.0]))
    step = tm.mul(x, constant).bind(tm.sum)
    out, tape = step.run(start)
    constant[:] = -1.0
    np.testing.assert_array_equal(tape.backward_scalar(out)[x], [1.0, 2.0])


def test_views_made_by_ops_do_not_follow_the_source():
    source = np.arange(6.0)
    x, tape = tm.Tape().leaf(source)
    y, tape = tape.record(tm.reshape, x, shape=(2, 3))
    z, tape = tape.record(tm.reshape, source, shape=(3, 2))
    w, tape = tape.record(tm.matmul, y, z)
    source[:] = 0.0
    expected = np.arange(6.0).reshape(2, 3) @ np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(tape.value(w), expected)
    with pytest.raises(ValueError, match="read-only"):
        tape.value(y)[0, 0] = 1.0


def test_changing_a_list_given_as_a_static_argument_changes_nothing():
    shape = [3, 2]
    x, tape = tm.Tape().leaf(np.arange(6.0))
    y, tape = tape.record(tm.reshape, x, shape=shape)
    shape[0] = 17
    assert tuple(tape[y].static["shape"]) == (3, 2)
    gradient = tape.backward([y], [np.arange(6.0).reshape(3, 2)])[x]
    np.testing.assert_array_equal(gradient, np.arange(6.0))


def test_changing_a_cotangent_afterwards_changes_nothing():
    x, tape = tm.Tape().leaf(np.array([1.0, 2.0]))
    y, tape = tape.record(tm.add, x, 1.0)  # its rule hands the cotangent straight on
    cotangent = np.array([5.0, 7.0])
    gradients = tape.backward([y], [cotangent])
    assert cotangent.flags.writeable
    cotangent[:] = 0.0
    np.testing.assert_array_equal(gradients[x], [5.0, 7.0])
    np.testing.assert_array_equal(gradients[y], [5.0, 7.0])


def test_an_array_given_to_a_tape_stays_writable():
    source = np.ones(3)
    tm.Tape().leaf(source)
    tm.Tape().leaf(np.ones(3))[1].record(tm.mul, 0 * source, source)
    tm.mul(source, source)[0] = 5.0
    source[0] = 2.0
    assert source[0] == 2.0


# Branching and threads ------------------------------------------------------------------------------------------------


def test_branching_from_an_old_tape():
    x, old = tm.Tape().leaf(np.array([0.3, 0.7]))
    a, left = old.record(tm.sin, x)
    b, right = old.record(tm.square, x)
    left_out, left = left.record(tm.sum, a)
    right_out, right = right.record(tm.sum, b)
    assert (len(old), len(left), len(right)) == (1, 3, 3)
    assert left[1] is a.node
    assert right[1] is b.node
    np.testing.assert_allclose(left.backward_scalar(left_out)[x], np.cos([0.3, 0.7]), rtol=1e-15)
    np.testing.assert_array_equal(right.backward_scalar(right_out)[x], [0.6, 1.4])
    c, again = old.record(tm.neg, x)
    assert (c.id, len(again), len(old)) == (1, 2, 1)
    assert repr(old).count("%") == 1


STEPS = [(tm.sin, np.sin), (tm.square, np.square), (tm.neg, np.negative)]


@calm
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, len(STEPS))), max_size=40))
def test_any_tree_of_branches_agrees_with_a_list_of_values(moves):
    """Each move extends any tape seen so far; a plain Python list says what must be on it."""
    tapes = [tm.Tape()]
    models = [[]]  # for each node: its Ref, its value, and its derivative with respect to the first leaf
    for which, operand, kind in moves:
        tape, model = tapes[which % len(tapes)], models[which % len(tapes)]
        if kind == len(STEPS) or not model:
            value = np.float64(0.1 + len(model))
            ref, grown = tape.leaf(value)
            entry = (ref, value, 1.0 if not model else 0.0)
        else:
            op, numpy = STEPS[kind]
            source, parent, slope = model[operand % len(model)]
            ref, grown = tape.record(op, source)
            local = {tm.sin: np.cos(parent), tm.square: 2 * parent, tm.neg: -1.0}[op]
            entry = (ref, numpy(parent), slope * local)
        assert ref.id == len(model)
        tapes.append(grown)
        models.append([*model, entry])
    for tape, model in zip(tapes, models, strict=True):
        assert len(tape) == len(model)
        assert [float(node.value) for node in tape] == [float(value) for _, value, _ in model]
        assert all(tape[ref] is ref.node for ref, _, _ in model)
        if model:
            out, _, slope = model[-1]
            np.testing.assert_allclose(tape.backward_dense(out)[0], slope, rtol=1e-12, atol=1e-300)


@pytest.fixture
def eager_switching():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_two_threads_extending_one_tape(eager_switching):
    repetitions, length = 60, 40
    for repetition in range(repetitions):
        x, start = tm.Tape().leaf(np.float64(repetition))
        barrier = threading.Barrier(2)
        results = {}

        def work(key, amount, start=start, x=x, barrier=barrier, results=results):
            barrier.wait()
            ref, tape, seen = x, start, [start]
            for _ in range(length):
                ref, tape = tape.record(tm.add, ref, amount)
                seen.append(tape)
            results[key] = ref, tape, seen

        threads = [threading.Thread(target=work, args=(key, amount)) for key, amount in (("a", 1.0), ("b", -2.0))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(start) == 1
        for key, amount in (("a", 1.0), ("b", -2.0)):
            ref, tape, seen = results[key]
            assert [len(t) for t in seen] == list(range(1, length + 2))
            assert [float(node.value) for node in tape] == [repetition + amount * i for i in range(length + 1)]
            assert float(tape.backward_scalar(ref)[x]) == 1.0


def test_many_threads_run_one_program_on_one_tape(eager_switching):
    x, start = tm.Tape().leaf(np.array([0.5, 1.5]))

    @tm.do
    def program(k):
        h = yield tm.sin(x)
        for _ in range(30):
            h = yield tm.mul(h, k)
        return (yield tm.sum(h))

    results = {}

    def work(k):
        for _ in range(10):
            out, tape = program(k).run(start)
            results.setdefault(k, []).append((tape.value(out), tape.backward_scalar(out)[x]))

    threads = [threading.Thread(target=work, args=(k,)) for k in (1.0, -1.0, 2.0, 0.5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, pairs in results.items():
        assert len(pairs) == 10
        for value, gradient in pairs:
            np.testing.assert_allclose(value, np.sin([0.5, 1.5]).sum() * k**30, rtol=1e-13)
            np.testing.assert_allclose(gradient, np.cos([0.5, 1.5]) * k**30, rtol=1e-13)
    assert len(start) == 1


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


# Gradients ------------------------------------------------------------------------------------------------------------


def test_gradients_hold_every_reached_node_and_no_other():
    tape, x, unused, scale, y, z, out = small()
    gradients = tape.backward_scalar(out)
    assert isinstance(gradients, tm.Gradients)
    assert isinstance(gradients, Mapping)
    assert sorted(gradients) == [x.id, y.id, z.id, out.id]
    assert len(gradients) == 4
    weights = np.array([1.0, 10.0, 100.0])
    np.testing.assert_allclose(gradients[x], np.cos([0.5, 1.0, 2.0]) * weights, rtol=1e-15)
    np.testing.assert_array_equal(gradients[y], weights)
    np.testing.assert_array_equal(gradients[z], np.ones(3))
    np.testing.assert_array_equal(gradients[out], 1.0)
    assert gradients[out].shape == ()
    for ref in (x, y, z, out):
        np.testing.assert_array_equal(gradients[ref], gradients[ref.id])
        assert ref in gradients
        assert ref.id in gradients
    assert unused not in gradients
    assert scale not in gradients
    assert 99 not in gradients
    assert gradients.get(unused) is None
    assert {key: array.shape for key, array in gradients.items()} == {0: (3,), 3: (3,), 4: (3,), 5: ()}


def test_gradients_cannot_be_changed():
    tape, x, *_, out = small()
    gradients = tape.backward_scalar(out)
    with pytest.raises(TypeError):
        gradients[x.id] = np.ones(3)
    with pytest.raises(TypeError):
        del gradients[x.id]
    with pytest.raises((AttributeError, TypeError)):
        gradients.color = 1
    assert not hasattr(gradients, "update")
    assert len(gradients) == 4


def test_a_missing_gradient_says_why():
    tape, _, unused, scale, _, _, out = small()
    gradients = tape.backward_scalar(out)
    foreign, _ = tm.Tape().leaf(1.0, name="foreign")
    for key, words in [
        (unused, ["unused", "reached"]),
        (unused.id, ["unused", "reached"]),
        (scale, ["scale", "constant"]),
        (scale.id, ["scale", "constant"]),
        (foreign, ["foreign", "not on"]),
        (99, ["99", "6 nodes"]),
        (-1, ["-1"]),
    ]:
        with pytest.raises(tm.MissingGradientError) as caught:
            gradients[key]
        assert isinstance(caught.value, KeyError)
        assert isinstance(caught.value, tm.TapeError)
        assert all(word in str(caught.value) for word in words), str(caught.value)
    assert foreign.id in gradients
    assert foreign not in gradients


def test_a_ref_of_a_branch_has_no_gradient_here():
    x, old = tm.Tape().leaf(2.0)
    a, left = old.record(tm.square, x)
    b, right = old.record(tm.sin, x)
    gradients = left.backward_scalar(a)
    assert a in gradients
    assert b not in gradients
    with pytest.raises(tm.MissingGradientError, match="not on"):
        gradients[b]
    assert right[b].id in gradients


def test_gradients_add_node_by_node():
    x, tape = tm.Tape().leaf(np.array([1.0, 2.0]))
    y, tape = tape.leaf(np.array([3.0, 4.0]))
    a, tape = tape.record(tm.square, x)
    b, tape = tape.record(tm.mul, x, y)
    one = tape.backward([a], [np.array([1.0, 1.0])])
    two = tape.backward([b], [np.array([10.0, 1.0])])
    total = one + two
    assert isinstance(total, tm.Gradients)
    both = tape.backward([a, b], [np.array([1.0, 1.0]), np.array([10.0, 1.0])])
    assert sorted(total) == sorted(both) == [0, 1, 2, 3]
    for ref, expected in [(x, [2 + 30, 4 + 4]), (y, [10, 2]), (a, [1, 1]), (b, [10, 1])]:
        np.testing.assert_array_equal(total[ref], expected)
        np.testing.assert_array_equal(both[ref], expected)
        assert total[ref].flags.writeable is False
    np.testing.assert_array_equal(one[x], [2, 4])
    np.testing.assert_array_equal(two[x], [30, 4])
    assert y not in one
    assert b not in one


def test_gradients_of_a_tape_and_of_its_continuation_add():
    x, tape = tm.Tape().leaf(3.0)
    a, shorter = tape.record(tm.square, x)
    b, longer = shorter.record(tm.mul, a, x)
    for total in (shorter.backward_scalar(a) + longer.backward_scalar(b), None):
        total = total or longer.backward_scalar(b) + shorter.backward_scalar(a)
        assert float(total[x]) == 6 + 27
        assert float(total[a]) == 1 + 3
        assert float(total[b]) == 1


# The sweeps -----------------------------------------------------------------------------------------------------------


def test_backward_takes_one_output_or_several():
    x, tape = tm.Tape().leaf(np.array([1.0, 2.0, 3.0]))
    y, tape = tape.record(tm.square, x)
    s, tape = tape.record(tm.sum, y)
    cotangent = np.array([1.0, -1.0, 0.5])
    expected = 2 * np.array([1.0, 2.0, 3.0]) * cotangent
    np.testing.assert_array_equal(tape.backward(y, cotangent)[x], expected)
    np.testing.assert_array_equal(tape.backward([y], [cotangent])[x], expected)
    np.testing.assert_array_equal(tape.backward((y,), (cotangent,))[x], expected)
    both = tape.backward([y, s], [cotangent, 2.0])
    np.testing.assert_array_equal(both[x], expected + 2 * 2 * np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(both[y], cotangent + 2.0)
    np.testing.assert_array_equal(both[s], 2.0)
    twice = tape.backward([y, y], [cotangent, cotangent])
    np.testing.assert_array_equal(twice[x], 2 * expected)
    leaf = tape.backward([x], [cotangent])
    np.testing.assert_array_equal(leaf[x], cotangent)
    assert list(leaf) == [0]


def test_a_node_used_many_times_gathers_every_contribution():
    x, tape = tm.Tape().leaf(np.array([0.5, 2.0]))
    y, tape = tape.record(tm.mul, x, x)
    z, tape = tape.record(tm.mul, y, x)
    w, tape = tape.record(tm.add, z, z)
    out, tape = tape.record(tm.sum, w)
    np.testing.assert_allclose(tape.backward_scalar(out)[x], 6 * np.array([0.5, 2.0]) ** 2, rtol=1e-15)


def test_backward_scalar_of_a_leaf_is_one():
    x, tape = tm.Tape().leaf(5.0)
    gradients = tape.backward_scalar(x)
    assert float(gradients[x]) == 1.0
    assert list(gradients) == [0]


def test_a_constant_output_has_no_gradients():
    k, tape = tm.Tape().leaf(2.0, requires_grad=False)
    y, tape = tape.record(tm.square, k)
    gradients = tape.backward_scalar(y)
    assert len(gradients) == 0
    with pytest.raises(tm.MissingGradientError, match="constant"):
        gradients[k]


def test_backward_from_an_old_tape_of_a_longer_buffer():
    x, tape = tm.Tape().leaf(1.5)
    y, short = tape.record(tm.square, x)
    z, tape = short.record(tm.mul, y, 100.0)
    gradients = short.backward_scalar(y)
    assert float(gradients[x]) == 3.0
    with pytest.raises(tm.MissingGradientError):
        gradients[z]
    with pytest.raises(tm.UnknownRefError):
        short.backward_scalar(z)


def test_backward_dense_has_one_array_per_node():
    tape, x, unused, scale, y, z, out = small()
    dense = tape.backward_dense(out)
    gradients = tape.backward_scalar(out)
    assert isinstance(dense, list)
    assert [array.shape for array in dense] == [node.shape for node in tape]
    assert [array.dtype for array in dense] == [np.float64] * 6
    for ref in (x, y, z, out):
        np.testing.assert_array_equal(dense[ref.id], gradients[ref])
    np.testing.assert_array_equal(dense[unused.id], np.zeros((2, 2)))
    np.testing.assert_array_equal(dense[scale.id], np.zeros(3))


def test_backward_dense_with_a_cotangent():
    tape, x, _, _, y, _, _ = small()
    cotangent = np.array([1.0, 0.0, -2.0])
    dense = tape.backward_dense(y, cotangent)
    assert len(dense) == 6
    np.testing.assert_allclose(dense[x.id], np.cos([0.5, 1.0, 2.0]) * cotangent, rtol=1e-15)
    np.testing.assert_array_equal(dense[y.id], cotangent)
    assert not dense[4].any()
    assert not dense[5].any()


def test_zero_size_and_zero_dimensional_arrays():
    empty, tape = tm.Tape().leaf(np.zeros((0, 3)))
    total, tape = tape.record(tm.sum, empty)
    gradients = tape.backward_scalar(total)
    assert gradients[empty].shape == (0, 3)
    point, tape = tape.leaf(np.float64(2.0))
    square, tape = tape.record(tm.square, point)
    assert square.shape == ()
    assert tape.backward_scalar(square)[point].shape == ()


@pytest.mark.parametrize("shapes", [((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((4, 1, 3), (2, 1)), ((1,), (5,))])
def test_broadcasting_is_undone(shapes):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape) for shape in shapes)
    cotangent = rng.standard_normal(np.broadcast_shapes(*shapes))
    x, tape = tm.Tape().leaf(a)
    y, tape = tape.leaf(b)
    z, tape = tape.record(tm.mul, x, y)
    gradients = tape.backward([z], [cotangent])
    for ref, mine, other in ((x, a, b), (y, b, a)):
        assert gradients[ref].shape == mine.shape
        for index in np.ndindex(mine.shape):
            bump = np.zeros_like(mine)
            bump[index] = 1.0
            np.testing.assert_allclose(gradients[ref][index], np.sum(bump * other * cotangent), rtol=1e-12)


# dtypes ---------------------------------------------------------------------------------------------------------------

FLOATS = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_stay_what_they_are(dtype):
    x, tape = tm.Tape().leaf(np.array([[1.0, 2.0], [3.0, 4.0]], dtype))
    y, tape = (((x @ x) * 2.0 + 1 - True) / 3).run(tape)
    z, tape = tape.record(tm.sin, y)
    m, tape = tape.record(tm.mean, z)
    assert [node.dtype for node in tape] == [dtype] * len(tape)
    gradients = tape.backward_scalar(m)
    assert {array.dtype for array in gradients.values()} == {np.dtype(dtype)}
    assert {array.dtype for array in tape.backward_dense(m)} == {np.dtype(dtype)}


def test_gradients_have_the_dtype_of_their_leaf():
    x, tape = tm.Tape().leaf(np.ones(3, np.float32))
    y, tape = tape.leaf(np.ones(3, np.float64))
    h, tape = tape.leaf(np.ones(3, np.float16))
    z, tape = (x * y * h).run(tape)
    out, tape = tape.record(tm.sum, z)
    assert out.dtype == np.float64
    gradients = tape.backward_scalar(out)
    assert [gradients[ref].dtype for ref in (x, y, h)] == [np.float32, np.float64, np.float16]


def test_a_cotangent_of_another_float_type_does_not_change_the_gradient():
    x, tape = tm.Tape().leaf(np.ones(3, np.float32))
    y, tape = tape.record(tm.sin, x)
    for cotangent in (np.ones(3), np.ones(3, np.float32), [1.0, 1.0, 1.0]):
        gradients = tape.backward([y], [cotangent])
        assert gradients[x].dtype == np.float32
        assert gradients[y].dtype == np.float32


@pytest.mark.parametrize("value", [3, True, np.arange(3), np.array([True, False]), np.uint8(7), [1, 2]])
def test_integers_and_bools_are_leaves_without_a_gradient(value):
    for wanted in (True, False):
        x, tape = tm.Tape().leaf(value, requires_grad=wanted)
        assert tape[x].requires_grad is False
        assert x.dtype == np.asarray(value).dtype
    w, tape = tape.leaf(np.float32(2.0))
    y, tape = tape.record(tm.mul, x, w)
    out, tape = tape.record(tm.sum, y)
    gradients = tape.backward_scalar(out)
    assert x not in gradients
    assert gradients[w].dtype == np.float32
    np.testing.assert_allclose(gradients[w], np.sum(value))


def test_leaves_take_lists_and_python_numbers():
    x, tape = tm.Tape().leaf([[1.0, 2.0], [3.0, 4.0]])
    y, tape = tape.leaf(2.5)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((2, 2), np.float64, (), np.float64)
    assert tape[y].requires_grad is True


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
