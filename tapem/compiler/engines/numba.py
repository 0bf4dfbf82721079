"""The numba engine: elementwise ops and reductions as fused native loops, products by BLAS."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import numba
import numpy as np

from tapem.compiler.cache import module_of
from tapem.compiler.emit import Emitter, Line, indented
from tapem.compiler.engines.engine import Engine
from tapem.compiler.engines.pooling import native_pools
from tapem.compiler.engines.running import PythonFunction
from tapem.compiler.native import (
    REDUCTIONS,
    Group,
    Segment,
    accesses,
    bits,
    flattening,
    functions,
    grouped,
    growing,
    hints,
    kind_of,
    native_control,
    tiles,
    written,
)
from tapem.compiler.native import products as native_products
from tapem.compiler.native import wide as wide_functions
from tapem.compiler.passes import (
    batches,
    common,
    dead,
    everywhere,
    expand_all,
    hoist,
    joined,
    pools,
    products,
    roll,
    simplify,
    slices,
    uniform,
)
from tapem.compiler.sharing import fresh_outputs, is_new
from tapem.core import LEAF, Node, UnknownNumber, pick
from tapem.transforms import Cond, Program, Scan, While

VERSIONS = (
    sys.version, np.__version__, cast("Any", numba).__version__,
    *map(inspect.getsource, (bits, flattening, functions, wide_functions, growing, hints, tiles, native_products)),
)  # fmt: skip
"""What the machine code depends on, beside the text of the function."""

_IMPORTED = tuple(module.__name__ for module in (functions, growing, flattening, hints, native_products))
"""The modules whose names a native function uses."""

_LARGEST = 100
"""The number of ops in one native function; numba's compile time grows faster than it."""

_LARGE = 250
"""The number of native ops from which on every loop is a function of its own."""


class NumbaRunner(PythonFunction):
    """A program as a Python function that calls native ones; each is compiled when it is called for the first time."""

    def __init__(self, program: Program) -> None:
        """Write the functions."""
        inputs = [f"x{number}" for number in range(len(program.inputs))]
        emitter = NumbaEmitter(program, inputs, ["run", "writable", "contiguous"])
        writer = NumbaWriter(program, emitter)
        self.native = writer.native
        super().__init__(emitter, inputs, writer.outputs(), contiguous=contiguous)


class NumbaEmitter(Emitter):
    """Writes the bodies of loops and conditions with calls of native functions, too."""

    def inside(self, program: Program, inputs: Sequence[str], depth: int) -> tuple[list[Line], list[str]]:
        """The lines of a program inside of this one, and the names of its outputs."""
        inner = self.within(program, inputs)
        writer = NumbaWriter(program, inner)
        outputs = [writer.named(id) for id in program.outputs]
        return indented(inner.lines, depth), outputs


