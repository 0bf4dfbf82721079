"""The checkers of notebook 4, arrays and shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from checker import NotYet, compare, difference, exercise, mini, need

M: dict[str, Any] = {}
mini(M, before=5)
RANDOM = np.random.default_rng(4)


def pulled(f: Callable[..., Any], g: Any, *xs: Any) -> Any:
    """What a rule should return, by differences: the gradients of sum(g * f(*xs))."""
    return difference(lambda *xs: np.sum(g * f(*xs)), *xs)


@exercise
def mean_rule(rule: Callable[..., Any]) -> str:
    """The rule of a mean along an axis."""
    for shape, axis in (((4, 3), 0), ((4, 3), 1), ((2, 4, 3), 1)):
        x = RANDOM.normal(size=shape)
        y = np.mean(x, axis=axis)
        g = RANDOM.normal(size=y.shape)
        compare(
            rule(g, y, x, axis=axis),
            pulled(lambda x, axis=axis: np.mean(x, axis=axis), g, x),
            f"for a mean of {shape} along axis {axis}, the contribution to x",
            "Every element counts, but only by its share.",
        )
    return "each element gets its share of the cotangent of its mean."


@exercise
def outer(op: Any) -> str:
    """The rules and the signature of an outer product."""
    a, b = RANDOM.normal(size=3), RANDOM.normal(size=4)
    g = RANDOM.normal(size=(3, 4))
    for name, rule, right in zip("ab", op.rrule, pulled(np.outer, g, a, b), strict=True):
        compare(rule(g, np.outer(a, b), a, b), right, f"the contribution of outer to {name}")
    M["OPS"]["outer"] = op
    try:
        found = M["shape_of"]("outer", (3,), (4,))
    except M["ShapeError"] as error:
        need(False, f"the rules are right, but your signature refuses (3,) and (4,): {error}.")
    need(found == (3, 4), f"the rules are right, but your signature says that (3,) and (4,) give {found}, not (3, 4).")
    for shapes in (((3, 1), (4,)), ((3,), ())):
        try:
            M["shape_of"]("outer", *shapes)
        except M["ShapeError"]:
            continue
        need(False, f"your signature allows the shapes {shapes[0]} and {shapes[1]}; outer takes two vectors.")
    return "g @ b and g.T @ a, and two axes with two names."


@exercise
def signature(text: str) -> str:
    """A signature that refuses a column beside a row."""
    need(isinstance(text, str) and "->" in text, "a signature is a string with an arrow: operands -> result.")
    M["OPS"]["squared_error"] = M["Op"](None, (), text)
    need(text.split("->")[0].count(",") == 1, "the operands are two, with a comma between them.")

    def accepts(*shapes: Any) -> bool:
        try:
            M["shape_of"]("squared_error", *shapes)
        except M["ShapeError"]:
            return False
        return True

    need(not accepts((5, 1), (5,)), "your signature allows a column (5, 1) beside a row (5,): that is the mistake.")
    for size in (5, 7):
        need(accepts((size,), (size,)), f"your signature refuses {size} predictions and {size} targets.")
    need(not accepts((5,), (6,)), "your signature allows 5 predictions beside 6 targets: do the axes have one name?")
    need(not accepts((5,), ()), "your signature allows one target for five predictions.")
    found = M["shape_of"]("squared_error", (5,), (5,))
    need(found == (), f"your signature says that the loss has shape {found}; it should say (), one number.")
    return "one name for both axes, and none behind the arrow."


@exercise
def infer(function: Callable[..., Any]) -> str:
    """The shapes of a program."""
    leaf, record = M["leaf"], M["record"]
    x, tape = leaf((), np.ones((2, 3)))
    w, tape = leaf(tape, np.ones((3, 4)))
    h, tape = record(tape, "matmul", x, w)
    b, tape = leaf(tape, np.ones(4))
    s, tape = record(tape, "add", h, b)
    _, tape = record(tape, "transpose", s)
    for rows, inner, columns in ((2, 3, 4), (10**6, 10**7, 10**8)):
        found = function(tape, [(rows, inner), (inner, columns), (columns,)])
        need(isinstance(found, list), f"infer should return a list of shapes, not {type(found).__name__}.")
        product = (rows, columns)
        expected = [(rows, inner), (inner, columns), product, (columns,), product, (columns, rows)]
        need(len(found) == len(expected), f"you give {len(found)} shapes for the {len(expected)} nodes of the tape.")
        for node, one, right in zip(tape, found, expected, strict=True):
            need(one == right, f"the shape of {node.op} is {right} for these leaves, but you say {one}.")
    try:
        function(tape, [(2, 3), (5, 4), (4,)])
    except TypeError as error:
        need(type(error).__name__ == "ShapeError", f"shapes that do not fit should raise ShapeError, not {error}")
        return "and shapes that do not fit are refused, before anything is computed."
    raise NotYet("your infer allows a matrix product of (2, 3) and (5, 4): does it ask shape_of?")
