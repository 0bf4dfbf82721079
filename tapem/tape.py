"""Tape and Ref: an immutable straight-line program, and a typed handle to one of its lines.

A tape is a shared buffer of nodes and a length. To append, the tape that owns the end of the buffer writes there; any
other tape (a branch, or the loser of a race between two threads) copies its part first. So appending is O(1)
amortised, and no tape is ever changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from tapem.errors import DTypeError, MutationError, NotScalarError, ShapeError, UnknownRefError
from tapem.gradients import Gradients
from tapem.listing import listing, node_line
from tapem.node import LEAF, NOTHING, NUMBERS, Abstract, Array, DType, Node, Shape, Static, constant, new_node
from tapem.operators import Operators
from tapem.primitive import Primitive
from tapem.signature import type_text
from tapem.sweeps.reverse import reverse
from tapem.work import WORK

if TYPE_CHECKING:  # only the types of what operators build; the pure door itself is registered by the monad
    pass


class Ref(Operators["TapeM[Ref]"]):
    """A typed handle to one node: its id, shape and dtype, but not its value.

    Operators and indexing build steps (`TapeM[Ref]`); nothing happens until a step is run on a tape. A Ref can stand
    inside a jaxtyping annotation: `Float[Ref, "batch in"]`.

    >>> import numpy as np, tapem as tm
    >>> x, tape = tm.Tape().leaf(np.ones((2, 3)), name="x")
    >>> x, x.id, x.shape, x.ndim, x.size
    (Ref 0 'x' f64[2,3], 0, (2, 3), 2, 6)
    >>> y, tape = (2.0 * x).run(tape)
    >>> tape.value(y)[0]
    array([2., 2., 2.])
    """

    __slots__ = ("node",)

    node: Node

    def __init__(self, node: Node) -> None:
        """Make the handle of a node."""
        object.__setattr__(self, "node", node)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise MutationError(f"a Ref is immutable; its {name!r} cannot be changed.")

    @property
    def id(self) -> int:
        """The position of the node on its tape."""
        return self.node.id

    @property
    def name(self) -> str | None:
        """The name given to the node, if any."""
        return self.node.name

    @property
    def shape(self) -> Shape:
        """The shape of the value."""
        return self.node.shape

    @property
    def dtype(self) -> DType:
        """The dtype of the value."""
        return self.node.dtype

    @property
    def ndim(self) -> int:
        """The number of axes of the value."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements of the value."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __repr__(self) -> str:
        name = "" if self.node.name is None else f" {self.node.name!r}"
        return f"Ref {self.node.id}{name} {type_text(self.shape, self.dtype)}"

    def __eq__(self, other: object) -> bool:
        return type(other) is Ref and other.node is self.node

    def __hash__(self) -> int:
        return hash(self.node)

    def __reduce__(self) -> tuple[Any, ...]:
        return Ref, (self.node,)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"{self!r} is a scalar: it has no length")
        return self.shape[0]

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be iterated over: index it (x[0] is a step), or use tm.split")

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} has no truth value: read it with tape.value(ref), or use tm.where")


