"""TapeM and do-notation: the laws, the combinators, programs of any depth, and what happens when a step fails."""

import gc
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapem as tm

calm = settings(deadline=None)  # a busy machine is no failure

DEEP = 100_000


def start():
    """A tape of two leaves."""
    x, tape = tm.Tape().leaf(np.array([0.5, 1.0, 2.0]), name="x")
    w, tape = tape.leaf(np.array([3.0, 4.0, 5.0]), name="w")
    return x, w, tape


def contents(tape):
    """All that a tape says, as plain data that can be compared."""
    return [
        (n.id, n.op, tuple(n.parents), dict(n.static), n.name, n.requires_grad, n.shape, n.dtype, n.value.tobytes())
        for n in tape
    ]


def outcome(step, tape):
    """What a step does on a tape: its result and the tape, or its error."""
    result = step.attempt(tape)
    if isinstance(result, tm.Err):
        return type(result.error), str(result.error)
    value, after = result.value
    return (("ref", value.id) if isinstance(value, tm.Ref) else value), contents(after)


# The laws -------------------------------------------------------------------------------------------------------------

X, W, TAPE = start()

# Functions from a Ref to a step, the monad's arrows: recording, pure, failing and tape-reading ones.
ARROWS = {
    "sin": tm.sin,
    "square": lambda r: tm.square(r),
    "twice": lambda r: tm.add(tm.sin(r), r),
    "scaled": lambda r: r * 2.0,
    "pure": tm.pure,
    "other": lambda r: tm.pure(X),
    "two nodes": lambda r: tm.neg(r).bind(tm.sin),
    "constant": lambda r: tm.const(1.0).bind(lambda c: tm.mul(r, c)),
    "fail": lambda r: tm.fail(tm.TapeError("stop here")),
    "misfit": lambda r: tm.add(tm.sin(r), np.ones((2, 2))),
    "depends": lambda r: tm.get_tape().bind(lambda t: tm.mul(r, float(len(t)))),
    "rewind": lambda r: tm.set_tape(TAPE) >> tm.sin(X),
}
arrows = st.sampled_from(sorted(ARROWS)).map(ARROWS.__getitem__)
starts = st.sampled_from([X, W])


@st.composite
def steps(draw):
    """A step made of a few arrows, grouped at random."""
    step = draw(st.sampled_from([tm.pure(X), tm.sin(W), tm.leaf(np.ones(3)), tm.mul(X, W), tm.param(2.0, name="p")]))
    for arrow in draw(st.lists(arrows, max_size=4)):
        step = step.bind(arrow)
    return step


@calm
@given(starts, arrows)
def test_left_identity(a, f):
    assert outcome(tm.pure(a).bind(f), TAPE) == outcome(f(a), TAPE)


@calm
@given(steps())
def test_right_identity(m):
    assert outcome(m.bind(tm.pure), TAPE) == outcome(m, TAPE)


@calm
@given(steps(), arrows, arrows)
def test_associativity(m, f, g):
    assert outcome(m.bind(f).bind(g), TAPE) == outcome(m.bind(lambda a: f(a).bind(g)), TAPE)


@calm
@given(steps())
def test_functor_laws(m):
    assert outcome(m.map(lambda a: a), TAPE) == outcome(m, TAPE)

    def f(ref):
        return ref.shape

    assert outcome(m.map(f).map(len), TAPE) == outcome(m.map(lambda a: len(f(a))), TAPE)
    assert outcome(m.map(f), TAPE) == outcome(m.bind(lambda a: tm.pure(f(a))), TAPE)


@calm
@given(steps(), steps(), steps())
def test_then_is_bind_that_ignores(m, n, o):
    assert outcome(m >> n, TAPE) == outcome(m.bind(lambda _: n), TAPE)
    assert outcome(m.then(n), TAPE) == outcome(m >> n, TAPE)
    assert outcome((m >> n) >> o, TAPE) == outcome(m >> (n >> o), TAPE)


