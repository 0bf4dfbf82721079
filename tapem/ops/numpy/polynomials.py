"""NumPy's functions of polynomials, whose coefficients are given from the highest power down."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.core import ShapeDtype, detach
from tapem.errors import ArgumentError
from tapem.ops import eigen
from tapem.ops.linalg import adjoint
from tapem.ops.numpy.functions import equals
from tapem.ops.numpy.linalg import real_if_real
from tapem.ops.roots import polynomial_roots


def _line(p: Any) -> Any:
    return np.atleast_1d(np.asarray(p) if isinstance(p, list | tuple | int | float) else p)


@equals(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """The value of a polynomial, with its highest coefficient first, by Horner's rule."""
    y = np.zeros(np.shape(x), ShapeDtype.of(x).dtype)
    for k in range(np.shape(p)[0]):
        # A Python number among the coefficients is one in double precision.
        y = y * x + (p[k] if hasattr(p[k], "dtype") else np.asarray(p[k])[()])
    return y


def _added(a1: Any, a2: Any, sign: int) -> Any:
    a1, a2 = _line(a1), _line(a2)
    count = max(np.shape(a1)[0], np.shape(a2)[0])
    first, second = (np.pad(a, (count - np.shape(a)[0], 0)) for a in (a1, a2))
    return first + second if sign > 0 else first - second


equals(np.polyadd)(lambda a1, a2: _added(a1, a2, 1))
equals(np.polysub)(lambda a1, a2: _added(a1, a2, -1))


@equals(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """The product of two polynomials."""
    a1, a2 = _line(a1), _line(a2)
    count = np.shape(a1)[0]
    shifted = [np.pad(a1[i] * a2, (i, count - 1 - i)) for i in range(count)]
    return np.sum(np.stack(shifted), axis=0)


@equals(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """The m-th derivative of a polynomial."""
    if m < 0:
        raise ArgumentError(f"np.polyder: m={m}, but a derivative is taken 0 times or more.")
    p = _line(p)
    for _ in range(m):
        p = p[:-1] * np.arange(np.shape(p)[0] - 1, 0, -1)
    return p


@equals(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The m-th antiderivative of a polynomial; `k` has the constants of integration, 0 by default."""
    if m < 0:
        raise ArgumentError(f"np.polyint: m={m}, but an antiderivative is taken 0 times or more.")
    p, constants = _line(p) if m else p, _line(np.zeros(m) if k is None else k)
    constants = np.broadcast_to(constants, (m,)) if np.shape(constants) == (1,) else constants
    for i in range(m):
        p = np.concatenate([p / np.arange(np.shape(p)[0], 0, -1), constants[i : i + 1]])
    return p


@equals(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """The polynomial that has these zeros, or the characteristic polynomial of a matrix.

    As in NumPy, complex zeros in conjugate pairs give real coefficients, as far as their values are known.
    """
    zeros, shape = _line(seq_of_zeros), np.shape(seq_of_zeros)
    if len(shape) == 2 and shape[0] == shape[1] > 0:
        w = eigen.eigvals(zeros)
        coefficients = _of_zeros(w)
        return coefficients if np.iscomplexobj(zeros) and not _paired(w) else np.real(coefficients)
    if len(shape) > 1:
        raise ArgumentError(
            f"np.poly takes zeros in a vector, or a square matrix that is not empty, not shape {shape}."
        )
    if not np.size(zeros):
        return 1.0
    coefficients = _of_zeros(zeros)
    return np.real(coefficients) if np.iscomplexobj(zeros) and _paired(zeros) else coefficients


def _of_zeros(zeros: Any) -> Any:
    dtype = zeros.dtype if zeros.dtype.char in "fdFDgG" else np.dtype(float)
    coefficients = np.ones(1, dtype)
    for i in range(np.shape(zeros)[0]):
        shifted = np.append(np.zeros(1, dtype), coefficients)
        coefficients = np.append(coefficients, np.zeros(1, dtype)) - zeros[i] * shifted
    return coefficients


def _paired(zeros: Any) -> bool:
    """Whether numbers are known to be in conjugate pairs."""
    known = detach(zeros)
    return isinstance(known, np.ndarray) and np.array_equal(np.sort(known), np.sort(np.conjugate(known)))


@equals(np.roots)
def roots(p: Any) -> Any:
    """The roots of a polynomial, real where all of them are real, as far as their values are known."""
    p = _line(p)
    if np.ndim(p) != 1:
        raise ArgumentError(f"np.roots takes the coefficients of one polynomial, not shape {np.shape(p)}.")
    return real_if_real(p, polynomial_roots(p))[0]


@equals(np.polydiv)
def polydiv(u: Any, v: Any) -> Any:
    """The quotient and the remainder of two polynomials, by long division."""
    u, v = _line(u), _line(v)
    n, m = np.shape(u)[0], np.shape(v)[0]
    if n < m:
        return np.zeros(1), u
    quotient: list[Any] = []
    for i in range(n - m + 1):
        quotient.append(u[i] / v[0])
        u = u - np.pad(quotient[-1] * v, (i, n - m - i))
    return np.stack(quotient), u[n - m + 1 :] if m > 1 else u[-1:] * 0.0


@equals(np.polyfit)
def polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: bool | str = False
) -> Any:
    """The polynomial that fits the points best, weighted by `w`: the least sum of squares.

    With `full` also how well it does (as np.linalg.lstsq says it), with `cov` also the covariance of the coefficients.
    """
    weight = np.ones(np.shape(x)[0]) if w is None else w
    columns = np.vander(x, deg + 1) * np.expand_dims(weight, -1)
    right = y * (weight if np.ndim(y) == 1 else np.expand_dims(weight, -1))
    scale = np.sqrt(np.sum(columns * columns, axis=0))
    by = scale if np.ndim(y) == 1 else np.expand_dims(scale, -1)
    if full or cov:
        rcond = np.shape(x)[0] * np.finfo(ShapeDtype.of(columns).dtype).eps if rcond is None else rcond
        found, residuals, rank, s = np.linalg.lstsq(columns / scale, right, rcond)
        if full:
            return found / by, residuals, rank, s, rcond
        return found / by, _covariance(columns / scale, scale, residuals, np.ndim(y), cov)
    return _least_squares(columns / scale, right) / by


def _covariance(columns: Any, scale: Any, residuals: Any, rank: int, cov: bool | str) -> Any:
    """The covariance of the coefficients; scaled by the residuals, unless it is asked for unscaled."""
    base = np.linalg.inv(columns.T @ columns) / np.outer(scale, scale)
    points, order = np.shape(columns)
    if cov == "unscaled":
        return base if rank == 1 else base[:, :, None]
    if points <= order:
        raise ArgumentError("np.polyfit: the number of data points must exceed order to scale the covariance matrix.")
    return (base if rank == 1 else base[:, :, None]) * (residuals / (points - order))


def _least_squares(columns: Any, right: Any) -> Any:
    q, r = np.linalg.qr(columns)
    return np.linalg.solve(r, adjoint(q) @ right)
