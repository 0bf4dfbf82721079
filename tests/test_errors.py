"""Bad input: one clear error of ours that names op, argument, shapes and node, and no tape that suffers from it."""

import inspect
import re

import numpy as np
import pytest

import tapem as tm
from tapem.core import Primitive


def state(tape):
    return [(node.id, node.op, tuple(node.parents), node.value.tobytes()) for node in tape]


class World:
    """Tapes that exist before the bad input, and must be as good after it."""

    def __init__(self):
        self.x, self.first = tm.Tape().leaf(np.arange(6.0).reshape(2, 3), name="x")
        self.w, self.tape = self.first.leaf(np.ones((3, 4)), name="w")
        self.y, self.longer = self.tape.record(tm.matmul, self.x, self.w)
        self.out, self.longer = self.longer.record(tm.sum, self.y)
        other = tm.Tape()
        for _ in range(6):
            self.stranger, other = other.leaf(np.ones((2, 3)), name="stranger")
        self.other = other
        self.tapes = [self.first, self.tape, self.longer, self.other]
        self.before = [state(tape) for tape in self.tapes]

    def check(self):
        """Every tape says what it said, sweeps, and can be extended."""
        assert [state(tape) for tape in self.tapes] == self.before
        gradients = self.longer.backward_scalar(self.out)
        np.testing.assert_array_equal(gradients[self.x], np.full((2, 3), 4.0))
        np.testing.assert_array_equal(gradients[self.w], [[3.0] * 4, [5.0] * 4, [7.0] * 4])
        z, after = tm.sin(self.x).run(self.tape)
        assert (z.id, len(after), len(self.tape)) == (2, 3, 2)
        np.testing.assert_array_equal(after.value(z), np.sin(np.arange(6.0).reshape(2, 3)))
        back, after = self.first.record(tm.square, self.x)
        assert (back.id, len(after)) == (1, 2)


@pytest.fixture
def world():
    world = World()
    yield world
    world.check()


def expect(world, kind, words, attempt):
    """`attempt()` raises our error of this kind whose message has all these words; and every tape is as it was."""
    with pytest.raises(tm.TapeError) as caught:
        attempt()
    error = caught.value
    assert isinstance(error, kind), repr(error)
    message = str(error)
    missing = [word for word in words if not re.search(word, message)]
    assert not missing, f"no {missing} in: {message}"
    assert len(message) < 1500
    world.check()
    return error


# The hierarchy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ShapeError", ValueError),
        ("DTypeError", TypeError),
        ("UnknownRefError", KeyError),
        ("NotScalarError", ValueError),
        ("NoRuleError", NotImplementedError),
        ("ConcretizationError", TypeError),
        ("MissingGradientError", KeyError),
    ],
)
def test_every_error_is_a_tape_error_and_the_builtin_that_fits(name, builtin):
    error = getattr(tm, name)
    assert issubclass(error, tm.TapeError)
    assert issubclass(error, builtin)
    assert inspect.getdoc(error)
    # KeyError would print its argument with quotes and escapes: messages of several lines must stay readable
    assert str(error("two\nlines 'quoted'")) == "two\nlines 'quoted'"


# A Ref from elsewhere -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("through", ["record", "step", "operator", "do", "operand", "second operand"])
def test_a_ref_of_another_tape(world, through):
    stranger, x = world.stranger, world.x

    @tm.do
    def program():
        yield tm.sin(x)
        return (yield tm.mul(x, stranger))

    attempts = {
        "record": (lambda: world.tape.record(tm.sin, stranger), "sin", "'x'"),
        "step": (lambda: tm.sin(stranger).run(world.tape), "sin", "'x'"),
        "operator": (lambda: (x * stranger).run(world.tape), "mul", "'b'"),
        "do": (lambda: program().run(world.tape), "mul", "'b'"),
        "operand": (lambda: tm.sum(tm.square(stranger)).run(world.tape), "square", "'x'"),
        "second operand": (lambda: world.tape.record(tm.add, stranger, x), "add", "'a'"),
    }
    attempt, op, argument = attempts[through]
    expect(world, tm.UnknownRefError, [rf"{op}\(", argument, "5", "stranger", "another tape", r"\d nodes"], attempt)


