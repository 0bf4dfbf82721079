"""Tracing: run a function on tracers, and show the recorded nodes to the sweeps.

Every transform of derivatives begins here. It uses the current recorder, or opens a new one if there is no current one.
Each differentiated input gets its own node, so the same array passed twice gives two inputs, and an inner input differs
from an outer one. The sweeps walk the nodes between the inputs and the outputs.

If the recorder was opened here, the rules see the nodes as arrays, and the sweep records nothing. In a nested
transform, where the recorder existed before, they see tracers: the sweep is recorded, and an outer sweep can walk it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tapem.core import (
    CONTEXT,
    LEAF,
    NO_LEAF,
    NOTHING,
    ONE_LEAF,
    Node,
    ShapeDtype,
    Structure,
    detach,
    identity,
    new_node,
    pick,
    prepared,
    run,
    shorten,
    tree_flatten,
    tree_unflatten,
)
from tapem.doors.direct import Recorder, Tracer, current_recorder, home, new_recorder, opened, prepared_for
from tapem.doors.monadic import DEFERRED, lift, run_if_program
from tapem.errors import DTypeError, NotScalarError
from tapem.sweeps import View, reached
from tapem.transforms.residuals import kept_by, recomputed, rules_by_calls, will_run
from tapem.types import is_inexact

R = TypeVar("R")


class Trace(NamedTuple):
    """The record of a function at one point: the nodes of its inputs and outputs, and the nodes between them.

    `outputs` are the leaves of the result: tracers of this recorder if they depend on the inputs. `nested` says whether
    the recorder existed before the trace; `last` is the id of the last node that a sweep can need.
    """

    recorder: Recorder
    nested: bool
    inputs: list[Node]
    outputs: list[Any]
    structure: Structure
    last: int
    aux: Any
    silent: bool

    @property
    def first(self) -> int:
        """The id of the first input."""
        return self.inputs[0].id if self.inputs else self.last + 1

    def output_node(self, output: Any) -> Node | None:
        """The node of an output, or None where the output does not depend on this recorder."""
        return output.node if type(output) is Tracer and output.recorder is self.recorder else None

    def view(self) -> View | None:
        """How the sweeps see the nodes: as tracers if nested, else as the arrays that they hold."""
        return tracer_view(self.recorder) if self.nested else None

    def active(self) -> Callable[[int], bool] | None:
        """Which nodes a sweep visits: if nested, those that depend on the inputs; else those requiring a gradient."""
        if not self.nested:
            return None
        return reached(self.recorder.nodes, [node.id for node in self.inputs], self.last).__contains__

    def check(self) -> None:
        """Raise EscapedTracerError if the trace is nested and its recorder has ended."""
        if self.nested:
            self.recorder.check_alive()

    def result(self, outputs: Sequence[Any] | None = None) -> Any:
        """The outputs as a tree; as arrays, unless the trace is nested."""
        values = self.outputs if outputs is None else outputs
        return tree_unflatten(self.structure, [self.leave(value) for value in values])

    def leave(self, value: Any) -> Any:
        """A value outside of the transform: an array, unless the trace is nested; detached under no_grad."""
        if not self.nested:
            return plain(value, self.recorder)
        return detach(value) if self.silent else value


new_trace: Callable[[tuple[Any, ...]], Trace] = MethodType(tuple.__new__, Trace)
"""A Trace from the tuple of its fields; it costs half of calling the class."""


def plain(value: Any, recorder: Recorder) -> Any:
    """The value of a tracer of this recorder, as a copy; other values stay unchanged."""
    if type(value) is Tracer and value.recorder is recorder:
        output = value.node.output
        return output.copy() if type(output) is np.ndarray else output
    return value


def plain_tree(tree: Any, recorder: Recorder) -> Any:
    """A tree with the recorder's tracers as arrays."""
    leaves, structure = tree_flatten(tree)
    return tree_unflatten(structure, [plain(leaf, recorder) for leaf in leaves])