class NumbaWriter:
    """Writes the lines of a program: calls of native functions, and of ops that have no native loop."""

    def __init__(self, program: Program, emitter: Emitter) -> None:
        """Write all lines but those of the outputs; each function is compiled when it is called for the first time."""
        self.program = program
        self.views = accesses(program)
        self.emitter = emitter
        self.lines = emitter.lines
        self.ready: dict[int, str] = {}
        self.native: list[str] = []
        self.users = self.find_users()
        self.loose: set[int] = set()
        groups = grouped(program, self.views)
        self.large = sum(len(group.nodes) for group in groups if group.kind != "call") > _LARGE
        for part in parts(groups, [self.is_loose(group) for group in groups], self.large):
            if part[0].kind == "call":
                self.call(part[0].nodes[0])
            else:
                self.segment(part)

    def named(self, id: int) -> str:
        """The name of a value in the Python function; views and constants are written when they are needed."""
        names = self.emitter.names
        if id not in names:
            node = self.program.nodes[id]
            for parent in node.parents:
                if parent is not None:
                    self.named(parent)
            names[id] = self.emitter.node(node)
        return names[id]

    def call(self, node: Node) -> None:
        """A line of NumPy for an op that has no native loop; loops and conditions may be native functions."""
        control = native_control(node)
        if control is None:
            self.named(node.id)
        else:
            self.control(node, control)

    def control(self, node: Node, control: Scan | While | Cond) -> None:
        """A call of a native function for a loop or condition; where it fails, the loop runs in Python and says why."""
        function, text = written(node, control)
        bind = self.emitter.bind
        arguments = [
            self.emitter.constant(value) if parent is None else self.argument(parent)
            for parent, value in zip(node.parents, node.inputs, strict=True)
        ]
        given = ", ".join([*arguments, *(bind(value, "constant") for _, value in function.constants)])
        results = [self.emitter.fresh(control.__name__) for _ in node.output]
        failed = [self.emitter.fresh("failed")] * function.may_fail
        self.native_call(text, given, results, function.may_be_wide, failed)
        if failed:
            again = bind(functools.partial(in_python, control), "again")
            self.lines.append(Line(f"if {failed[0]}: {', '.join(results)}, = {again}({', '.join(arguments)},)"))
        self.keep_dtypes(results, node.output)
        self.emitter.results[node.id] = results
        self.emitter.names[node.id] = f"({', '.join(results)},)"

    def argument(self, id: int) -> str:
        """A value as a native function takes it: a contiguous array, or a number."""
        known = self.ready.get(id)
        if known is None:
            name, node = self.named(id), self.program.nodes[id]
            if type(node.output) is UnknownNumber:
                known = name
            elif node.op is LEAF and id >= len(self.program.inputs):
                known = self.emitter.bind(contiguous_or_number(node.output), "constant")
            else:
                known = self.emitter.fresh("array")
                self.lines.append(Line(f"{known} = {f'contiguous({name})' if node.shape else f'{name}[()]'}"))
            self.ready[id] = known
        return known

    def is_loose(self, group: Group) -> bool:
        """Whether a group computes with arrays whose axes may lie in memory in any order, as those of called ops do.

        Such a group runs in the order of its operands, so that images of convolutions are not turned at every op.
        """
        found = group.kind == "call"
        own = {node.id for node in group.nodes}
        if not found and group.kind == "loop" and len(group.shape) > 2:
            outside = {p for node in group.nodes for p in node.parents if p is not None and p not in own}
            arrays = {id for id in outside if self.program.nodes[id].shape}
            elementwise = not any(node.op.name in REDUCTIONS for node in group.nodes)
            same = all(self.program.nodes[id].shape == group.shape for id in arrays)
            found = (
                elementwise
                and same
                and all(self.views[id].base == id for id in arrays)
                and not arrays.isdisjoint(self.loose)
            )
        if found:
            self.loose |= own
        return found and group.kind != "call"

    def segment(self, groups: Sequence[Group]) -> None:
        """A call of a native function."""
        made = {node.id for group in groups for node in group.nodes}
        wanted = {id for id in made if not made.issuperset(self.users.get(id, ()))}
        part = Segment(self.program, self.views, groups, wanted, self.large)
        loose = groups[0].nodes[0].id in self.loose
        nodes = self.program.nodes
        arguments = [self.named(id) if loose and nodes[id].shape else self.argument(id) for id in part.arguments]
        results: list[str] = []
        for id in part.results:
            results.append(self.emitter.fresh(nodes[id].op.name))
            self.emitter.names[id] = results[-1]
            if not loose:
                self.ready[id] = results[-1]
        self.native_call(part.text("native"), ", ".join(arguments), results, part.may_be_wide, loose=loose)
        self.keep_dtypes(results, [nodes[id].output for id in part.results])

    def native_call(
        self,
        text: str,
        given: str,
        results: Sequence[str],
        may_be_wide: bool,
        flags: Sequence[str] = (),
        loose: bool = False,
    ) -> None:
        """A call of the native function of this text, and another one where it meets wide arguments of sin or cos."""
        self.native.append(text)
        wides = [self.emitter.fresh("is_wide")] * may_be_wide
        every = ", ".join([*results, *wides, *flags])
        functions: dict[str, Callable[..., Any]] = {"native": compiled_natively(text)}
        if may_be_wide:
            functions["wide"] = functools.partial(wide, text)
        if loose:
            functions = {f"{name}_in_order": functools.partial(in_order, f) for name, f in functions.items()}
        native, *again = (self.emitter.bind(function, name) for name, function in functions.items())
        self.lines.append(Line(f"{every}, = {native}({given})"))
        if may_be_wide:
            self.lines.append(Line(f"if {wides[0]}: {every}, = {again[0]}({given})"))

    def keep_dtypes(self, results: Sequence[str], kinds: Sequence[Any]) -> None:
        """Lines that give results without axes their dtype: numba returns Python numbers."""
        for result, kind in zip(results, kinds, strict=True):
            if not kind.shape and type(kind) is not UnknownNumber:
                self.lines.append(Line(f"{result} = np.{kind.dtype.name}({result})"))

    def find_users(self) -> dict[int, set[int]]:
        """For each value the nodes that read it, itself or a view of it; -1 stands for the outputs."""
        users: dict[int, set[int]] = {}
        for node in self.program.nodes:
            if node.id not in self.views or self.views[node.id].base == node.id:
                for parent in node.parents:
                    if parent is not None and parent in self.views:
                        users.setdefault(self.views[parent].base, set()).add(node.id)
        for id in self.program.outputs:
            if id in self.views:
                users.setdefault(self.views[id].base, set()).add(-1)
        return users

    def outputs(self) -> list[str]:
        """The outputs; what shares memory with an input or another output is copied."""
        names = [self.named(id) for id in self.program.outputs]
        return fresh_outputs(self.program, names, self.is_new, "writable")

    def is_new(self, node: Node) -> bool:
        """Whether the value of a node shares memory with no operand."""
        if node.op is pick:
            return native_control(self.program.nodes[node.parents[0] or 0]) is not None
        view = node.id in self.views and self.views[node.id].base != node.id
        made = kind_of(node) in ("loop", "product") or native_control(node) is not None
        return is_new(node) or (made and not view)


