"""Ref: a typed handle to one node of a tape; and Deferred, the base of Ref and of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np

from tapem.core import Handle, Immutable, Node, setter
from tapem.display import Displayed
from tapem.doors.operators import Operators
from tapem.errors import ConcretizationError, UnknownRefError
from tapem.types import NoArray, refuse_meeting, type_text

if TYPE_CHECKING:  # only the type of what operators build: steps stand above this file
    from tapem.doors.monadic.step import TapeM

Step: TypeAlias = "TapeM[Ref]"


class Deferred(Immutable, Operators[Step], NoArray):
    """The base of Ref and TapeM, from which an op builds a step. It has no value: reading one raises an error.

    NumPy's functions raise too: only an op's own name builds a step.
    """

    __slots__ = ()

    def _refuse(self, consequence: str) -> NoReturn:
        refuse_meeting(self)
        raise ConcretizationError(
            f"{self!r} has no value of its own, so {consequence}. To compute with it use tapem's op of that name "
            "(tm.sin, tm.sum, tm.stack, ...); to read a value, run the step and take tape.value(ref)."
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        self._refuse("it cannot become an array, nor be given to a NumPy function")

    def __array_function__(self, function: Callable[..., Any], types: Any, operands: Any, options: Any) -> Any:
        self._refuse(f"it cannot be given to {function.__module__}.{function.__name__}")

    def __float__(self) -> float:
        self._refuse("it cannot become a float")

    def __int__(self) -> int:
        self._refuse("it cannot become an int")

    def __index__(self) -> int:
        self._refuse("it cannot be used as an index")

    def __complex__(self) -> complex:
        self._refuse("it cannot become a complex number")

    def __bool__(self) -> bool:
        self._refuse("it has no truth value (tm.where chooses between two tensors)")


class Ref(Handle, Deferred, Displayed):
    """A typed handle to one node: its id, shape and dtype, but not its value.

    Operators and indexing build steps (`TapeM[Ref]`); nothing is computed until a step runs on a tape. A Ref can be
    used in a jaxtyping annotation: `Float[Ref, "batch in"]`.

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
    """The node of the Ref: `tape[ref] is ref.node` on every tape that has the node."""

    def __init__(self, node: Node) -> None:
        """Make the handle of a node."""
        _set_node(self, node)

    def __array_function__(self, function: Callable[..., Any], types: Any, operands: Any, options: Any) -> Any:
        if function in (np.shape, np.ndim, np.size) and operands:  # a function of ops may ask for the shape of a Ref
            return function(np.broadcast_to(np.zeros((), self.dtype), self.shape), *operands[1:], **options)
        return super().__array_function__(function, types, operands, options)

    @property
    def id(self) -> int:
        """The position of the node on its tape."""
        return self.node.id

    @property
    def name(self) -> str | None:
        """The name given to the node, if any."""
        return self.node.name

    def __repr__(self) -> str:
        name = "" if self.node.name is None else f" {self.node.name!r}"
        return f"Ref {self.node.id}{name} {type_text(self.shape, self.dtype)}"

    def __eq__(self, other: object) -> bool:
        return type(other) is Ref and other.node is self.node

    def __hash__(self) -> int:
        return hash(self.node)

    def __len__(self) -> int:
        if not self.shape:
            raise ConcretizationError(f"{self!r} is a scalar: it has no length.")
        return self.shape[0]

    def __iter__(self) -> NoReturn:
        raise ConcretizationError(f"{self!r} cannot be iterated over: index it (x[0] is a step), or use tm.split.")


_set_node = setter(Ref, "node")


def unknown(key: object, count: int, where: str = "") -> UnknownRefError:
    """The error for a Ref or an id that is not on a tape of `count` nodes; `where` names the op and the argument."""
    tape = f"this tape of {count} node{'' if count == 1 else 's'}"
    if isinstance(key, Ref):
        return UnknownRefError(
            f"{where}{key!r} is not on {tape}: it comes from another tape, or from a later state of this one. "
            "Use the tape that was returned together with the Ref."
        )
    if isinstance(key, Deferred):
        return UnknownRefError(f"{where}{key!r} is on no tape: it is a step. Run it: y, tape = step.run(tape).")
    if isinstance(key, int) and not isinstance(key, bool):
        return UnknownRefError(f"{where}there is no node {key} on {tape}.")
    return UnknownRefError(f"{where}a tape is indexed by a Ref or by an id, which is an int, not by {key!r}.")


__all__ = ["Deferred", "Ref", "Step", "unknown"]
