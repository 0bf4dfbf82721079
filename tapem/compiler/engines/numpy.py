"""The NumPy engine: straight-line NumPy source, which works wherever tapem does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.compiler.emit import Emitter
from tapem.compiler.engines.engine import Engine
from tapem.compiler.engines.running import PythonFunction
from tapem.compiler.passes import can_be_written, plan
from tapem.compiler.sharing import fresh_outputs
from tapem.compiler.texts import function_name
from tapem.core import Node, ShapeDtype
from tapem.transforms import Cond, Program, Scan, While


class BufferedEmitter(Emitter):
    """Writes values into buffers, and the rows of a scan where they are to lie, also in the bodies of loops.

    Each program inside has buffers of its own.
    """

    def __init__(self, program: Program, inputs: Sequence[str], taken: Sequence[str] = ()) -> None:
        """Of a program whose inputs have these names."""
        super().__init__(program, inputs, taken)
        self.buffers: dict[str, ShapeDtype] = {}
        self._places: dict[Program, dict[int, str]] = {}
        self._rows: dict[Program, dict[int, str]] = {}

    def places(self, program: Program) -> dict[int, str]:
        """For each node that is written into an array, the name of the array."""
        if program not in self._places:
            found = plan(program)
            names = [self.fresh("buffer") for _ in found.buffers]
            self.buffers.update(zip(names, found.buffers, strict=True))
            self._places[program] = {id: names[number] for id, number in found.places.items()}
        return self._places[program]

    def given_rows(self, scan: Scan, names: Sequence[str]) -> set[int]:
        """The rows that NumPy can write into a given array."""
        body, rows = scan.body, self._rows.setdefault(scan.body, {})
        direct: set[int] = set()
        for number, (id, name) in enumerate(zip(body.outputs[scan.count :], names, strict=False)):
            if id not in rows and can_be_written(body.nodes[id]):
                rows[id] = name
                direct.add(number)
        return direct

    def control(self, node: Node, control: Scan | While | Cond, operands: Sequence[str]) -> str:
        """Write a loop or a condition; another loop of the same body has rows of its own."""
        results = super().control(node, control, operands)
        if isinstance(control, Scan):
            del self._rows[control.body]
        return results

    def node(self, node: Node) -> str:
        """Write one node, into its row or buffer if it has one."""
        rows = self._rows.get(self.program, {})
        place = rows[node.id] if node.id in rows else self.places(self.program).get(node.id)
        if place is not None:
            return written_into(self, node, place)
        if node.op.name == "transpose" and node.static["axes"] is None and len(node.shape) > 1:
            return f"{self.operands(node)[0]}.T"  # a tenth of the time of np.transpose
        return masked(self, node) or super().node(node)


class NumpyRunner:
    """A program as a Python function: from the values of the inputs to those of the outputs."""

    def __init__(self, program: Program, fast: bool) -> None:
        """Write the program and compile its text; if it is fast, with buffers."""
        emitter = (BufferedEmitter if fast else Emitter)(
            program, [f"x{n}" for n in range(len(program.inputs))], ["run", "writable"]
        )
        outputs = emitter.emit()
        buffers = emitter.buffers if isinstance(emitter, BufferedEmitter) else {}
        self.buffers = [*buffers.values()]
        self.free: list[list[Any]] = []
        parameters = [*buffers, *(emitter.names[id] for id in program.inputs)]
        self.function = PythonFunction(emitter, parameters, fresh_outputs(program, outputs, writable="writable"))
        self.fallbacks = self.function.fallbacks

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The values of the outputs. Raises the error of the op that failed."""
        try:
            buffers = self.free.pop()  # a set of buffers belongs to one call at a time
        except IndexError:
            buffers = [np.empty(kind.shape, kind.dtype) for kind in self.buffers]
        try:
            return self.function(*buffers, *inputs)
        finally:
            self.free.append(buffers)


_BITS = {"f": "uint32", "d": "uint64"}


def masked(emitter: Emitter, node: Node) -> str | None:
    """Write `where(condition, x, 0)` as a product of the bits of x with 0 or 1, which is faster than a branch."""
    if (
        node.op.name != "where"
        or not node.shape
        or node.parents[2] is not None
        or np.ndim(node.inputs[2])
        or node.inputs[2] != 0
    ):
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


class NumpyEngine(Engine):
    """Straight-line NumPy source."""

    name = "numpy"

    def build(self, program: Program, fast: bool) -> NumpyRunner:
        """The program as a Python function; if it is fast, with buffers."""
        return NumpyRunner(program, fast)


__all__ = ["NumpyEngine"]
