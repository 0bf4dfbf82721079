"""Tape: an immutable straight-line program.

A tape is a shared buffer of nodes and a length. To append, the tape that owns the end of the buffer writes there; any
other tape (a branch, or the loser of a race between two threads) copies its part first. So appending is O(1)
amortized, and no tape is ever changed.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from tapem.core import (
    CONTEXT,
    LEAF,
    NOTHING,
    Array,
    Handle,
    Immutable,
    Node,
    Primitive,
    ShapeDtype,
    Static,
    Watcher,
    boundary,
    check,
    constant,
    detach,
    listing,
    new_node,
    pick,
    recorded,
    setter,
    shorten,
)
from tapem.display import Displayed
from tapem.doors.pure.gradients import Gradients
from tapem.doors.pure.ref import Deferred, Ref, unknown
from tapem.errors import ArgumentError, DTypeError, NotScalarError, ShapeError, StepError
from tapem.sweeps import Printer, fit_given, reverse, zeros_of


class Tape(Immutable, Displayed):
    """An immutable straight-line program: nodes in SSA form, each an op applied to earlier nodes.

    Every method that adds a node returns a new tape and leaves this one valid, so two branches may grow from one tape.

    >>> import numpy as np, tapem as tm
    >>> x, tape = tm.Tape().leaf(np.array([1.0, 2.0]), name="x")
    >>> y, tape = tape.record(tm.square, x)
    >>> out, tape = tape.record(tm.sum, y)
    >>> print(tape)
    Tape of 3 nodes
      %0  f64[2]  leaf 'x'  requires grad
      %1  f64[2]  square(%0)
      %2  f64[]   sum(%1, axis=None, keepdims=False)
    >>> tape.backward_scalar(out)[x]
    array([2., 4.])
    """

    __slots__ = ("__weakref__", "_length", "_nodes")

    _nodes: list[Node]
    _length: int

    def __init__(self) -> None:
        """Make the empty tape."""
        _set_nodes(self, [])
        _set_length(self, 0)

    @staticmethod
    def of(nodes: list[Node], length: int) -> Tape:
        """A tape of the first nodes of a shared buffer, for the engine. The buffer must only grow."""
        tape = _new(Tape)
        _set_nodes(tape, nodes)
        _set_length(tape, length)
        return tape

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        return True  # an empty tape is still a tape

    def __iter__(self) -> Iterator[Node]:
        nodes = self._nodes
        return (nodes[index] for index in range(self._length))

    def __getitem__(self, key: Ref | int) -> Node:
        """The node of a Ref or an id. Raises UnknownRefError if it is not on this tape."""
        if type(key) is Ref:
            node = key.node
            if node.id < self._length and self._nodes[node.id] is node:
                return node
            raise unknown(key, self._length)
        try:
            index = -1 if isinstance(key, bool | np.bool_) else operator.index(key)
        except TypeError:
            raise unknown(key, self._length) from None
        if not 0 <= index < self._length:
            raise unknown(key, self._length)
        return self._nodes[index]

    def value(self, key: Ref | int) -> Array:
        """The value of a node, read-only.

        Raises UnknownRefError if the node is not on this tape, ConcretizationError if the tape is abstract.

        >>> import numpy as np
        >>> x, tape = Tape().leaf(np.array([1.0, 2.0]))
        >>> tape.value(x)
        array([1., 2.])
        """
        return self[key].value

    def leaf(self, value: Any, *, name: str | None = None, requires_grad: bool = True) -> tuple[Ref, Tape]:
        """Append a given value; the tape keeps a copy, so later changes of the array do not matter.

        Integer and bool arrays never require a gradient. Raises DTypeError for a value that is not a real tensor.

        >>> import numpy as np
        >>> x, tape = Tape().leaf(np.array([1, 2]), name="ids")
        >>> x, tape[x].requires_grad
        (Ref 0 'ids' i64[2], False)
        """
        node = leaf_node(self._length, value, name, requires_grad)
        return Ref(node), self.append(node)

    def record(self, op: Any, *operands: Any, **given: Any) -> tuple[Ref, Tape]:
        """Append one op, applied to Refs of this tape, arrays and numbers; several results give several Refs.

        A function made of ops is recorded op by op.

        Raises UnknownRefError for a Ref of another tape, ShapeError or DTypeError if the op's signature is violated.

        >>> import numpy as np, tapem as tm
        >>> x, tape = Tape().leaf(np.array([1.0, 2.0]))
        >>> y, tape = tape.record(tm.mul, x, 3.0)
        >>> tape.value(y)
        array([3., 6.])
        """
        if not isinstance(op, Primitive):
            return self._record_built(op, operands, given)
        try:
            static = op.usual_static
            if given or len(operands) != op.plain_arity:
                operands, static = op.bind(operands, given)
            return self.apply(op, operands, static)
        except Exception as error:
            shorten(error)
            raise

    def _record_built(self, build: Any, operands: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, Tape]:
        """Run the step that a function made of ops builds. Raises StepError if it does not build one."""
        step: Any = build(*operands, **given) if callable(build) else None
        run = getattr(step, "run", None) if isinstance(step, Deferred) else None
        if run is not None:
            return run(self)
        name = getattr(build, "__name__", None) or repr(build)
        returned = f": given these operands it returned {step!r}, not a step" if callable(build) else ""
        raise StepError(f"tape.record: {name} is not an op{returned}. Pass an op such as tm.sin.")

    def apply(self, op: Primitive, operands: tuple[Any, ...], static: Static) -> tuple[Any, Tape]:
        """Append an op whose arguments are sorted into operands and static ones: what `record` and every step do."""
        nodes, length, abstract = self._nodes, self._length, False
        for operand in operands:
            if type(operand) is Ref or isinstance(
                operand, Handle
            ):  # a Ref, or a tracer of a transform that runs within a program
                own = operand.node
                if own.id >= length or nodes[own.id] is not own:
                    position = next(index for index, other in enumerate(operands) if other is operand)
                    raise unknown(operand, length, f"{op.usage()}: {op.argument(position)}: ")
                abstract = abstract or type(own.output) is ShapeDtype
        node = recorded(length, op, operands, static, abstract=abstract)
        _, constants, watcher = CONTEXT.get()
        if watcher is not None:
            watcher.recorded(node)
        tape = self.append(node)
        if type(node.output) is tuple:
            return tape.parts(node)
        if constants and node.requires_grad:  # under no_grad, the result is detached
            return tape.apply(detach, (Ref(node),), NOTHING)
        ref = _new(Ref)  # not by the constructor, which would cost time for every op
        _set_node(ref, node)
        return ref, tape

    def parts(self, node: Node) -> tuple[tuple[Ref, ...], Tape]:
        """Append the results of a node with several, each as its own node."""
        tape, refs = self, list[Ref]()
        for index in range(len(node.output)):
            ref, tape = tape.apply(pick, (Ref(node),), Static(index=index))
            refs.append(ref)
        return tuple(refs), tape

    def append(self, node: Node, *more: Node) -> Tape:
        """The tape with one more node, or several: in place if this tape owns the end of its buffer, else in a copy."""
        nodes, length = self._nodes, self._length
        if len(nodes) == length:
            nodes.extend((node, *more)) if more else nodes.append(node)
        if nodes[length] is not node:  # another tape had gone on from here, or another thread was faster
            nodes = [*nodes[:length], node, *more]
        tape = _new(Tape)
        _set_nodes(tape, nodes)
        _set_length(tape, length + 1 + len(more))
        return tape

    @boundary
    def backward_scalar(self, out: Ref) -> Gradients:
        """Sweep backward from a scalar: the gradient of `out`, of shape (), with respect to every node it depends on.

        A constant `out`, which depends on no leaf that requires a gradient, has the gradient zero for each of those.
        Raises NotScalarError for any other shape, DTypeError for a complex output, UnknownRefError for a Ref of another
        tape.

        >>> import numpy as np, tapem as tm
        >>> x, tape = Tape().leaf(3.0)
        >>> y, tape = tape.record(tm.square, x)
        >>> tape.backward_scalar(y)[x]
        array(6.)
        """
        return self._sweep([out], None, "backward_scalar")

    @boundary
    def backward(self, outputs: Any, cotangents: Any, show_graph: bool = False) -> Gradients:
        """Sweep backward from one or several outputs, each with a cotangent of the same shape.

        `outputs` is a Ref or a sequence of Refs, `cotangents` an array or a sequence of arrays.
        `show_graph` prints the sweep: what each node hands to its parents.
        Raises ShapeError or DTypeError for a cotangent that does not fit its output.

        >>> import numpy as np, tapem as tm
        >>> x, tape = Tape().leaf(np.array([1.0, 2.0]))
        >>> y, tape = tape.record(tm.square, x)
        >>> tape.backward([y], [np.array([1.0, 10.0])])[x]
        array([ 2., 40.])
        """
        if isinstance(outputs, Deferred | int | np.integer):
            outputs, cotangents = [outputs], [cotangents]
        watcher = Printer() if show_graph else None
        return self._sweep(listed(outputs), listed(cotangents), "backward", watcher)

    @boundary
    def backward_dense(self, out: Ref, cotangent: Any = None) -> list[Array]:
        """Sweep backward and return one array per node of the tape, zeros for nodes that the sweep does not reach.

        Without a cotangent, `out` must be a scalar.

        >>> import numpy as np, tapem as tm
        >>> x, tape = Tape().leaf(np.array([1.0, 2.0]))
        >>> y, tape = tape.record(tm.sum, x)
        >>> z, tape = tape.record(tm.sin, x)
        >>> tape.backward_dense(y)
        [array([1., 1.]), array(1.), array([0., 0.])]
        """
        gradients = self._sweep([out], None if cotangent is None else [cotangent], "backward_dense")
        return [
            np.array(gradients[node.id]) if node.id in gradients else np.zeros(node.shape, node.dtype) for node in self
        ]

    def _sweep(
        self, outputs: list[Any], cotangents: list[Any] | None, caller: str, watcher: Watcher | None = None
    ) -> Gradients:
        """Sweep backward from outputs; without cotangents, from scalars. `caller` is the name shown in errors."""
        if cotangents is not None and len(outputs) != len(cotangents):
            raise ShapeError(
                f"{caller}: {len(outputs)} outputs but {len(cotangents)} cotangents; each output needs one of its "
                "shape."
            )
        seeds: dict[int, Any] = {}
        for position, output in enumerate(outputs):
            node = self[output]
            if cotangents is not None:
                subject, owner = f"{caller}: the cotangent of {node.label()} ({node.op.name})", "a value"
                kind = ShapeDtype(node.shape, node.dtype)
                seed = fit_given(cotangents[position], kind, subject, owner, promoted=True)
            elif node.shape == ():
                seed = np.ones((), node.dtype)
                if seed.dtype.kind == "c":
                    raise DTypeError(
                        f"{caller} needs a real output, but {node.label()} ({node.op.name}) is {seed.dtype}: a complex "
                        "number has no gradient. Make it real with tm.abs or tm.real, or give a cotangent, to "
                        "tape.backward or as cotangent= of tm.explain."
                    )
            else:
                raise NotScalarError(
                    f"{caller} needs an output of shape (), but {node.label()} ({node.op.name}) has shape "
                    f"{node.shape}. Reduce it with tm.sum or tm.mean, or give a cotangent, to tape.backward or as "
                    "cotangent= of tm.explain."
                )
            if node.requires_grad:
                seeds[node.id] = seeds[node.id] + seed if node.id in seeds else seed
        if outputs and not seeds:  # nothing that was given depends on anything: all gradients are known
            seeds = {node.id: zeros_of(node.output, writeable=False) for node in self if is_parameter(node)}
        else:
            reverse(self._nodes, seeds, watcher=watcher or CONTEXT.get().watcher)
        return Gradients(seeds, self)

    def check(self) -> Tape:
        """Return this tape if it is well formed. Otherwise raise TapeError, which names node and broken sentence.

        Everything that the engine records is well formed. The check is for nodes that are made in other ways.

        >>> x, tape = Tape().leaf(1.0)
        >>> tape.check() is tape
        True
        """
        check(self)
        return self

    def __repr__(self) -> str:
        return listing(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._nodes[: self._length],)


_new = object.__new__
_set_node = setter(Ref, "node")
_set_nodes = setter(Tape, "_nodes")
_set_length = setter(Tape, "_length")


def _restore(nodes: list[Node]) -> Tape:
    return Tape.of(nodes, len(nodes))


def leaf_node(id: int, value: Any, name: str | None, requires_grad: bool, copy: bool = True) -> Node:
    """The node of a given value; integers and bools never require a gradient."""
    if name is not None and not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"leaf: the name of a node is a string, not {name!r}.")
    if not isinstance(value, ShapeDtype) and (copy or type(value) is not np.ndarray):
        value = constant(value)
        if type(value) is np.ndarray and value.flags.writeable:
            value.flags.writeable = False
    kind = "f" if type(value) in (float, complex) else value.dtype.kind if hasattr(value, "dtype") else "i"
    return new_node((id, LEAF, (), (), NOTHING, value, None, kind in "fc" and bool(requires_grad), name))


def is_parameter(node: Node) -> bool:
    """Whether a node is a given value that requires a gradient."""
    return node.op is LEAF and node.requires_grad


def listed(values: Any) -> list[Any]:
    """The values as a list; a single value becomes a list of one."""
    try:
        return list(values)
    except TypeError:
        return [values]


__all__ = ["Tape", "leaf_node"]