class Tape:
    """An immutable straight-line program: nodes in SSA form, each an op applied to earlier nodes.

    Every method that adds a node returns a new tape and leaves this one valid, so two branches may grow from one tape.

    >>> import numpy as np, tapem as tm
    >>> x, tape = tm.Tape().leaf(np.array([1.0, 2.0]), name="x")
    >>> y, tape = tape.record(tm.square, x)
    >>> out, tape = tape.record(tm.sum, y)
    >>> print(tape)
    Tape of 3 nodes
      %0  f64[2]  leaf 'x'        requires grad
      %1  f64[2]  square(%0)
      %2  f64[]   sum(%1, axis=None, keepdims=False)
    >>> tape.backward_scalar(out)[x]
    array([2., 4.])
    """

    __slots__ = ("__weakref__", "_length", "_nodes")

    def __init__(self) -> None:
        """Make the empty tape."""
        self._nodes: list[Node] = []
        self._length = 0

    @staticmethod
    def of(nodes: list[Node], length: int) -> Tape:
        """The tape of the first nodes of a buffer, sharing it. For the engine: the buffer must only ever grow."""
        tape = Tape.__new__(Tape)
        tape._nodes, tape._length = nodes, length
        return tape

    def buffer(self) -> list[Node]:
        """A buffer that ends where this tape ends: the shared one if this tape owns its end, else a copy."""
        nodes = self._nodes
        return nodes if len(nodes) == self._length else nodes[: self._length]

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        return True  # an empty tape is still a tape

    def __iter__(self) -> Iterator[Node]:
        nodes = self._nodes
        return (nodes[index] for index in range(self._length))

    def __getitem__(self, key: Ref | int) -> Node:
        """The node of a Ref or an id; UnknownRefError if it is not on this tape."""
        if isinstance(key, Ref):
            node = key.node
            if node.id >= self._length or self._nodes[node.id] is not node:
                raise UnknownRefError(
                    f"{key!r} is not on this tape of {self._length} nodes: it comes from another tape, or from a later "
                    "state of this one. Use the tape that was returned together with the Ref."
                )
            return node
        index = int(key)
        if not 0 <= index < self._length:
            raise UnknownRefError(f"there is no node {index} on this tape of {self._length} nodes.")
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
        """Append a given value; the tape keeps a copy, so changing the array later changes nothing here.

        Integer and bool arrays never require a gradient. Raises DTypeError for what is not a tensor of real numbers.

        >>> import numpy as np
        >>> x, tape = Tape().leaf(np.array([1, 2]), name="ids")
        >>> x, tape[x].requires_grad
        (Ref 0 'ids' i64[2], False)
        """
        node = leaf_node(self._length, value, name, requires_grad)
        return Ref(node), self._append(node)

    def record(self, op: Any, *operands: Any, **given: Any) -> tuple[Ref, Tape]:
        """Append one op applied to Refs of this tape, arrays and numbers.

        Raises UnknownRefError for a Ref of another tape, ShapeError or DTypeError where the op's signature is violated.

        >>> import numpy as np, tapem as tm
        >>> x, tape = Tape().leaf(np.array([1.0, 2.0]))
        >>> y, tape = tape.record(tm.mul, x, 3.0)
        >>> tape.value(y)
        array([3., 6.])
        """
        if not isinstance(op, Primitive):  # a function made of ops: it builds a step
            return op(*operands, **given).run(self)
        static: Static = NOTHING
        if given or len(operands) != op.plain_arity:
            operands, static = op.bind(operands, given)
        node = op_node(op, operands, static, self._nodes, self._length)
        return Ref(node), self._append(node)

    def _append(self, node: Node) -> Tape:
        """The tape with one more node: in place if this tape owns the end of its buffer, else in a copy."""
        nodes, length = self._nodes, self._length
        if len(nodes) == length:
            nodes.append(node)
            if nodes[length] is node:  # else another thread was faster, and the end is its own
                return Tape.of(nodes, length + 1)
        return Tape.of([*nodes[:length], node], length + 1)

    def backward_scalar(self, out: Ref) -> Gradients:
        """Sweep backward from a scalar: the gradient of `out`, of shape (), with respect to every node it depends on.

        Raises NotScalarError for any other shape, UnknownRefError for a Ref of another tape.

        >>> import numpy as np, tapem as tm
        >>> x, tape = Tape().leaf(3.0)
        >>> y, tape = tape.record(tm.square, x)
        >>> tape.backward_scalar(y)[x]
        array(6.)
        """
        node = self[out]
        if node.shape != ():
            raise NotScalarError(
                f"backward_scalar needs an output of shape (), but {node.label()} ({node.op.name}) has shape "
                f"{node.shape}. Reduce it with tm.sum or tm.mean, or give a cotangent to tape.backward."
            )
        return self.backward(out, np.ones((), node.dtype))

    def backward(self, outputs: Any, cotangents: Any) -> Gradients:
        """Sweep backward from one or several outputs, each with a cotangent of the same shape.

        `outputs` is a Ref or a sequence of Refs, `cotangents` an array or a sequence of arrays.
        Raises ShapeError or DTypeError for a cotangent that does not fit its output.

        >>> import numpy as np, tapem as tm
        >>> x, tape = Tape().leaf(np.array([1.0, 2.0]))
        >>> y, tape = tape.record(tm.square, x)
        >>> tape.backward([y], [np.array([1.0, 10.0])])[x]
        array([ 2., 40.])
        """
        single = isinstance(outputs, Ref | int)
        refs: Sequence[Any] = [outputs] if single else list(outputs)
        arrays: Sequence[Any] = [cotangents] if single else list(cotangents)
        if len(refs) != len(arrays):
            raise ShapeError(f"backward: {len(refs)} outputs but {len(arrays)} cotangents; each output needs one.")
        seeds: dict[int, Any] = {}
        for ref, array in zip(refs, arrays, strict=True):
            node = self[ref]
            if not node.requires_grad:
                continue
            seed = cotangent_for(node, array)
            seeds[node.id] = seeds[node.id] + seed if node.id in seeds else seed
        nodes = self._nodes
        reverse(nodes, seeds, watcher=WORK.get().watcher)
        return Gradients(seeds, nodes if len(nodes) == self._length else nodes[: self._length])

    def backward_dense(self, out: Ref, cotangent: Any = None) -> list[Array]:
        """Sweep backward and give one array per node of the tape, zeros where nothing arrived.

        Without a cotangent, `out` must be a scalar.

        >>> import numpy as np, tapem as tm
        >>> x, tape = Tape().leaf(np.array([1.0, 2.0]))
        >>> y, tape = tape.record(tm.sum, x)
        >>> z, tape = tape.record(tm.sin, x)
        >>> tape.backward_dense(y)
        [array([1., 1.]), array(1.), array([0., 0.])]
        """
        gradients = self.backward_scalar(out) if cotangent is None else self.backward(out, cotangent)
        return [
            np.array(gradients[node.id]) if node.id in gradients else np.zeros(node.shape, node.dtype) for node in self
        ]

    def __repr__(self) -> str:
        return listing(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._nodes[: self._length],)


