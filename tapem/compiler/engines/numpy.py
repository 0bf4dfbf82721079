"""The NumPy engine: straight-line NumPy source, which works wherever tapem does."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from types import CodeType, TracebackType
from typing import Any

import numpy as np

from tapem.compiler.emit import Emitter, Line
from tapem.compiler.engines.engine import Engine
from tapem.compiler.sharing import copied_outputs
from tapem.core import Primitive, quietly
from tapem.errors import TapeError
from tapem.transforms import Program

_counter = itertools.count()


class NumpyRunner:
    """A program as a Python function: from the values of the inputs to those of the outputs."""

    def __init__(self, program: Program) -> None:
        """Write the program and compile its text."""
        self.program = program
        emitter = Emitter(program, [f"x{number}" for number in range(len(program.inputs))], ["run"])
        outputs = emitter.emit()
        fresh = [
            f"{name}.copy()" if copied else name for name, copied in zip(outputs, copied_outputs(program), strict=True)
        ]
        self.lines: Sequence[Line] = emitter.lines
        self.fallbacks = emitter.fallbacks
        head = f"def run({', '.join(emitter.names[id] for id in program.inputs)}):"
        tail = f"    return ({', '.join(fresh)}{',' * (len(fresh) == 1)})"
        text = "\n".join([head, *(f"    {line.text}" for line in self.lines), tail])
        text, environment = without_lookups(text, emitter.environment)
        self.text = text
        self.file = f"<compiled {program.__name__} {next(_counter)}>"
        code: CodeType = compile(text, self.file, "exec")
        exec(code, environment)
        self.run: Callable[..., tuple[Any, ...]] = environment["run"]

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The values of the outputs. Raises the error of the op that failed."""
        try:
            return quietly(self.run, *inputs)
        except TapeError:
            raise
        except Exception as error:
            failed = self.failed(error)
            if failed is None:
                raise
            raise failed from error

    def failed(self, error: Exception) -> TapeError | None:
        """The error as the op says it, whose line was running."""
        at: TracebackType | None = error.__traceback__
        while at is not None and at.tb_frame.f_code.co_filename != self.file:
            at = at.tb_next
        if at is None or not 0 <= at.tb_lineno - 2 < len(self.lines):
            return None
        node = self.lines[at.tb_lineno - 2].node
        if node is None or not isinstance(node.op, Primitive) or not isinstance(error, node.op.refusals):
            return None
        return node.op.refusal(node.inputs, node.static, [], error)


def without_lookups(text: str, environment: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The text with `np_sum` for `np.sum`, which is bound in the environment: a look-up less for every op."""
    found = dict(environment, np=np)

    def bind(match: re.Match[str]) -> str:
        path = match.group(1)
        value: Any = np
        for name in path.split("."):
            value = getattr(value, name)
        bound = "np_" + path.replace(".", "_")
        found[bound] = value
        return bound

    return re.sub(r"\bnp\.([A-Za-z_][\w.]*)", bind, text), found


class NumpyEngine(Engine):
    """Straight-line NumPy source."""

    name = "numpy"

    def build(self, program: Program) -> NumpyRunner:
        """The program as a Python function."""
        return NumpyRunner(program)


__all__ = ["NumpyEngine"]
