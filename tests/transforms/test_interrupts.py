"""An exception at any moment whatever, Ctrl-C included, leaves nothing behind: no recorder, no no_grad, no watcher.

The sweep of the tests raises at every event of every function of this library, one event after the other, and looks
each time whether the library still works.
"""

import asyncio
import contextvars
import gc
import pathlib
import sys
import threading

import numpy as np
import pytest

import tapem as tm
from tapem.core.context import CONTEXT, RecordingContext

from .judges import close

X = np.array([0.3, -0.8, 1.1])
ROOT = str(pathlib.Path(tm.__file__).parent)
MINE = contextvars.ContextVar("mine", default="outside")


def f(x):
    return np.sum(np.sin(x) * x)


@tm.do
def program(x):
    y = yield tm.square(x)
    with tm.no_grad():
        z = yield tm.sin(y)
    return (yield tm.sum(z * y))


custom = tm.custom_vjp(lambda x: (np.sin(x), x), lambda x, g: (g * np.cos(x),))


def with_no_grad(x):
    with tm.no_grad():
        y = np.sin(x)
    return np.sum(x * y)


TASKS = {
    "grad": lambda: tm.grad(f)(X),
    "vjp": lambda: tm.vjp(f, X)[1](1.0),
    "jvp": lambda: tm.jvp(f, (X,), (X,)),
    "vmap": lambda: tm.vmap(np.sin)(X),
    "hvp": lambda: tm.hvp(lambda x: np.sum(np.sin(x)), (X,), (X,)),
    "vmap of grad": lambda: tm.vmap(tm.grad(np.sin))(X),
    "checkpoint": lambda: tm.grad(lambda x: np.sum(tm.checkpoint(np.sin)(x)))(X),
    "no_grad(thunk)": lambda: tm.no_grad(lambda: np.sin(X)),
    "no_grad(thunk) inside": lambda: tm.grad(lambda x: np.sum(x * tm.no_grad(lambda: np.sin(x))))(X),
    "with no_grad inside": lambda: tm.grad(with_no_grad)(X),
    "debug_mode inside": lambda: tm.grad(lambda x: [tm.debug_mode(True), f(x)][1])(X),
    "custom rule": lambda: tm.grad(lambda x: np.sum(custom(x)))(X),
    "while_loop": lambda: tm.vmap(lambda x: tm.while_loop(lambda s: s < 0, np.negative, x))(X[1:2]),
    "eval_shape": lambda: tm.eval_shape(f, X),
    "lift": lambda: tm.lift(f)(tm.leaf(X)).run(),
    "do": lambda: tm.grad(program)(X),
    "debug": lambda: tm.debug(f)(X),
    "explain": lambda: tm.explain(*tm.lift(f)(tm.leaf(X)).run()[::-1]),
}


class Unlucky(Exception):
    """An error like any other."""


