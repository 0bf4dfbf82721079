"""One op, three doors: bitwise the same values and gradients, and both of them right.

Small programs are drawn at random and carried through every door. The judges know nothing of tapem: the values come
from NumPy, the derivatives from a complex step, which is exact to rounding for the analytic operations used here.
"""

import operator
import threading
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapem as tm

calm = settings(deadline=None)  # a busy machine is no failure

# name: (arity, the op, its NumPy counterpart)
OPS = {
    "sin": (1, tm.sin, np.sin),
    "cos": (1, tm.cos, np.cos),
    "neg": (1, tm.neg, np.negative),
    "square": (1, tm.square, np.square),
    "transpose": (1, tm.transpose, np.transpose),
    "rows": (1, lambda x: tm.sum(x, axis=0, keepdims=True), lambda x: np.sum(x, axis=0, keepdims=True)),
    "columns": (1, lambda x: tm.mean(x, axis=1, keepdims=True), lambda x: np.mean(x, axis=1, keepdims=True)),
    "add": (2, tm.add, np.add),
    "sub": (2, tm.sub, np.subtract),
    "mul": (2, tm.mul, np.multiply),
}
OPERATORS = {"neg": operator.neg, "add": operator.add, "sub": operator.sub, "mul": operator.mul}
LAST = {"sum": (tm.sum, np.sum), "mean": (tm.mean, np.mean)}
# Values that are not inputs: Python numbers (weak), and an array.
CONSTANTS = [2, -0.5, True, np.array([[0.25, -1.0], [0.75, 0.5]])]


@st.composite
def programs(draw):
    """A list of (name, operands); operands index what came before: inputs, constants, earlier results."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    numbers = st.integers(-8, 8).map(lambda n: n / 8)
    shapes = draw(st.lists(st.sampled_from([(2, 2), (1, 2), (2, 1), (1, 1)]), min_size=1, max_size=3))
    inputs = [np.array(draw(st.lists(numbers, min_size=r * c, max_size=r * c)), dtype).reshape(r, c) for r, c in shapes]
    constants = [c.astype(dtype) if isinstance(c, np.ndarray) else c for c in CONSTANTS]
    values = [("input", i) for i in range(len(inputs))]
    body = []
    for _ in range(draw(st.integers(1, 8))):
        name = draw(st.sampled_from(sorted(OPS)))
        operands = [draw(st.sampled_from(values))]
        if OPS[name][0] == 2:
            operands.append(draw(st.sampled_from([*values, *(("constant", i) for i in range(len(constants)))])))
            if draw(st.booleans()):
                operands.reverse()
        body.append((name, operands))
        values.append(("result", len(body) - 1))
    return inputs, constants, body, draw(st.sampled_from(sorted(LAST)))


def evaluate(inputs, constants, body, last, table):
    """Run a program with one table of functions; whatever they are applied to decides the door."""
    results = []
    known = {"input": inputs, "constant": constants, "result": results}
    for name, operands in body:
        results.append(table[name](*(known[kind][i] for kind, i in operands)))
    return table[last](results[-1])


TAPEM = {**{name: op for name, (_, op, _) in OPS.items()}, **{name: op for name, (op, _) in LAST.items()}}
NUMPY = {**{name: op for name, (_, _, op) in OPS.items()}, **{name: op for name, (_, op) in LAST.items()}}


def through_arrays(inputs, constants, body, last):
    return evaluate(inputs, constants, body, last, TAPEM), None


def through_record(inputs, constants, body, last):
    """The pure door: tape.record for what is an op, and a step run on the tape for the rest."""
    tape, refs = tm.Tape(), []
    for value in inputs:
        ref, tape = tape.leaf(value)
        refs.append(ref)
    results = []
    known = {"input": refs, "constant": constants, "result": results}
    for name, operands in body:
        arguments = [known[kind][i] for kind, i in operands]
        if isinstance(OPS[name][1], types.FunctionType):
            ref, tape = OPS[name][1](*arguments).run(tape)
        else:
            ref, tape = tape.record(OPS[name][1], *arguments)
        results.append(ref)
    out, tape = tape.record(LAST[last][0], results[-1])
    return read(out, tape, refs)


def read(out, tape, refs):
    gradients = tape.backward_scalar(out)
    return tape.value(out), [gradients.get(ref, np.zeros(ref.shape, ref.dtype)) for ref in refs]


def through_do(inputs, constants, body, last, delegate=False):
    @tm.do
    def program():
        refs, results = [], []
        for value in inputs:
            refs.append((yield tm.param(value)))
        known = {"input": refs, "constant": constants, "result": results}
        for name, operands in body:
            step = TAPEM[name](*(known[kind][i] for kind, i in operands))
            results.append((yield from step) if delegate else (yield step))
        out = yield TAPEM[last](results[-1])
        return out, refs

    (out, refs), tape = program().run()
    return read(out, tape, refs)


def through_yield_from(inputs, constants, body, last):
    return through_do(inputs, constants, body, last, delegate=True)


def through_operators(inputs, constants, body, last):
    """Steps from Python's operators where there is one."""
    table = {**TAPEM, **OPERATORS}

    @tm.do
    def program():
        refs, results = [], []
        for value in inputs:
            refs.append((yield tm.leaf(value)))
        known = {"input": refs, "constant": constants, "result": results}
        for name, operands in body:
            results.append((yield table[name](*(known[kind][i] for kind, i in operands))))
        return (yield table[last](results[-1])), refs

    (out, refs), tape = program().run()
    return read(out, tape, refs)