def _restore(nodes: list[Node]) -> Tape:
    return Tape.of(nodes, len(nodes))


def leaf_node(id: int, value: Any, name: str | None, requires_grad: bool, copy: bool = True) -> Node:
    """The node of a given value; integers and bools never require a gradient."""
    if type(value) is not Abstract and (copy or type(value) is not np.ndarray):
        value = constant(value)
        if type(value) is np.ndarray and value.flags.writeable:
            value.flags.writeable = False
    kind = "f" if type(value) is float else value.dtype.kind if hasattr(value, "dtype") else "i"
    return new_node((id, LEAF, (), (), NOTHING, value, None, requires_grad and kind == "f", name))


def op_node(op: Primitive, operands: tuple[Any, ...], static: Static, nodes: list[Node], id: int) -> Node:
    """The node of an op applied to Refs of the tape that ends before `id`, and to constants."""
    parents: list[int | None] = []
    inputs: list[Any] = []
    requires_grad = abstract = False
    for position, operand in enumerate(operands):
        if type(operand) is Ref:
            node = operand.node
            if node.id >= id or nodes[node.id] is not node:
                raise UnknownRefError(
                    f"{op.usage()}: {op.argument(position)} is {operand!r}, which is not on this tape of {id} nodes: it "
                    "comes from another tape, or from a later state of this one."
                )
            parents.append(node.id)
            inputs.append(node.output)
            requires_grad = requires_grad or node.requires_grad
            abstract = abstract or type(node.output) is Abstract
        else:
            parents.append(None)
            inputs.append(operand if type(operand) in NUMBERS else op.captured(position, operand))
    node = op.node(id, tuple(parents), tuple(inputs), static, requires_grad, operands, abstract)
    watcher = WORK.get().watcher
    if watcher is not None:
        watcher.recorded(node)
    return node


def cotangent_for(node: Node, value: Any) -> Array:
    """A cotangent as an array of the node's shape and dtype; ShapeError or DTypeError if it does not fit."""
    array = np.asarray(constant(value, op="backward", argument="the cotangent"))
    if array.shape != node.shape:
        raise ShapeError(
            f"backward: the cotangent of {node.label()} ({node.op.name}) must have its shape {node.shape}, "
            f"but has shape {array.shape}."
        )
    if array.dtype.kind != "f" and array.dtype.kind != "i":
        raise DTypeError(f"backward: the cotangent of {node.label()} must be of floats, but is {array.dtype}.")
    return array.astype(node.dtype, copy=False)


__all__ = ["Ref", "Tape", "cotangent_for", "leaf_node", "node_line", "op_node"]
