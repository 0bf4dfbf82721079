"""no_grad through every door: what is computed under it is a constant of every derivative, whoever records it."""

import threading

import numpy as np
import pytest

import tapem as tm

from .judges import close

X = np.array([3.0, -0.5, 1.5])
MATRIX = np.array([[2.0, 0.5], [0.25, 1.0]])


def square(x):
    return x**2


def in_parts(x):
    """An op of several results, which are squared and put together again."""

    def together(parts):
        return tm.concat([part * part for part in parts])

    parts = tm.split(x, 3)
    return parts.bind(together) if isinstance(parts, tm.TapeM) else together(parts)


def with_a_custom_rule(x):
    return tm.custom_jvp(lambda x: x * 2.0, lambda xs, ts: (xs[0] * 2.0, ts[0] * 2.0))(x)


# Each computes an array of the shape of x.
INSIDE = {
    "power": square,
    "two ops": lambda x: tm.sin(x) * x,
    "an op with a constant": lambda x: x * np.array([1.0, 2.0, 3.0]),
    "split": in_parts,
    "a custom rule": with_a_custom_rule,
}


@tm.do
def squaring(x):
    y = yield tm.square(x)
    return (yield tm.add(y, x))


INSIDE_A_PROGRAM = {
    **INSIDE,
    "a program": squaring,
    "a lifted function": tm.lift(lambda z: np.sin(z) * z),
    "a map": lambda x: tm.square(x).map(lambda ref: ref),
    "a bind": lambda x: tm.square(x).bind(tm.sin),
    "a fold": lambda x: tm.fold(lambda total, k: total * x * k, x, [1.0, 2.0]),
    "a sequence": lambda x: tm.sequence([tm.square(x)]).map(lambda refs: refs[0]),
    "then": lambda x: tm.leaf(1.0) >> tm.square(x),
}


def taken_inside(inside):
    @tm.do
    def program(x):
        with tm.no_grad():
            y = yield inside(x)
        z = yield tm.mul(x, y)
        return (yield tm.sum(z))

    return program


def described_inside(inside):
    """The step is made in the block, and taken when the block has ended."""

    def model(x):
        with tm.no_grad():
            y = inside(x)
        return tm.sum(tm.mul(x, y))

    return model


def made_before(inside):
    """The step is made before the block, and taken in it."""

    @tm.do
    def program(x):
        step = inside(x)
        with tm.no_grad():
            y = yield step
        return (yield tm.sum(tm.mul(x, y)))

    return program


def with_a_thunk(inside):
    return lambda x: tm.sum(tm.mul(x, tm.no_grad(lambda: inside(x))))


def lifted_inside(inside):
    def plain(x):
        with tm.no_grad():
            y = inside(x)
        return np.sum(x * y)

    return tm.lift(plain)


PROGRAMS = [taken_inside, described_inside, made_before, with_a_thunk]


def on_a_tape(program):
    """The value, and the gradient by the sweep of a tape that was checked."""
    x, tape = tm.Tape().leaf(X)
    out, tape = program(x).run(tape)
    tape.check()
    return tape.value(out), tape.backward_scalar(out)[x]


@pytest.mark.parametrize("form", PROGRAMS)
@pytest.mark.parametrize("inside", INSIDE_A_PROGRAM.values(), ids=INSIDE_A_PROGRAM)
def test_programs_run_on_a_tape(form, inside):
    value, gradient = on_a_tape(form(inside))
    x, tape = tm.Tape().leaf(X)
    y, tape = tm.sequence(inside(x)).run(tape)
    close(value, np.sum(X * tape.value(y)))
    close(gradient, tape.value(y))


@pytest.mark.parametrize("form", PROGRAMS)
def test_programs_inside_transforms(form):
    program = form(square)
    close(tm.grad(program)(X), X**2)
    close(tm.vmap(tm.grad(program))(np.stack([X, 2 * X])), np.stack([X**2, 4 * X**2]))
    close(tm.jvp(program, (X,), (np.ones(3),))[1], np.sum(X**2))
    close(tm.hvp(program, (X,), (X,)), np.zeros(3))
    close(tm.grad(lambda x: np.sum(tm.checkpoint(program)(x)))(X), X**2)


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
def test_lifted_functions(inside):
    value, gradient = on_a_tape(lifted_inside(inside))
    y = np.asarray(tm.grad(lambda x: np.sum(inside(x)) * 0.0 + np.sum(x * tm.no_grad(lambda: inside(x))))(X))
    close(gradient, y)
    close(value, np.sum(X * y))
    close(tm.grad(lifted_inside(inside))(X), y)