def trace(call: Callable[[list[Any]], Any], leaves: list[Any], *, has_aux: bool = False) -> Trace:
    """Record `call(leaves)`, with every leaf replaced by a tracer whose node holds a copy of the leaf."""
    context = CONTEXT.get()
    recorder = current_recorder()
    for leaf in leaves:  # a tracer may have gone to another thread, which has no current recorder
        if type(leaf) is Tracer and leaf.recorder is not recorder:
            recorder = home(leaves, lambda: "a transform")
            break
    if recorder is None or (context.constant and not recorder.abstract):
        return opened(new_recorder(), record, False, call, leaves, has_aux)
    recorder.check_alive()
    if context is recorder.usual:
        return record(recorder, True, call, leaves, has_aux)
    traced = run(prepared_for(recorder), record, recorder, True, call, leaves, has_aux)
    return traced._replace(silent=bool(context.constant))


def record(
    recorder: Recorder, nested: bool, call: Callable[[list[Any]], Any], leaves: list[Any], has_aux: bool
) -> Trace:
    """Run the function on the recorder, which is already the current one."""
    if recorder.captures is not None:  # captures of outer tracers come first, so that the inputs are consecutive
        for leaf in leaves:
            if type(leaf) is Tracer:
                recorder.own(leaf)
    inputs: list[Node] = []
    tracers: list[Any] = []
    for leaf in leaves:
        node = input_node(recorder, leaf)
        inputs.append(node)
        tracers.append(Tracer(recorder, node))
    result = call(tracers) if not recorder.plain else called_inside(recorder, call, tracers)
    if type(result) is Tracer and not has_aux:
        return new_trace((recorder, nested, inputs, [result], ONE_LEAF, len(recorder.nodes) - 1, None, False))
    result = run_if_program(result, recorder)
    aux = None
    if has_aux:
        if not isinstance(result, tuple) or len(result) != 2:
            given = type(result).__name__
            raise NotScalarError(f"with has_aux=True the function must return a pair (output, aux), not a {given}.")
        result, aux = result
        if not nested:
            aux = plain_tree(aux, recorder)
    outputs, structure = tree_flatten(result)
    return Trace(recorder, nested, inputs, outputs, structure, len(recorder.nodes) - 1, aux, False)


def called_inside(recorder: Recorder, call: Callable[[list[Any]], Any], tracers: list[Any]) -> Any:
    """The result of a function that is being differentiated, on a recorder that tells it from plain code."""
    recorder.depth += 1
    try:
        return run_if_program(call(tracers), recorder)
    finally:
        recorder.depth -= 1


def input_node(recorder: Recorder, value: Any) -> Node:
    """A new node for a differentiated input: a leaf with a copy of an array, or an identity of a tracer."""
    if type(value) is np.ndarray and is_inexact(value.dtype):
        return recorder.append(new_node((len(recorder.nodes), LEAF, (), (), NOTHING, value.copy(), None, True, None)))
    if type(value) is not Tracer:
        return recorder.leaf(value)
    node = recorder.own(value)
    if node is not None or recorder.abstract:
        return recorder.record(identity, (value,), requires_grad=True)
    return recorder.leaf(value.node.output, copy=False)  # under no_grad, an outer tracer is a constant


def monadic(leaves: Sequence[Any]) -> bool:
    """Whether a Ref or a step is among the values; if so, a transform becomes a step instead of running at once."""
    return not DEFERRED.isdisjoint(map(type, leaves))


def through_every_door(f: Callable[..., Any]) -> Callable[..., Any]:
    """Extend a function: given Refs or steps it returns a step, given tracers it runs on their recorder."""

    @functools.wraps(f)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            leaves = tree_flatten((arguments, options))[0]
            if monadic(leaves):
                return lift(f)(*arguments, **options)
            return at_home(leaves, function_name(f), functools.partial(f, *arguments, **options))
        except Exception as error:
            shorten(error)
            raise

    return call


