"""The table of rules: every op is there, and what it shows is what the declarations say."""

import ast
import functools
import importlib
import linecache
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float

import layers
import losses
import tapem as tm
from tapem import ops
from tapem.core import OPS, SCIPY
from tapem.seeing import OpRules, rule_table
from tapem.seeing.rule_table import ops_of

ON_ONE_PAGE, TABLE_OF_KINKS = (
    (Path(__file__).parents[2] / "docs" / name).read_text(encoding="utf-8")
    for name in ("inside/calculus.md", "kinks.md")
)
TABLE = {row.name: row for row in rule_table(ops, layers, losses)}
X = Float[tm.Tensor, "*shape"]


def declared(*packages) -> set[str]:
    """The ops that stand in the loaded modules of some packages, found without the table's own search."""
    names = tuple(package.__name__ for package in packages)
    modules = [module for name, module in sys.modules.items() if name.startswith(names)]
    return {value.name for module in modules for value in vars(module).values() if isinstance(value, tm.Primitive)}


def test_every_op_is_there():
    late = {row.name for row in rule_table(importlib.import_module(SCIPY))}
    assert declared(ops, layers, losses) == set(TABLE) | late
    assert {op.name for op in OPS.values() if isinstance(op, tm.Primitive)} <= set(TABLE) | late
    assert len(rule_table()) == len({row.name for row in rule_table()}) > 150


def test_every_op_is_shown():
    """By one line, one block, or one name among those without a derivative."""
    text = " ".join(str(rule_table(ops, layers, losses)).split())
    for row in TABLE.values():
        shown = (row.signature, *row.reverse) if row.reverse else (row.usage,)
        assert all(" ".join(part.split()) in text for part in shown), row.name


@pytest.mark.parametrize(
    ("op", "reverse"),
    [
        ("tanh", ("g * (1 - y * y)",)),
        ("mul", ("g * b", "g * a")),  # two lambdas of one line
        ("add", ("g", "g")),
        ("exp", ("g * y",)),
        ("identity", ("g",)),
        ("silu", ("g * (s + y * (1 - s))",)),
        ("where", ("DoesNotExist()", "masked(g, condition)", "np.where(condition, 0, g)")),
    ],
)
def test_elementwise_rules(op: str, reverse: tuple[str, ...]):
    row = TABLE[op]
    assert row.reverse == row.forward == reverse
    assert row.elementwise


def test_other_rules():
    row = TABLE["bmm"]
    assert row.reverse == ("bmm(g, transposed(b))", "bmm(transposed(a), g)")
    assert row.forward == ("bmm(t, b)", "bmm(a, t)")
    assert re.fullmatch(r'bmm\(a: \w+\[Tensor, "batch n k"\], b: .*\) -> \w+\[Tensor, "batch n m"\]', row.signature)
    assert not row.elementwise
    assert TABLE["sum"].forward == ("the op itself, applied to the tangents",)
    assert TABLE["argmax"].reverse == ()
    assert TABLE["tanh"].numpy == ("np.tanh",)
    # A wide op's rules are wrapped; what is shown is what was written.
    assert not any("in_float32" in " ".join((*row.reverse, *row.forward, row.batch)) for row in TABLE.values())


def test_no_source_is_lost():
    """Every lambda among the rules is found in its file, and none is shown for another."""
    shown = [text for row in TABLE.values() for text in (*row.reverse, *row.forward, row.batch)]
    assert not [text for text in shown if "lambda" in text]


def test_the_text_of_a_lambda_is_its_rule():
    """Evaluated as it stands, the text of an elementwise rule gives what the rule gives."""
    values, g = [np.array([0.25, 0.5]), np.array([0.5, 0.125])], np.array([2.0, 3.0])
    checked = 0
    for op in ops_of(ops):
        row = TABLE[op.name]
        if not row.elementwise or op.residuals or op.signature.static or len(row.operands) > 2:
            continue
        operands = values[: len(row.operands)]
        if op.name == "ldexp":  # its second operand is an integer
            operands = [values[0], np.array([2, 3])]
        with np.errstate(invalid="ignore"):
            y = op.implementation(*operands)
            names = vars(sys.modules[op.__module__]) | dict(zip(row.operands, operands, strict=True)) | {"y": y, "g": g}
            names |= {name.lstrip("_"): value for name, value in names.items() if name.startswith("_")}
            for text, rule in zip(row.reverse, op.rrule, strict=True):
                if rule and rule.__code__.co_name == "<lambda>":
                    expected = rule(g, y, *operands)
                    np.testing.assert_equal(eval(text, names), expected, err_msg=f"{op.name}: {text}")
                    checked += 1
    assert checked > 50


# Ops of a user -----------------------------------------------------------------------------------------------------


def scaled(g, y, x, *, by):
    return by * g


def long(g, y, x):
    half = g / 2
    return half + half


def doubled(*rules, **options):
    @tm.primitive(rrule=rules, **options)
    def double(x: X) -> X:
        return 2 * x

    return OpRules.of(double)


