"""The checkers of notebook 11, nesting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tapem as tm
from checker import NotYet, compare, difference, exercise, need

RANDOM = np.random.default_rng(11)


def d(f: Callable[[Any], Any], x: float) -> Any:
    """The judge: central differences, which nest without confusion, if the steps are large."""
    h = 1e-2
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


@exercise
def on_paper(found: Any) -> str:
    """Nested derivatives by hand."""
    judged = {
        "a": d(lambda x: x * d(lambda y: x * y, 2.0), 3.0),
        "b": d(lambda x: d(lambda y: x * y * y, x), 3.0),
        "c": d(lambda x: x * d(lambda y: x, 2.0), 3.0),
    }
    hints = {
        "a": "The inner derivative of x y by y is x.",
        "b": "The inner derivative is 2 x y, and there y is x.",
        "c": "The inner function does not depend on y.",
    }
    for name, right in judged.items():
        compare(found.get(name), round(right, 6), name, hints[name])
    return "inside first, and only then the outer variable moves."


@exercise
def tagged(derivative: Callable[..., Any]) -> str:
    """Dual numbers with tags."""
    for text, f, g, hint in (
        ("D_x [x * D_y (x + y)]", lambda x: x * derivative(lambda y: x + y)(1.0), 1.0, "That is the confusion."),
        ("D_x [x * D_y (y + x)]", lambda x: x * derivative(lambda y: y + x)(1.0), 1.0, "That is the confusion."),
        ("D_x [x * D_y (x * y)]", lambda x: x * derivative(lambda y: x * y)(2.0), 6.0, ""),
        ("D_x [D_y (x * y * y) at y = x]", lambda x: derivative(lambda y: x * y * y)(x), 12.0, ""),
        ("D_x [x * D_y (x)]", lambda x: x * derivative(lambda y: x)(2.0), 0.0, "x does not move with y."),
        ("D_x D_x (x * x * x)", derivative(lambda x: x * x * x), 18.0, ""),
    ):
        found = derivative(f)(3.0)
        need(isinstance(found, int | float), f"{text} is a {type(found).__name__}, not a number.")
        compare(found, g, f"{text} at x = 3", hint)
    return "one speed per question: what has another tag stands still."


@exercise
def norms(function: Callable[..., Any]) -> str:
    """The size of each example's gradient."""
    w, data = RANDOM.normal(size=(3, 2)), RANDOM.normal(size=(6, 1, 3))
    runs: list[int] = []

    def loss(w: Any, x: Any) -> Any:
        runs.append(1)
        y = np.tanh(x @ w)
        return np.sum(y * y * y)

    try:
        found = function(loss, w, data)
    except TypeError as error:
        need("power" not in str(error), "your Tracer knows no **: write a product.")
        raise
    count = len(runs)
    expected = np.array([np.sum(difference(lambda w, x=x: loss(w, x), w) ** 2) for x in data])
    compare(found, expected, "the squared norms of the six gradients")
    need(count == 1, f"right, but loss ran {count} times, once for each example; with vmap once is enough.")
    return "vmap around grad: one run, and one walk for all examples."


@exercise
def adapted(function: Callable[..., Any]) -> str:
    """A gradient through a step of training."""
    a, b, w = RANDOM.normal(size=3), RANDOM.normal(size=3), RANDOM.normal(size=3)

    def first(w: Any) -> Any:
        return np.sum(np.sin(w * a) * w)

    def second(w: Any) -> Any:
        return np.sum(np.tanh(w * b))

    def after(w: Any) -> Any:
        return second(w - 0.1 * tm.testing.finite_diff(first, w, method="complex"))

    found = function(first, second, w, 0.1)
    expected = tm.testing.finite_diff(after, w, method="extrapolated")
    step = tm.testing.finite_diff(first, w, method="complex")
    if np.allclose(found, difference(lambda w: second(w - 0.1 * step), w)):
        raise NotYet("this is the gradient for a step that stays the same when w moves; but the step depends on w.")
    compare(found, expected, "the gradient of the loss after the step", tolerance=1e-5)
    return "the second derivatives of the first loss are in it."
