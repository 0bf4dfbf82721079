"""Threads and tasks at once, exceptions that leave nothing behind, tracers that escape."""

import asyncio
import contextvars
import functools
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tapem as tm
from tapem.core.context import CONTEXT

from .judges import close

X = np.array([0.3, -0.8, 1.1])


def work(seed):
    """A few nested transforms whose results depend on the seed, and what they should be."""
    x = X + seed

    def f(z):
        return np.sum(np.sin(z) * seed)

    gradient = tm.grad(f)(x)
    hessian = tm.hessian(f)(x)
    mapped = tm.vmap(tm.grad(lambda z: np.sin(z) * np.sum(x)))(x)
    return (gradient, hessian, mapped), (np.cos(x) * seed, np.diag(-np.sin(x) * seed), np.cos(x) * np.sum(x))


def test_threads_differentiate_at_once():
    barrier = threading.Barrier(8)

    def run(seed):
        barrier.wait()
        for _ in range(10):
            found, expected = work(seed)
            close(found, expected, 1e-12, 1e-12)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(1, 9)))


def test_threads_inside_one_anothers_functions():
    """Each thread waits in the middle of its function until the others are in theirs."""
    barrier = threading.Barrier(4)

    def f(x):
        y = x * x
        barrier.wait()
        z = tm.grad(lambda u: u**3)(y)
        barrier.wait()
        return np.sum(z * x)

    def run(value):
        return float(tm.grad(f)(value))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, [1.0, 2.0, 3.0, 4.0]))
    close(found, [15.0 * v**4 for v in (1.0, 2.0, 3.0, 4.0)])


def test_tasks_differentiate_at_once():
    async def differentiate(seed):
        recorded = []

        def f(x):
            recorded.append(x)
            return np.sum(np.sin(x) * seed)

        _y, pullback = tm.vjp(f, X * seed)
        await asyncio.sleep(0)
        with tm.no_grad():
            await asyncio.sleep(0)
        await asyncio.sleep(0.001 * (seed % 3))
        inner = tm.grad(tm.grad(lambda z: z**3 * seed))(2.0)
        await asyncio.sleep(0)
        close(pullback(1.0)[0], np.cos(X * seed) * seed)
        return float(inner)

    async def main():
        return await asyncio.gather(*(differentiate(seed) for seed in range(1, 20)))

    assert asyncio.run(main()) == [12.0 * seed for seed in range(1, 20)]


def test_no_grad_in_one_thread_does_not_silence_another():
    inside, done = threading.Event(), threading.Event()

    def silent():
        with tm.no_grad():
            inside.set()
            done.wait(5)

    thread = threading.Thread(target=silent)
    thread.start()
    inside.wait(5)
    close(tm.grad(lambda x: np.sum(x**2))(X), 2 * X)
    done.set()
    thread.join()


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: tm.grad(f)(X),
        lambda f: tm.vjp(f, X),
        lambda f: tm.jvp(f, (X,), (X,)),
        lambda f: tm.linearize(f, X),
        lambda f: tm.vmap(f)(X),
        lambda f: tm.jacfwd(f)(X),
        lambda f: tm.jacrev(f)(X),
        lambda f: tm.hessian(f)(X),
        lambda f: tm.eval_shape(f, X),
        lambda f: tm.grad(lambda x: np.sum(tm.checkpoint(f)(x)))(X),
        lambda f: tm.grad(lambda x: np.sum(tm.vmap(f)(x)))(X),
        lambda f: tm.vmap(tm.grad(f))(X),
        lambda f: tm.lift(f)(tm.leaf(X)).run(),
        lambda f: tm.debug(f)(X),
        lambda f: tm.no_grad(lambda: f(X)),
        lambda f: tm.vmap(lambda x: tm.while_loop(lambda s: s < 3, f, x))(X),
        lambda f: tm.grad(lambda x: tm.custom_vjp(lambda x: (f(x), None), lambda _, g: (g,))(x))(X),
    ],
)
def test_an_exception_leaves_no_level_behind(transform):
    before = CONTEXT.get()

    def f(x):
        np.sin(x) * 2
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        transform(f)
    assert CONTEXT.get() is before or CONTEXT.get() == before
    assert type(np.sin(X) * 2) is np.ndarray
    close(tm.grad(lambda x: np.sum(x**2))(X), 2 * X)


