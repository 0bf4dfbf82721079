"""Running a program: on any namespace, and printing it as the Python that it is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

import tapem as tm

from .language import Function, Program, Statement, is_name, walk
from .tools import TOOLS

HOLES = ("a", "b", "c")


@functools.cache
def code(text: str, arity: int) -> Any:
    """The code of a text, as a function of the function in it and its operands."""
    parameters = ", ".join(("f", *HOLES[:arity]))
    return compile(f"lambda {parameters}: {text.format(*HOLES, f='f')}", "<statement>", "eval")


class Namespace:
    """What the names in a program's text mean: `np`, `tm` and the tools.

    The same program runs on another library if `np` and `tm` are that library's. `texts` says what it computes instead
    of a text, as judges do, and `literals` what a library makes of a literal, which is NumPy's.
    """

    def __init__(
        self,
        names: Mapping[str, Any],
        texts: Mapping[str, str] = MappingProxyType({}),
        literals: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        """With these names; a library need only have those that its programs use."""
        self.names = dict(names)
        self.texts = texts
        self.made = literals
        self.functions: dict[str, Callable[..., Any]] = {}
        self.literals: dict[str, Any] = {}

    def function(self, statement: Statement) -> Callable[..., Any]:
        """What a statement computes, as a function of the function in it and its operands."""
        found = self.functions.get(statement.text)
        if found is None:
            text = self.texts.get(statement.text, statement.text)
            found = self.functions[statement.text] = eval(code(text, len(statement.operands)), self.names)
        return found

    def literal(self, text: str) -> Any:
        """The value of a literal."""
        if text not in self.literals:
            self.literals[text] = self.made(eval(text, {"np": np}))
        return self.literals[text]

    def call(self, statement: Statement, values: Mapping[str, Any]) -> Any:
        """The value of a statement."""
        operands = [values[name] if is_name(name) else self.literal(name) for name in statement.operands]
        inner = None if statement.function is None else self.closure(statement.function, values)
        return self.function(statement)(inner, *operands)

    def closure(self, function: Function, values: Mapping[str, Any]) -> Callable[[Any], Any]:
        """A function of a program, closed over the values that there are."""

        def call(z: Any) -> Any:
            inside = {**values, function.parameter: z}
            for statement in function.statements:
                inside[statement.target] = self.call(statement, inside)
            return inside[function.result]

        return call

    def run(self, program: Program) -> Callable[[Any], Any]:
        """The program as a function of a vector."""

        def f(x: Any) -> Any:
            values = {"x": x}
            for statement in program.statements:
                values[statement.target] = self.call(statement, values)
            return self.result(program, values)

        return f

    def result(self, program: Program, values: Mapping[str, Any]) -> Any:
        """The two numbers that a program gives."""
        parts = [values[name] for name in program.parts]
        return self.names["np"].stack([sum(parts), parts[-1] * 0.5])


def namespace() -> Namespace:
    """Plain NumPy and tapem: the direct door."""
    return Namespace({"np": np, "tm": tm, **TOOLS})


DIRECT = namespace()


def source(program: Program, check: str = "", expected: Any = None) -> str:
    """The program as a plain Python program that can be run as it stands, with a check that fails."""
    text = " ".join(statement.text for statement in walk(program.statements))
    needed = {name: tool for name, tool in TOOLS.items() if f"{name}(" in text}
    if "in_thread_of_context" in needed:
        needed = {"in_thread": TOOLS["in_thread"], **needed}
    rows = [f"from tests.programs.rows import {name}" for name in ("near", "row") if name in needed]
    tools = [inspect.getsource(tool) for name, tool in needed.items() if name not in ("near", "row")]
    lines = [f"# program {program.seed}"] if program.seed is not None else []
    lines += ["from __future__ import annotations", ""]
    if tools:
        lines += [
            "import contextvars",
            "import threading",
            "from collections.abc import Callable",
            "from typing import Any",
            "",
        ]
    lines += ["import numpy as np", "", "import tapem as tm", *rows, "", *[f"\n{tool}" for tool in tools]]
    lines += ["", "def f(x):", *("    " + line for line in body(program.statements))]
    lines += [f"    return np.stack([{' + '.join(program.parts)}, {program.parts[-1]} * 0.5])", "", ""]
    if check:
        size = len(program.points[0])
        lines += [
            "g = lambda x: f(x)[0] + 0.3 * f(x)[1]",
            f"BATCH = np.array({[list(point) for point in program.points]})",
            f"X, V, W = BATCH[0], np.cos(1.0 + np.arange({size}.0)), np.array([1.5, -0.5])",
            f"print({check})",
        ]
        lines += [f"# expected: {expected!r}"] if expected is not None else []
    return "\n".join(lines) + "\n"


def body(statements: tuple[Statement, ...]) -> Iterator[str]:
    """The lines of statements."""
    for statement in statements:
        name = ""
        if statement.function is not None:
            inner = statement.function
            name = f"f_{statement.target}"
            yield f"def {name}({inner.parameter}):"
            yield from ("    " + line for line in body(inner.statements))
            yield f"    return {inner.result}"
        yield f"{statement.target} = {shown(statement, name)}"


def shown(statement: Statement, name: str) -> str:
    """The text of a statement, with operands in its holes: numbers in parentheses, since an operator could bind."""
    operands = [f"({operand})" if operand[0] in "-0123456789" else operand for operand in statement.operands]
    return statement.text.format(*operands, f=name)
