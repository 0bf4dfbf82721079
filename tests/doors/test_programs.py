"""do-notation, and where programs stand: in the place of a Ref, under operators, and made of direct functions."""

import numpy as np
import pytest

import tapem as tm

from .steps import TAPE, X, contents, start

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
