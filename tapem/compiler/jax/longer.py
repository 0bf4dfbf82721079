"""The forms of ops in JAX that take more than a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.compiler.jax.lazy import jax, jnp, lax


def differing(x: Any, axis: Any) -> Any:
    """1 where the elements along an axis differ, else 0."""
    if not x.size:
        axes = {a % x.ndim for a in (range(x.ndim) if axis is None else np.atleast_1d(axis))}
        return jnp.zeros([1 if a in axes else n for a, n in enumerate(x.shape)], x.dtype)
    different = jnp.max(x, axis=axis, keepdims=True) != jnp.min(x, axis=axis, keepdims=True)
    return different.astype(x.dtype)


def shares(x: Any, extreme: Any, axis: Any) -> Any:
    """The share of each element in the extreme."""
    equal = (x == extreme) | (jnp.isnan(x) & jnp.isnan(extreme))
    return equal / jnp.maximum(jnp.sum(equal, axis=axis, keepdims=True), 1)


def ordered(x: Any) -> Any:
    """The array itself. Raises TypeError for complex numbers, which XLA does not order."""
    if jnp.iscomplexobj(x):
        raise TypeError("complex numbers have no order")
    return x


def norm(x: Any, axis: Any, keepdims: bool, ord: float) -> Any:
    """A norm of vectors; for ord 2 without overflow of the squares."""
    size = jnp.abs(x)
    if ord == 1:
        return jnp.sum(size, axis=axis, keepdims=keepdims)
    if ord == np.inf:
        return jnp.max(size, axis=axis, keepdims=keepdims, initial=0)
    if ord != 2:
        return jnp.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)
    greatest = jnp.max(size, axis=axis, keepdims=True, initial=0)
    scale = jnp.where((greatest > 0) & (greatest < np.inf), greatest, 1)
    value = jnp.sqrt(jnp.sum(jnp.square(size / scale), axis=axis, keepdims=True)) * scale
    return value if keepdims else jnp.reshape(value, jnp.sum(size, axis=axis).shape)


def softmax_or_zero(x: Any, axis: Any) -> Any:
    """Exponentials over their sum; zeros if all is -inf, and equal shares for elements inf."""
    greatest = jnp.max(x, axis=axis, keepdims=True, initial=-np.inf)
    e = jnp.where(x == greatest, jnp.where(greatest > -np.inf, 1.0, 0.0), jnp.exp(x - greatest)).astype(x.dtype)
    total = jnp.sum(e, axis=axis, keepdims=True)
    return e / jnp.where(total == 0, 1, total)


def shifted(x: Any, axis: int, step: int, fill: float) -> Any:
    """The elements moved by one place along an axis."""
    if not x.shape[axis]:
        return x
    edge = jnp.full_like(lax.slice_in_dim(x, 0, 1, axis=axis), fill)
    inner = lax.slice_in_dim(x, 0, -1, axis=axis) if step == 1 else lax.slice_in_dim(x, 1, None, axis=axis)
    return jnp.concatenate((edge, inner) if step == 1 else (inner, edge), axis=axis)


def recurrence(decay: Any, drive: Any, axis: int, reverse: bool) -> Any:
    """The states s[k] = decay[k] s[k-1] + drive[k]."""
    dtype = jnp.result_type(decay, drive)
    a, b = (jnp.moveaxis(x, axis, 0).astype(dtype) for x in (decay, drive))
    if not b.shape[0]:
        return drive.astype(dtype)

    def step(state: Any, slices: Any) -> Any:
        state = slices[0] * state + slices[1]
        return state, state

    # The first factor meets no state, and may be infinite.
    a = a.at[-1 if reverse else 0].set(0)
    return jnp.moveaxis(lax.scan(step, jnp.zeros_like(b[0]), (a, b), reverse=reverse)[1], 0, axis)


def segment_sum(x: Any, lengths: Sequence[int], axis: int) -> Any:
    """The sums over segments of these lengths."""
    segments = np.repeat(np.arange(len(lengths)), lengths)
    lines = jnp.moveaxis(x, axis, 0)
    sums = jnp.zeros((len(lengths), *lines.shape[1:]), x.dtype).at[segments].add(lines[: len(segments)])
    return jnp.moveaxis(sums, 0, axis)


def put(x: Any, indices: Any, updates: Any, axis: int | None, how: str) -> Any:
    """The updates put at indices along an axis, as np.put_along_axis."""
    whole = np.arange(math.prod(x.shape)).reshape(x.shape)
    positions = jnp.take_along_axis(jnp.asarray(whole), indices, axis=axis)
    dtype = jnp.result_type(x, updates)
    values = jnp.broadcast_to(jnp.asarray(updates, dtype), positions.shape)
    flat = jnp.ravel(x).astype(dtype).at[positions.reshape(-1)]
    return getattr(flat, how)(values.reshape(-1)).reshape(x.shape)


def padded(x: Any, pad_width: Any, mode: str, constant_values: Any) -> Any:
    """np.pad."""
    options = {"constant_values": constant_values} if mode == "constant" else {}
    return jnp.pad(x, pad_width, mode=mode, **options)


def unpadded(x: Any, widths: Sequence[tuple[int, int]], mode: str) -> Any:
    """The transpose of np.pad."""
    shape = tuple(size - before - after for size, (before, after) in zip(x.shape, widths, strict=True))
    like = jax.ShapeDtypeStruct(shape, x.dtype)
    return jax.linear_transpose(lambda inner: jnp.pad(inner, widths, mode=mode), like)(x)[0]


def from_diagonal(x: Any, offset: int, axis1: int, axis2: int, shape: tuple[int, ...]) -> Any:
    """The transpose of np.diagonal."""
    like = jax.ShapeDtypeStruct(shape, x.dtype)
    return jax.linear_transpose(lambda whole: jnp.diagonal(whole, offset, axis1, axis2), like)(x)[0]


def reciprocal_gaps(x: Any, of: str) -> Any:
    """The reciprocal of each value minus each other, 0 for itself; NaN where the vectors have no derivative."""
    gaps = x[..., None, :] - x[..., :, None]
    greatest = jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0)
    rounding = x.shape[-1] * np.finfo(x.dtype).eps * greatest
    same = np.eye(x.shape[-1], dtype=bool)
    lost = (jnp.abs(gaps) <= rounding[..., None]) & ~same
    if of == "svd":
        lost = lost | (x <= rounding)[..., None]
    return jnp.where(same, 0, jnp.where(lost, np.nan, 1 / jnp.where(same, 1, gaps)))


def triangular_factor(a: Any, upper: bool) -> Any:
    """The Cholesky factor, of the one triangle that is read."""
    turned = jnp.conj(jnp.swapaxes(a, -1, -2)) if upper else a
    found = lax.linalg.cholesky(turned, symmetrize_input=False)
    return jnp.conj(jnp.swapaxes(found, -1, -2)) if upper else found


def matrix_exponential(a: Any) -> Any:
    """The exponential of every matrix."""
    return jax.scipy.linalg.expm(a) if a.size else a


def triangular(a: Any, b: Any, trans: bool, lower: bool, unit_diagonal: bool) -> Any:
    """The solution of a triangular system, for every matrix."""
    columns = b[..., None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
    a = jnp.broadcast_to(a, (*batch, *a.shape[-2:]))
    columns = jnp.broadcast_to(columns, (*batch, *columns.shape[-2:]))
    found = lax.linalg.triangular_solve(
        a, columns, left_side=True, lower=lower, transpose_a=trans, unit_diagonal=unit_diagonal
    )
    return found[..., 0] if b.ndim == 1 else found


__all__ = [
    "differing", "from_diagonal", "matrix_exponential", "norm", "ordered", "padded", "put", "reciprocal_gaps",
    "recurrence", "segment_sum", "shares", "shifted", "softmax_or_zero", "triangular", "triangular_factor", "unpadded",
]  # fmt: skip
