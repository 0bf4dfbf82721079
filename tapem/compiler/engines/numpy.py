"""The NumPy engine: straight-line NumPy source, which works wherever tapem does."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

import numpy as np

from tapem.compiler.emit import Emitter, Line
from tapem.compiler.engines.engine import Engine, raise_as_op
from tapem.compiler.guards import guard
from tapem.compiler.passes import Plan, plan
from tapem.compiler.sharing import copied_outputs
from tapem.compiler.texts import function_name
from tapem.core import Node, ShapeDtype, quietly
from tapem.transforms import Program

_counter = itertools.count()


class NumpyRunner:
    """A program as a Python function: from the values of the inputs to those of the outputs."""

    def __init__(self, program: Program, plan: Plan) -> None:
        """Write the program and compile its text."""
        self.program = program
        self.plan = plan
        names = [f"buffer_{number}" for number in range(len(plan.buffers))]
        emitter = Emitter(program, [f"x{number}" for number in range(len(program.inputs))], ["run", *names])

        def into_buffer(emitter: Emitter, node: Node) -> str | None:
            place = plan.places.get(node.id)
            if place is not None:
                return written_into(emitter, node, names[place])
            return masked(emitter, node) if plan.places else None

        outputs = emitter.emit(into_buffer)
        fresh = [
            f"{name}.copy()" if copied else name
            for id, name, copied in zip(program.outputs, outputs, copied_outputs(program), strict=True)
            if program.nodes[id].op is not guard
        ]
        self.lines: Sequence[Line] = emitter.lines
        self.fallbacks = emitter.fallbacks
        head = f"def run({', '.join([*names, *(emitter.names[id] for id in program.inputs)])}):"
        tail = f"    return ({', '.join(fresh)}{',' * (len(fresh) == 1)})"
        text = "\n".join([head, *(f"    {line.text}" for line in self.lines), tail])
        text, environment = without_lookups(text, emitter.environment)
        self.text = text
        self.file = f"<compiled {program.__name__} {next(_counter)}>"
        code: CodeType = compile(text, self.file, "exec")
        exec(code, environment)
        self.run: Callable[..., tuple[Any, ...]] = environment["run"]
        self.free: list[list[Any]] = []

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The values of the outputs. Raises the error of the op that failed."""
        try:
            buffers = self.free.pop()  # a set of buffers belongs to one call at a time
        except IndexError:
            buffers = [np.empty(kind.shape, kind.dtype) for kind in self.plan.buffers]
        try:
            return quietly(self.run, *buffers, *inputs)
        except Exception as error:
            raise_as_op(error, self.file, self.lines)
            raise
        finally:
            self.free.append(buffers)


_BITS = {"f": "uint32", "d": "uint64"}


def masked(emitter: Emitter, node: Node) -> str | None:
    """Write `where(condition, x, 0)` as a product of the bits of x with 0 or 1, which is faster than a branch."""
    if node.op.name != "where" or node.parents[2] is not None or np.ndim(node.inputs[2]) or node.inputs[2] != 0:
        return None
    condition, x, zero = node.inputs
    fits = ShapeDtype.of(x) == node.output == ShapeDtype(ShapeDtype.of(condition).shape, node.dtype)
    if not fits or node.dtype.char not in _BITS or np.signbit(zero) or ShapeDtype.of(condition).dtype != np.bool_:
        return None
    mask, values, _ = emitter.operands(node)
    bits = f"np.multiply({values}.view(np.{_BITS[node.dtype.char]}), {mask})"
    return emitter.assign(node, f"{bits}.view(np.{node.dtype.name})")


def written_into(emitter: Emitter, node: Node, buffer: str) -> str:
    """Write the line of a ufunc or a product whose result goes into a buffer."""
    op: Any = node.op
    operands = emitter.operands(node)
    if op.name == "relu":
        function, operands = "np.maximum", [*operands, "0"]
    elif isinstance(op.implementation, np.ufunc):
        function = function_name(op.implementation) or emitter.bind(op.implementation, op.name)
    else:
        function = f"np.{op.name}"
    # By position it is faster; np.maximum and np.minimum take it by name only, and np.dot either way.
    out = f"out={buffer}" if function in ("np.maximum", "np.minimum", "np.matmul") else buffer
    return emitter.assign(node, f"{function}({', '.join([*operands, out])})")


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

    def build(self, program: Program, fast: bool) -> NumpyRunner:
        """The program as a Python function; if it is fast, with buffers."""
        return NumpyRunner(program, plan(program) if fast else Plan((), {}))


__all__ = ["NumpyEngine"]