def test_an_exception_in_a_rule_leaves_no_level_behind():
    def bwd(_, g):
        raise KeyError("rule")

    f = tm.custom_vjp(lambda x: (x * 2, None), bwd)
    before = CONTEXT.get()
    for call in (
        lambda: tm.grad(f)(2.0),
        lambda: tm.jvp(f, (2.0,), (1.0,)),
        lambda: tm.grad(tm.grad(f))(2.0),
        lambda: tm.vmap(tm.grad(f))(X),
    ):
        with pytest.raises((KeyError, tm.TapeError), match="rule"):
            call()
        assert CONTEXT.get() == before


def test_an_exception_that_is_caught_inside_leaves_the_outer_transform_as_it_was():
    def f(x):
        for transform in (tm.grad, tm.vmap, tm.jacfwd):
            with pytest.raises(ZeroDivisionError):
                transform(lambda z: z / 0 if False else 1 / 0)(x)
        return np.sum(x**2)

    close(tm.grad(f)(X), 2 * X)


# -- tracers that escape --------------------------------------------------------------------------------------------


def escape(transform):
    kept = []

    def f(x):
        kept.append(np.sin(x))
        return np.sum(x)

    transform(f)
    return kept[0]


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: tm.grad(f)(X),
        lambda f: tm.vmap(f)(X),
        lambda f: tm.jvp(f, (X,), (X,)),
        lambda f: tm.vjp(f, X),
        lambda f: tm.jacfwd(f)(X),
        lambda f: tm.eval_shape(f, X),
        lambda f: tm.grad(lambda x: tm.checkpoint(f)(x))(X),
    ],
)
def test_an_escaped_tracer_is_an_error_that_says_so(transform):
    tracer = escape(transform)
    for use in (
        lambda: tracer + 1,
        lambda: np.sin(tracer),
        lambda: np.sum(tracer),
        lambda: tm.relu(tracer),
        lambda: tracer[...],
        lambda: np.stack([tracer, tracer]),
        lambda: tm.grad(lambda x: np.sum(x * tracer))(1.0),
        lambda: tm.grad(lambda x: np.sum(x))(tracer),
        lambda: tm.vmap(lambda x: x * tracer)(X),
        lambda: tm.jvp(np.sin, (tracer,), (X,)),
    ):
        with pytest.raises(tm.EscapedTracerError, match=r"escaped from the transform that made it.*has_aux=True"):
            use()


def test_a_pullback_that_escapes_its_enclosing_transform():
    kept = []

    def f(x):
        y, pullback = tm.vjp(np.sin, x)
        _, derivative = tm.linearize(np.sin, x)
        kept.extend([pullback, derivative])
        return np.sum(y)

    tm.grad(f)(X)
    for function in kept:
        with pytest.raises(tm.EscapedTracerError):
            function(X)


def test_tracers_of_two_threads_do_not_mix():
    box, ready, done = [], threading.Event(), threading.Event()

    def other():
        def f(x):
            box.append(x)
            ready.set()
            done.wait(5)
            return np.sum(x)

        tm.grad(f)(X)

    thread = threading.Thread(target=other)
    thread.start()
    ready.wait(5)
    try:
        with pytest.raises(tm.EscapedTracerError, match="two traces that know nothing of each other"):
            tm.grad(lambda x: np.sum(x * box[0]))(X)
    finally:
        done.set()
        thread.join()


def test_a_tape_is_freed_as_soon_as_its_transform_ends():
    kept = []

    def f(x):
        recorder = x.recorder
        kept.append(weakref.ref(recorder))
        return np.sum(np.sin(x))

    gc.disable()
    try:
        for transform in (tm.grad, tm.jacfwd, tm.jacrev, tm.vmap, tm.hessian):
            transform(f)(X)
            assert kept[-1]() is None, transform
    finally:
        gc.enable()


# -- tracers that are handed to another thread ---------------------------------------------------------------------

tripled_vjp = tm.custom_vjp(lambda x: (x**3, x), lambda x, g: (100 * g * x,))
tripled_jvp = tm.custom_jvp(lambda x: x**3, lambda xs, ts: (xs[0] ** 3, 100 * xs[0] * ts[0]))

