"""Products of matrices and tensors: every row against every judge, then what a table cannot say."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapem as tm
from tapem.errors import ArgumentError, DTypeError, ShapeError
from tapem.ops.einsum import contract, explicit
from tapem.testing.rule_checks import insist, rule_report
from tests.tables import Row
from tests.tables.linalg import ROWS


def values(*shape: int) -> Any:
    return np.random.default_rng(list(shape)).normal(size=shape)


@pytest.mark.parametrize("row", ROWS, ids=str)
class TestRows:
    def test_value(self, row: Row) -> None:
        assert row.reference is not None
        value = row.op(*row.operands, **row.static)
        np.testing.assert_array_equal(value, row.reference(*row.operands, **row.static))

    def test_rules(self, row: Row) -> None:
        insist(rule_report(row.op, row.operands, row.static, order=row.order, seed=0))

    def test_abstract(self, row: Row) -> None:
        value = row.op(*row.operands, **row.static)
        kind = tm.eval_shape(lambda *xs: row.op(*xs, **row.static), *row.operands)
        assert (kind.shape, kind.dtype) == (np.shape(value), value.dtype)


class TestMatmul:
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.bool_])
    @pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (2, 3, 4), (1, 7, 5), (33, 1, 2), (64, 65, 66), (0, 2, 1)])
    def test_is_bitwise_numpys(self, dtype: Any, m: int, k: int, n: int) -> None:
        # The implementation calls ndarray.dot on matrices, for speed; it must not show.
        a, b = (3 * values(m, k)).astype(dtype), (3 * values(n, k)).astype(dtype).T
        np.testing.assert_array_equal(tm.matmul(a, b), np.matmul(a, b), strict=True)

    def test_a_batch_of_vectors_by_one_matrix_is_one_product(self) -> None:
        a, b = values(3, 4), values(5, 4)
        np.testing.assert_allclose(tm.vmap(lambda v: tm.matmul(a, v))(b), b @ a.T)

    @pytest.mark.parametrize(
        ("a", "b", "text"),
        [
            ((2, 3), (4, 5), "the last axis of a has size 3, but axis -2 of b has size 4"),
            ((3,), (4,), "the last axis of a has size 3, but the only axis of b has size 4"),
            ((2, 2, 3), (3, 3, 4), r"the batch axes \(2,\) of a and \(3,\) of b do not broadcast"),
            ((), (3,), "both operands must have at least one axis"),
        ],
    )
    def test_refuses_shapes_that_do_not_fit(self, a: Any, b: Any, text: str) -> None:
        for f in (tm.matmul, lambda x, y: tm.eval_shape(tm.matmul, x, y)):
            with pytest.raises(ShapeError, match=text):
                f(np.ones(a), np.ones(b))

    def test_bmm_broadcasts_nothing(self) -> None:
        with pytest.raises(ShapeError, match="axis 'batch' is 2 in a"):
            tm.bmm(np.ones((2, 3, 4)), np.ones((1, 4, 2)))
        with pytest.raises(ShapeError, match="a must have 3 axes but has 2"):
            tm.bmm(np.ones((3, 4)), np.ones((4, 2)))

    def test_through_the_pure_door(self) -> None:
        a, tape = tm.Tape().leaf(values(2, 3))
        y, tape = (a @ values(3, 2)).run(tape)
        assert tape[y].op is tm.matmul and y.shape == (2, 2)


class TestTensors:
    def test_a_number_is_a_tensor_of_no_axes(self) -> None:
        x = values(2, 3)
        np.testing.assert_array_equal(tm.dot(2.0, x), 2.0 * x)
        np.testing.assert_array_equal(tm.einsum(",ij", 2.0, x), 2.0 * x)
        np.testing.assert_allclose(tm.grad(lambda s: tm.sum(tm.dot(s, x)))(2.0), np.sum(x), rtol=1e-12)

    @pytest.mark.parametrize(
        ("axes", "error", "text"),
        [
            (3, ArgumentError, "axes=3, but a has 2 axes and b has 2"),
            (-1, ArgumentError, "axes=-1, but"),
            ("ij", ArgumentError, "axes='ij', but"),
            (([0], [0, 1]), ArgumentError, "pairs 1 axes of a with 2 of b"),
            (([0], [0], [1]), ArgumentError, "must be a number or a pair"),
            (([5], [0]), ArgumentError, "axes of a: axis 5 is out of bounds"),
            (([0, 0], [0, 0]), ShapeError, "repeated axis in `axes of a`"),
            (1, ShapeError, "axis 1 of a has size 3, but axis 0 of b has size 2"),
        ],
    )
    def test_tensordot_refuses_axes(self, axes: Any, error: type[Exception], text: str) -> None:
        for f in (tm.tensordot, lambda a, b, axes: tm.eval_shape(lambda a, b: tm.tensordot(a, b, axes), a, b)):
            with pytest.raises(error, match=text):
                f(np.ones((2, 3)), np.ones((2, 3)), axes)

    def test_axes_are_never_stretched(self) -> None:
        for op, a, b in [(tm.dot, (2, 1), (3, 4)), (tm.inner, (2, 1), (4, 3)), (tm.tensordot, (2, 1), (3, 4))]:
            static = {"axes": 1} if op is tm.tensordot else {}
            for f in (op, lambda x, y, **s: tm.eval_shape(lambda x, y: op(x, y, **s), x, y)):  # noqa: B023
                with pytest.raises(ShapeError, match=r"axis 1 of a has size 1, but axis . of b has size 3"):
                    f(np.ones(a), np.ones(b), **static)
        with pytest.raises(ShapeError, match="a has 2 elements, but b has 3"):
            tm.vdot(np.ones(2), np.ones(3))


class TestEinsum:
    @pytest.mark.parametrize(
        "arguments",
        [
            (values(2, 3), [0, 1]),
            (values(2, 3), [30, 1]),
            (values(2, 3), [1, 0], values(3), [0]),
            (values(2, 3), [0, 1], values(3, 4), [1, 2], [0, 2]),
            (values(5, 2, 3), [..., 0, 1], [..., 1]),
            (values(3, 3), [7, 7]),
        ],
    )
    def test_interleaved(self, arguments: Any) -> None:
        np.testing.assert_array_equal(tm.einsum(*arguments), np.einsum(*arguments))

    def test_numpys_name_reaches_it(self) -> None:
        a, b = values(2, 3), values(3, 2)
        by_numpy = tm.grad(lambda a: np.einsum("ij,ji->", a, b))(a)
        np.testing.assert_allclose(by_numpy, tm.grad(lambda a: tm.einsum("ij,ji->", a, b))(a))
        np.testing.assert_allclose(by_numpy, b.T)

    def test_listings_show_its_name_and_pickle_keeps_it(self) -> None:
        a, tape = tm.Tape().leaf(values(2, 3), name="a")
        _, tape = tm.einsum("ij->", a).run(tape)
        assert "einsum(%0, subscripts='ij->'" in str(tape)
        assert pickle.loads(pickle.dumps(contract)) is contract

    def test_large_and_small_give_the_same(self) -> None:
        # Above a certain size the rules go through BLAS.
        for n in (2, 40):
            a, b = values(n, n), values(n, n + 1)
            found = tm.grad(lambda a, b: tm.sum(tm.einsum("ij,jk->ik", a, b) ** 2), argnums=(0, 1))(a, b)
            np.testing.assert_allclose(found[0], 2 * a @ b @ b.T, rtol=1e-9)
            np.testing.assert_allclose(found[1], 2 * a.T @ a @ b, rtol=1e-9)

    def test_an_unused_cotangent_is_not_computed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []
        with tm.no_grad():
            pass
        a, b = values(2, 3), values(3)
        original = contract.implementation
        try:
            contract.implementation = lambda *xs, **static: (
                calls.append(static["subscripts"]),
                original(*xs, **static),
            )[1]
            tm.grad(lambda a: tm.sum(tm.einsum("ij,j->i", a, b)))(a)
        finally:
            contract.implementation = original
        assert len(calls) == 2  # forward, and the cotangent of a

    @pytest.mark.parametrize(
        ("subscripts", "shapes", "text"),
        [
            ("ij,jk", [(2, 3), (4, 5)], "the axis 'j' is 4 in operands[1], but 3 before it"),
            ("ii", [(2, 3)], "the axes 'i' of operands[0] are 2 and 3 long"),
            ("ij", [(2,)], "'ij' has 2 labels, but operands[0] has 1 axes"),
            ("i,i", [(2,)], "'i,i->' has 2 terms for 1 operands"),
            ("i", [(2,), (2,)], "'i->i' has 1 terms for 2 operands"),
            ("i-j", [(2,)], "'-' in 'i-j->-ij' is neither a letter"),
            ("i1", [(2, 2)], "'1' in 'i1->1i' is neither a letter"),
            ("ij->iz", [(2, 3)], "the label 'z' of 'ij->iz' is in the output but in no operand"),
            ("ij->ii", [(2, 3)], "the label 'i' of 'ij->ii' is repeated in the output"),
            ("...i->i", [(2, 3)], "must have the ellipsis"),
            ("..i", [(2,)], "'.' in '..i->i' is neither a letter"),
            ("i......", [(2,)], "neither a letter nor part of one ellipsis"),
            ("i->i->i", [(2,)], "neither a letter"),
            ("ij", [], "needs operands, but got none"),
        ],
    )
    def test_refuses_what_makes_no_sense(self, subscripts: str, shapes: Any, text: str) -> None:
        operands = [np.ones(shape) for shape in shapes]
        for f in (tm.einsum, lambda s, *xs: tm.eval_shape(lambda *xs: tm.einsum(s, *xs), *xs)):
            with pytest.raises((ArgumentError, ShapeError), match=re.escape(text)):
                f(subscripts, *operands)

    def test_refuses_labels_that_are_none(self) -> None:
        for labels in ([0.5], [60], [-53], 3):
            with pytest.raises(ArgumentError, match="is not a list of labels"):
                tm.einsum(np.ones(2), labels)
        with pytest.raises(DTypeError, match="not a tensor"):
            tm.einsum("i,i", np.ones(2), "ab")

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_subscripts(self, data: st.DataObject) -> None:
        """Draw terms with labels that repeat, an output from what occurs, and sizes: numpy.einsum is the judge."""
        terms = data.draw(st.lists(st.text("abc", max_size=3), min_size=1, max_size=3))
        dots = data.draw(st.lists(st.integers(0, 2), min_size=len(terms), max_size=len(terms)))
        sizes = dict(zip("abc", data.draw(st.tuples(*[st.integers(0, 3)] * 3)), strict=True))
        labels = sorted(set("".join(terms)))
        output = "".join(data.draw(st.permutations(labels)))[: data.draw(st.integers(0, len(labels)))]
        subscripts = ",".join(f"...{term}" for term in terms) + f"->...{output}"
        operands = [
            values(*(2, 1)[:dot], *(sizes[label] for label in term)) for term, dot in zip(terms, dots, strict=True)
        ]
        operands = [
            np.reshape(x, (*((1, 2)[2 - dot :]), *x.shape[dot:])) if dot == 1 and x.shape[0] == 2 else x
            for x, dot in zip(operands, dots, strict=True)
        ]
        value = tm.einsum(subscripts, *operands)
        np.testing.assert_array_equal(value, np.einsum(subscripts, *operands))
        insist(rule_report(contract, operands, {"subscripts": subscripts}, order=1, seed=0))


def test_explicit() -> None:
    assert explicit("b a , A c, a") == "ba,Ac,a->Abc"
