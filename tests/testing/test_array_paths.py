"""Faults in what rules do with plain arrays alone: recorded values take another way, which is right.

No check may take the difference between the two ways for rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import layers
import tapem as tm
from tapem.core import Primitive, tree_leaves
from tapem.tangents import AbstractZero, InplaceableThunk, One, Thunk, force
from tapem.testing import check_grads, rule_report
from tapem.testing.flattening import Flat
from tapem.testing.rounding import rounding_error

RNG = np.random.default_rng(3)
ROWS: dict[str, tuple[Primitive, tuple[Any, ...], dict[str, Any]]] = {
    "exp": (tm.exp, (RNG.normal(size=3),), {}),
    "div": (tm.div, (RNG.normal(size=(2, 3)), RNG.uniform(1, 2, size=3)), {}),
    "max": (tm.max, (RNG.normal(size=(2, 3)),), {"axis": 1}),
    "max, large": (tm.max, (RNG.normal(size=(3, 4001)),), {"axis": 1}),
    "sum": (tm.sum, (RNG.normal(size=(2, 3)),), {"axis": 0}),
    "where": (tm.where, (np.array([True, False, True]), RNG.normal(size=3), RNG.normal(size=3)), {}),
    "matmul": (tm.matmul, (RNG.normal(size=(2, 3)), RNG.normal(size=(3, 2))), {}),
    "solve": (tm.solve, (RNG.normal(size=(3, 3)) + 3 * np.eye(3), RNG.normal(size=(3,))), {}),
    "softmax, large": (tm.softmax, (RNG.normal(size=(20, 30)),), {"axis": -1}),
    "max_pool": (layers.max_pool, (RNG.normal(size=(1, 1, 4, 4)), 2), {}),
}  # fmt: skip


def as_thunk(part: Any) -> Any:
    return Thunk(lambda: part)


def as_inplaceable(part: Any) -> Any:
    return InplaceableThunk(lambda: np.array(part), lambda total: np.add(total, part, out=total))


FORMS: dict[str, Callable[[Any], Any]] = {
    "array": lambda part: part,
    "Thunk": as_thunk,
    "InplaceableThunk": as_inplaceable,
}


def wrong_for_arrays(rule: Any, factor: float, form: Callable[[Any], Any]) -> Any:
    """A rule that is wrong by a factor if all that it gets are plain arrays and numbers."""
    if isinstance(rule, tuple):
        return tuple(None if one is None else wrong_for_arrays(one, factor, form) for one in rule)

    def spoiled(part: Any) -> Any:
        part = force(part)
        return part if part is None or isinstance(part, AbstractZero | One) else form(np.asarray(factor * part))

    def call(*arguments: Any, **static: Any) -> Any:
        result = rule(*arguments, **static)
        if not all(isinstance(x, np.ndarray | np.generic | int | float | None) for x in tree_leaves(list(arguments))):
            return result
        return tuple(map(spoiled, result)) if isinstance(result, tuple) else spoiled(result)

    return call


@pytest.mark.parametrize("factor", [-1.0, 1.01])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ROWS)
def test_a_fault_for_arrays_alone_is_noticed(
    name: str, form: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    op, operands, static = ROWS[name]
    for mode in ("rrule", "frule"):
        with monkeypatch.context() as patch:
            if mode == "rrule" or form == "array":
                patch.setattr(op, mode, wrong_for_arrays(getattr(op, mode), factor, FORMS[form]))
                found = {finding.check for finding in rule_report(op, operands, static, order=1, seed=1).findings}
                both = {"reverse mode" if mode == "rrule" else "forward mode", "<w, Jv> = <J^T w, v>"}
                assert found & both, (mode, found)


def test_a_branch_for_arrays_is_noticed_in_a_program() -> None:
    def pull(g: Any, y: Any, x: Any) -> Any:
        if type(g) is np.ndarray and type(x) is np.ndarray:
            return InplaceableThunk(lambda: 3.0 * g * x, lambda total: np.add(total, 3.0 * g * x, out=total))
        return 2.0 * g * x

    @tm.primitive(rrule=(pull,), frule=(lambda t, y, x: 2.0 * t * x,))
    def square(x: tm.Num[tm.Tensor, "..."]) -> tm.Num[tm.Tensor, "..."]:
        return x * x

    x = np.array([0.3, -1.2])
    with pytest.raises(AssertionError, match=r"off by a factor of 1\.5"):
        check_grads(lambda x: np.sum(np.sin(square(x))), (x,), order=1)
    report = tm.testing.check_gradient(lambda x: np.sum(square(x)), x)
    assert not report


def test_another_way_is_not_rounding() -> None:
    """Whatever a program does with arrays alone, rounding is estimated from the recorded one."""

    def off(x: Any) -> Any:
        return np.sin(x) + 1e-9 if type(x) is np.ndarray else np.sin(x)

    error = rounding_error(Flat(off, (np.array([0.3, 1.2]),)), np.random.default_rng(0))
    assert np.all(error < 1e-14)
