"""The source text of a rule with numbers put in: `g * (1 - y * y)` becomes `1. * (1 - 0.46 * 0.46)`."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tapem.core import LEAF, Node, ShapeDtype, is_several, pick
from tapem.sweeps.printer import value_text
from tapem.sweeps.rule_source import parameters_of, partials_functions, source_of

FEW = 4
"""An array of more elements keeps its name."""


def with_numbers(node: Node, mode: str, position: int, change: Any) -> str:
    """The rule of a node for one operand, with the values of this sweep for its parameters; "" if none is small.

    `change` is the cotangent that arrives at the node, or the tangent of the operand; `mode` is "rrule" or "frule".

    >>> import tapem as tm
    >>> x, tape = tm.Tape().leaf(3.0)
    >>> y, tape = tape.record(tm.mul, x, 2.0)
    >>> with_numbers(tape[y], "rrule", 0, 1.0)
    '1. * 2.'
    """
    if node.op is LEAF or node.op is pick:
        return ""
    op: Any = node.op
    rules = getattr(op, mode)
    kept = (node.residuals,) if op.residuals else ()
    values = (node.output, *kept, *node.inputs)
    if is_several(rules):
        rule = rules[position]
        return filled(source_of(rule), named(rule, (change, *values), node.static))
    partials = partials_functions(rules)
    if not partials:
        return ""
    partial, letter = partials[position], "g" if mode == "rrule" else "t"
    if not callable(partial):
        return filled(f"{letter} * {partial!r}", {letter: change})
    return filled(f"{letter} * ({source_of(partial)})", {letter: change, **named(partial, values, node.static)})


def named(rule: Any, values: Sequence[Any], static: Mapping[str, Any]) -> dict[str, Any]:
    """The values by the names of a rule's parameters."""
    return {**static, **dict(zip(parameters_of(rule), values, strict=False))}


def filled(text: str, values: Mapping[str, Any]) -> str:
    """A text whose names are replaced by their values, where these are small; "" if there is none."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:  # words, not source
        return ""
    filler = Filler({name: short for name, value in values.items() if (short := number_text(value))})
    tree = filler.visit(tree)
    return ast.unparse(tree) if filler.used else ""


class Filler(ast.NodeTransformer):
    """Replaces names by texts."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Of these names."""
        self.texts = texts
        self.used = False

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """A name with the text of its value; `unparse` prints a name as it is."""
        text = self.texts.get(node.id)
        if text is None:
            return node
        self.used = True
        return ast.Name(text)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """A call, whose function keeps its name."""
        node.args = [self.visit(argument) for argument in node.args]
        node.keywords = [self.visit(keyword) for keyword in node.keywords]
        return node


def number_text(value: Any) -> str:
    """The text of a number or of a small array, a negative number in parentheses; "" for anything else."""
    if isinstance(value, ShapeDtype) or not isinstance(value, bool | int | float | complex | np.ndarray | np.generic):
        return ""
    if np.size(value) > FEW:
        return ""
    text = value_text(value)
    return f"({text})" if text.startswith("-") or (np.ndim(value) == 0 and "j" in text) else text


__all__ = ["with_numbers"]