@calm
@given(steps(), arrows)
def test_failing_is_a_left_zero(m, f):
    failing = tm.fail(tm.TapeError("zero"))
    assert outcome(failing.bind(f), TAPE) == outcome(failing, TAPE)
    assert outcome(failing >> m, TAPE) == (tm.TapeError, "zero")


@calm
@given(steps())
def test_state_laws(m):
    assert outcome(tm.get_tape().bind(tm.set_tape) >> m, TAPE) == outcome(m, TAPE)
    assert outcome(tm.get_tape() >> m, TAPE) == outcome(m, TAPE)
    assert outcome(tm.set_tape(tm.Tape()) >> tm.set_tape(TAPE) >> m, TAPE) == outcome(tm.set_tape(TAPE) >> m, TAPE)
    assert tm.set_tape(TAPE).bind(lambda _: tm.get_tape()).map(contents).eval() == contents(TAPE)


@calm
@given(steps())
def test_a_step_is_a_value_that_can_be_run_again(m):
    before = contents(TAPE)
    assert outcome(m, TAPE) == outcome(m, TAPE)
    assert contents(TAPE) == before


@calm
@given(steps(), st.lists(arrows, max_size=4))
def test_do_means_the_same_as_bind(m, fs):
    @tm.do
    def program():
        a = yield m
        for f in fs:
            a = yield f(a)
        return a

    @tm.do
    def delegating():
        a = yield from m
        for f in fs:
            a = yield from f(a)
        return a

    chained = m
    for f in fs:
        chained = chained.bind(f)
    assert outcome(program(), TAPE) == outcome(chained, TAPE)
    assert outcome(delegating(), TAPE) == outcome(chained, TAPE)


# Running --------------------------------------------------------------------------------------------------------------


def test_run_eval_exec_and_the_default_tape():
    step = tm.leaf(np.array([1.0, 2.0]), name="v").bind(tm.square)
    ref, tape = step.run()
    assert (ref.id, len(tape)) == (1, 2)
    np.testing.assert_array_equal(tape.value(ref), [1, 4])
    assert step.eval().shape == (2,)
    assert len(step.exec()) == 2
    assert len(step.run()[1]) == 2  # the default tape is empty each time
    x, _, old = start()
    ref, tape = tm.sin(x).run(old)
    assert (ref.id, len(tape), len(old)) == (2, 3, 2)
    assert len(tm.sin(x).exec(tape=old)) == 3
    assert tm.sin(x).eval(tape=old).id == 2


def test_leaf_param_and_const():
    x, tape = tm.leaf(np.ones(2), name="x").run()
    c, tape = tm.leaf(np.ones(2), name="c", requires_grad=False).run(tape)
    p, tape = tm.param(np.ones(2), name="p").run(tape)
    k, tape = tm.const(np.ones(2), name="k").run(tape)
    i, tape = tm.param(np.arange(2), name="i").run(tape)
    assert [tape[r].name for r in (x, c, p, k, i)] == ["x", "c", "p", "k", "i"]
    assert [tape[r].requires_grad for r in (x, c, p, k, i)] == [True, False, True, False, False]


def test_monadic_leaves_keep_their_own_copy():
    source = np.array([1.0, 2.0])
    x, tape = tm.leaf(source).run()
    source[:] = 9.0
    np.testing.assert_array_equal(tape.value(x), [1.0, 2.0])


def test_get_tape_and_set_tape():
    x, _, old = start()

    @tm.do
    def program():
        before = yield tm.get_tape()
        y = yield tm.sin(x)
        after = yield tm.get_tape()
        yield tm.set_tape(before)
        z = yield tm.square(x)
        return len(before), len(after), y.id, z.id

    (before, after, y, z), tape = program().run(old)
    assert (before, after, y, z) == (2, 3, 2, 2)
    assert len(tape) == 3
    assert tape[2].op is tm.square
    assert len(old) == 2


