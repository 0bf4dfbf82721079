"""Random programs and diamonds under every transform and every nesting of two or three, through all doors.

The judges know nothing of tapem: complex steps, differences, loops (`tests/programs/judging.py`). This is a sample;
`python -m tests.programs --count 100000` runs as many as there is time for.
"""

from collections import Counter
from random import Random

import numpy as np
import pytest

import tapem as tm
from tapem.ops.arithmetic import mul
from tapem.ops.trigonometry import sin
from tests.programs.checks import CHECKS, GRADIENT, failures, some_of
from tests.programs.diamonds import diamond, pairs
from tests.programs.doors import DOORS, as_do, native, total
from tests.programs.generate import program
from tests.programs.judging import Judge
from tests.programs.language import walk
from tests.programs.running import DIRECT, Namespace, source
from tests.programs.shrink import shrunk
from tests.programs.tools import TOOLS
from tests.programs.vocabulary import FAMILIES, WITH_FUNCTION

SEEDS = range(120)
PAIRS = pairs()


def insist(drawn, count, doors):
    """Fail with the first check that a program does not pass, and print the smallest program that does not either."""
    random = Random(f"checks {drawn.seed}")
    chosen = random.sample(list(DOORS), doors)
    failure = next(failures(drawn, some_of(random, count), chosen), None)
    if failure is not None:
        failure = shrunk(failure)
        pytest.fail(f"{failure}\n\n{source(failure.program, failure.check, failure.expected)}")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_program(seed):
    insist(program(seed), 10, len(DOORS))


@pytest.mark.parametrize("one", dict.fromkeys(one for one, _ in PAIRS))
def test_diamonds_of_a_family_with_every_other(one):
    for pair in PAIRS:
        if pair[0] == one:
            insist(diamond(*pair, 0), 4, 1)


def test_the_doors_agree_bit_for_bit():
    for seed in SEEDS[:30]:
        drawn = program(seed)
        f = DIRECT.run(drawn)

        def total_of(x, f=f):
            return np.sum(f(x))

        x, start = tm.Tape().leaf(np.array(drawn.points[0]))
        out, tape = tm.lift(total_of)(x).run(start)

        @tm.do
        def steps(x, f=f):
            y = yield tm.lift(f)(x)
            return (yield tm.sum(y))

        out_of_do, tape_of_do = steps(x).run(start)
        value, gradient = tm.value_and_grad(total_of)(tape.value(x))
        value_of_do, gradient_of_do = tm.value_and_grad(steps)(tape.value(x))
        for other in (tape.value(out), tape_of_do.value(out_of_do), value_of_do, total_of(tape.value(x))):
            assert np.asarray(other).tobytes() == np.asarray(value).tobytes()
        if tape[out].requires_grad:
            for other in (tape.backward_scalar(out)[x], tape_of_do.backward_scalar(out_of_do)[x], gradient_of_do):
                assert np.asarray(other).tobytes() == gradient.tobytes()


# What the programs are ------------------------------------------------------------------------------------------------


def test_the_sample_has_every_family_and_every_block_in_it():
    texts = Counter(statement.text for seed in SEEDS for statement in walk(program(seed).statements))
    for name, family in FAMILIES.items():
        assert sum(texts[text] for text in family) > 10, name
    assert all(texts[text] for text in WITH_FUNCTION)
    operands = {o for seed in SEEDS for statement in walk(program(seed).statements) for o in statement.operands}
    assert {"2", "0.5", "True", "np.array(3)", "np.array(0.7)", "np.array([2, -1, 3, 1])"} <= operands


def test_a_seed_is_a_program():
    assert program(7) == program(7) != program(8)
    assert diamond("softmax", "indexing", 3) == diamond("softmax", "indexing", 3)


def test_what_is_printed_is_what_runs():
    for drawn in [*map(program, SEEDS[:20]), *(diamond(*pair, 1) for pair in PAIRS[::25])]:
        printed = {}
        exec(source(drawn), printed)
        x = np.array(drawn.points[0])
        np.testing.assert_array_equal(printed["f"](x), DIRECT.run(drawn)(x))


def test_a_program_runs_on_the_names_that_it_is_given():
    asked = set()

    class Names:
        def __getattr__(self, name):
            asked.add(name)
            return getattr(np, name)

    elsewhere = Namespace({"np": Names(), "tm": tm, **TOOLS})
    for seed in SEEDS[:20]:
        x = np.array(program(seed).points[0])
        np.testing.assert_array_equal(elsewhere.run(program(seed))(x), DIRECT.run(program(seed))(x))
    assert {"sum", "sin", "stack"} <= asked


def test_most_statements_are_steps_of_ops_where_refs_are_given():
    steps = statements = 0
    for seed in SEEDS[:30]:
        drawn = program(seed)
        values = {"x": tm.Tape().leaf(np.array(drawn.points[0]))[0]}
        for statement in drawn.statements:
            if set(statement.operands) <= values.keys():
                statements += 1
                steps += isinstance(native(statement, values), tm.TapeM)
    assert statements > 50 and steps / statements > 0.7
    assert isinstance(as_do(program(0))(values["x"]), tm.TapeM) and len(total(program(0))) > 2


# What they find -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["rrule", "frule"])
def test_a_rule_that_is_slightly_wrong_is_found_and_shrunk_to_the_op(rule, monkeypatch):
    wrong = (lambda g, y, x: g * np.cos(x) * 1.0001,)
    monkeypatch.setattr(sin, rule, wrong)
    found = next(failure for seed in range(50) for failure in failures(program(seed), CHECKS[:10], ()))
    small = shrunk(found)
    texts = [statement.text for statement in walk(small.program.statements)]
    assert len(texts) <= 3 and any("np.sin" in text for text in texts)
    printed = source(small.program, small.check, small.expected)
    assert "np.sin(" in printed and small.check in printed and "# expected: " in printed


def test_a_lost_gradient_is_found_in_every_door(monkeypatch):
    """The tangent and the cotangent of every product are lost on their right side."""
    monkeypatch.setattr(mul, "rrule", (mul.rrule[0], lambda g, y, a, b: tm.Zero()))
    seen = {failure.check for seed in range(40) for failure in failures(program(seed), [GRADIENT], list(DOORS))}
    assert seen == {GRADIENT.text, *DOORS}


def test_the_judge_is_not_tapem(monkeypatch):
    """With every transform gone, the judges know the derivatives of programs that have transforms inside."""
    drawn = next(p for p in map(program, SEEDS) if any("tm.grad" in s.text for s in walk(p.statements)))
    expected = Judge(drawn).jacobians
    for name in ("grad", "vjp", "jvp", "vmap", "checkpoint", "scan"):
        monkeypatch.setattr(tm, name, None)
    np.testing.assert_array_equal(Judge(drawn).jacobians, expected)