def test_a_foreign_ref_says_what_to_do(world):
    words = ["[Uu]se the tape"]
    expect(world, tm.UnknownRefError, words, lambda: world.tape.value(world.stranger))
    expect(world, tm.UnknownRefError, words, lambda: tm.sin(world.stranger).run(world.tape))


def test_a_foreign_ref_with_an_id_that_exists_here(world):
    twin, _ = tm.Tape().leaf(np.arange(6.0).reshape(2, 3), name="twin")
    assert twin.id == world.x.id
    for attempt in (
        lambda: world.tape.record(tm.sin, twin),
        lambda: tm.add(world.x, twin).run(world.tape),
        lambda: world.tape[twin],
        lambda: world.tape.value(twin),
        lambda: world.longer.backward_scalar(twin),
        lambda: world.longer.backward([twin], [np.ones((2, 3))]),
        lambda: world.longer.backward_dense(twin, np.ones((2, 3))),
        lambda: tm.backward_scalar(twin).run(world.longer),
    ):
        expect(world, tm.UnknownRefError, ["twin", "not on this tape"], attempt)


def test_a_ref_past_the_end(world):
    """A Ref of a later state of the same tape is not on the earlier one, although the two share their memory."""
    for attempt in (
        lambda: world.tape.record(tm.sin, world.y),
        lambda: tm.sin(world.y).run(world.tape),
        lambda: world.tape[world.y],
        lambda: world.tape.value(world.y),
        lambda: world.tape.backward([world.y], [np.ones((2, 4))]),
    ):
        expect(world, tm.UnknownRefError, ["2", "not on this tape", "2 nodes"], attempt)


@pytest.mark.parametrize("index", [2, 99, -1, -3, 10**30])
def test_an_id_past_the_end(world, index):
    words = [str(index), "2 nodes"]
    expect(world, tm.UnknownRefError, words, lambda: world.tape[index])
    expect(world, tm.UnknownRefError, words, lambda: world.tape.value(index))
    with pytest.raises(KeyError):
        world.tape[index]


@pytest.mark.parametrize("key", ["x", None, 1.5, (0,), slice(0, 1)], ids=lambda key: type(key).__name__)
def test_a_key_that_is_no_ref_and_no_id(world, key):
    for attempt in (lambda: world.tape[key], lambda: world.tape.value(key), lambda: world.longer.backward_scalar(key)):
        expect(world, tm.TapeError, [re.escape(repr(key))], attempt)
    gradients = world.longer.backward_scalar(world.out)
    expect(world, tm.MissingGradientError, [re.escape(repr(key))], lambda: gradients[key])


def test_a_ref_of_a_sibling_branch(world):
    a, left = world.tape.record(tm.sin, world.x)
    _, right = world.tape.record(tm.square, world.x)
    assert len(left) == len(right) == 3
    expect(world, tm.UnknownRefError, ["sin", "2"], lambda: right.record(tm.sin, a))


# Shapes ---------------------------------------------------------------------------------------------------------------


def test_shapes_that_do_not_broadcast(world):
    for attempt in (
        lambda: world.tape.record(tm.add, world.x, world.w),
        lambda: tm.add(world.x, world.w).run(world.tape),
        lambda: (world.x + world.w).run(world.tape),
        lambda: tm.add(tm.mul(world.x, 1.0), world.w).run(world.tape),
    ):
        words = [r"add\(a, b\)", r"\(2, 3\)", r"\(3, 4\)", r"\ba\b", r"\bb\b", "'w'", r"node \d"]
        expect(world, tm.ShapeError, words, attempt)
    words = [r"add\(a, b\)", r"\(2, 3\)", r"\(7,\)"]
    expect(world, tm.ShapeError, words, lambda: tm.add(np.ones((2, 3)), np.ones(7)))
    expect(world, tm.ShapeError, words, lambda: (world.x + np.ones(7)).run(world.tape))


def test_matmul_that_does_not_fit(world):
    words = [r"matmul\(a, b\)", r"2,\s?3", "node 0 'x'", r"\ba\b", r"\bb\b"]
    expect(world, tm.ShapeError, words, lambda: world.tape.record(tm.matmul, world.x, world.x))
    expect(world, tm.ShapeError, words, lambda: (world.x @ world.x).run(world.tape))