def test_the_tape_that_get_tape_gives_is_a_tape_of_its_own():
    x, _, old = start()

    @tm.do
    def program():
        tape = yield tm.get_tape()
        inner, branch = tape.record(tm.neg, x)
        outer = yield tm.sin(x)
        return tape, inner, branch, outer

    (tape, inner, branch, outer), final = program().run(old)
    assert (len(tape), len(branch), len(final)) == (2, 3, 3)
    np.testing.assert_array_equal(branch.value(inner), -old.value(x))
    np.testing.assert_array_equal(final.value(outer), np.sin(old.value(x)))
    assert branch[2] is not final[2]


def test_monadic_backward():
    x, w, old = start()

    @tm.do
    def program():
        y = yield tm.mul(x, w)
        out = yield tm.sum(y)
        scalar = yield tm.backward_scalar(out)
        several = yield tm.backward([y, out], [np.array([1.0, 0.0, 2.0]), 3.0])
        one = yield tm.backward(y, np.ones(3))
        size = yield tm.get_tape().map(len)
        return scalar, several, one, size

    (scalar, several, one, size), tape = program().run(old)
    assert size == len(tape) == 4  # a sweep leaves the tape as it is
    np.testing.assert_array_equal(scalar[x], [3, 4, 5])
    np.testing.assert_array_equal(scalar[w], [0.5, 1, 2])
    np.testing.assert_array_equal(several[x], (np.array([1, 0, 2]) + 3) * [3, 4, 5])
    np.testing.assert_array_equal(one[x], [3, 4, 5])


def test_a_program_that_differentiates_its_own_steps():
    """A step of gradient descent written as one program: the gradients are values in it."""

    @tm.do
    def descend(value, rate):
        w = yield tm.param(value)
        loss = yield tm.sum(tm.square(w - np.array([1.0, -2.0])))
        gradients = yield tm.backward_scalar(loss)
        return value - rate * gradients[w]

    value = np.zeros(2)
    for _ in range(50):
        value = descend(value, 0.25).eval()
    np.testing.assert_allclose(value, [1.0, -2.0], atol=1e-12)


# do -------------------------------------------------------------------------------------------------------------------


@tm.do
def norm2(x, *, scale=1.0):
    """The sum of squares."""
    square = yield tm.square(x)
    total = yield from tm.sum(square)
    return (yield total * scale)


def test_do_programs_can_be_run_any_number_of_times():
    x, w, tape = start()
    program = norm2(x, scale=2.0)
    for _ in range(3):
        out, after = program.run(tape)
        assert (out.id, len(after)) == (4, 5)
        assert float(after.value(out)) == 2 * 5.25
    twice, after = (program >> program).run(tape)
    assert (twice.id, len(after)) == (7, 8)
    out, after = norm2(w).run(tape)
    assert float(after.value(out)) == 50.0


def test_do_keeps_the_name_and_the_docstring():
    assert norm2.__name__ == "norm2"
    assert norm2.__doc__ == "The sum of squares."


def test_do_makes_nothing_happen_until_it_is_run():
    seen = []

    @tm.do
    def program():
        seen.append("ran")
        return (yield tm.pure(1))

    step = program()
    assert isinstance(step, tm.TapeM)
    assert seen == []
    step.run()
    step.run()
    assert seen == ["ran", "ran"]


def test_do_returns_anything():
    @tm.do
    def nothing():
        return {"a": [1, 2]}
        yield

    @tm.do
    def silent():
        yield tm.pure(1)

    assert nothing().eval() == {"a": [1, 2]}
    assert silent().eval() is None


def test_nested_programs():
    x, w, tape = start()

    @tm.do
    def outer(a, b):
        first = yield norm2(a)
        second = yield from norm2(b, scale=3.0)
        return (yield first * second)

    out, after = outer(x, w).run(tape)
    assert float(after.value(out)) == 5.25 * 150
    gradients = after.backward_scalar(out)
    np.testing.assert_allclose(gradients[x], 2 * tape.value(x) * 150, rtol=1e-15)
    np.testing.assert_allclose(gradients[w], 5.25 * 3 * 2 * tape.value(w), rtol=1e-15)


