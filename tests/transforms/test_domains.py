"""Random programs whose branches and loops have domains: what an example does not run must not touch its derivatives.

A square root, a logarithm, a quotient or an arc cosine stands where its condition holds, and nowhere else. Alone, an
example runs what its conditions say; the batch must give the same numbers, to every order and in both modes, and not a
single NaN or warning.
"""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tapem as tm

from .judges import close, loop

# The ends of the domains are among the examples: there the functions have values, and no derivatives.
XS = np.array([2.5, 0.0, -1.0, 0.4, 1.0, -0.6, 7.0])
WS = np.array([0.7, -1.3, 0.0, 1.0, 2.0, 0.2, -0.5])
W = 0.7

# name: (where it may run, what it is there)
DOMAINS = {
    "sqrt": (lambda z: z > 0, np.sqrt),
    "log": (lambda z: z > 0, np.log),
    "reciprocal": (lambda z: z != 0, lambda z: 1 / z),
    "arccos": (lambda z: np.logical_and(z > -1, z < 1), np.arccos),
    "power": (lambda z: z > 0, lambda z: z**1.5),
}
# Loops that end: the body is defined for as long as the loop goes on, and makes the state smaller.
LOOPS = {
    "sqrt": (lambda s: s > 1, lambda s: 0.5 * np.sqrt(s - 1)),
    "log": (lambda s: s > 1, lambda s: 0.8 * np.log(s)),
    "log of log": (lambda s: s > 1, lambda s: np.log(1 + np.log(s))),
    "arccos": (lambda s: s > 1, lambda s: 0.5 * np.arccos(1 / s)),
    "reciprocal": (lambda s: s < 0, lambda s: 1 / (s * s)),
}


def by_operand(name, other):
    holds, f = DOMAINS[name]
    return lambda e: lambda x, w: tm.cond(holds(e(x, w)), lambda z: f(z) * w, lambda z: other(z, w), e(x, w))


def by_closure(name, other):
    holds, f = DOMAINS[name]

    def build(e):
        def program(x, w):
            z = e(x, w)
            return tm.cond(holds(z), lambda: f(z) + w * f(z), lambda: other(z, w))

        return program

    return build


def negated(name, other):
    holds, f = DOMAINS[name]

    def build(e):
        def program(x, w):
            z = e(x, w)
            return tm.cond(
                np.logical_not(holds(z)), lambda z: {"y": other(z, w), "n": 1}, lambda z: {"y": f(z), "n": 0}, z
            )["y"]

        return program

    return build


def while_loop(name):
    holds, body = LOOPS[name]
    return lambda e: lambda x, w: tm.while_loop(holds, lambda s: body(s) * 1.0, e(x, w) * 1.0) * w


def while_loop_of_a_pair(name):
    holds, body = LOOPS[name]

    def build(e):
        def program(x, w):
            z = e(x, w)
            # what the loop closes over has the domain of the state: only a loop that goes on may touch it
            state = tm.while_loop(
                lambda s: holds(s["z"]), lambda s: {"z": body(s["z"]), "sum": s["sum"] + w * body(s["z"])}, {
                    "z": z * 1.0, "sum": w * 0.0
                }
            )  # fmt: skip
            return state["z"] + state["sum"]

        return program

    return build


def fori_loop(name):
    holds, f = DOMAINS[name]

    def build(e):
        def program(x, w):
            z = e(x, w)
            return tm.fori_loop(0, np.where(holds(z), 2, 0), lambda i, s: s + f(z) * w + i, z * 1.0)

        return program

    return build


def scan(name, other):
    holds, f = DOMAINS[name]

    def build(e):
        def program(x, w):
            def step(carry, k):
                y = tm.cond(holds(carry), f, lambda z: other(z, w), carry)
                return y - k, y * w

            last, ys = tm.scan(step, e(x, w), np.array([0.3, 1.1]))
            return last + np.sum(ys)

        return program

    return build


