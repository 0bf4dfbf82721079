"""Every row in the table of docs/kinks.md: the slopes on both sides, by one-sided differences, and what tapem gives."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

import layers
import losses
import tapem as tm
from tests.test_readme import KINKS


def shown(values: Any) -> str:
    """A number or a few, short."""
    return np.array2string(np.asarray(values, float) + 0.0, precision=4, suppress_small=True, separator=", ").replace(
        "\n", ""
    )


def sided(f: Any, x: Any, sign: float) -> Any:
    """The slopes to one side in every coordinate: differences that are extrapolated once."""
    found = np.zeros(np.shape(x))
    for index in np.ndindex(np.shape(x)):
        unit = np.zeros(np.shape(x))
        unit[index] = 1.0

        def slope(h: float, unit: Any = unit) -> float:
            return float(np.real(f(x + sign * h * unit) - f(x))) / (sign * h)

        coarse, fine = slope(1e-5), slope(5e-6)
        value = 2 * fine - coarse
        found[index] = np.sign(value) * np.inf if abs(fine) > 1.2 * abs(coarse) and abs(fine) > 100 else value
    return found


def measure() -> list[dict[str, str]]:
    """All rows."""
    rows = []
    for text, at, _ in KINKS:
        f = eval(f"lambda x: {text}", {"layers": layers, "losses": losses, "np": np, "tm": tm})
        x = np.asarray(ast.literal_eval(at), float)
        with np.errstate(all="ignore"):
            left, right = sided(f, x, -1.0), sided(f, x, 1.0)
            reverse, forward = tm.grad(f)(x), tm.jacfwd(f)(x)
        row = {"function": text, "at": at, "left": shown(left), "right": shown(right)}
        rows.append({**row, "reverse": shown(reverse), "forward": shown(forward)})
    return rows