def test_matmul_says_which_axis_was_bound_to_what(world):
    """In our own words and letters, not in NumPy's about a gufunc."""
    error = expect(world, tm.ShapeError, [r"\b3\b", r"\b2\b"], lambda: (world.x @ world.x).run(world.tape))
    assert "gufunc" not in str(error)


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda x: tm.reshape(x, (4, 2)), [r"reshape\(", r"2,\s?3", r"4, 2"]),
        (lambda x: tm.sum(x, axis=2), [r"sum\(", r"2,\s?3", "axis", r"\b2\b"]),
        (lambda x: tm.mean(x, axis=-3), [r"mean\(", r"2,\s?3", "-3"]),
        (lambda x: tm.transpose(x, (0, 0)), [r"transpose\(", r"2,\s?3"]),
        (lambda x: tm.broadcast_to(x, (5, 3)), [r"broadcast_to\(", r"2,\s?3", "5, 3"]),
        (lambda x: x[2], [r"getitem\(", r"2,\s?3"]),
        (lambda x: x[0, 0, 0], [r"getitem\(", r"2,\s?3"]),
    ],
)
def test_a_static_argument_that_does_not_fit(world, attempt, words):
    error = expect(world, tm.TapeError, [*words, "node 0 'x'"], lambda: attempt(world.x).run(world.tape))
    assert isinstance(error, (ValueError, IndexError))


def test_shape_errors_through_grad(world):
    misfit = tm.grad(lambda x: tm.add(x, np.ones(3)))
    expect(world, tm.ShapeError, [r"add\(", r"\(2,\)", r"\(3,\)"], lambda: misfit(np.ones(2)))
    expect(
        world,
        tm.ShapeError,
        [r"matmul\(", r"\b2\b", r"\b3\b"],
        lambda: tm.grad(lambda x: np.sum(x @ np.ones((3, 2))))(np.ones(2)),
    )


# dtypes and what is no tensor -----------------------------------------------------------------------------------------

NOT_TENSORS = {
    "string": ("abc", ["abc"]),
    "bytes": (b"abc", ["abc"]),
    "None": (None, ["None"]),
    "ragged list": ([[1.0, 2.0], [3.0]], ["same length"]),
    "object array": (np.array([1.0, None], dtype=object), ["object"]),
    "dict": ({"a": 1.0}, ["'a'"]),
    "set": ({1.0}, ["1.0"]),
    "function": (len, ["len"]),
    "list of strings": (["a", "b"], ["'a'"]),
    "array of strings": (np.array(["a", "b"]), ["<U1"]),
    "date": (np.datetime64("2020-01-01"), ["datetime"]),
    "record array": (np.zeros(3, [("a", "f4")]), ["'a'"]),
    "list with None": ([1.0, None], ["None"]),
}


@pytest.mark.parametrize("name", NOT_TENSORS)
def test_what_is_no_tensor(world, name):
    value, words = NOT_TENSORS[name]
    x, tape = world.x, world.tape
    for attempt in (
        lambda: tape.leaf(value),
        lambda: tm.leaf(value).run(tape),
        lambda: tm.param(value).run(tape),
        lambda: tm.const(value).run(tape),
    ):
        expect(world, tm.DTypeError, ["leaf", *words], attempt)
    expect(world, tm.DTypeError, [r"sin\(", "'x'", *words], lambda: tape.record(tm.sin, value))
    for attempt in (
        lambda: tm.mul(x, value).run(tape),
        lambda: tape.record(tm.mul, x, value),
        lambda: tm.mul(tm.sin(x), value).run(tape),
        lambda: tm.grad(lambda z: tm.mul(z, value))(2.0),
    ):
        expect(world, tm.DTypeError, [r"mul\(", "'b'", *words], attempt)
    for attempt in (lambda: tm.mul(value, x).run(tape), lambda: tape.record(tm.mul, value, x)):
        expect(world, tm.DTypeError, [r"mul\(", "'a'", *words], attempt)
    expect(world, tm.DTypeError, [r"sin\(", "'x'", *words], lambda: tm.sin(value))
    expect(world, tm.DTypeError, [r"mul\(", "'b'", *words], lambda: tm.mul(np.ones(3), value))


