"""Rows of the losses: all reductions, several ranks, and the options of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

import losses
from tests.tables import Row

REDUCTIONS = ("mean", "sum", "none")
SHAPES = ((4,), (2, 3), (), (1, 1), (0,), (2, 0, 3))


def _reduce(terms: Any, reduction: str, count: float | None = None) -> Any:
    if reduction == "none":
        return terms
    total = np.sum(terms)
    return total / max(np.size(terms) if count is None else count, 1) if reduction == "mean" else total


def _normal(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed + sum(shape)).normal(size=shape)


def _even(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed + sum(shape)).uniform(0.1, 0.9, size=shape)


def _pointwise(op: Any, draw: Any, target: Any, term: Callable[..., Any], **static: Any) -> list[Row]:
    def reference(prediction: Any, target: Any, *, reduction: str, **static: Any) -> Any:
        return _reduce(term(prediction, target, **static), reduction)

    return [
        Row(op, (draw(shape), target(shape)), {"reduction": reduction, **static}, reference)
        for shape in SHAPES
        for reduction in (REDUCTIONS if shape == (2, 3) else REDUCTIONS[:1])
    ]


def _signs(shape: tuple[int, ...]) -> Any:
    return np.where(_normal(shape, 1) > 0, 1, -1)


def _bits(shape: tuple[int, ...]) -> Any:
    return _normal(shape, 1) > 0


def _other(shape: tuple[int, ...]) -> Any:
    return 2 * _normal(shape, 1)


def _huber(p: Any, t: Any, delta: float) -> Any:
    return special.huber(delta, p - t)


def _binary(p: Any, t: Any) -> Any:
    return -np.where(t, special.xlogy(t, p), 0) - special.xlog1py(1 - np.asarray(t, float), -p)


POINTWISE: list[Row] = [
    *_pointwise(losses.mse, _normal, _other, lambda p, t: (p - t) ** 2),
    *_pointwise(losses.mse, _normal, _signs, lambda p, t: (p - t) ** 2),
    *_pointwise(losses.mae, _normal, _other, lambda p, t: abs(p - t)),
    # On both sides of targets of both signs, so that neither term of the difference decides its sign alone.
    *_pointwise(losses.mae, _even, lambda s: _even(s, 1), lambda p, t: abs(p - t)),
    *_pointwise(losses.mae, lambda s: -_even(s), lambda s: -_even(s, 1), lambda p, t: abs(p - t)),
    *_pointwise(losses.huber, _normal, _other, _huber, delta=1.0),
    *_pointwise(losses.huber, _normal, _other, _huber, delta=0.3),
    *_pointwise(losses.smooth_l1, _normal, _other, lambda p, t, beta: _huber(p, t, beta) / beta, beta=0.5),
    *_pointwise(losses.log_cosh, _normal, _other, lambda p, t: np.log(np.cosh(p - t))),
    *_pointwise(losses.bce, _even, lambda shape: _even(shape, 1), _binary),
    *_pointwise(losses.bce, _even, _bits, _binary),
    *_pointwise(losses.bce_with_logits, _normal, lambda s: _even(s, 1), lambda x, t: _binary(special.expit(x), t)),
    *_pointwise(losses.bce_with_logits, _normal, _bits, lambda x, t: _binary(special.expit(x), t)),
    *_pointwise(losses.hinge, _normal, _signs, lambda p, t: np.maximum(0, 1 - p * t)),
    *_pointwise(losses.hinge, _normal, _other, lambda p, t: np.maximum(0, 1 - p * t)),
    *_pointwise(losses.poisson_nll, _normal, lambda s: _even(s, 1), lambda p, t: np.exp(p) - t * p),
]


def _entropy(
    logits: Any, target: Any, *, reduction: str, ignore_index: int | None = None, label_smoothing: float = 0.0
) -> Any:
    log_softmax = special.log_softmax(logits, axis=-1) if logits.size else logits
    classes, count, keep = logits.shape[-1], None, True
    if np.ndim(target) < logits.ndim:
        labels = np.asarray(target)
        if ignore_index is not None:
            keep = labels != ignore_index
            count = int(np.sum(keep))
            labels = np.where(keep, labels, 0)
        target = np.eye(classes)[labels]
    target = (1 - label_smoothing) * target + label_smoothing / classes
    return _reduce(np.where(keep, -np.sum(target * log_softmax, axis=-1), 0), reduction, count)


def _labels(shape: tuple[int, ...], classes: int, dtype: Any = np.int64) -> Any:
    return np.random.default_rng(5).integers(0, classes, shape).astype(dtype)


def _rows(shape: tuple[int, ...], classes: int) -> list[Row]:
    logits, labels = _normal((*shape, classes)), _labels(shape, classes)
    probabilities = special.softmax(_normal((*shape, classes), 3), axis=-1) if logits.size else logits
    rows: list[Row] = []
    for reduction in REDUCTIONS if shape == (3,) else REDUCTIONS[:1]:
        mean = {"reduction": reduction}
        rows += [
            Row(losses.cross_entropy, (logits, labels), mean, _entropy),
            Row(losses.cross_entropy, (logits, labels), {**mean, "label_smoothing": 0.1}, _entropy),
            Row(losses.cross_entropy, (logits, labels), {**mean, "ignore_index": 1}, _entropy),
            Row(losses.cross_entropy, (logits, probabilities), mean, _entropy),
            Row(losses.cross_entropy, (logits, 3 * probabilities), mean, _entropy, note="rows that do not sum to 1"),
            Row(losses.cross_entropy, (logits, probabilities), {**mean, "label_smoothing": 0.3}, _entropy),
            Row(losses.nll, (logits, labels), mean, lambda p, t, **s: _nll(p, t, **s)),
            Row(losses.nll, (logits, labels), {**mean, "ignore_index": 1}, lambda p, t, **s: _nll(p, t, **s)),
            Row(losses.kl_divergence, (logits, probabilities), mean, _divergence),
            Row(losses.cosine_similarity, (logits, _normal((*shape, classes), 4)), mean, _cosine),
        ]
    return rows


def _nll(prediction: Any, target: Any, *, reduction: str, ignore_index: int | None = None) -> Any:
    keep = np.asarray(target != ignore_index)
    picked = -np.take_along_axis(prediction, np.where(keep, target, 0)[..., None], axis=-1)[..., 0]
    return _reduce(np.where(keep, picked, 0), reduction, np.sum(keep))


def _divergence(prediction: Any, target: Any, *, reduction: str) -> Any:
    return _reduce(np.sum(special.xlogy(target, target) - target * prediction, axis=-1), reduction)


def _cosine(prediction: Any, target: Any, *, reduction: str) -> Any:
    norms = np.linalg.norm(prediction, axis=-1) * np.linalg.norm(target, axis=-1)
    return _reduce(1 - np.sum(prediction * target, axis=-1) / norms, reduction)


ROWS: list[Row] = [
    *POINTWISE,
    *_rows((3,), 4),
    *_rows((2, 3), 3),
    *_rows((), 3),
    *_rows((0,), 3),
    *_rows((2,), 1)[:1],
    Row(losses.cross_entropy, (_normal((5, 3)), np.array([0, -1, 2, -1, 1])), {"ignore_index": -1}, None, "negative"),
    Row(losses.cross_entropy, (_normal((3, 4)), np.eye(4)[[1, 0, 3]]), {"reduction": "mean"}, _entropy, "one-hot"),
    Row(losses.cross_entropy, (_normal((3, 4)), np.eye(4, dtype=int)[:3]), {"reduction": "sum"}, _entropy, "ints"),
    Row(losses.cross_entropy, (_normal((3, 4)), _labels((3,), 4, np.uint8)), {"reduction": "mean"}, _entropy, "uint8"),
    Row(losses.cross_entropy, (1e4 * _normal((3, 4)), _labels((3,), 4)), {"reduction": "mean"}, _entropy, "large", 1),
]
