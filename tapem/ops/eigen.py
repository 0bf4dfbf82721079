"""Eigenvalues of any square matrices, with their vectors.

Matrices are in the last two axes; every other axis is a batch axis. float16 is refused, as in NumPy. The results are
complex, whatever their values are. The rules give the derivative of what NumPy computes: an eigenvector has the norm 1,
and its largest element is real. As in `eigh`, vectors have a derivative only where all eigenvalues differ; and where a
matrix is defective, not even the eigenvalues have one: then both modes raise ArgumentError.

Sources: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation"
(2008); C. Boeddeker et al., "On the computation of complex-valued gradients with application to statistically optimum
beamforming" (2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from tapem.core import Primitive, ShapeDtype
from tapem.errors import ArgumentError, DTypeError
from tapem.ops.axes import all_mapped
from tapem.ops.declare import primitive
from tapem.ops.einsum import einsum
from tapem.ops.linalg import transposed
from tapem.ops.solving import Square, batch_of_matrices, kind_of, solve, where_in
from tapem.ops.spectral import as_columns, diagonal_matrices, reciprocal_gaps
from tapem.sweeps import never_arrived
from tapem.tangents import Thunk
from tapem.types import Complex, Inexact, Num, Tensor


def complex_kind(shape: Sequence[int], a: Any) -> ShapeDtype:
    return ShapeDtype(tuple(shape), np.result_type(kind_of((), a).dtype, np.complex64))


# What has no derivative, and what has no order -----------------------------------------------------------------------


@primitive(
    rrule=(lambda g, y, v: g,),
    frule=(lambda t, y, v: t,),
    batch=batch_of_matrices,
    abstract=lambda v: ShapeDtype(v.shape, v.dtype),
)
def independent_vectors(v: Inexact[Tensor, "*batch n n"]) -> Inexact[Tensor, "*batch n n"]:
    """Return the eigenvectors of a matrix: Inexact "*batch n n" -> Inexact "*batch n n".

    Raises ArgumentError if they are linearly dependent, to within rounding.

    >>> independent_vectors(np.eye(2)).shape
    (2, 2)
    """
    s = np.linalg.svdvals(v)
    if s.size:
        rounding = v.shape[-1] * np.finfo(v.dtype).eps * s[..., 0]
        for index in np.argwhere(s[..., -1] <= rounding).tolist():
            raise ArgumentError(
                f"eig: {where_in(index)} is defective, to within rounding: its eigenvectors are linearly dependent. "
                "Its eigenvalues have no derivative there."
            )
    return v


def _batch_pair(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    return op(*all_mapped(size, inputs, mapped))


@primitive(differentiable=False, batch=_batch_pair, abstract=lambda w, other: ShapeDtype(w.shape, np.dtype(np.intp)))
def matching(w: Num[Tensor, "*batch n"], other: Num[Tensor, "*batch n"]) -> Int[Tensor, "*batch n"]:
    """The places in `other` of the numbers of `w`, each place once: Num "*batch n", Num "*batch n" -> Int "*batch n".

    Both have the same numbers, to within rounding, in whatever order.

    >>> matching(np.array([1.0, 2.0, 2.0]), np.array([2.0, 1.0, 2.0]))
    array([1, 0, 2])
    """
    places = np.empty(w.shape, np.intp)
    for index in np.ndindex(w.shape[:-1]):
        distances = np.abs(w[index][:, None] - other[index])
        for i, row in enumerate(distances):
            places[(*index, i)] = place = np.argmin(row)
            distances[:, place] = np.inf
    return places


@primitive(
    rrule=(lambda g, y, z: g,),
    frule=(lambda t, y, z: t,),
    batch=batch_of_matrices,
    abstract=lambda z: ShapeDtype(np.shape(z), np.real(np.zeros((), ShapeDtype.of(z).dtype)).dtype),
)
def as_real(z: Num[Tensor, "*shape"]) -> Num[Tensor, "*shape"]:
    """The real part of numbers whose imaginary parts are all 0: Num "*shape" -> Num "*shape".

    Raises DTypeError for others, so that nothing is lost where a program that has met real numbers meets others.

    >>> as_real(np.array([1 + 0j, 2]))
    array([1., 2.])
    """
    if np.any(np.imag(z)):
        raise DTypeError(
            "NumPy gives real numbers where all of them are real, as they were when this was recorded; now some are "
            "complex. Use tm.eig or tm.eigvals, whose results are always complex."
        )
    return np.real(np.asarray(z))[()]


# Eigenvectors --------------------------------------------------------------------------------------------------------


def _largest(v: Any) -> Any:
    """A mask of the one element of every eigenvector that LAPACK makes real: the largest one."""
    if not v.shape[-1]:
        return np.zeros(v.shape, bool)
    at = np.argmax(np.where(np.imag(v) == 0, np.abs(v), -1), axis=-2)
    return np.expand_dims(np.arange(v.shape[-1]), -1) == as_columns(at)


def _pull_eig(g: Any, y: Any, a: Any) -> Any:
    (g_w, g_v), (w, v) = g, y
    inner = diagonal_matrices(g_w)
    if not never_arrived(g_v):
        # Transposed is the step that keeps the norm at 1 and the largest element real.
        along, mask = np.sum(v * g_v, axis=-2), _largest(v)
        size = np.sum(np.real(v) * mask, axis=-2)
        free = g_v - np.conjugate(v) * as_columns(np.real(along)) - mask * as_columns(1j * np.imag(along) / size)
        inner = inner + reciprocal_gaps(w, of="eig") * (transposed(v) @ free)
    columns = transposed(independent_vectors(v))
    return solve(columns, inner @ columns)


def _push_eig(t: Any, y: Any, a: Any) -> Any:
    w, v = y
    inner = solve(independent_vectors(v), t @ v)

    def of_vectors() -> Any:
        free = v @ (reciprocal_gaps(w, of="eig") * inner)
        mask = _largest(v)
        along = np.sum(np.real(np.conjugate(v) * free), axis=-2)
        turn = np.imag(np.sum(free * mask, axis=-2)) / np.sum(np.real(v) * mask, axis=-2)
        return free - v * as_columns(along + 1j * turn)

    return einsum("...ii->...i", inner), Thunk(of_vectors)


@primitive(
    rrule=(_pull_eig,),
    frule=(_push_eig,),
    batch=batch_of_matrices,
    abstract=lambda a: (complex_kind(a.shape[:-1], a), complex_kind(a.shape, a)),
)
def eig(a: Square) -> tuple[Complex[Tensor, "*batch n"], Complex[Tensor, "*batch n n"]]:
    """The eigenvalues of square matrices, in no order, and their eigenvectors, one per column.

    Num "*batch n n" -> (Complex "*batch n", Complex "*batch n n"), with `a @ v = v * w`. The results are complex for
    real matrices too. (np.linalg.eig of a traced real matrix gives real results where all eigenvalues are real, as
    NumPy does, unless the values are not known, as inside vmap.) For symmetric or Hermitian matrices use `eigh`.

    Every vector has the norm 1 and its largest element is real; its sign is arbitrary, so only a function that does not
    depend on it has a meaningful gradient. The derivative of the vectors raises ArgumentError if two eigenvalues are
    equal, to within rounding, and that of the eigenvalues if the vectors are linearly dependent. Raises ArgumentError
    for a matrix with NaN or infinity, ShapeError for one that is not square.

    >>> w, v = eig(np.array([[0.0, 1.0], [-1.0, 0.0]]))
    >>> np.sort_complex(w)
    array([0.-1.j, 0.+1.j])
    """
    w, v = np.linalg.eig(a)
    kind = complex_kind((), a).dtype
    return w.astype(kind, copy=False), v.astype(kind, copy=False)


# Eigenvalues alone ---------------------------------------------------------------------------------------------------


def _vectors_of(w: Any, a: Any) -> Any:
    """The eigenvectors of `a` in the order of these eigenvalues: LAPACK's order may differ with vectors and without."""
    other, v = eig(a)
    return independent_vectors(np.take_along_axis(v, as_columns(matching(w, other)), axis=-1))


