"""Plain NumPy code on tracers: every function that is known gives NumPy's value and the right gradient, alone and under
vmap; every other one raises and names itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tapem as tm
from tapem.core import names
from tapem.core.hints import ATTRIBUTES, scipys
from tapem.core.names import FUNCTIONS, name_of
from tapem.errors import ArgumentError, ConcretizationError, MutationError, NoRuleError
from tapem.ops.numpy.functions import IN_PLACE
from tapem.types import NUMPY, present
from tests.ops.judged import Case, judge_value_and_gradient, judge_vmap
from tests.ops.numpy_cases import DECIDED, MORE, MORE_METHODS

RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 0.9, (3, 4))
OTHER = RNG.uniform(0.2, 0.9, (3, 4))
SQUARE = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
V = RNG.uniform(0.2, 0.9, 4)
S = np.float64(0.7)
MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, False, False]])
WITH_NAN = np.where(MASK, X, np.nan)

# What each NumPy function is tried on: a function of one array, and the array.
CASES: dict[Any, list[Case]] = {
    # making arrays, like=
    **{f: [(lambda x, f=f: f([x[0] * x[1], x[2]], like=x), V)] for f in (np.array, np.asarray, np.asanyarray)},
    **{f: [(lambda x, f=f: f([x, x * 2], like=x), V)] for f in (np.ascontiguousarray, np.asfortranarray)},
    **{f: [(lambda x, f=f: f(4, like=x) * x, V)] for f in (np.arange, np.ones, np.zeros)},
    **{f: [(lambda x, f=f: f(4, like=x) @ x, V)] for f in (np.eye, np.identity, np.tri)},
    np.empty: [(lambda x: np.concatenate([x, np.empty(0, like=x)]), V)],
    np.full: [(lambda x: np.full((2, 4), x, like=x), V)],
    np.fromfunction: [(lambda x: np.fromfunction(lambda i: x * i, (4,), like=x), V)],
    # products
    np.matmul: [(lambda x: x @ x.T, X), (lambda x: np.matmul(V[:3], x), X)],
    np.dot: [(lambda x: np.dot(x, V), X), (lambda x: x.dot(x), V)],
    np.vdot: [(lambda x: np.vdot(x, OTHER), X)],
    np.inner: [(lambda x: np.inner(x, OTHER), X)],
    np.outer: [(lambda x: np.outer(x, x), V)],
    np.tensordot: [(lambda x: np.tensordot(x, OTHER, axes=([0], [0])), X), (lambda x: np.tensordot(x, x), SQUARE)],
    np.einsum: [(lambda x: np.einsum("ij,ij->i", x, OTHER), X), (lambda x: np.einsum("ii->i", x), SQUARE)],
    np.kron: [(lambda x: np.kron(x, OTHER), X)],
    np.cross: [(lambda x: np.cross(x.T, OTHER.T), X), (lambda x: np.cross(x, OTHER, axis=0), X)],
    np.vecdot: [(lambda x: np.vecdot(x, OTHER), X)],
    **{f: [(lambda x, f=f: f(x, V), X)] for f in present("matvec")},
    **{f: [(lambda x, f=f: f(V[:3], x), X)] for f in present("vecmat")},
    np.linalg.matmul: [(lambda x: np.linalg.matmul(x, x.T), X)],
    np.linalg.outer: [(lambda x: np.linalg.outer(x, x), V)],
    np.linalg.tensordot: [(lambda x: np.linalg.tensordot(x, OTHER, axes=2), X)],
    np.linalg.vecdot: [(lambda x: np.linalg.vecdot(x, OTHER, axis=0), X)],
    np.linalg.cross: [(lambda x: np.linalg.cross(x, OTHER, axis=0), X)],
    np.linalg.multi_dot: [(lambda x: np.linalg.multi_dot([x, OTHER.T, SQUARE, V[:3]]), X)],
    np.linalg.matrix_power: [(lambda x, n=n: np.linalg.matrix_power(x, n), SQUARE) for n in (0, 1, 3, 4, -2)],
    np.linalg.matrix_transpose: [(lambda x: np.linalg.matrix_transpose(x), X)],
    np.linalg.diagonal: [(lambda x: np.linalg.diagonal(x, offset=1), np.stack([X, OTHER]))],
    np.linalg.trace: [(lambda x: np.linalg.trace(x), np.stack([X, OTHER]))],
    np.linalg.norm: [
        *((lambda x, o=o: np.linalg.norm(x, o), V) for o in (None, 2, 1, 3, 0.5, np.inf, -np.inf, 0, -1)),
        *((lambda x, o=o: np.linalg.norm(x, o), X) for o in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
        (lambda x: np.linalg.norm(x, axis=1, keepdims=True), X),
        (lambda x: np.linalg.norm(x, 1, axis=(2, 0), keepdims=True), np.stack([X, OTHER])),
        (lambda x: np.linalg.norm(x), np.stack([X, OTHER])),
    ],
    np.linalg.vector_norm: [
        *((lambda x, o=o: np.linalg.vector_norm(x, ord=o), X) for o in (2, 3, np.inf, -np.inf, 0.5)),
        (lambda x: np.linalg.vector_norm(x, axis=0, keepdims=True), X),
    ],
    np.linalg.matrix_norm: [
        *((lambda x, o=o: np.linalg.matrix_norm(x, ord=o), X) for o in ("fro", "nuc", 1, np.inf, 2)),
        (lambda x: np.linalg.matrix_norm(x, keepdims=True, ord=1), X),
    ],
    np.linalg.solve: [(lambda x: np.linalg.solve(x, SQUARE[0]), SQUARE), (lambda b: np.linalg.solve(SQUARE, b), X)],
    np.linalg.inv: [(lambda x: np.linalg.inv(x), SQUARE)],
    np.linalg.det: [(lambda x: np.linalg.det(x), SQUARE)],
    np.linalg.slogdet: [(lambda x: np.linalg.slogdet(x).logabsdet, SQUARE)],
    np.linalg.cholesky: [(lambda x: np.linalg.cholesky(x @ x.T + np.eye(3)), SQUARE)],
    np.linalg.qr: [(lambda x: np.linalg.qr(x).R, SQUARE), (lambda x: np.linalg.qr(x)[0], SQUARE)],
    np.linalg.eig: [
        (lambda x: np.linalg.eig(x @ x.T).eigenvalues, SQUARE),
        (lambda x: np.linalg.eig(x @ x.T)[1] ** 2, SQUARE),
        (lambda x: np.abs(np.linalg.eig(x)[0]), np.array([[1.0, 2.0], [-3.0, 0.5]])),
    ],
    np.roots: [
        *((lambda x, k=k: np.roots(x - k), np.array([1.0, 0.5, -3.0, -0.2])) for k in (0.0, 0.1)),
        (lambda x: np.abs(np.roots(x)), np.array([1.0, 0.5, 3.0, 2.0])),
        (lambda x: np.real(np.roots(np.append(x, 0.0))), np.array([1.0, 0.5, 3.0])),
        (lambda x: np.roots(x * np.array([0.0, 1.0, 1.0])), np.array([1.0, 0.5, 3.0])),
    ],
    np.linalg.pinv: [
        (lambda x: np.linalg.pinv(x), X),
        (lambda x: np.linalg.pinv(x.T, rtol=None), X),
        (lambda x: np.linalg.pinv(x[:2] @ x[:2].T, 1e-12, hermitian=True), X),
        # The rank stays 2.
        (lambda x: np.linalg.pinv(x[:2].T @ x[:2], rtol=1e-10), X),
    ],
    np.linalg.eigvals: [
        (lambda x: np.linalg.eigvals(x @ x.T), SQUARE),
        (lambda x: np.imag(np.linalg.eigvals(x)), np.array([[1.0, 2.0], [-3.0, 0.5]])),
    ],
    np.linalg.eigh: [(lambda x: np.linalg.eigh(x + x.T).eigenvalues, SQUARE)],
    np.linalg.eigvalsh: [(lambda x: np.linalg.eigvalsh(x + x.T), SQUARE)],
    np.linalg.svd: [
        (lambda x: np.linalg.svd(x, full_matrices=False).S, X),
        (lambda x: np.linalg.svd(x, compute_uv=False), X),
        (lambda x: np.linalg.svd(x[:, :3] + x[:, :3].T, compute_uv=False, hermitian=True), X),
        (lambda x: np.linalg.svd(x[:, :3] + x[:, :3].T - 1, hermitian=True).S, X),
        (lambda x: np.abs(np.linalg.svd(x[:, :3] + x[:, :3].T - 1, hermitian=True).Vh), X),
    ],
    np.linalg.svdvals: [(lambda x: np.linalg.svdvals(x), X)],
    # reductions
    **{
        f: [
            (lambda x, f=f: f(x), X),
            (lambda x, f=f: f(x, 1), X),
            (lambda x, f=f: f(x, axis=(0, -1), keepdims=True), X),
            (lambda x, f=f: f(a=x, axis=0, out=None), X),
        ]
        for f in (np.sum, np.mean, np.max, np.amax, np.min, np.amin, np.prod, np.var, np.std, np.ptp)
    },
    np.median: [(lambda x: np.median(x), X), (lambda x: np.median(x, axis=0), X)],
    np.quantile: [
        (lambda x: np.quantile(x, 0.3), X),
        (lambda x: np.quantile(x, np.array([0.1, 0.5]), axis=1, keepdims=True), X),
    ],
    np.percentile: [(lambda x: np.percentile(x, [10.0, 90.0], axis=0), X)],
    np.average: [
        (lambda x: np.average(x), X),
        (lambda x: np.average(x, axis=0, weights=V[:3]), X),
        (lambda x: np.average(OTHER, weights=x), X),
        (lambda x: np.average(x, 1, OTHER, returned=True)[1] * x[:, 0], X),
    ],
    np.nancumsum: [(lambda x: np.nancumsum(x, axis=0), WITH_NAN)],
    np.nancumprod: [(lambda x: np.nancumprod(x), WITH_NAN)],
    np.nanvar: [(lambda x: np.nanvar(x, axis=0), WITH_NAN)],
    np.nanstd: [(lambda x: np.nanstd(x, axis=1, keepdims=True), WITH_NAN)],
    np.nansum: [(lambda x: np.nansum(x, axis=0), WITH_NAN)],
    np.nanprod: [(lambda x: np.nanprod(x), WITH_NAN)],
    np.nanmax: [(lambda x: np.nanmax(x, axis=1), WITH_NAN)],
    np.nanmin: [(lambda x: np.nanmin(x, axis=1), WITH_NAN)],
    np.nanmean: [(lambda x: np.nanmean(x, axis=1, keepdims=True), WITH_NAN)],
    np.cumsum: [(lambda x: np.cumsum(x), X), (lambda x: x.cumsum(axis=1), X)],
    np.cumprod: [(lambda x: np.cumprod(x), X), (lambda x: np.cumprod(x, 0), X)],
    **{f: [(lambda x, f=f: f(x, axis=1), X)] for f in present("cumulative_sum", "cumulative_prod")},
    np.trace: [(lambda x: x.trace(), X), (lambda x: np.trace(x, 1), X)],
    np.trapezoid: [
        (lambda x: np.trapezoid(x), X),
        (lambda x: np.trapezoid(OTHER, x[0].cumsum()), X),
        (lambda x: np.trapezoid(x, V[:3], axis=0), X),
        (lambda x: np.trapezoid(OTHER, x.cumsum(1), dx=2.0, axis=1), X),
    ],
    # shapes
    np.reshape: [(lambda x: np.reshape(x, (2, -1)), X), (lambda x: x.reshape(4, 3), X)],
    np.ravel: [(lambda x: np.ravel(x), X), (lambda x: x.ravel(), X)],
    np.squeeze: [(lambda x: np.squeeze(x[None], 0), X)],
    np.expand_dims: [(lambda x: np.expand_dims(x, (0, -1)), X), (lambda x: np.expand_dims(x, axis=[0, 1]), X)],
    np.transpose: [(lambda x: np.transpose(x), X), (lambda x: x.transpose(1, 0), X), (lambda x: x.T, X)],
    np.swapaxes: [(lambda x: x.swapaxes(0, 1), X)],
    np.moveaxis: [(lambda x: np.moveaxis(x, 0, -1), X)],
    np.rollaxis: [(lambda x, a=a, s=s: np.rollaxis(x, a, s), np.stack([X] * 2)) for a in (0, 1, -1) for s in (0, 2, 3)],
    np.matrix_transpose: [(lambda x: np.matrix_transpose(x), X), (lambda x: x.mT, X)],
    np.flip: [(lambda x: np.flip(x), X), (lambda x: np.flip(x, 0), X)],
    np.fliplr: [(lambda x: np.fliplr(x), X)],
    np.flipud: [(lambda x: np.flipud(x), X)],
    np.rot90: [(lambda x, k=k: np.rot90(x, k), X) for k in range(-1, 5)],
    np.roll: [(lambda x: np.roll(x, 1), X), (lambda x: np.roll(x, (1, 2), axis=(0, 1)), X)],
    np.tile: [(lambda x: np.tile(x, (2, 1)), X)],
    np.repeat: [(lambda x: x.repeat(2), X), (lambda x: np.repeat(x, [1, 2, 0], axis=0), X)],
    np.pad: [
        (lambda x: np.pad(x, 1), X),
        (lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=3.0), X),
        (lambda x: np.pad(x, (2, 1), constant_values=x[0, 0]), X),
        (lambda x: np.pad(x, ((1, 2), (0, 1)), constant_values=((x[1, 1], 2.0), (x[2, 0] * 3, x[0, 2]))), X),
        (lambda x: np.pad(x, 1, mode="edge"), X),
    ],
    np.broadcast_to: [(lambda x: np.broadcast_to(x, (2, 3, 4)), X)],
    np.broadcast_arrays: [(lambda x: np.broadcast_arrays(x, OTHER[None])[0], X)],
    np.atleast_1d: [(lambda x: np.atleast_1d(x), S), (lambda x: np.atleast_1d(x, x)[1], X)],
    np.atleast_2d: [(lambda x: np.atleast_2d(x), S), (lambda x: np.atleast_2d(x), V), (lambda x: np.atleast_2d(x), X)],
    np.atleast_3d: [(lambda x: np.atleast_3d(x), S), (lambda x: np.atleast_3d(x), V), (lambda x: np.atleast_3d(x), X)],
    # joining and cutting
    np.concatenate: [(lambda x: np.concatenate([x, OTHER, x], axis=1), X), (lambda x: np.concatenate((x, V), None), X)],
    np.stack: [(lambda x: np.stack([x, OTHER], axis=-1), X), (lambda x: np.stack([x[0, 0], 1.0]), X)],
    np.vstack: [(lambda x: np.vstack([x, V]), X), (lambda x: np.vstack([x, x]), V)],
    np.hstack: [(lambda x: np.hstack([x, OTHER]), X), (lambda x: np.hstack([x, V, 1.0]), V)],
    np.dstack: [(lambda x: np.dstack([x, OTHER]), X), (lambda x: np.dstack([x, V]), V)],
    np.column_stack: [(lambda x: np.column_stack([x, V[:3]]), X)],
    np.append: [(lambda x: np.append(x, V), X), (lambda x: np.append(x, OTHER, axis=0), X)],
    np.block: [(lambda x: np.block([[x, OTHER], [OTHER, x]]), X), (lambda x: np.block([x, 1.0]), V)],
    np.split: [(lambda x: np.split(x, 2, axis=1)[1], X), (lambda x: np.split(x, [1])[1], X)],
    np.array_split: [(lambda x: np.array_split(x, 3, axis=1)[0], X), (lambda x: np.array_split(x, [1, 2])[1], X)],
    np.hsplit: [(lambda x: np.hsplit(x, 2)[1], X), (lambda x: np.hsplit(x, 2)[1], V)],
    np.vsplit: [(lambda x: np.vsplit(x, 3)[1], X)],
    np.dsplit: [(lambda x: np.dsplit(x, 2)[1], np.stack([X, OTHER]))],
    **{f: [(lambda x, f=f: f(x, axis=1)[2], X)] for f in present("unstack")},
    np.delete: [(lambda x: np.delete(x, 1, axis=0), X), (lambda x: np.delete(x, [0, 5]), X)],
    # picking
    np.take: [
        (lambda x: np.take(x, [0, 0, 5]), X),
        (lambda x: x.take(np.array([1, -1]), axis=1), X),
        (lambda x: np.take(x, np.array([7, -9]), axis=1, mode="clip"), X),
        (lambda x: np.take(x, np.array([7, -9]), mode="wrap"), X),
    ],
    np.take_along_axis: [(lambda x: np.take_along_axis(x, np.argsort(x, axis=1), axis=1), X)],
    np.diag: [(lambda x: np.diag(x), V), (lambda x: np.diag(x, 1), X)],
    np.diagonal: [(lambda x: x.diagonal(1), X)],
    np.triu: [(lambda x: np.triu(x, 1), X)],
    np.tril: [(lambda x: np.tril(x, -1), X)],
    np.sort: [(lambda x: np.sort(x), X), (lambda x: np.sort(x, axis=None), X)],
    np.where: [(lambda x: np.where(MASK, x, 2 * x), X), (lambda x: x[np.where(MASK)], X)],
    np.select: [(lambda x: np.select([x > 0.7, x > 0.5], [x, 2 * x], 3.0), X)],
    np.clip: [
        (lambda x: np.clip(x, 0.3, 0.7), X),
        (lambda x: np.clip(x, None, 0.7), X),
        (lambda x: np.clip(OTHER, x, 0.95), X),
        (lambda x: x.clip(0.5), X),
        *((lambda x: np.clip(x, min=0.5, max=0.6), X) for _ in range(NUMPY >= (2, 1))),
    ],
    np.nan_to_num: [(lambda x: np.nan_to_num(x, nan=7.0), WITH_NAN), (lambda x: np.nan_to_num(x), X)],
    # differences
    np.diff: [
        (lambda x: np.diff(x), X),
        (lambda x: np.diff(x, 2, axis=0), X),
        (lambda x: np.diff(x, prepend=0.0, append=OTHER), X),
    ],
    np.ediff1d: [(lambda x: np.ediff1d(x, to_begin=1.0, to_end=[2.0, 3.0]), X)],
    np.gradient: [
        (lambda x: np.gradient(x), V),
        (lambda x: np.gradient(x, 0.5)[1], X),
        (lambda x: np.gradient(x, 0.5, axis=1), X),
    ],
    np.interp: [
        (lambda x: np.interp(x, np.array([0.0, 0.3, 0.6, 1.0]), np.array([1.0, 3.0, 2.0, 5.0])), X),
        (lambda f: np.interp(np.array([-1.0, 0.1, 0.45, 2.0]), np.array([0.0, 0.3, 0.6, 1.0]), f), V),
        (lambda x: np.interp(x, np.array([0.4, 0.6]), np.array([1.0, 3.0]), left=-1.0, right=9.0), X),
    ],
    np.polyval: [(lambda x: np.polyval([2.0, -1.0, 3.0], x), X), (lambda p: np.polyval(p, X), V)],
    np.linspace: [
        (lambda x: np.linspace(x, 3.0, 5), X),
        (lambda x: np.linspace(0.0, x, 4, endpoint=False), S),
        (lambda x: np.linspace(x, 2 * x, 3, axis=-1), V),
    ],
    np.meshgrid: [
        (lambda x: np.meshgrid(x, V[:2])[0], V),
        (lambda x: np.meshgrid(x, V[:2], indexing="ij")[0], V),
        (lambda x: np.meshgrid(x, V[:2], V[:3], sparse=True)[0], V),
    ],
    np.sinc: [(lambda x: np.sinc(x), X)],
    # the same values
    np.copy: [(lambda x: np.copy(x), X), (lambda x: x.copy() * 1, X)],
    np.astype: [(lambda x: np.astype(x, np.float64), X), (lambda x: x.astype(float), X)],
    np.real: [(lambda x: np.real(x) * 2, X), (lambda x: x.real * 2, X)],
    np.angle: [(lambda x: np.angle(x) * x, X), (lambda x: np.angle(x + 1j * x**2, deg=True), X)],
    np.imag: [(lambda x: np.imag(x) + x, X), (lambda x: x.imag + x, X)],
    np.full_like: [(lambda x: np.full_like(x, x[0]), X), (lambda x: np.full_like(x, 2.0) * x, X)],
    # constants of the shape
    np.zeros_like: [(lambda x: np.zeros_like(x) + x, X), (lambda x: np.zeros_like(x, dtype=int) + x, X)],
    np.ones_like: [(lambda x: np.ones_like(x) * x, X), (lambda x: np.ones_like(x, shape=(4,)) * x, X)],
    np.empty_like: [(lambda x: np.empty_like(x).shape[0] * x, X)],
    np.shape: [(lambda x: np.shape(x)[1] * x, X)],
    np.ndim: [(lambda x: np.ndim(x) * x, X)],
    np.size: [(lambda x: np.size(x) * np.size(x, 0) * x, X)],
    np.result_type: [(lambda x: np.zeros(4, np.result_type(x, np.float32)) + x, X)],
    np.common_type: [(lambda x: np.zeros(4, np.common_type(x, V)) + x, X)],
    np.can_cast: [
        (lambda x: np.can_cast(x.dtype, np.float32) * x, X),
        (lambda x: np.can_cast(np.int8, x.dtype) * x, X),
    ],
    np.min_scalar_type: [(lambda x: np.zeros(4, np.min_scalar_type(x)) + x, X)],
    np.iscomplexobj: [(lambda x: np.iscomplexobj(x) * x, X)],
    np.isrealobj: [(lambda x: np.isrealobj(x) * x, X)],
    np.iscomplex: [(lambda x: np.iscomplex(x) * x, X)],
    np.isreal: [(lambda x: np.isreal(x) * x, X)],
    np.may_share_memory: [(lambda x: np.may_share_memory(x, V) * x, X)],
    np.shares_memory: [(lambda x: np.shares_memory(x, V) * x, X)],
    # asking
    np.isclose: [(lambda x: np.isclose(x, OTHER, atol=0.2) * x, X)],
    np.allclose: [(lambda x: np.where(np.allclose(x, OTHER), x, 2 * x), X), (lambda x: np.allclose(x, x) * x, X)],
    np.array_equal: [
        (lambda x: np.where(np.array_equal(x, OTHER), x, 2 * x), X),
        (lambda x: np.array_equal(x, V) * x, X),
    ],
    np.array_equiv: [(lambda x: np.where(np.array_equiv(x, x), x, 2 * x), X)],
    np.isin: [(lambda x: np.isin(np.round(x, 1), [0.3, 0.5]) * x, X)],
    np.any: [(lambda x: np.any(x > 0.8, axis=1)[:, None] * x, X), (lambda x: (x > 0.8).any() * x, X)],
    np.all: [(lambda x: np.all(x > 0.3, axis=1)[:, None] * x, X)],
    np.argmax: [(lambda x: x[:, np.argmax(x, axis=1)], X), (lambda x: np.take(x, x.argmax()), X)],
    np.argmin: [(lambda x: np.take_along_axis(x, np.argmin(x, axis=1, keepdims=True), 1), X)],
    np.argsort: [(lambda x: x[np.argsort(x)], V)],
    np.count_nonzero: [(lambda x: np.count_nonzero(x > 0.5, axis=0) * x, X)],
    np.round: [(lambda x: np.round(x, 1) * x, X), (lambda x: x.round() * x, X)],
    np.around: [(lambda x: np.around(x, 1) * x, X)],
    np.fix: [(lambda x: np.fix(10 * x) * x, X)],
    np.nonzero: [(lambda x: x[np.nonzero(x > 0.5)], X)],
    np.flatnonzero: [(lambda x: x.ravel()[np.flatnonzero(x > 0.5)], X)],
    np.argwhere: [(lambda x: x[:2, :2].sum() * np.argwhere(x > 0.5), X)],
}
CASES |= MORE
CASES[np.quantile] += MORE_METHODS
# Their shapes depend on values, so vmap cannot know them.
VALUES_DECIDE = {np.nonzero, np.flatnonzero, np.argwhere, *DECIDED}
# Binary ufuncs get X and OTHER. The others here have a domain of their own.
DOMAINS: dict[np.ufunc, Any] = {np.arccosh: X + 1}
# SciPy's have tests of their own.
UFUNCS = [ufunc for ufunc in names.UFUNCS if not scipys(ufunc)]
INTEGERS = {name for name in UFUNCS if name.types and not any("d" in kind or "O" == kind[0] for kind in name.types)}

for ufunc in UFUNCS:
    if ufunc.signature is not None or ufunc in INTEGERS:
        continue
    at = DOMAINS.get(ufunc, X)
    if ufunc.nin == 1:
        CASES[ufunc] = [(lambda x, u=ufunc: u(x) * x, at)]
    elif ufunc.nout == 1:
        CASES[ufunc] = [(lambda x, u=ufunc: u(x, OTHER) * x, at), (lambda x, u=ufunc: u(V, x) * x, at)]
for ufunc in (np.bitwise_and, np.bitwise_or, np.bitwise_xor):
    CASES[ufunc] = [(lambda x, u=ufunc: u(x > 0.3, x < 0.7) * x, X)]
for ufunc in (np.gcd, np.lcm, np.left_shift, np.right_shift):
    CASES[ufunc] = [(lambda x, u=ufunc: u(np.floor(9 * x).astype(int), 3) * x, X)]
CASES[np.bitwise_count] = [(lambda x: np.bitwise_count(np.floor(9 * x).astype(int)) * x, X)]
CASES[np.ldexp] = [
    (lambda x: np.ldexp(x, [1, 2, 0, -3]), X),
    (lambda x: np.ldexp(x, np.floor(9 * x).astype(int)) * x, X),
]
CASES[np.frexp] = [(lambda x: np.frexp(9 * x)[0] * x, X), (lambda x: np.frexp(9 * x)[1] * x, X)]
CASES[np.modf] = [(lambda x: np.modf(3 * x)[0] * x, X), (lambda x: np.modf(3 * x)[1] * x, X)]
CASES[np.bitwise_not] = [(lambda x: ~(x > 0.3) * x, X)]
CASES[np.divmod] = [(lambda x: divmod(3 * x, OTHER)[1] * x, X), (lambda x: np.divmod(3 * x, OTHER)[0] * x, X)]

FLAT = [(function, f, x) for function, cases in CASES.items() for f, x in cases]
NAMES = [name_of(function) for function, _, _ in FLAT]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(("function", "f", "x"), FLAT, ids=NAMES)
class TestKnown:
    def test_value_and_gradient(self, function: Any, f: Any, x: Any) -> None:
        judge_value_and_gradient(f, x)

    def test_vmap(self, function: Any, f: Any, x: Any) -> None:
        if function in VALUES_DECIDE:
            with pytest.raises(ConcretizationError, match=r"np\.where"):
                tm.vmap(f)(np.stack([x, np.flip(x)]))
            return
        judge_vmap(f, x)


METHODS: dict[tuple[np.ufunc, str], list[Case]] = {
    (np.add, "reduce"): [
        (lambda x: np.add.reduce(x), X),
        (lambda x: np.add.reduce(x, axis=None), X),
        (lambda x: np.add.reduce(x, 1, keepdims=True), X),
    ],
    (np.multiply, "reduce"): [(lambda x: np.multiply.reduce(x, axis=1), X)],
    (np.maximum, "reduce"): [(lambda x: np.maximum.reduce(x), X)],
    (np.minimum, "reduce"): [(lambda x: np.minimum.reduce(x, axis=(0, 1)), X)],
    (np.logical_and, "reduce"): [(lambda x: np.logical_and.reduce(x > 0.3) * x, X)],
    (np.logical_or, "reduce"): [(lambda x: np.logical_or.reduce(x > 0.8) * x, X)],
    (np.add, "accumulate"): [(lambda x: np.add.accumulate(x), X), (lambda x: np.add.accumulate(x, axis=1), X)],
    (np.multiply, "accumulate"): [(lambda x: np.multiply.accumulate(x), X)],
    **{
        (u, "outer"): [(lambda x, u=u: u.outer(x, V), X), (lambda x, u=u: u.outer(V, x) * x[0, 0], X)]
        for u in (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.power, np.arctan2)
    },
}


@pytest.mark.parametrize(
    ("f", "x"), [case for cases in METHODS.values() for case in cases], ids=lambda x: "" if callable(x) else "x"
)
def test_methods_of_ufuncs(f: Any, x: Any) -> None:
    judge_value_and_gradient(f, x)
    judge_vmap(f, x)


# These every ufunc has, made from its handler: tests/ops/test_numpy_reductions.py tries them.
OTHERS = ("outer", "at", "reduce", "accumulate", "reduceat")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
def test_lines_between_values_are_as_precise_as_numpys(dtype: Any) -> None:
    """A third of the way is not a number of few bits, and only linspace keeps few bits."""
    end = np.array([1.5, 3.0], dtype)
    calls: list[Any] = [
        *(lambda x, f=f: f(1, x, 4) for f in (np.linspace, np.logspace, np.geomspace)),
        lambda x: np.logspace(1, 2, 4, base=x),
        lambda x: np.logspace(1, 2, 4, base=x[0]),
    ]
    for call in calls:
        expected, found = call(end), tm.vjp(call, end)[0]
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=40 * np.finfo(expected.dtype).eps)


def test_every_known_function_is_tried() -> None:
    known = set(FUNCTIONS) - set(IN_PLACE)
    assert {name_of(f) for f in known - set(CASES)} == set()
    assert {u.__name__ for u in set(UFUNCS) - set(CASES) - INTEGERS} == set()
    assert set(names.METHODS) - set(METHODS) == {k for k in names.METHODS if k[1] in OTHERS} - set(METHODS)


# docs/reference/without_a_rule.md says what of NumPy stays without a rule; tests/seeing/test_without_rule.py holds it.


class TestRefused:
    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda x: np.real_if_close(x), "real_if_close has no rule in tapem"),
            (lambda x: np.isnat(x), "np.isnat has no rule in tapem"),
            (lambda x: np.median(x, method="lower"), "method"),
        ],
    )
    def test_unknown(self, call: Any, text: str) -> None:
        with pytest.raises((NoRuleError, TypeError)) as caught:
            tm.grad(lambda x: np.sum(call(x)))(X)
        assert text in str(caught.value)

    @pytest.mark.parametrize(
        ("call", "text"),
        [
            (lambda x: np.put_along_axis(x, np.array([[0]]), 1.0, 0), "tm.scatter_set(x, indices, values, axis)"),
            (lambda x: np.copyto(x, 0.0), "np.where(mask, values, x)"),
            (lambda x: np.fill_diagonal(x, 0.0), "np.where(np.eye(n, dtype=bool), value, x)"),
            (lambda x: np.add.at(x, [0], 1.0), "tm.scatter_add(x, indices, updates, axis)"),
            (lambda x: np.sum(x, out=np.zeros(())), "use its result"),
            (lambda x: np.exp(x, out=np.zeros((3, 4))), "Write y = y + x"),
            (lambda x: x.sort(), "y = np.sort(x)"),
            (lambda x: x.fill(0.0), "np.full_like"),
            (lambda x: x.__setitem__(0, 1.0), "tm.scatter_set"),
        ],
    )
    def test_in_place(self, call: Any, text: str) -> None:
        with pytest.raises(MutationError) as caught:
            tm.grad(lambda x: [call(x), x.sum()][1])(X)
        assert text in str(caught.value)

    def test_bad_arguments_are_ours(self) -> None:
        for call in (lambda x: np.cross(x, x), lambda x: np.linalg.norm(x, "nuclear"), lambda x: np.sum(x, 5)):
            with pytest.raises(ArgumentError):
                tm.grad(lambda x, call=call: np.sum(call(x)))(X)


def test_every_method_of_an_array_works_or_says_why_not() -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "astype": (np.float32,), "clip": (0.1, 0.5), "dot": (V,), "repeat": (2,), "reshape": (-1,), "swapaxes": (0, 1),
        "take": (0,), "to_device": ("cpu",), "argpartition": (1,), "compress": ([True],), "searchsorted": (0.5,),
    }  # fmt: skip
    works: list[str] = []

    def try_all(x: Any) -> Any:
        for name in dir(np.ndarray):
            if name.startswith("_") or name in ("choose", "searchsorted"):  # of integers, and of a line
                continue
            try:
                attribute = getattr(x, name)
                if callable(attribute):
                    attribute(*arguments.get(name, ()))
                works.append(name)
            except (MutationError, ConcretizationError) as error:
                assert str(error)
            except AttributeError as error:
                hint = (
                    f". {ATTRIBUTES[name]}"
                    if name in ATTRIBUTES
                    else ": it has no rule in tapem; call it on tm.detach(x)"
                )
                assert str(error) == f"a tracer has no attribute {name!r}{hint}"
        with pytest.raises(AttributeError, match=r"has no attribute 'sine'$"):
            x.sine()
        return x.sum()

    tm.grad(try_all)(X)
    expected = """
    T all any argmax argmin argsort astype clip conj conjugate copy cumprod cumsum diagonal dot dtype flatten imag mT
    max mean min nbytes ndim nonzero prod ravel real repeat reshape round shape size squeeze std sum swapaxes take trace
    transpose var
    """
    assert set(works) >= set(expected.split())


def test_methods_that_have_their_arguments_in_another_order() -> None:
    assert tm.grad(lambda v: np.sum(v.compress([True, False, True, True]) * V[:3]))(V).tolist() == [V[0], 0, V[1], V[2]]
    assert tm.grad(lambda v: v.searchsorted(0.5) * v.sum())(V).tolist() == [V.searchsorted(0.5)] * 4


def test_float32_is_kept() -> None:
    x = X.astype(np.float32)
    for function, f, at in FLAT:
        if function in (np.linspace, np.polyval, np.astype, np.empty_like, np.argwhere, np.result_type, np.common_type):
            continue
        constant = any(isinstance(c.cell_contents, np.ndarray) for c in (f.__closure__ or ()))
        if at is X and not constant and not {"OTHER", "V", "SQUARE", "S"} & set(f.__code__.co_names):
            value, pullback = tm.vjp(f, x)
            assert value.dtype == f(x).dtype, name_of(function)
            assert pullback(np.ones(np.shape(value), value.dtype))[0].dtype == np.float32, name_of(function)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.trapezoid(x, axis=2),
        lambda x: np.trapezoid(x, V[:4], axis=5),
        lambda x: np.gradient(x, axis=-3),
        lambda x: np.gradient(x, axis=(0, 3)),
        lambda x: np.rollaxis(x, 2),
        lambda x: np.rollaxis(x, 0, 4),
        lambda x: np.average(x, axis=3, weights=V[:4]),
        lambda x: np.linalg.norm(x, axis=(0, 2)),
        lambda x: np.take(x, [0], axis=2, mode="clip"),
        lambda x: np.take(x, [0], axis=2, mode="wrap"),
        lambda x: np.diff(x, axis=2),
        lambda x: np.gradient(x[:1], axis=0),
    ],
)
def test_an_axis_that_there_is_not_is_refused_as_numpy_refuses_it(f):
    """None of them is counted round the end: axis 2 of two axes is not axis 0."""
    with pytest.raises((ValueError, IndexError)):
        f(X)
    for call in (lambda: tm.vjp(f, X), lambda: tm.vmap(f)(np.stack([X, X]))):
        with pytest.raises(tm.TapeError, match="axis"):
            call()


@pytest.mark.parametrize("f", [lambda x: np.trapezoid(x, axis=0), lambda x: np.diff(x, axis=0), np.sort])
def test_a_number_has_no_axis(f):
    with pytest.raises(tm.TapeError, match=r"axis (0|-1) is out of bounds"):
        tm.grad(lambda x: np.sum(f(x)))(0.5)
