"""What an error prints: the user's call, one frame of ours, the user's frames; and all of it under debug_mode."""

import gc
import os
import threading
import traceback
import weakref

import numpy as np
import pytest

import layers
import tapem as tm

A = np.ones(3)
AA = np.ones((2, 3))
WRONG = np.ones((4, 2))
HOUSE = os.path.dirname(tm.__file__)


class Mine(Exception):
    """An exception of the user's."""


def shapes(x):
    y = np.sin(x)
    return np.sum(y @ WRONG)  # the line


def division(x):
    return np.sum(x) * (1 / 0)  # the line


def lost(x):
    return float(x[0])  # the line


def own(x):
    raise Mine(f"of {np.shape(x)}")  # the line


def again(x):
    try:
        return x @ WRONG
    except ValueError:
        raise Mine("after an error of tapem's") from None  # the line


def no_rule(x):
    return np.sum(np.real_if_close(x))  # the line


def layer(x):
    model = layers.Sequential(layers.Linear(3, 4), layers.Relu(), layers.Linear(4, 2))
    params = model.init(tm.random.key(0))
    return np.sum(model.apply(params, x[:2]))  # the line


FUNCTIONS = [shapes, division, lost, own, again, no_rule, layer]

TRANSFORMS = {
    "grad": lambda f: tm.grad(f)(A),
    "value_and_grad": lambda f: tm.value_and_grad(f)(A),
    "grad of grad": lambda f: tm.grad(lambda x: np.sum(tm.grad(f)(x)))(A),
    "vmap of grad": lambda f: tm.vmap(tm.grad(f))(AA),
    "vmap": lambda f: tm.vmap(f)(AA),
    "vjp": lambda f: tm.vjp(f, A),
    "jvp": lambda f: tm.jvp(f, (A,), (A,)),
    "linearize": lambda f: tm.linearize(f, A),
    "jacfwd": lambda f: tm.jacfwd(f)(A),
    "jacrev": lambda f: tm.jacrev(f)(A),
    "hessian": lambda f: tm.hessian(f)(A),
    "hvp": lambda f: tm.hvp(f, (A,), (A,)),
    "eval_shape": lambda f: tm.eval_shape(f, A),
    "checkpoint": lambda f: tm.grad(tm.checkpoint(f))(A),
    "scan": lambda f: tm.grad(lambda x: tm.scan(lambda c, _: (c + f(x), c), 0.0, None, 3)[0])(A),
    "while_loop": lambda f: tm.vmap(lambda x: tm.while_loop(lambda s: np.sum(s) < 9, lambda s: s + f(s), x))(AA),
    "custom_vjp": lambda f: tm.grad(tm.custom_vjp(lambda x: (np.sum(x), x), lambda x, g: (f(x),)))(A),
    "custom_jvp": lambda f: tm.grad(tm.custom_jvp(np.sum, lambda xs, ts: (np.sum(xs[0]), f(xs[0]))))(A),
    "lift": lambda f: tm.leaf(A).bind(tm.lift(f)).run(),
    "bind": lambda f: tm.leaf(A).bind(lambda x: tm.lift(f)(x)).eval(),
}


def printed(attempt, *arguments):
    """The error, and what Python prints of it, without the frame of this function."""
    with pytest.raises(Exception) as caught:  # which exception it is, is the table's business
        attempt(*arguments)
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    return error, "".join(traceback.format_exception(error))


def frames(error):
    """The frames of a traceback: whether each is tapem's own."""
    return [entry.filename.startswith(HOUSE) for entry in traceback.extract_tb(error.__traceback__)]


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_an_error_in_a_function_prints_the_users_frames(name, f):
    if name.startswith("custom") and f in (lost, no_rule):
        return  # a rule is given arrays, of which these are no errors
    error, text = printed(TRANSFORMS[name], f)
    assert "# the line" in text
    assert len(text.splitlines()) <= 20, text
    assert sum(frames(error)) == 1, text
    assert os.sep + "numpy" + os.sep not in text


@tm.do
def inner(x):
    h = yield tm.sin(x)
    return (yield tm.matmul(h, WRONG))  # the line


@tm.do
def middle(x):
    return (yield from inner(x))