@pytest.mark.parametrize("name", ["string", "None", "ragged list", "object array"])
def test_what_is_no_tensor_beside_an_operator(world, name):
    """Our error, or Python's own TypeError about the operator; never an object array of steps."""
    value, _ = NOT_TENSORS[name]
    for attempt in (
        lambda: (world.x + value).run(world.tape),
        lambda: (value + world.x).run(world.tape),
        lambda: (tm.sin(world.x) * value).run(world.tape),
    ):
        with pytest.raises(TypeError) as caught:
            attempt()
        assert isinstance(caught.value, tm.DTypeError) or "unsupported operand" in str(caught.value)


def test_errors_say_what_to_pass_instead(world):
    expect(world, tm.DTypeError, ["[Pp]ass", "array"], lambda: world.tape.leaf("abc"))


def test_refs_and_steps_are_no_arrays(world):
    """NumPy's own functions do not know a Ref; they must say so clearly, and make no object array of it."""
    for value in (world.x, tm.sin(world.x)):
        for attempt in (np.sin, np.asarray, lambda v: np.array([v, v])):
            with pytest.raises(TypeError) as caught:
                attempt(value)
            assert re.search(r"Ref|step", str(caught.value)), str(caught.value)
        for convert in (float, int, bool):
            with pytest.raises(TypeError) as caught:
                convert(value)
            assert re.search(r"Ref|step", str(caught.value)), str(caught.value)
    expect(world, tm.TapeError, ["Ref", "'x'"], lambda: world.tape.leaf(world.x))
    with pytest.raises(TypeError, match="Ref"):
        list(world.x)


def test_integers_have_no_gradient_under_grad(world):
    expect(world, tm.DTypeError, ["int"], lambda: tm.grad(lambda x: x * 2.0)(3))
    expect(world, tm.DTypeError, ["int"], lambda: tm.grad(lambda x: np.sum(x * 2.0))(np.arange(3)))
    expect(world, tm.DTypeError, ["bool"], lambda: tm.grad(lambda x: np.sum(x * 2.0))(np.array([True])))


# Outputs and cotangents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 1), (2, 3), (0,)])
def test_a_non_scalar_output(world, shape):
    v, tape = world.tape.leaf(np.ones(shape), name="v")
    y, tape = tape.record(tm.sin, v)
    shown = re.escape(str(shape))
    for attempt in (
        lambda: tape.backward_scalar(y),
        lambda: tm.backward_scalar(y).run(tape),
        lambda: tape.backward_dense(y),
        lambda: tm.backward_scalar(tm.sin(v)).run(tape),
    ):
        error = expect(world, tm.NotScalarError, [shown, "sin", r"node \d", "sum|mean", "cotangent"], attempt)
        assert isinstance(error, ValueError)
    expect(world, tm.NotScalarError, ["'v'", shown], lambda: tape.backward_scalar(v))
    expect(world, tm.NotScalarError, [shown], lambda: tm.grad(lambda x: np.sin(x))(np.ones(shape)))
    expect(world, tm.NotScalarError, [shown], lambda: tm.value_and_grad(lambda x: np.sin(x))(np.ones(shape)))


def test_grad_of_something_that_returns_no_tensor(world):
    expect(world, tm.TapeError, ["scalar", "returned"], lambda: tm.grad(lambda x: None)(1.0))
    expect(world, tm.TapeError, ["str|'hello'"], lambda: tm.grad(lambda x: "hello")(1.0))


@pytest.mark.parametrize("shape", [(3,), (4, 2), (), (1, 2, 4), (2, 1)])
def test_a_cotangent_of_another_shape(world, shape):
    cotangent = np.ones(shape)
    words = [r"\(2, 4\)", re.escape(str(np.shape(cotangent))), "node 2", "matmul", "cotangent"]
    for attempt in (
        lambda: world.longer.backward(world.y, cotangent),
        lambda: world.longer.backward([world.out, world.y], [1.0, cotangent]),
        lambda: world.longer.backward_dense(world.y, cotangent),
        lambda: tm.backward([world.y], [cotangent]).run(world.longer),
    ):
        expect(world, tm.ShapeError, words, attempt)


