"""Node: one line of a tape, as data; and ShapeDtype, a value of which only shape and dtype are known.

This file is the ground floor. It knows no op, no rule and no door: a Node only says which op was applied to which
earlier nodes, and what came out. That is what makes a tape printable, picklable, batchable and compilable.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from tapem.errors import ConcretizationError, MutationError
from tapem.types import NUMBERS, NoArray, as_tensor, type_text

# Values of every dtype stand on a tape, so the dtype is Any.
Array: TypeAlias = npt.NDArray[Any]
DType: TypeAlias = np.dtype[Any]
Shape: TypeAlias = tuple[int, ...]
Scalar: TypeAlias = bool | int | float | np.generic


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise MutationError("the static arguments of a node are immutable.")


class Static(dict[str, Any]):
    """The static arguments of a node: a dict that cannot be changed, and costs no more than one to pass on.

    >>> Static(axis=0)["axis"]
    0
    """

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return Static, (dict(self),)


NOTHING = Static()
"""No static arguments: one empty mapping, shared by every node that has none."""


@dataclass(frozen=True, slots=True)
class ShapeDtype:
    """A value of which only the shape and the dtype are known, as on an abstract tape.

    >>> ShapeDtype((2, 3), np.dtype("float32")).size
    6
    """

    shape: Shape
    dtype: DType

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __str__(self) -> str:
        return type_text(self.shape, self.dtype)

    @staticmethod
    def of(value: Any) -> "ShapeDtype":
        """Shape and dtype of anything that has them; Python scalars count as NumPy counts them.

        >>> ShapeDtype.of(2.0)
        ShapeDtype(shape=(), dtype=dtype('float64'))
        """
        if hasattr(value, "dtype"):
            return ShapeDtype(value.shape, value.dtype)
        array = np.asarray(value)
        return ShapeDtype(array.shape, array.dtype)


def is_several(output: Any) -> TypeGuard[tuple[Any, ...]]:
    """Whether an output is that of an op with several results.

    >>> is_several((1.0, 2.0)), is_several(np.ones(2))
    (True, False)
    """
    return type(output) is tuple


class Op(Protocol):
    """What a Node needs to know of its op: a name."""

    @property
    def name(self) -> str:
        """The name under which listings and errors show the op."""
        ...


class Leaf:
    """The op of a node that has no parents: its value was given, not computed."""

    name = "leaf"

    def __repr__(self) -> str:
        return "leaf"

    def __reduce__(self) -> str:
        return "LEAF"


LEAF = Leaf()


class Node(NamedTuple):
    """One step of a straight-line program: an op, the earlier nodes it was applied to, and its value.

    `parents` has one entry per operand: the id of an earlier node, or None where the operand was a constant. `inputs`
    are the operands' values, constants included, so that a rule can be called without looking anything up. A node
    with several results (`qr`, `eigh`, `scan`) holds a tuple of them.

    >>> import tapem as tm
    >>> x, tape = tm.Tape().leaf(np.array([1.0, 2.0]), name="x")
    >>> y, tape = tape.record(tm.sin, x)
    >>> node = tape[y]
    >>> node.op.name, node.parents, node.shape, node.requires_grad
    ('sin', (0,), (2,), True)
    """

    id: int
    """Its position on the tape."""
    op: Op
    """The op that was applied; `LEAF` if the value was given."""
    parents: tuple[int | None, ...]
    """For each operand the id of an earlier node, or None for a constant."""
    inputs: tuple[Any, ...]
    """The operands' values, as the rules are given them."""
    static: Static
    """The static arguments: axes, shapes and the like."""
    output: Any
    """The value as the op gave it; an ShapeDtype on an abstract tape. `value` shows it read-only."""
    residuals: Any
    """What the op keeps for its derivative rules; None for most."""
    requires_grad: bool
    """Whether a reverse sweep visits it: inferred from its parents, given for a leaf."""
    name: str | None
    """The name that was given to it, if any."""

    # A node is a thing of its own, not the tuple of its fields: comparing fields would compare arrays.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def value(self) -> Any:
        """The node's value, read-only: an array, or a tuple of arrays.

        Raises ConcretizationError on an abstract tape, where only shapes are known.
        """
        if is_several(self.output):
            return tuple(read_only(part, self) for part in self.output)
        return read_only(self.output, self)

    @property
    def shape(self) -> Any:
        """The shape of the value; a tuple of shapes where there are several results."""
        try:
            return self.output.shape
        except AttributeError:  # several results, or a Python number
            return tuple(ShapeDtype.of(part).shape for part in self.output) if is_several(self.output) else ()

    @property
    def dtype(self) -> Any:
        """The dtype of the value; a tuple of dtypes where there are several results."""
        try:
            return self.output.dtype
        except AttributeError:  # several results, or a Python number
            several = is_several(self.output)
            return (
                tuple(ShapeDtype.of(part).dtype for part in self.output) if several else np.asarray(self.output).dtype
            )

    def __repr__(self) -> str:
        return f"<Node {self.label()}: {self.op.name}{list(self.parents)}>"

    def label(self) -> str:
        """How errors and listings call this node: its id, and its name if it has one."""
        return f"node {self.id}" if self.name is None else f"node {self.id} {self.name!r}"


