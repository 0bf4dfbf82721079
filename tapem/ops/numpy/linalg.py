"""The functions of `np.linalg` that are made from ops, with NumPy's arguments; see `functions`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapem.core import detach
from tapem.errors import ArgumentError
from tapem.ops import decompositions, eigen, norms, pseudo_inverse, solving, spectral
from tapem.ops.axes import axes_of
from tapem.ops.complex_numbers import conjugated
from tapem.ops.linalg import adjoint
from tapem.ops.numpy.functions import MISSING, equals

# -- products ------------------------------------------------------------------------------------------------------

equals(np.linalg.matmul)(lambda x1, x2, /: np.matmul(x1, x2))
equals(np.linalg.outer)(lambda x1, x2, /: np.outer(x1, x2))
equals(np.linalg.tensordot)(lambda x1, x2, /, *, axes=2: np.tensordot(x1, x2, axes))
equals(np.linalg.vecdot)(lambda x1, x2, /, *, axis=-1: np.vecdot(np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1)))
equals(np.linalg.diagonal)(lambda x, /, *, offset=0: np.diagonal(x, offset, -2, -1))
equals(np.linalg.trace)(lambda x, /, *, offset=0: np.trace(x, offset, -2, -1))
equals(np.linalg.cross)(lambda x1, x2, /, *, axis=-1: np.cross(x1, x2, axis=axis))


@equals(np.linalg.multi_dot)
def multi_dot(arrays: Any) -> Any:
    """The product of several matrices, from left to right."""
    product, *rest = arrays
    for matrix in rest:
        product = np.dot(product, matrix)
    return product


@equals(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """A power of a square matrix, by repeated squaring; a negative power inverts it first."""
    if n < 0:
        a, n = np.linalg.inv(a), -n
    power = np.broadcast_to(np.eye(np.shape(a)[-1], dtype=a.dtype), np.shape(a))
    while n:
        power = np.matmul(power, a) if n & 1 else power
        n >>= 1
        a = np.matmul(a, a) if n else a
    return power


@equals(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The cross product of vectors of three elements."""
    axes = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    a, b = np.moveaxis(a, axes[0], -1), np.moveaxis(b, axes[1], -1)
    if np.shape(a)[-1] != 3 or np.shape(b)[-1] != 3:
        raise ArgumentError(f"np.cross takes vectors of 3 elements, not of {np.shape(a)[-1]} and {np.shape(b)[-1]}.")
    product = np.roll(a, -1, -1) * np.roll(b, -2, -1) - np.roll(a, -2, -1) * np.roll(b, -1, -1)
    return np.moveaxis(product, -1, axes[2])


# -- systems -----------------------------------------------------------------------------------------------------------