@pytest.mark.parametrize("cotangent", ["a", None, [[1.0], [2.0, 3.0]], np.array([None]), np.ones((2, 4), complex)])
def test_a_cotangent_that_is_no_tensor(world, cotangent):
    expect(world, tm.DTypeError, ["cotangent"], lambda: world.longer.backward([world.y], [cotangent]))


def test_outputs_and_cotangents_that_do_not_pair(world):
    for cotangents in ([], [np.ones((2, 4)), 1.0]):
        words = [r"\b1\b", rf"\b{len(cotangents)}\b"]
        expect(world, tm.TapeError, words, lambda given=cotangents: world.longer.backward([world.y], given))


def test_gradients_that_do_not_add(world):
    mine = world.longer.backward_scalar(world.out)
    theirs = world.other.backward([world.stranger], [np.ones((2, 3))])
    expect(world, tm.TapeError, ["tape"], lambda: mine + theirs)
    with pytest.raises(TypeError):
        mine + 1
    with pytest.raises(TypeError):
        mine + {world.x.id: np.ones((2, 3))}
    np.testing.assert_array_equal(mine[world.x], np.full((2, 3), 4.0))


# Programs -------------------------------------------------------------------------------------------------------------


NEITHER = ["hello", None, object(), {"a": 1}, len, np.array([None]), [[1.0], [1.0, 2.0]]]


@pytest.mark.parametrize("thing", NEITHER, ids=lambda thing: type(thing).__name__)
@pytest.mark.parametrize("nested", [False, True])
def test_a_program_that_yields_what_is_neither_step_nor_tensor(world, thing, nested):
    @tm.do
    def confused():
        yield tm.sin(world.x)
        yield thing

    @tm.do
    def outer():
        y = yield tm.square(world.x)
        yield confused()
        return y

    program = outer() if nested else confused()
    shown = re.escape(repr(thing)[:10])
    expect(world, tm.TapeError, ["confused", "yield", shown, "step"], lambda: program.run(world.tape))
    result = program.attempt(world.tape)
    assert isinstance(result, tm.Err)
    assert "confused" in str(result.error)


def test_yield_from_what_is_no_step(world):
    @tm.do
    def confused():
        yield from "ab"

    expect(world, tm.TapeError, ["confused", "'a'"], lambda: confused().run(world.tape))


def test_a_bad_yield_under_grad(world):
    @tm.do
    def confused(x):
        yield tm.sin(x)
        yield "hello"

    expect(world, tm.TapeError, ["confused", "'hello'"], lambda: tm.grad(confused)(1.0))
    assert float(tm.grad(lambda x: x * x)(3.0)) == 6.0


def test_a_bad_yield_can_be_caught_in_the_program(world):
    @tm.do
    def program():
        try:
            yield "hello"
        except tm.TapeError:
            return (yield tm.sin(world.x))

    out, after = program().run(world.tape)
    assert after[out].op is tm.sin


def test_bind_given_a_function_that_returns_no_step(world):
    expect(world, tm.TapeError, ["bind", "step", "map|pure"], lambda: tm.sin(world.x).bind(lambda y: 3).run(world.tape))
    expect(world, tm.TapeError, ["step"], lambda: tm.sin(world.x).bind(lambda y: None).run(world.tape))


@pytest.mark.parametrize("thing", [3, "sin", None, np.sin], ids=lambda thing: type(thing).__name__)
def test_then_and_run_and_set_tape_given_something_else(world, thing):
    with pytest.raises(TypeError):
        (tm.sin(world.x) >> thing).run(world.tape)
    if thing is not None:
        for attempt in (lambda: tm.sin(world.x).run(thing), lambda: tm.sin(world.x).attempt(thing)):
            with pytest.raises(TypeError, match=r"[Tt]ape"):
                attempt()
    with pytest.raises(TypeError, match=r"[Tt]ape"):
        tm.set_tape(thing).run(world.tape)


@pytest.mark.parametrize("thing", [np.sin, "sin", None, len, lambda x: x], ids=lambda thing: type(thing).__name__)
def test_recording_what_is_no_op(world, thing):
    with pytest.raises(TypeError, match=r"op\b|Primitive|primitive") as caught:
        world.tape.record(thing, world.x)
    assert "sequence" not in str(caught.value)


