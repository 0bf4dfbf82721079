"""The rows of the table of ops in JAX: values, tapem's cotangents inside, and JAX's derivative around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

import tapem as tm
from tests.compiler.test_every_op import needs_values, value_and_cotangents
from tests.tables import Row
from tests.test_table import TABLE


def single(row: Row) -> Row:
    """The row with floats of 32 bits."""

    def narrow(x: Any) -> Any:
        kind = {"float64": np.float32, "complex128": np.complex64}.get(str(getattr(x, "dtype", "")))
        return x if kind is None else x.astype(kind)

    return Row(row.op, tuple(map(narrow, row.operands)), row.static, note=row.note)


def rows_of_ops() -> dict[str, list[Row]]:
    """The rows of each op, but those whose shapes depend on values."""
    found: dict[str, list[Row]] = {}
    for _, row in TABLE:
        if not needs_values(row):
            found.setdefault(getattr(row.op, "name", row.op.__name__), []).append(row)
    return found


def eager(row: Row) -> Any:
    """The value and the cotangents of a row; None if it is refused."""
    try:
        with np.errstate(all="ignore"):
            return value_and_cotangents(row)(*row.operands)
    except tm.TapeError:
        return None


def around(row: Row) -> Callable[..., Any]:
    """The same as `value_and_cotangents`, by JAX's derivative around the op."""
    inexact = [n for n, x in enumerate(row.operands) if x is not None and np.asarray(x).dtype.kind in "fc"]

    def both(*operands: Any) -> Any:
        def of_inexact(*xs: Any) -> Any:
            filled = list(operands)
            for position, x in zip(inexact, xs, strict=True):
                filled[position] = x
            return tm.to_jax(lambda *every: row.op(*every, **row.static))(*filled)

        y, pullback = jax.vjp(of_inexact, *(operands[n] for n in inexact))
        half = jax.tree.map(
            lambda part: part * 0 + 0.5 if part.dtype.kind in "fc" else np.zeros(part.shape, jax.dtypes.float0), y
        )
        return y, pullback(half)

    return both if inexact else lambda *operands: tm.to_jax(lambda *every: row.op(*every, **row.static))(*operands)


def program_of(rows: Sequence[Row]) -> tuple[Callable[..., Any], list[Any]]:
    """All rows of an op as one function, and its arguments: inside and around for each row."""

    def run(every: Any) -> Any:
        return [
            (tm.to_jax(value_and_cotangents(row))(*operands), around(row)(*operands))
            for row, operands in zip(rows, every, strict=True)
        ]

    return run, [row.operands for row in rows]


REFUSED: frozenset[str] = frozenset(
    """
        argmax argmin argpartition as_real attention_weights avg_pool avg_pool1d avg_pool2d avg_pool3d
        batch_norm_inference bce beta betaincc betaincinv clamp conv conv1d conv2d conv3d conv_kernel_gradient
        conv_transpose conv_transpose1d conv_transpose2d conv_transpose3d dawsn dropout eig eigvals ellipe
        ellipk erf erfc erfcinv erfcx erfi exp1 expi exponent exprel fft_fftn fft_ifftn fft_irfftn fft_rfftn
        fraction from_winners gamma gammainccinv gammaincinv gammasgn i0_derivative i1 i1e independent_columns
        independent_vectors iv ive j0 j1 jv k0 k0e k1 k1e kn known_rank kv kve log_expit log_ndtr loggamma
        matching max_pool max_pool1d max_pool2d max_pool3d multi_head_attention ndtr of_exprel of_iv of_ive
        pad pinv poch polygamma polynomial_roots pool_winners psi qr quasi_norm rgamma rotary_embedding round
        scaled_dot_product_attention scatter_add scatter_set share_out simple_roots smooth_max_pool
        smooth_max_pool1d smooth_max_pool2d smooth_max_pool3d solve_triangular spacing spence split
        sum_of_windows to_winners windows_of y0 y1 yn yv
    """.split()
)
"""The ops that have no form in JAX so far, or none for some operands: these rows are refused by name."""


def check_rows(name: str, most: int | None = None) -> None:
    """Hold the rows of an op in JAX against the eager ones, in both precisions; all rows are one program."""
    whole = [row for row in rows_of_ops()[name] if eager(row) is not None][:most]
    rows = [*whole, *map(single, whole)]
    there = []
    for row in rows:
        try:
            jax.eval_shape(*program_of([row]))
        except tm.NoRuleError as error:
            assert "has no form in JAX" in str(error) and name in REFUSED, (str(row), error)
        else:
            there.append(row)
    assert len(there) < len(rows) or name not in REFUSED or most is not None, f"{name} is not refused any more"
    if not there:
        return
    run, arguments = program_of(there)
    for row, (inside, outside) in zip(there, jax.jit(run)(arguments), strict=True):
        expected = tm.tree_leaves(eager(row))
        weak = any(type(x) is float or type(x) is complex for x in row.operands)
        for found in (tm.tree_leaves(inside), tm.tree_leaves(outside)):
            assert len(found) == len(expected)
            for one, other in zip(found, map(np.asarray, expected), strict=True):
                assert_near(one, other, str(row), 1e-10 if any(row is own for own in whole) else 2e-5, weak)


def assert_near(one: Any, other: Any, what: str, tolerance: float, weak: bool) -> None:
    """Hold an array of JAX against that of NumPy: dtype, shape, and value to rounding.

    With `weak`, some operands are Python numbers, whose cotangents have the dtype that JAX gives to such numbers.
    """
    assert one.shape == other.shape and (weak or one.dtype == other.dtype), (what, one.dtype, other.dtype)
    size = np.abs(other[np.isfinite(other)]).max(initial=1.0) if other.dtype.kind in "fc" else 0.0
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * size, err_msg=what)