def in_python(control: Scan | While | Cond, *operands: Any) -> Any:
    """Run a loop or condition in Python."""
    return control(*operands)


def wide(text: str, *arguments: Any) -> Any:
    """Run a native function with sin and cos that take numbers of any size."""
    return compiled_widely(text)(*arguments)


@functools.lru_cache(maxsize=128)
def compiled_widely(text: str) -> Any:
    """The same function with sin and cos that take numbers of any size."""
    return compiled_natively(text, wide_functions.__name__)


@functools.lru_cache(maxsize=4096)
def compiled_natively(text: str, *more: str) -> Any:
    """The native function of this text; what numba compiles stays in the cache on disk."""
    imports = [f"from {module} import *" for module in (*_IMPORTED, *more)]
    for size in (32, 64):
        if f"w{size})" in text:
            native_products.known(size)
    whole = "\n".join(["import numpy as np", *imports, "", "", text, ""])
    module, lasting = module_of(whole, VERSIONS)
    # fastmath=True would assume that there is no NaN.
    options: dict[str, Any] = {"fastmath": {"reassoc", "contract"}, "error_model": "numpy", "cache": lasting}
    return cast("Any", numba).njit(**options)(module.native)


def parts(groups: Sequence[Group], alone: Sequence[bool], large: bool) -> list[list[Group]]:
    """The groups in pieces: each a call of an op, or native groups of no more than some ops together, or one alone.

    In a large program each group is a function of its own: many are equal, as the updates of all parameters are, and
    equal functions are compiled once.
    """
    found: list[list[Group]] = []
    count = 0
    after_alone = False
    for group, own in zip(groups, alone, strict=True):
        size = count + len(group.nodes)
        together = bool(found) and "call" not in (group.kind, found[-1][0].kind) and size <= _LARGEST and not large
        if together and not own and not after_alone:
            found[-1].append(group)
            count += len(group.nodes)
        else:
            found.append([group])
            count = len(group.nodes)
        after_alone = own
    return found


def in_order(function: Callable[..., Any], *operands: Any) -> tuple[Any, ...]:
    """The results of an elementwise function, with the axes of all arrays as those of the first lie in memory."""
    first = next(x for x in operands if isinstance(x, np.ndarray) and x.ndim)
    if first.flags.c_contiguous:
        return function(*(contiguous(x) if isinstance(x, np.ndarray) else x for x in operands))
    order = sorted(range(first.ndim), key=lambda axis: -first.strides[axis])
    back = sorted(range(first.ndim), key=lambda axis: order[axis])
    results = function(*(contiguous(x.transpose(order)) if isinstance(x, np.ndarray) else x for x in operands))
    return tuple(x.transpose(back) if isinstance(x, np.ndarray) else x for x in results)


def contiguous_or_number(x: Any) -> Any:
    """A constant as a native function takes it."""
    return np.ascontiguousarray(x) if np.ndim(x) else np.asarray(x)[()]


def contiguous(x: Any) -> Any:
    """An array in row-major order."""
    return x if x.flags.c_contiguous else np.ascontiguousarray(x)


class NumbaEngine(Engine):
    """Native loops by numba."""

    name = "numba"
    quick = (
        hoist, common, joined, dead, expand_all, uniform, batches, simplify, common, roll, slices, dead, common,
        hoist, products,
    )  # fmt: skip

    def build(self, program: Program, fast: bool) -> NumbaRunner:
        """The program as a Python function that calls native ones."""
        program = everywhere(lambda part: native_pools(pools(part), compiled_natively), program)
        return NumbaRunner(program)


__all__ = ["NumbaEngine"]