def checkpointed(name, other):
    holds, f = DOMAINS[name]

    def build(e):
        block = tm.checkpoint(lambda z, w: (tm.cond(holds(z), f, lambda z: other(z, w), z), np.sqrt(1 + z * z) * w))
        return lambda x, w: sum(block(e(x, w), w))

    return build


def beside(e):
    """What no branch uses has no derivative, where 0 would meet an infinite slope outside."""

    def program(x, w):
        idle = np.sqrt(np.abs(x))  # of an infinite slope at 0
        return tm.cond(x > w, lambda a, b: a * w, lambda a, b: a, e(x, w), idle)

    return program


OTHERS = [lambda z, w: 0 * z, lambda z, w: 0.0, lambda z, w: w * z, lambda z, w: np.sin(z), lambda z, w: 2]
SMOOTH = [
    lambda e: lambda x, w: 0.5 * e(x, w) - 0.2,
    lambda e: lambda x, w: np.sin(e(x, w)) * 2,
    lambda e: lambda x, w: e(x, w) * w,
    lambda e: lambda x, w: 0.3 * e(x, w) ** 2 + x,
]
wraps = st.one_of(
    st.sampled_from([*SMOOTH, beside]),
    st.builds(by_operand, st.sampled_from(list(DOMAINS)), st.sampled_from(OTHERS)),
    st.builds(by_closure, st.sampled_from(list(DOMAINS)), st.sampled_from(OTHERS)),
    st.builds(negated, st.sampled_from(list(DOMAINS)), st.sampled_from(OTHERS)),
    st.builds(while_loop, st.sampled_from(list(LOOPS))),
    st.builds(while_loop_of_a_pair, st.sampled_from(list(LOOPS))),
    st.builds(fori_loop, st.sampled_from(list(DOMAINS))),
    st.builds(scan, st.sampled_from(list(DOMAINS)), st.sampled_from(OTHERS)),
    st.builds(checkpointed, st.sampled_from(list(DOMAINS)), st.sampled_from(OTHERS)),
)


def nested(layers):
    """A program of an example and a weight, from the inside to the outside."""
    program = lambda x, w: x * 1.0  # noqa: E731
    for layer in layers:
        program = layer(program)
    return lambda x, w: program(x, w) * 1.0


programs = st.lists(wraps, min_size=1, max_size=3).map(nested)
calm = settings(deadline=None, max_examples=60, derandomize=True)


def judged(f, *stacks):
    """What the loop over examples gives; examples where it has no numbers are no judge, and neither are huge ones."""
    with np.errstate(all="ignore"):
        found = loop(f, *stacks)
    assume(np.all(np.isfinite(found)) and np.all(np.abs(found) < 1e6))
    return found


@calm
@given(programs)
def test_values_and_first_derivatives(f):
    values, slopes = judged(f, XS, WS), judged(tm.grad(f), XS, WS)
    in_w = judged(tm.grad(f, argnums=1), XS, WS)
    close(tm.vmap(f)(XS, WS), values)
    close(tm.vmap(tm.grad(f))(XS, WS), slopes)
    close(tm.vmap(tm.grad(f, argnums=(0, 1)))(XS, WS), (slopes, in_w))
    close(tm.vmap(lambda x, w: tm.jvp(f, (x, w), (2.0, 3.0))[1])(XS, WS), 2 * slopes + 3 * in_w)
    close(tm.grad(lambda xs: np.sum(tm.vmap(f)(xs, WS)))(XS), slopes)
    close(tm.jvp(tm.vmap(f), (XS, WS), (XS, WS))[1], slopes * XS + in_w * WS)
    close(tm.vjp(tm.vmap(f), XS, WS)[1](WS), (slopes * WS, in_w * WS))
    close(tm.vmap(lambda x, w: tm.linearize(f, x, w)[1](1.0, 0.0))(XS, WS), slopes)


