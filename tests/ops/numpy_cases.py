"""What the less common functions of NumPy are tried on: functions of one array, and the array."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapem.types import NUMPY
from tests.ops.judged import Case

RNG = np.random.default_rng(3)
X = RNG.uniform(0.2, 0.9, (3, 4))
V = X[0]
CUBE = RNG.normal(size=(2, 3, 4))
SQUARE = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
MAP = RNG.normal(size=(2, 3, 6)) + 3 * np.eye(6).reshape(2, 3, 6)
EDGES = np.array([0.2, 0.4, 0.6, 0.8])
NUMBERS = np.array([0, 2, 1, 2])
HOLES = np.where(X > 0.4, X, np.nan)
SHARES = np.array([0.13, 0.31, 0.47, 0.77])
POINTS = np.array([0.1, 0.5, 0.8, 1.7])
MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, False, True]])
WITH_NAN = np.where(MASK, X, np.nan)
sliding = np.lib.stride_tricks.sliding_window_view

ORDERS: list[Any] = [None, 2, -2, 1, -1, np.inf, "fro", "nuc"]
WEIGHTS: list[dict[str, Any]] = [
    {}, {"bias": True}, {"rowvar": False}, {"ddof": 0}, {"fweights": [1, 2, 3, 1]}, {"aweights": EDGES},
    {"fweights": np.array([1, 2, 3, 1]), "aweights": EDGES},
]  # fmt: skip

# Every method of quantiles, and those that NaN leaves in place.
METHODS: list[Any] = """
inverted_cdf averaged_inverted_cdf closest_observation interpolated_inverted_cdf hazen weibull linear median_unbiased
normal_unbiased lower higher midpoint nearest
""".split()
SMOOTH: tuple[Any, ...] = (
    "linear",
    "hazen",
    "weibull",
    "median_unbiased",
    "normal_unbiased",
    "interpolated_inverted_cdf",
)

MORE_METHODS: list[Case] = [
    *(
        (lambda x, f=f, o=o, q=q: f(x, q, method="inverted_cdf", **o), X)
        # NumPy 2.0 gives an element of weight 0 as the least, and until 2.4 weights lose their places with two axes.
        for f, q in ((np.quantile, [*[0.0] * (NUMPY >= (2, 1)), 0.1, 0.5, 1]), (np.percentile, [30.0, 77.0]))
        for o in (
            {"weights": X[::-1] * 3},
            {"weights": EDGES, "axis": 1},
            {"weights": [1, 0, 2], "axis": 0, "keepdims": True},
            *[{"weights": MASK + 0.0, "axis": (0, 1)}] * (NUMPY >= (2, 4)),
            {"weights": [0, 1, 2, 0], "axis": -1},
        )
    ),
    (lambda x: np.quantile(x, 0.4, axis=1, weights=EDGES, method="inverted_cdf"), X),
    *((lambda x, m=m: np.quantile(x, [0.1, 0.5, 0.83], axis=1, method=m), X) for m in METHODS),
    *((lambda x, m=m: np.percentile(x, 33.0, axis=(0, 1), method=m, keepdims=True), X) for m in METHODS),
    *((lambda q, m=m: np.quantile(X, q, axis=1, method=m), SHARES) for m in SMOOTH),
]

# The shapes of these depend on values, so vmap cannot know them.
DECIDED: dict[Any, list[Case]] = {
    np.unique: [
        (lambda x: np.unique(x), X),
        (lambda x: np.unique(np.concatenate([x, 2 * x[:1]]), axis=0, return_counts=True)[0], X),
        (lambda x: np.unique(x, True, True, True)[0], X),
    ],
    np.unique_values: [(lambda x: np.unique_values(x), X)],
    np.unique_all: [(lambda x: np.unique_all(x).values, X)],
    np.unique_counts: [(lambda x: np.unique_counts(x).values, X)],
    np.unique_inverse: [(lambda x: np.unique_inverse(x).values, X)],
    np.union1d: [(lambda x: np.union1d(x, [0.1, 0.11]), X)],
    np.setdiff1d: [(lambda x: np.setdiff1d(x, [0.1, 0.11]), X)],
    np.setxor1d: [(lambda x: np.setxor1d(x, [0.1, 0.11]), X)],
    np.intersect1d: [(lambda x: np.intersect1d(np.round(x, 1), [0.3, 0.5, 0.8]), X)],
    np.unravel_index: [(lambda x: x[np.unravel_index(np.argmax(x), x.shape)], X)],
    np.ravel_multi_index: [(lambda x: x.ravel()[np.ravel_multi_index((np.argmax(x, 0), NUMBERS), x.shape)], X)],
    np.packbits: [(lambda x: np.packbits(x > 0.5) * x.sum(), X)],
    np.unpackbits: [(lambda x: np.unpackbits(np.floor(x * 9).astype(np.uint8))[0] * x, X)],
    np.array2string: [(lambda x: len(np.array2string(x[0], precision=1)) * x, X)],
    np.array_repr: [(lambda x: len(np.array_repr(np.round(x, 1))) * x, X)],
    np.array_str: [(lambda x: len(np.array_str(np.round(x, 1))) * x, X)],
    np.compress: [(lambda x: np.compress(x.ravel() > 0.5, x), X)],
    np.extract: [(lambda x: np.extract(x > 0.5, x), X)],
    np.trim_zeros: [
        (lambda x: np.trim_zeros(np.pad(x, (2, 1))), V),
        (lambda x: np.trim_zeros(np.pad(x, (2, 1)), "f"), V),
        *((lambda x: np.trim_zeros(np.pad(x, 2), axis=1), X) for _ in range(NUMPY >= (2, 2))),
    ],
    np.piecewise: [
        (lambda x: np.piecewise(x, [x < 0.5, x >= 0.7], [lambda t: t * t, np.sin, 0.3]), X),
        (lambda x: np.piecewise(x, [x < 0.5, x >= 0.7], [lambda t: t * t, 2.0]), X),
    ],
    np.histogram_bin_edges: [
        (lambda x: np.histogram_bin_edges(x, 4), X),
        (lambda x: np.histogram_bin_edges(x, "auto"), X),
        (lambda x: np.histogram_bin_edges(x, 3, range=(0.3, 0.7)) * x.sum(), X),
        (lambda x: np.histogram(x, 3, density=True)[0], X),
        (lambda x: np.histogram(x, 3, density=True, weights=2 * MASK + 1.0)[1], X),
        (lambda x: np.histogram2d(x[0], x[1], 3, density=True)[0], X),
        (lambda x: np.histogram2d(x[0], x[1], [[0.1, 0.5, 1], 2])[2], X),
        (lambda x: np.histogramdd(x.T, (2, 3, 1), density=True)[0], X),
        (lambda x: np.histogramdd((x[0], x[1]), 2)[1][1], X),
    ],
}

# So do the dtypes of these: outside of the real domain the result is complex.
emath = np.emath
DECIDED |= {
    **{
        f: [(lambda x, f=f: f(x), X), (lambda x, f=f: np.abs(f(x - 0.5)), X), (lambda x, f=f: np.real(f(x - 0.5)), X)]
        for f in (emath.sqrt, emath.log, emath.log2, emath.log10)
    },
    **{
        f: [(lambda x, f=f: f(x), X), (lambda x, f=f: np.abs(f(3 * x)), X), (lambda x, f=f: np.imag(f(-3 * x)), X)]
        for f in (emath.arccos, emath.arcsin, emath.arctanh)
    },
    emath.logn: [(lambda x: emath.logn(3, x), X), (lambda x: np.abs(emath.logn(x + 1.5, -x)), X)],
    emath.power: [
        (lambda x: emath.power(x, -2), X),
        (lambda x: np.abs(emath.power(x - 0.5, 1.7)), X),
        (lambda x: np.real(emath.power([-2.0, 3], x[:, :2])), X),
    ],
}

FOURIER: dict[Any, list[Case]] = {
    np.fft.fft: [
        (lambda x: np.abs(np.fft.fft(x)), X),
        (lambda x: np.fft.fft(x * 1j, n=5, axis=0, norm="ortho").imag, X),
        (lambda x: np.fft.fft(x, 3).real, V),
    ],
    np.fft.ifft: [(lambda x: np.abs(np.fft.ifft(x, norm="forward")), X), (lambda x: np.fft.ifft(a=x, n=2).imag, V)],
    np.fft.fft2: [(lambda x: np.abs(np.fft.fft2(x)), CUBE), (lambda x: np.fft.fft2(x, (2, 5), axes=(1, 0)).real, CUBE)],
    np.fft.ifft2: [(lambda x: np.abs(np.fft.ifft2(x)), CUBE), (lambda x: np.fft.ifft2(x, norm="ortho").real, X)],
    np.fft.fftn: [(lambda x: np.abs(np.fft.fftn(x)), CUBE), (lambda x: np.fft.fftn(x, axes=[0, 2]).imag, CUBE)],
    np.fft.ifftn: [(lambda x: np.abs(np.fft.ifftn(x)), CUBE), (lambda x: np.fft.ifftn(x, [4], [-2]).real, CUBE)],
    np.fft.rfft: [(lambda x: np.abs(np.fft.rfft(x)), X), (lambda x: np.fft.rfft(x, 7, 0, "ortho").imag, X)],
    np.fft.irfft: [
        (lambda x: np.fft.irfft(x + 1j * x**2), X),
        (lambda x: np.fft.irfft(x * 1j, n=5, axis=0, norm="forward"), X),
        (lambda x: np.fft.irfft(x), V),
        (lambda x: np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(V)), V),
    ],
    np.fft.rfft2: [(lambda x: np.abs(np.fft.rfft2(x)), CUBE), (lambda x: np.fft.rfft2(x, (2, 3)).real, CUBE)],
    np.fft.irfft2: [(lambda x: np.fft.irfft2(x * (1 + 2j)), X), (lambda x: np.fft.irfft2(x, axes=(0, 1)), CUBE)],
    np.fft.rfftn: [(lambda x: np.abs(np.fft.rfftn(x)), CUBE), (lambda x: np.fft.rfftn(x, axes=(2, 1)).real, CUBE)],
    np.fft.irfftn: [(lambda x: np.fft.irfftn(x * (1 + 2j)), CUBE), (lambda x: np.fft.irfftn(x, (3,), (0,)), CUBE)],
    np.fft.hfft: [(lambda x: np.fft.hfft(x * (1 - 2j)), X), (lambda x: np.fft.hfft(x, 3, 0, "forward"), X)],
    np.fft.ihfft: [(lambda x: np.abs(np.fft.ihfft(x)), X), (lambda x: np.fft.ihfft(x, n=5, norm="ortho").imag, X)],
    np.fft.fftshift: [(lambda x: np.fft.fftshift(x), CUBE), (lambda x: np.fft.fftshift(x, axes=1) * x, CUBE)],
    np.fft.ifftshift: [(lambda x: np.fft.ifftshift(x), CUBE), (lambda x: np.fft.ifftshift(x, (0, 2)) * x, CUBE)],
}

MORE: dict[Any, list[Case]] = {
    **DECIDED,
    np.i0: [(lambda x: np.i0(4 * x - 2), X)],
    **FOURIER,
    np.convolve: [
        *((lambda x, m=m: np.convolve(x, x[:3] * 2, m), V) for m in ("full", "same", "valid")),
        (lambda x: np.convolve(2.0, x) + np.convolve(x, x[0]), V),
        (lambda x: np.convolve([1, 2, 3, 4, 5], v=x, mode="same"), V),
    ],
    np.correlate: [
        *((lambda x, m=m: np.correlate(x, x[:2] * 2, m), V) for m in ("full", "same", "valid")),
        *((lambda x, m=m: np.correlate(x[1:3], x, mode=m), V) for m in ("full", "same", "valid")),
        (lambda x: np.correlate(x, x), V),
    ],
    np.ix_: [
        (lambda x: x[np.ix_(np.argsort(x[:, 0]), np.array([1, 3]))], X),
        (lambda x: np.ix_(x, 2 * x)[0] * np.ix_(x, 2 * x)[1], V),
        (lambda x: x[np.ix_(np.array([True, False, True]), np.array([1, 3]))], X),
    ],
    np.nanquantile: [
        *((lambda x, m=m: np.nanquantile(x, [0.1, 0.5, 0.83], axis=1, method=m), WITH_NAN) for m in SMOOTH),
        (lambda q: np.nanquantile(WITH_NAN, q), SHARES),
        *((lambda x, m=m: np.nanquantile(x, [0.1, 0.5, 0.83], axis=1, method=m), WITH_NAN) for m in METHODS),
        *((lambda x, m=m: np.nanquantile(x, 0.6, method=m, keepdims=True), WITH_NAN) for m in METHODS),
        (lambda x: np.nanquantile(x, [0.2, 0.7], axis=0, weights=X, method="inverted_cdf"), WITH_NAN),
        (lambda x: np.nanquantile(x, 0.7, weights=X, method="inverted_cdf"), WITH_NAN),
    ],
    np.nanpercentile: [
        *((lambda x, m=m: np.nanpercentile(x, [10, 55.0], axis=0, method=m), WITH_NAN) for m in METHODS),
        (lambda x: np.nanpercentile(x, 40.0, axis=(0, 1), keepdims=True), WITH_NAN),
    ],
    np.nanmedian: [(lambda x: np.nanmedian(x, axis=0), WITH_NAN), (lambda x: np.nanmedian(x), WITH_NAN)],
    np.searchsorted: [
        (lambda x: np.searchsorted(EDGES, x) * x, X),
        (lambda x: np.searchsorted(np.sort(x), [0.3, 0.5], side="right") * x[:2], V),
        (lambda x: np.searchsorted(x, [0.3, 0.5], sorter=np.argsort(x)) * x[:2], V),
    ],
    np.digitize: [
        (lambda x: np.digitize(x, EDGES) * x, X),
        (lambda x: np.digitize(x, EDGES[::-1], right=True) * x, X),
    ],
    np.argpartition: [(lambda x: x[np.argpartition(x, 3)[-1:]], V)],
    np.partition: [
        (lambda x: np.sort(np.partition(x, (1, 2), axis=1), axis=1), X),
        (lambda x: np.partition(x, 5, axis=None)[5], X),
    ],
    np.lexsort: [(lambda x: np.lexsort((x, NUMBERS)) * x, V), (lambda x: np.lexsort((x[0], 2.0)) + x, V)],
    np.nanargmax: [(lambda x: np.nanargmax(x, axis=1)[:, None] * x, X), (lambda x: np.nanargmax(x) * x, X)],
    np.nanargmin: [(lambda x: np.nanargmin(x, axis=0, keepdims=True) * x, X)],
    np.isposinf: [(lambda x: np.isposinf(np.where(x > 0.5, np.inf, x)) * x, X)],
    np.isneginf: [(lambda x: np.isneginf(np.where(x > 0.5, -np.inf, x)) * x, X)],
    np.linalg.matrix_rank: [
        (lambda x: np.linalg.matrix_rank(x) * x, X),
        (lambda x: np.linalg.matrix_rank(np.stack([x, 0 * x]))[:, None, None] * x, X),
    ],
    np.tril_indices_from: [(lambda x: x[np.tril_indices_from(x)], SQUARE)],
    np.triu_indices_from: [(lambda x: x[np.triu_indices_from(x, 1)], X)],
    np.diag_indices_from: [(lambda x: x[np.diag_indices_from(x)], SQUARE)],
    np.einsum_path: [(lambda x: len(np.einsum_path("ij,kj->ik", X, X)[0]) * x, X)],
    np.choose: [
        (lambda x: np.choose(NUMBERS, [x, 2 * x, 3 * x]), V),
        (lambda x: np.choose(np.array([[1], [5], [-1]]), [x, 2 * x], mode="wrap"), X),
        (lambda x: np.choose(np.array([[1], [5], [-1]]), [x, 2 * x], mode="clip"), X),
    ],
    np.insert: [
        *(
            (lambda x, o=o, v=v, a=a: np.insert(x, o, v, axis=a), X)
            for o, v, a in [
                (1, 9.0, None), (1, 9.0, 0), ([0, 2], 9.0, 1), (1, [1, 2, 3.0], 1), ([1], [[1], [2], [3.0]], 1),
                (slice(0, 2), 5.0, 0), (-1, [1, 2, 3.0, 4], 0), ([0, 0, 2], [1, 2, 3.0], None),
            ]
        ),
        (lambda x: np.insert(x, 1, 2 * x[0], axis=0), X),
    ],
    np.resize: [(lambda x, s=s: np.resize(x, s), X) for s in ((2, 3), (5, 4), 17)],
    np.diagflat: [(lambda x: np.diagflat(x, 1), X)],
    np.vander: [
        (lambda x: np.vander(x), V),
        (lambda x: np.vander(x, 3), V),
        (lambda x: np.vander(x, 6, increasing=True), V),
    ],
    np.apply_along_axis: [
        (lambda x: np.apply_along_axis(lambda v: v * v.sum(), 1, x), CUBE),
        (lambda x: np.apply_along_axis(lambda v, w: v @ v * w, 0, x, 3.0), CUBE),
        (lambda x: np.apply_along_axis(lambda v: np.outer(v, v), 1, x), CUBE),
    ],
    np.apply_over_axes: [
        (lambda x: np.apply_over_axes(np.sum, x, [0, 2]), CUBE),
        (lambda x: np.apply_over_axes(np.sum, x[0], [0, -1]), V),
    ],
    sliding: [
        (lambda x: sliding(x, 2, axis=1), CUBE),
        (lambda x: sliding(x, (1, 2, 3)), CUBE),
        (lambda x: sliding(x, (2, 2), axis=(2, 2)), CUBE),
    ],
    **{
        f: [
            (lambda x, f=f: f(x, 2 * V + 1, 5), V),
            (lambda x, f=f: f(3.0, x, 4, endpoint=False), V),
            (lambda x, f=f: f(x, 2.0, 4, axis=-1), V),
        ]
        for f in (np.logspace, np.geomspace)
    },
    np.sort_complex: [(lambda x: np.abs(np.sort_complex(x) + 1j), X), (lambda x: np.sort_complex(x * 1j).imag, V)],
    np.unwrap: [
        (lambda x: np.unwrap(20 * x), X),
        (lambda x: np.unwrap(20 * x, axis=0, period=3.0, discont=2.0), X),
        (lambda x: np.unwrap(np.array([0, np.pi, 0, -np.pi, 3 * np.pi, np.pi]) + x), np.float64(0.0)),
    ],
    np.linalg.lstsq: [
        (lambda x: np.linalg.lstsq(x, V[:3])[0], X[:, :2]),
        (lambda x: np.linalg.lstsq(x, X)[1], X[:, :2]),
        (lambda x: np.linalg.lstsq(x, V[:3])[0], X),
        (lambda b: np.linalg.lstsq(SQUARE, b)[0], X),
        (lambda x: np.linalg.lstsq(x, V[:3])[3] * np.linalg.lstsq(x, V[:3])[2], X),
    ],
    np.linalg.cond: [
        *((lambda x, p=p: np.linalg.cond(x, p), SQUARE) for p in ORDERS),
        (lambda x: np.linalg.cond(x), X),
    ],
    np.linalg.tensorinv: [(lambda x: np.linalg.tensorinv(x), MAP)],
    np.linalg.tensorsolve: [
        (lambda x: np.linalg.tensorsolve(x, X[:2, :3]), MAP),
        (lambda b: np.linalg.tensorsolve(MAP, b), X[:2, :3]),
        (lambda x: np.linalg.tensorsolve(np.moveaxis(x, -1, 0), X[:2, :3], axes=(0,)), MAP),
    ],
    np.polyadd: [(lambda p: np.polyadd(p, [1, 2.0]), V)],
    np.polysub: [(lambda p: np.polysub([1, 2.0], p), V)],
    np.polymul: [(lambda p: np.polymul(p, [1, 2.0, 3]), V), (lambda p: np.polymul(p, p), V)],
    np.polyder: [(lambda p, m=m: np.polyder(p, m), V) for m in (0, 1, 2)],
    np.polyint: [
        *((lambda p, m=m: np.polyint(p, m), V) for m in (0, 1, 2)),
        (lambda p: np.polyint(p, 2, k=[3.0, 4.0]), V),
    ],
    np.poly: [
        (lambda p: np.poly(p), V),
        (lambda p: np.poly(p), SQUARE),
        (lambda p: np.poly(p), np.array([[1.0, 2.0], [-3.0, 0.5]])),
        (lambda p: np.poly(np.stack([p + 1j * p, p - 1j * p]).ravel()), V),
    ],
    np.polydiv: [
        *((lambda p, i=i: np.polydiv(p, [1.0, 2])[i], V) for i in (0, 1)),
        *((lambda p, i=i: np.polydiv([1.0, 2, 3, 4, 5], p)[i], V[:3]) for i in (0, 1)),
        (lambda p: np.polydiv(p, 2.0)[0], V),
    ],
    np.polyfit: [
        (lambda x: np.polyfit(x, V, 1), POINTS),
        (lambda y: np.polyfit(POINTS, y, 2), V),
        (lambda y: np.polyfit(POINTS[:3], y, 1, w=[1, 2, 3.0]), X),
        *((lambda x, i=i: np.polyfit(x, V, 1, full=True)[i], POINTS) for i in (0, 1, 3)),
        *((lambda y, c=c: np.polyfit(POINTS, y, 1, cov=c)[1], V) for c in (True, "unscaled")),
        (lambda x: np.polyfit(x, V, 1, cov=True, w=EDGES)[1], POINTS),
        (lambda y: np.polyfit(POINTS[:3], y, 1, cov=True)[1], X),
        (lambda x: np.polyfit(x, V, 2, full=True)[2] * np.polyfit(x, V, 2, full=True)[4] * x, POINTS),
    ],
    np.bincount: [
        (lambda w: np.bincount(NUMBERS, w), V),
        (lambda w: np.bincount(NUMBERS, weights=w, minlength=6), V),
    ],
    np.histogram: [
        (lambda w: np.histogram(X, 4, weights=w)[0], X),
        (lambda w: np.histogram(X, [0.3, 0.5, 0.6, 0.8], weights=w, density=True)[0], X),
        (lambda w: np.histogram(X, 3, range=(0.3, 0.7), weights=w)[0], X),
        (lambda x: np.histogram(X, np.array([0.3, 0.5, 0.6, 0.8]), weights=X * x, density=True)[0], np.float64(2.0)),
    ],
    np.histogram2d: [
        (lambda w: np.histogram2d(X[0], X[1], 4, weights=w)[0], V),
        (lambda w: np.histogram2d(X[0], X[1], [0.1, 0.4, 0.6, 0.8], weights=w, density=True)[0], V),
        (lambda w: np.histogram2d(X[0], X[1], [3, [0.1, 0.5, 0.8]], [[0, 1], None], weights=w)[0], V),
    ],
    np.histogramdd: [
        (lambda w: np.histogramdd(X.T, 2, weights=w)[0], V),
        (lambda w: np.histogramdd([X[0].tolist(), X[1]], [2, EDGES], weights=w, density=True)[0], V),
    ],
    np.cov: [
        *((lambda x, o=o: np.cov(x.T if "rowvar" in o else x, **o), X) for o in WEIGHTS),
        (lambda x: np.cov(x), V),
        (lambda x: np.cov(x, x * x), V),
    ],
    np.corrcoef: [(lambda x: np.corrcoef(x), X), (lambda x: np.corrcoef(x, V), X)],
}  # fmt: skip