def at_home(values: Sequence[Any], caller: str, f: Callable[[], R]) -> R:
    """Call a function with the recorder of these values as the current one; `caller` is the name shown in errors."""
    context = CONTEXT.get()
    recorder = home(values, lambda: caller)
    if recorder is context.recorder or recorder is None:
        return f()
    return run(prepared(context._replace(recorder=recorder).usual()), f)


def function_name(f: Callable[..., Any]) -> str:
    """The name of a function in errors and listings; for a partial, the name of the function in it."""
    while isinstance(f, functools.partial):
        f = f.func
    return getattr(f, "__name__", type(f).__name__)


def tracer_view(recorder: Recorder) -> View:
    """Show nodes to the rules as tracers; residuals, which are plain arrays, are computed again as tracers.

    Where the nodes will run as a program, residuals are nodes of their own, `kept`, and so are the pullbacks of opaque
    ops, `pulled`.
    """
    nodes = recorder.nodes

    running = will_run(recorder)

    def view(node: Node) -> tuple[Any, Any, tuple[Any, ...], Any]:
        inputs = tuple(
            value if parent is None else Tracer(recorder, nodes[parent])
            for parent, value in zip(node.parents, node.inputs, strict=True)
        )
        op: Any = node.op
        if op is pick:  # its operand is a tuple; the rules need only its length
            return Tracer(recorder, node), None, (node.inputs[0],), op.rrule
        output: Any = Tracer(recorder, node)
        if type(node.output) is tuple:
            output = tuple(pick(output, index=index) for index in range(len(node.output)))
        residuals = None
        if op.residuals:
            again = kept_by if running else recomputed
            residuals = again(op, inputs, node.static)
        rules = rules_by_calls(node) if running and op.opaque else op.rrule
        return output, residuals, inputs, rules

    return view


def scalar_output(trace: Trace, caller: str, holomorphic: bool = False) -> Any:
    """The only output of a trace, which must be a real scalar (a complex one if `holomorphic`).

    Raises NotScalarError or DTypeError if it is not.
    """
    if len(trace.outputs) != 1 or trace.structure.num_nodes != 1:
        if trace.structure == NO_LEAF:
            raise NotScalarError(
                f"{caller} needs a function that returns one scalar, but it returned None: no `return`?"
            )
        raise NotScalarError(
            f"{caller} needs a function that returns one scalar, but it returned {len(trace.outputs)} values in a "
            f"{type(trace.result()).__name__}. Return the loss alone, or (loss, aux) with has_aux=True."
        )
    output = trace.outputs[0]
    if type(output) is Tracer and type(output.node.output) in (np.float32, np.float64) and not holomorphic:
        return output
    try:
        kind = ShapeDtype.of(output)
    except (ValueError, TypeError) as error:
        raise NotScalarError(f"{caller} needs a function that returns a scalar, not {output!r}.") from error
    if kind.shape != ():
        node = trace.output_node(output)
        where = "" if node is None else f" ({node.label()}, {node.op.name})"
        raise NotScalarError(
            f"{caller} needs an output of shape (), but the function returned shape {kind.shape}{where}. "
            "Reduce it with np.sum or np.mean, or use vjp or jacrev."
        )
    if holomorphic:
        if kind.dtype.kind != "c":
            raise DTypeError(
                f"{caller} with holomorphic=True needs a complex output, but the function returned dtype {kind.dtype}. "
                "Leave holomorphic=True out: the gradient of a real output is df/dx - i df/dy."
            )
    elif kind.dtype.kind == "c":
        raise DTypeError(
            f"{caller} needs a real output, but the function returned dtype {kind.dtype} ({output!r}). A loss is real: "
            "np.abs(z) ** 2, or z.real. If the function is complex differentiable and its complex derivative is meant, "
            f"write {caller}(f, holomorphic=True); for any other function use vjp or jvp."
        )
    elif kind.dtype.kind != "f":
        raise DTypeError(f"{caller} needs a real output, but the function returned dtype {kind.dtype} ({output!r}).")
    return output