def test_rules_on_one_line():
    # fmt: off
    first, second = doubled(lambda g, y, x: g + g), doubled(lambda g, y, x: 2 * g)
    # fmt: on
    assert (first.reverse, second.reverse) == (("g + g",), ("2 * g",))
    within = doubled((lambda factor: lambda g, y, x: factor * g)(2))
    assert within.reverse == ("factor * g",)


def test_partial_rules():
    assert doubled(functools.partial(scaled, by=2)).reverse == ("by * g with by=2",)
    assert doubled(functools.partial(lambda k, g, y, x: k * g, 2)).reverse == ("k * g with k=2",)


def test_rules_of_several_statements_are_called():
    assert doubled(long).reverse == ("long(g, y, x)",)


def test_a_rule_that_is_not_written_in_python():
    assert doubled(np.add).reverse[0].startswith("add(")


def test_an_op_without_a_rule():
    row = doubled(None)
    assert (row.reverse, row.forward, row.batch) == (("none",), ("none",), "none")


def test_rules_given_later():
    @tm.primitive
    def triple(x: X) -> X:
        return 3 * x

    assert OpRules.of(triple).reverse == ("none",)
    tm.defrrule(triple, lambda g, y, x: (3 * g,))
    tm.deffrule(triple, lambda t, y, x: 3 * t)
    row = OpRules.of(triple)
    assert (row.reverse, row.forward) == (("(3 * g,)",), ("3 * t",))


def test_scalar_rules():
    def product(x: X, y: X) -> X:
        return 2 * x * y

    row = OpRules.of(tm.scalar_rule(product, lambda z, x, y: 2 * y, lambda z, x, y: 2 * x))
    assert row.reverse == row.forward == ("g * (2 * y)", "g * (2 * x)")
    assert row.elementwise
    constant = OpRules.of(tm.scalar_rule(lambda x: 2 * x, 2.0))
    assert constant.reverse == ("g * 2.0",)


def test_kinks_are_read_from_the_docstring():
    @tm.elementwise(lambda g, y, x: g * np.sign(x))
    def size(x: X) -> X:
        """The size. Kink: the derivative
        at 0 is 0. Raises nothing.
        """
        return np.abs(x)

    assert OpRules.of(size).kinks == "the derivative at 0 is 0."


def test_an_op_that_has_no_file():
    """As in Python's own prompt: the op is there, its rule is a call."""
    names: dict[str, object] = {"tm": tm, "X": X}
    exec(compile("@tm.elementwise(lambda g, y, x: g)\ndef same(x: X) -> X:\n    return x\n", "<prompt>", "exec"), names)
    assert OpRules.of(names["same"]).reverse == ("<lambda>(g, y, x)",)


def test_an_op_of_a_notebook():
    """What a traceback can show of a cell, the table can."""
    cell = "@tm.elementwise(lambda g, y, x: 1 * g)\ndef same(x: X) -> X:\n    return x\n"
    linecache.cache["<cell 1>"] = (len(cell), None, cell.splitlines(True), "<cell 1>")
    names: dict[str, object] = {"tm": tm, "X": X}
    exec(compile(cell, "<cell 1>", "exec"), names)
    assert OpRules.of(names["same"]).reverse == ("1 * g",)


# The command, and the pages -----------------------------------------------------------------------------------------


def test_the_command_prints_it():
    command = [sys.executable, "-m", "tapem", "rules"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{rule_table()}\n"


def test_the_command_ends_quietly_when_its_reader_does():
    """As in `python -m tapem rules | head`."""
    command = [sys.executable, "-m", "tapem", "rules"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0
    process.stderr.close()


def test_the_command_tells_what_there_is():
    ran = subprocess.run([sys.executable, "-m", "tapem", "rulez"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "rules" in ran.stderr


def test_a_page_shows_the_elementwise_part():
    assert f"```text\n{rule_table().elementwise}\n```" in ON_ONE_PAGE


def recorded(function: str, at: float | list[float]) -> set[str]:
    """The names of the ops that a function from the table of kinks records."""
    f = eval(f"lambda x: {function}", {"layers": layers, "losses": losses, "np": np, "tm": tm})
    x, tape = tm.Tape().leaf(np.array(at))
    with np.errstate(divide="ignore"):
        _, tape = tm.lift(f)(x).run(tape)
    return {node.op.name for node in tape}


def named_in_the_table() -> tuple[set[str], list[str]]:
    """The ops with a kink that the table names, and its rows that name none."""
    rows = re.findall(r"^\| `(.+?)` \| `(.+?)` \| `.+?` \| ?(.*)\|$", TABLE_OF_KINKS, re.MULTILINE)
    kinks = {name for name, row in TABLE.items() if row.kinks}
    found, without = set[str](), []
    for function, at, words in rows:
        here = recorded(function, ast.literal_eval(at)) & kinks
        alike = re.findall(r"`((?:np|layers)\.\w+)`", words) if "likewise" in words else []
        named = [eval(name, {"layers": layers, "np": np}) for name in alike]
        found |= here | {OPS.get(function, function).name for function in named}
        without += [] if here else [function]
    return found, without


def test_the_table_and_docstrings_name_the_same_kinks():
    found, without = named_in_the_table()
    assert found == {name for name, row in TABLE.items() if row.kinks}
    assert without == ["np.prod(x)", "np.sinc(x)"]  # the table says that they have none