def test_python_control_flow_on_values():
    @tm.do
    def collatz(n):
        x = yield tm.leaf(float(n))
        count = 0
        while True:
            tape = yield tm.get_tape()
            value = float(tape.value(x))
            if value == 1.0:
                return count
            x = yield (x * 0.5 if value % 2 == 0 else x * 3.0 + 1.0)
            count += 1

    assert collatz(27).eval() == 111


def test_yielding_a_tensor_gives_it_back():
    x, _, tape = start()

    @tm.do
    def program():
        same = yield x
        array = yield np.array([1.0, 2.0])
        number = yield 2.5
        return same, array, number

    (same, array, number), _ = program().run(tape)
    assert same is x
    for got, value in ((array, [1.0, 2.0]), (number, 2.5)):
        got = tape.value(got) if isinstance(got, tm.Ref) else got
        np.testing.assert_array_equal(got, value)


def test_try_except_around_a_failing_step():
    x, _, tape = start()

    @tm.do
    def program():
        y = yield tm.sin(x)
        try:
            z = yield tm.add(y, np.ones(7))
        except tm.ShapeError as error:
            assert "(7,)" in str(error)
            z = yield tm.add(y, np.ones(3))
        return (yield tm.sum(z))

    out, after = program().run(tape)
    np.testing.assert_allclose(after.value(out), np.sin([0.5, 1, 2]).sum() + 3, rtol=1e-15)
    np.testing.assert_allclose(after.backward_scalar(out)[x], np.cos([0.5, 1, 2]), rtol=1e-15)
    assert [node.op for node in after][2:] == [tm.sin, tm.add, tm.sum]
    assert len(tape) == 2


@pytest.mark.parametrize("delegate", [False, True])
def test_an_error_in_an_inner_program_can_be_caught_in_the_outer_one(delegate):
    x, _, tape = start()

    @tm.do
    def inner():
        yield tm.sin(x)
        yield tm.fail(tm.TapeError("no luck"))

    @tm.do
    def outer():
        try:
            if delegate:
                yield from inner()
            else:
                yield inner()
        except tm.TapeError as error:
            message = str(error)
        y = yield tm.square(x)
        return message, y

    (message, y), after = outer().run(tape)
    assert message == "no luck"
    np.testing.assert_array_equal(after.value(y), [0.25, 1, 4])
    assert after[y] is y.node


def test_finally_and_with_blocks_run_when_a_step_fails():
    seen = []

    @tm.do
    def program():
        try:
            yield tm.add(np.ones(2), X)
        finally:
            seen.append("cleaned up")

    assert isinstance(program().attempt(TAPE), tm.Err)
    assert seen == ["cleaned up"]


class Mine(Exception):
    """An exception that the library knows nothing of."""


THEIRS = [Mine("mine"), ValueError("v"), KeyError("k"), RuntimeError("r"), KeyboardInterrupt()]


@pytest.mark.parametrize("error", THEIRS, ids=lambda error: type(error).__name__)
def test_an_exception_of_the_user_comes_out_as_it_is(error):
    x, _, tape = start()
    before = contents(tape)

    @tm.do
    def inner():
        yield tm.sin(x)
        raise error

    @tm.do
    def outer():
        y = yield tm.square(x)
        yield inner()
        return y

    for program in (inner(), outer(), tm.pure(0).bind(lambda _: outer()), tm.sequence([outer()])):
        for run in (program.run, program.eval, program.exec, program.attempt):
            with pytest.raises(type(error)) as caught:
                run(tape)
            assert caught.value is error
            assert caught.value.__cause__ is None
    assert any(frame.name == "inner" for frame in caught.traceback)
    assert contents(tape) == before
    y, after = tm.square(x).run(tape)
    np.testing.assert_array_equal(after.value(y), [0.25, 1, 4])


def test_an_exception_of_the_user_in_bind_and_map():
    error = Mine("mine")

    def bad(_):
        raise error

    for step in (tm.sin(X).bind(bad), tm.sin(X).map(bad), tm.traverse(bad, [1]), tm.fold(lambda a, b: bad(a), 0, [1])):
        with pytest.raises(Mine) as caught:
            step.attempt(TAPE)
        assert caught.value is error


