"""The course's checkers (notebooks 7 to 12) tell a learner what is wrong, and take a right answer in any form."""

import importlib
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.docs.pages import DOCS

CHAPTERS = "is_it_right a_network both_modes vmapping nesting compiling".split()


@pytest.fixture(scope="module")
def course():
    """The modules of the checkers, and `mini`, the learner's whole library."""
    sys.path.insert(0, str(DOCS / "course"))
    try:
        names = {}
        importlib.import_module("checker").mini(names)
        modules = {chapter: importlib.import_module(f"checker.{chapter}") for chapter in CHAPTERS}
        yield SimpleNamespace(**modules, mini=SimpleNamespace(**names))
    finally:
        sys.path.remove(str(DOCS / "course"))


def coarse(f, x):
    """A complex step that is too large."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[index] += 1e-3j
        gradient[index] = f(moved).imag / 1e-3
    return gradient


def halved(f, x, v, gradient):
    """A rate by a fit of several remainders: another form than the solution's."""
    steps = 0.02 / 2.0 ** np.arange(4)
    rest = [abs(f(x + t * v) - f(x) - t * np.sum(gradient * v)) for t in steps]
    return np.polyfit(np.log(steps), np.log(rest), 1)[0]


def heavy(params, velocity, gradient, rate, keep):
    """Momentum by hand, with the old velocity."""
    (a,), ((b,)) = [params[0]["w"]], (params[1][0],)
    step = [{"w": a - rate * velocity[0]["w"]}, (b - rate * velocity[1][0],)]
    speed = [
        {"w": keep * velocity[0]["w"] + gradient[0]["w"]},
        (keep * velocity[1][0] + gradient[1][0],),
    ]
    return step, speed


def in_place(params, velocity, gradient, rate, keep):
    params[0]["w"] -= rate * gradient[0]["w"]
    return params, velocity


def dense_step(f, x, grad, hvp):
    """A right step with the whole matrix, column by column."""
    columns = [hvp(f, x, v.reshape(x.shape)).ravel() for v in np.eye(x.size)]
    return np.linalg.solve(np.stack(columns, axis=1), -grad(f)(x))


def by_both(f, x, jvp, vjp):
    """A right Jacobian, by more sweeps than it takes."""
    _, pull = vjp(f, x)
    for g in np.eye(f(x).size):
        pull(g)
    return np.stack([jvp(f, x, v)[1] for v in np.eye(x.size)], axis=1)


def per_example(f, mapped):
    """A right vmap of some arguments, as a loop."""

    def run(*xs):
        size = next(len(x) for x, one in zip(xs, mapped, strict=True) if one)
        parts = [[x[i] if one else x for x, one in zip(xs, mapped, strict=True)] for i in range(size)]
        return np.stack([f(*part) for part in parts])

    return run


def confused(f):
    """A derivative by complex steps, which mixes up two of them."""
    return lambda x: f(x + 1e-30j).imag / 1e-30


def without_masks(m):
    """A pass that also takes arrays of ones for 1."""

    def common(tape, inputs):
        same = m.common(tape, inputs)
        for id, node in enumerate(tape):
            for one, other in zip(node.parents, node.parents[::-1], strict=True):
                leaf = tape[one]
                if node.op == "mul" and leaf.op == "leaf" and one not in inputs and np.all(np.equal(leaf.value, 1)):
                    same[id] = same[other]
        return same

    return common


def always_one(m):
    """A pass that takes an input that happens to be 1 for a constant."""

    def common(tape, inputs):
        same = m.common(tape, set())
        for id, node in enumerate(tape):
            for one, other in zip(node.parents, node.parents[::-1], strict=True):
                if node.op == "mul" and np.ndim(tape[one].value) == 0 and float(tape[one].value) == 1:
                    same[id] = same[other]
        return same

    return common


def one_program(m):
    """A jit that forgets to look at the shapes."""

    def jit(f):
        made = []

        def run(*args):
            if not made:
                made.append(m.compiled(f, *args)[0])
            return made[0](*args)

        return run

    return jit