def test_a_lifted_function_run_in_the_block():
    x, tape = tm.Tape().leaf(X)
    with tm.no_grad():
        y, tape = tm.lift(lambda z: np.sin(z) * z)(x).run(tape)
    out, tape = tape.record(tm.vdot, x, y)
    close(tape.backward_scalar(out)[x], np.sin(X) * X)


def test_recording_on_a_tape():
    x, tape = tm.Tape().leaf(X)
    with tm.no_grad():
        y, tape = tape.record(tm.square, x)
    z, tape = tape.record(tm.mul, x, y)
    out, tape = tape.record(tm.sum, z)
    close(tape.check().backward_scalar(out)[x], X**2)
    assert not tape[y].requires_grad
    assert y not in tape.backward_scalar(out)


def test_an_op_of_several_results_on_a_tape():
    m, tape = tm.Tape().leaf(MATRIX)
    with tm.no_grad():
        (q, r), tape = tape.record(tm.qr, m)
    out, tape = tm.sum(tm.mul(m, tm.matmul(q, r))).run(tape)
    close(tape.check().backward_scalar(out)[m], MATRIX)


def test_a_tape_differentiated_in_the_block_and_leaves_made_there():
    with tm.no_grad():
        x, tape = tm.Tape().leaf(X)
    out, tape = tm.sum(tm.square(x)).run(tape)
    with tm.no_grad():
        close(tape.backward_scalar(out)[x], 2 * X)
        close(tm.grad(lambda x: np.sum(x**2))(X), 2 * X)
        close(tm.grad(lambda x: tm.sum(tm.square(x)))(X), 2 * X)


def test_a_transform_of_a_program_in_the_block_gives_constants():
    def f(x):
        with tm.no_grad():
            slope = tm.grad(lambda z: tm.sum(tm.power(z, 3.0)))(x)
        return np.sum(slope * x)

    for program in (f, tm.lift(f)):
        close(tm.grad(program)(X), 3 * X**2)
    close(on_a_tape(tm.lift(f))[1], 3 * X**2)


def test_long_programs_described_in_the_block_do_not_recurse():
    step = tm.leaf(np.array(1.0))
    with tm.no_grad():
        for _ in range(20_000):
            step = step.bind(lambda ref: tm.mul(ref, 1.0))
    ref, tape = step.run()
    assert tape.value(ref) == 1.0
    assert not tape[ref].requires_grad


def test_blocks_in_one_thread_do_not_reach_the_tape_of_another():
    inside, done = threading.Event(), threading.Event()

    def silent():
        with tm.no_grad():
            inside.set()
            done.wait(5)

    thread = threading.Thread(target=silent)
    thread.start()
    inside.wait(5)
    x, tape = tm.Tape().leaf(X)
    out, tape = tm.sum(tm.square(x)).run(tape)
    done.set()
    thread.join()
    close(tape.backward_scalar(out)[x], 2 * X)


def test_what_is_computed_in_the_block_may_be_overwritten():
    """The results are plain arrays, and none of them is the memory of a tape."""

    def f(x):
        y = x * 2.0
        for view in (np.reshape, lambda a, _: a.T, lambda a, _: a[1:], lambda a, _: tm.split(a, 1)[0]):
            with tm.no_grad():
                plain = view(x, (3, 1)), view(y, (3, 1))
            for array in plain:
                array[...] = 100.0
        return np.sum(x * y)

    close(tm.grad(f)(X), 4 * X)


SEVERAL = {
    "split": lambda x: np.split(x, 3)[1][0],
    "unpacking": lambda x: [*x][1],
    "qr": lambda x: np.linalg.qr(np.outer(x, x) + np.eye(3))[1][0, 0],
    "slogdet": lambda x: np.linalg.slogdet(np.outer(x, x) + np.eye(3))[1],
    "checkpoint": lambda x: tm.checkpoint(np.sum)(x),
    "custom_vjp": lambda x: tm.custom_vjp(lambda x: (np.sum(x), None), lambda _, g: (g * np.ones(3),))(x),
    "while_loop": lambda x: tm.while_loop(lambda s: np.sum(s) < 9, lambda s: s * s + 2, x)[0],
}