def through_lift(inputs, constants, body, last):
    """A plain NumPy function, lifted."""
    tape, refs = tm.Tape(), []
    for value in inputs:
        ref, tape = tape.leaf(value)
        refs.append(ref)
    out, tape = tm.lift(lambda *xs: evaluate(xs, constants, body, last, NUMPY))(*refs).run(tape)
    return read(out, tape, refs)


def through_grad(inputs, constants, body, last, table=TAPEM):
    """Ops on tracers."""
    value, gradients = tm.value_and_grad(
        lambda *xs: evaluate(xs, constants, body, last, table), argnums=tuple(range(len(inputs)))
    )(*inputs)
    return value, list(gradients)


def through_grad_of_numpy(inputs, constants, body, last):
    return through_grad(inputs, constants, body, last, NUMPY)


def through_grad_of_operators(inputs, constants, body, last):
    return through_grad(inputs, constants, body, last, {**NUMPY, **OPERATORS})


def through_grad_of_do(inputs, constants, body, last):
    """A do program given to grad: it runs on the spot."""

    @tm.do
    def program(*xs):
        results = []
        known = {"input": xs, "constant": constants, "result": results}
        for name, operands in body:
            results.append((yield TAPEM[name](*(known[kind][i] for kind, i in operands))))
        return (yield TAPEM[last](results[-1]))

    value, gradients = tm.value_and_grad(program, argnums=tuple(range(len(inputs))))(*inputs)
    return value, list(gradients)


DOORS = [
    through_do,
    through_yield_from,
    through_operators,
    through_lift,
    through_grad,
    through_grad_of_numpy,
    through_grad_of_operators,
    through_grad_of_do,
]