@tm.do
def outer(x):
    return (yield middle(x))


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: tm.leaf(A).bind(outer).run(),
        lambda: tm.leaf(A).bind(outer).eval(),
        lambda: tm.leaf(A).bind(outer).exec(),
        lambda: tm.grad(outer)(A),
        lambda: tm.vmap(tm.grad(outer))(AA),
        lambda: tm.jvp(outer, (A,), (A,)),
    ],
)
def test_an_error_in_a_program_prints_the_programs(attempt):
    error, text = printed(attempt)
    names = [entry.name for entry in traceback.extract_tb(error.__traceback__)]
    assert names[-3:] == ["outer", "middle", "inner"]
    assert sum(frames(error)) == 1
    assert "# the line" in text
    assert len(text.splitlines()) <= 20, text


def test_an_attempt_keeps_a_short_error():
    err = tm.leaf(A).bind(outer).attempt()
    assert len(traceback.format_exception(err.error)) <= 8
    assert sum(frames(err.error)) == 2  # attempt, and run


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: tm.matmul(A, WRONG),
        lambda: tm.Tape().record(tm.matmul, A, WRONG),
        lambda: tm.Tape().leaf(A)[1].backward([5], [A]),
        lambda: tm.grad(lambda x: x)(A),
        lambda: tm.grad(tm.sum)(np.ones(3, int)),
        lambda: tm.vjp(np.sin, A)[1](AA),
        lambda: tm.linearize(np.sin, A)[1](AA),
        lambda: tm.vmap(np.sin, in_axes=4)(A),
    ],
)
def test_an_error_at_the_call_shows_one_frame_of_ours(attempt):
    error, text = printed(attempt)
    assert frames(error) == [False, True], text
    assert len(text.splitlines()) <= 12, text


@pytest.mark.parametrize("f", [shapes, division, layer])
def test_debug_mode_shows_everything(f):
    with tm.debug_mode():
        error, text = printed(lambda: tm.vmap(tm.grad(f))(AA))
    assert sum(frames(error)) > 5
    assert len(text.splitlines()) > 30 or f is division
    assert ("direct cause" in text) == (f is not division)
    error, _ = printed(lambda: tm.vmap(tm.grad(f))(AA))
    assert sum(frames(error)) == 1


def test_a_cause_in_the_users_code_is_kept_and_one_in_numpy_is_not():
    @tm.primitive
    def twice(x: np.ndarray) -> np.ndarray:
        return np.reshape(x, (7, 2))  # in the op

    error, text = printed(lambda: tm.grad(lambda x: np.sum(twice(x)))(A))
    assert isinstance(error, tm.TapeError)
    assert isinstance(error.__cause__, ValueError)
    assert "# in the op" in text
    error, text = printed(lambda: tm.grad(lambda x: np.sum(np.reshape(x, (7, 2))))(A))
    assert error.__cause__ is None
    assert error.__context__ is not None  # for a debugger
    assert "During handling" not in text


def test_what_led_to_an_error_of_the_users_is_kept():
    def f(x):
        try:
            return x @ WRONG  # the first
        except ValueError:
            raise Mine("the second")  # noqa: B904

    error, text = printed(lambda: tm.grad(f)(A))
    assert isinstance(error, Mine)
    assert isinstance(error.__context__, tm.ShapeError)
    assert "# the first" in text
    assert len(text.splitlines()) <= 24, text


def test_the_error_of_the_user_is_the_same_object():
    error = Mine()

    def f(x):
        raise error

    for transform in (tm.grad, tm.vmap, tm.jacfwd):
        assert printed(lambda transform=transform: transform(f)(A))[0] is error


@pytest.mark.parametrize("f", [shapes, own, again])
def test_an_error_is_freed_without_the_collector(f):
    def attempt():
        try:
            tm.vmap(tm.grad(f))(AA)
        except (Mine, tm.TapeError) as error:
            return weakref.ref(error)

    gc.collect()
    gc.disable()
    try:
        assert attempt()() is None
    finally:
        gc.enable()


def test_threads_shorten_their_own_errors():
    texts = []

    def work(f):
        texts.append(printed(lambda: tm.vmap(tm.grad(f))(AA))[1])

    threads = [threading.Thread(target=work, args=(f,)) for f in [shapes, division, own] * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 24
    assert all(len(text.splitlines()) <= 20 and "# the line" in text for text in texts)
