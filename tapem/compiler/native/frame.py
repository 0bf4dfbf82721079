"""The frame of a native function: its arguments, and the arrays that are made before its loops."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.compiler.native.outline import Outline
from tapem.compiler.native.products import workspaces
from tapem.core import Node, ShapeDtype


class Function:
    """The text of a native function for one loop or condition.

    Its arguments are the operands `x0`, `x1`, ... of the node, and then `constants`. Arrays that are `fixed` are there
    before the loop; `lengths` are those of stacks. It `may_be_wide` as a Segment, and `may_fail` where an index is out
    of range or a Python number is divided by zero.
    """

    def __init__(self, node: Node) -> None:
        """Of a node, without lines."""
        self.counter = itertools.count()
        self.constants: list[tuple[str, Any]] = []
        self.hoisted: list[str] = []
        self.flat: dict[str, str] = {}
        self.fixed: set[str] = set()
        self.lengths: dict[str, str] = {}
        self.room: dict[str, int] = {}
        self.may_be_wide = self.may_fail = False
        self.outline = Outline()
        self.operands: list[str] = []
        for number, value in enumerate(node.inputs):
            name, kind = f"x{number}", ShapeDtype.of(value)
            self.operands.append(name)
            if kind.shape:
                self.fixed.add(name)
            if kind.shape[:1] == (-1,):
                self.lengths[name] = f"{name}.shape[0]"

    def text(self, lines: Sequence[str], results: Sequence[str]) -> str:
        """The function of these lines, whose results are followed by flags."""
        flags = ["wide"] * self.may_be_wide + ["failed"] * self.may_fail
        names = [*self.operands, *(name for name, _ in self.constants)]
        head = [*(f"{flag} = False" for flag in flags), *workspaces(self.room)]
        return self.outline.text("native", names, [*head, *self.hoisted, *lines], [*map(self.whole, results), *flags])

    def whole(self, result: str) -> str:
        """A result in memory of its own, without the room for more rows."""
        if result in self.fixed and not result.startswith("a"):
            return f"{result}.copy()"
        length = self.lengths.get(result)
        return result if length is None else f"{result}[:{length}]"

    def fresh(self, prefix: str) -> str:
        """A new name."""
        return f"{prefix}_{next(self.counter)}"

    def constant(self, value: Any) -> str:
        """The name of an array that is a further argument."""
        for name, known in self.constants:
            if known is value:
                return name
        name = self.fresh("k")
        self.constants.append((name, np.ascontiguousarray(value)))
        self.fixed.add(name)
        return name

    def array(self, shape: Sequence[int], dtype: np.dtype[Any]) -> str:
        """The name of an array that is made before the loop."""
        name = self.fresh("a")
        self.hoisted.append(f"{name} = np.empty({tuple(shape)}, np.{dtype.name})")
        self.fixed.add(name)
        return name

    def stack(self, kind: ShapeDtype, rows: int) -> str:
        """The name of an array of rows whose number is not known."""
        name = self.fresh("r")
        self.hoisted.append(f"{name} = np.empty({(rows, *kind.shape)}, np.{kind.dtype.name})")
        return name

    def in_one_line(self, array: str, size: str) -> str:
        """The array with all its axes as one, but for the one by which it is a row of another."""
        base, _, index = array.partition("[")
        if array not in self.flat and base not in self.flat:
            name = self.flat[base] = self.fresh("f")
            whole = f"{base}.reshape(({base}.shape[0], {size}))" if index else f"flat({base})"
            self.hoisted.append(f"{name} = {whole}")
        return f"{self.flat[base]}[{index}" if index else self.flat[base]


__all__ = ["Function"]
