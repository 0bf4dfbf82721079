"""Triangular and Cholesky solves, and the exponential of a matrix. SciPy computes them.

Matrices are in the last two axes; every other axis is a batch axis. Only one triangle of a triangular matrix is read,
so the cotangent of the other one is 0.

Sources: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation"
(2008); A. Al-Mohy and N. Higham, "Computing the Fréchet derivative of the matrix exponential" (2009), equation (1.6).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core import Array, Primitive, ShapeDtype
from tapem.errors import MissingExtraError
from tapem.ops import complex_numbers
from tapem.ops.declare import primitive
from tapem.ops.diagonals import tril, triu
from tapem.ops.linalg import aligned, transposed
from tapem.ops.solving import batch_of_matrices, kind_of
from tapem.sweeps import unbroadcast
from tapem.tangents import Thunk
from tapem.types import Inexact, Num, Tensor

Square = Num[Tensor, "*batch n n"]


def _scipy(name: str) -> Any:
    """SciPy's linear algebra, which is imported when it is needed first."""
    try:
        return importlib.import_module("scipy.linalg")
    except ImportError as error:
        raise MissingExtraError(
            f'tm.{name} needs SciPy, which is not installed: pip install "tapem[scipy]".'
        ) from error


# Triangular systems ---------------------------------------------------------------------------------------------------


def _column(b: Any, like: Any) -> Any:
    return np.expand_dims(like, -1) if np.ndim(b) == 1 else like


def _read(a: Any, lower: bool, unit_diagonal: bool) -> Any:
    """The part of `a` that is read."""
    return tril(a, k=-1 if unit_diagonal else 0) if lower else triu(a, k=1 if unit_diagonal else 0)


def _pull(g: Any, y: Any, a: Any, b: Any, trans: bool, lower: bool, unit_diagonal: bool) -> Any:
    z = solve_triangular(a, _column(b, g), trans=not trans, lower=lower, unit_diagonal=unit_diagonal)

    def of_a() -> Any:
        columns = _column(b, y)
        product = columns @ transposed(z) if trans else z @ transposed(columns)
        return unbroadcast(-_read(product, lower, unit_diagonal), np.shape(product), np.shape(a))

    of_b = z[..., 0] if np.ndim(b) == 1 else z
    return Thunk(of_a), unbroadcast(of_b, np.shape(of_b), np.shape(b))


def _push_a(t: Any, y: Any, a: Any, b: Any, trans: bool, lower: bool, unit_diagonal: bool) -> Any:
    change = _read(t, lower, unit_diagonal)
    moved = (transposed(change) if trans else change) @ _column(b, y)
    x = -solve_triangular(a, moved, trans=trans, lower=lower, unit_diagonal=unit_diagonal)
    return x[..., 0] if np.ndim(b) == 1 else x


def _shape(a: Any, b: Any, **_: Any) -> ShapeDtype:
    if b.ndim == 1:
        return kind_of(a.shape[:-1], a, b)
    return kind_of((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), a, b)


def _batch(op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]) -> Any:
    a, b = inputs
    if b.ndim - mapped[1] == 1:
        if not mapped[1]:
            return op(a, b, **static)
        rank = a.ndim - mapped[0]
        return op(aligned(a, mapped[0], rank), aligned(np.expand_dims(b, -1), True, rank), **static)[..., 0]
    rank = max(a.ndim - mapped[0], b.ndim - mapped[1])
    return op(aligned(a, mapped[0], rank), aligned(b, mapped[1], rank), **static)


@primitive(
    rrule=_pull,
    frule=(_push_a, lambda t, y, a, b, **static: solve_triangular(a, t, **static)),
    batch=_batch,
    abstract=_shape,
)
def solve_triangular(
    a: Num[Tensor, "*#batch n n"],
    b: Num[Tensor, "n"] | Num[Tensor, "*#batch n k"],
    trans: bool = False,
    lower: bool = False,
    unit_diagonal: bool = False,
) -> Inexact[Tensor, "..."]:
    """The solution x of `a @ x = b`, or of `a.T @ x = b` with `trans`, for a triangular `a`.

    Num "*#batch n n", Num "n" or Num "*#batch n k" -> Inexact "...". Only the upper triangle of `a` is read, or the
    lower one with `lower`; with `unit_diagonal` its diagonal is not read and taken for 1. Needs SciPy.

    Raises ArgumentError for a singular matrix, ShapeError if the sizes differ.

    >>> solve_triangular(np.array([[2.0, 0.0], [1.0, 4.0]]), np.array([2.0, 5.0]), lower=True)
    array([1., 1.])
    """
    kind = kind_of((), a, b)
    shape = _shape(a, b).shape
    columns = _column(b, b)
    a = np.broadcast_to(a, (*shape[: len(shape) - (b.ndim > 1) * 2 - (b.ndim == 1)], *a.shape[-2:]))
    columns = np.broadcast_to(columns, (*a.shape[:-2], *columns.shape[-2:]))
    found = np.zeros(columns.shape, kind.dtype)
    solve = _scipy("solve_triangular").solve_triangular
    for place in np.ndindex(a.shape[:-2]):
        if columns[place].size:
            found[place] = solve(a[place], columns[place], int(trans), lower, unit_diagonal, check_finite=False)
    return found[..., 0] if b.ndim == 1 else found


def cho_solve(c: Any, b: Any, *, lower: bool = True) -> Any:
    """The solution x of `a @ x = b`, where `c` is the Cholesky factor of `a`, as np.linalg.cholesky gives it.

    Num "*#batch n n", Num "n" or Num "*#batch n k" -> Inexact "...". With lower=False, `c` is the upper factor. Needs
    SciPy. Raises what `solve_triangular` raises.

    >>> cho_solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([4.0, 16.0]))
    array([1., 1.])
    """
    turned = complex_numbers.conj(c)
    first: Any = solve_triangular(c if lower else turned, b, trans=not lower, lower=lower)
    return solve_triangular(turned if lower else c, first, trans=lower, lower=lower)


# The exponential ------------------------------------------------------------------------------------------------------


def _derivative(a: Any, direction: Any) -> Any:
    """The derivative of the exponential at `a` along a direction: a corner of the exponential of four blocks."""
    n = np.shape(a)[-1]
    top = np.concatenate([a, direction], axis=-1)
    bottom = np.concatenate([a * 0.0, a], axis=-1)
    return expm(np.concatenate([top, bottom], axis=-2))[..., :n, n:]


@primitive(
    rrule=(lambda g, y, a: _derivative(transposed(a), g),),
    frule=(lambda t, y, a: _derivative(a, t),),
    batch=batch_of_matrices,
    abstract=lambda a: kind_of(a.shape, a),
)
def expm(a: Square) -> Inexact[Tensor, "*batch n n"]:
    """The exponential of every matrix: Num "*batch n n" -> Inexact "*batch n n". Needs SciPy.

    Raises ShapeError for a matrix that is not square.

    >>> expm(np.zeros((2, 2)))
    array([[1., 0.],
           [0., 1.]])
    """
    kind = kind_of(a.shape, a)
    x: Array = np.asarray(a, kind.dtype)
    return _scipy("expm").expm(x) if x.size else np.zeros(x.shape, x.dtype)


__all__ = ["cho_solve", "expm", "solve_triangular"]
