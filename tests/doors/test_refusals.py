"""What Refs, steps and tapes refuse, and what they say: nothing changes in place, nothing pretends to a value."""

import copy
import math
import operator
import pickle

import numpy as np
import pytest

import tapem as tm

X, TAPE = tm.Tape().leaf(np.ones((2, 3)), name="x")


def refused(kind, words, attempt):
    with pytest.raises(tm.TapeError, match=words) as caught:
        attempt()
    assert isinstance(caught.value, kind), repr(caught.value)
    assert len(str(caught.value)) < 400


# Immutable -----------------------------------------------------------------------------------------------------------

STEPS = {
    "op": tm.sin(X),
    "effect": tm.leaf(1.0),
    "bind": tm.sin(X).bind(tm.sum),
    "program": tm.do(lambda: (yield tm.sin(X)))(),
}
VALUES = {"ref": X, "tape": TAPE, "gradients": TAPE.backward(X, np.ones((2, 3))), **STEPS}


@pytest.mark.parametrize("name", VALUES)
def test_no_attribute_can_be_set_or_deleted(name):
    value = VALUES[name]
    own = [slot for cls in type(value).__mro__ for slot in getattr(cls, "__slots__", ())]
    public = [attribute for attribute in dir(value) if not attribute.startswith("__")]
    for attribute in {*own, *public, "color", "__class__", "__doc__"}:
        refused(tm.MutationError, f"immutable.*'{attribute}'", lambda attribute=attribute: setattr(value, attribute, 3))
        refused(tm.MutationError, f"immutable.*'{attribute}'", lambda attribute=attribute: delattr(value, attribute))
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("name", ["ref", "tape", "gradients", "op"])
def test_copies_are_as_good(name):
    for twin in (copy.copy(VALUES[name]), copy.deepcopy(VALUES[name]), pickle.loads(pickle.dumps(VALUES[name]))):
        assert type(twin) is type(VALUES[name])
        assert repr(twin) == repr(VALUES[name])
        with pytest.raises(tm.MutationError):
            twin.color = 3


def test_a_copied_step_runs_on_a_copied_tape():
    tape, step = pickle.loads(pickle.dumps((TAPE, tm.sum(tm.sin(X) * 2.0))))
    out, tape = step.run(tape)
    assert float(tape.value(out)) == pytest.approx(12 * math.sin(1.0), rel=1e-15)


def test_gradients_are_equal_if_they_are_one():
    one, two = (TAPE.backward(X, np.ones((2, 3))) for _ in range(2))
    assert one == one
    assert one != two
    assert {one: "one", two: "two"}[two] == "two"


# No value of their own -----------------------------------------------------------------------------------------------

NUMPY = {
    "np.sin": lambda v: np.sin(v),
    "np.add": lambda v: np.add(np.ones(3), v),
    "np.add.reduce": lambda v: np.add.reduce(v),
    "np.asarray": lambda v: np.asarray(v),
    "np.array": lambda v: np.array([v, v]),
    "np.array with a dtype": lambda v: np.array(v, dtype=float),
    "np.ones_like": lambda v: np.ones_like(v),
    "np.sum": lambda v: np.sum(v),
    "np.mean": lambda v: np.mean(v),
    "np.transpose": lambda v: np.transpose(v),
    "np.reshape": lambda v: np.reshape(v, (3, 2)),
    "np.stack": lambda v: np.stack([v, v]),
    "np.where": lambda v: np.where(v, 1.0, 2.0),
    "np.linalg.norm": lambda v: np.linalg.norm(v),
    "np.einsum": lambda v: np.einsum("ij->i", v),
    "assignment": lambda v: np.ones(6).__setitem__(slice(2), v),
    "float": float,
    "int": int,
    "complex": complex,
    "bool": bool,
    "index": operator.index,
    "range": range,
    "math.sin": math.sin,
    "if": lambda v: 1 if v else 2,
    "and": lambda v: v and 1,
    "tape.leaf": lambda v: TAPE.leaf(v),
    "tape.leaf of a list": lambda v: TAPE.leaf([v, v]),
    "constant of an op": lambda v: tm.mul(np.ones(3), [v, v, v]),
}


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("value", [X, tm.sin(X), tm.leaf(1.0), tm.sin(X).bind(tm.sum)], ids=repr)
def test_numpy_and_conversions_are_refused_in_words(value, name):
    words = r"(Ref|<step) .*has no value of its own.*tm\.sin.*tape\.value\(ref\)"
    refused(tm.ConcretizationError, words, lambda: NUMPY[name](value))