def _pull_eigvals(g: Any, y: Any, a: Any) -> Any:
    columns = transposed(_vectors_of(y, a))
    return solve(columns, np.expand_dims(g, -1) * columns)


def _push_eigvals(t: Any, y: Any, a: Any) -> Any:
    v = _vectors_of(y, a)
    return einsum("...ii->...i", solve(v, t @ v))


@primitive(
    rrule=(_pull_eigvals,),
    frule=(_push_eigvals,),
    batch=batch_of_matrices,
    abstract=lambda a: complex_kind(a.shape[:-1], a),
)
def eigvals(a: Square) -> Complex[Tensor, "*batch n"]:
    """The eigenvalues of square matrices, in no order, as complex numbers: Num "*batch n n" -> Complex "*batch n".

    See `eig` for real matrices. If eigenvalues are equal, symmetric functions of them (their sum, their product) have
    the derivative given here, unless the matrix is defective: then it raises ArgumentError. A second derivative raises
    ArgumentError unless the eigenvalues are distinct.

    >>> np.sort_complex(eigvals(np.array([[0.0, 1.0], [-1.0, 0.0]])))
    array([0.-1.j, 0.+1.j])
    """
    return np.linalg.eigvals(a).astype(complex_kind((), a).dtype, copy=False)


__all__ = ["eig", "eigvals"]
