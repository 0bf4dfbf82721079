"""Every row of the table of ops, compiled: its value and its derivatives are those of the eager op, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.compiler.sharing import NEW
from tapem.core import Primitive, tree_flatten
from tests.tables import Row
from tests.test_table import TABLE


def value_and_cotangents(row: Row) -> Callable[..., Any]:
    """The function of the row's operands that returns its value, and the cotangents of its inexact operands."""
    inexact = [n for n, x in enumerate(row.operands) if x is not None and np.asarray(x).dtype.kind in "fc"]

    def both(*operands: Any) -> Any:
        def of_inexact(*xs: Any) -> Any:
            filled = list(operands)
            for position, x in zip(inexact, xs, strict=True):
                filled[position] = x
            return row.op(*filled, **row.static)

        y, pullback = tm.vjp(of_inexact, *(operands[n] for n in inexact))
        return y, pullback(tm.tree_map(lambda part: part * 0 + 0.5, y))

    return both if inexact else lambda *operands: row.op(*operands, **row.static)


def needs_values(row: Row) -> bool:
    """Whether the shape of the result depends on a value: on how many elements of a mask are true."""
    return getattr(row.op, "name", "") in ("getitem", "scatter") and any(
        np.asarray(x).dtype.kind == "b" for x in row.operands[1:]
    )


@pytest.mark.parametrize("row", [pytest.param(row, id=f"{name}-{row}"[:120]) for name, row in TABLE])
def test_compiled_row(row: Row) -> None:
    function = value_and_cotangents(row)
    compiled = tm.compile(function, engine="numpy", fast=False)
    if needs_values(row):
        with pytest.raises(tm.ConcretizationError, match="mask"):
            compiled(*row.operands)
        return
    try:
        with np.errstate(all="ignore"):
            expected = tree_flatten(function(*row.operands))[0]
    except tm.TapeError as error:
        with pytest.raises(type(error)):
            compiled(*row.operands)
        return
    assert_like(tree_flatten(compiled(*row.operands))[0], expected, row, exact=True)
    fast = tree_flatten(tm.compile(function, engine="numpy")(*row.operands))[0]
    assert_like(fast, expected, row, exact=False)


def assert_like(found: list[Any], expected: list[Any], row: Row, exact: bool) -> None:
    """Hold the leaves of a result against those of the eager one."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        assert np.shape(one) == np.shape(other)
        if not exact:
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)
        else:
            np.testing.assert_array_equal(one, other)


def test_values_that_are_new_share_no_memory() -> None:
    """A buffer is used again, and a result not copied, where an op is known to return new memory."""
    met = set()
    for _, row in TABLE:
        name = getattr(row.op, "name", "")
        if name not in NEW or not isinstance(row.op, Primitive):
            continue
        met.add(name)
        operands = [np.asarray(x) if isinstance(x, np.ndarray) else x for x in row.operands]
        with np.errstate(all="ignore"):
            bound, static = row.op.bind(tuple(operands), row.static)
            try:
                result = row.op.implementation(*bound, **static)
            except (ValueError, TypeError, IndexError):
                continue
        value = result[0] if row.op.residuals else result
        others = [x for x in tree_flatten([*operands, result[1] if row.op.residuals else ()])[0]]
        assert not any(np.shares_memory(value, x) for x in others if isinstance(x, np.ndarray)), (name, row)
    assert met == NEW
