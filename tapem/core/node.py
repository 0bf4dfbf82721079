"""Node: one line of a tape, as data; and ShapeDtype, a value of which only shape and dtype are known.

This file imports no ops, no rules and no doors: a Node only says which op was applied to which earlier nodes, and what
the value is. So a tape can be printed, pickled, batched and compiled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from tapem.display import html_of, rich_of
from tapem.errors import ConcretizationError, MutationError
from tapem.types import NUMBERS, NUMERIC, NoArray, as_tensor, type_text

# Values of every dtype stand on a tape, so the dtype is Any.
Array: TypeAlias = npt.NDArray[Any]
DType: TypeAlias = np.dtype[Any]
Shape: TypeAlias = tuple[int, ...]
Scalar: TypeAlias = bool | int | float | complex | np.generic


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise MutationError("the static arguments of a node are immutable.")


class Static(dict[str, Any]):
    """The static arguments of a node: a dict that cannot be changed. Passing it on costs no more than a dict.

    >>> Static(axis=0)["axis"]
    0
    """

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return Static, (dict(self),)


NOTHING = Static()
"""The empty Static, shared by every node without static arguments."""


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
        """Shape and dtype of an array, a handle or a number; a Python number has the dtype that NumPy gives it.

        >>> ShapeDtype.of(2.0)
        ShapeDtype(shape=(), dtype=dtype('float64'))
        """
        if hasattr(value, "dtype"):
            return ShapeDtype(value.shape, value.dtype)
        array = np.asarray(value)
        return ShapeDtype(array.shape, array.dtype)


@dataclass(frozen=True, slots=True)
class UnknownNumber(ShapeDtype):
    """A Python number of which only the type is known, as an argument of a compiled function is.

    As a Python number it is weak: beside an array of float32 it does not make the result float64.

    >>> UnknownNumber.like(0.5)
    UnknownNumber(shape=(), dtype=dtype('float64'), kind=<class 'float'>)
    """

    kind: type[Any]

    @staticmethod
    def like(number: bool | float | complex) -> "UnknownNumber":
        """A number of the same type."""
        return UnknownNumber((), np.asarray(number).dtype, type(number))

    def __str__(self) -> str:
        return f"Python {self.kind.__name__}"


def is_several(output: Any) -> TypeGuard[tuple[Any, ...]]:
    """Whether an output belongs to an op with several results.

    >>> is_several((1.0, 2.0)), is_several(np.ones(2))
    (True, False)
    """
    return type(output) is tuple


class Op(Protocol):
    """What a Node needs from its op: a name."""

    @property
    def name(self) -> str:
        """The name under which listings and errors show the op."""
        ...


class Leaf:
    """The op of a node without parents, whose value is given, not computed."""

    name = "leaf"

    def __repr__(self) -> str:
        return "leaf"

    def __reduce__(self) -> str:
        return "LEAF"


LEAF = Leaf()


class Node(NamedTuple):
    """One line of a straight-line program: an op, the earlier nodes it is applied to, and its value.

    `parents` has one entry per operand: the id of an earlier node, or None for a constant. `inputs` are the operands'
    values, constants included, so a rule can be called without a look-up. A node with several results (`qr`, `eigh`,
    `scan`) holds a tuple of them.

    >>> import tapem as tm
    >>> x, tape = tm.Tape().leaf(np.array([1.0, 2.0]), name="x")
    >>> y, tape = tape.record(tm.sin, x)
    >>> node = tape[y]
    >>> node.op.name, node.parents, node.shape, node.requires_grad
    ('sin', (0,), (2,), True)
    """

    id: int
    """The node's position on the tape."""
    op: Op
    """The op; `LEAF` if the value is given."""
    parents: tuple[int | None, ...]
    """For each operand the id of an earlier node, or None for a constant."""
    inputs: tuple[Any, ...]
    """The operands' values, as the rules get them."""
    static: Static
    """The static arguments: axes, shapes and the like."""
    output: Any
    """The value as the op returns it; a ShapeDtype on an abstract tape. `value` is the read-only view of it."""
    residuals: Any
    """What the op keeps for its derivative rules; None for most ops."""
    requires_grad: bool
    """Whether a reverse sweep visits the node: inferred from the parents, given for a leaf."""
    name: str | None
    """The name that the user gave, if any."""

    _repr_html_ = html_of
    __rich__ = rich_of

    # Nodes compare by identity: comparing the fields of the tuple would compare arrays.
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
        """The shape of the value; a tuple of shapes for several results."""
        try:
            return self.output.shape
        except AttributeError:  # several results, or a Python number
            return tuple(ShapeDtype.of(part).shape for part in self.output) if is_several(self.output) else ()

    @property
    def dtype(self) -> Any:
        """The dtype of the value; a tuple of dtypes for several results."""
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
        """The node in errors and listings: its id, and its name if it has one."""
        return f"node {self.id}" if self.name is None else f"node {self.id} {self.name!r}"


