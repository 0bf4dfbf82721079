"""The checkers of notebook 1, dual numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from checker import compare, difference, exercise, need


@exercise
def quotient(Dual: Any) -> str:
    """Dual numbers that can be divided."""
    need("__truediv__" in vars(Dual) or hasattr(Dual, "__truediv__"), "your class has no __truediv__.")
    found = Dual(6.0, 1.0) / Dual(2.0, 0.0)
    need(isinstance(found, Dual), f"a quotient of two Duals should be a Dual, not {type(found).__name__}.")
    compare(found.value, 3.0, "the value of 6 / 2")
    slopes = difference(lambda a, b: a / b, 6.0, 2.0)
    compare(found.tangent, slopes[0], "d(a/b)/da at a=6, b=2", "When only a moves, a/b moves by 1/b of that.")
    compare(
        (Dual(6.0, 0.0) / Dual(2.0, 1.0)).tangent,
        slopes[1],
        "d(a/b)/db at a=6, b=2",
        "When only b grows, a/b falls: by a/b**2.",
    )
    compare((Dual(6.0, 1.0) / 2.0).tangent, 0.5, "d(a/2)/da", "A plain number is a Dual with tangent 0.")
    return "a moves a/b by 1/b, b moves it by -a/b**2, and the two effects add."


@exercise
def tanh(function: Callable[[Any], Any], Dual: Any) -> str:
    """A function of numbers and of Duals."""
    compare(function(0.5), math.tanh(0.5), "tanh(0.5)", "A plain number should give a plain number.")
    found = function(Dual(0.5, 1.0))
    need(isinstance(found, Dual), "tanh of a Dual should be a Dual: its tangent is lost here.")
    compare(found.value, math.tanh(0.5), "the value of tanh(Dual(0.5, 1))")
    compare(
        found.tangent,
        difference(math.tanh, 0.5),
        "the tangent of tanh(Dual(0.5, 1))",
        "tanh' is 1 - tanh**2, at the value.",
    )
    compare(
        function(Dual(0.5, 3.0)).tangent,
        3 * difference(math.tanh, 0.5),
        "the tangent of tanh(Dual(0.5, 3))",
        "The derivative of tanh is to be multiplied by the tangent of its argument: that is the chain rule.",
    )
    return "value by the function, tangent by its derivative times the tangent that comes in."


@exercise
def gradient(function: Callable[..., Any], Dual: Any) -> str:
    """Partial derivatives, one run for each argument."""
    runs: list[tuple[float, ...]] = []

    def f(x: Any, y: Any, z: Any) -> Any:
        runs.append(tuple(part.tangent if isinstance(part, Dual) else 0.0 for part in (x, y, z)))
        return x * y + y * z * z

    point = (2.0, 3.0, 5.0)
    found = function(f, *point)
    need(found is not None, "your gradient returns None; it should return a list of three numbers.")
    need(
        len(found) == 3,
        f"your gradient of a function of three arguments has {len(found)} parts; it should have one for each.",
    )
    expected = difference(lambda x, y, z: x * y + y * z * z, *point)
    if (1.0, 1.0, 1.0) in runs:
        need(False, "you gave every argument the tangent 1 at once: that is the sum of the partial derivatives.")
    for name, one, right in zip("xyz", found, expected, strict=True):
        compare(one, right, f"df/d{name} of x*y + y*z*z at (2, 3, 5)")
    need(len(runs) == 3, f"right numbers, but you ran f {len(runs)} times; three runs are enough, one per argument.")
    return "three partial derivatives in three runs: forward mode costs one run per input."


@exercise
def second(function: Callable[..., Any]) -> str:
    """A derivative of a derivative."""
    found = function(lambda x: x * x * x, 1.0)
    need(found is not None, "your second derivative is None.")
    need(
        isinstance(found, int | float),
        f"your second derivative is a {type(found).__name__}; take the tangent of the tangent, a number.",
    )
    compare(found, 6.0, "the second derivative of x**3 at 1", "If you get 3, that is the first derivative.")
    compare(function(lambda x: x * x * x * x + x, 2.0), 48.0, "the second derivative of x**4 + x at 2")
    return "a Dual whose parts are Duals carries a derivative of a derivative; notebook 11 says where this goes wrong."
