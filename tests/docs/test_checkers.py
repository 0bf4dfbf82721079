"""The course's checkers (notebooks 1 to 6) tell a learner what is wrong, and take a right answer in any form."""

import importlib
import math
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.docs.pages import DOCS


@pytest.fixture(scope="module")
def course():
    """The modules of the checkers, and `mini`, the learner's library up to notebook 6."""
    sys.path.insert(0, str(DOCS / "course"))
    try:
        names = {}
        importlib.import_module("checker").mini(names, before=7)
        chapters = "dual_numbers the_tape the_backward_sweep arrays_and_shapes steps_and_programs rules".split()
        modules = {chapter: importlib.import_module(f"checker.{chapter}") for chapter in chapters}
        yield SimpleNamespace(**modules, mini=SimpleNamespace(**names))
    finally:
        sys.path.remove(str(DOCS / "course"))


class Dual:
    """Dual numbers, as far as these tests need them."""

    def __init__(self, value, tangent):
        self.value, self.tangent = value, tangent

    def __add__(self, other):
        return Dual(self.value + other.value, self.tangent + other.tangent)

    def __mul__(self, other):
        return Dual(self.value * other.value, self.tangent * other.value + self.value * other.tangent)


class Upside(Dual):
    """A division that forgets b in the tangent."""

    def __truediv__(self, other):
        value, tangent = getattr(other, "value", other), getattr(other, "tangent", 0.0)
        return Upside(self.value / value, self.tangent / value + tangent)


def one_by_one(f, *point):
    return [f(*(Dual(x, float(i == j)) for j, x in enumerate(point))).tangent for i in range(len(point))]


def twice(f, *point):
    one_by_one(f, *point)
    return one_by_one(f, *point)


def lazily(tape, values):
    """A replay that keeps the old values of ops."""
    rest = iter(values)
    return tuple(node._replace(value=next(rest)) if node.op == "leaf" else node for node in tape)


def by_value(m):
    """A record_once that takes equal values for the same node."""

    def record_once(tape, op, *parents):
        value = m.OPS[op].f(*(tape[parent].value for parent in parents))
        same = [id for id, node in enumerate(tape) if node.op == op and node.value == value]
        return (same[0], tape) if same else m.record(tape, op, *parents)

    return record_once


def sweep_from_one(m):
    return lambda tape, out, g=1.0: m.backward(tape, out)


def by_two_sweeps(m):
    """A right answer in another form than the solution's."""

    def backward_from(tape, cotangents):
        total = {}
        for out, g in cotangents.items():
            for id, part in m.backward(tape, out, g).items():
                total[id] = total.get(id, 0.0) + part
        return total

    return backward_from


def record_all(m):
    def record_all(a, b):
        (x, tape) = m.leaf((), a)
        (y, tape) = m.leaf(tape, b)
        e, tape = m.record(tape, "exp", x)  # another order than the solution's
        s, tape = m.record(tape, "add", x, y)
        return m.record(tape, "mul", s, e)

    return record_all


def traverse_by_folding(m):
    """Right for few values; the stack is too small for many."""

    def traverse(f, xs):
        step = m.pure([])
        for x in xs:
            step = step.bind(lambda found, x=x: f(x).bind(lambda new: m.pure([*found, new])))
        return step

    return traverse


def attempt_all(m):
    def attempt(step):
        def action(tape):
            try:
                result, longer = step.run(tape)
            except Exception as error:
                return ("error", str(error)), tape
            return ("ok", result), longer

        return m.Step(action)

    return attempt


def share(m, lazy):
    def pull(g, y, a, b):
        first = g * np.exp(a - y)
        return (first, m.Thunk(lambda: g - first)) if lazy else (first, g - first)

    return pull