def test_what_numpy_may_ask_of_a_ref():
    assert (np.shape(X), np.ndim(X), np.size(X), np.size(X, 1)) == ((2, 3), 2, 6, 3)


def test_arrays_beside_refs_build_steps():
    for step in (np.ones(3) + X, np.float64(2.0) * X, np.ones((4, 2)) @ X, np.ones(3) < X, 2.0**X):
        assert isinstance(step, tm.TapeM)
    assert (np.ones(3) == X) is False


def test_a_scalar_ref_has_no_length():
    scalar, _ = tm.Tape().leaf(1.0)
    refused(TypeError, "scalar", lambda: len(scalar))
    refused(TypeError, "tm.split", lambda: list(X))


# Keys, ops, tapes, names, programs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["x", None, (0,), slice(0, 1), 0.5, True, np.bool_(True), [0], 1j, np.array([0, 1])])
def test_keys_that_are_none(key):
    gradients = VALUES["gradients"]
    for attempt in (lambda: TAPE[key], lambda: TAPE.value(key), lambda: TAPE.backward_scalar(key)):
        refused(tm.UnknownRefError, "indexed by a Ref or by an id, which is an int, not by", attempt)
    refused(tm.MissingGradientError, "indexed by a Ref or by an id", lambda: gradients[key])
    assert key not in gradients


def test_ids_may_be_numpys():
    assert TAPE[np.int64(0)] is TAPE[np.array(0)] is TAPE[0] is X.node
    assert np.int32(0) in VALUES["gradients"]


def test_a_step_is_no_key():
    refused(tm.UnknownRefError, r"<step sin\(%0\)> is on no tape.*Run it", lambda: TAPE[tm.sin(X)])
    refused(tm.UnknownRefError, "Run it", lambda: TAPE.backward(tm.sin(X), np.ones((2, 3))))


@pytest.mark.parametrize("name", ["sin", None, 3, len, np.shape, lambda x: x, lambda x: 3])
def test_recording_what_is_no_op(name):
    refused(tm.StepError, r"tape\.record: .* is not an op.*tm\.sin", lambda: TAPE.record(name, X))


def test_recording_a_function_made_of_ops():
    out, tape = TAPE.record(lambda x, k: tm.sum(tm.sin(x) * k), X, 2.0)
    assert [node.op.name for node in tape] == ["leaf", "sin", "mul", "sum"]
    assert out.shape == ()


def test_recording_an_op_of_several_results_gives_several_refs():
    (q, r), tape = TAPE.record(tm.qr, X)
    (q2, r2), same = tm.qr(X).run(TAPE)
    assert (q.shape, r.shape) == (q2.shape, r2.shape) == ((2, 2), (2, 3))
    assert repr(tape) == repr(same)


@pytest.mark.parametrize("thing", [3, "a", np.sin, X, tm.sin(X)], ids=repr)
def test_where_a_tape_is_meant(thing):
    for attempt in (tm.sin(X).run, tm.sin(X).eval, tm.sin(X).exec, tm.sin(X).attempt, tm.set_tape):
        refused(TypeError, "needs a Tape", lambda attempt=attempt: attempt(thing))


@pytest.mark.parametrize("name", [3, b"x", ("x",), X])
def test_names_are_strings(name):
    for attempt in (TAPE.leaf, lambda value, name: tm.leaf(value, name=name).run(TAPE)):
        refused(tm.ArgumentError, "name of a node is a string", lambda attempt=attempt: attempt(1.0, name=name))


@pytest.mark.parametrize("error", [3, None, ValueError("x"), tm.ShapeError, KeyboardInterrupt()], ids=repr)
def test_fail_takes_our_errors_and_messages(error):
    refused(tm.StepError, "fail needs a message or a TapeError", lambda: tm.fail(error))


