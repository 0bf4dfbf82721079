"""Rows of inverses, determinants and factorizations: batches, empty matrices, tall and wide ones, singular ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapem.ops.decompositions import cholesky, independent_columns, qr
from tapem.ops.eigen import as_real, eig, eigvals, independent_vectors, matching
from tapem.ops.matrix_functions import expm, solve_triangular
from tapem.ops.pseudo_inverse import known_rank, pinv
from tapem.ops.roots import polynomial_roots, simple_roots
from tapem.ops.solving import cofactors, det, linalg_inv, second_cofactors, slogdet, solve
from tapem.ops.spectral import eigh, eigvalsh, reciprocal_gaps, svd, svdvals
from tests.tables import Row


def _values(*shape: int) -> Any:
    """Matrices far from singular, and whose eigenvalues and singular values are far from each other."""
    x = 0.3 * np.random.default_rng([len(shape), *shape]).normal(size=shape)
    return x + np.arange(1.0, shape[-2] + 1.0)[:, None] * np.eye(*shape[-2:])


def _any(*shape: int) -> Any:
    return np.random.default_rng([len(shape), *shape]).normal(size=shape)


def _turning(n: int) -> Any:
    """A matrix with complex eigenvalues, far from each other."""
    x = np.triu(_any(n, n), 1)
    return x - x.T + 0.3 * _any(n, n) + np.diag(np.arange(float(n)))


def _positive(*shape: int) -> Any:
    x = _values(*shape)
    return x @ np.swapaxes(x, -1, -2)


def _singular(n: int, rank: int) -> Any:
    x = _any(n, n)
    return x[:, :rank] @ x[:rank]


SINGULAR = np.diag([2.0, 1.0, 0.0])


def _plain(f: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function with its result as a plain tuple."""
    return lambda *xs, **static: tuple(f(*xs, **static))


def _minors(a: Any) -> Any:
    """The cofactors by their definition: signed determinants of what is left without a row and a column."""
    n = a.shape[-1]
    out = np.ones(a.shape)
    for i, j in np.ndindex(n, n):
        rest = np.delete(np.delete(a, i, -2), j, -1)
        out[..., i, j] = (-1) ** (i + j) * np.linalg.det(rest)
    return out


def _of_triangle(a: Any, b: Any, trans: bool = False, lower: bool = False, unit_diagonal: bool = False) -> Any:
    """NumPy's solution with the triangle that is read."""
    a = np.tril(a) if lower else np.triu(a)
    if unit_diagonal:
        a = np.where(np.eye(a.shape[-1], dtype=bool), 1.0, a)
    return np.linalg.solve(np.swapaxes(a, -1, -2) if trans else a, b)


def _by_series(a: Any) -> Any:
    """The exponential by its series."""
    term = total = np.broadcast_to(np.eye(a.shape[-1]), a.shape)
    for k in range(1, 60):
        term = term @ a / k
        total = total + term
    return total


_SQUARE = [(3, 3), (2, 3, 3), (2, 1, 2, 2), (1, 1), (0, 0), (0, 2, 2)]
_OBLONG = [(3, 3), (4, 2), (2, 4), (2, 3, 2), (2, 2, 3), (3, 1), (1, 3), (1, 1), (3, 0), (0, 3), (0, 2, 3)]
_POLYNOMIALS = [[1.0, -3.0, 2.0], [2.0, 1.0, 3.0, -1.0], [1.0, 2.0, 0.0], [1.5, 2.0], [2.0], [1.0, 0.3, 2.0, 0.5, -1.0]]
_SOLVE = [
    ((3, 3), (3,)),
    ((3, 3), (3, 2)),
    ((2, 3, 3), (3,)),
    ((2, 3, 3), (3, 2)),
    ((3, 3), (2, 3, 2)),
    ((2, 1, 2, 2), (3, 2, 1)),
    ((1, 1), (1,)),
    ((0, 0), (0, 2)),
    ((2, 2), (2, 0)),
]
_DEGENERATE = [
    ("zero", np.zeros((3, 3))),
    ("identity", np.eye(3)),
    ("rank 2", _singular(3, 2)),
    ("zero row", np.diag([2.0, 0.0, 3.0])),
    ("permutation", np.eye(3)[[1, 0, 2]]),
]