# Whatever can be done with a value: handed to a thread, each gives what it gives in the thread of the transform.
WORK_TO_DO = {
    "op": lambda x: np.sin(x) * x,
    "custom_vjp": tripled_vjp,
    "custom_jvp": tripled_jvp,
    "custom in vmap": lambda x: tm.vmap(tripled_vjp)(x),
    "custom in grad": lambda x: tm.grad(lambda z: np.sum(tripled_jvp(z) ** 2))(x),
    "checkpoint": lambda x: tm.checkpoint(lambda z: np.sin(z) * z)(x),
    "checkpoint of custom": lambda x: tm.checkpoint(tripled_vjp)(x),
    "grad": lambda x: tm.grad(lambda z: np.sum(z**3))(x),
    "value_and_grad": lambda x: tm.value_and_grad(lambda z: np.sum(z**3))(x)[1],
    "vjp": lambda x: tm.vjp(np.sin, x)[1](x)[0],
    "jvp": lambda x: tm.jvp(np.sin, (x,), (x,))[1],
    "jvp along a tracer": lambda x: tm.jvp(np.sin, (X,), (x,))[1],
    "linearize": lambda x: tm.linearize(np.sin, x)[1](x),
    "vmap": lambda x: tm.vmap(lambda z: z**2)(x),
    "vmap of grad": lambda x: tm.vmap(tm.grad(lambda z: z**3))(x),
    "vmap with a closure": lambda x: tm.vmap(lambda z: z * x[0])(x),
    "jacfwd": lambda x: tm.jacfwd(lambda z: z**3)(x),
    "jacrev": lambda x: tm.jacrev(lambda z: z**3)(x),
    "hessian": lambda x: tm.hessian(lambda z: np.sum(z**4))(x),
    "hvp": lambda x: tm.hvp(lambda z: np.sum(z**4), (x,), (x,)),
    "scan": lambda x: tm.scan(lambda c, e: (c * e, c), 1.0, x)[1],
    "cond": lambda x: tm.cond(x[0] > 0, np.sin, np.cos, x),
    "while_loop": lambda x: tm.while_loop(lambda s: np.sum(s) < 20.0, lambda s: s * 2, x),
    "mapped cond": lambda x: tm.vmap(lambda z: tm.cond(z > 0, np.sin, np.cos, z))(x),
    "mapped while_loop": lambda x: tm.vmap(lambda z: tm.while_loop(lambda s: s < 2.0, lambda s: s * s + 1, z))(x),
    "detach": lambda x: x * tm.detach(x),
    "no_grad": lambda x: x * tm.no_grad(lambda: tripled_vjp(x)),
    "do": lambda x: tm.do(step)(x),
}


def step(x):
    y = yield tm.sin(x)
    return (yield tm.mul(y, x))


def in_a_thread(work, *arguments):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work, *arguments).result()


@pytest.mark.parametrize("work", WORK_TO_DO.values(), ids=WORK_TO_DO.keys())
def test_what_an_operand_is_decides_and_not_the_thread(work):
    here = lambda x: np.sum(np.cos(work(x)))  # noqa: E731
    there = lambda x: np.sum(np.cos(in_a_thread(work, x)))  # noqa: E731
    for transform in (
        lambda f: tm.grad(f)(X),
        lambda f: tm.jvp(f, (X,), (X,)),
        lambda f: tm.hessian(f)(X),
        lambda f: tm.hvp(f, (X,), (X,)),
    ):
        close(transform(there), transform(here))