new_node: Callable[[tuple[Any, ...]], Node] = functools.partial(tuple.__new__, Node)  # pyright: ignore[reportUnknownMemberType]
"""A Node from the tuple of its fields, at half the price of calling the class; it is paid once per op."""


class Handle(NoArray):
    """What stands for a node of one result, a Ref or a tracer: it has the shape and the dtype of the node's value."""

    __slots__ = ()

    node: Node

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
        return len(self.node.shape)

    @property
    def size(self) -> int:
        """The number of elements of the value."""
        return int(np.prod(self.node.shape, dtype=np.int64))


def read_only(value: Any, node: Node | None = None) -> Array:
    """The value as an array that cannot be written to, sharing its memory; an error if there is no value."""
    if type(value) is ShapeDtype:
        where = "" if node is None else f" of {node.label()} ({node.op.name})"
        raise ConcretizationError(
            f"the value{where} is not known: this tape is abstract and holds shapes only "
            f"({type_text(value.shape, value.dtype)}). Read values outside of vmap, eval_shape and loop bodies."
        )
    view = np.asarray(value).view()
    view.flags.writeable = False
    return view


def snapshot(array: Array) -> Array:
    """The array as it is now: a copy, whose time and memory are the price of a tape that never changes.

    A caller who changes an array later would otherwise change gradients without a word. An array that cannot be
    written to is copied too: its owner can make it writeable again, and a view may show memory of somebody else.
    """
    return array.copy()


def constant(value: Any, *, op: str = "leaf", argument: str = "its value") -> Any:
    """A value as a tape may hold it: never changed afterwards by whoever else holds the array.

    Python scalars stay as they are (and so stay weak under NumPy's promotion). Lists of numbers become arrays.

    Raises DTypeError for whatever is no real-valued tensor: strings, None, ragged lists, objects, complex numbers.

    >>> constant([1, 2])
    array([1, 2])
    """
    if type(value) is np.ndarray:
        if value.dtype.kind in "fiub":
            return snapshot(value)
    elif type(value) in NUMBERS:
        return value
    return as_tensor(value, op=op, argument=argument).copy()


def taken(value: Any, *, op: str, argument: str) -> Any:
    """A value as it is, if it needs no second look (an array, a number, a Handle, a shape), else as an array.

    Raises DTypeError for what `as_tensor` refuses.
    """
    known = (
        type(value) is np.ndarray or type(value) is ShapeDtype or isinstance(value, Handle | np.generic | int | float)
    )
    return cast(Any, value) if known else as_tensor(value, op=op, argument=argument)
