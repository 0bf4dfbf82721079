"""Eigenvalues of symmetric matrices, and singular values, with their vectors.

Matrices are in the last two axes; every other axis is a batch axis. float16 is refused, as in NumPy. The rules give the
derivative of what NumPy computes: `eigh` and `eigvalsh` read one triangle of their operand, so its cotangent is in that
triangle; along symmetric perturbations it equals the symmetric matrix that the papers give.

Vectors turn at a rate of one over the gap between two values. If two values are equal there is no derivative, and a
formula that skips them would be silently wrong (for the logarithm of the identity matrix, for example), so both modes
raise ArgumentError. A function of the values alone has no such limit: then the vectors get no cotangent, and nothing
needs their tangent. But a cotangent of zeros for the vectors does raise: the logarithm above gives one.

Sources: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation"
(2008); J. Townsend, "Differentiating the singular value decomposition" (2016).
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from tapem.core import ShapeDtype
from tapem.errors import ArgumentError
from tapem.ops.complex_numbers import conjugated
from tapem.ops.declare import primitive
from tapem.ops.decompositions import Matrix, folded, mirrored
from tapem.ops.einsum import einsum
from tapem.ops.linalg import adjoint
from tapem.ops.solving import InexactSquare, Square, batch_of_matrices, kind_of, where_in
from tapem.sweeps import never_arrived
from tapem.tangents import Thunk
from tapem.types import Float, Inexact, Tensor


def as_columns(x: Any) -> Any:
    return np.expand_dims(x, -2)


def diagonal_matrices(x: Any) -> Any:
    """Convert a stack of vectors to diagonal matrices."""
    return np.eye(x.shape[-1], dtype=x.dtype) * as_columns(x)


# Eigenvalues of symmetric matrices ------------------------------------------------------------------------------------

_VALUES = {
    "eigh": ("eigenvalues", "eigvalsh"),
    "eig": ("eigenvalues", "eigvals"),
    "svd": ("singular values", "svdvals"),
}


@primitive(
    rrule=(lambda g, y, x, of: np.sum(-g * y * y, axis=-2) - np.sum(-g * y * y, axis=-1),),
    frule=(lambda t, y, x, of: -y * y * (as_columns(t) - np.expand_dims(t, -1)),),
    batch=batch_of_matrices,
    abstract=lambda x, of: ShapeDtype((*x.shape, x.shape[-1]), x.dtype),
)
def reciprocal_gaps(x: Inexact[Tensor, "*batch n"], of: str) -> Inexact[Tensor, "*batch n n"]:
    """The numbers `1 / (x[j] - x[i])` at [i, j], and 0 if i = j: the factors in the derivative of an eigenvector.

    Inexact "*batch n" -> Inexact "*batch n n".

    `of` is the decomposition: "eigh" and "eig" need distinct eigenvalues, "svd" distinct singular values above zero.
    Raises ArgumentError if they are not, to within the rounding errors of the decomposition.

    >>> reciprocal_gaps(np.array([1.0, 3.0]), of="eigh")
    array([[ 0. ,  0.5],
           [-0.5,  0. ]])
    """
    n = x.shape[-1]
    gaps = x[..., None, :] - x[..., :, None]
    rounding = n * np.finfo(x.dtype).eps * np.max(np.abs(x), axis=-1, keepdims=True, initial=0)
    same = np.eye(n, dtype=bool)
    if of == "svd":
        for *index, i in np.argwhere(x <= rounding):
            raise ArgumentError(
                f"svd: singular value {i} of {where_in(index)} is {float(x[*index, i]):.6g}, zero to within rounding, "
                "where the decomposition has no derivative. For the singular values alone use svdvals."
            )
    for *index, i, j in np.argwhere((np.abs(gaps) <= rounding[..., None]) & ~same):
        what, alone = _VALUES[of]
        raise ArgumentError(
            f"{of}: {what} {i} and {j} of {where_in(index)} are both {x[*index, i].item():.6g}, to within rounding, "
            f"where the vectors that belong to them have no derivative. For the {what} alone use {alone}."
        )
    return np.where(same, 0, 1 / np.where(same, 1, gaps)).astype(x.dtype, copy=False)


UpLo: TypeAlias = Literal["L", "U", "l", "u"]


def _reads_lower(uplo: UpLo) -> bool:
    if uplo not in ("L", "l", "U", "u"):
        raise ValueError(f"UPLO={uplo!r}, but it must be 'L' for the lower triangle or 'U' for the upper one")
    return uplo in ("L", "l")


def _shape_of_eigenvalues(a: Any, UPLO: UpLo) -> ShapeDtype:
    _reads_lower(UPLO)
    return kind_of(a.shape[:-1], a, real=True)


def _of_eigenvalues(g: Any, v: Any, UPLO: UpLo) -> Any:
    """The cotangent of the matrices from the cotangent of their eigenvalues."""
    return conjugated(folded((v * as_columns(g)) @ adjoint(v), _reads_lower(UPLO)))


def _pull_eigh(g: Any, y: Any, a: Any, UPLO: UpLo) -> Any:
    (g_w, g_v), (w, v) = g, y
    if never_arrived(g_v):
        return _of_eigenvalues(g_w, v, UPLO)
    inner = reciprocal_gaps(w, of="eigh") * (adjoint(v) @ conjugated(g_v)) + diagonal_matrices(g_w)
    return conjugated(folded(v @ inner @ adjoint(v), _reads_lower(UPLO)))


def _push_eigh(t: Any, y: Any, a: Any, UPLO: UpLo) -> Any:
    w, v = y
    inner = adjoint(v) @ mirrored(t, _reads_lower(UPLO)) @ v
    return einsum("...ii->...i", inner), Thunk(lambda: v @ (reciprocal_gaps(w, of="eigh") * inner))


@primitive(
    rrule=(_pull_eigh,),
    frule=(_push_eigh,),
    batch=batch_of_matrices,
    abstract=lambda a, UPLO: (_shape_of_eigenvalues(a, UPLO), kind_of(a.shape, a)),
)
def eigh(a: Square, UPLO: UpLo = "L") -> tuple[Float[Tensor, "*batch n"], InexactSquare]:
    """The eigenvalues of Hermitian matrices, ascending, and their eigenvectors, one per column.

    Num "*batch n n" -> (Float "*batch n", Inexact "*batch n n"), with `a @ v = v * w`. A real matrix is symmetric. Only
    the lower triangle is read, or the upper one with `UPLO="U"`, and only it has a cotangent.

    Eigenvectors have a derivative only if all eigenvalues differ: if two are equal, to within rounding, the derivative
    of a function of the eigenvectors raises ArgumentError. A function of the eigenvalues alone is differentiated as in
    `eigvalsh`. The sign of an eigenvector, or its phase if it is complex, is arbitrary, so only a function that does
    not depend on it has a meaningful gradient. Source: Giles (2008), section 3.1.

    >>> w, v = eigh(np.array([[2.0, 0.0], [0.0, 1.0]]))
    >>> w, np.abs(v)
    (array([1., 2.]), array([[0., 1.],
           [1., 0.]]))
    """
    _reads_lower(UPLO)
    w, v = np.linalg.eigh(a, UPLO)
    return w, v


def _pull_eigvalsh(g: Any, y: Any, a: Any, UPLO: UpLo) -> Any:
    _, v = eigh(a, UPLO)
    return _of_eigenvalues(g, v, UPLO)


def _push_eigvalsh(t: Any, y: Any, a: Any, UPLO: UpLo) -> Any:
    _, v = eigh(a, UPLO)
    return np.sum(conjugated(v) * (mirrored(t, _reads_lower(UPLO)) @ v), axis=-2)


@primitive(
    rrule=(_pull_eigvalsh,),
    frule=(_push_eigvalsh,),
    batch=batch_of_matrices,
    abstract=_shape_of_eigenvalues,
    numpy=[np.linalg.eigvalsh],
)
def eigvalsh(a: Square, UPLO: UpLo = "L") -> Float[Tensor, "*batch n"]:
    """The eigenvalues of Hermitian matrices, ascending: Num "*batch n n" -> Float "*batch n". `UPLO` is as in `eigh`.

    If eigenvalues are equal, symmetric functions of them (their sum, the sum of their squares) have the derivative
    given here; a single one of them has a kink, at which its derivative depends on the computed eigenvectors. A second
    derivative raises ArgumentError unless the eigenvalues are distinct.

    >>> eigvalsh(np.array([[2.0, 0.0], [0.0, 1.0]]))
    array([1., 2.])
    """
    _reads_lower(UPLO)
    return np.linalg.eigvalsh(a, UPLO)


# Singular values ------------------------------------------------------------------------------------------------------


def _require_reduced(a: Any, full_matrices: bool) -> None:
    if full_matrices and a.shape[-2] != a.shape[-1]:
        raise ArgumentError(
            f"svd: with full_matrices=True, the last {abs(a.shape[-2] - a.shape[-1])} singular vectors are not "
            f"determined by a matrix of shape {a.shape[-2:]}, so they have no derivative. Use full_matrices=False."
        )


def _of_singular_values(g: Any, u: Any, s: Any, vh: Any) -> Any:
    """The cotangent of the matrices from the cotangent of their singular values."""
    k = s.shape[-1]
    return conjugated((u[..., :k] * as_columns(g * np.sign(s))) @ vh[..., :k, :])


def _pull_svd(g: Any, y: Any, a: Any, full_matrices: bool) -> Any:
    (g_u, g_s, g_vh), (u, s, vh) = g, y
    if never_arrived(g_u) and never_arrived(g_vh):
        return _of_singular_values(g_s, u, s, vh)
    _require_reduced(a, full_matrices)
    m, n = a.shape[-2:]
    g_u, g_vh = conjugated(g_u), conjugated(g_vh)
    of_u, of_v = adjoint(u) @ g_u, vh @ adjoint(g_vh)
    same = (of_u + of_v) * reciprocal_gaps(s, of="svd")
    skew = (of_u - of_v) / (as_columns(s) + np.expand_dims(s, -1))
    inner = diagonal_matrices(g_s) + (same + adjoint(same) + skew - adjoint(skew)) / 2
    result = u @ inner @ vh
    if m > n:  # the part of the cotangent that is not a rotation within the singular vectors
        result = result + ((g_u - u @ of_u) / as_columns(s)) @ vh
    if n > m:
        result = result + u @ ((g_vh - adjoint(of_v) @ vh) / np.expand_dims(s, -1))
    return conjugated(result)


def _push_svd(t: Any, y: Any, a: Any, full_matrices: bool) -> Any:
    u, s, vh = y
    k = s.shape[-1]

    def vectors() -> tuple[Any, Any]:
        _require_reduced(a, full_matrices)
        m, n = a.shape[-2:]
        inner = adjoint(u) @ t @ adjoint(vh)
        same = (inner + adjoint(inner)) * reciprocal_gaps(s, of="svd")
        skew = (inner - adjoint(inner)) / (as_columns(s) + np.expand_dims(s, -1))
        t_u, t_vh = u @ ((same + skew) / 2), adjoint((same - skew) / 2) @ vh
        if m > n:
            t_u = t_u + (t @ adjoint(vh) - u @ inner) / as_columns(s)
        if n > m:
            t_vh = t_vh + (adjoint(u) @ t - inner @ vh) / np.expand_dims(s, -1)
        return t_u, t_vh

    t_s = np.sum(conjugated(u[..., :k]) * (t @ adjoint(vh[..., :k, :])), axis=-2) * np.sign(s)
    return Thunk(lambda: vectors()[0]), t_s, Thunk(lambda: vectors()[1])


def _shapes_of_svd(a: Any, full_matrices: bool) -> tuple[ShapeDtype, ShapeDtype, ShapeDtype]:
    *batch, m, n = a.shape
    k = min(m, n)
    rows, columns = (m, n) if full_matrices else (k, k)
    return kind_of((*batch, m, rows), a), kind_of((*batch, k), a, real=True), kind_of((*batch, columns, n), a)


@primitive(
    rrule=(_pull_svd,),
    frule=(_push_svd,),
    batch=batch_of_matrices,
    abstract=_shapes_of_svd,
)
def svd(
    a: Matrix, full_matrices: bool = True
) -> tuple[Inexact[Tensor, "*batch m rows"], Float[Tensor, "*batch k"], Inexact[Tensor, "*batch columns n"]]:
    """The factors of `a = U @ diag(s) @ Vh`: orthonormal columns, descending singular values, orthonormal rows.

    Num "*batch m n" -> (Inexact "*batch m m", Float "*batch k", Inexact "*batch n n") with k = min(m, n); without
    `full_matrices`, (Inexact "*batch m k", Float "*batch k", Inexact "*batch k n").

    A function of the vectors has a derivative if the singular values differ and none is zero, to within rounding, and
    if `full_matrices` adds no arbitrary vectors (with `full_matrices=False`, or for square matrices). Otherwise its
    derivative raises ArgumentError. A function of the values alone is differentiated as in `svdvals`. The sign of a
    pair of singular vectors, or its phase if they are complex, is arbitrary, so only a function that does not depend on
    it has a meaningful gradient. Source: Townsend (2016).

    >>> u, s, vh = svd(np.array([[0.0, 2.0], [1.0, 0.0]]))
    >>> s, (u * s) @ vh
    (array([2., 1.]), array([[0., 2.],
           [1., 0.]]))
    """
    u, s, vh = np.linalg.svd(a, full_matrices)
    return u, s, vh


def _pull_svdvals(g: Any, y: Any, a: Any) -> Any:
    u, s, vh = svd(a, full_matrices=False)
    return _of_singular_values(g, u, s, vh)


def _push_svdvals(t: Any, y: Any, a: Any) -> Any:
    u, s, vh = svd(a, full_matrices=False)
    return np.sum(conjugated(u) * (t @ adjoint(vh)), axis=-2) * np.sign(s)


@primitive(
    rrule=(_pull_svdvals,),
    frule=(_push_svdvals,),
    batch=batch_of_matrices,
    abstract=lambda a: kind_of((*a.shape[:-2], min(a.shape[-2:])), a, real=True),
    numpy=[np.linalg.svdvals],
)
def svdvals(a: Matrix) -> Float[Tensor, "*batch k"]:
    """The singular values, in descending order: Num "*batch m n" -> Float "*batch k" with k = min(m, n).

    Kink: a singular value is the absolute value of a smooth function, and at 0 its derivative is 0.

    If singular values are equal, symmetric functions of them (the nuclear norm) have the derivative given here; that of
    a single one depends on the computed singular vectors. A second derivative raises ArgumentError unless the values
    are distinct and above zero.

    >>> svdvals(np.array([[0.0, 2.0], [1.0, 0.0]]))
    array([2., 1.])
    """
    return np.linalg.svdvals(a)


__all__ = ["eigh", "eigvalsh", "svd", "svdvals"]