@pytest.mark.parametrize("several", SEVERAL)
def test_ops_of_several_results_are_cut_off_where_only_shapes_are_known(several):
    x = np.array([0.3, -0.8, 1.1])
    batch = np.stack([x, 2 * x])

    def f(x):
        with tm.no_grad():
            constant = SEVERAL[several](x)
        return np.sum(x) * constant

    expected = np.stack([np.full(3, SEVERAL[several](row)) for row in batch])
    np.testing.assert_allclose(tm.grad(f)(x), expected[0])
    np.testing.assert_allclose(tm.vmap(tm.grad(f))(batch), expected)
    np.testing.assert_allclose(tm.grad(lambda xs: np.sum(tm.vmap(f)(xs)))(batch), expected)
    np.testing.assert_allclose(tm.vmap(tm.grad(tm.checkpoint(f)))(batch), expected)
    assert tm.eval_shape(f, x).shape == ()


@pytest.mark.parametrize("copy", [np.copy, lambda x: x.copy(), np.positive, lambda x: +x, lambda x: x.astype(float)])
def test_a_copy_that_is_made_under_it_is_a_constant(copy):
    def f(x):
        with tm.no_grad():
            y = copy(x)
        return np.sum(x * y)

    close(tm.grad(f)(X), X)
    close(tm.vmap(tm.grad(f))(np.stack([X, 2 * X])), np.stack([X, 2 * X]))
    close(tm.grad(lambda x: np.sum(copy(x) * x))(X), 2 * X)


CLOSING_OVER = {
    "grad": lambda x: tm.grad(lambda z: np.sum(np.where(z * x > 0, z * x, z)))(x),
    "jvp": lambda x: tm.jvp(lambda z: np.where(z * x > 0, z * x, z), (x,), (x,))[1],
    "vjp": lambda x: tm.vjp(lambda z: (z * x)[np.argsort(z * x)], x)[1](x)[0],
    "linearize": lambda x: tm.linearize(lambda z: np.outer(z, x) ** 2, x)[1](x),
    "hessian": lambda x: tm.hessian(lambda z: np.sum(z**2 * x))(x),
    "jacrev": lambda x: tm.jacrev(lambda z: np.maximum(z * x, z))(x),
    "hvp": lambda x: tm.hvp(lambda z: np.sum(z**3 * x), (x,), (x,)),
    "branches": lambda x: tm.grad(lambda z: np.sum(z * x) if np.sum(z * x) > 0 else z[0])(x),
    "vmap": lambda x: tm.vmap(lambda z: np.where(z * x > 0, z * x, 0.0))(x),
    "vmap of grad": lambda x: tm.vmap(tm.grad(lambda z: np.sum(np.where(z * x > 0, z * x, 0.0))))(x),
    "checkpoint": lambda x: tm.grad(lambda z: np.sum(tm.checkpoint(lambda u: np.where(u * x > 0, u * x, u))(z)))(x),
    "cond": lambda x: tm.grad(lambda z: tm.cond(np.sum(z * x) > 0, lambda u: np.sum(u * x), np.sum, z))(x),
    "while_loop": lambda x: tm.grad(
        lambda z: np.sum(tm.while_loop(lambda s: np.sum(s) < 30, lambda s: s * x * x + 1, z))
    )(x),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSING_OVER)
def test_transforms_under_it_take_outer_values_as_constants(name):
    inside = CLOSING_OVER[name]

    def f(x):
        return np.sum(x) * np.sum(tm.no_grad(lambda: inside(x)))

    expected = np.full(3, np.sum(inside(X)))
    close(tm.grad(f)(X), expected)
    close(tm.jvp(f, (X,), (X,))[1], np.sum(X) * expected[0])
    close(tm.hvp(f, (X,), (X,)), np.zeros(3))
    close(tm.grad(lambda x: tm.grad(f)(x) @ X)(X), np.zeros(3))
    if name not in ("branches", "vjp"):  # which ask for values that are not known inside vmap
        close(tm.vmap(tm.grad(f))(np.stack([X, X])), np.stack([expected] * 2))