def test_arguments_that_an_op_does_not_have(world):
    with pytest.raises(TypeError, match=r"sin.*'color'"):
        tm.sin(world.x, color=3).run(world.tape)
    with pytest.raises(TypeError, match=r"sin.*2"):
        tm.sin(world.x, world.x).run(world.tape)
    with pytest.raises(TypeError, match="mul"):
        tm.mul(world.x).run(world.tape)
    with pytest.raises(TypeError, match=r"mul"):
        world.tape.record(tm.mul, world.x)


# NumPy's semantics ----------------------------------------------------------------------------------------------------


def test_an_op_that_produces_nan_or_inf_is_no_error(world):
    x, tape = tm.Tape().leaf(np.array([-1.0, 0.0, 4.0]))
    with np.errstate(all="ignore"):
        y, tape = tape.record(tm.power, x, 0.5)
        z, tape = tape.record(tm.div, 1.0, x)
        expected = np.array([-1.0, 0.0, 4.0]) ** 0.5
    assert np.isnan(tape.value(y)[0])
    np.testing.assert_array_equal(tape.value(y), expected)
    np.testing.assert_array_equal(tape.value(z), [-1.0, np.inf, 0.25])
    with np.errstate(all="ignore"):
        gradient = tape.backward([y], [np.ones(3)])[x]
    assert gradient[2] == 0.25
    assert gradient[1] == np.inf


def test_numpys_warnings_are_numpys(world):
    """The engine neither hides nor adds a warning."""
    x, tape = tm.Tape().leaf(np.array([1.0, 0.0]))
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        tape.record(tm.div, 1.0, x)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        tape.record(tm.div, 1.0, x)
    assert len(tape) == 1


def test_nan_goes_in_and_comes_out(world):
    x, tape = tm.Tape().leaf(np.array([np.nan, 1.0]))
    out, tape = tape.record(tm.sum, x)
    assert np.isnan(tape.value(out))
    np.testing.assert_array_equal(tape.backward_scalar(out)[x], [1.0, 1.0])


# Tracers --------------------------------------------------------------------------------------------------------------


def test_numpy_arrays_of_tracers_and_conversions_say_what_to_do(world):
    expect(world, tm.TapeError, ["stack"], lambda: tm.grad(lambda x: np.sum(np.array([x, x])))(1.0))


def test_writing_into_a_tracer_says_what_to_do(world):
    def f(x):
        x[0] = 1.0
        return np.sum(x)

    with pytest.raises(TypeError) as caught:
        tm.grad(f)(np.ones(2))
    assert isinstance(caught.value, tm.TapeError)

    def g(x):
        x += 1.0  # a new value under the same name, as for Python's numbers, or an error; never a lost gradient
        return np.sum(x * x)

    try:
        np.testing.assert_array_equal(tm.grad(g)(np.ones(2)), [4.0, 4.0])
    except tm.TapeError:
        pass


def test_a_numpy_function_that_is_not_known_is_named(world):
    call = tm.grad(lambda x: np.sum(np.real_if_close(x)))
    expect(world, tm.NoRuleError, ["real_if_close"], lambda: call(np.ones((3, 2))))


def test_a_tracer_that_escapes_says_so(world):
    kept = []

    def f(x):
        kept.append(x)
        return np.sum(x * x)

    tm.grad(f)(np.ones(2))
    words = ["escape|outside|after|over|ended"]
    expect(world, tm.TapeError, words, lambda: tm.grad(lambda x: np.sum(x * kept[0]))(np.ones(2)))


PUBLIC_OPS = [op for name, op in sorted(vars(tm).items()) if isinstance(op, Primitive) and not op.variadic]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("op", PUBLIC_OPS, ids=lambda op: op.name)
def test_a_refused_dtype_is_about_the_op_that_was_called(op):
    """Not about one that it calls in turn: with arrays, traced values, and where only shapes are known."""
    z = np.eye(2) + 1j
    for given in ([z] * op.arity, [z > 0] * op.arity):
        for call in (op, tm.vmap(op), lambda *x: tm.eval_shape(op, *x), lambda *x: tm.vjp(op, *x)):
            try:
                call(*given)
            except tm.DTypeError as error:
                assert str(error).startswith((op.usage(), "vjp: argument")), str(error)
            except (tm.TapeError, TypeError):
                pass  # about a shape, or a missing static argument
