"""Factorizations by elimination and by orthogonalization: Cholesky and QR.

Matrices are in the last two axes; every other axis is a batch axis. float16 is refused, as in NumPy. The rules give the
derivative of what NumPy computes: `cholesky` reads one triangle of its operand, so the cotangent is in that triangle;
along symmetric perturbations it equals the symmetric matrix that the paper gives. Where there is no derivative, both
modes raise ArgumentError.

Sources: I. Murray, "Differentiation of the Cholesky decomposition" (2016); M. Seeger et al., "Auto-differentiating
linear algebra" (2017); S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions with
application in optimum experimental design" (2010).
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from tapem.core import ShapeDtype
from tapem.errors import ArgumentError
from tapem.ops.complex_numbers import conjugated
from tapem.ops.declare import primitive
from tapem.ops.linalg import adjoint, transposed
from tapem.ops.solving import InexactSquare, Square, batch_of_matrices, kind_of, solve, where_in
from tapem.types import Inexact, Num, Tensor

Matrix = Num[Tensor, "*batch m n"]
Mode: TypeAlias = Literal["reduced", "complete"]


def triangle(x: Any, lower: bool, diagonal: float) -> Any:
    """A mask for one triangle of every matrix of a stack, with this number on the diagonal."""
    n = x.shape[-1]
    mask = np.tri(n, k=-1, dtype=x.dtype) + diagonal * np.eye(n, dtype=x.dtype)
    return mask if lower else mask.T


def _diagonal_part(x: Any) -> Any:
    return x * np.eye(x.shape[-1], dtype=x.dtype)


def mirrored(x: Any, lower: bool = True) -> Any:
    """The Hermitian matrix with this triangle; of its diagonal only the real part is read."""
    half = x * triangle(x, lower, 0)
    return half + np.real(_diagonal_part(x)) + adjoint(half)


def folded(x: Any, lower: bool = True) -> Any:
    """The adjoint of `mirrored` as a linear map: it adds the other triangle to this one."""
    return (x + adjoint(x)) * triangle(x, lower, 0) + np.real(_diagonal_part(x))


# Cholesky -------------------------------------------------------------------------------------------------------------


def _pull_cholesky(g: Any, y: Any, a: Any, upper: bool) -> Any:
    if upper:
        return adjoint(_pull_cholesky(adjoint(g), adjoint(y), a, False))
    inner = adjoint(y) @ conjugated(g)
    half = solve(adjoint(y), inner * triangle(inner, True, 0.5))
    return conjugated(folded(adjoint(solve(adjoint(y), adjoint(half)))))


def _push_cholesky(t: Any, y: Any, a: Any, upper: bool) -> Any:
    if upper:
        return adjoint(_push_cholesky(adjoint(t), adjoint(y), a, False))
    inner = solve(y, adjoint(solve(y, mirrored(t))))
    return y @ (inner * triangle(inner, True, 0.5))


@primitive(
    rrule=(_pull_cholesky,),
    frule=(_push_cholesky,),
    batch=batch_of_matrices,
    abstract=lambda a, upper: kind_of(a.shape, a),
    numpy=[np.linalg.cholesky],
)
def cholesky(a: Square, *, upper: bool = False) -> InexactSquare:
    """The lower triangular L with `a = L @ L^H`; with `upper`, its adjoint.

    Num "*batch n n" -> Inexact "*batch n n". Only the lower triangle of `a` (with `upper`, the upper one) is read, and
    only it has a cotangent.

    Raises ArgumentError for a matrix that is not positive definite, with its least eigenvalue. Source: Murray (2016).

    >>> cholesky(np.array([[4.0, 2.0], [2.0, 2.0]]))
    array([[2., 0.],
           [1., 1.]])
    """
    try:
        return np.linalg.cholesky(a, upper=upper)
    except np.linalg.LinAlgError as error:
        if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
            raise
        least = np.linalg.eigvalsh(a, "U" if upper else "L")[..., 0]
        index = tuple(int(i) for i in np.unravel_index(np.argmin(least), least.shape))
        raise np.linalg.LinAlgError(
            f"{where_in(index)} is not positive definite: its least eigenvalue is {float(least[index]):.6g}"
        ) from error


# QR -------------------------------------------------------------------------------------------------------------------


@primitive(
    rrule=(lambda g, y, r: g,),
    frule=(lambda t, y, r: t,),
    batch=batch_of_matrices,
    abstract=lambda r: ShapeDtype(r.shape, r.dtype),
)
def independent_columns(r: Inexact[Tensor, "*batch n n"]) -> Inexact[Tensor, "*batch n n"]:
    """Return the factor R of a QR decomposition: Inexact "*batch n n" -> Inexact "*batch n n".

    Raises ArgumentError if the matrix has linearly dependent columns.

    >>> independent_columns(np.eye(2)).shape
    (2, 2)
    """
    sizes = np.abs(np.einsum("...ii->...i", r))
    rounding = r.shape[-1] * np.finfo(r.dtype).eps * np.max(sizes, axis=-1, keepdims=True, initial=0)
    for *index, column in np.argwhere(sizes <= rounding):
        raise ArgumentError(
            f"qr: column {column} of {where_in(index)} is a combination of the columns before it, to within rounding "
            f"(|R[{column}, {column}]| is {float(sizes[*index, column]):.6g}): there is no derivative there."
        )
    return r


def _require_known(mode: Mode) -> None:
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"qr: mode={mode!r}, but it must be 'reduced' or 'complete'. For R alone use qr(a)[1].")


def _require_unique_q(a: Any, mode: Mode) -> None:
    if mode == "complete" and a.shape[-2] > a.shape[-1]:
        raise ArgumentError(
            f"qr: with mode='complete', the last {a.shape[-2] - a.shape[-1]} columns of Q are not determined by a "
            f"matrix of shape {a.shape[-2:]}, so they have no derivative. Use mode='reduced'."
        )


def _pull_qr(g: Any, y: Any, a: Any, mode: Mode) -> Any:
    _require_unique_q(a, mode)
    (g_q, g_r), (q, r) = map(conjugated, g), y
    m, n = a.shape[-2:]
    if n > m:  # the first m columns determine Q; the others are Q^H times the rest of A
        g_q = g_q + a[..., m:] @ adjoint(g_r[..., m:])
    square = independent_columns(r[..., :m])
    inner = square @ adjoint(g_r[..., :m]) - adjoint(g_q) @ q
    first = adjoint(solve(square, adjoint(g_q + q @ mirrored(inner))))
    return conjugated(np.concatenate([first, q @ g_r[..., m:]], axis=-1) if n > m else first)


def _push_qr(t: Any, y: Any, a: Any, mode: Mode) -> Any:
    _require_unique_q(a, mode)
    q, r = y
    m, n = a.shape[-2:]
    square = independent_columns(r[..., :m])
    scaled = transposed(solve(transposed(square), transposed(t[..., :m])))
    inner = adjoint(q) @ scaled
    below = inner * triangle(inner, True, 0)
    turn = below - adjoint(below)
    if np.iscomplexobj(inner):  # the diagonal of R stays real
        turn = turn + 1j * np.imag(_diagonal_part(inner))
    t_q = q @ (turn - inner) + scaled
    t_r = (inner - turn) @ square
    if n > m:
        t_r = np.concatenate([t_r, adjoint(t_q) @ a[..., m:] + adjoint(q) @ t[..., m:]], axis=-1)
    return t_q, t_r


def _shapes_of_qr(a: Any, mode: Mode) -> tuple[ShapeDtype, ShapeDtype]:
    _require_known(mode)
    *batch, m, n = a.shape
    k = m if mode == "complete" else min(m, n)
    return kind_of((*batch, m, k), a), kind_of((*batch, k, n), a)


@primitive(
    rrule=(_pull_qr,),
    frule=(_push_qr,),
    batch=batch_of_matrices,
    abstract=_shapes_of_qr,
)
def qr(a: Matrix, mode: Mode = "reduced") -> tuple[Inexact[Tensor, "*batch m k"], Inexact[Tensor, "*batch k n"]]:
    """The factors of `a = Q @ R`: the columns of Q are orthonormal and R is upper triangular.

    Num "*batch m n" -> (Inexact "*batch m k", Inexact "*batch k n"), with k = min(m, n), or k = m if `mode` is
    "complete". The diagonal of R is real.

    The derivative raises ArgumentError if the first min(m, n) columns are not independent, to within rounding, and in
    mode "complete" if m > n, since then the last columns of Q are arbitrary.
    Raises ArgumentError for any other mode (for R alone, `qr(a)[1]`). Source: Walter and Lehmann (2010).

    >>> q, r = qr(np.array([[0.0, 2.0], [1.0, 3.0]]))
    >>> np.abs(q), np.abs(r)
    (array([[0., 1.],
           [1., 0.]]), array([[1., 3.],
           [0., 2.]]))
    """
    _require_known(mode)
    q, r = np.linalg.qr(a, mode)
    return q, r


__all__ = ["cholesky", "qr"]
