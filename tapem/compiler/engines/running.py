"""Running: the lines of a program as a Python function, whose errors are those of the ops."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from tapem.compiler.emit import Emitter, Line
from tapem.compiler.sharing import writable
from tapem.core import Primitive, silently
from tapem.errors import TapeError

_counter = itertools.count()


class PythonFunction:
    """A function of these parameters that runs the lines of an emitter and returns the outputs.

    `environment` holds what the lines name besides what the emitter bound.
    """

    def __init__(self, emitter: Emitter, parameters: Sequence[str], outputs: Sequence[str], **environment: Any) -> None:
        """Compile the text."""
        self.lines: Sequence[Line] = emitter.lines
        self.fallbacks: Sequence[Primitive] = emitter.fallbacks
        head = f"def run({', '.join(parameters)}):"
        tail = f"    return ({', '.join(outputs)}{',' * (len(outputs) == 1)})"
        text = "\n".join([head, *(f"    {line.text}" for line in self.lines), tail])
        self.text, names = without_lookups(text, {**emitter.environment, "writable": writable, **environment})
        self.file = f"<compiled {emitter.program.__name__} {next(_counter)}>"
        exec(compile(self.text, self.file, "exec"), names)
        self.run: Callable[..., tuple[Any, ...]] = names.pop("run")  # without a reference cycle

    def __call__(self, *arguments: Any) -> tuple[Any, ...]:
        """The outputs, without warnings. Raises the error of the op whose line failed."""
        try:
            return silently(self.run, *arguments)
        except Exception as error:
            self.raise_as_op(error)
            raise

    def raise_as_op(self, error: Exception) -> None:
        """Raise the error of the op whose line was running, if the op refuses operands by such an error."""
        at: TracebackType | None = error.__traceback__
        while at is not None and at.tb_frame.f_code.co_filename != self.file:
            at = at.tb_next
        if isinstance(error, TapeError) or at is None or not 0 <= at.tb_lineno - 2 < len(self.lines):
            return
        node = self.lines[at.tb_lineno - 2].node
        if node is not None and isinstance(node.op, Primitive) and isinstance(error, node.op.refusals):
            raise node.op.refusal(node.inputs, node.static, [], error) from error


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


__all__ = ["PythonFunction"]