def identical(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
@calm
@given(program=programs())
def test_every_door_gives_bitwise_the_same(door, program):
    value, gradients = through_record(*program)
    other, others = door(*program)
    assert identical(value, other), (value, other)
    assert identical(value, through_arrays(*program)[0])
    for mine, theirs in zip(gradients, others, strict=True):
        assert identical(mine, theirs), (mine, theirs)


@calm
@given(programs())
def test_values_are_numpys_own(program):
    inputs, constants, body, last = program
    expected = evaluate(inputs, constants, body, last, NUMPY)
    value, _ = through_record(*program)
    assert identical(value, expected)
    assert identical(through_arrays(*program)[0], expected)


@calm
@given(programs())
def test_gradients_are_the_complex_steps(program):
    inputs, constants, body, last = program
    _, gradients = through_record(*program)
    tolerance = 1e-3 if inputs[0].dtype == np.float32 else 1e-10
    wide = [x.astype(np.complex128) for x in inputs]
    for which, gradient in enumerate(gradients):
        assert gradient.dtype == inputs[which].dtype
        assert gradient.shape == inputs[which].shape
        for index in np.ndindex(gradient.shape):
            bumped = [x.copy() for x in wide]
            bumped[which][index] += 1e-30j
            exact = np.imag(evaluate(bumped, constants, body, last, NUMPY)) / 1e-30
            scale = 1 + np.abs(gradient).max()
            assert abs(gradient[index] - exact) <= tolerance * scale * max(1.0, abs(exact))


# What you pass decides ------------------------------------------------------------------------------------------------


def test_arrays_in_array_out():
    a = np.array([0.5, 1.0])
    for y, expected in [
        (tm.sin(a), np.sin(a)),
        (tm.mul(a, 2.0), 2 * a),
        (tm.mul(2.0, a), 2 * a),
        (tm.sum(a), 1.5),
        (tm.sin([0.5, 1.0]), np.sin(a)),
        (tm.add(1.0, 2.0), 3.0),
        (tm.matmul(a, a), 1.25),
    ]:
        assert isinstance(y, (np.ndarray, np.generic))
        np.testing.assert_array_equal(y, expected)
    assert tm.sin(a.astype(np.float32)).dtype == np.float32


def test_the_direct_door_does_not_touch_its_inputs():
    a, b = np.array([0.5, 1.0]), np.array([2.0, 3.0])
    a.flags.writeable = b.flags.writeable = False
    tm.mul(a, b)
    tm.value_and_grad(lambda x, y: tm.sum(tm.mul(x, y)), argnums=(0, 1))(a, b)
    np.testing.assert_array_equal(a, [0.5, 1.0])
    np.testing.assert_array_equal(b, [2.0, 3.0])


def test_one_ref_among_the_operands_makes_a_step():
    x, _ = tm.Tape().leaf(np.ones(2))
    for step in (tm.sin(x), tm.mul(x, 2.0), tm.mul(2.0, x), tm.mul(np.ones(2), x), tm.mul(np.ones(2), tm.sin(x))):
        assert isinstance(step, tm.TapeM)


def test_tracers_are_recorded_at_once():
    seen = []

    def f(x):
        y = tm.sin(x)
        seen.append((isinstance(y, tm.TapeM), y.shape, y.dtype, bool(y[0] < y[1])))
        return tm.sum(y)

    tm.grad(f)(np.array([0.5, 1.0]))
    assert seen == [(False, (2,), np.float64, True)]


# grad and value_and_grad ----------------------------------------------------------------------------------------------


def test_grad_of_plain_numpy():
    def f(w, x):
        return np.mean(np.square(np.sin(x @ w) * 2.0 - 1.0))

    rng = np.random.default_rng(1)
    w, x = rng.standard_normal((3, 2)), rng.standard_normal((5, 3))
    value, (dw, dx) = tm.value_and_grad(f, argnums=(0, 1))(w, x)
    np.testing.assert_array_equal(value, f(w, x))
    for which, gradient in enumerate((dw, dx)):
        for index in np.ndindex(gradient.shape):
            bumped = [w.astype(complex), x.astype(complex)]
            bumped[which][index] += 1e-30j
            exact = f(*bumped).imag / 1e-30
            np.testing.assert_allclose(gradient[index], exact, rtol=1e-12, atol=1e-14)


def test_grad_over_trees_keeps_the_structure():
    params = {"layers": [(np.ones((2, 3)), np.zeros(3, np.float32))], "scale": 2.0}

    def loss(p, x):
        (w, b), s = p["layers"][0], p["scale"]
        return np.sum((x @ w + b) * s)

    value, gradient = tm.value_and_grad(loss)(params, np.array([1.0, 2.0]))
    assert float(value) == 18.0
    assert set(gradient) == {"layers", "scale"}
    dw, db = gradient["layers"][0]
    assert isinstance(gradient["layers"], list)
    assert isinstance(gradient["layers"][0], tuple)
    np.testing.assert_array_equal(dw, 2 * np.array([[1.0] * 3, [2.0] * 3]))
    np.testing.assert_array_equal(db, [2.0, 2.0, 2.0])
    assert db.dtype == np.float32
    assert float(gradient["scale"]) == 9.0


def test_grad_as_a_decorator_with_aux_and_argnums():
    @tm.grad
    def f(x):
        return x * x * x

    assert float(f(2.0)) == 12.0

    @tm.value_and_grad(has_aux=True)
    def g(x, k):
        return np.sum(x * k), {"double": 2 * k}

    (value, aux), gradient = g(np.array([1.0, 2.0]), 3.0)
    assert float(value) == 9.0
    assert aux == {"double": 6.0}
    np.testing.assert_array_equal(gradient, [3.0, 3.0])
    gradient, aux = tm.grad(lambda x: (x * x, x), has_aux=True)(3.0)
    assert float(gradient) == 6.0
    assert float(aux) == 3.0
    assert float(tm.grad(lambda a, b: a * b * b, argnums=-1)(2.0, 3.0)) == 12.0
    both = tm.grad(lambda a, b: a * b * b, argnums=(1, 0))(2.0, 3.0)
    assert isinstance(both, tuple)
    assert [float(g) for g in both] == [12.0, 9.0]


def test_an_unused_input_has_zeros():
    dx, dy = tm.grad(lambda x, y: np.sum(x), argnums=(0, 1))(np.ones(2), np.ones((3, 1), np.float32))
    np.testing.assert_array_equal(dx, [1.0, 1.0])
    assert dy.shape == (3, 1)
    assert dy.dtype == np.float32
    assert not dy.any()
    assert float(tm.grad(lambda x: 3.0)(2.0)) == 0.0


def test_the_same_array_as_two_arguments():
    a = np.array([1.0, 2.0])
    da, db = tm.grad(lambda x, y: np.sum(x * x * y), argnums=(0, 1))(a, a)
    np.testing.assert_array_equal(da, 2 * a * a)
    np.testing.assert_array_equal(db, a * a)


def test_a_do_program_under_grad():
    @tm.do
    def model(w, b, x):
        h = yield tm.matmul(x, w)
        h = yield from tm.add(h, b)
        return (yield tm.sin(tm.square(h)))

    @tm.do
    def loss(w, b, x):
        y = yield model(w, b, x)
        return (yield tm.mean(tm.square(y)))

    rng = np.random.default_rng(2)
    w, b, x = rng.standard_normal((3, 2)), rng.standard_normal(2), rng.standard_normal((4, 3))

    def plain(w, b, x):
        return np.mean(np.sin((x @ w + b) ** 2) ** 2)

    value, gradients = tm.value_and_grad(loss, argnums=(0, 1, 2))(w, b, x)
    np.testing.assert_allclose(value, plain(w, b, x), rtol=1e-14)
    for which, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            bumped = [w.astype(complex), b.astype(complex), x.astype(complex)]
            bumped[which][index] += 1e-30j
            np.testing.assert_allclose(gradient[index], plain(*bumped).imag / 1e-30, rtol=1e-11, atol=1e-14)
    # and the very same program through the pure door
    tape, refs = tm.Tape(), []
    for array in (w, b, x):
        ref, tape = tape.leaf(array)
        refs.append(ref)
    out, tape = loss(*refs).run(tape)
    swept = tape.backward_scalar(out)
    assert identical(tape.value(out), value)
    for ref, gradient in zip(refs, gradients, strict=True):
        assert identical(swept[ref], gradient)


def test_a_do_program_on_arrays_only():
    """With neither Refs nor tracers it is still a program; run, it gives what NumPy gives."""

    @tm.do
    def f(x):
        h = yield tm.sin(x)
        return (yield tm.sum(h))

    out, tape = f(np.array([0.5, 1.0])).run()
    value = tape.value(out) if isinstance(out, tm.Ref) else out
    np.testing.assert_array_equal(value, np.sin([0.5, 1.0]).sum())


def test_a_do_program_with_try_and_except_under_grad():
    @tm.do
    def f(x):
        try:
            y = yield tm.add(x, np.ones(9))
        except tm.ShapeError:
            y = yield tm.mul(x, 3.0)
        return (yield tm.sum(y))

    np.testing.assert_array_equal(tm.grad(f)(np.array([1.0, 2.0])), [3.0, 3.0])


def test_grad_inside_a_lifted_function():
    """The transform runs on the spot and its result is an array; the lifted program goes on recording."""
    x, tape = tm.Tape().leaf(np.array([1.0, 2.0]))

    def f(a):
        slope = tm.grad(lambda z: np.sum(z * z * z))(np.array([1.0, 2.0]))
        return np.sum(a * slope)

    out, tape = tm.lift(f)(x).run(tape)
    np.testing.assert_array_equal(tape.backward_scalar(out)[x], [3.0, 12.0])


def test_grad_of_grad_with_a_closure():
    """d/dx x * (d/dz z x) = 2 x: the two x's must not be confused."""
    assert float(tm.grad(lambda x: x * tm.grad(lambda z: z * x)(x))(3.0)) == 6.0


def test_an_exception_leaves_no_trace_behind():
    class Mine(Exception):
        pass

    def f(x):
        np.sin(x)
        raise Mine

    for _ in range(3):
        with pytest.raises(Mine):
            tm.grad(f)(1.0)
        assert float(tm.grad(lambda x: x * x)(3.0)) == 6.0
        assert isinstance(tm.sin(np.ones(2)), np.ndarray)


def test_threads_differentiate_at_once():
    results = {}

    def work(k):
        results[k] = [float(tm.grad(lambda x: np.sum(np.sin(x) * k))(np.float64(0.5))) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        np.testing.assert_allclose(results[k], [np.cos(0.5) * k] * 50, rtol=1e-15)


def test_float32_through_every_door():
    a = np.array([0.5, 1.0], np.float32)
    value, gradient = tm.value_and_grad(lambda x: np.sum(np.sin(x * 2.0) + 1) / 3)(a)
    assert value.dtype == np.float32
    assert gradient.dtype == np.float32
    x, tape = tm.Tape().leaf(a)
    out, tape = (tm.sum(tm.sin(x * 2.0) + 1) / 3).run(tape)
    assert out.dtype == np.float32
    assert identical(tape.backward_scalar(out)[x], gradient)


def test_ten_thousand_operations_on_a_tracer():
    def f(x):
        for _ in range(10_000):
            x = x * 1.0
        return x

    assert float(tm.grad(f)(2.0)) == 1.0


def test_iterating_a_tracer_takes_it_apart_once():
    """One op for all rows, so that their cotangents are stacked; row by row each would be padded to the whole array."""
    x = np.arange(6.0).reshape(3, 2) + 1

    def first_times_second(x):
        first, second, _ = x
        return np.sum(first * second)

    expected = np.array([[3.0, 4.0], [1.0, 2.0], [0.0, 0.0]])
    np.testing.assert_array_equal(tm.grad(first_times_second)(x), expected)
    np.testing.assert_array_equal(tm.vmap(tm.grad(first_times_second))(np.stack([x, 2 * x]))[1], 2 * expected)
    ref, tape = tm.Tape().leaf(x)
    names = [node.op.name for node in tm.lift(first_times_second)(ref).exec(tape)]
    assert names.count("unstack") == 1 and "getitem" not in names


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (lambda x, w: tm.grad(lambda z: tm.sum(tm.mul(z, w)))(x), lambda x: 2.0 + 0 * x),
        (lambda x, w: tm.grad(lambda z: tm.sum(z * z * w))(x), lambda x: 8.0 * x),
        (
            lambda x, w: tm.grad(lambda z: tm.sum(w * z * tm.grad(lambda u: tm.sum(u * w * z))(z)))(x),
            lambda x: 24 * x**2,
        ),
        (lambda x, w: tm.jvp(lambda z: z * w, (x,), (x,)).map(lambda pair: pair[1]), lambda x: 4.0 * x),
        (lambda x, w: tm.value_and_grad(lambda z: tm.sum(z * w))(x).map(lambda pair: pair[0]), lambda x: 4.0 * x),
    ],
)
def test_a_transform_in_a_program_closes_over_its_refs(transform, expected):
    @tm.do
    def program(x):
        w = yield tm.mul(x, 2.0)
        y = yield transform(x, w)
        out = yield tm.sum(y)
        return out

    x = np.array([0.3, -0.2, 0.5])
    ref, tape = tm.Tape().leaf(x)
    out, tape = program(ref).run(tape)
    np.testing.assert_allclose(tape.backward_scalar(out)[ref], expected(x))
    np.testing.assert_allclose(tm.grad(program)(x), expected(x))