ROWS: list[Row] = [
    *(Row(linalg_inv, (_values(*shape),), reference=np.linalg.inv) for shape in _SQUARE),
    *(Row(solve, (_values(*a), _any(*b)), reference=np.linalg.solve) for a, b in _SOLVE),
    *(
        Row(solve_triangular, (_values(*a), _any(*b)), static, _of_triangle)
        for a, b in _SOLVE
        for static in ({}, {"trans": True}, {"lower": True}, {"trans": True, "lower": True, "unit_diagonal": True})
    ),
    *(Row(expm, (_any(*shape),), reference=_by_series) for shape in _SQUARE),
    *(Row(det, (_values(*shape),), reference=np.linalg.det) for shape in _SQUARE),
    *(Row(det, (x,), reference=np.linalg.det, note=note) for note, x in _DEGENERATE),
    *(Row(slogdet, (_values(*shape),), reference=_plain(np.linalg.slogdet)) for shape in _SQUARE),
    Row(slogdet, (-_values(3, 3),), reference=_plain(np.linalg.slogdet), note="negative determinant"),
    *(Row(cofactors, (_values(*shape),), reference=_minors) for shape in [(3, 3), (2, 2, 2), (1, 1)]),
    *(Row(cofactors, (x,), reference=_minors, note=note, order=1) for note, x in _DEGENERATE),
    *(Row(second_cofactors, (_values(*shape), _any(*shape))) for shape in [(4, 4), (3, 3), (2, 2, 2), (1, 1)]),
    *(Row(cholesky, (_positive(*shape),), reference=np.linalg.cholesky) for shape in _SQUARE),
    Row(cholesky, (_positive(3, 3),), {"upper": True}, np.linalg.cholesky),
    Row(cholesky, (np.tril(_positive(3, 3)),), reference=np.linalg.cholesky, note="lower triangle alone"),
    *(Row(eigh, (_positive(*shape),), reference=_plain(np.linalg.eigh)) for shape in _SQUARE),
    Row(eigh, (_values(3, 3),), {"UPLO": "U"}, _plain(np.linalg.eigh), "not symmetric"),
    *(Row(eigvalsh, (_positive(*shape),), reference=np.linalg.eigvalsh) for shape in _SQUARE),
    Row(eigvalsh, (_values(3, 3),), {"UPLO": "U"}, np.linalg.eigvalsh, "not symmetric"),
    *(Row(reciprocal_gaps, (np.array(x),), {"of": "eigh"}) for x in ([1.0, 2.0, 4.0], [[3.0, 1.0], [0.0, 1.0]], [1.0])),
    # The sign of a complex vector may jump from one matrix to the next, as it does at the first of _SQUARE.
    Row(eig, (_turning(3),), reference=_plain(np.linalg.eig), note="complex eigenvalues"),
    *(Row(eig, (_values(*shape),), reference=_plain(np.linalg.eig)) for shape in _SQUARE[1:]),
    *(Row(eigvals, (_values(*shape),), reference=np.linalg.eigvals) for shape in _SQUARE),
    Row(eigvals, (_turning(4),), reference=np.linalg.eigvals, note="complex eigenvalues"),
    *(Row(independent_vectors, (_values(*shape),)) for shape in [(2, 2), (2, 3, 3), (1, 1), (0, 0)]),
    *(Row(matching, (x, x[..., ::-1]), order=0) for x in (_any(3), _any(2, 4), _any(1), _any(0))),
    *(Row(as_real, (x,)) for x in (_any(3), _any(2, 1), _any(0), 2.5)),
    Row(as_real, (_any(3) + 0j,), reference=np.real, note="complex", order=0),
    *(Row(pinv, (_values(*shape),), reference=np.linalg.pinv) for shape in _OBLONG),
    Row(pinv, (_values(3, 3),), {"hermitian": True}, lambda a, hermitian: np.linalg.pinv(a, hermitian=True)),
    Row(pinv, (_values(2, 3, 2),), {"rcond": np.array([1e-3, 1e-2])}, lambda a, rcond: np.linalg.pinv(a, rcond)),
    *(Row(known_rank, (_values(*shape),), {"rcond": 1e-15}) for shape in [(2, 2), (2, 3, 2), (1, 1), (0, 0)]),
    *(Row(polynomial_roots, (np.array(p),), reference=np.roots) for p in _POLYNOMIALS),
    Row(polynomial_roots, (_any(2, 2, 4),), reference=np.vectorize(np.roots, signature="(n)->(m)"), note="stack"),
    *(Row(polynomial_roots, (_any(*shape),), note="empty") for shape in [(0,), (0, 3), (2, 1)]),
    *(Row(simple_roots, (x,)) for x in (_any(3), _any(2, 4), _any(1), _any(0))),
    *(Row(qr, (_values(*shape),), reference=_plain(np.linalg.qr)) for shape in _OBLONG),
    *(Row(qr, (_values(*shape),), {"mode": "complete"}, _plain(np.linalg.qr)) for shape in [(3, 3), (2, 4)]),
    Row(qr, (_values(4, 2),), {"mode": "complete"}, _plain(np.linalg.qr), "no derivative", order=0),
    *(Row(independent_columns, (_values(*shape),)) for shape in [(2, 2), (2, 3, 3)]),
    *(Row(svd, (_values(*s),), {"full_matrices": False}, _plain(np.linalg.svd)) for s in _OBLONG),
    *(Row(svd, (_values(*shape),), reference=_plain(np.linalg.svd)) for shape in [(3, 3), (2, 2, 2), (1, 1)]),
    *(Row(svd, (_values(*s),), {}, _plain(np.linalg.svd), "no derivative", order=0) for s in [(4, 2), (2, 3)]),
    *(Row(svdvals, (_values(*shape),), reference=np.linalg.svdvals) for shape in _OBLONG),
    Row(svdvals, (SINGULAR,), {}, np.linalg.svdvals, "one is 0, where both sides have the mean 0", order=1),
]
