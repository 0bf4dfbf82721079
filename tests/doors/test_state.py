"""The state of a running program is a tape: nobody else's nodes appear on it, and a caught error gives it back."""

import gc
import threading
import weakref

import numpy as np
import pytest

import tapem as tm


def start():
    return tm.Tape().leaf(np.array([0.5, 1.0, 2.0]), name="x")


def ops(tape):
    return [node.op.name for node in tape.check()]


# What others record on a tape that was handed out ---------------------------------------------------------------------


def test_nodes_that_others_record_on_the_tape_of_a_running_program_stay_theirs():
    x, old = start()
    others = []

    @tm.do
    def program():
        y = yield tm.sin(x)
        tape = yield tm.get_tape()
        for _ in range(3):
            others.append(tape.record(tm.neg, y)[1])
            others.append(tm.exp(y).bind(tm.cos).exec(tape))
        z = yield tm.square(y)
        again = yield tm.get_tape()
        others.append(again.record(tm.neg, z)[1])
        return (yield tm.sum(z))

    out, tape = program().run(old)
    assert ops(tape) == ["leaf", "sin", "square", "sum"]
    assert [ops(other) for other in others[:2]] == [["leaf", "sin", "neg"], ["leaf", "sin", "exp", "cos"]]
    assert ops(others[-1]) == ["leaf", "sin", "square", "neg"]
    np.testing.assert_allclose(tape.backward_scalar(out)[x], np.sin([1.0, 2.0, 4.0]), rtol=1e-15)


def test_nodes_recorded_on_the_tape_that_a_program_started_from_stay_there():
    x, old = start()

    @tm.do
    def program():
        old.record(tm.neg, x)
        y = yield tm.sin(x)
        old.record(tm.exp, x)
        return (yield tm.sum(y))

    _, tape = program().run(old)
    assert ops(tape) == ["leaf", "sin", "sum"]
    assert ops(old) == ["leaf"]


def test_nodes_recorded_while_direct_code_runs_in_a_program():
    x, old = start()
    others = []

    @tm.do
    def program():
        y = yield tm.sin(x)
        tape = yield tm.get_tape()

        def direct(a):
            others.append(tape.record(tm.neg, y)[1])
            b = np.cos(a)
            others.append(tape.record(tm.exp, y)[1])
            return np.sum(b * tm.grad(lambda c: np.sum(c * c))(a))

        return (yield tm.lift(direct)(y))

    out, tape = program().run(old)
    assert [ops(other) for other in others] == [["leaf", "sin", "neg"], ["leaf", "sin", "exp"]]
    assert ops(tape)[:4] == ["leaf", "sin", "cos", "identity"]
    s = np.sin([0.5, 1.0, 2.0])
    np.testing.assert_allclose(tape.value(out), np.sum(np.cos(s) * 2 * s), rtol=1e-15)
    expected = (2 * np.cos(s) - 2 * s * np.sin(s)) * np.cos([0.5, 1.0, 2.0])
    np.testing.assert_allclose(tape.backward_scalar(out)[x], expected, rtol=1e-14)


def test_a_program_called_with_tracers_in_a_lifted_function():
    x, old = start()

    @tm.do
    def inner(a):
        b = yield tm.sin(a)
        before = yield tm.get_tape()
        yield tm.lift(np.exp)(b)
        return (yield b * float(len(before)))

    def direct(a):
        return np.sum(inner(np.cos(a)) + a)

    out, tape = tm.lift(direct)(x).run(old)
    assert ops(tape) == ["leaf", "cos", "sin", "exp", "mul", "add", "sum"]
    np.testing.assert_allclose(tape.value(out), np.sum(3 * np.sin(np.cos([0.5, 1, 2])) + [0.5, 1, 2]), rtol=1e-15)


def test_the_tape_that_a_program_sees_under_grad_is_its_own_too():
    kept = []

    @tm.do
    def program(a):
        b = yield tm.sin(a)
        tape = yield tm.get_tape()
        kept.append(tape.record(tm.neg, b)[1])
        return (yield tm.sum(b * b))

    gradient = tm.grad(program)(np.array([0.5, 1.0]))
    np.testing.assert_allclose(gradient, np.sin([1.0, 2.0]), rtol=1e-15)
    assert ops(kept[0]) == ["leaf", "sin", "neg"]


