"""Indexing: every row against NumPy, finite differences and a loop; then what a table cannot say."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.core.node import ShapeDtype
from tapem.doors.direct.recorder import Recorder, new_recorder
from tapem.doors.direct.tracer import Tracer
from tapem.errors import ArgumentError, ConcretizationError, DTypeError, ShapeError
from tapem.ops.index import Index, take_apart
from tapem.ops.indexing import gather, getitem, scatter, scatter_add, scatter_set, take, take_along_axis
from tapem.transforms.derivatives import grad, jvp, vjp
from tests.tables import Row
from tests.tables.diagonals import ROWS as DIAGONALS
from tests.tables.indexing import ROWS as INDEXING

ROWS = [*INDEXING, *DIAGONALS]


def floats(row: Row) -> list[int]:
    return [i for i, x in enumerate(row.operands) if np.asarray(x).dtype.kind == "f"]


def unknown(recorder: Recorder, value: Any) -> Tracer:
    """A tracer of which only shape and dtype are known."""
    return Tracer(recorder, recorder.leaf(ShapeDtype.of(value)))


def weighted(row: Row, position: int, operands: tuple[Any, ...], w: Any, x: Any) -> Any:
    """A scalar of the row's op that is not linear, so that second derivatives say something."""
    inputs = [x if i == position else operand for i, operand in enumerate(operands)]
    return np.sum(w * np.sin(row.op(*inputs, **row.static)))


def differences(f: Any, x: Any) -> Any:
    """The gradient of a scalar function by central differences."""
    x = np.array(x, float)
    out = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        step = np.zeros(x.shape)
        step[place] = 1e-6
        out[place] = (f(x + step) - f(x - step)) / 2e-6
    return out


@pytest.mark.parametrize("row", ROWS, ids=str)
class TestRows:
    def test_value(self, row: Row) -> None:
        value, expected = row.op(*row.operands, **row.static), row.reference(*row.operands, **row.static)
        np.testing.assert_array_equal(value, expected, strict=isinstance(expected, np.ndarray))

    def test_gradient(self, row: Row) -> None:
        w = np.random.default_rng(0).normal(size=np.shape(row.op(*row.operands, **row.static)))
        for position in floats(row):
            f = lambda x, position=position: weighted(row, position, row.operands, w, x)  # noqa: E731
            x = row.operands[position]
            np.testing.assert_allclose(grad(f)(x), differences(f, x), atol=1e-7)

    def test_second_order_and_forward_mode(self, row: Row) -> None:
        rng = np.random.default_rng(1)
        w = rng.normal(size=np.shape(row.op(*row.operands, **row.static)))
        for position in floats(row):
            f = lambda x, position=position: weighted(row, position, row.operands, w, x)  # noqa: E731
            x = np.asarray(row.operands[position])
            v = rng.normal(size=x.shape)
            gradient = grad(f)
            slope = (gradient(x + 1e-6 * v) - gradient(x - 1e-6 * v)) / 2e-6
            np.testing.assert_allclose(jvp(gradient, (x,), (v,))[1], slope, atol=1e-7)
            np.testing.assert_allclose(grad(lambda x, v=v, d=gradient: np.sum(d(x) * v))(x), slope, atol=1e-7)
            np.testing.assert_allclose(jvp(f, (x,), (v,))[1], np.sum(gradient(x) * v), atol=1e-9)

    def test_float32_is_kept(self, row: Row) -> None:
        operands = [x.astype(np.float32) if getattr(x, "dtype", None) == np.float64 else x for x in row.operands]
        value = row.op(*operands, **row.static)
        assert value.dtype == np.float32
        for position in floats(row):
            x = np.float32(operands[position])
            y, pullback = vjp(
                lambda x, p=position: row.op(*(x if i == p else o for i, o in enumerate(operands)), **row.static), x
            )
            assert pullback(np.ones(np.shape(y), np.float32))[0].dtype == np.float32

    def test_batch_rule(self, row: Row) -> None:
        rng = np.random.default_rng(2)
        count = len(row.operands)
        for bits in range(1, 2**count):
            mapped = [bool(bits >> i & 1) for i in range(count)]
            if any(m and np.asarray(x).dtype == bool for m, x in zip(mapped, row.operands, strict=True)):
                continue
            inputs = [
                np.stack([rng.permuted(np.ravel(x)).reshape(np.shape(x)) for _ in range(3)]) if m else x
                for m, x in zip(mapped, row.operands, strict=True)
            ]
            try:
                loop = [
                    row.op(*(x[k] if m else x for m, x in zip(mapped, inputs, strict=True)), **row.static)
                    for k in range(3)
                ]
            except ArgumentError:  # shuffled indices left their axis
                continue
            result = row.op.batch(row.op, 3, inputs, mapped, {**row.op.defaults, **row.static})
            np.testing.assert_allclose(result, np.stack(loop), atol=1e-12, strict=True)

    def test_abstract(self, row: Row) -> None:
        value = np.asarray(row.op(*row.operands, **row.static))
        recorder = new_recorder(abstract=True)
        tracers = [x if np.asarray(x).dtype == bool else unknown(recorder, x) for x in row.operands]
        result = row.op(*tracers, **row.static)
        assert (result.shape, result.dtype) == (value.shape, value.dtype)


