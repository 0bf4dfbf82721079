"""The rows of tests/tables as statements: an op on the row's operands, one of which is a value of the program."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any

import numpy as np

from tapem.core.tree import tree_flatten
from tests import tables
from tests.tables import Row


@functools.cache
def rows_of(family: str) -> list[Row]:
    """The rows of a family."""
    return importlib.import_module(f"tests.tables.{family}").ROWS


def families() -> list[str]:
    """All families of the table but the one that is made of the others."""
    return sorted(module.name for module in pkgutil.iter_modules(tables.__path__) if module.name != "complex_numbers")


def row(family: str, index: int, position: int, y: Any) -> Any:
    """The op of a row with `y` as the operand at this position; all that it gives is summed with fixed weights."""
    found = rows_of(family)[index]
    operands = [*found.operands[:position], y, *found.operands[position + 1 :]]
    parts = [as_real(part) for part in tree_flatten(found.op(*operands, **found.static))[0] if part is not None]
    return sum(np.sum(part * np.cos(np.arange(np.size(part))).reshape(np.shape(part))) for part in parts)


def as_real(part: Any) -> Any:
    """A value of a program, which is real: of a complex one both parts, so that neither is lost."""
    return np.real(part) + 0.5 * np.imag(part) if np.iscomplexobj(part) else part


def near(family: str, index: int, position: int, y: Any) -> Any:
    """The operand of a row at this position, displaced a little by the elements of `y`."""
    base = np.asarray(rows_of(family)[index].operands[position])
    flat = np.reshape(y, (-1,))
    spread = np.tile(flat, -(-base.size // max(np.size(flat), 1)))[: base.size]
    return base + 0.05 * np.reshape(spread, base.shape)