def test_fail_takes_an_error_of_the_user_that_is_a_tape_error():
    class Mine(tm.TapeError):
        pass

    error = Mine("mine")
    assert tm.fail(error).attempt() == tm.Err(error)


@pytest.mark.parametrize("function", [lambda x: x, len, 3, tm.sin, tm.Tape])
def test_do_takes_generator_functions(function):
    refused(tm.StepError, "do: .* is not a generator function", lambda: tm.do(function))


def test_do_takes_a_wrapped_generator_function():
    import functools

    def generator(x):
        return (yield tm.sin(x))

    @tm.do
    @functools.wraps(generator)
    def wrapped(x):
        return generator(x)

    assert wrapped(X).eval(TAPE).shape == (2, 3)

    @tm.do
    @functools.wraps(generator)
    def forgetful(x):
        return 3

    refused(tm.StepError, "program generator must yield its steps, but returned 3", lambda: forgetful(X).run(TAPE))


@pytest.mark.parametrize("thing", [3, X, None, tm.sin], ids=repr)
def test_then_takes_steps(thing):
    refused(tm.StepError, "needs a step", lambda: tm.sin(X) >> thing)


YIELDS = [np.array([None]), np.array(["a"]), np.datetime64("2020-01-01"), "a", None, [1.0]]


@pytest.mark.parametrize("thing", YIELDS, ids=repr)
def test_yields_that_are_neither_step_nor_tensor(thing):
    @tm.do
    def confused():
        yield thing

    refused(tm.StepError, "the program confused yielded .* neither a step nor a tensor", lambda: confused().run())


def test_an_array_is_no_step_to_yield_from():
    @tm.do
    def program(x):
        return (yield from tm.tanh(x))

    text = r"the program program used `yield from` with an array, which is not a step: .*x = yield from tm\.const\(x\)"
    refused(tm.StepError, text, lambda: program(np.ones(2)).run())
    assert isinstance(program(np.ones(2)).attempt(), tm.Err)
    y, tape = tm.const(np.zeros(2)).bind(program).run()
    np.testing.assert_array_equal(tape.value(y), [0.0, 0.0])

    @tm.do
    def own():
        yield tm.const(1.0)
        return object().send  # the user's own mistake stays theirs

    with pytest.raises(AttributeError, match="'object' object has no attribute 'send'"):
        own().run()


@pytest.mark.parametrize("thing", [1, True, 2.5, np.uint8(3), np.float16(1.0), np.arange(3), np.ones(2, np.float32), X])
def test_yields_that_are_tensors_come_back(thing):
    @tm.do
    def program():
        return (yield thing)

    assert program().eval() is thing


def test_sweeps_say_their_own_name():
    refused(tm.NotScalarError, "^backward_dense needs", lambda: TAPE.backward_dense(X))
    refused(tm.ShapeError, "^backward_dense: the cotangent", lambda: TAPE.backward_dense(X, np.ones(7)))
    refused(tm.DTypeError, "^backward_dense: the cotangent", lambda: TAPE.backward_dense(X, "a"))
    refused(tm.NotScalarError, "^backward_scalar needs", lambda: TAPE.backward_scalar(X))
    refused(tm.ShapeError, "^backward: 2 outputs but 1 cotangents", lambda: TAPE.backward([X, X], np.array(1.0)))


def test_a_cotangent_of_a_constant_must_fit_too():
    k, tape = TAPE.leaf(np.ones(2), requires_grad=False)
    refused(tm.ShapeError, "the cotangent of node 1", lambda: tape.backward(k, np.ones(3)))


# Texts ---------------------------------------------------------------------------------------------------------------


def test_steps_are_printed_in_a_line():
    assert repr(tm.sin(X)) == "<step sin(%0)>"
    assert repr(tm.mul(tm.sin(X), np.ones(3))) == "<step mul(sin(%0), const f64[3])>"
    assert repr(tm.sin(X).bind(tm.sum)) == "<step sin(%0) >> ...>"
    assert repr(STEPS["program"]) == "<step <lambda>(...)>"
    wide = tm.stack([tm.stack([X] * 1000)] * 1000)
    deep = X
    for _ in range(3_000):
        deep = tm.neg(deep)
    for step in (wide, deep, tm.pure(1) >> deep, deep >> deep):
        assert len(repr(step)) < 300