def test_programs_with_direct_code_on_one_tape_in_several_threads():
    x, old = start()
    f = tm.lift(lambda a, k: np.sum(np.sin(a) * k))
    results = {}
    barrier = threading.Barrier(4)

    def work(k):
        barrier.wait()
        results[k] = [f(x, k).bind(lambda y: tm.square(y)).run(old) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(float(k),)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, pairs in results.items():
        for out, tape in pairs:
            assert ops(tape) == ["leaf", "sin", "mul", "sum", "square"]
            np.testing.assert_allclose(tape.value(out), (np.sin([0.5, 1, 2]).sum() * k) ** 2, rtol=1e-15)


def test_gradients_know_the_tape_that_was_swept_and_no_later_one():
    x, tape = start()
    gradients = tape.backward(x, np.ones(3))
    y, _ = tape.record(tm.sin, x)
    with pytest.raises(tm.MissingGradientError, match="not on this tape of 1 node"):
        gradients[y]


# A caught error gives the tape back -----------------------------------------------------------------------------------

X, OLD = start()


class Mine(Exception):
    """An error that is not ours."""


def raises(_):
    raise Mine("mine")


@tm.do
def fails_late(error=None):
    yield tm.sin(X)
    yield tm.exp(X)
    if error is not None:
        raise error
    yield tm.fail("late")


@tm.do
def exchanges_the_tape():
    yield tm.set_tape(tm.Tape())
    yield tm.leaf(1.0)
    yield tm.fail("late")


FAILING = {
    "step": lambda: tm.add(X, np.ones(7)),
    "steps in sequence": lambda: tm.sin(X) >> tm.add(X, np.ones(7)),
    "bind": lambda: tm.sin(X).bind(lambda y: tm.add(y, np.ones(7))),
    "operand": lambda: tm.add(tm.sin(X), tm.add(tm.exp(X), np.ones(7))),
    "fail": lambda: tm.sin(X) >> tm.fail("no"),
    "program": fails_late,
    "program in an operand": lambda: tm.add(tm.sin(X), fails_late()),
    "exception of a program": lambda: fails_late(Mine("mine")),
    "exception of a function given to bind": lambda: tm.sin(X).bind(raises),
    "exception of a function given to map": lambda: tm.sin(X).map(raises),
    "exception of a function given to traverse": lambda: tm.sin(X) >> tm.traverse(raises, [1]),
    "direct code": lambda: tm.lift(lambda a: np.sin(a) + np.ones(7))(X),
    "exception of direct code": lambda: tm.lift(lambda a: raises(np.sin(a)))(X),
    "set_tape": exchanges_the_tape,
    "bad yield": lambda: tm.do(lambda: (yield tm.sin(X)) and (yield "text"))(),
}


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("delegate", [False, True])
def test_a_caught_error_gives_back_the_tape_of_its_yield(name, delegate):
    @tm.do
    def program():
        y = yield tm.neg(X)
        caught = None
        try:
            if delegate:
                yield from FAILING[name]()
            else:
                yield FAILING[name]()
        except (tm.TapeError, Mine) as error:
            caught = error
        assert caught is not None
        size = yield tm.get_tape().map(len)
        return size, (yield tm.sum(y))

    (size, out), tape = program().run(OLD)
    assert size == 2
    assert ops(tape) == ["leaf", "neg", "sum"]
    np.testing.assert_array_equal(tape.backward_scalar(out)[X], [-1.0, -1.0, -1.0])
    assert ops(OLD) == ["leaf"]


def test_a_caught_error_keeps_what_was_recorded_before_the_yield():
    @tm.do
    def inner():
        y = yield tm.sin(X)
        try:
            yield fails_late()
        except tm.TapeError:
            pass
        z = yield tm.square(y)
        yield tm.exp(z) >> tm.fail("outer")

    @tm.do
    def outer(attempts):
        y = yield tm.neg(X)
        for _ in range(attempts):
            try:
                yield inner()
            except tm.TapeError as error:
                assert str(error) == "outer"
                y = yield tm.neg(y)
        return y

    tape = outer(3).exec(OLD)
    assert ops(tape) == ["leaf", "neg", "neg", "neg", "neg"]


def test_a_ref_of_a_step_that_failed_is_on_no_tape():
    leaked = []

    @tm.do
    def program():
        try:
            yield tm.sin(X).map(leaked.append) >> tm.fail("no")
        except tm.TapeError:
            pass
        yield tm.neg(X)
        return (yield tm.sin(leaked[0]))

    with pytest.raises(tm.UnknownRefError, match=r"sin\(x\): argument 'x': Ref 1 .* is not on this tape of 2 nodes"):
        program().run(OLD)


def test_a_program_that_fails_very_often():
    @tm.do
    def program():
        caught = 0
        for _ in range(20_000):
            try:
                yield tm.sin(X) >> tm.add(X, np.ones(7))
            except tm.ShapeError:
                caught += 1
        return caught

    caught, tape = program().run(OLD)
    assert caught == 20_000
    assert len(tape) == 1


def test_what_a_failed_run_recorded_is_freed_with_its_error():
    kept = []

    @tm.do
    def program():
        y = yield tm.leaf(np.ones(1000))
        tape = yield tm.get_tape()
        kept.append(weakref.ref(tape.value(y).base))
        yield tm.add(y, np.ones(7))

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(tm.TapeError):
            program().run()
        assert isinstance(program().attempt(), tm.Err)
        assert all(reference() is None for reference in kept)  # by reference counts alone: there is no circle
    finally:
        gc.enable()
