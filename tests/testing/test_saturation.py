"""Right functions whose results are tiny because large terms cancel: no checker may cry wolf, and none may sleep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

import layers
import losses
import tapem as tm
from tapem.testing import check_grads, rule_report
from tapem.testing.flattening import Flat
from tapem.testing.rounding import rounding_error

Vector = Float[tm.Tensor, "n"]


def attention(x: Any) -> Any:
    q, k = np.reshape(20 * x, (1, -1, 1)), np.reshape(x, (1, -1, 1))
    return layers.scaled_dot_product_attention(q, k, k)


def nearly_constant(x: Any) -> Any:
    both = np.stack([x, x + 1e-3])
    return 1e3 * (both - np.mean(both, axis=0))


RIGHT: dict[str, Callable[[Any], Any]] = {
    "tanh(8x)": lambda x: np.tanh(8 * x),
    "tanh(50x)": lambda x: np.tanh(50 * x),
    "sigmoid(20x)": lambda x: tm.sigmoid(20 * x),
    "softmax, saturated": lambda x: tm.softmax(30 * x),
    "softmax over one key": lambda x: tm.softmax(x[:, None]),
    "log_softmax": lambda x: tm.log_softmax(25 * x),
    "logsumexp": lambda x: tm.logsumexp(25 * x),
    "attention": attention,
    "cross entropy": lambda x: losses.cross_entropy(20 * x[None], np.array([0])),
    "bce": lambda x: losses.bce_with_logits(30 * x, 0 * x + 1),
    "erf": lambda x: tm.erf(6 * x),
    "gelu": lambda x: tm.gelu(10 * x),
    "silu": lambda x: tm.silu(15 * x),
    "softplus": lambda x: tm.softplus(20 * x),
    "1 - tanh^2": lambda x: 1 - np.tanh(6 * x) ** 2,
    "a bump": lambda x: np.exp(-12 * x * x),
    "a sum that cancels": lambda x: (x + 1e6) - 1e6,
    "nearly constant": nearly_constant,
    "fast": lambda x: np.sin(100 * x),
}


@pytest.mark.parametrize("name", RIGHT)
def test_no_false_alarm(name: str) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-3, 3, size=rng.integers(1, 4))
        report = rule_report(RIGHT[name], [x], seed=seed)
        assert not report.findings, (seed, report)
        check_grads(RIGHT[name], (x,), order=3, seed=seed)


def test_no_false_alarm_where_nothing_is_left_of_a_derivative() -> None:
    """Rounding is not compared with rounding: not in a rule's own linearity, nor in terms that an op has lost."""
    vanishing: dict[str, Callable[[Any], Any]] = {
        "softmax": tm.softmax,
        "a product": lambda x: tm.softmax(x) * tm.sigmoid(x),
        "entropy": lambda x: np.sum(tm.softmax(x) * tm.log_softmax(x)),
        "cross entropy": lambda x: losses.cross_entropy(x, np.zeros(len(x), int)),
    }
    for seed in (1, 15, 18, 23, 37, 39):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(rng.integers(1, 4), rng.integers(1, 5))) * 10 ** rng.uniform(1, 2.5)
        for name, f in vanishing.items():
            report = rule_report(f, [x], seed=seed)
            assert not report.findings, (name, seed, report)


def flattened(first: float = 1.0, second: float = 1.0) -> Any:
    """tanh(8x), with a derivative that is off by a factor, or whose own derivative is."""

    def slope(y: Any) -> Any:
        right = 8 * first * (1 - y * y)
        return right if second == 1.0 else second * right + (1 - second) * tm.detach(right)

    @tm.primitive(rrule=(lambda g, y, x: g * slope(y),), frule=(lambda t, y, x: t * slope(y),))
    def squash(x: Vector) -> Vector:
        return np.tanh(8 * x)

    return squash


@pytest.mark.parametrize("at", [0.1, 0.5, 0.8, 1.0])
def test_faults_are_found_where_much_of_the_value_has_gone(at: float) -> None:
    """At 1.0 the derivative has sunk to 4e-6 and its derivative to 6e-5."""
    x = np.array([at, -at])
    assert not rule_report(flattened(), [x]).findings
    assert {"forward mode", "reverse mode"} <= {f.check for f in rule_report(flattened(1.01), [x]).findings}
    over = {finding.check for finding in rule_report(flattened(1.0, 1.01), [x]).findings}
    assert {"forward over reverse", "reverse over reverse"} <= over and not over & {"forward mode", "reverse mode"}


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6])
def test_faults_are_found_in_functions_of_any_size(scale: float) -> None:
    @tm.primitive(rrule=(lambda g, y, x: 2.02 * scale * x * g,), frule=(lambda t, y, x: 2 * scale * x * t,))
    def small(x: Vector) -> Vector:
        return scale * x**2

    assert "reverse mode" in {finding.check for finding in rule_report(small, [np.array([0.5, 2.0])]).findings}


@pytest.mark.parametrize(
    ("f", "least", "most"),
    [
        (lambda x: x + 1.0, 1e-17, 1e-14),
        (lambda x: (x + 1e4) - 1e4, 1e-12, 1e-10),
        (lambda x: 1 - np.tanh(8 * x) ** 2, 1e-17, 1e-14),
        (lambda x: losses.cross_entropy(np.stack([60 * x, 0 * x], -1), np.array([0, 0])), 1e-17, 1e-13),
        (lambda x: np.floor(x + 1e6) * 0 + np.where(x + 1e9 > 1e9, x, 0), 1e-20, 1e-14),
    ],
    ids=["plain", "cancels", "between ops", "inside of an op", "decisions stand"],
)
def test_the_error_of_rounding_is_estimated(f: Any, least: float, most: float) -> None:
    for seed in range(20):
        flat = Flat(f, (np.array([1.2, 2.1]),))
        error = rounding_error(flat, np.random.default_rng(seed))
        assert np.all((least < error) & (error < most)), error