def closures(x):
    """What a thread may do with a value that it closes over, and with operands that are arrays only."""
    return {
        "op": lambda: np.sin(2.0 * x),
        "custom_vjp": lambda: tripled_vjp(X) * x,
        "custom_vjp that closes over it": lambda: tm.custom_vjp(lambda z: (z * x, z), lambda z, g: (g * 5,))(X),
        "custom_jvp that closes over it": lambda: tm.custom_jvp(lambda z: z * x, lambda z, t: (z[0], t[0]))(X),
        "checkpoint": lambda: tm.checkpoint(lambda z: z * x)(X),
        "grad": lambda: tm.grad(lambda z: np.sum(z * z * x))(X),
        "grad of it": lambda: tm.grad(lambda z: np.sum(z * z) * np.sum(tm.grad(lambda u: np.sum(u**3))(x)))(X),
        "vjp": lambda: tm.vjp(lambda z: z * z * x, X)[1](X)[0],
        "jvp": lambda: tm.jvp(lambda z: z * z * x, (X,), (X,))[1],
        "vmap": lambda: tm.vmap(lambda z: z * x)(X),
        "vmap of it": lambda: tm.vmap(lambda z: z * tm.vmap(np.sin)(x))(X),
        "jacfwd": lambda: tm.jacfwd(lambda z: z * x)(X),
        "jacrev": lambda: tm.jacrev(lambda z: z * x)(X),
        "hessian": lambda: tm.hessian(lambda z: np.sum(z**3 * x))(X),
        "checkpoint in grad": lambda: tm.grad(lambda z: np.sum(tm.checkpoint(lambda u: u * u * x)(z)))(X),
        "checkpoint in vmap": lambda: tm.vmap(lambda z: tm.checkpoint(lambda u: u * u * x)(z))(X),
        "custom in grad": lambda: tm.grad(lambda z: np.sum(z * tripled_vjp(x)))(X),
        "cond": lambda: tm.vmap(lambda z: tm.cond(z > 0, lambda: z * x, lambda: x))(X),
        "cond of it": lambda: tm.vmap(lambda z: tm.cond(z > 0, lambda u: u * z, lambda u: u, x))(X),
        "while_loop": lambda: tm.vmap(lambda z: tm.while_loop(lambda s: s < 2.0, lambda s: s + 1 + x[0] ** 2, z))(X),
        "scan": lambda: tm.scan(lambda c, e: (c * x, c), np.ones(3), X)[0],
    }


@pytest.mark.parametrize("name", closures(X))
def test_a_closure_in_a_thread_differentiates_or_is_refused_in_words(name):
    def total(run):
        return lambda x: np.sum(np.cos(run(closures(x)[name])))

    in_place = total(lambda work: work())
    try:
        expected = tm.grad(in_place)(X), tm.hessian(in_place)(X)
    except tm.TapeError as error:
        assert "closes over" in str(error)  # refused in the transform's own thread, too
        expected = None
    for f in (total(in_a_thread), total(lambda work: in_a_thread(contextvars.copy_context().run, work))):
        try:
            found = tm.grad(f)(X), tm.hessian(f)(X)
        except tm.TapeError as error:
            assert "closes over" in str(error) or "contextvars.copy_context().run" in str(error)
            continue
        assert expected is not None
        close(found, expected)
    if expected is not None:  # the remedy that the message names
        copied = total(lambda work: in_a_thread(contextvars.copy_context().run, work))
        close((tm.grad(copied)(X), tm.hessian(copied)(X)), expected)


# -- a worker's transform of its own values, which closes over a tracer ------------------------------------------------

OWN = {
    "grad": lambda y: tm.grad(lambda z: np.sum(np.sin(z) * y))(np.ones(3)),
    "jvp": lambda y: tm.jvp(lambda z: np.sin(z) * y, (np.ones(3),), (np.ones(3),))[1],
    "vmap": lambda y: tm.vmap(lambda z: np.sin(z) * y)(np.ones(3)),
    "jacfwd": lambda y: tm.jacfwd(lambda z: np.sin(z) * y)(np.ones(3)),
}
AROUND = {
    "grad": lambda f: tm.grad(f)(X),
    "vmap": lambda f: tm.vmap(f)(np.stack([X, 2 * X])),
    "vmap of grad": lambda f: tm.vmap(tm.grad(f))(np.stack([X, 2 * X])),
    "vmap of vmap": lambda f: tm.vmap(tm.vmap(f))(np.stack([X, 2 * X])[None]),
    "checkpoint": lambda f: tm.grad(tm.checkpoint(f))(X),
    "vmap of checkpoint": lambda f: tm.vmap(tm.grad(tm.checkpoint(f)))(np.stack([X, 2 * X])),
    "hessian": lambda f: tm.hessian(f)(X),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("own", OWN)
def test_a_worker_that_mixes_traces_is_refused_however_deep_they_are(own, around):
    """However deep either trace is nested: neither stands on the other. In the context of f they are one."""

    def f(y):
        return np.sum(OWN[own](y) ** 2)

    def in_worker(work):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(work).result()

    expected = AROUND[around](f)
    with pytest.raises(tm.EscapedTracerError, match=r"copy_context\(\)\.run\(work\)"):
        AROUND[around](lambda y: in_worker(lambda: f(y)))
    close(AROUND[around](lambda y: in_worker(functools.partial(contextvars.copy_context().run, f, y))), expected)