@calm
@given(programs)
def test_a_shared_weight_and_batches_of_batches(f):
    grid = judged(lambda w: loop(lambda x: f(x, w), XS), WS[:3])
    slopes = judged(lambda w: loop(lambda x: tm.grad(f)(x, w), XS), WS[:3])
    in_w = judged(lambda w: loop(lambda x: tm.grad(f, argnums=1)(x, w), XS), WS[:3])
    close(tm.vmap(f, in_axes=(0, None))(XS, W), judged(lambda x: f(x, W), XS))
    rows = lambda g: tm.vmap(tm.vmap(g, in_axes=(0, None)), in_axes=(None, 0))  # noqa: E731
    columns = lambda g: tm.vmap(tm.vmap(g, in_axes=(None, 0)), in_axes=(0, None))  # noqa: E731
    close(rows(f)(XS, WS[:3]), grid)
    close(columns(f)(XS, WS[:3]), grid.T)
    close(rows(tm.grad(f, argnums=(0, 1)))(XS, WS[:3]), (slopes, in_w))
    close(columns(tm.grad(f, argnums=(0, 1)))(XS, WS[:3]), (slopes.T, in_w.T))
    total = lambda xs, w: np.sum(tm.vmap(f, in_axes=(0, None))(xs, w))  # noqa: E731
    close(tm.grad(total, argnums=(0, 1))(XS, WS[0]), (slopes[0], np.sum(in_w[0])))
    close(tm.vmap(tm.grad(total, argnums=(0, 1)), in_axes=(None, 0))(XS, WS[:3]), (slopes, np.sum(in_w, axis=1)))


@settings(calm, max_examples=30)
@given(programs)
def test_second_derivatives(f):
    curves = judged(tm.hessian(f), XS, WS)
    mixed = judged(tm.jacfwd(tm.grad(f), argnums=1), XS, WS)
    close(tm.vmap(tm.hessian(f))(XS, WS), curves)
    close(tm.vmap(tm.grad(tm.grad(f)))(XS, WS), curves)
    close(tm.vmap(tm.jacrev(tm.jacfwd(f)))(XS, WS), curves)
    close(tm.vmap(tm.jacfwd(tm.jacfwd(f)))(XS, WS), curves)
    close(tm.vmap(tm.jacfwd(tm.grad(f), argnums=1))(XS, WS), mixed)
    close(tm.grad(lambda xs: np.sum(tm.vmap(tm.grad(f))(xs, WS)))(XS), curves)
    close(tm.hvp(lambda xs: np.sum(tm.vmap(f)(xs, WS)), (XS,), (XS,)), curves * XS)
    close(np.diag(tm.hessian(lambda xs: np.sum(tm.vmap(f)(xs, WS)))(XS)), curves)
    third = judged(tm.grad(tm.grad(tm.grad(f))), XS, WS)
    close(tm.vmap(tm.jacfwd(tm.hessian(f)))(XS, WS), third, 1e-6)


CASES = {
    "sqrt or nothing": lambda x: tm.cond(x > 0, np.sqrt, lambda z: 0 * z, x),
    "closure": lambda x: tm.cond(x > 0, lambda: np.sqrt(x), lambda: 0.0),
    "a function of the closure alone": lambda x: (lambda z: tm.cond(x > 0, lambda: np.sqrt(z), lambda: 0.0))(x * 1.0),
    "vmap in a branch": lambda x: tm.cond(
        x > 0, lambda: np.sum(tm.vmap(lambda b: b * np.sqrt(x))(np.ones(2))), lambda: 0.0
    ),
    "grad in a branch": lambda x: tm.cond(x > 0, lambda: tm.grad(np.sqrt)(x), lambda: x),
    "a loop that never starts": lambda x: tm.while_loop(lambda s: s > 1, lambda s: np.sqrt(s - 1) / 2, x),
    "one of two results": lambda x: tm.cond(x > 0, lambda z: (np.log(z), z), lambda z: (np.sqrt(1 + z), -z), x)[1],
}


