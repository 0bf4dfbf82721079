"""Every op, layer and loss, on every row of the table: every check that `tm.testing` knows.

A primitive without a row fails. So does a row whose op takes no Refs, or has no rule in one of the modes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import layers
import losses
import tapem.ops
from tapem.core.primitive import Primitive, linear_in_all
from tapem.core.tree import tree_flatten
from tapem.errors import TapeError
from tapem.tangents import AbstractZero, Thunk
from tapem.testing import rule_report
from tapem.testing.flattening import computed
from tapem.testing.rule_checks import insist
from tests import tables
from tests.tables import Row, special

# Primitives that no row can call by themselves, and where they are checked instead.
INDIRECT = {
    "pick": "its operand is the tuple of an op with several results (qr, eigh, slogdet ...), whose rows go through it",
    "unstack": "it stands behind iteration over a tracer only, which tests/doors/test_doors.py differentiates",
}

# Operands whose rules hand on nothing, so that there is nothing to be wrong with them.
NOTHING = {
    ("copysign", 1),
    ("nextafter", 1),
    ("where", 0),
    ("attention_weights", 2),
    ("scaled_dot_product_attention", 3),
    ("multi_head_attention", 5),
}

# Primitives that work without a batch rule of their own, on purpose, and why.
ONE_BY_ONE: dict[str, str] = {}


def table() -> list[tuple[str, Row]]:
    """All rows, each with the module that it stands in."""
    modules = sorted(module.name for module in pkgutil.iter_modules(tables.__path__))
    return [(name, row) for name in modules for row in importlib.import_module(f"tests.tables.{name}").ROWS]


def primitives() -> Iterator[Primitive]:
    """Every primitive that the modules of ops, layers and losses hold, once."""
    seen: set[int] = set()
    for package in (tapem.ops, layers, losses):
        names = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
        for module in map(importlib.import_module, [package.__name__, *names]):
            for value in vars(module).values():
                if isinstance(value, Primitive) and id(value) not in seen:
                    seen.add(id(value))
                    yield value


TABLE = table()
PRIMITIVES = [pytest.param(op, id=op.name) for op in primitives()]


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{name}-{row}"[:120]) for name, row in TABLE])
def test_row(row: Row) -> None:
    if row.reference is not None:
        with np.errstate(all="ignore"):
            expected = tree_flatten(row.reference(*row.operands, **row.static))[0]
            actual = tree_flatten(computed(row.op(*row.operands, **row.static)))[0]
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)
            assert np.shape(one) == np.shape(other)
    report = insist(rule_report(row.op, row.operands, row.static, order=row.order))
    assert not report.skipped.keys() & {"the pure door", "forward mode", "reverse mode"}, report
    assert report.skipped.get("float16", "refused").startswith("refused"), report


@pytest.mark.parametrize("op", PRIMITIVES)
def test_primitive_is_complete(op: Primitive) -> None:
    rows = [row for _, row in TABLE if row.op is op]
    assert rows or op.name in INDIRECT, f"{op.usage()} of {op.__module__} has no row in tests/tables"
    assert not (rows and op.name in INDIRECT), f"{op.usage()} has rows: take it out of INDIRECT"
    if op.differentiable and op.name != "pick":  # the sweep itself puts its cotangent into the tuple
        assert op.rrule is not None, f"{op.usage()} has no rrule"
        assert op.frule is not None, f"{op.usage()} has no frule"
    assert op.batch is not None or op.name in ONE_BY_ONE, f"{op.usage()} has no batch rule"
    assert op.__doc__, f"{op.usage()} has no docstring"


# Ops that NumPy does not define without elements; tests/ops/test_convolving.py has what they say.
NEVER_EMPTY = {"convolve", "correlate"}


@pytest.mark.parametrize("op", PRIMITIVES)
def test_rows_have_edges(op: Primitive) -> None:
    """An empty axis and an axis of size 1; for elementwise ops a scalar too, and operands that broadcast."""
    shapes = [[np.shape(x) for x in row.operands if x is not None] for _, row in TABLE if row.op is op]
    if op.name in INDIRECT:
        return
    for size in (1,) if op.name in NEVER_EMPTY else (0, 1):
        assert any(size in shape for row in shapes for shape in row), f"{op.usage()} has no row with an axis of {size}"
    if op.elementwise:
        assert any(() in row for row in shapes), f"{op.usage()} has no row with a scalar"
        assert op.arity == 1 or any(len(set(row)) > 1 for row in shapes), f"{op.usage()} has no row that broadcasts"


# Operands that no one gives as numbers: what rules are made of, and NumPy's clip, which takes a number for float64.
# Nor do SciPy's functions have a derivative in every argument; where they have none, integers are given.
NO_NUMBERS = {("scatter", 0), ("ties", 0), ("ties", 1), ("clamp", 0)}
NO_NUMBERS |= {(name, position) for name, positions in special.CONSTANT.items() for position in positions}


@pytest.mark.parametrize("op", PRIMITIVES)
def test_a_number_is_an_operand_wherever_the_value_is_defined(op: Primitive) -> None:
    for position in range(1 if op.variadic else op.arity):
        rows = [row for _, row in TABLE if row.op is op and 1 < len(row.operands) > position]
        for number in (2, 0.5):
            for row in rows:
                before = row.operands[position]
                if before is None or np.asarray(before).dtype.kind == "b" or (op.name, position) in NO_NUMBERS:
                    continue
                operands = (*row.operands[:position], number, *row.operands[position + 1 :])
                try:
                    with np.errstate(all="ignore"):
                        op(*operands, **row.static)
                except (TapeError, TypeError, ValueError):
                    continue
                insist(rule_report(op, operands, row.static, order=min(row.order, 1)))
                break


def slightly_wrong(part: Any) -> Any:
    """What a rule returned, one percent larger."""
    while isinstance(part, Thunk):
        part = part()
    if part is None or isinstance(part, AbstractZero):
        return part
    return tuple(map(slightly_wrong, part)) if type(part) is tuple else part * 1.01


def with_one_wrong(rules: Any, at: int) -> Any:
    """The rules of an op, with what one of them says of one operand slightly wrong."""
    if type(rules) is tuple:
        return tuple(
            (lambda *a, **k: slightly_wrong(rules[at](*a, **k))) if i == at else r for i, r in enumerate(rules)
        )

    def jointly(*arguments: Any, **static: Any) -> Any:
        parts = rules(*arguments, **static)
        if type(parts) is not tuple:
            return slightly_wrong(parts)
        return tuple(slightly_wrong(part) if i == at else part for i, part in enumerate(parts))

    return jointly


@pytest.mark.parametrize("op", PRIMITIVES)
@pytest.mark.parametrize("kind", ["rrule", "frule"])
def test_a_rule_that_is_slightly_wrong_is_noticed(op: Primitive, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rules: Any = getattr(op, kind)
    if op.name in INDIRECT or not op.differentiable or rules is linear_in_all:
        return
    each = type(rules) is tuple
    for at in range(len(rules) if each else op.arity if kind == "rrule" else 1):
        if (each and rules[at] is None) or (op.name, at) in NOTHING:
            continue
        monkeypatch.setattr(op, kind, with_one_wrong(rules, at))
        rows = [row for _, row in TABLE if row.op is op and row.order]
        noticed = any(rule_report(op, row.operands, row.static, order=1, brief=True).findings for row in rows)
        assert noticed, f"no row tells whether the {kind} of {op.usage()} is right in operand {at}"
