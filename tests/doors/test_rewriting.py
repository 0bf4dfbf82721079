"""Where NumPy makes an array of a list of traced values, the error shows the user's call as it has to be written."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy as onp
import numpy.linalg as la
import pytest
import scipy.linalg
import scipy.special
import scipy.special as sc
from numpy import mean
from scipy.special import log_softmax

import tapem as tm

CALLS: list[tuple[Callable[[Any, Any, Any], Any], str]] = [
    (lambda x, y, rows: np.mean([x, y]), "np.mean(np.stack([x, y]))"),
    (lambda x, y, rows: np.mean([x * y, x + 1.0], axis=(0,)) + 0, "np.mean(np.stack([x * y, x + 1.0]), axis=(0,))"),
    (lambda x, y, rows: np.max((x, y), 0), "np.max(np.stack((x, y)), 0)"),
    (lambda x, y, rows: np.sum([v * 2 for v in rows]), "np.sum(np.stack([v * 2 for v in rows]))"),
    (lambda x, y, rows: np.prod(rows), "np.prod(np.stack(rows))"),
    (lambda x, y, rows: np.sin([x, y]), "np.sin(np.stack([x, y]))"),
    (lambda x, y, rows: np.linalg.norm([x, y]), "np.linalg.norm(np.stack([x, y]))"),
    (
        lambda x, y, rows: onp.linalg.det([[x, 1.0], [0.5, y]]),
        "onp.linalg.det(onp.stack([onp.stack([x, 1.0]), onp.stack([0.5, y])]))",
    ),
    (lambda x, y, rows: la.norm([x, y]), "la.norm(np.stack([x, y]))"),
    (lambda x, y, rows: mean([x, y]), "mean(np.stack([x, y]))"),
    (lambda x, y, rows: np.array([x, y]), "np.stack([x, y])"),
    (lambda x, y, rows: np.array([x, y], np.float32), "np.stack([x, y]).astype(np.float32)"),
    (lambda x, y, rows: np.asarray(rows, dtype=float), "np.stack(rows).astype(float)"),
    (lambda x, y, rows: np.asarray(x * 2), "x * 2"),
    (lambda x, y, rows: np.array([[x, y], [0.0, 1.0]]), "np.stack([np.stack([x, y]), np.array([0.0, 1.0])])"),
    (
        lambda x, y, rows: np.median(
            [
                x,  # the first
                y,
            ],
        ),
        "np.median(np.stack([x, y]))",
    ),
    (lambda x, y, rows: "é" and np.dot([1.0, 2.0], [x, y]), "np.dot([1.0, 2.0], np.stack([x, y]))"),
]


@pytest.mark.parametrize(("call", "written"), CALLS, ids=[written for _, written in CALLS])
def test_the_call_is_rewritten(call: Callable[[Any, Any, Any], Any], written: str):
    """The error shows the call, and what it shows computes what the call does of numbers, with a derivative."""
    message = re.escape(f", write {written}; for a function of another library")
    with pytest.raises(tm.ConcretizationError, match=message):
        tm.grad(lambda x: tm.sum(call(x, x + 1.0, [x, x * x])))(2.0)

    def as_written(x: Any) -> Any:
        scope = {**globals(), "x": x, "y": x + 1.0, "rows": [x, x * x]}
        return tm.sum(eval(written, scope))

    expected = np.sum(call(2.0, 3.0, [2.0, 4.0]))
    slope = (
        np.sum(
            call(
                2.0 + 1e-3,
                3.0 + 1e-3,
                [2.0 + 1e-3, (2.0 + 1e-3) ** 2],
            )
        )
        - expected
    ) / 1e-3
    value, derivative = tm.jvp(as_written, (2.0,), (1.0,))
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(derivative, slope, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    "program",
    [
        "np.mean([x, x])",  # no source is at hand
        "list(map(np.asarray, [x]))",
    ],
)
def test_where_the_call_is_not_known_the_error_says_it_in_general(program: str):
    with pytest.raises(tm.ConcretizationError, match=r"you wrote np.array\(\[x, y\]\) or np.asarray\(x\), write np.st"):
        tm.grad(lambda x: eval(program, {"np": np, "x": x}))(2.0)


def convert(x: Any) -> Any:
    """A function of the user's own that converts what it is given."""
    return np.asarray(x)


