"""The gradients of a tape: what is in them, the sweeps that make them, and their dtypes."""

from collections.abc import Mapping

import numpy as np
import pytest

import tapem as tm

from .tapes import small

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
