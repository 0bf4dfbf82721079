"""Inverses, linear systems and determinants of square matrices.

Matrices are in the last two axes; every other axis is a batch axis. float16 is refused, as in NumPy. For a singular
matrix, `linalg_inv` and `solve` have no value and `slogdet` has no derivative: ArgumentError tells the rank. The
determinant is a polynomial, so it has derivatives everywhere.

Source: M. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation" (2008).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core import Array, Primitive, ShapeDtype
from tapem.errors import ArgumentError
from tapem.ops.complex_numbers import conjugated
from tapem.ops.declare import primitive
from tapem.ops.einsum import einsum
from tapem.ops.linalg import adjoint, aligned, transposed
from tapem.sweeps import unbroadcast
from tapem.tangents import Thunk, Zero
from tapem.types import Float, Inexact, Num, Tensor

Square = Num[Tensor, "*batch n n"]
InexactSquare = Inexact[Tensor, "*batch n n"]


def kind_of(shape: Sequence[int], *operands: Any, real: bool = False) -> ShapeDtype:
    """The ShapeDtype of a result with this shape, and the dtype that NumPy's linear algebra gives for these operands.

    A `real` result, such as a singular value, is real for complex operands too.

    >>> kind_of((2,), np.eye(2, dtype=np.float32), np.eye(2, dtype=int)).dtype
    dtype('float64')
    """
    dtypes = [ShapeDtype.of(x).dtype for x in operands]
    for dtype in dtypes:
        if dtype.kind in "fc" and dtype.char not in "fdFD":
            raise TypeError(f"array type {dtype} is unsupported in linalg")
    single = all(dtype.char in "fF" for dtype in dtypes)
    if not real and any(dtype.kind == "c" for dtype in dtypes):
        return ShapeDtype(tuple(shape), np.dtype(np.complex64 if single else np.complex128))
    return ShapeDtype(tuple(shape), np.dtype(np.float32 if single else np.float64))


def batch_of_matrices(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    """The batch rule of an op of one stack of matrices: it accepts another axis in front."""
    return op(*inputs, **static)


def scaled(scalars: Any, matrices: Any) -> Any:
    """Multiply every matrix of a stack by its scalar."""
    return np.reshape(scalars, (*np.shape(scalars), 1, 1)) * matrices


def where_in(index: Sequence[int]) -> str:
    """The name in errors of the matrix of the argument `a` at this batch index.

    >>> where_in(()), where_in((1, 0))
    ('a', 'a[1, 0]')
    """
    return f"a[{', '.join(map(str, index))}]" if len(index) else "a"


def _singular(a: Array, error: Exception) -> Exception:
    """The error for a singular matrix, which names the matrix, as NumPy's error does not."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        return error  # the engine makes a better error
    ranks = np.asarray(np.linalg.matrix_rank(a))
    for index in np.argwhere(ranks < a.shape[-1]).tolist():
        return np.linalg.LinAlgError(
            f"{where_in(index)} is singular: its rank is {ranks[tuple(index)]}, but it has {a.shape[-1]} rows"
        )
    return error


# Inverses and systems -------------------------------------------------------------------------------------------------