CASES = [
    (lambda c: c.dual_numbers.quotient(Dual), "not yet: your class has no __truediv__"),
    (lambda c: c.dual_numbers.quotient(Upside), "When only b grows, a/b falls"),
    (lambda c: c.dual_numbers.tanh(lambda x: math.tanh(x.value), Dual), "your code raised AttributeError"),
    (
        lambda c: c.dual_numbers.tanh(
            lambda x: Dual(math.tanh(x.value), 1 - math.tanh(x.value) ** 2) if isinstance(x, Dual) else math.tanh(x),
            Dual,
        ),
        "is to be multiplied by the tangent",
    ),
    (lambda c: c.dual_numbers.gradient(one_by_one, Dual), "right: three partial derivatives"),
    (lambda c: c.dual_numbers.gradient(twice, Dual), "you ran f 6 times"),
    (lambda c: c.dual_numbers.second(lambda f, x: None), "your second derivative is None"),
    (lambda c: c.the_tape.record_all(record_all(c.mini)), "right: five nodes"),
    (lambda c: c.the_tape.record_all(lambda a, b: 3), "should return an id and a tape"),
    (lambda c: c.the_tape.replay(lazily, record_all(c.mini)), r"the value of node 2 \(exp\).*new values now"),
    (lambda c: c.the_tape.needed(lambda tape, out: {out}), "node 2 .* is needed"),
    (lambda c: c.the_tape.needed(lambda tape, out: set(range(out + 1))), r"node 3 \(exp\) is not needed"),
    (lambda c: c.the_tape.record_once(by_value(c.mini)), "compare parents, not values"),
    (lambda c: c.the_backward_sweep.find_the_fault(sweep_from_one(c.mini)), "Start with g, not with 1"),
    (lambda c: c.the_backward_sweep.hypot(lambda g, y, a, b: a / y, lambda g, y, a, b: b / y), "linear in g"),
    (lambda c: c.the_backward_sweep.backward_from(by_two_sweeps(c.mini)), "right: one sweep"),
    (lambda c: c.the_backward_sweep.why(lambda tape, out, id: None), "should return a list"),
    (lambda c: c.arrays_and_shapes.mean_rule(lambda g, y, x, axis: g / x.shape[axis]), "has shape"),
    (
        lambda c: c.arrays_and_shapes.mean_rule(
            lambda g, y, x, axis: np.repeat(np.expand_dims(g, axis), x.shape[axis], axis) / x.shape[axis]
        ),
        "right: each element",
    ),
    (lambda c: c.arrays_and_shapes.signature("n, m -> "), "do the axes have one name"),
    (lambda c: c.arrays_and_shapes.signature("count, count ->"), "right: one name"),
    (lambda c: c.arrays_and_shapes.signature("n, n -> n"), "it should say .*, one number"),
    (lambda c: c.steps_and_programs.mapped(lambda step, f: c.mini.pure(f(step.run()[0]))), "f was called when"),
    (lambda c: c.steps_and_programs.mapped(lambda step, f: step.bind(f)), "your code raised"),
    (lambda c: c.steps_and_programs.traverse(traverse_by_folding(c.mini)), "RecursionError"),
    (lambda c: c.steps_and_programs.do_again(c.mini.do), "right: each run"),
    (lambda c: c.steps_and_programs.attempt(attempt_all(c.mini)), "also hides errors"),
    (lambda c: c.rules.outer_frule(lambda ts, y, a, b: np.outer(*ts), c.mini.ZERO), "not yet: "),
    (lambda c: c.rules.belong_together(lambda op, x, t, g: False), "says False of sin; it should say True"),
    (lambda c: c.rules.joint(share(c.mini, True), c.mini.Thunk), "right: shared work"),
    (lambda c: c.rules.joint(share(c.mini, False), c.mini.Thunk), "return a Thunk"),
]


@pytest.mark.parametrize(("call", "said"), CASES, ids=[said for _, said in CASES])
def test_a_checker_says_what_is_wrong(call, said, course, capsys):
    call(course)
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(("right: ", "not yet: "))
    assert re.search(said, printed), printed


def test_the_judge_of_the_checkers_is_not_tapems_own_gradient(course):
    """Differences of values alone: a fault in a rule of the mini-tapem cannot hide in it."""
    slope = importlib.import_module("checker").difference(np.sin, 1.0)
    assert slope == pytest.approx(math.cos(1.0), rel=1e-9)