CASES = [
    (lambda c: c.is_it_right.complex_gradient(coarse), "right to some digits only"),
    (lambda c: c.is_it_right.complex_gradient(lambda f, x: f(x + 1e-200j)), "your gradient is complex"),
    (lambda c: c.is_it_right.rate(halved), "right: about 2"),
    (lambda c: c.is_it_right.rate(lambda f, x, v, gradient: 1.0), "for a right gradient"),
    (lambda c: c.is_it_right.wrong_rules({"sqrt", "mean"}), "right so far, but 1 more"),
    (lambda c: c.is_it_right.wrong_rules({"sqrt", "abs"}), r"the rule of abs is right"),
    (lambda c: c.is_it_right.wrong_rules({"root"}), "root: no such op"),
    (lambda c: c.is_it_right.sneaky(c.mini.Op(np.tanh, (lambda g, y, x: g * (1 - y),))), r"finds it at \[1, 2\]"),
    (
        lambda c: c.is_it_right.sneaky(c.mini.Op(np.tanh, (lambda g, y, x: g * (1 - y * y) * (np.size(x) == 2),))),
        "right: so one test",
    ),
    (lambda c: c.a_network.momentum(heavy), "The step is rate times the new velocity"),
    (lambda c: c.a_network.momentum(in_place), "you changed the parameters"),
    (lambda c: c.a_network.tied(lambda w, x: np.sum((x @ w @ w.T - x) * (x @ w @ w.T - x)), c.mini.grad), "mean"),
    (lambda c: c.a_network.tied(lambda w, x: (x @ w @ w.T - x) * 1.0, c.mini.grad), "one number"),
    (
        lambda c: c.a_network.cross_entropy(
            lambda s, h: np.sum(np.log(np.sum(np.exp(s), axis=1)) - np.sum(s * h, axis=1)) / len(h), c.mini.grad
        ),
        "exp overflows",
    ),
    (lambda c: c.both_modes.jacobian(by_both, c.mini.jvp, c.mini.vjp), "sweeps; 2 are enough"),
    (lambda c: c.both_modes.bend(lambda f, x, v, jvp: -1.0, c.mini.jvp), "the bend .* is -1"),
    (lambda c: c.both_modes.newton_step(dense_step, c.mini.grad, hvp(c)), "right: 4 products"),
    (lambda c: c.both_modes.newton_step(lambda *a: -dense_step(*a), c.mini.grad, hvp(c)), "goes uphill"),
    (
        lambda c: c.both_modes.other_hvp(lambda f, x, v, grad, jvp: jvp(grad(f), x, v)[1], c.mini.grad, c.mini.jvp),
        "this is forward over reverse",
    ),
    (lambda c: c.vmapping.batch_solve(lambda b, x, y: np.linalg.solve(x, y)), "right: np.linalg.solve"),
    (
        lambda c: c.vmapping.batch_solve(
            lambda b, x, y: np.stack([np.linalg.solve(one, two) for one, two in zip(x, y, strict=True)])
        ),
        "if only a has a batch axis, your rule raises",
    ),
    (lambda c: c.vmapping.mixed(np.zeros((2, 3)), np.zeros((3, 3)), c.mini.vmap), "both need three examples"),
    (lambda c: c.vmapping.mixed(np.zeros((3, 2)), np.ones(3), c.mini.vmap), "the good case"),
    (lambda c: c.vmapping.mixed(np.zeros((3, 1)), np.ones((3, 3)), c.mini.vmap), "x [+] y is right here"),
    (
        lambda c: c.vmapping.mixed(np.arange(3.0), np.arange(18.0).reshape(3, 2, 3), c.mini.vmap),
        "right: no error",
    ),
    (lambda c: c.vmapping.vmap_some(per_example), "right: what is not mapped"),
    (lambda c: c.vmapping.hessian(lambda f, x, grad, jvp, vmap: np.zeros((4, 4)), *three(c)), "the Hessian at"),
    (lambda c: c.nesting.on_paper({"a": 6.0, "b": 6.0, "c": 0.0}), "b is 6; it should be 12"),
    (lambda c: c.nesting.tagged(confused), "That is the confusion"),
    (lambda c: c.nesting.tagged(c.mini.grad), "right: one speed"),
    (lambda c: c.nesting.norms(lambda loss, w, data: np.zeros(6)), "the squared norms"),
    (lambda c: c.nesting.adapted(lambda first, second, w, rate: c.mini.grad(second)(w)), "the gradient of the loss"),
    (lambda c: c.compiling.simpler(without_masks(c.mini)), "there to broadcast"),
    (lambda c: c.compiling.simpler(always_one(c.mini)), "may be 3 the next time"),
    (lambda c: c.compiling.last_use(lambda tape, out: {out: None}), "is needed, but not in your dict"),
    (lambda c: c.compiling.last_use(lambda tape, out: [out]), "should return a dict"),
    (lambda c: c.compiling.jit(one_program(c.mini)), "Is it the program for this shape"),
    (lambda c: c.compiling.forgetful(lambda x: np.exp(x) * 2.0), "computes the same wherever I tried it"),
    (lambda c: c.compiling.forgetful(lambda x: x * float(getattr(x, "value", x))), "right: for x = 2"),
]


def three(c):
    return c.mini.grad, c.mini.jvp, c.mini.vmap


def hvp(c):
    return lambda f, x, v: c.mini.jvp(c.mini.grad(f), x, v)[1]


@pytest.mark.parametrize(("call", "said"), CASES, ids=[said for _, said in CASES])
def test_a_checker_says_what_is_wrong(call, said, course, capsys):
    call(course)
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(("right: ", "not yet: "))
    assert re.search(said, printed), printed


def test_every_checker_is_tried(course):
    text = (DOCS.parent / "tests/docs/test_later_checkers.py").read_text(encoding="utf-8")
    tried = set(re.findall(r"lambda c: c\.(\w+)\.(\w+)\(", text))
    there = {
        (chapter, name)
        for chapter in CHAPTERS
        for name, value in vars(getattr(course, chapter)).items()
        if hasattr(value, "__wrapped__") and value.__module__ == f"checker.{chapter}"
    }
    assert there - {("a_network", "maximum")} == tried