@primitive(
    rrule=(lambda g, y, a: -(transposed(y) @ g @ transposed(y)),),
    frule=(lambda t, y, a: -(y @ t @ y),),
    batch=batch_of_matrices,
    abstract=lambda a: kind_of(a.shape, a),
    numpy=[np.linalg.inv],
)
def linalg_inv(a: Square) -> InexactSquare:
    """The inverse of every matrix: Num "*batch n n" -> Inexact "*batch n n". To solve a system, use `solve`.

    Raises ArgumentError for a singular matrix, ShapeError for one that is not square.

    >>> linalg_inv(np.array([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError as error:
        raise _singular(a, error) from error


def _pull_solve(g: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 1:
        g, y = np.expand_dims(g, -1), np.expand_dims(y, -1)
    z = solve(transposed(a), g)
    of_b = z[..., 0] if b.ndim == 1 else z

    def of_a() -> Any:
        product = -(z @ transposed(y))
        return unbroadcast(product, product.shape, a.shape)

    return Thunk(of_a), unbroadcast(of_b, of_b.shape, b.shape)


def _push_solve(t: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 1:
        return -solve(a, t @ np.expand_dims(y, -1))[..., 0]
    return -solve(a, t @ y)


def _shape_of_solve(a: Any, b: Any) -> ShapeDtype:
    if b.ndim == 1:
        return kind_of(a.shape[:-1], a, b)
    return kind_of((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), a, b)


def _batch_solve(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    a, b = inputs
    column = b.ndim - mapped[1] == 1
    if not mapped[1] and column:
        return solve(a, b)
    if column:
        b = np.expand_dims(b, -1)
    if not mapped[0] and a.ndim == 2 and b.ndim == 3:
        # One matrix for all examples is factorized once, with their right-hand sides as its columns.
        n, k = b.shape[1:]
        x = np.moveaxis(np.reshape(solve(a, np.reshape(np.moveaxis(b, 0, 1), (n, size * k))), (n, size, k)), 1, 0)
    else:
        rank = max(a.ndim - mapped[0], b.ndim - mapped[1])
        x = solve(aligned(a, mapped[0], rank), aligned(b, mapped[1], rank))
    return x[..., 0] if column else x


@primitive(
    rrule=_pull_solve,
    frule=(_push_solve, lambda t, y, a, b: solve(a, t)),
    batch=_batch_solve,
    abstract=_shape_of_solve,
    numpy=[np.linalg.solve],
)
def solve(a: Num[Tensor, "*#batch n n"], b: Num[Tensor, "n"] | Num[Tensor, "*#batch n k"]) -> Inexact[Tensor, "..."]:
    """The solution x of `a @ x = b`: Num "*#batch n n", Num "n" or Num "*#batch n k" -> Inexact "...".

    The result is Inexact "*batch n k". As in NumPy 2, a `b` with exactly one axis is one column for every matrix, and
    the result is Inexact "*batch n". A stack of columns is Num "*batch n 1".

    Raises ArgumentError for a singular matrix, ShapeError if the sizes differ.

    >>> solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 2.0]))
    array([1. , 0.5])
    """
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError as error:
        raise _singular(a, error) from error


# Determinants ---------------------------------------------------------------------------------------------------------


def _svd_with_sign(a: Array) -> tuple[Array, Array, Array, Array]:
    """`a = u @ diag(s) @ vh`, and the determinant of `u @ vh`, which is 1 or -1, or has absolute value 1."""
    u, s, vh = np.linalg.svd(a)
    return u, s, vh, np.sign(np.linalg.det(u) * np.linalg.det(vh))[..., None, None]


def _products_but_two(s: Array) -> tuple[Array, Array]:
    """The products of all numbers but the i-th, and of all but the i-th and the j-th (0 if i = j), without division.

    >>> one, two = _products_but_two(np.array([2.0, 3.0, 0.0]))
    >>> one, two[0]
    (array([0., 0., 6.]), array([0., 0., 3.]))
    """
    n = s.shape[-1]
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s], axis=-1), axis=-1)[..., :-1]
    after = np.cumprod(np.concatenate([ones, s[..., ::-1]], axis=-1), axis=-1)[..., -2::-1]
    # between[i, j] is the product of the numbers strictly between i and j.
    rows = np.where(np.tri(n, k=0, dtype=bool), 1, s[..., None, :]).astype(s.dtype, copy=False)
    between = np.concatenate([np.ones_like(rows[..., :1]), np.cumprod(rows, axis=-1)[..., :-1]], axis=-1)
    upper = before[..., :, None] * between * after[..., None, :] * (1 - np.tri(n, dtype=s.dtype))
    return before * after, upper + np.swapaxes(upper, -1, -2)


def _third_derivative(a: Any, e: Any, f: Any) -> Any:
    """The gradient with respect to `a` of the determinant's second derivative along `e` and `f`."""
    if a.shape[-1] < 3:  # a polynomial of degree 2 or less
        return Zero()
    inverse = linalg_inv(a)
    p, q = inverse @ e, inverse @ f
    trace_p, trace_q, trace_pq = einsum("...ii", p), einsum("...ii", q), einsum("...ij,...ji", p, q)
    identity = np.eye(a.shape[-1], dtype=a.dtype)
    inner = scaled(trace_p * trace_q - trace_pq, identity) - scaled(trace_p, q) - scaled(trace_q, p) + p @ q + q @ p
    return scaled(det(a), transposed(inner @ inverse))


def _batch_pair(
    op: Primitive, size: int, inputs: Sequence[Any], mapped: Sequence[bool], static: Mapping[str, Any]
) -> Any:
    return op(*(x if own else np.broadcast_to(x, (size, *x.shape)) for x, own in zip(inputs, mapped, strict=True)))


