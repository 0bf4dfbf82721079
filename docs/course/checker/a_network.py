"""The checkers of notebook 8, a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from checker import compare, difference, exercise, need

RANDOM = np.random.default_rng(8)


@exercise
def momentum(function: Callable[..., Any]) -> str:
    """Gradient descent with momentum, on trees."""
    params = [{"w": np.array([1.0, 2.0])}, (np.array(3.0),)]
    velocity = [{"w": np.array([1.0, 0.0])}, (np.array(-1.0),)]
    gradient = [{"w": np.array([10.0, 20.0])}, (np.array(4.0),)]
    returned = function(params, velocity, gradient, 0.1, 0.5)
    need(isinstance(returned, tuple) and len(returned) == 2, "return two trees: the parameters and the velocity.")
    after, speed = returned
    need(params[0]["w"].tolist() == [1.0, 2.0], "you changed the parameters that you were given; make new ones.")
    need(velocity[0]["w"].tolist() == [1.0, 0.0], "you changed the velocity that you were given; make a new one.")
    for name, tree, w, c, hint in (
        ("velocity", speed, [10.5, 20.0], 3.5, "It is keep * velocity + gradient."),
        ("parameters", after, [-0.05, 0.0], 2.65, "The step is rate times the new velocity."),
    ):
        good = isinstance(tree, list) and isinstance(tree[0], dict) and isinstance(tree[1], tuple)
        need(good, f"the {name} should be a tree like the parameters: a list of a dict and a tuple.")
        compare(tree[0]["w"], np.array(w), f"the new {name} of w (of [1, 2], with gradient [10, 20])", hint)
        compare(tree[1][0], c, f"the new {name} of the number", hint)
    return "two lines, whatever the network looks like."


@exercise
def maximum(grad: Callable[..., Any], ops: Any) -> str:
    """The rule of maximum, and that NumPy's function finds it."""
    a, b = RANDOM.normal(size=(3, 4)), RANDOM.normal(size=4)
    weights = RANDOM.normal(size=(3, 4))
    for name, f, x in (
        ("the first operand", lambda x: np.sum(np.maximum(x, b) * weights), a),
        ("the second operand", lambda x: np.sum(np.maximum(a, x) * weights), b),
        ("x in maximum(x, 0)", lambda x: np.sum(np.maximum(x, 0.0) * weights), a),
    ):
        op = ops["maximum"]
        need(len(op.rrule) == 2, "maximum has two operands, so it needs two rules.")
        try:
            found = grad(f)(x)
        except TypeError as error:
            need("__array_ufunc__" not in str(error), "the Tracer does not know np.maximum: tell UFUNCS.")
            raise
        compare(found, difference(f, x), f"the gradient by {name}", "Which operand does the output come from?")
    return "each element's cotangent goes to the operand that it came from."


@exercise
def tied(function: Callable[..., Any], grad: Callable[..., Any]) -> str:
    """An autoencoder with one matrix."""
    w, x = RANDOM.normal(size=(4, 2)), RANDOM.normal(size=(5, 4))
    value = function(w, x)
    compare(np.shape(value), (0,)[1:], "the shape of the loss", "A loss is one number.")
    code = np.einsum("ij,jk->ik", x, w)
    mean = np.mean((np.einsum("ik,jk->ij", code, w) - x) ** 2)
    compare(value, mean, "the loss", "It is the mean of (code @ w.T - x)², over all elements.")
    compare(grad(function)(w, x), difference(lambda w: function(w, x), w), "the gradient by w")
    return "the sweep adds: a node with two children gets two contributions."


@exercise
def cross_entropy(function: Callable[..., Any], grad: Callable[..., Any]) -> str:
    """A cross entropy that does not overflow."""
    scores = RANDOM.normal(size=(4, 3))
    one_hot = np.eye(3)[[0, 2, 1, 2]]

    def expected(scores: Any) -> Any:
        return np.mean(np.logaddexp.reduce(scores, axis=1) - np.sum(scores * one_hot, axis=1))

    value = function(scores, one_hot)
    need(np.shape(value) == (), f"a loss is one number; yours has shape {np.shape(value)}.")
    compare(value, expected(scores), "the loss of 4 rows", "Look at the shapes of what you subtract.")
    compare(grad(function)(scores, one_hot), difference(expected, scores), "the gradient")
    with np.errstate(all="ignore"):
        large = function(1000 * scores, one_hot)
        need(np.isfinite(large), f"for scores of about 1000 the loss is {large}: exp overflows.")
        compare(large, expected(1000 * scores), "the loss of scores of about 1000")
        found = grad(function)(1000 * scores, one_hot)
        need(np.isfinite(found).all(), "for scores of about 1000 the gradient is not finite.")
    return "the shift is a constant, and the gradient is softmax(scores) - one_hot, over the rows."
