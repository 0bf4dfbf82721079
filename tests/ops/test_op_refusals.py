"""Bad input to ops, through every door: one error of ours that names the op, the argument and the numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.ops.index import ARRAY, Index
from tapem.ops.indexing import scatter

X = np.arange(6.0).reshape(2, 3)
INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])


def first(result: Any) -> Any:
    """The first result of an op with several."""
    return result[0] if isinstance(result, list | tuple) else result


def by_grad(f: Callable[[Any], Any], x: Any) -> Any:
    return tm.grad(lambda z: tm.sum(first(f(z))))(x)


def by_vmap(f: Callable[[Any], Any], x: Any) -> Any:
    return tm.vmap(f)(np.stack([x, x]))


def by_step(f: Callable[[Any], Any], x: Any) -> Any:
    ref, tape = tm.Tape().leaf(x, name="x")
    return f(ref).run(tape)


def by_array(f: Callable[[Any], Any], x: Any) -> Any:
    return f(x)


DOORS = [by_array, by_grad, by_vmap, by_step]

CASES: list[tuple[str, Any, Callable[[Any], Any], type[Exception], str]] = [
    ("round", X, lambda z: tm.round(z, decimals=1.5), tm.DTypeError, "decimals=1.5"),
    ("concat", X, lambda z: tm.concat([z, "a"]), tm.DTypeError, "concat(xs): argument 'xs[1]' is 'a'"),
    ("concat shapes", X, lambda z: tm.concat([z, np.ones((2, 2))]), tm.ShapeError, "\n  xs[1]: f64[2,2]"),
    ("stack shapes", X, lambda z: tm.stack([np.ones(2), z]), tm.ShapeError, "\n  xs[0]: f64[2]"),
    ("einsum", X, lambda z: tm.einsum("ij,jk", z, None), tm.DTypeError, "argument 'operands[1]' is None"),
    ("einsum sizes", X, lambda z: tm.einsum("ij,jk", z, np.ones((2, 2))), tm.ShapeError, "'j' is 2 in operands[1]"),
    ("roll by a float", X, lambda z: tm.roll(z, 1.5), tm.DTypeError, "shift=1.5"),
    ("repeat by a float", X, lambda z: tm.repeat(z, 1.5), tm.DTypeError, "repeats=1.5"),
    ("triu of a float", X, lambda z: tm.triu(z, 0.5), tm.DTypeError, "k=0.5"),
    ("tril of a float", X, lambda z: tm.tril(z, 0.5), tm.DTypeError, "k=0.5"),
    (
        "pad pairs",
        X,
        lambda z: tm.pad(z, ((1, 1), (2, 2), (3, 3))),
        tm.ArgumentError,
        "pad(x): ((1, 1), (2, 2), (3, 3)) must be one number, one pair (before, after), or one pair for each of the 2 "
        "axes of x.",
    ),
    ("pad by axis", X, lambda z: tm.pad(z, {5: 1}), tm.ArgumentError, "axis 5 is out of bounds for"),
    ("trace", X, lambda z: tm.trace(z, axis1=0, axis2=-2), tm.ArgumentError, "trace(x): axis1=0 and axis2=-2 are the"),
    ("eigh", np.eye(2), lambda z: tm.eigh(z, UPLO="X"), tm.ArgumentError, "eigh(a): UPLO='X', but it must be"),
    ("eigvalsh", np.eye(2), lambda z: tm.eigvalsh(z, UPLO="X"), tm.ArgumentError, "eigvalsh(a): UPLO='X', but it"),
    ("cholesky", INDEFINITE, tm.cholesky, tm.ArgumentError, "not positive definite: its least eigenvalue is -1"),
    ("inverse", np.ones((2, 2)), tm.linalg_inv, tm.ArgumentError, "is singular: its rank is 1, but it has 2 rows"),
    ("solve", np.ones((2, 2)), lambda z: tm.solve(z, np.ones(2)), tm.ArgumentError, "is singular: its rank is 1"),
    *(
        (f"{op.name} of no square", X, op, tm.ShapeError, "axis 'n' is both 2 and 3 in a (2, 3)")
        for op in (tm.cholesky, tm.linalg_inv, tm.det, tm.slogdet, tm.eigh, tm.eigvalsh)
    ),
    *(
        (f"axis of {op.name}", X, lambda z, op=op: op(z, axis=2), tm.ArgumentError, f"{op.name}(x): axis 2 is out of")
        for op in (
            tm.sum, tm.mean, tm.max, tm.min, tm.prod, tm.var, tm.std, tm.logsumexp, tm.norm, tm.softmax, tm.log_softmax,
            tm.cumsum, tm.cumprod, tm.sort, tm.argmax, tm.argmin, tm.argsort, tm.any, tm.all, tm.count_nonzero, tm.flip,
        )
    ),
    *(
        (
            f"{op.name} by floats",
            X,
            lambda z, op=op, rest=rest: op(z, np.array([[0.0, 1.0]]), *rest, 1),
            tm.DTypeError,
            f"{op.name}({names}): indices is float64, where Integer is required",
        )
        for op, names, rest in (
            (tm.take, "x, indices", ()),
            (tm.take_along_axis, "x, indices", ()),
            (tm.scatter_add, "x, indices, updates", (1.0,)),
            (tm.scatter_set, "x, indices, updates", (1.0,)),
        )
    ),
    *(
        (
            f"{op.name} out of range",
            X,
            lambda z, op=op, rest=rest, wrong=wrong: op(z, np.array([[wrong], [0]]), *rest, 1),
            tm.ArgumentError,
            f"index {wrong} is out of bounds for axis ",
        )
        for op, rest in ((tm.take, ()), (tm.take_along_axis, ()), (tm.scatter_add, (1.0,)), (tm.scatter_set, (1.0,)))
        for wrong in (3, -4)
    ),
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("x", "call", "kind", "text"), [pytest.param(*rest, id=name) for name, *rest in CASES])
def test_bad_input(door: Any, x: Any, call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=re.escape(text)) as caught:
        door(call, x)
    assert isinstance(caught.value, tm.TapeError)


def test_a_mapped_mask_is_refused_where_it_would_decide_a_shape() -> None:
    masks = np.array([[True, False], [True, True]])
    for f in (lambda m: tm.getitem(np.ones(2), m), lambda m: scatter(np.ones(1), m, at=Index((ARRAY,)), shape=(2,))):
        with pytest.raises(tm.ConcretizationError, match=re.escape("Use np.where(mask, a, b) instead")):
            tm.vmap(f)(masks)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda z: np.einsum("ij->i", z, dtype=np.float32), "np.einsum with dtype=... has no rule in tapem"),
    ],
)
def test_options_of_numpy_that_no_rule_knows(call: Any, text: str) -> None:
    with pytest.raises(tm.NoRuleError, match=re.escape(text)):
        by_grad(call, X)


@pytest.mark.parametrize("transform", [tm.grad, tm.jacfwd, tm.hessian])
def test_where_a_determinant_has_no_logarithm(transform: Any) -> None:
    with pytest.raises(tm.ArgumentError, match=r"^slogdet has no derivative at a singular matrix\. .*its rank is 1"):
        transform(lambda a: np.linalg.slogdet(a)[1])(np.ones((2, 2)))


def test_interpolation_between_points_in_lists() -> None:
    x, points, values = np.array([0.5, 1.5, 5.0]), [0.0, 1.0, 3.0], [0.0, 2.0, 3.0]
    np.testing.assert_allclose(tm.grad(lambda x: np.sum(np.interp(x, points, values)))(x), [2, 0.5, 0])
    np.testing.assert_allclose(tm.vmap(lambda x: np.interp(x, points, values))(x), np.interp(x, points, values))