@primitive(
    rrule=(lambda g, y, a, e: _third_derivative(a, e, g), lambda g, y, a, e: second_cofactors(a, g)),
    frule=(lambda t, y, a, e: _third_derivative(a, e, t), lambda t, y, a, e: second_cofactors(a, t)),
    batch=_batch_pair,
    abstract=lambda a, e: kind_of(a.shape, a, e),
)
def second_cofactors(a: Square, e: Square) -> InexactSquare:
    """The derivative of `cofactors(a)` along `e`: Num "*batch n n", Num "*batch n n" -> Inexact "*batch n n".

    It is a self-adjoint linear map of `e`, correct for every `a`, singular ones included. Its own derivative with
    respect to `a` needs the inverse: for a singular matrix of 3 rows or more the third derivative raises ArgumentError.

    With `a = u diag(s) vh` and `m = u^H @ e @ vh^H`, the cofactors of `diag(s) + m` are found to first order.

    >>> second_cofactors(np.zeros((2, 2)), np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[ 4., -3.],
           [-2.,  1.]])
    """
    u, s, vh, sign = _svd_with_sign(a)
    m = adjoint(u) @ e @ adjoint(vh)
    _, products = _products_but_two(s)
    traces = np.einsum("...ij,...jj->...i", products, m)
    inner = traces[..., None] * np.eye(s.shape[-1], dtype=s.dtype) - products * np.swapaxes(m, -1, -2)
    return sign * (conjugated(u) @ inner @ conjugated(vh))


@primitive(
    rrule=(lambda g, y, a: second_cofactors(a, g),),
    frule=(lambda t, y, a: second_cofactors(a, t),),
    batch=batch_of_matrices,
    abstract=lambda a: kind_of(a.shape, a),
)
def cofactors(a: Square) -> InexactSquare:
    """The cofactors of every matrix, the gradient of its determinant: Num "*batch n n" -> Inexact "*batch n n".

    They come from a singular value decomposition, so they are correct for singular matrices too.

    >>> cofactors(np.array([[1.0, 2.0], [2.0, 4.0]])).round(6)
    array([[ 4., -2.],
           [-2.,  1.]])
    """
    u, s, vh, sign = _svd_with_sign(a)
    products, _ = _products_but_two(s)
    return sign * ((conjugated(u) * products[..., None, :]) @ conjugated(vh))


@primitive(
    rrule=(lambda g, y, a: scaled(g, cofactors(a)),),
    frule=(lambda t, y, a: np.sum(cofactors(a) * t, axis=(-2, -1)),),
    batch=batch_of_matrices,
    abstract=lambda a: kind_of(a.shape[:-2], a),
    numpy=[np.linalg.det],
)
def det(a: Square) -> Inexact[Tensor, "*batch"]:
    """The determinant of every matrix: Num "*batch n n" -> Inexact "*batch". For large matrices use `slogdet`.

    Its gradient, the cofactors, is correct for singular matrices too, and so is its second derivative.

    Raises ShapeError for a matrix that is not square.

    >>> round(float(det(np.diag([2.0, 4.0]))), 6)
    8.0
    """
    return np.linalg.det(a)


def _slope_of_slogdet(a: Any) -> Any:
    try:
        return transposed(linalg_inv(a))
    except ArgumentError as error:
        raise ArgumentError(f"slogdet has no derivative at a singular matrix. {error}") from error


def _pull_slogdet(g: Any, y: Any, a: Any) -> Any:
    of_logarithm = g[1]
    if np.iscomplexobj(a):  # the sign turns with the imaginary part of the logarithm of the determinant
        of_logarithm = of_logarithm + 1j * np.imag(g[0] * y[0])
    return scaled(of_logarithm, _slope_of_slogdet(a))


def _push_slogdet(t: Any, y: Any, a: Any) -> Any:
    change = np.sum(_slope_of_slogdet(a) * t, axis=(-2, -1))
    return (1j * y[0] * np.imag(change) if np.iscomplexobj(a) else Zero()), change


@primitive(
    rrule=(_pull_slogdet,),
    frule=(_push_slogdet,),
    batch=batch_of_matrices,
    abstract=lambda a: (kind_of(a.shape[:-2], a), kind_of(a.shape[:-2], a, real=True)),
)
def slogdet(a: Square) -> tuple[Inexact[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """The sign of the determinant of every matrix, and the logarithm of its absolute value.

    Num "*batch n n" -> (Inexact "*batch", Float "*batch"). The sign of a real matrix is constant: its derivative is
    zero. That of a complex matrix has absolute value 1. A singular matrix gives (0, -inf), and its derivative raises
    ArgumentError. Raises ShapeError for a matrix that is not square.

    >>> sign, logarithm = slogdet(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> float(sign), float(logarithm)
    (-1.0, 0.0)
    """
    sign, logarithm = np.linalg.slogdet(a)
    return sign, logarithm


__all__ = ["det", "linalg_inv", "slogdet", "solve"]
