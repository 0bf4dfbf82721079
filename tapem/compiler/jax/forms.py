"""The forms of ops in JAX: one line per op, a function of the op's operands and static arguments.

An op whose name is that of a function of jax.numpy with the same arguments needs no line. One without a form is made of
the ops that its implementation calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tapem.compiler.jax.kinds import as_dtype
from tapem.compiler.jax.lazy import jax, jnp, lax, special
from tapem.compiler.jax.longer import (
    differing,
    from_diagonal,
    matrix_exponential,
    norm,
    ordered,
    padded,
    put,
    reciprocal_gaps,
    recurrence,
    segment_sum,
    shares,
    shifted,
    softmax_or_zero,
    triangular,
    triangular_factor,
    unpadded,
)
from tapem.core import Primitive

Form = Callable[..., Any]

FORMS: Mapping[str, Form] = {
    # arithmetic
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: jnp.true_divide(a, b),
    "neg": lambda x: -x,
    "power": lambda a, b: jnp.power(a, b),
    "scale": lambda x, c: x * c,
    "ldexp": lambda x, i: jnp.ldexp(x, i),
    # reductions and order
    "max": lambda x, axis, keepdims: jnp.max(x, axis=axis, keepdims=keepdims),
    "differs": lambda x, axis: differing(x, axis),
    "ties": lambda x, extreme, axis: shares(x, extreme, axis),
    "norm": lambda x, axis, keepdims, ord: norm(x, axis, keepdims, ord),
    "softmax_or_zero": lambda x, axis: softmax_or_zero(x, axis),
    "shift": lambda x, axis, step, fill: shifted(x, axis, step, fill),
    "recurrence": lambda decay, drive, axis, reverse: recurrence(decay, drive, axis, reverse),
    "segment_sum": lambda x, lengths, axis: segment_sum(x, lengths, axis),
    "argmax": lambda x, axis, keepdims: jnp.argmax(ordered(x), axis=axis, keepdims=keepdims),
    "argmin": lambda x, axis, keepdims: jnp.argmin(ordered(x), axis=axis, keepdims=keepdims),
    "cumsum": lambda x, axis: jnp.cumsum(x, axis=axis),
    "argsort": lambda x, axis, kind, stable: jnp.argsort(x, axis=axis, stable=True),
    "permute": lambda x, order, axis: jnp.take_along_axis(x, order, axis=axis),
    # shapes and dtypes
    "flatten": lambda x: jnp.ravel(x),
    "cast": lambda x, dtype: as_dtype(x, dtype),
    "discretize": lambda x, dtype: as_dtype(x, dtype),
    "reshape": lambda x, shape: jnp.reshape(x, shape),
    "transpose": lambda x, axes: jnp.transpose(x, axes),
    "concat": lambda *xs, axis: jnp.concatenate(xs, axis=axis),
    "concat_vectors": lambda a, b: jnp.concatenate((a, b)),
    "stack": lambda *xs, axis: jnp.stack(xs, axis=axis),
    "unstack": lambda x, **_: tuple(x),
    "split": lambda x, indices_or_sections, axis: tuple(jnp.split(x, indices_or_sections, axis=axis)),
    "repeat": lambda x, repeats, axis: jnp.repeat(x, np.asarray(repeats), axis=axis),
    "getitem": lambda x, *indices, at: x[at.fill(indices)],
    "scatter": lambda x, *indices, at, shape: jnp.zeros(shape, x.dtype).at[at.fill(indices)].add(x),
    "scatter_add": lambda x, indices, updates, axis: put(x, indices, updates, axis, "add"),
    "pad": lambda x, pad_width, mode, constant_values: padded(x, pad_width, mode, constant_values),
    "unpad": lambda x, widths, mode: unpadded(x, widths, mode),
    "from_diagonal": lambda x, offset, axis1, axis2, shape: from_diagonal(x, offset, axis1, axis2, shape),
    "from_parts": lambda re, im: lax.complex(re, im),
    # products
    "bmm": lambda a, b: jnp.matmul(a, b),
    "linear": lambda weight, bias, x: jnp.matmul(x, weight.T) + bias,
    "einsum": lambda *operands, subscripts, optimize: jnp.einsum(subscripts, *operands),
    # choices
    "clamp": lambda x, lo, hi: jnp.clip(x, lo, hi),
    "relu": lambda x: jnp.maximum(x, 0),
    "sigmoid": lambda x: jax.nn.sigmoid(x),
    "softplus": lambda x: jnp.logaddexp(x, 0),
    "logsumexp": lambda x, axis, keepdims: special.logsumexp(x, axis=axis, keepdims=keepdims),
    "softmax": lambda x, axis: jax.nn.softmax(x, axis=axis),
    "log_softmax": lambda x, axis: jax.nn.log_softmax(x, axis=axis),
    "take": lambda x, indices, axis: jnp.take(x, indices, axis=axis, mode="wrap"),
    # linear algebra
    "cholesky": lambda a, upper: triangular_factor(a, upper),
    "det": lambda a: jnp.linalg.det(a),
    "slogdet": lambda a: tuple(jnp.linalg.slogdet(a)),
    "linalg_inv": lambda a: jnp.linalg.inv(a),
    "solve": lambda a, b: jnp.linalg.solve(a, b),
    "qr": lambda a, mode: tuple(jnp.linalg.qr(a, mode=mode)),
    "reciprocal_gaps": lambda x, of: reciprocal_gaps(x, of),
    "eigh": lambda a, UPLO: tuple(jnp.linalg.eigh(a, UPLO=UPLO, symmetrize_input=False)),
    "eigvalsh": lambda a, UPLO: jnp.linalg.eigh(a, UPLO=UPLO, symmetrize_input=False)[0],
    "svd": lambda a, full_matrices: tuple(jnp.linalg.svd(a, full_matrices=full_matrices)),
    "svdvals": lambda a: jnp.linalg.svd(a, compute_uv=False),
    "expm": lambda a: matrix_exponential(a),
    "solve_triangular": lambda a, b, trans, lower, unit_diagonal: triangular(a, b, trans, lower, unit_diagonal),
    "convolve": lambda a, v, mode: jnp.convolve(a, v, mode=mode),
    "correlate": lambda a, v, mode: jnp.correlate(a, v, mode=mode),
    # special functions
    "psi": lambda x: special.digamma(x),
    "polygamma": lambda x, n: special.polygamma(n, x) if n else special.digamma(x),
    "exp10": lambda x: jnp.power(10.0, x),
    "cosm1": lambda x: -2 * jnp.square(jnp.sin(x / 2)),
    # embedding
    "embedding": lambda table, ids: table.at[ids].get(mode="fill"),
    "checked_ids": lambda ids, vocabulary: ids,
    "added_rows": lambda rows, ids, vocabulary: jnp.zeros((vocabulary, rows.shape[-1]), rows.dtype).at[ids].add(rows),
    # structure
    "identity": lambda x: x,
    "detach": lambda x: lax.stop_gradient(x),
}
"""From the name of an op to its form in JAX."""

_SAME = (
    "abs all angle any arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_count "
    "bitwise_not bitwise_or bitwise_xor broadcast_to cbrt ceil conj copysign cos cosh count_nonzero cumprod deg2rad "
    "diag diagonal dot equal exp exp2 expand_dims expm1 fabs flip floor floor_divide fmax fmin fmod gcd greater "
    "greater_equal heaviside hypot imag inner isclose isfinite isinf isnan kron lcm left_shift less less_equal log "
    "log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor matmul max maximum mean min "
    "minimum moveaxis nanmax nanmean nanmin nextafter not_equal outer prod rad2deg real reciprocal remainder "
    "right_shift rint roll sign signbit sin sinc sinh sort sqrt square squeeze std sub sum swapaxes "
    "take_along_axis tan tanh tensordot tile trace tril triu trunc var vdot where"
).split()
"""The ops that are called as jax.numpy calls a function with the same arguments."""

_SPECIAL = (
    "erf erfc erfinv gammaln gammainc gammaincc betainc ndtr ndtri log_ndtr logit expit entr xlogy xlog1py i0 i0e i1 "
    "i1e betaln rel_entr kl_div exp1 expi expn"
).split()
"""The same in jax.scipy.special."""

_OTHER_NAMES = {"abs": "absolute"}


def form_of(op: Primitive) -> Form | None:
    """The form of one of our ops by its name; None if it has none."""
    name = op.name
    if name in FORMS:
        return FORMS[name]
    if name in _SAME:
        return lambda *operands, **static: getattr(jnp, _OTHER_NAMES.get(name, name))(*operands, **static)
    if name in _SPECIAL:
        return lambda *operands: getattr(special, name)(*operands)
    if name.startswith("fft_"):
        return lambda x, **static: getattr(jnp.fft, name.removeprefix("fft_"))(x, **static)
    return None


LINEAR = frozenset(
    (
        "add sub neg mul sum mean reshape flatten transpose swapaxes moveaxis expand_dims squeeze broadcast_to concat "
        "concat_vectors stack unstack split flip roll tile repeat getitem scatter take_along_axis where cast dot "
        "matmul bmm inner outer tensordot einsum linear scale trace tril triu diag diagonal cumsum identity detach "
        "real imag conj from_parts unpad from_diagonal segment_sum shift added_rows"
    ).split()
)
"""The ops that are linear in each operand: JAX's own derivative of their forms is theirs.

All others have tapem's derivative, replayed.
"""


BACKWARD: Mapping[str, frozenset[int]] = {
    "power": frozenset({1}), "odd_power": frozenset({0}), "expm": frozenset({0}), "ldexp": frozenset({0}),
}  # fmt: skip
"""Operands whose tangent rule is not written as a linear function of the tangent: it asks where the tangent is 0.

JAX does not transpose such a rule. Where these operands are arrays of floats, an op has tapem's reverse rule in JAX and
no forward mode.
"""


__all__ = ["BACKWARD", "FORMS", "LINEAR", "form_of"]