class Interrupt:
    """Raises at one event of the library's own functions: the one with this number."""

    def __init__(self, at, error, opcodes):
        self.at, self.error, self.opcodes = at, error, opcodes
        self.count = 0

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(ROOT):
            return None
        frame.f_trace_opcodes = self.opcodes
        if event != "call":
            self.count += 1
            if self.count == self.at:
                raise self.error("now")
        return self

    def run(self, task):
        """Whether the event came."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            task()
        except self.error:
            pass
        except tm.TapeError as error:  # raised in a rule, an error other than an interrupt is told with the rule
            assert "now" in str(error)
        finally:
            sys.settrace(before)
        return self.count >= self.at


def check_that_nothing_is_left(errstate):
    assert CONTEXT.get() == RecordingContext()
    assert np.geterr() == errstate
    gradient = tm.grad(lambda x: np.sum(x**2))(X)
    assert type(gradient) is np.ndarray
    np.testing.assert_array_equal(gradient, 2 * X)
    assert type(np.sin(X)) is np.ndarray


# An exception that comes while a generator is being freed is Python's to report, and ends there.
ends_in_a_destructor = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@ends_in_a_destructor
@pytest.mark.parametrize("error", [KeyboardInterrupt, Unlucky])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_an_exception_at_every_line_and_return(task, error):
    sweep(task, error, opcodes=False)


@ends_in_a_destructor
@pytest.mark.parametrize("task", ["grad", "no_grad(thunk)", "debug_mode inside", "with no_grad inside"])
def test_an_interrupt_at_every_instruction(task):
    sweep(TASKS[task], KeyboardInterrupt, opcodes=True)


def sweep(task, error, opcodes):
    task()  # what is only done the first time is done
    errstate, at = np.geterr(), 1
    while Interrupt(at, error, opcodes).run(task):
        check_that_nothing_is_left(errstate)
        at += 1
    assert at > 10  # the events were seen


def test_the_sweep_finds_a_block_that_sets_and_sets_back():
    """The judge is judged: a try statement that begins one line too late."""

    def careless():
        token = CONTEXT.set(RecordingContext(constant=1))
        tm.cos(X)
        try:
            tm.sin(X)
        finally:
            CONTEXT.reset(token)

    def contained():
        with pytest.raises(AssertionError):
            sweep(careless, KeyboardInterrupt, opcodes=False)

    contextvars.copy_context().run(contained)


# -- blocks that outlive the transform in which they began ------------------------------------------------------------


def silent_generator(x):
    with tm.no_grad():
        yield np.sum(x) * 2.0
        yield np.sum(x) * 3.0


def watched_generator(x):
    with tm.debug_mode(True):
        yield np.sum(x) * 2.0
        yield np.sum(x) * 3.0


@pytest.mark.parametrize("generator", [silent_generator, watched_generator])
@pytest.mark.parametrize("end", ["close", "collect", "go on"])
def test_a_generator_suspended_in_a_block_when_its_transform_ends(generator, end):
    kept = []

    def inside(x):
        kept.append(generator(x))
        next(kept[0])
        return np.sum(x**2)

    tm.grad(inside)(X)
    assert CONTEXT.get() == RecordingContext()
    if end == "close":
        kept[0].close()
    elif end == "collect":
        kept.clear()
        gc.collect()
    else:
        with pytest.raises((StopIteration, tm.EscapedTracerError)):
            next(kept[0])
            next(kept[0])
    check_that_nothing_is_left(np.geterr())


def test_a_generator_closed_in_another_transform_leaves_that_one_as_it_is():
    kept = []

    def first(x):
        kept.append(silent_generator(x))
        next(kept[0])
        return np.sum(x)

    tm.grad(first)(X)

    def second(x):
        y = x**2
        with tm.no_grad():
            kept[0].close()
            z = x**2
        return np.sum(y * z)

    close(tm.grad(second)(X), 2 * X**3)


def test_blocks_of_generators_that_overlap_end_each_on_its_own():
    def block():
        with tm.no_grad():
            yield

    one, two = block(), block()
    next(one), next(two)
    one.close()
    assert CONTEXT.get().constant == 1
    two.close()
    assert CONTEXT.get() == RecordingContext()


def test_debug_mode_switched_on_in_a_no_grad_block_stays_on():
    def run():
        with tm.no_grad():
            tm.debug_mode(True)
        assert CONTEXT.get().watcher is not None
        assert not CONTEXT.get().constant

    contextvars.copy_context().run(run)


def test_after_a_no_grad_block_ops_take_the_fast_way_again():
    def inside(x):
        with tm.no_grad():
            np.sin(x)
        assert CONTEXT.get() is x.recorder.usual
        return np.sum(x)

    tm.grad(inside)(X)


def test_no_grad_as_a_decorator_in_several_threads():
    barrier = threading.Barrier(4)

    @tm.no_grad()
    def silent(x, depth=2):
        barrier.wait()
        return np.sin(x) if depth == 0 else silent(x, depth - 1)

    def run():
        found.append(tm.grad(lambda x: np.sum(x * silent(x)))(X))
        assert CONTEXT.get() == RecordingContext()

    found = []
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close(found, [np.sin(X)] * 4)


# -- contexts of the user ---------------------------------------------------------------------------------------------

TRANSFORMS = {
    "grad": lambda f: tm.grad(lambda x: f(x) or np.sum(x))(X),
    "nested": lambda f: tm.grad(lambda x: tm.grad(lambda y: f(y) or np.sum(y**2) * np.sum(x))(x)[0])(X),
    "vjp": lambda f: tm.vjp(lambda x: f(x) or x, X),
    "jvp": lambda f: tm.jvp(lambda x: f(x) or x, (X,), (X,)),
    "vmap": lambda f: tm.vmap(lambda x: f(x) or x)(X),
    "checkpoint": lambda f: tm.grad(lambda x: np.sum(tm.checkpoint(lambda y: f(y) or y)(x)))(X),
    "no_grad": lambda f: tm.no_grad(lambda: f(X)),
    "lift": lambda f: tm.lift(lambda x: f(x) or x)(tm.leaf(X)).run(),
    "debug": lambda f: tm.debug(lambda x: f(x) or x)(X),
    "eval_shape": lambda f: tm.eval_shape(lambda x: f(x) or x, X),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_context_variable_of_the_user_is_set_for_good(transform):
    def run():
        MINE.set("before")

        def inside(x):
            assert MINE.get() == "before"
            MINE.set("inside")
            np.seterr(over="raise")

        transform(inside)
        assert MINE.get() == "inside"
        assert np.geterr()["over"] == "raise"
        MINE.set("before")

        def failing(x):
            MINE.set("failed")
            raise KeyError("inside")

        with pytest.raises((KeyError, tm.TapeError)):
            transform(failing)
        assert MINE.get() == "failed"

    contextvars.copy_context().run(run)


def test_what_a_sweep_asks_of_numpy_stays_in_the_sweep():
    """np.errstate of the user holds in f and in the rules, but for the divisions that a sweep is silent about."""
    seen = []

    def bwd(_, g):
        seen.append(np.geterr())
        return (g,)

    g = tm.custom_vjp(lambda x: (x * 1.0, None), bwd)
    with np.errstate(over="raise", divide="raise"):
        before = np.geterr()
        tm.grad(lambda x: np.sum(g(x)))(X)
        assert np.geterr() == before
    assert seen == [{**before, "divide": "ignore", "invalid": "ignore"}]


def test_what_a_rule_sets_while_a_sweep_asks_for_it_is_gone_afterwards():
    def bwd(_, g):
        MINE.set("swept")
        np.seterr(over="raise")
        return (g,)

    def run():
        before = np.geterr()
        tm.grad(tm.custom_vjp(lambda x: (x * 1.0, None), bwd))(2.0)
        assert (MINE.get(), np.geterr()) == ("outside", before)

    contextvars.copy_context().run(run)


def test_a_token_is_good_only_where_it_was_made():
    """What Python says of tokens holds here, too: those of f are not used outside."""
    tokens = []
    tm.grad(lambda x: tokens.append(MINE.set("inside")) or np.sum(x))(X)
    with pytest.raises(ValueError, match="different Context"):
        MINE.reset(tokens[0])
    MINE.set("outside")


def test_a_task_made_inside_f_outlives_it():
    """The task has a copy of the context whose current recorder will have ended."""
    found = []

    async def later(x):
        await asyncio.sleep(0.001)
        found.append(tm.grad(lambda x: np.sum(x**2))(X))
        found.append(tm.vmap(np.sin)(X))
        found.append(tm.hvp(f, (X,), (X,)))
        found.append(tm.grad(lambda x: np.sum(tm.checkpoint(np.sin)(x)))(X))
        found.append(tm.debug(np.negative)(X))
        found.append(tm.checkpoint(np.sin)(X))
        found.append(custom(X))

    async def main():
        tasks = []
        tm.grad(lambda x: tasks.append(asyncio.ensure_future(later(x))) or np.sum(x))(X)
        await tasks[0]

    asyncio.run(main())
    close(found, [2 * X, np.sin(X), tm.hvp(f, (X,), (X,)), np.cos(X), -X, np.sin(X), np.sin(X)])


def test_a_worker_thread_with_a_copy_of_the_context():
    def inside(x):
        context = contextvars.copy_context()
        found = []
        thread = threading.Thread(target=lambda: found.append(context.run(tm.grad(np.sum), x * x)))
        thread.start()
        thread.join()
        return np.sum(x * found[0])

    close(tm.grad(inside)(X), np.ones(3))
