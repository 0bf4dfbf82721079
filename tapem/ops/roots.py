"""The roots of polynomials, whose coefficients are given from the highest power down, along the last axis.

NumPy finds them as eigenvalues. The rule needs no eigenvectors: where `p(r) = 0`, a change of `p` by `t` moves `r` by
`-t(r) / p'(r)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.core import ShapeDtype
from tapem.errors import ArgumentError
from tapem.ops.declare import primitive
from tapem.ops.eigen import complex_kind
from tapem.ops.linalg import transposed
from tapem.ops.solving import batch_of_matrices
from tapem.tangents import Zero
from tapem.types import Complex, Num, Tensor


@primitive(
    rrule=(lambda g, y, r: g,),
    frule=(lambda t, y, r: t,),
    batch=batch_of_matrices,
    abstract=lambda r: ShapeDtype(r.shape, r.dtype),
)
def simple_roots(r: Num[Tensor, "*batch m"]) -> Num[Tensor, "*batch m"]:
    """Return the roots of polynomials: Num "*batch m" -> Num "*batch m".

    Raises ArgumentError if two of them are equal, as precisely as double roots are found.

    >>> simple_roots(np.array([1.0, 2.0]))
    array([1., 2.])
    """
    m = r.shape[-1]
    gaps, sizes = np.abs(r[..., :, None] - r[..., None, :]), np.abs(r)
    rounding = 4 * (m * np.finfo(r.dtype).eps) ** 0.5 * np.maximum(sizes[..., :, None], sizes[..., None, :])
    for *index, i, j in np.argwhere((gaps <= rounding) & ~np.eye(m, dtype=bool)):
        raise ArgumentError(
            f"np.roots: roots {i} and {j} are both {r[*index, i].item():.6g}, to within rounding: a double root has no "
            "derivative."
        )
    return r


def _powers(y: Any, n: int) -> Any:
    """The powers of every root, from that of n - 1 down, along a new last axis."""
    columns = [np.ones_like(y)]
    for _ in range(n - 1):
        columns.append(columns[-1] * y)
    return np.stack(columns[::-1], axis=-1)


def _times(matrices: Any, vectors: Any) -> Any:
    return (matrices @ np.expand_dims(vectors, -1))[..., 0]


def _slopes(powers: Any, p: Any) -> Any:
    """The derivative of the polynomial at its roots."""
    n = p.shape[-1]
    return _times(powers[..., 1:], p[..., :-1] * np.arange(n - 1, 0, -1, dtype=np.finfo(p.dtype).dtype))


def _pull_roots(g: Any, y: Any, p: Any) -> Any:
    if not y.shape[-1]:
        return Zero()
    powers = _powers(simple_roots(y), p.shape[-1])
    return -_times(transposed(powers), g / _slopes(powers, p))


def _push_roots(t: Any, y: Any, p: Any) -> Any:
    if not y.shape[-1]:
        return Zero()
    powers = _powers(simple_roots(y), p.shape[-1])
    return -_times(powers, t) / _slopes(powers, p)


@primitive(
    rrule=(_pull_roots,),
    frule=(_push_roots,),
    batch=batch_of_matrices,
    abstract=lambda p: complex_kind((*p.shape[:-1], max(p.shape[-1] - 1, 0)), p),
)
def polynomial_roots(p: Num[Tensor, "*batch n"]) -> Complex[Tensor, "*batch m"]:
    """The roots of every polynomial, in no order, as complex numbers: Num "*batch n" -> Complex "*batch m".

    There are n - 1 of them, and one less for every leading coefficient that is 0. Those that there are have a
    derivative in all coefficients.

    Raises ArgumentError if the polynomials of a stack have different numbers of roots. The derivative raises it if two
    roots are equal, to within rounding.

    >>> polynomial_roots(np.array([1.0, -3.0, 2.0]))
    array([2.+0.j, 1.+0.j])
    """
    kind = complex_kind((), p).dtype
    found = [np.roots(p[index]) for index in np.ndindex(p.shape[:-1])]
    numbers = {len(roots) for roots in found} or {max(p.shape[-1] - 1, 0)}
    if len(numbers) > 1:
        raise ArgumentError(
            f"np.roots: the polynomials of a stack have {' or '.join(map(str, sorted(numbers)))} roots, since the "
            "first coefficients of some are 0."
        )
    return np.asarray(found, kind).reshape((*p.shape[:-1], *numbers))


__all__ = ["polynomial_roots"]