new_node: Callable[[tuple[Any, ...]], Node] = MethodType(tuple.__new__, Node)
"""A Node from the tuple of its fields; this costs half of calling the class, and happens once per op."""


class Handle(NoArray):
    """The base of Ref and Tracer, which stand for a node with one result: shape and dtype are those of its value."""

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


def is_plain(x: Any) -> bool:
    """Whether a value is a tracer that stands for an array of plain code, not for one that is being differentiated.

    Of arrays not only the values count to the last bit, but also how they lie in memory.
    """
    recorder: Any = getattr(x, "recorder", None)
    return getattr(recorder, "plain", False) and (recorder.depth == 0 or not x.node.requires_grad)


def is_weak(x: Any) -> bool:
    """Whether a value is a Python number: NumPy's functions make a NumPy scalar of such, Python's operators do not.

    >>> is_weak(2.0), is_weak(np.float64(2.0))
    (True, False)
    """
    return type(x) in (bool, int, float, complex) or (
        isinstance(x, Handle) and type(x.node.output) in (bool, int, float, complex, UnknownNumber)
    )


def read_only(value: Any, node: Node | None = None) -> Array:
    """View a value as an array that cannot be written to. Raises ConcretizationError if the tape is abstract."""
    if isinstance(value, ShapeDtype):
        where = "" if node is None else f" of {node.label()} ({node.op.name})"
        raise ConcretizationError(
            f"the value{where} is not known: this tape is abstract and holds shapes only "
            f"({type_text(value.shape, value.dtype)}). Read values outside of vmap, eval_shape and loop bodies."
        )
    view = np.asarray(value).view()
    view.flags.writeable = False
    return view


def snapshot(array: Array) -> Array:
    """Copy an array, so that the tape never changes.

    Otherwise a caller who changes the array later would silently change gradients. A read-only array is copied too: its
    owner can make it writeable again, and a view may show memory that another array writes to.
    """
    return array.copy()


def constant(value: Any, *, op: str = "leaf", argument: str = "its value") -> Any:
    """A value as a tape may hold it: an array is copied, so that no other code can change it.

    Python scalars stay as they are (and so stay weak under NumPy's promotion). Lists of numbers become arrays.

    Raises DTypeError for anything that is not a tensor of numbers: strings, None, ragged lists.

    >>> constant([1, 2])
    array([1, 2])
    """
    if type(value) is np.ndarray:
        if value.dtype.kind in NUMERIC:
            return snapshot(value)
    elif type(value) in NUMBERS:
        return value
    return as_tensor(value, op=op, argument=argument).copy()


def taken(value: Any, *, op: str, argument: str) -> Any:
    """Return an array, a number, a Handle or a ShapeDtype as it is, and anything else as an array.

    Raises DTypeError for a value that `as_tensor` refuses.
    """
    known = type(value) is np.ndarray or isinstance(value, Handle | ShapeDtype | np.generic | int | float | complex)
    return cast(Any, value) if known else as_tensor(value, op=op, argument=argument)
