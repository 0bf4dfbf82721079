"""The checkers of notebook 6, rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tapem as tm
from checker import agree, compare, difference, exercise, mini, need

M: dict[str, Any] = {}
mini(M, before=7)
RANDOM = np.random.default_rng(6)


@exercise
def outer_frule(rule: Callable[..., Any], ZERO: Any) -> str:
    """The frule of an outer product."""
    a, b = RANDOM.normal(size=3), RANDOM.normal(size=4)
    s, t = RANDOM.normal(size=3), RANDOM.normal(size=4)
    y = np.outer(a, b)

    def pushed(s: Any, t: Any) -> Any:
        return tm.testing.finite_diff_jacobian(lambda h: np.outer(a + h * s, b + h * t), 0.0, method="extrapolated")

    compare(rule((s, ZERO), y, a, b), pushed(s, 0 * b), "the tangent of y when only a moves")
    compare(rule((ZERO, t), y, a, b), pushed(0 * a, t), "the tangent of y when only b moves")
    compare(rule((s, t), y, a, b), pushed(s, t), "the tangent of y when both move", "The two effects add up.")
    return "one term for each operand, and no term for what does not move."


@exercise
def belong_together(function: Callable[..., Any]) -> str:
    """The dot product test of two rules."""
    Op, OPS = M["Op"], M["OPS"]
    matrix = RANDOM.normal(size=(3, 4))
    times = Op(lambda x: matrix @ x, (lambda g, y, x: matrix.T @ g,), None, lambda ts, y, x: matrix @ ts[0])
    good = {"sin": (OPS["sin"], 3, 3), "a matrix times x": (times, 4, 3), "the sum": (OPS["sum"], 4, ())}
    wrong_sign = OPS["sin"]._replace(rrule=(lambda g, y, x: -g * np.cos(x),))
    squared = OPS["tanh"]._replace(rrule=(lambda g, y, x: g * (1 - y),))
    reversed_rows = times._replace(rrule=(lambda g, y, x: matrix.T @ g[::-1],))
    bad = {
        "sin whose rrule has the wrong sign": (wrong_sign, 3, 3),
        "tanh whose rrule forgets a square": (squared, 3, 3),
        "a matrix times x whose rrule takes g in the wrong order": (reversed_rows, 4, 3),
    }
    for cases, expected in ((good, True), (bad, False)):
        for name, (op, size, result) in cases.items():
            found = function(op, RANDOM.normal(size=size), RANDOM.normal(size=size), RANDOM.normal(size=result))
            need(isinstance(found, bool | np.bool_), f"your test should return True or False, not {found!r}.")
            need(found == expected, f"your test says {bool(found)} of {name}; it should say {expected}.")
    return "your test passes three right pairs of rules and finds three wrong ones."


@exercise
def choose(rules: Any, ZERO: Any) -> str:
    """The rules of np.where."""
    need(len(rules) == 3, f"you give {len(rules)} rules; choose has three operands.")
    condition = np.array([True, False, True, False])
    a, b = RANDOM.normal(size=4), RANDOM.normal(size=4)
    g = RANDOM.normal(size=4)
    y = np.where(condition, a, b)
    found = [rule(g, y, condition, a, b) for rule in rules]
    right = difference(lambda a, b: np.sum(g * np.where(condition, a, b)), a, b)
    swapped = agree(found[1], right[1]) and agree(found[2], right[0])
    need(not swapped, "your rule for a passes on what belongs to b, and the other way round.")
    compare(found[1], right[0], "the contribution to a", "Where b was chosen, a had no effect.")
    compare(found[2], right[1], "the contribution to b", "Where a was chosen, b had no effect.")
    need(
        found[0] is ZERO,
        "a and b are right. The condition does not move: return ZERO for it, not an array that is made and added.",
    )
    return "each place passes its cotangent to the one that was chosen."


class Counted(np.ndarray):
    """An array that counts the exponentials that are taken of it."""

    exponentials = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Count, and compute."""
        if ufunc in (np.exp, np.exp2, np.expm1):
            Counted.exponentials += 1
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        found = getattr(ufunc, method)(*plain, **options)
        return found.view(Counted) if isinstance(found, np.ndarray) else found


@exercise
def joint(rule: Callable[..., Any], Thunk: Any) -> str:
    """A joint rule that computes one exponential."""
    a, b, g = (RANDOM.normal(size=5).view(Counted) for _ in range(3))
    y = np.logaddexp(a, b)
    right = difference(lambda a, b: np.sum(g.view(np.ndarray) * np.logaddexp(a, b)), *map(np.asarray, (a, b)))
    Counted.exponentials = 0
    found = rule(g, y, a, b)
    need(isinstance(found, tuple) and len(found) == 2, "a joint rule returns a tuple: the part of a, and that of b.")
    need(Counted.exponentials <= 1, "before anybody asks for b's part, you computed two exponentials.")
    values = [np.asarray(part() if isinstance(part, Thunk) else part) for part in found]
    for name, value, expected in zip("ab", values, right, strict=True):
        compare(value, expected, f"the contribution to {name}")
    need(Counted.exponentials == 1, f"right numbers, by {Counted.exponentials} exponentials; one is enough.")
    need(isinstance(found[1], Thunk), "right, with one exponential. Now let b's part wait: return a Thunk for it.")
    return "shared work is done once, and the rest when it is asked for."
