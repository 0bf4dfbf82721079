"""A small training, and models with state, for the tests of `fit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import layers
import losses
import tapem as tm
from layers import Linear, Relu

KEY = tm.random.key(3)
MODEL = Linear(4, 8) >> Relu() >> Linear(8, 3)
X = tm.random.normal(tm.random.key(0), (50, 4), dtype=np.float32)
LABELS = np.argmax(X @ np.float32([[1, 0, -1], [0, 1, 0], [1, -1, 0], [0, 0, 1]]), axis=1)
DATA, VALIDATION = (X[:37], LABELS[:37]), (X[37:], LABELS[37:])
ADAM = tm.optim.adam(0.05)


def fit(model: Any = MODEL, loss: Any = losses.cross_entropy, optimizer: Any = ADAM, data: Any = DATA, **options: Any):
    return tm.fit(model, loss, optimizer, data, **{"key": KEY, "epochs": 4, "batch": 8, "progress": False} | options)


def accuracy(logits: Any, labels: Any) -> Any:
    return np.mean(np.argmax(logits, axis=-1) == labels)


def assert_same(a: Any, b: Any) -> None:
    """Trees of the same structure whose leaves are equal to the bit."""
    (ours, structure), (theirs, other) = tm.tree_flatten(a), tm.tree_flatten(b)
    assert structure == other
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, y, strict=isinstance(x, np.ndarray))


@dataclass(frozen=True)
class Center(layers.Layer):
    """Subtracts the mean of the batch in training, a running mean otherwise."""

    def init_state(self) -> Any:
        return {"mean": np.zeros(4, np.float32)}

    def step(self, params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        if not train:
            return x - state["mean"], state
        mean = np.mean(x, axis=0)
        return x - mean, {"mean": 0.5 * state["mean"] + 0.5 * tm.detach(mean)}


@dataclass(frozen=True)
class Noise(layers.Layer):
    """Adds noise in training."""

    def forward(self, params: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        return x + tm.random.normal(key, x.shape, dtype=np.float32) if train else x


STATEFUL = Noise() >> Center() >> MODEL
