"""Rows with complex operands: those of the ops for complex numbers, and others made from the real rows of every op.

The real operands of some rows of each op are moved into the complex plane: all of them, and the first alone beside
real ones. So a shape or a static argument that is tried on real numbers is tried on complex ones.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

import tapem as tm
from tapem.core import Primitive
from tapem.errors import DTypeError
from tapem.ops import complex_numbers, norms, spectral
from tapem.types import Num
from tests import tables
from tests.tables import Row, decompositions

REAL = frozenset(
    """
    arctan2 cbrt ceil copysign deg2rad elu erf even_power exponent fabs floor floor_divide fmod fraction gelu
    heaviside hypot i0_derivative ldexp leaky_relu nextafter relu silu spacing
    log_softmax logaddexp logaddexp2 logsumexp odd_power rad2deg remainder safe_log sign signbit softmax softmax_or_zero
    softplus trunc
    fft_rfft fft_rfft2 fft_rfftn fft_ihfft
    as_real
    """.split()
)
"""The ops of `tapem.ops` that take real operands only, and say so."""

NARROWING = frozenset({"cast", "discretize"})
"""The ops that drop the imaginary part of these rows, with NumPy's warning; tests/ops/test_complex.py has them."""

PHASES = frozenset({"eigh", "svd"})
"""The ops with vectors of an arbitrary phase; rows below have functions that do not depend on it."""

MOST = 3
"""Rows of one op whose operands are moved into the complex plane."""


def moved(x: Any) -> Any:
    """A real operand moved into the complex plane, off both axes and away from the unit circle's branch cuts."""
    if x is None or np.asarray(x).dtype != np.float64:
        return x
    z = np.asarray(x) * (1 + 0.25j) + 0.05j
    return complex(z) if type(x) is float else z


def of_numpy(function: Any) -> bool:
    """Whether a function is NumPy's own."""
    if isinstance(function, np.ufunc):
        return getattr(np, function.__name__, None) is function
    return (getattr(function, "__module__", None) or "").split(".")[0] == "numpy"


def is_real(x: Any) -> bool:
    """Whether an operand can be moved."""
    return x is not None and np.asarray(x).dtype == np.float64


def real_rows() -> Iterator[Row]:
    """The rows of the other files whose ops stand in tapem.ops, and whose operands are real."""
    for module in sorted(module.name for module in pkgutil.iter_modules(tables.__path__)):
        if module in (__name__.rpartition(".")[2], "special"):  # SciPy's functions take real operands, and say so
            continue
        for row in importlib.import_module(f"tests.tables.{module}").ROWS:
            op = row.op
            known = isinstance(op, Primitive) and op.implementation is not None
            if known and op.__module__.startswith("tapem.") and any(map(is_real, row.operands)):
                yield row


def in_the_plane(rows: Iterator[Row]) -> Iterator[Row]:
    """Some rows of every op that takes complex operands, with complex operands."""
    made: dict[Any, int] = {}
    for row in rows:
        number = made[row.op] = made.get(row.op, 0) + 1
        if number > MOST or row.op.name in REAL | NARROWING | PHASES:
            continue
        note = f"complex {row.note}".rstrip()
        # A reference of SciPy's, or of the test's own, may be for real numbers only.
        reference = row.reference if of_numpy(row.reference) else None
        row = dataclasses.replace(row, reference=reference)
        yield dataclasses.replace(row, operands=tuple(map(moved, row.operands)), note=note)
        reals = [at for at, x in enumerate(row.operands) if is_real(x)]
        if len(reals) > 1:
            for at in (reals[0], reals[-1]):
                operands = tuple(moved(x) if i == at else x for i, x in enumerate(row.operands))
                yield dataclasses.replace(row, operands=operands, note=f"complex operand {at} {row.note}".rstrip())