def test_an_exception_of_the_user_can_be_caught_in_the_outer_program():
    @tm.do
    def inner():
        yield tm.sin(X)
        raise Mine("mine")

    @tm.do
    def outer():
        try:
            yield inner()
        except Mine:
            return "caught"

    assert outer().run(TAPE)[0] == "caught"


def test_attempt():
    x, _, tape = start()
    ok = tm.sin(x).attempt(tape)
    assert isinstance(ok, tm.Ok)
    ref, after = ok.value
    assert (ref.id, len(after)) == (2, 3)
    err = (tm.sin(x) >> tm.add(x, np.ones(5))).attempt(tape)
    assert isinstance(err, tm.Err)
    assert isinstance(err.error, tm.ShapeError)
    assert "(5,)" in str(err.error)
    match err:
        case tm.Ok(_):
            pytest.fail("an Err is no Ok")
        case tm.Err(error):
            assert error is err.error
    error = tm.NotScalarError("mine")
    assert tm.fail(error).attempt().error is error
    with pytest.raises(tm.NotScalarError) as caught:
        tm.fail(error).run()
    assert caught.value is error
    assert tm.Err(error) == tm.Err(error)


def test_a_failed_run_discards_its_own_tape_only():
    x, _, tape = start()
    y, longer = tm.sin(x).run(tape)
    before = contents(tape), contents(longer)
    step = tm.square(y) >> tm.square(y) >> tm.fail(tm.TapeError("late"))
    with pytest.raises(tm.TapeError, match="late"):
        step.run(longer)
    assert (contents(tape), contents(longer)) == before
    z, after = tm.neg(y).run(longer)
    assert (z.id, len(after)) == (3, 4)
    np.testing.assert_array_equal(after.value(z), -np.sin([0.5, 1.0, 2.0]))


# Combinators ----------------------------------------------------------------------------------------------------------


def test_sequence_over_trees_and_iterables():
    x, w, tape = start()
    result, after = tm.sequence({"a": tm.sin(x), "b": [tm.neg(w), (tm.square(x),)]}).run(tape)
    assert set(result) == {"a", "b"}
    assert isinstance(result["b"], list)
    assert isinstance(result["b"][1], tuple)
    assert [after[r].op for r in (result["a"], result["b"][0], result["b"][1][0])] == [tm.sin, tm.neg, tm.square]
    assert sorted((result["a"].id, result["b"][0].id, result["b"][1][0].id)) == [2, 3, 4]
    refs, after = tm.sequence([tm.sin(x), tm.square(x)]).run(tape)
    assert [r.id for r in refs] == [2, 3]
    assert len(after) == 4
    assert tm.sequence([]).eval() == []
    assert list(tm.sequence(()).eval()) == []


def test_sequence_over_a_generator():
    x, _, tape = start()
    step = tm.sequence(tm.mul(x, float(k)) for k in range(3))
    for _ in range(2):  # although a generator can be walked only once
        refs, after = step.run(tape)
        assert [r.id for r in refs] == [2, 3, 4]
        np.testing.assert_array_equal(after.value(refs[2]), [1.0, 2.0, 4.0])


def test_sequence_stops_at_the_first_failure():
    seen = []
    result = tm.sequence(
        [tm.pure(1).map(seen.append), tm.fail(tm.TapeError("second")), tm.pure(3).map(seen.append)]
    ).attempt()
    assert str(result.error) == "second"
    assert seen == [1]


