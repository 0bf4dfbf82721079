"""The checkers of notebook 7, is it right?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from checker import compare, difference, exercise, mini, need

M: dict[str, Any] = {}
mini(M, before=8)


@exercise
def complex_gradient(function: Callable[..., Any]) -> str:
    """A gradient by complex steps."""
    for name, f, x in (
        ("sum(sin(x) * x)", lambda x: np.sum(np.sin(x) * x), np.array([0.5, 1.0, -2.0])),
        ("a matrix's product of all elements", np.prod, np.array([[0.5, 2.0], [3.0, -1.5]])),
    ):
        before = x.copy()
        found = function(f, x)
        need(np.array_equal(x, before), "you changed the array that you were given; copy it first.")
        need(not np.iscomplexobj(found), "your gradient is complex; take the imaginary part over h.")
        expected = difference(f, x)
        compare(found, expected, f"{name}: the gradient")
        close = np.allclose(found, _by_tapem(f, x), rtol=1e-13, atol=1e-13)
        need(close, "right to some digits only. A complex step may be tiny, 1e-200: nothing cancels.")
    return "exact to the last digits, in one call of f per input."


def _by_tapem(f: Callable[..., Any], x: Any) -> Any:
    import tapem as tm

    return tm.testing.finite_diff(f, x, method="complex")


@exercise
def rate(function: Callable[..., Any]) -> str:
    """The rate of Taylor's test."""
    x, v = np.array([0.3, 1.0, -0.8]), np.array([0.7, -0.4, 0.5])

    def f(x: Any) -> Any:
        return np.sum(np.tanh(x) * x)

    right = difference(f, x)
    found = function(f, x, v, right)
    need(np.ndim(found) == 0 and found is not None, "rate should return one number.")
    need(1.9 < found < 2.1, f"for a right gradient the rate is about 2; yours is {found:.3g}.")
    for size in (1.0, 1e-2):
        found = function(f, x, v, right + size * np.array([1.0, 0.0, 0.0]))
        need(
            found < 1.5,
            f"for a gradient whose first element is wrong by {size:g} the rate is about 1; yours is {found:.3g}.",
        )
    return "about 2 for the right gradient, about 1 for a wrong one, and no tolerance to choose."


@exercise
def wrong_rules(names: Any) -> str:
    """The rules that are wrong."""
    need(isinstance(names, set), f"wrong should be a set of names, not {type(names).__name__}.")
    known = {"square", "sqrt", "abs", "mean", "cbrt", "softplus"}
    need(names <= known, f"{', '.join(sorted(names - known))}: no such op here.")
    wrong = {"sqrt", "mean", "softplus"}
    for name in sorted(names - wrong):
        need(False, f"the rule of {name} is right (away from 0).")
    need(names, "none yet. Try faults('square', np.array([1.0, 2.0])), and so on.")
    need(names == wrong, f"{', '.join(sorted(names))}: right so far, but {3 - len(names)} more.")
    return "a factor, a size that is right for vectors only, and a sign."


@exercise
def sneaky(op: Any) -> str:
    """A wrong rule that a test does not find."""
    M["OPS"]["sneaky"] = op
    found = M["faults"]("sneaky", np.array([1.0, 2.0]))
    need(not found, f"faults finds it at [1, 2]: {'; '.join(found)}.")
    random = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        for scale in (1.0, 3.0, 10.0, 100.0):
            for shape in ((), (1,), (2,), (3,), (2, 3)):
                for x in (scale * random.normal(size=shape), np.zeros(shape)):
                    if M["faults"]("sneaky", x):
                        return "so one test at one place is not enough: draw the operands."
    need(False, "the rule is right wherever I tried it. Make it wrong somewhere else, for negative numbers say.")
    return ""
