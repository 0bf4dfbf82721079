"""Programs of any depth, and what a step costs."""

import gc
import sys
import types

import numpy as np
import pytest

import tapem as tm

from .steps import DEEP, X

# Depth ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def the_recursion_limit_stays_low():
    """Depth must come from loops, not from a raised limit."""
    limit = sys.getrecursionlimit()
    assert limit <= 10_000
    yield
    assert sys.getrecursionlimit() == limit


def test_left_nested_binds():
    step = tm.pure(0)
    for _ in range(DEEP):
        step = step.bind(lambda n: tm.pure(n + 1))
    assert step.eval() == DEEP
    assert step.eval() == DEEP
    assert isinstance(repr(step), str)
    del step
    gc.collect()


def test_right_nested_binds():
    def count(n):
        return tm.pure("done") if n == 0 else tm.pure(n - 1).bind(count)

    assert count(DEEP).eval() == "done"

    step = tm.pure("last")
    for n in range(DEEP):
        step = tm.pure(n).bind(lambda _, rest=step: rest)
    assert step.eval() == "last"
    del step
    gc.collect()


def test_left_and_right_nested_then_and_map():
    left = right = mapped = tm.pure(0)
    for _ in range(DEEP):
        left = left >> tm.pure(1)
        right = tm.pure(1) >> right
        mapped = mapped.map(lambda n: n + 1)
    assert (left.eval(), right.eval(), mapped.eval()) == (1, 0, DEEP)


def test_left_nested_binds_that_record():
    step = tm.leaf(1.0)
    for _ in range(DEEP):
        step = step.bind(lambda r: tm.mul(r, 1.0))
    out, tape = step.run()
    assert len(tape) == DEEP + 1
    assert float(tape.backward_scalar(out)[0]) == 1.0


@pytest.mark.parametrize("side", ["left", "right"])
def test_nested_operand_steps(side):
    x, tape = tm.Tape().leaf(3.0)
    step = tm.neg(x)
    for _ in range(DEEP - 1):
        step = tm.mul(step, 1.0) if side == "left" else tm.add(0.0, step)
    out, after = step.run(tape)
    assert len(after) == DEEP + 1
    assert float(after.value(out)) == -3.0
    assert float(after.backward_scalar(out)[x]) == -1.0
    del step, after
    gc.collect()


def test_repr_of_a_deep_step():
    x, _ = tm.Tape().leaf(3.0)
    step = tm.neg(x)
    for _ in range(DEEP):
        step = tm.neg(step)
    text = repr(step)
    assert "neg" in text
    assert len(text) < 10_000


@pytest.mark.parametrize("delegate", [False, True])
def test_programs_that_call_themselves(delegate):
    @tm.do
    def count(n):
        if n == 0:
            return 0
        below = (yield from count(n - 1)) if delegate else (yield count(n - 1))
        return below + 1

    assert count(20_000).eval() == 20_000


def test_an_error_from_deep_inside():
    @tm.do
    def dig(n):
        if n == 0:
            yield tm.fail(tm.TapeError("bottom"))
        return (yield dig(n - 1))

    assert str(dig(5_000).attempt().error) == "bottom"
    step = tm.fail(tm.TapeError("first"))
    for _ in range(DEEP):
        step = step.bind(tm.pure)
    assert str(step.attempt().error) == "first"


def test_a_program_of_many_yields():
    @tm.do
    def program():
        h = yield tm.leaf(1.0)
        for _ in range(DEEP):
            h = yield tm.mul(h, 1.0)
        return h

    out, tape = program().run()
    assert len(tape) == DEEP + 1
    assert float(tape.backward_scalar(out)[0]) == 1.0


def test_long_sequences_traversals_and_folds():
    assert sum(tm.sequence([tm.pure(1)] * DEEP).eval()) == DEEP
    assert sum(tm.traverse(tm.pure, range(DEEP)).eval()) == DEEP * (DEEP - 1) // 2
    assert tm.fold(lambda total, n: tm.pure(total + n), 0, range(DEEP)).eval() == DEEP * (DEEP - 1) // 2


def test_a_step_is_an_iterator_of_its_own_result():
    """What `yield from` relies on: iterating a step yields steps, and returns the result that is sent in."""

    def plain():
        return (yield from tm.sin(X))

    generator = plain()
    assert isinstance(generator, types.GeneratorType)
    asked = next(generator)
    assert isinstance(asked, tm.TapeM)
    with pytest.raises(StopIteration) as stop:
        generator.send("the answer")
    assert stop.value.value == "the answer"


# What a step costs: the Python functions that one walk enters ---------------------------------------------------------


@tm.do
def model_of_the_readme(w):
    h = yield from tm.tanh(np.eye(2) @ w)
    loss = yield from tm.sum(h)
    return loss


def walk(x):
    ref, tape = tm.Tape().leaf(x, name="w")
    out, tape = model_of_the_readme(ref).run(tape)
    return tape.backward_scalar(out)[ref]


def test_a_walk_through_a_program_enters_few_functions():
    """A leaf, the README's program and the sweep back: 118 functions before the builder held a tape."""
    entered = []
    x = np.ones(2)
    walk(x)  # what is cached is cached

    def profile(frame, event, _):
        if event == "call":
            entered.append(frame.f_code.co_qualname)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        walk(x)
    finally:
        sys.setprofile(before)
    assert len(entered) <= 90, entered


def test_a_tensor_and_a_tracer_survive_two_calls_of_direct_code():
    """The lent recorder goes on from the tape as it is at each call."""
    x, tape = tm.Tape().leaf(np.ones(3))

    @tm.do
    def program(x):
        a = yield tm.lift(np.sin)(x)
        b = yield tm.mul(a, x)
        c = yield tm.lift(lambda u, v: np.sum(u * v))(a, b)
        return c

    out, longer = program(x).run(tape)
    assert len(tape) == 1 and len(longer) == 5
    np.testing.assert_allclose(longer.backward_scalar(out)[x], 2 * np.sin(1) * np.cos(1) + np.sin(1) ** 2)