def test_traverse():
    x, w, tape = start()
    refs, after = tm.traverse(lambda r: tm.mul(r, 2.0), [x, w]).run(tape)
    assert [r.id for r in refs] == [2, 3]
    np.testing.assert_array_equal(after.value(refs[1]), [6, 8, 10])
    tree, after = tm.traverse(tm.param, {"w": np.ones((2, 2)), "layers": [{"b": np.zeros(2)}]}).run()
    assert tree["w"].shape == (2, 2)
    assert tree["layers"][0]["b"].shape == (2,)
    assert len(after) == 2
    squares = tm.traverse(lambda n: tm.pure(n * n), (n for n in range(5)))
    assert list(squares.eval()) == [0, 1, 4, 9, 16]
    assert list(squares.eval()) == [0, 1, 4, 9, 16]
    assert tm.traverse(lambda n: tm.pure(n + 1), {"a": 1, "b": (2, 3)}).eval() == {"a": 2, "b": (3, 4)}


def test_traverse_agrees_with_sequence():
    x, w, tape = start()
    steps = [tm.sin(x), tm.sin(w)]
    assert contents(tm.traverse(tm.sin, [x, w]).exec(tape)) == contents(tm.sequence(steps).exec(tape))


def test_fold():
    x, w, tape = start()
    out, after = tm.fold(lambda h, k: tm.mul(tm.sin(h), k), x, [w, 2.0, w]).run(tape)
    expected = np.array([0.5, 1, 2])
    for k in ([3, 4, 5], 2.0, [3, 4, 5]):
        expected = np.sin(expected) * k
    np.testing.assert_array_equal(after.value(out), expected)
    assert len(after) == 8
    assert tm.fold(lambda total, n: tm.pure(total - n), 10, (n for n in (1, 2, 3))).eval() == 4
    assert tm.fold(lambda s, n: tm.pure(s + n), "", {"a": 0, "b": 1}).eval() == "ab"
    assert tm.fold(lambda s, n: tm.fail(tm.TapeError("never")), "init", []).eval() == "init"
    layers = tm.fold(lambda h, k: tm.mul(h, k), x, (k for k in (2.0, 3.0)))
    assert contents(layers.exec(tape)) == contents(layers.exec(tape))


# A step where a Ref may stand, operators, lift ------------------------------------------------------------------------


def test_a_step_may_stand_where_a_ref_may():
    x, w, tape = start()
    out, after = tm.sum(tm.mul(tm.sin(x), tm.neg(w))).run(tape)
    assert [node.op for node in after][2:] == [tm.sin, tm.neg, tm.mul, tm.sum]
    np.testing.assert_allclose(after.value(out), -np.sum(np.sin([0.5, 1, 2]) * [3, 4, 5]), rtol=1e-15)
    np.testing.assert_allclose(after.backward_scalar(out)[w], -np.sin([0.5, 1, 2]), rtol=1e-15)
    mixed, after = tm.mul(norm2(x), tm.leaf(2.0)).run(tape)
    assert float(after.value(mixed)) == 10.5
    recorded, after = (tm.sum(tm.sin(x)) >> tm.get_tape()).map(len).run(tape)
    assert recorded == 4
    gradients, after = tm.backward_scalar(norm2(x)).run(tape)
    np.testing.assert_array_equal(gradients[x], [1, 2, 4])


def test_a_step_used_twice_is_taken_twice():
    x, _, tape = start()
    step = tm.sin(x)
    out, after = (step * step).run(tape)
    assert len(after) == 5
    np.testing.assert_allclose(
        after.backward([out], [np.ones(3)])[x], 2 * np.sin([0.5, 1, 2]) * np.cos([0.5, 1, 2]), rtol=1e-15
    )


A, B = np.array([[0.5, 1.5], [2.0, 3.0]]), np.array([[1.0, 2.0], [4.0, 0.25]])

OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "@": lambda a, b: a @ b,
    "**": lambda a, b: a**b,
    "unary": lambda a, b: -a + abs(b) - (+a),
    "number right": lambda a, b: (a + 2) * 3.0 - 1 - b / 2,
    "number left": lambda a, b: 1.0 - 2 * a + 3 / b,
    "power": lambda a, b: 2.0**a + b**2,
    "row": lambda a, b: a[0] + b[-1],
    "element": lambda a, b: a[0, 1] * b[1, 0],
    "slice": lambda a, b: a[:, 1:] * b[:, :1],
    "new axis": lambda a, b: a[..., None] * b[None],
    "sum": lambda a, b: a.sum() + b.sum(axis=0),
    "mean": lambda a, b: a.mean(axis=1) * b.mean(),
    "shape": lambda a, b: a.reshape(4) + b.T.reshape((4,)),
}