X = np.arange(12.0).reshape(3, 4)


class TestGetitem:
    @pytest.mark.parametrize(
        "index",
        [
            0,
            -1,
            slice(None, None, -1),
            None,
            ...,
            (),
            (slice(1, 3), 0),
            [2, 0],
            (1, [0, 0]),
            np.array(2),
            np.int8(1),
            X > 5,
        ],
        ids=str,
    )
    def test_equals_numpy(self, index: Any) -> None:
        np.testing.assert_array_equal(getitem(X, index), X[index])

    def test_every_door(self) -> None:
        np.testing.assert_array_equal(grad(lambda x: x[1, ::2].sum())(X)[1], [1, 0, 1, 0])
        x, tape = tm.Tape().leaf(X)
        i, tape = tape.leaf(np.array([2, 2]))
        y, tape = x[i].run(tape)
        np.testing.assert_array_equal(tape.value(y), X[[2, 2]])
        total, tape = y.sum().run(tape)
        np.testing.assert_array_equal(tape.backward_scalar(total)[x][:, 0], [0, 0, 2])

    def test_a_step_as_an_index_and_as_a_mask(self) -> None:
        x, tape = tm.Tape().leaf(X)
        i, tape = tape.leaf(np.array([1, 0]))
        y, _ = x[:, i + 1].run(tape)
        np.testing.assert_array_equal(y.node.value, X[:, [2, 1]])
        y, _ = x[x > 5.0].run(tape)
        np.testing.assert_array_equal(y.node.value, X[X > 5])

    def test_rows_of_a_loop(self) -> None:
        gradient = grad(lambda x: sum((k + 1.0) * row[k] for k, row in enumerate(x)))(X)
        np.testing.assert_array_equal(gradient, np.eye(3, 4) * [1, 2, 3, 0])

    def test_a_mask_of_a_tracer(self) -> None:
        np.testing.assert_array_equal(grad(lambda x: np.sum(x[x > 5.0] ** 2))(X), np.where(X > 5, 2 * X, 0))

    @pytest.mark.parametrize(
        ("index", "kind", "text"),
        [
            (3, ArgumentError, "index 3 is out of bounds for axis 0 with size 3"),
            (-4, ArgumentError, "index -4 is out of bounds for axis 0 with size 3"),
            ((0, [0, 4]), ArgumentError, "index 4 is out of bounds for axis 1 with size 4"),
            ((0, 0, 0), ArgumentError, "too many indices for array"),
            (np.ones((2, 4), bool), ArgumentError, "size of axis is 3 but size of corresponding boolean axis is 2"),
            (1.0, DTypeError, "the index 1.0 is a float, but an index is an integer, a slice, or an array of integers"),
            ([1.0], DTypeError, "is an array of float64, but an index is an integer, a slice, or an array of integers"),
            ("a", DTypeError, "the index 'a' is a str"),
            ([[1], [1, 2]], DTypeError, "All rows must have the same length"),
            (slice(0.5), DTypeError, "slice indices must be integers"),
            ((..., ...), ArgumentError, "ellipsis"),
        ],
        ids=str,
    )
    def test_bad_index(self, index: Any, kind: type[Exception], text: str) -> None:
        for door in (getitem, grad(lambda x, index: getitem(x, index).sum())):
            with pytest.raises(kind) as caught:
                door(X, index)
            assert text in str(caught.value)

    def test_unknown_mask(self) -> None:
        recorder = new_recorder(abstract=True)
        x = unknown(recorder, X)
        with pytest.raises(ConcretizationError, match=r"np\.where\(mask, a, b\)"):
            x[x > 0]

    def test_constant_index_is_checked_when_traced(self) -> None:
        recorder = new_recorder(abstract=True)
        x = unknown(recorder, X)
        with pytest.raises(ArgumentError, match="index 9 is out of bounds"):
            x[np.array([0, 9])]

    def test_nothing_is_written_to(self) -> None:
        x, i, g = X.copy(), np.array([0, 0]), np.ones((2, 4))
        _, pullback = vjp(lambda x: x[i], x)
        pullback(g)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(g, np.ones((2, 4)))

    def test_large_embedding(self) -> None:
        table, ids = np.zeros((1000, 8), np.float32), np.random.default_rng(0).integers(-1000, 1000, (7, 50))
        g = np.random.default_rng(1).normal(size=(7, 50, 8)).astype(np.float32)
        expected = np.zeros((1000, 8))
        np.add.at(expected, ids, g)
        np.testing.assert_allclose(vjp(lambda t: t[ids], table)[1](g)[0], expected, atol=1e-5)


