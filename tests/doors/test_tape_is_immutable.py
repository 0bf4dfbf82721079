"""A tape never changes, whoever holds it, branches it or goes on from it in another thread."""

import copy
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapem as tm

from .tapes import calm, small

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