KINDS = ["refs", "steps", "ref and array", "array and ref", "step and array", "array and step"]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_operators_and_indexing(name, kind):
    f = OPERATORS[name]
    a, tape = tm.Tape().leaf(A)
    b, tape = tape.leaf(B)
    left = {"ref": a, "refs": a, "steps": tm.pure(a), "step": tm.pure(a), "array": A}[kind.split()[0]]
    right = {"refs": b, "steps": tm.pure(b), "ref": b, "step": tm.pure(b), "array": B}[kind.split()[-1]]
    step = f(left, right)
    assert isinstance(step, tm.TapeM)
    out, after = step.run(tape)
    expected = f(A, B)
    np.testing.assert_array_equal(after.value(out), expected)
    assert (out.shape, out.dtype) == (expected.shape, expected.dtype)
    gradients = after.backward([out], [np.ones(out.shape)])
    for ref, operand, at in ((a, left, 0), (b, right, 1)):
        if operand is A or operand is B:
            continue
        h = 1e-6
        for index in np.ndindex(2, 2):
            bump = np.zeros((2, 2))
            bump[index] = h
            up = f(A + bump, B) if at == 0 else f(A, B + bump)
            down = f(A - bump, B) if at == 0 else f(A, B - bump)
            np.testing.assert_allclose(gradients[ref][index], np.sum(up - down) / (2 * h), rtol=1e-6, atol=1e-8)


def test_numpy_scalars_and_arrays_on_the_left():
    x, _, tape = start()
    for left in (np.ones(3), np.float64(2.0), np.array(2.0), 2, 2.0):
        for step, expected in (
            (left * x, left * np.array([0.5, 1, 2])),
            (left - tm.sin(x), left - np.sin([0.5, 1, 2])),
        ):
            assert isinstance(step, tm.TapeM)
            out, after = step.run(tape)
            np.testing.assert_array_equal(after.value(out), expected)


def test_lift():
    x, w, tape = start()

    def f(a, b, *, power=1):
        return np.sum(np.sin(a) * b**power)

    g = tm.lift(f)
    out, after = g(x, w, power=2).run(tape)
    np.testing.assert_allclose(after.value(out), f(tape.value(x), tape.value(w), power=2), rtol=1e-15)
    gradients = after.backward_scalar(out)
    np.testing.assert_allclose(gradients[x], np.cos([0.5, 1, 2]) * np.array([9.0, 16, 25]), rtol=1e-14)
    np.testing.assert_allclose(gradients[w], 2 * np.sin([0.5, 1, 2]) * [3, 4, 5], rtol=1e-14)
    through, after = tm.sin(x).bind(lambda y: g(y, w)).run(tape)
    np.testing.assert_allclose(after.value(through), np.sum(np.sin(np.sin([0.5, 1, 2])) * [3, 4, 5]), rtol=1e-14)
    operand, after = g(tm.sin(x), 2.0).run(tape)
    np.testing.assert_allclose(after.value(operand), np.sum(np.sin(np.sin([0.5, 1, 2])) * 2), rtol=1e-14)
    pair, after = tm.lift(lambda a: {"s": np.sin(a), "n": -a})(x).run(tape)
    assert (pair["s"].shape, pair["n"].shape, len(after)) == ((3,), (3,), 4)


def test_lift_is_rerunnable_and_lets_errors_through():
    x, _, tape = start()

    def f(a):
        if a.shape == (3,):
            raise Mine("mine")
        return a

    with pytest.raises(Mine):
        tm.lift(f)(x).run(tape)
    g = tm.lift(lambda a: a * a + 1.0)(x)
    assert contents(g.exec(tape)) == contents(g.exec(tape))
    assert len(tape) == 2


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