def test_the_line_is_the_one_that_converts():
    with pytest.raises(
        tm.ConcretizationError, match=r"`return np.asarray\(x\)`: .* Where you wrote np.asarray\(x\), write x;"
    ):
        tm.grad(lambda values: convert(values))(2.0)


SCIPY: dict[str, Callable[[Any], Any]] = {
    "logsumexp": lambda x: scipy.special.logsumexp(x),
    "softmax": lambda x: sc.softmax(x, axis=0) + 1.0,
    "log_softmax": lambda x: log_softmax(x),
}


@pytest.mark.parametrize("name", SCIPY)
def test_functions_of_scipy_that_tapem_has_are_named(name: str):
    message = rf"Where you wrote scipy.special.{name}\(x\), write tm.{name}\(x\);"
    with pytest.raises(tm.ConcretizationError, match=message):
        tm.grad(lambda x: tm.sum(SCIPY[name](x)))(np.ones(3))


LINALG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "solve_triangular": (lambda x: scipy.linalg.solve_triangular(x, x[0]), "tm.solve_triangular(a, b"),
    "cho_solve": (lambda x: scipy.linalg.cho_solve((x, True), x[0]), "tm.cho_solve(c, b"),
    "expm": (lambda x: scipy.linalg.expm(x), "tm.expm(a)"),
    "solve": (lambda x: scipy.linalg.solve(x, x), "np.linalg.solve(a, b)"),
    "cholesky": (lambda x: scipy.linalg.cholesky(x), "np.linalg.cholesky(a, upper=not lower)"),
    "inv": (lambda x: scipy.linalg.inv(x), "np.linalg.inv(a"),
    "det": (lambda x: scipy.linalg.det(x), "np.linalg.det(a"),
    "pinv": (lambda x: scipy.linalg.pinv(x), "np.linalg.pinv(a"),
    "eigh": (lambda x: scipy.linalg.eigh(x), "np.linalg.eigh(a"),
    "eigvalsh": (lambda x: scipy.linalg.eigvalsh(x), "np.linalg.eigvalsh(a"),
    "eig": (lambda x: scipy.linalg.eig(x), "np.linalg.eig(a"),
    "eigvals": (lambda x: scipy.linalg.eigvals(x), "np.linalg.eigvals(a"),
    "norm": (lambda x: scipy.linalg.norm(x), "np.linalg.norm(a"),
    "qr": (lambda x: scipy.linalg.qr(x), "np.linalg.qr(a"),
    "svd": (lambda x: scipy.linalg.svd(x), "np.linalg.svd(a"),
    "svdvals": (lambda x: scipy.linalg.svdvals(x), "np.linalg.svdvals(a"),
}


@pytest.mark.parametrize("name", LINALG)
def test_functions_of_scipys_linear_algebra_are_named(name: str):
    call, instead = LINALG[name]
    message = rf"Where you wrote scipy.linalg.{name}\(x\), write {re.escape(instead)}"
    with pytest.raises(tm.ConcretizationError, match=message):
        tm.grad(lambda x: tm.sum(call(x)))(np.eye(2))


JOINED: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "np.concatenate([v, w])": (lambda v, w: np.r_[v, w], lambda v, w: np.concatenate([v, w])),
    "np.concatenate([v, np.atleast_1d(v[0] * 2)])": (
        lambda v, w: np.r_[v, v[0] * 2],
        lambda v, w: np.concatenate([v, np.atleast_1d(v[0] * 2)]),
    ),
    "onp.column_stack([v, w])": (lambda v, w: onp.c_[v, w], lambda v, w: np.column_stack([v, w])),
}


@pytest.mark.parametrize("instead", JOINED)
def test_joining_by_brackets_is_rewritten(instead: str):
    """What is shown gives what NumPy gives, and its gradient."""
    written, rewritten = JOINED[instead]
    v, w = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    with pytest.raises(tm.ConcretizationError, match=rf"write {re.escape(instead)};"):
        tm.grad(lambda v: np.sum(written(v, w)))(v)
    np.testing.assert_array_equal(written(v, w), rewritten(v, w))
    tm.grad(lambda v: np.sum(rewritten(v, w)))(v)


def test_joining_in_another_way_is_left_alone():
    for call in (lambda v: np.r_["0,2", v, v], lambda v: np.r_[v, 1:4]):
        with pytest.raises(tm.ConcretizationError, match=r"write np.stack\(\[x, y\]\) or x"):
            tm.grad(lambda v, call=call: np.sum(call(v)))(np.ones(2))