@equals(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """The least-squares solution, its residuals, the rank and the singular values, for a matrix of full rank.

    It goes by the QR decomposition, so a matrix whose columns (or rows, if it is wide) are dependent is refused.
    """
    rows, columns = np.shape(a)
    s = np.linalg.svdvals(a)
    rank = np.linalg.matrix_rank(a, rtol=rcond).astype(np.int32)
    right = np.expand_dims(b, -1) if np.ndim(b) == 1 else b
    if rows >= columns:
        q, r = decompositions.qr(a)
        x = np.linalg.solve(r, adjoint(q) @ right)
    else:
        q, r = decompositions.qr(adjoint(a))
        x = q @ np.linalg.solve(adjoint(r), right)
    rest = right - a @ x
    squares = np.sum(np.real(conjugated(rest) * rest), axis=0)
    return x[..., 0] if np.ndim(b) == 1 else x, squares if rows > columns else squares[:0], rank, s


@equals(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """The condition number: the ratio of the singular values, or in another norm that of the matrix and its inverse."""
    if p in (None, 2, -2):
        s = np.linalg.svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return np.linalg.norm(x, p, axis=(-2, -1)) * np.linalg.norm(np.linalg.inv(x), p, axis=(-2, -1))


@equals(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of the linear map that `tensordot(a, b, ind)` is."""
    shape = np.shape(a)
    if ind <= 0:
        raise ArgumentError(f"np.linalg.tensorinv: ind={ind}, but it is the number of the first axes, 1 or more.")
    matrix = np.reshape(a, (math.prod(shape[:ind]), math.prod(shape[ind:])))
    return np.reshape(np.linalg.inv(matrix), (*shape[ind:], *shape[:ind]))


@equals(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """The solution x of `tensordot(a, x, x.ndim) = b`."""
    if axes is not None:
        last = [axes_of(a, axis, "np.linalg.tensorsolve")[0] for axis in axes]
        a = np.transpose(a, (*(i for i in range(np.ndim(a)) if i not in last), *last))
    shape = np.shape(a)[np.ndim(b) :]
    matrix = np.reshape(a, (math.prod(np.shape(b)), math.prod(shape)))
    return np.reshape(np.linalg.solve(matrix, np.ravel(b)), shape)


@equals(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = MISSING) -> Any:
    """The pseudo-inverse; `rtol=None` stands for the rounding of the dtype."""
    if rcond is not None and rtol is not MISSING:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    if rtol is None:
        rtol = max(np.shape(a)[-2:]) * np.finfo(a.dtype).eps
    return pseudo_inverse.pinv(a, rcond=rcond if rtol is MISSING else rtol, hermitian=hermitian)


# -- norms ---------------------------------------------------------------------------------------------------------


@equals(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """The norm of vectors, of any order."""
    if ord == 0:
        return np.sum((x != 0).astype(np.real(x).dtype), axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    op: Any = norms.quasi_norm if not isinstance(ord, str) and ord < 1 else norms.norm
    return op(x, axis=axis, keepdims=keepdims, ord=ord)


@equals(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of matrices: Frobenius, nuclear (the sum of the singular values), 1, 2, inf, or -1, -2, -inf."""
    if ord in (None, "fro", "f"):
        return norms.norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        sums = np.sum(np.abs(x), axis=-2 if abs(ord) == 1 else -1)
        found = (np.max if ord > 0 else np.min)(sums, axis=-1)
    elif ord in (2, -2, "nuc"):
        values = np.linalg.svdvals(x)
        found = {2: np.max, -2: np.min, "nuc": np.sum}[ord](values, axis=-1)
    else:
        raise ArgumentError(f"np.linalg.matrix_norm: ord={ord!r} is not the order of a norm of matrices.")
    return np.expand_dims(found, (-2, -1)) if keepdims else found


@equals(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors (one axis) or matrices (two axes)."""
    rank = np.ndim(x)
    if ord is None and axis is None:
        return norms.norm(x, axis=None, keepdims=keepdims)
    if axis is None and rank > 2:
        raise ArgumentError(f"np.linalg.norm: ord={ord!r} needs an axis, or two, for an array of {rank} axes.")
    axes = tuple(range(rank)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if len(axes) == 1:
        return vector_norm(x, axis=axes[0], keepdims=keepdims, ord=2 if ord is None else ord)
    first, second = (axes_of(x, a, "np.linalg.norm")[0] for a in axes)
    found = matrix_norm(np.moveaxis(x, (first, second), (-2, -1)), ord=ord)
    return np.expand_dims(found, (first, second)) if keepdims else found


# -- decompositions ------------------------------------------------------------------------------------------------

# In NumPy these results have names.
_SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))
_QRResult: Any = type(np.linalg.qr(np.eye(1)))
_EigResult: Any = type(np.linalg.eig(np.eye(1)))
_EighResult: Any = type(np.linalg.eigh(np.eye(1)))
_SVDResult: Any = type(np.linalg.svd(np.eye(1)))

equals(np.linalg.slogdet)(lambda a: _SlogdetResult(*solving.slogdet(a)))


# Whether NumPy gives real eigenvalues where all of them are real.
_REAL_IF_REAL = np.linalg.eigvals(np.eye(1)).dtype.kind == "f"


def real_if_real(a: Any, w: Any, *others: Any) -> Any:
    """What belongs to a real `a`, real where all of `w` are real, as far as their values are known."""
    known = detach(w)
    if _REAL_IF_REAL and not np.iscomplexobj(a) and isinstance(known, np.ndarray) and not known.imag.any():
        return tuple(map(eigen.as_real, (w, *others)))
    return w, *others


@equals(np.linalg.eig)
def eig(a: Any) -> Any:
    """Eigenvalues and eigenvectors of square matrices."""
    return _EigResult(*real_if_real(a, *eigen.eig(a)))


@equals(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    """Eigenvalues of square matrices."""
    return real_if_real(a, eigen.eigvals(a))[0]


@equals(np.linalg.eigh)
def eigh(a: Any, UPLO: Any = "L") -> Any:
    """Eigenvalues and eigenvectors of Hermitian matrices."""
    return _EighResult(*spectral.eigh(a, UPLO))


@equals(np.linalg.qr)
def qr(a: Any, mode: Any = "reduced") -> Any:
    """Orthonormal columns and an upper triangle; only the triangle with mode "r"."""
    return decompositions.qr(a)[1] if mode == "r" else _QRResult(*decompositions.qr(a, mode))


@equals(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Singular vectors and values; only the values without `compute_uv`. Those of a Hermitian matrix go by `eigh`."""
    if hermitian:
        return _hermitian_svd(a) if compute_uv else np.flip(np.sort(np.abs(np.linalg.eigvalsh(a))), -1)
    return _SVDResult(*spectral.svd(a, full_matrices)) if compute_uv else spectral.svdvals(a)


def _hermitian_svd(a: Any) -> Any:
    """The eigenvalues without their signs, which the second vectors take, in descending order."""
    w, v = spectral.eigh(a)
    order = np.flip(np.argsort(np.abs(w)), -1)
    w, u = np.take_along_axis(w, order, -1), np.take_along_axis(v, np.expand_dims(order, -2), -1)
    return _SVDResult(u, np.abs(w), adjoint(u * np.expand_dims(np.sign(w), -2)))
