"""Emit: from a program to lines of Python, the same for every engine that writes Python.

Each node becomes a line `name = expression`. What no text says is called by a name: the environment holds what the
names stand for, implementations of ops and constants.
"""

from __future__ import annotations

import copy
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self, cast

import numpy as np

from tapem.compiler.control import control_text
from tapem.compiler.texts import literal, text_of
from tapem.core import LEAF, Node, Primitive, Static, UnknownNumber, pick, python_operator, tree_flatten
from tapem.transforms import Cond, Kept, Program, Scan, While, kept
from tapem.types import NUMBERS


class Line(NamedTuple):
    """A line of a program: its text, and the node that it computes, if it computes one."""

    text: str
    node: Node | None = None


_SYMBOLS: Mapping[str, str] = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "truediv": "{0} / {1}",
    "floordiv": "{0} // {1}",
    "mod": "{0} % {1}",
    "pow": "{0} ** {1}",
    "neg": "-{0}",
    "pos": "{0}",
    "abs": "abs({0})",
}


class Emitter:
    """Writes the lines of one program.

    `environment` is from names to what they stand for, `fallbacks` the ops that are called as their implementations.
    """

    def __init__(self, program: Program, inputs: Sequence[str], taken: Sequence[str] = ()) -> None:
        """Of a program whose inputs have these names; names in `taken` are not used for anything else."""
        self.program = program
        self.environment: dict[str, Any] = {}
        self.fallbacks: list[Primitive] = []
        self.lines: list[Line] = []
        self.names: dict[int, str] = dict(zip(program.inputs, inputs, strict=True))
        self._used = {"np", "abs", "len", "range", "reversed", "zip", *inputs, *taken, *keyword.kwlist}
        self._bound: dict[int, str] = {}
        self._calls: dict[Any, str] = {}
        # The names of the results of loops and conditions.
        self.results: dict[int | None, list[str]] = {}

    def emit(self, write: Callable[[Emitter, Node], str | None] | None = None) -> list[str]:
        """Write all nodes; returns the names of the outputs. `write` may write a node in an engine's own way."""
        for node in self.program.nodes[len(self.program.inputs) :]:
            name = None if write is None else write(self, node)
            self.names[node.id] = self.node(node) if name is None else name
        return [self.names[id] for id in self.program.outputs]

    def node(self, node: Node) -> str:
        """Write one node; returns the name or the literal that stands for it."""
        if node.op is LEAF:
            return self.constant(node.output)
        if node.op is pick and node.parents[0] in self.results:
            return self.results[node.parents[0]][node.static["index"]]
        if node.op is pick:
            return self.assign(node, f"{self.names[node.parents[0]]}[{node.static['index']}]")  # pyright: ignore[reportArgumentType]
        operands = self.operands(node)
        op: Any = node.op
        control = node.static.get("program")
        if isinstance(control, Scan | While | Cond) and not getattr(control, "sizes", ()):
            return self.control(node, control, operands)
        if op is kept:
            what: Kept = node.static["what"]
            call = self.call(what.op, what.operands(operands), what.static, node)
            return self.assign(node, f"{call}_kept[{what.leaf}]")
        if op.residuals:
            call = self.call(op, operands, node.static, node)
            return call
        expression = self.expression(node, operands)
        if expression is None:
            expression = self.fallback(op, operands, node.static)
        return self.assign(node, expression)

    def operands(self, node: Node) -> list[str]:
        """The operands of a node as texts."""
        return [
            self.constant(value) if parent is None else self.names[parent]
            for parent, value in zip(node.parents, node.inputs, strict=True)
        ]

    def expression(self, node: Node, operands: Sequence[str]) -> str | None:
        """The expression of an op that has a text."""
        op: Any = node.op
        if type(node.output) is UnknownNumber:
            operation = python_operator(op, node.inputs)
            return operands[0] if operation is None else _SYMBOLS[operation.__name__].format(*operands)
        return text_of(op, operands, node.inputs, node.static, self.constant)

    def fallback(self, op: Primitive, operands: Sequence[Any], static: Static) -> str:
        """A call of the op's implementation."""
        self.fallbacks.append(op)
        options = [f"{name}={self.constant(value)}" for name, value in static.items()]
        given = ["None" if operand is None else operand for operand in operands]
        return f"{self.bind(op.implementation, op.name)}({', '.join([*given, *options])})"

    def call(self, op: Primitive, operands: Sequence[Any], static: Static, node: Node) -> str:
        """The name of the value of an op that keeps residuals; the line that computes both is written once."""
        given = tuple(["None" if operand is None else operand for operand in operands])
        key = op, given, tuple((name, self.constant(value)) for name, value in static.items())
        known = self._calls.get(key)
        if known is None:
            known = self._calls[key] = self.fresh(op.name)
            self._used.add(f"{known}_kept")
            self.lines.append(Line(f"{known}, {known}_kept = {self.fallback(op, operands, static)}", node))
            self.lines.append(Line(f"{known}_kept = {self.bind(leaves_of, 'leaves_of')}({known}_kept)", node))
        return known

    def control(self, node: Node, control: Scan | While | Cond, operands: Sequence[str]) -> str:
        """Write a loop or a condition; returns its results as a tuple."""
        lines, names = control_text(control, operands, self.fresh, self.inside, self.given_rows)
        self.lines += [Line(line) if isinstance(line, str) else line for line in lines]
        self.results[node.id] = names
        return f"({', '.join(names)},)"

    def given_rows(self, scan: Scan, names: Sequence[str]) -> set[int]:
        """The numbers of the rows that the body of a scan writes itself into the arrays of these names."""
        return set()

    def inside(self, program: Program, inputs: Sequence[str], depth: int) -> tuple[list[Line], list[str]]:
        """The lines of a program inside of this one, and the names of its outputs."""
        inner = self.within(program, inputs)
        outputs = inner.emit()
        return indented(inner.lines, depth), outputs

    def within(self, program: Program, inputs: Sequence[str]) -> Self:
        """An emitter of a program inside of this one; names and environment are shared."""
        inner = copy.copy(self)
        inner.program, inner.lines, inner.results = program, [], {}
        inner.names, inner._calls = dict(zip(program.inputs, inputs, strict=True)), {}
        return inner

    # -- names -----------------------------------------------------------------------------------------------------

    def assign(self, node: Node, expression: str) -> str:
        """Write `name = expression`; returns the name."""
        name = self.fresh(getattr(node.op, "name", "value"))
        self.lines.append(Line(f"{name} = {expression}", node))
        return name

    def fresh(self, name: str) -> str:
        """A name that is not used yet."""
        name = re.sub(r"\W", "_", name) or "value"
        number, found = 2, name
        while found in self._used:
            found, number = f"{name}_{number}", number + 1
        self._used.add(found)
        return found

    def constant(self, value: Any) -> str:
        """A constant as a literal, or as a name in the environment."""
        text = literal(value) if type(value) in NUMBERS or not isinstance(value, np.ndarray) else None
        if text is None:
            return self.bind(value, getattr(value, "__name__", "constant"))
        return f"({text})" if text.startswith("-") else text

    def bind(self, value: Any, name: str) -> str:
        """A name for a value in the environment."""
        known = self._bound.get(id(value))
        if known is None:
            known = self._bound[id(value)] = self.fresh(name.strip("<>"))
            self.environment[known] = value
        return known


def indented(lines: Sequence[Line], depth: int) -> list[Line]:
    """The lines, further to the right."""
    return [line._replace(text="    " * depth + line.text) for line in lines]


def leaves_of(tree: Any) -> list[Any]:
    """The leaves of what an op keeps."""
    if type(tree) is np.ndarray:
        return [tree]
    if type(tree) is tuple and all([type(x) is np.ndarray for x in cast("tuple[Any, ...]", tree)]):
        return [*tree]
    return tree_flatten(tree)[0]


__all__ = ["Emitter", "Line", "indented", "leaves_of"]