@pytest.mark.parametrize("f", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("xs", [XS, XS[:1], XS[2:3], XS[XS > 0], XS[XS <= 0], XS[:0]], ids=str)
def test_all_some_none_of_the_examples(f, xs):
    """Whether a branch runs for all examples, for some or for none, there is not one NaN, and not one warning."""
    for g in (f, tm.grad(f), tm.grad(tm.grad(f)), lambda x: tm.jvp(f, (x,), (1.0,))[1]):
        expected = np.array([g(x) for x in xs]).reshape(xs.shape)
        close(tm.vmap(g)(xs), expected)
        close(tm.vmap(tm.vmap(g))(xs[None]), expected[None])


# Two results of two arguments: the first result depends on the first argument alone.
PAIRS = {
    "checkpoint": tm.checkpoint(lambda a, b: (a**3, b * a)),
    "nested": tm.checkpoint(lambda a, b: tm.checkpoint(lambda a, b: (a**3, b * a))(a, b)),
    "cond": lambda a, b: tm.cond(a > -1, lambda a, b: (a**3, b * a), lambda a, b: (a**3, b), a, b),
    "closure": lambda a, b: tm.checkpoint(lambda: (a**3, b * a))(),
    "while_loop": lambda a, b: tm.while_loop(lambda s: s[0] < 1, lambda s: (s[0] + 1, s[1] ** 3, s[2] * a), (0, a, b))[
        1:
    ],
    "cond in checkpoint": tm.checkpoint(
        lambda a, b: tm.cond(a > -1, lambda: (a**3, b * a), lambda: (a**3, b))
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:(divide|invalid value)")  # the second result does have the infinite slope
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
def test_no_derivative_is_not_a_derivative_of_zero(pair):
    """0 times the infinite slope of a square root at 0 would be NaN, before the program or after it."""
    before = lambda x: pair(x, np.sqrt(np.abs(x)))[0]  # noqa: E731
    after = lambda x, c: pair(x, 2.0)[0] + np.sqrt(np.abs(pair(c, 2.0)[0]))  # noqa: E731
    x, c = XS, np.zeros(len(XS))
    slope, curve, third = 3 * x**2, 6 * x, np.full(len(x), 6.0)
    for f, point in ((before, (x,)), (after, (x, c))):
        close(tm.vmap(tm.grad(f))(*point), slope)
        close(tm.vmap(tm.hessian(f))(*point), curve)
        close(tm.vmap(tm.grad(tm.grad(f)))(*point), curve)
        close(tm.vmap(tm.jacrev(tm.jacfwd(f)))(*point), curve)
        close(tm.vmap(tm.grad(tm.grad(tm.grad(f))))(*point), third)
        close(tm.vmap(lambda x, *rest, f=f: tm.jvp(lambda x: f(x, *rest), (x,), (1.0,))[1])(*point), slope)
        for row in zip(*point, slope, curve, strict=True):
            close((tm.grad(f)(*row[:-2]), tm.hessian(f)(*row[:-2])), row[-2:])
            close(tm.jvp(lambda x, f=f, row=row: f(x, *row[1:-2]), (row[0],), (1.0,))[1], row[-2])


def test_a_branch_that_no_example_takes_does_not_run():
    ran = []

    def observed(name):
        def implementation(x: np.ndarray) -> np.ndarray:
            ran.append((name, np.shape(x)))
            return x * 2.0

        return tm.primitive(
            rrule=(lambda g, y, x: g * 2.0,),
            batch=lambda op, size, inputs, mapped, static: op(*inputs),
            abstract=lambda x: tm.ShapeDtype(x.shape, x.dtype),
        )(implementation)

    yes, no, body = observed("yes"), observed("no"), observed("body")
    f = tm.vmap(lambda x: tm.cond(x > 0, yes, no, x))
    loop = tm.vmap(lambda x: tm.while_loop(lambda s: s < 3, body, x))
    for call, arguments, expected in (
        (f, [1.0, 2.0], [("yes", (2,))]),
        (f, [-1.0, -2.0], [("no", (2,))]),
        (f, [-1.0, 2.0, 3.0], [("yes", (2,)), ("no", (1,))]),
        (loop, [4.0, 5.0], []),
        (loop, [4.0, 1.0, 2.0], [("body", (2,)), ("body", (1,))]),
    ):
        ran.clear()
        call(np.array(arguments))
        assert ran == expected
