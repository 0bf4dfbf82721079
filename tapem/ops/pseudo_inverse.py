"""The pseudo-inverse of matrices that need be neither square nor of full rank.

Matrices are in the last two axes; every other axis is a batch axis. float16 is refused, as in NumPy.

Source: G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose
variables separate" (1973).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from tapem.core import ShapeDtype
from tapem.errors import ArgumentError
from tapem.ops.complex_numbers import conjugated
from tapem.ops.declare import primitive
from tapem.ops.decompositions import Matrix, folded, mirrored
from tapem.ops.linalg import adjoint, transposed
from tapem.ops.solving import batch_of_matrices, kind_of, where_in
from tapem.types import Inexact, Tensor

Share: TypeAlias = float | Sequence[float]


@primitive(
    rrule=(lambda g, y, a, rcond: g,),
    frule=(lambda t, y, a, rcond: t,),
    batch=batch_of_matrices,
    abstract=lambda a, rcond: ShapeDtype(a.shape, a.dtype),
)
def known_rank(a: Matrix, rcond: Share) -> Matrix:
    """Return matrices whose singular values are either above `rcond` times the greatest, or 0.

    Num "*batch m n" -> Num "*batch m n". Raises ArgumentError for others, whose pseudo-inverse has no rule: it leaves
    out what is not 0.

    >>> known_rank(np.diag([1.0, 0.0]), 1e-15)
    array([[1., 0.],
           [0., 0.]])
    """
    s = np.linalg.svdvals(a)
    cut = s <= np.expand_dims(np.asarray(rcond), -1) * np.max(s, axis=-1, keepdims=True, initial=0)
    least = np.min(np.where(cut, np.inf, s), axis=-1, keepdims=True, initial=np.inf)
    for *index, i in np.argwhere(cut & (s > np.finfo(s.dtype).eps ** 0.5 * least)):
        raise ArgumentError(
            f"pinv: rcond={rcond} leaves out singular value {i} of {where_in(index)}, {float(s[*index, i]):.6g}, which "
            "is not 0 to within rounding: there is no rule for that. Give a smaller rcond, or make it of svd."
        )
    return a


def _read(a: Any, rcond: Any, hermitian: bool) -> Any:
    return known_rank(mirrored(a) if hermitian else a, rcond=_share(rcond))


def _share(rcond: Any) -> Any:
    return 1e-15 if rcond is None else rcond


def _pull_pinv(g: Any, y: Any, a: Any, rcond: Any, hermitian: bool) -> Any:
    a, back, turned = _read(a, rcond, hermitian), adjoint(y), transposed(g)
    left, right = (turned @ y) @ back, back @ (y @ turned)
    part = (left - a @ (y @ left)) + (right - (right @ y) @ a) - back @ conjugated(g) @ back
    return conjugated(folded(part) if hermitian else part)


def _push_pinv(t: Any, y: Any, a: Any, rcond: Any, hermitian: bool) -> Any:
    a, t = _read(a, rcond, hermitian), mirrored(t) if hermitian else t
    back, change = adjoint(y), adjoint(t)
    left, right = y @ (back @ change), (change @ back) @ y
    return (left - (left @ a) @ y) + (right - y @ (a @ right)) - y @ t @ y


def _shape_of_pinv(a: Any, rcond: Any, hermitian: bool) -> ShapeDtype:
    *batch, m, n = a.shape
    return kind_of((*batch, n, m), a)


@primitive(rrule=(_pull_pinv,), frule=(_push_pinv,), batch=batch_of_matrices, abstract=_shape_of_pinv)
def pinv(a: Matrix, rcond: Share | None = None, hermitian: bool = False) -> Inexact[Tensor, "*batch n m"]:
    """The pseudo-inverse (Moore-Penrose) of every matrix: Num "*batch m n" -> Inexact "*batch n m".

    Singular values up to `rcond` times the greatest, by default 1e-15 as in NumPy, are taken for 0. If `hermitian`,
    only the lower triangle is read, and only it has a cotangent.

    Kink: where the rank is not full, the pseudo-inverse jumps, and the derivative is that along changes of `a` which
    keep the rank.

    The derivative raises ArgumentError where `rcond` leaves out singular values that are not 0, to within rounding.
    Source: Golub and Pereyra (1973).

    >>> pinv(np.array([[1.0], [1.0]]))
    array([[0.5, 0.5]])
    """
    found = np.linalg.pinv(a, rcond=_share(rcond), hermitian=hermitian)
    return found.astype(kind_of((), a).dtype, copy=False)


__all__ = ["pinv"]
