"""Every op, layer and loss, on every row of the table: every check that `tm.testing` knows.

A primitive without a row fails. So does a row whose op takes no Refs, or has no rule in one of the modes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import numpy as np
import pytest

import layers
import losses
import tapem.ops
from tapem.primitive import Primitive
from tapem.testing import rule_report
from tapem.testing.flattening import settled
from tapem.testing.rule_checks import insist
from tapem.tree import flatten
from tests import tables
from tests.tables import Row

# Primitives that no row can call by themselves, and where they are checked instead.
INDIRECT = {
    "pick": "its operand is the tuple of an op with several results (qr, eigh, slogdet ...), whose rows go through it",
    "unstack": "it stands behind iteration over a tracer only, which tests/test_doors.py differentiates",
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


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{name}-{row}"[:120]) for name, row in TABLE])
def test_row(row: Row) -> None:
    if row.reference is not None:
        with np.errstate(all="ignore"):
            expected = flatten(row.reference(*row.operands, **row.static))[0]
            actual = flatten(settled(row.op(*row.operands, **row.static)))[0]
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)
            assert np.shape(one) == np.shape(other)
    report = insist(rule_report(row.op, row.operands, row.static, order=row.order))
    assert not report.skipped.keys() & {"the pure door", "forward mode", "reverse mode"}, report


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in primitives()])
def test_primitive_is_complete(op: Primitive) -> None:
    rows = [row for _, row in TABLE if row.op is op]
    assert rows or op.name in INDIRECT, f"{op.usage()} of {op.__module__} has no row in tests/tables"
    assert not (rows and op.name in INDIRECT), f"{op.usage()} has rows: take it out of INDIRECT"
    if op.differentiable and op.name != "pick":  # the sweep itself puts its cotangent into the tuple
        assert op.rrule is not None, f"{op.usage()} has no rrule"
        assert op.frule is not None, f"{op.usage()} has no frule"
    assert op.batch is not None or op.name in ONE_BY_ONE, f"{op.usage()} has no batch rule"
    assert op.__doc__, f"{op.usage()} has no docstring"
