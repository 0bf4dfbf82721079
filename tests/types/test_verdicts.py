"""Remembered verdicts: what a signature refuses, it refuses whatever it has accepted before.

For the op of every row in the tables, the calls of a few of its rows and their near relatives (another dtype, another
shape, an operand left out or no tensor at all, for each operand and the result) are judged twice: each by an op that
has seen nothing, and all by an op that has seen all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.core.node import ShapeDtype
from tapem.core.primitive import Primitive
from tapem.errors import TapeError
from tapem.types import Signature, Tensor
from tapem.types import signature as signatures
from tests.tables import Row
from tests.test_table import TABLE

DTYPES = [np.dtype(name) for name in ("bool", "int64", "float32", "float64", "complex128")]
ROWS_OF: dict[str, list[Row]] = {}
for _, one in TABLE:
    if isinstance(one.op, Primitive):
        ROWS_OF.setdefault(one.op.name, []).append(one)

Call = tuple[tuple[Any, ...], Any, dict[str, Any]]


def kind_of(value: Any) -> Any:
    """A value as a signature sees it: by shape and dtype."""
    if isinstance(value, tuple):
        return tuple(map(kind_of, value))
    return value if value is None or type(value) in (bool, int, float) else ShapeDtype.of(value)


def called(row: Row) -> Call:
    """The call of a row: its inputs and its result, and its static arguments."""
    op: Any = row.op
    operands, static = op.bind(row.operands, row.static)
    inputs = [op.as_input(position, operand) for position, operand in enumerate(operands)]
    with np.errstate(all="ignore"):
        output = op.implementation(*inputs, **static)
    return tuple(map(kind_of, inputs)), kind_of(output[0] if op.residuals else output), static


def relatives(value: Any) -> Iterator[Any]:
    """What may stand in the place of a tensor by mistake."""
    if isinstance(value, ShapeDtype):
        yield from (ShapeDtype(value.shape, dtype) for dtype in DTYPES)
        yield ShapeDtype((*value.shape, 2), value.dtype)
        yield ShapeDtype((*value.shape[:-1], 7), value.dtype)
    yield from (None, "no tensor", 2, 2.0, True)


def near(call: Call) -> Iterator[Call]:
    """The call, and those that differ from it in one place."""
    inputs, output, static = call
    yield call
    for position, value in enumerate(inputs):
        for other in relatives(value):
            yield (*inputs[:position], other, *inputs[position + 1 :]), output, static
    for other in relatives(output):
        if other is not None:  # no result yet is another question
            yield inputs, other, static


def verdict(op: Any, call: Call) -> str:
    """What the op says of a call; nothing if it fits."""
    inputs, output, static = call
    try:
        op.check(inputs, output, static, ())
    except TapeError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def refuses_warm_what_it_refuses_cold(op: Any, rows: list[Row]) -> None:
    calls = [call for row in rows for call in near(called(row))]
    cold: list[str] = []
    for call in calls:
        op.signature.accepted.clear()
        cold.append(verdict(op, call))
    assert any(cold) and not all(cold)
    op.signature.accepted.clear()
    for order in (calls, calls, calls[::-1]):
        expected = cold if order is calls else cold[::-1]
        for call, said in zip(order, expected, strict=True):
            assert verdict(op, call) == said, call


@pytest.mark.parametrize("name", ROWS_OF)
def test_what_is_refused_cold_is_refused_warm(name: str) -> None:
    rows = ROWS_OF[name]
    if any(operand.leaves for operand in rows[0].op.signature.operands):  # type: ignore[attr-defined]
        refuses_warm_what_it_refuses_cold(rows[0].op, [rows[0], rows[-1]])


@pytest.mark.parametrize("forgotten", ["shape", "dtype"])
def test_a_key_that_leaves_something_out_is_noticed(forgotten: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole: Any = signatures._part  # pyright: ignore[reportPrivateUsage]
    left = 1 if forgotten == "shape" else 0
    monkeypatch.setattr("tapem.types.signature._part", lambda x: None if x is None else whole(x)[left])
    for name in ("solve", "conv", "linear", "layer_norm", "cross_entropy"):
        with pytest.raises(AssertionError):
            refuses_warm_what_it_refuses_cold(ROWS_OF[name][0].op, ROWS_OF[name][:1])


@pytest.mark.parametrize("name", ROWS_OF)
def test_the_fast_key_is_the_key_of_the_signature(name: str) -> None:
    op: Any = ROWS_OF[name][0].op
    for row in ROWS_OF[name]:
        inputs, output, static = called(row)
        if not isinstance(output, tuple) and all(isinstance(x, ShapeDtype | None) for x in inputs):
            key = op.signature.key_of(inputs, output, static=static)
            assert tuple(map(op.key_part, (*inputs, output))) == key[: len(inputs) + 1]
            assert op.accepted is op.signature.accepted


def test_what_is_left_out_is_not_mistaken_for_what_is_no_tensor() -> None:
    def f(x: Tensor, mask: Tensor | None = None) -> Tensor: ...

    signature = Signature.of(f)
    signature.verify([np.ones(3), None])
    for _ in range(2):
        with pytest.raises(tm.DTypeError, match="mask is of type object"):
            signature.verify([np.ones(3), object()])


def test_an_op_remembers_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapem.types.signature._CACHE_LIMIT", 8)
    tm.matmul.signature.accepted.clear()  # of what other tests asked
    for n in range(40):
        tm.matmul(np.ones((n, 2)), np.ones(2))
        assert len(tm.matmul.signature.accepted) <= 8


def test_equal_static_numbers_of_other_types_are_other_calls() -> None:
    @tm.primitive
    def times(x: Tensor, *, c: Any = 1) -> Tensor:
        return x * c

    shapes = [tm.eval_shape(lambda x, c=c: times(x, c=c), np.arange(3)) for c in (2, 2.0, True)]
    assert [shape.dtype for shape in shapes] == [np.int64, np.float64, np.int64]
