"""One table of every op: what each is tried on. A primitive without a row fails the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One op with one set of operands, on which every check that the op can have is run.

    `operands` are float64 (or integer, bool) arrays or numbers, away from kinks. `reference` computes the same value
    with NumPy or SciPy. `order` is the highest order of derivatives that is checked; `note` says what the row is for.
    """

    op: Callable[..., Any]
    operands: tuple[Any, ...]
    static: Mapping[str, Any] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None
    note: str = ""
    order: int = 2

    def __str__(self) -> str:
        shapes = "-".join(str(getattr(x, "shape", x)).replace(" ", "") for x in self.operands)
        static = ",".join(f"{k}={v}" for k, v in self.static.items())
        return f"{getattr(self.op, 'name', self.op.__name__)}{shapes}{static}{self.note and ' ' + self.note}"