def test_index_is_a_value() -> None:
    at, arrays = take_apart((slice(1, None, 2), None, ..., [0], 3))
    assert repr(at) == "[1::2, None, ..., array, 3]"
    assert pickle.loads(pickle.dumps(at)) == at and hash(pickle.loads(pickle.dumps(at))) == hash(at)
    assert at != Index((slice(1, None),)) and len(arrays) == 1
    assert pickle.loads(pickle.dumps(gather)) is gather and pickle.loads(pickle.dumps(scatter)) is scatter


class TestScatter:
    def test_last_write_wins_and_only_it_is_differentiated(self) -> None:
        x, i, u = np.zeros(3), np.array([1, 1, 0]), np.array([5.0, 6.0, 7.0])
        np.testing.assert_array_equal(scatter_set(x, i, u, 0), [7, 6, 0])
        dx, du = grad(lambda x, u: np.sum(scatter_set(x, i, u, 0) * [1.0, 10.0, 100.0]), argnums=(0, 1))(x, u)
        np.testing.assert_array_equal(dx, [0, 0, 100])
        np.testing.assert_array_equal(du, [0, 10, 1])

    def test_last_in_the_order_of_the_indices_whatever_the_memory_layout(self) -> None:
        i = np.asfortranarray(np.zeros((3, 4), int))
        u = np.asfortranarray(np.arange(12.0).reshape(3, 4))
        np.testing.assert_array_equal(scatter_set(np.zeros((1, 4)), i, u, 0), [[8, 9, 10, 11]])
        np.testing.assert_array_equal(scatter_set(np.zeros((1, 1)), i, u, 0), [[11]])

    def test_infinite_cotangents_of_overwritten_updates_are_zero(self) -> None:
        _, pullback = vjp(lambda u: scatter_set(np.zeros(2), np.array([0, 0]), u, 0), np.ones(2))
        np.testing.assert_array_equal(pullback(np.array([np.inf, 1.0]))[0], [0, np.inf])

    def test_dtypes_promote_as_in_an_expression(self) -> None:
        assert scatter_add(np.zeros(2, int), np.array([0]), 0.5, 0)[0] == 0.5
        assert scatter_set(np.zeros(2, np.float32), np.array([0]), 0.5, 0).dtype == np.float32
        assert scatter_add(np.zeros(2, np.float16), np.array([0]), np.ones(1, np.float32), 0).dtype == np.float32

    @pytest.mark.parametrize("op", [scatter_add, scatter_set])
    def test_bad_arguments(self, op: Any) -> None:
        zeros = np.zeros(3)
        for arguments, kind, text in [
            ((zeros, np.array([3]), 1.0, 0), ArgumentError, "index 3 is out of bounds for axis 0 with size 3"),
            ((zeros, np.array([0]), 1.0, 1), ArgumentError, "axis 1 is out of bounds for array of dimension 1"),
            ((zeros, np.array([[0]]), 1.0, 0), ShapeError, "must have as many axes as x, here 1, but has 2"),
            ((zeros, np.array([0.0]), 1.0, 0), DTypeError, "indices is float64, where Integer is required"),
            ((zeros, np.array([0, 1]), np.ones(3), 0), ShapeError, "(3,)"),
            ((zeros, np.array([True, False, True]), 1.0, 0), DTypeError, "indices is bool"),
        ]:
            with pytest.raises(kind) as caught:
                op(*arguments)
            assert text in str(caught.value)


def test_take_refuses() -> None:
    for arguments, kind, text in [
        ((X, np.array([3]), 0), ArgumentError, "index 3 is out of bounds for axis 0 with size 3"),
        ((X, np.array([0]), 2), ArgumentError, "axis 2 is out of bounds for array of dimension 2"),
        ((X, np.array([0.5]), 0), DTypeError, "indices is float64, where Integer is required"),
        ((X, np.array([True]), 0), DTypeError, "indices is bool, where Integer is required"),
    ]:
        with pytest.raises(kind) as caught:
            take(*arguments)
        assert text in str(caught.value)
    with pytest.raises(ArgumentError, match="index 4 is out of bounds for axis 1 with size 4"):
        take_along_axis(X, np.array([[4]]), 1)
    with pytest.raises(ShapeError, match="same number of dimensions"):
        take_along_axis(X, np.array([0]), 1)


def test_diagonals_refuse() -> None:
    for call, kind, text in [
        (
            lambda: tm.diag(np.ones((2, 2, 2))),
            ShapeError,
            "diag(x): x must be a vector or a matrix, but has shape (2, 2, 2)",
        ),
        (lambda: tm.diagonal(X, axis1=0, axis2=-2), ArgumentError, "axis1=0 and axis2=-2 are the same axis"),
        (lambda: tm.trace(X, axis1=0, axis2=2), ArgumentError, "axis 2 is out of bounds for array of dimension 2"),
        (lambda: tm.triu(np.ones(3)), ShapeError, "x must have at least 2 axes but has 1: (3,)"),
        (lambda: tm.trace(np.ones(3)), ArgumentError, "axis 1 is out of bounds for array of dimension 1"),
    ]:
        with pytest.raises(kind) as caught:
            call()
        assert text in str(caught.value)