def refused() -> set[str]:
    """The names of the ops that refuse complex operands, by trying them."""
    names: set[str] = set()
    for row in real_rows():
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
                row.op(*map(moved, row.operands), **row.static)
        except DTypeError as error:
            assert "complex" in str(error) or "c128" in str(error)
            names.add(row.op.name)
    return names


@tm.composed
def of_eigh(a: Num[tm.Tensor, "*batch n n"], UPLO: Any = "L") -> Any:
    """Eigenvalues, and the projector to every eigenvector, which does not depend on its phase."""
    w, v = spectral.eigh(a, UPLO)
    return w, np.einsum("...ij,...kj->...jik", v, np.conj(v))


@tm.composed
def of_eigh_values(a: Num[tm.Tensor, "*batch n n"], UPLO: Any = "L") -> Any:
    """The eigenvalues alone: their rule takes a shorter way where no vector is used."""
    return spectral.eigh(a, UPLO)[0]


@tm.composed
def of_svd(a: Num[tm.Tensor, "*batch m n"], full_matrices: bool = False) -> Any:
    """Singular values, and all products of singular vectors that do not depend on their phases."""
    u, s, vh = spectral.svd(a, full_matrices)
    of_u, of_v = np.einsum("...ij,...kj->...jik", u, np.conj(u)), np.einsum("...ji,...jk->...jik", np.conj(vh), vh)
    return s, np.einsum("...ij,...jk->...jik", u, vh), of_u, of_v


@tm.composed
def of_svd_values(a: Num[tm.Tensor, "*batch m n"], full_matrices: bool = False) -> Any:
    """The singular values alone: their rule takes a shorter way where no vector is used."""
    return spectral.svd(a, full_matrices)[1]


Z = np.array([[0.3 + 0.5j, -1.2 - 0.4j, 2.5 + 1j], [1.7 - 0.1j, -0.4 + 2j, 0.9 + 0.9j]])
EDGES = [Z, Z[0, :1], Z[:, :0], np.array(0.3 - 1j)]

ROWS: list[Row] = [
    *(Row(complex_numbers.real, (z,), {}, np.real) for z in [*EDGES, Z.real, 2 + 1j]),
    *(Row(complex_numbers.imag, (z,), {}, np.imag) for z in [*EDGES, 2 + 1j]),
    *(Row(complex_numbers.conj, (z,), {}, np.conj) for z in [*EDGES, Z.real, 2 + 1j]),
    *(Row(complex_numbers.angle, (z,), {}, np.angle) for z in [*EDGES, 2 + 1j]),
    Row(complex_numbers.angle, (Z,), {"deg": True}, np.angle, "degrees"),
    *(Row(complex_numbers.from_parts, (z.real, z.imag), {}, lambda re, im: re + 1j * im) for z in EDGES),
    Row(complex_numbers.from_parts, (Z.real, Z.imag[:, :1]), {}, lambda re, im: re + 1j * im, "broadcast"),
    Row(complex_numbers.from_parts, (0.5, Z.imag), {}, lambda re, im: re + 1j * im, "a number"),
    *(Row(norms.norm, (Z,), {"axis": 1, "ord": ord}, np.linalg.vector_norm) for ord in (1, 3, np.inf)),
    *(
        Row(f, (moved(row.operands[0]),), row.static)
        for row in decompositions.ROWS
        if row.op is spectral.eigh
        for f in (of_eigh, of_eigh_values)
    ),
    *(
        Row(f, (moved(row.operands[0]),), row.static)
        for row in decompositions.ROWS
        if row.op is spectral.svd and row.order
        for f in (of_svd, of_svd_values)
    ),
    *(
        Row(of_eigh_values, (row.operands[0],), row.static, None, "real")
        for row in decompositions.ROWS
        if row.op is spectral.eigh
    ),
    *(Row(of_svd_values, (x,), {}, None, "real", order) for x, order in ((decompositions.SINGULAR, 1), (Z.real, 2))),
    *in_the_plane(real_rows()),
]
