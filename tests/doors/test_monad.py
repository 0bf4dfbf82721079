"""TapeM: the laws of the monad, running and failing, and the combinators."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tapem as tm

from .steps import TAPE, W, X, calm, contents, outcome, start

# The laws -------------------------------------------------------------------------------------------------------------


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
