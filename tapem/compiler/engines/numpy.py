"""The NumPy engine: straight-line NumPy source, which works wherever tapem does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapem.compiler.emit import Emitter
from tapem.compiler.engines.engine import Engine
from tapem.compiler.engines.running import PythonFunction
from tapem.compiler.passes import (
    bits_of,
    can_be_written,
    common,
    dead,
    everywhere,
    expand_labeled,
    fold,
    is_masked,
    plan,
    pools,
    simplify,
)
from tapem.compiler.sharing import fresh_outputs
from tapem.compiler.texts import function_name, text_of
from tapem.core import Node, ShapeDtype, UnknownNumber
from tapem.transforms import Cond, Program, Scan, While

_REDUCTIONS = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}
_METHODS = {"reshape": "{x}.reshape({shape})", "take": "{x}.take({indices}{axis=})"}
_COMPARING = ("relu", "maximum", "minimum", "greater", "greater_equal", "less", "less_equal", "equal", "not_equal")
_WITH_NUMBERS = {*_COMPARING, "add", "sub", "mul", "div"}
_LARGE = 1 << 15
"""The number of elements up to which an array of one number is worth its place in the caches."""


def is_number(value: Any, dtype: Any) -> bool:
    """Whether a constant becomes a number of this float dtype where it meets an array of the dtype."""
    return type(value) in (int, float) or (isinstance(value, np.floating) and value.dtype == dtype)


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
        self._numbers: dict[Any, Any] = {}

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
        return masked(self, node) if is_masked(node) else super().node(node)

    def expression(self, node: Node, operands: Sequence[str]) -> str | None:
        """Some by methods, which NumPy's functions call after a few more steps."""
        op: Any = node.op
        if op.name in _METHODS and node.parents[0] is not None and type(node.inputs[0]) is not UnknownNumber:
            return text_of(op, operands, node.inputs, node.static, self.constant, _METHODS[op.name])
        if op.name in _REDUCTIONS and node.dtype == ShapeDtype.of(node.inputs[0]).dtype:
            axis, keepdims = self.constant(node.static["axis"]), node.static["keepdims"]
            rest = ", None, None, True" if keepdims else ""
            return f"np.{_REDUCTIONS[op.name]}.reduce({operands[0]}, {axis}{rest})"
        if op.name == "relu" and math.prod(node.shape) > _LARGE:
            return f"{self.bind(op.implementation, op.name)}({operands[0]})"  # for any order of axes
        return super().expression(node, operands)

    def operands(self, node: Node) -> list[str]:
        """The operands of a node as texts; of elementwise ops numbers are arrays, which NumPy need not convert."""
        texts, op = super().operands(node), getattr(node.op, "name", "")
        if op not in _WITH_NUMBERS or not getattr(node, "shape", ()):
            return texts
        whole = [ShapeDtype.of(x) for p, x in zip(node.parents, node.inputs, strict=True) if p is not None]
        if len(whole) != 1 or whole[0].shape != node.shape or whole[0].dtype.char not in "fd":
            return texts
        return [
            self.filled(x, node, whole[0].dtype) if p is None and is_number(x, whole[0].dtype) else text
            for text, p, x in zip(texts, node.parents, node.inputs, strict=True)
        ]

    def filled(self, value: Any, node: Node, dtype: Any = None) -> str:
        """The name of a number as an array; for a comparison with it, of the last axes of the node.

        NumPy compares two arrays with vector instructions, and an array and a number one by one.
        """
        dtype, shape = dtype or node.dtype, tuple[int, ...]()
        if getattr(node.op, "name", "") in _COMPARING:
            for size in reversed(node.shape):
                if math.prod(shape) * size > _LARGE:
                    break
                shape = size, *shape
        key = repr(value), dtype, shape
        if key not in self._numbers:
            self._numbers[key] = np.full(shape, value, dtype)
        return self.bind(self._numbers[key], "number")


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


def written_into(emitter: BufferedEmitter, node: Node, buffer: str) -> str:
    """Write the line of a ufunc, a product or a masked value whose result goes into a buffer."""
    op: Any = node.op
    operands = emitter.operands(node)
    if is_masked(node):
        return masked(emitter, node, buffer)
    if op.name == "relu":
        function, operands = "np.maximum", [*operands, emitter.filled(0, node)]
    elif isinstance(op.implementation, np.ufunc):
        function = function_name(op.implementation) or emitter.bind(op.implementation, op.name)
    else:
        function = f"np.{op.name}"
    # By position it is faster; np.maximum and np.minimum take it by name only, and np.dot either way.
    out = f"out={buffer}" if function in ("np.maximum", "np.minimum", "np.matmul") else buffer
    return emitter.assign(node, f"{function}({', '.join([*operands, out])})")


def masked(emitter: Emitter, node: Node, buffer: str | None = None) -> str:
    """Write `where(condition, x, 0)` as a product of the bits of x with 0 or 1, which is faster than a branch."""
    mask, values, _ = emitter.operands(node)
    bits = f"np.{bits_of(node)}"
    into = "" if buffer is None else f", {buffer}.view({bits})"
    product = f"np.multiply({values}.view({bits}), {mask}{into})"
    return emitter.assign(node, f"{product}.view(np.{node.dtype.name})")


class NumpyEngine(Engine):
    """Straight-line NumPy source."""

    name = "numpy"
    # What makes a program faster but harder to read: `source` shows it as it was before.
    last = (pools, expand_labeled, fold, simplify, common, dead)

    def build(self, program: Program, fast: bool) -> NumpyRunner:
        """The program as a Python function; if it is fast, with buffers."""
        for improve in self.last if fast else ():
            program = everywhere(improve, program)
        return NumpyRunner(program, fast)


__all__ = ["NumpyEngine"]
